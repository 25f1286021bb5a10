"""Comparing: a row of theirs with what we have behind it, by quantity and by amount, within what is allowed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from apportion.model.reconciliation import Verdict
from apportion.money import Exact

_ZERO = Exact(0)
UNCHARGED = "not charged: "


class Theirs(msgspec.Struct, frozen=True):
    """A row of theirs. ``at`` is its start in microseconds; ``digest`` covers its cells.

    One that is ``summed`` stands for all uses of what it names, which are ``uses`` many when it says so; ``period`` is
    a day, week or month, as ``cycle`` says.
    """

    row: int
    digest: str
    id: str = ""
    source: str = ""
    service: str = ""
    part: str = ""
    at: int | None = None
    quantities: dict[str, Exact] = {}
    amount: Exact | None = None
    currency: str = ""
    summed: bool = False
    uses: int | None = None
    period: str = ""
    cycle: str = ""


class Ours(msgspec.Struct, frozen=True):
    """One part of a use as the provider delivered it, and what it was credited for it.

    ``key`` is unique. ``reason`` says why it is not charged; then it has no charge. ``portion`` is what was credited
    when it was charged, ``standing`` what is left of it with all corrections; ``sound`` says that the entry credits
    the portion. One that is not ``wanted`` lies in another time: it may be found by its id, and is never missing.
    ``foreign`` says that the charge has another currency than what was credited.
    """

    key: str
    usage: str
    source: str
    id: str
    service: str
    part: str
    at: int | None
    quantities: dict[str, Exact] = {}
    charge: str = ""
    entry: str = ""
    currency: str = ""
    portion: Exact = _ZERO
    standing: Exact = _ZERO
    reason: str = ""
    sound: bool = True
    wanted: bool = True
    foreign: bool = False


Unit = tuple[Ours, ...]  # the parts of one use that stand behind one row, by key


class Allowed(msgspec.Struct, frozen=True):
    """How far apart two may be: ``relative`` × ours + ``absolute``."""

    relative: Exact = _ZERO
    absolute: Exact = _ZERO

    def within(self, theirs: Exact, ours: Exact) -> bool:
        """Whether they are that near to each other."""
        apart, size = theirs - ours, ours if ours >= _ZERO else -ours
        most = self.relative * size + self.absolute
        return -most <= apart <= most


class Manner(msgspec.Struct, frozen=True):
    """How rows are held against ours: tolerances, how many microseconds starts may be apart, whether ids count."""

    quantity: Allowed = Allowed()
    amount: Allowed = Allowed()
    apart: int = 60_000_000
    by_id: bool = True


class Found(msgspec.Struct, frozen=True):
    """A verdict with both sides: ``why`` are the words for what is wrong, ``by`` how the two were found."""

    verdict: Verdict
    theirs: Theirs | None
    ours: Unit
    why: tuple[str, ...] = ()
    by: str = ""


def measured(units: Iterable[Unit], measure: str) -> Exact | None:
    """What we measured over some uses. Parts that measured alike measured the same; others are added up."""
    total: Exact | None = None
    for unit in units:
        own = [one.quantities[measure] for one in unit if measure in one.quantities]
        if own:
            alike = len(own) == 1 or all(one == own[0] for one in own)
            more = own[0] if alike else sum(own[1:], own[0])
            total = more if total is None else total + more
    return total


def by_use(ours: Iterable[Ours]) -> list[Unit]:
    """Parts put together by the use that they are of."""
    if isinstance(ours, tuple) and len(ours) == 1:
        return [ours]
    uses: dict[str, list[Ours]] = defaultdict(list)
    for one in ours:
        uses[one.usage].append(one)
    return [tuple(parts) for parts in uses.values()]


def credited(ours: Iterable[Ours]) -> Exact:
    """What stands to the provider's credit for them."""
    if isinstance(ours, tuple) and len(ours) == 1:
        return ours[0].standing
    return sum((one.standing for one in ours), _ZERO)


def wrong(row: Theirs, ours: Unit, manner: Manner) -> tuple[str, ...]:
    """What of a row is not as we have it, in words: measures, ``amount``, ``currency``, ``uses``, ``ledger``."""
    units = by_use(ours)
    words = [] if row.summed else sorted({UNCHARGED + one.reason for one in ours if one.reason})
    if row.uses is not None and not manner.quantity.within(Exact(row.uses), Exact(len(units))):
        words.append("uses")
    known = any(one.quantities or not one.reason for one in ours)  # of what was refused nothing is
    for measure, said in sorted(row.quantities.items()) if known else ():
        if not manner.quantity.within(said, measured(units, measure) or _ZERO):
            words.append(measure)
    currencies = {one.currency for one in ours if one.currency}
    if row.currency and currencies - {row.currency}:
        words.append("currency")
    elif row.amount is not None and (not words or not words[0].startswith(UNCHARGED)):
        if not manner.amount.within(row.amount, credited(ours)):
            words.append("amount")
    if not all(one.sound for one in ours):
        words.append("ledger")
    return tuple(words)
