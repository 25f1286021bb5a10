"""Which charges are rated again, and what a page of them comes to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from apportion.engine.query import Record, record_of
from apportion.engine.rerating.judging import Judged, Left, sums_of
from apportion.model.charge import Charge
from apportion.money import Exact

CHARGE = b'{"type":"charge"'


class Range(msgspec.Struct, frozen=True):
    """Which charges: of a ``service``, used from ``start`` on and before ``end``, of any of these ``payers``' accounts.

    Without any, of everybody.
    """

    service: str
    start: datetime | None = None
    end: datetime | None = None
    payers: frozenset[str] = frozenset()


class Moved(msgspec.Struct):
    """What one account has of the charges that are corrected: ``before`` as they stand, and by how much that moves."""

    role: str
    account: str
    who: str
    currency: str
    charges: int = 0
    before: Exact = Exact(0)
    change: Exact = Exact(0)


class Kept(msgspec.Struct):
    """How many charges are left as they are for one reason, the first of them, and why in words."""

    count: int = 0
    first: str = ""
    words: str = ""


class Page(msgspec.Struct):
    """What a page came to: how many charges were ``looked`` at and ``corrected``, by account what moved, what is left.

    ``running`` says that some count in totals of a period, so that they are rated with it.
    """

    looked: int = 0
    corrected: int = 0
    running: bool = False
    moved: dict[tuple[str, str, str], Moved] = {}
    left: dict[Left, Kept] = {}

    def keep(self, left: Left, record: Record, words: str, count: int = 1) -> None:
        """Count charges that are left as they are."""
        self.looked += count
        kept = self.left.setdefault(left, Kept(0, record.charge.id, words))
        kept.count += count

    def count(self, judged: Judged, standing: Sequence[Charge], count: int = 1) -> None:
        """Count ``count`` charges that one correction is of, as they were ``standing``."""
        assert judged.made is not None
        self.looked, self.corrected = self.looked + count, self.corrected + count
        currency = judged.made.currency
        for one in standing:
            for (role, account, who), amount in sums_of(one):
                self._moved(role, account, who, currency).before += amount
        touched = set()
        for (role, account, who), amount in sums_of(judged.made):
            self._moved(role, account, who, currency).change += amount
            touched.add((role, account, currency))
        for key in touched:
            self.moved[key].charges += count

    def _moved(self, role: str, account: str, who: str, currency: str) -> Moved:
        return self.moved.setdefault((role, account, currency), Moved(role, account, who, currency))


def records_of(n: int, body: bytes) -> Iterator[Record]:
    """The charges of a row, each with the usage before it."""
    usage = b""
    for line in body.split(b"\n"):
        if line.startswith(b'{"type":"usage"'):
            usage = line
        elif line.startswith(CHARGE):
            yield record_of(n, b"\n".join(filter(None, (usage, line))))
            usage = b""


def selected(record: Record, wanted: Range) -> bool:
    """Whether a charge is in the range; what corrects or adjusts is counted with what it corrects."""
    charge = record.charge
    if charge.origin or charge.service != wanted.service:
        return False
    if wanted.payers and wanted.payers.isdisjoint(payer.payer for payer in record.usage.payers):
        return False
    at = datetime.fromisoformat(charge.at).astimezone(UTC)
    return (wanted.start is None or wanted.start <= at) and (wanted.end is None or at < wanted.end)
