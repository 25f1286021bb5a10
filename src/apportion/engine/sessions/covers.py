"""Units of bought allowances in a session: taken out before anybody uses them, used before money, never priced.

Only a session that one payer pays alone has them. All functions are pure; verify computes the same covers again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from apportion.engine.sessions.contract import APART, ZERO, Pick, Quantities, apart, minus, payable, whole
from apportion.model.charge import Covered
from apportion.model.funding import AllowanceLine
from apportion.model.session import Cover, Meter, SessionLine
from apportion.money import Asset, Exact
from apportion.money.exact import decimal_text
from apportion.stages.credit.funding import allowance_order, drawn_down, grains

replace = msgspec.structs.replace
Stock = Callable[[str], AllowanceLine]


class Bought(NamedTuple):
    """What a slice takes out of allowances: what is ``covered``, and the ``covers`` and ``stocks`` as they then stand.

    ``draws`` are the atoms that move, each with its deferred account.
    """

    covers: tuple[Cover, ...] = ()
    covered: tuple[Covered, ...] = ()
    stocks: tuple[AllowanceLine, ...] = ()
    draws: tuple[tuple[str, int], ...] = ()

    @property
    def atoms(self) -> int:
        """All that moves."""
        return sum(atoms for _, atoms in self.draws)


NOTHING = Bought()


def sole(line: SessionLine) -> int:
    """The place of the payer who pays alone, and always did; -1 when there is none: then nothing is covered."""
    found = [place for place, payer in enumerate(line.payers) if payer.pays or payer.charged]
    return found[0] if len(found) == 1 and line.payers[found[0]].pays and not line.payers[found[0]].left else -1


def covered(line: SessionLine) -> Quantities:
    """Units of each measure that were used out of allowances."""
    found: Quantities = {}
    for cover in line.covers:
        found[cover.measure] = found.get(cover.measure, ZERO) + Exact.parse(cover.used)
    return found


def drawn(line: SessionLine) -> int:
    """Atoms of what was booked that came from the price of allowances."""
    return sum(cover.drawn for cover in line.covers)


def priced(line: SessionLine, pick: Pick = payable) -> Quantities:
    """Quantities of the service that money pays for."""
    quantities, bought = whole(line, pick), covered(line) if line.covers else {}
    quantities = minus(quantities, bought) if bought else quantities
    if line.plan:  # each part may have a price of its own
        for name, units in apart(line, pick).items():
            quantities[name] = max(ZERO, units - bought.get(name.partition(APART)[2], ZERO))
    return quantities


def waiting_units(covers: Iterable[Cover], measure: str) -> Exact:
    """Units of a measure that are reserved and not used yet."""
    mine = [cover for cover in covers if cover.measure == measure]
    return sum([Exact.parse(cover.reserved) - Exact.parse(cover.used) for cover in mine], ZERO)


def grown(line: SessionLine, meters: Sequence[Meter]) -> tuple[Cover, ...]:
    """The covers once the counters stand as ``meters``: what is used comes out of them first, the oldest at first."""
    if not line.covers:
        return ()
    rest = minus(whole(replace(line, meters=tuple(meters)), payable), whole(line, payable))
    found = []
    for cover in line.covers:
        before, wanted = Exact.parse(cover.used), rest.get(cover.measure, ZERO)
        units = min(wanted, Exact.parse(cover.reserved) - before)
        if units > ZERO:
            rest[cover.measure] = wanted - units
            cover = replace(cover, used=(before + units).reduced().text())
        found.append(cover)
    return tuple(found)


def settle(covers: tuple[Cover, ...], stock: Stock, asset: Asset) -> Bought:
    """Book what was used since the slice before: the units leave their allowances, and their price moves out."""
    after: list[Cover] = []
    parts: list[Covered] = []
    stocks: list[AllowanceLine] = []
    draws: list[tuple[str, int]] = []
    for cover in covers:
        booked, reserved = Exact.parse(cover.booked), Exact.parse(cover.reserved)
        upto = min(grains(Exact.parse(cover.used)), reserved)
        units = upto - booked
        if units > ZERO:
            line = stock(cover.allowance)
            now, out = drawn_down(line, Exact.parse(line.left), Exact.parse(line.reserved) - units, asset)
            stocks.append(now)
            amount = decimal_text(out, asset.scale)
            parts.append(Covered(cover.allowance, cover.measure, units.reduced().text(), amount))
            draws += [(cover.account, out)] if out else []
            cover = replace(cover, booked=upto.reduced().text(), drawn=cover.drawn + out)
        after.append(cover)
    return Bought(tuple(after), tuple(parts), tuple(stocks), tuple(draws))


def take(
    covers: tuple[Cover, ...], measure: str, wanted: Exact, lines: Iterable[AllowanceLine], asset: Asset
) -> tuple[tuple[Cover, ...], list[AllowanceLine]]:
    """Reserve up to ``wanted`` units out of allowances that may be drawn: the covers, and the allowances after it."""
    found = {cover.allowance: cover for cover in covers}
    stocks: list[AllowanceLine] = []
    for line in sorted(lines, key=allowance_order):
        left = Exact.parse(line.left)
        units = min(wanted, left)
        if line.measure != measure or units <= ZERO:
            continue
        wanted -= units
        stocks.append(drawn_down(line, left - units, Exact.parse(line.reserved) + units, asset)[0])
        cover = found.get(line.id) or Cover(line.id, line.account, measure)
        found[line.id] = replace(cover, reserved=(Exact.parse(cover.reserved) + units).reduced().text())
    return tuple(found.values()), stocks


def returned(
    covers: tuple[Cover, ...], stock: Stock, asset: Asset, at: str
) -> tuple[tuple[Cover, ...], list[AllowanceLine]]:
    """Give back what was reserved and not booked; an allowance that has expired meanwhile is due to lapse now."""
    after: list[Cover] = []
    stocks: list[AllowanceLine] = []
    for cover in covers:
        units = Exact.parse(cover.reserved) - Exact.parse(cover.booked)
        if units:
            line = stock(cover.allowance)
            left, reserved = Exact.parse(line.left) + units, Exact.parse(line.reserved) - units
            due = line.due or (at if line.expires else "")
            stocks.append(replace(drawn_down(line, left, reserved, asset)[0], due=due))
            used = min(Exact.parse(cover.used), Exact.parse(cover.booked))
            cover = replace(cover, reserved=cover.booked, used=used.text())
        after.append(cover)
    return tuple(after), stocks
