"""Grants: the next units of a part, held on the payers' accounts before anybody may use them."""

from __future__ import annotations

import functools
from datetime import timedelta

from apportion.engine.charging import instant
from apportion.engine.sessions.bill import advance, bill, replace
from apportion.engine.sessions.contract import (
    ZERO,
    Quantities,
    granted_now,
    parsed,
    payable,
    read,
    used,
    whole,
    written,
)
from apportion.engine.sessions.reserving import reserve
from apportion.engine.sessions.row import Row
from apportion.engine.sessions.slice import line_total, owed
from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.session import Meter, SessionLine
from apportion.money import Exact
from apportion.stages.credit.quota import grant, steps_of


def forecast(row: Row, line: SessionLine) -> SessionLine:
    """The session as it stands once all grants are used up, at the end of a validity time."""
    meters = tuple(replace(meter, used=_most(meter)) for meter in granted_now(line))
    until = parsed(line.through) + timedelta(seconds=row.contract.session.validity)
    return advance(row.contract, line, meters, until)


def _most(meter: Meter) -> dict[str, str]:
    now, upto = read(meter.used), read(meter.granted)
    return written({m: max(now.get(m, ZERO), upto.get(m, ZERO)) for m in {**now, **upto}})


def needs(row: Row, line: SessionLine) -> list[int]:
    """What each payer must have set aside for the grants of a session, in atoms."""
    later = forecast(row, line)
    total = max(bill(row.contract, later).total, line_total(line))
    paying = [payer.pays and not payer.left for payer in line.payers]
    if row.contract.terms.service.allocate == "cost" and sum(paying) > 1:
        more = total - line_total(line)  # nobody knows yet who will use it: each could owe all of it
        exact = [some + Exact(more) for some in owed(row.contract, line, line_total(line))]
    else:
        exact = owed(row.contract, line, total)
    return [
        max(0, some.ceil() - payer.charged) if pays else 0
        for some, payer, pays in zip(exact, line.payers, paying, strict=True)
    ]


def extend(row: Row, place: int, requested: Quantities) -> bool:
    """Grant as much of a request to the meter at ``place`` as units bought before and the value pay for; hold it.

    False when not even one step is paid for, or no price is known for it; then nothing has changed.
    """
    count, step = steps_of(requested or slice_of(row, place))
    open_ = [row.open(payer) for payer in row.line.payers]
    free = [row.room(payer) for payer in row.line.payers]
    mark = row.mark()
    reserve(row, _granted(row.line, place, step, count), step)

    @functools.cache
    def missing(steps: int) -> list[int]:
        wanted = needs(row, _granted(row.line, place, step, steps))
        return [max(0, need - held) for need, held in zip(wanted, open_, strict=True)]

    def fits(steps: int) -> bool:
        return all(lack <= have for lack, have in zip(missing(steps), free, strict=True))

    def modest(steps: int) -> bool:
        if all(2 * lack <= have for lack, have in zip(missing(steps), free, strict=True)):
            return True
        return missing(steps) == missing(1)  # what units cover takes no money from others

    try:
        quota = grant(count, fits, modest)
        if not quota.steps:
            row.back(mark)
            return False
        short = missing(quota.steps)
        if quota.steps < count:  # what is not granted is not set aside
            row.back(mark)
            reserve(row, _granted(row.line, place, step, quota.steps), step)
        line = _granted(row.line, place, step, quota.steps)
        until = instant(parsed(row.work.at) + timedelta(seconds=row.contract.session.validity))
        meters = list(line.meters)
        meters[place] = replace(meters[place], until=until, final=quota.final, silent=False)
        row.line = replace(line, meters=_handed_over(meters))
        for payer, lack in enumerate(short):
            if lack:
                row.hold(payer, lack)
    except Refused:  # payers who draw on the same account found it used up between them
        row.back(mark)
        return False
    return True


def _handed_over(meters: list[Meter]) -> tuple[Meter, ...]:
    """The whole need not report once every part that delivers does so under a grant of its own."""
    living = [meter for meter in meters[1:] if not meter.ended]
    if not meters[0].number and living and all(meter.number and meter.until for meter in living):
        meters[0] = replace(meters[0], until="", final=False, silent=False)
    return tuple(meters)


def _granted(line: SessionLine, place: int, step: Quantities, steps: int) -> SessionLine:
    meter = line.meters[place]
    now = used(meter)
    upto = {**read(meter.granted), **{m: now.get(m, ZERO) + size * Exact(steps) for m, size in step.items()}}
    meters = list(line.meters)
    meters[place] = replace(meter, granted=written(upto))
    return replace(line, meters=tuple(meters))


def slice_of(row: Row, place: int) -> Quantities:
    """What is granted at a time when nothing is requested: the service's slice of what the meter counts."""
    known = read(row.contract.session.slice)
    mine = {m: units for m, units in known.items() if m in row.line.meters[place].granted}
    return mine or known


def lacking(row: Row, places: list[int]) -> tuple[int, int]:
    """What is missing for the least and for a full grant of some meters, over all payers, in atoms."""
    open_ = [row.open(payer) for payer in row.line.payers]
    free = [row.room(payer) for payer in row.line.payers]
    found = []
    mark = row.mark()
    for parts in (True, False):
        line = row.line
        for place in places:
            count, step = steps_of(slice_of(row, place) or read(line.meters[place].granted))
            line = _granted(line, place, step, 1 if parts else count)
            reserve(row, line, step)
        wanted = needs(row, replace(line, covers=row.line.covers))
        row.back(mark)
        missing = [max(0, need - o - f) for need, o, f in zip(wanted, open_, free, strict=True)]
        found.append(sum(missing))
    return found[0], found[1]


def guarded(row: Row, line: SessionLine) -> None:
    """Refuse terms under which the providers cost more than the fee.

    Units that were bought before count at what they cost now: what was earned with them is no term of the session.

    Raises:
        Refused: MARGIN_GUARD.
    """
    if not row.contract.terms.service.guard:
        return
    later = forecast(row, line)
    now = bill(row.contract, replace(later, covers=()))
    cost = sum(now.earned, ZERO)
    if cost > Exact(now.net) and any(whole(later, payable).values()):
        raise refuse(
            RefusalCode.MARGIN_GUARD,
            "the providers would cost more than the fee.",
            field="parts",
            fix="Choose other providers, or permit it with guard = false and a sponsor.",
        )
