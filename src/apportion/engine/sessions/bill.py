"""What a session comes to: the fee, each provider's exact share, each payer's; and how its terms change on the way.

All functions are pure: a session line and its contract in, numbers or the next line out. Verify computes the same
slices again from two lines that follow one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from apportion.engine.charging import instant
from apportion.engine.sessions.contract import (
    APART,
    ZERO,
    Contract,
    Pick,
    minus,
    own,
    parsed,
    payable,
    read,
    used,
    written,
)
from apportion.engine.sessions.covers import drawn, grown, priced
from apportion.model.charge import PriceLine
from apportion.model.session import Meter, SessionLine, TaxSum
from apportion.money import Exact
from apportion.stages.rate import charge_amounts

replace = msgspec.structs.replace
_MICRO = timedelta(microseconds=1)


class Bill(NamedTuple):
    """A session's sums in atoms: ``net``, ``taxes``, and the exact share of each meter after the first.

    ``net`` has what was drawn from allowances so far, beside the price of what they do not cover.
    """

    net: int
    taxes: tuple[TaxSum, ...]
    earned: list[Exact]

    @property
    def total(self) -> int:
        """Net and taxes."""
        return self.net + sum(tax.amount for tax in self.taxes)


def bill(contract: Contract, line: SessionLine, pick: Pick = payable, until: datetime | None = None) -> Bill:
    """What the session comes to with the quantities that ``pick`` takes of its meters.

    Raises:
        Refused: what the tariffs refuse, OVERFLOW.
    """
    until = until or parsed(line.through)
    net, taxes = _retail(contract, line, pick, until)
    net += drawn(line)
    return Bill(net, taxes, [*_earned(contract, line, pick, until, net)])


def _retail(contract: Contract, line: SessionLine, pick: Pick, until: datetime) -> tuple[int, tuple[TaxSum, ...]]:
    """Net and taxes of what money pays for: of earlier terms, and of those in force."""
    pricer, rule = contract.retail, contract.retail.tariff.rounding
    quantities = minus(priced(line, pick), read(line.base))
    signed = [(1, quantities)] if not line.turned else [(1, quantities), (-1, {})]
    net, sums = line.net_before, {(t.name, t.rate): (t.base, t.amount) for t in line.taxes_before}
    for sign, some in signed:
        money, taxed, _ = charge_amounts(contract.price(pricer, line.since, until, some), contract.asset, rule)
        net += sign * money.atoms
        for name, rate, base, tax in taxed:
            before = sums.get((name, rate), (0, 0))
            sums[name, rate] = before[0] + sign * base.atoms, before[1] + sign * tax.atoms
    return net, tuple(TaxSum(*key, *amounts) for key, amounts in sums.items() if any(amounts))


def _earned(contract: Contract, line: SessionLine, pick: Pick, until: datetime, net: int) -> list[Exact]:
    """The exact share of each meter after the first, in atoms."""
    rule, unit = contract.terms.service.apportion, Exact(contract.asset.unit)
    meters = line.meters[1:]
    earned = [Exact.parse(meter.earned) for meter in meters]
    living = [i for i, meter in enumerate(meters) if not meter.ended]
    if rule == "wholesale":
        for i in living:
            earned[i] += _cost(contract, line, meters[i], pick, until) * unit
        return earned
    weights = _weights(contract, line, [meters[i] for i in living], pick, until)
    mass = sum(weights, ZERO)
    fee = Exact(net - line.crew_net)
    if rule == "shares":
        mass += contract.terms.platform
    else:
        fee = fee - fee * contract.terms.platform
    for i, weight in zip(living, weights, strict=True):
        if mass:
            earned[i] += (fee * weight).over(mass)
    return earned


def _weights(
    contract: Contract, line: SessionLine, meters: Sequence[Meter], pick: Pick, until: datetime
) -> list[Exact]:
    """What each living part weighs since the crew last changed."""
    service = contract.terms.service
    if service.apportion == "shares":
        return [Exact.parse(service.parts[meter.part].share or "0") for meter in meters]
    if service.apportion == "cost":
        return [_cost(contract, line, meter, pick, until) for meter in meters]
    counted = [minus(own(line.meters, meter, pick), read(meter.base)) for meter in meters]
    return [some.get(service.parts[m.part].measure, ZERO) for m, some in zip(meters, counted, strict=True)]


def _cost(contract: Contract, line: SessionLine, meter: Meter, pick: Pick, until: datetime) -> Exact:
    """The wholesale price of one part under the terms in force, in whole currency."""
    pricer = contract.pricer(meter)
    if pricer is None:
        return ZERO
    if contract.session.overrun == "platform" and pick is payable:
        pick = used  # what was used beyond a grant is the platform's to pay
    quantities = minus(own(line.meters, meter, pick), read(meter.base))
    return contract.exact(pricer, meter, until, quantities)


def price_lines(contract: Contract, before: SessionLine, line: SessionLine) -> tuple[PriceLine, ...]:
    """The arithmetic of a slice: each component of the price so far less what it was at the slice before.

    Where terms changed in between, what the earlier ones still came to is one line of its own.
    """
    found: list[PriceLine] = []
    old: Sequence[PriceLine] = ()
    if (line.since, line.turned) == (before.since, before.turned):
        if before.slices:
            old = _components(contract, before, minus(priced(before), read(before.base)))
    else:
        rest = Exact(line.net_before + drawn(before) - before.net, contract.asset.unit)
        found.append(PriceLine("earlier terms", "", "1", "", rest.text()))
        old = _components(contract, line, {})
    known = {(one.component, one.measure, one.price): one for one in old}
    for one in _components(contract, line, minus(priced(line), read(line.base))):
        less = known.get((one.component, one.measure, one.price))
        if less is not None:
            quantity = Exact.parse(one.quantity) - Exact.parse(less.quantity)
            exact = Exact.parse(one.exact) - Exact.parse(less.exact)
            one = replace(one, quantity=quantity.text(), exact=exact.text())
        if Exact.parse(one.exact) or Exact.parse(one.quantity):
            found.append(one)
    return tuple(one for one in found if Exact.parse(one.exact) or one.measure)


def _components(contract: Contract, line: SessionLine, quantities: dict[str, Exact]) -> Sequence[PriceLine]:
    lines = contract.price(contract.retail, line.since, parsed(line.through), quantities).lines
    return [replace(one, measure=one.measure.rpartition(APART)[2]) if APART in one.measure else one for one in lines]


# ── changes of terms ──


def turn(contract: Contract, line: SessionLine, *, retail: bool = True, crew: bool = True) -> SessionLine:
    """End the terms in force: what came of them so far is kept, and what follows counts from here.

    ``retail`` turns the price, ``crew`` the providers' shares.
    """
    now = bill(contract, line)
    meters = line.meters
    if crew:
        pick = used if contract.session.overrun == "platform" else payable
        turned = [
            meter
            if meter.ended
            else replace(
                meter, earned=earned.text(), base=written(own(meters, meter, pick)), since=line.through, turned=True
            )  # fmt: skip
            for meter, earned in zip(meters[1:], now.earned, strict=True)
        ]
        line = replace(line, meters=(meters[0], *turned), crew_net=now.net)
    if retail:
        line = replace(
            line,
            net_before=now.net - drawn(line),
            taxes_before=now.taxes,
            base=written(priced(line)),
            since=line.through,
            turned=True,
        )
    return line


def finish(contract: Contract, line: SessionLine, places: Sequence[int]) -> SessionLine:
    """Let some parts deliver no more: what they have earned stays, later use is shared by the others."""
    if places:
        line = turn(contract, line, retail=False)
    meters = list(line.meters)
    for place in places:
        meters[place] = replace(meters[place], until="", final=False, silent=False, ended=True)
    return replace(line, meters=tuple(meters))


def advance(contract: Contract, line: SessionLine, meters: tuple[Meter, ...], until: datetime) -> SessionLine:
    """The session with new counters at an instant; bands of the tariffs that begin on the way turn its terms.

    Between two reports use is taken to be even, so that each band gets its part of it by time; what was bought before
    is used first.
    """
    begun = parsed(line.through)
    bounds = contract.bounds(begun, until) if until > begun else []
    for bound in bounds:
        share = Exact((bound - begun) // _MICRO, (until - begun) // _MICRO)
        between = tuple(_between(a, b, share) for a, b in zip(line.meters, meters, strict=False))
        line = turn(contract, replace(line, meters=between, covers=grown(line, between), through=instant(bound)))
    last = [
        replace(new, base=old.base, since=old.since, turned=old.turned, earned=old.earned, ended=old.ended)
        for old, new in zip(line.meters, meters, strict=True)
    ]
    return replace(line, meters=tuple(last), covers=grown(line, last), through=instant(max(until, begun)))


def _between(before: Meter, after: Meter, share: Exact) -> Meter:
    """A meter on its way from one reading to the next."""

    def midway(a: dict[str, str], b: dict[str, str]) -> dict[str, str]:
        first, last = read(a), read(b)
        return written({m: first.get(m, ZERO) + (last[m] - first.get(m, ZERO)) * share for m in last})

    return replace(before, used=midway(before.used, after.used), lost=midway(before.lost, after.lost))
