"""What a proof is held against, and what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

FINDINGS_MAX = 100


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong: ``code``, the ``place`` (``line 17`` of an export, ``row 12`` of a store, a table
    row, a line of the heads file), the ``id`` of the record, and in words what differs.
    """

    code: str
    place: str
    id: str
    message: str


class Verdict(msgspec.Struct, omit_defaults=True):
    """The outcome: ``ok`` when nothing is wrong; ``findings`` holds the first hundred of ``found``.

    ``records`` usage records received, ``entries`` and ``charges`` checked; ``n`` rows with ``head`` as the chain's
    head, signed until row ``signed_until``. ``notes`` say what is true but not wrong.
    """

    ok: bool
    findings: list[Finding]
    records: int
    entries: int
    charges: int
    n: int
    head: str
    signed_until: int
    found: int = 0
    notes: list[str] = []


class Outside(msgspec.Struct):
    """What the books are held against, none of it taken from the books themselves.

    ``check_signature(public key, message, signature)``; ``heads`` are signed heads kept elsewhere, one JSON line
    each (lines of ``<store>.heads``, checkpoints, or ``end`` lines of earlier exports); ``key`` the public key that
    must have signed; ``prefix_ok`` accepts that completeness is not proven; ``damage`` (place, message) is what the
    store's driver found wrong in its file; ``progress`` is told how many rows are done.
    """

    check_signature: Callable[[str, bytes, str], bool]
    heads: Iterable[bytes] | None = None
    key: str = ""
    prefix_ok: bool = False
    damage: Iterable[tuple[str, str]] = ()
    progress: Callable[[int], None] = lambda rows: None


class Findings:
    """Collects findings; after a hundred it only counts."""

    def __init__(self) -> None:
        self.list: list[Finding] = []
        self.count = 0

    def add(self, code: str, place: str, record: str, message: str) -> None:
        """Note that something is wrong."""
        self.count += 1
        if len(self.list) < FINDINGS_MAX:
            self.list.append(Finding(code, place, record[:200], message[:600]))


class Row(msgspec.Struct):
    """One journal row on the table: its number, its stored lines, and the line of the export where it begins."""

    n: int
    lines: list[bytes]
    line: int = 0

    def place(self, index: int = 0) -> str:
        """Where its line ``index`` stands, for a person to find."""
        return f"line {self.line + index}" if self.line else f"row {self.n}"
