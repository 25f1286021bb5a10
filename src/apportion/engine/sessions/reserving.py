"""Allowances of a session's payer: units set aside for its grants before money is, and given back when it ends."""

from __future__ import annotations

from collections.abc import Iterable

from apportion.engine.funding.purse import funding_of, stocks
from apportion.engine.sessions.bill import replace
from apportion.engine.sessions.contract import ZERO, Quantities, granted, granted_now, payable, whole
from apportion.engine.sessions.covers import returned, sole, take, waiting_units
from apportion.engine.sessions.row import Row
from apportion.model.funding import AllowanceLine
from apportion.model.ids import read_number
from apportion.model.session import SessionLine
from apportion.money import Exact
from apportion.stages.credit.funding import drawable, grains


def reserve(row: Row, target: SessionLine, measures: Iterable[str]) -> None:
    """Set aside the units that the grants of ``target`` still want, as far as the payer has bought them.

    What was used so far is paid for, whether in units or in money; what is set aside and not used yet counts.
    """
    lines = drawable_lines(row)
    if not lines:
        return
    later, now = whole(replace(target, meters=granted_now(target)), granted), whole(row.line, payable)
    for measure in measures:
        wanted = later.get(measure, ZERO) - now.get(measure, ZERO) - waiting_units(row.line.covers, measure)
        if wanted > ZERO:
            covers, changed = take(row.line.covers, measure, grains(wanted), lines, row.contract.asset)
            row.line = replace(row.line, covers=covers)
            row.put(changed)


def drawable_lines(row: Row) -> list[AllowanceLine]:
    """The allowances that may be drawn for the session now, as this change leaves them."""
    place = sole(row.line) if row.work.names.funded else -1
    if place >= 0 and row.line.payers[place].rate is not None:
        return []  # units were bought at prices of another currency
    funding = funding_of(row.work, read_number(row.line.payers[place].account)) if place >= 0 else None
    if funding is None or not funding.allowances:
        return []
    row.work.foresee(funding.allowances)
    known = [one for one in stocks(row.work, funding.allowances) if isinstance(one, AllowanceLine)]
    lines = [row.stocks.get(one.id, one) for one in known]
    return [one for one in lines if drawable(one, row.line.service, row.work.at)]


def plenty(row: Row, wanted: Quantities) -> bool:
    """Whether the payer's allowances have so many units of each measure, whatever its money comes to."""
    left: Quantities = {}
    for line in drawable_lines(row):
        left[line.measure] = left.get(line.measure, ZERO) + Exact.parse(line.left)
    return bool(wanted) and all(left.get(m, ZERO) > ZERO and left[m] >= units for m, units in wanted.items())


def give_back(row: Row) -> None:
    """Nothing is set aside any more: what was not used is left to whoever draws next."""
    covers, changed = returned(row.line.covers, row.stock, row.contract.asset, row.work.at)
    row.line = replace(row.line, covers=covers)
    row.put(changed)
