"""A usage record made ready to book: read strictly, priced, apportioned, allocated; no balance is looked at yet.

``prepare`` needs the catalog alone, so it runs while the group before is being written. Only tariffs with running
totals wait for the working set; both ways end in ``rate``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from apportion.engine.abroad import at_home, rates_of
from apportion.engine.least_cost import Choice, choose, held_by
from apportion.engine.terms import Deal, PartRoute, Route, ServiceTerms, Terms
from apportion.errors import RefusalCode, refuse
from apportion.model.calendar import period_of
from apportion.model.charge import Charge, Covered, Held
from apportion.model.tariff import Use
from apportion.model.usage import PayerUse, Usage
from apportion.money import Exact, Money
from apportion.money.exchange import Rate
from apportion.stages.rate import (
    Allocated,
    Amounts,
    Apportioned,
    Priced,
    Pricer,
    allocate_fee,
    by_weight,
    by_wholesale,
    charge_amounts,
    share_capped,
)

ONE = Exact(1)
Totals = Callable[[str], Mapping[str, Exact]]  # by the prefix of a provider's part; retail has none


class Rated(msgspec.Struct, gc=False):
    """What a record costs: ``net`` and ``total`` atoms, ``taxes`` (name, rate, base, tax atoms), and the split.

    What went the short way has no price lines, and no ``parts``: the books keep none of it. What allowances cover is
    in ``net``, ``total`` and the exact price with the atoms that they gave for it, not with the retail price.
    """

    net: int
    total: int
    taxes: list[tuple[str, str, int, int]]
    retail: Priced
    parts: list[Priced | None]
    split: Apportioned
    shares: Allocated | None


class Prepared(msgspec.Struct, gc=False):
    """A record resolved against a catalog; ``rated`` is there already when no running total takes part.

    ``detailed`` records say of some part or payer more than its name. ``covered`` is what allowances cover of it.
    ``choice`` is there where least cost decides which tariffs apply. ``rates`` convert, part by part, the prices that
    are in another currency than the service's; it is empty when none is.
    """

    usage: Usage
    terms: ServiceTerms
    route: Route
    deal: Deal
    use: Use
    part_uses: list[Use]
    payers: Sequence[PayerUse]
    weights: list[Exact]
    period: str
    detailed: bool
    rated: Rated | None = None
    covered: tuple[Covered, ...] = ()
    choice: Choice | None = None
    rates: tuple[Rate | None, ...] = ()

    @property
    def retail(self) -> Pricer:
        """The retail tariff in force."""
        return self.deal.retail

    @property
    def pricers(self) -> Sequence[Pricer | None]:
        """The wholesale tariffs in force, part by part."""
        return self.deal.pricers

    @property
    def running(self) -> bool:
        """Whether any tariff of the record keeps totals of a period."""
        return self.deal.running

    def needed(self, name: str) -> str:
        """As much of a personal attribute as the prices need: its longest matching deck key (a prefix, or a value)."""
        value = self.use.attributes[name]
        pricers = [self.retail, *self.pricers, *(self.choice.cells.pricers if self.choice is not None else ())]
        decks = [p.plans.deck for p in pricers if p is not None and p.plans.deck is not None]
        rows = [deck.find(value, self.use.start) for deck in decks if deck.by == name]
        return max((row.key for row in rows if row is not None), key=len, default="")


class Given(msgspec.Struct, frozen=True):
    """What a proof knows instead of the payers' names: the retail tariff that was applied and the billing period.

    ``covered`` is what allowances covered, ``held`` the agreements that payers (by account) had.
    """

    retail: str
    period: str
    covered: tuple[Covered, ...] = ()
    held: tuple[Held, ...] = ()

    @classmethod
    def of(cls, charge: Charge, period: str) -> Given:
        """What a charge tells."""
        return cls(charge.tariff, period, charge.allowances, charge.held)


def quantity(text: str, field: str) -> Exact:
    """A quantity as an exact number."""
    return Exact.parse(text, field=field, exponent=False)


def _quantities(given: Mapping[str, str], terms: ServiceTerms, field: str = "") -> dict[str, Exact]:
    known = terms.measures
    for measure in () if known.issuperset(given) else given:
        if measure not in known:
            raise refuse(
                RefusalCode.UNKNOWN_FIELD,
                f"service {terms.service.id!r} measures no {measure[:60]!r}.",
                field=field + measure,
                fix="It measures " + ", ".join(sorted(known)) + ".",
            )
    return {
        measure: Exact(int(text)) if text.isdecimal() and len(text) < 20 and text.isascii() else quantity(text, measure)
        for measure, text in given.items()
    }


def _check_times(usage: Usage) -> None:
    if usage.start.tzinfo is None or (usage.end is not None and usage.end.tzinfo is None):
        raise refuse(RefusalCode.BAD_TIME, "the time has no zone.", field="start", fix="Write it with Z or an offset.")
    if usage.end is not None and usage.end < usage.start:
        raise refuse(RefusalCode.BAD_TIME, "the use ends before it starts.", field="end")


def _check_names(usage: Usage, terms: ServiceTerms) -> None:
    for name in usage.attributes:
        if name not in terms.attributes:
            raise refuse(
                RefusalCode.UNKNOWN_FIELD,
                f"service {terms.service.id!r} knows no attribute {name[:60]!r}.",
                field=name,
                fix="It knows " + ", ".join(sorted(terms.attributes)) + ".",
            )
    if not usage.payers:
        raise refuse(
            RefusalCode.UNKNOWN_PAYER, "nobody is named who pays.", field="payers", fix="Name at least one payer."
        )
    names = {p.payer for p in usage.payers}
    if "" in names or len(names) < len(usage.payers):
        raise refuse(RefusalCode.BAD_INPUT, "a payer stands twice or has no name.", field="payers")


def prepare(usage: Usage, terms: Terms, given: Given | None = None) -> Prepared:
    """Resolve, read and (where no running total is needed) rate one record; ``given`` when a proof rates it again.

    Raises:
        Refused: why the record can not be charged, with the field and the fix.
    """
    service = terms.service(usage.service)
    if service.by_plan and given is None:
        raise refuse(
            RefusalCode.NO_PRICE,
            f"payers of {usage.service!r} pay what its parts cost, which a plan says.",
            field="service",
            fix="Ask for a plan and accept it; its session is then charged.",
        )
    _check_times(usage)
    _check_names(usage, service)
    route = service.route(tuple([(p.part, p.provider) for p in usage.parts]))
    whole = total = _quantities(usage.quantities, service)
    own = {(p.part, p.provider): _quantities(p.quantities, service, p.part + ".") for p in usage.parts if p.quantities}
    payers = usage.payers
    eaten = [_quantities(p.quantities, service, f"payer.{p.payer}.") if p.quantities else {} for p in payers]
    detailed = bool(own) or any(eaten)
    if detailed:
        total = _summed(whole, [*own.values()] or eaten)
    use = Use(usage.start, usage.end, total, usage.attributes)
    part_uses = [_part_use(use, whole, own, part) for part in route.parts] if own else [use] * len(route.parts)
    payer, choice = payers[0].payer, None
    if service.service.allocate == "least-cost":
        held = given.held if given else held_by(service, usage)
        choice = choose(service, route, route.deal(service.retail, usage.start), usage, use, eaten, held)
        deal = route.deal(choice.retail, usage.start)
    else:
        deal = route.deal(terms.pricer(given.retail) if given else service.retail_at(payer, usage.start), usage.start)
    period = ""
    if deal.running:
        period = given.period if given else period_of(terms.calendar(payer), usage.start).key
    covered = given.covered if given else ()
    prepared = Prepared(
        usage, service, route, deal, use, part_uses, payers, [], period, detailed, None, covered, choice
    )
    if len(payers) > 1 or payers[0].weight:
        prepared.detailed = detailed or any(p.weight for p in payers)
    if len(payers) > 1:
        prepared.weights = _weights(prepared, eaten)
    if deal.abroad:
        prepared.rates = rates_of(service, deal, usage.start)
    if not deal.running:
        prepared.rated = (given is None and not own and _rate_shortly(prepared)) or rate(prepared, _no_totals)
    return prepared


def price_parts(usage: Usage, terms: Terms, tariff: str) -> list[Priced | None] | None:
    """What each part costs by its own tariff, without the fee; None where only ``rate`` can tell.

    That is where a total of a period counts, or where the choice of tariffs is part of the price.
    """
    service = terms.service(usage.service)
    if service.service.allocate == "least-cost":
        return None
    route = service.route(tuple([(p.part, p.provider) for p in usage.parts]))
    deal = route.deal(terms.pricer(tariff), usage.start)
    if deal.running:
        return None
    whole = total = _quantities(usage.quantities, service)
    own = {(p.part, p.provider): _quantities(p.quantities, service) for p in usage.parts if p.quantities}
    eaten = [_quantities(p.quantities, service) for p in usage.payers if p.quantities]
    if own or eaten:
        total = _summed(whole, [*own.values()] or eaten)
    use = Use(usage.start, usage.end, total, usage.attributes)
    uses = [_part_use(use, whole, own, part) for part in route.parts] if own else [use] * len(route.parts)
    return [
        None if pricer is None else pricer.price(one, {}, "") for pricer, one in zip(deal.pricers, uses, strict=True)
    ]


def _rate_shortly(prepared: Prepared) -> Rated | None:
    """One payer, prices per unit only: the same as ``rate``, in a few sums of products."""
    linear = prepared.deal.linear if prepared.choice is None else None
    if linear is None or prepared.covered or len(prepared.payers) > 1 or not _pays(prepared, prepared.payers[0]):
        return None
    found = linear.split(prepared.use.quantities)
    if found is None:
        return None
    exact, fee, split = found
    retail = prepared.deal.retail
    return Rated(fee, fee, [], Priced(exact, {}, retail.version, [], retail.rates), [], split, None)


def _no_totals(prefix: str) -> Mapping[str, Exact]:
    return {}


def _summed(whole: dict[str, Exact], pieces: list[dict[str, Exact]]) -> dict[str, Exact]:
    """The record's quantities; a measure given only for parts (or only for payers) is their sum."""
    total = dict(whole)
    for piece in pieces:
        for measure, amount in piece.items():
            if measure not in whole:
                total[measure] = total[measure] + amount if measure in total else amount
    return total


def _part_use(use: Use, whole: dict[str, Exact], own: dict[tuple[str, str], dict[str, Exact]], part: PartRoute) -> Use:
    """What one part is priced by: its own quantities before those of the record, never another part's."""
    mine = own.get((part.part, part.provider))
    return Use(use.start, use.end, {**whole, **mine} if mine else whole, use.attributes)


def _weights(prepared: Prepared, eaten: list[dict[str, Exact]]) -> list[Exact]:
    """What each payer weighs: a fixed share, or the retail price of what they alone used."""
    rule = prepared.terms.service.allocate
    if prepared.choice is not None:
        return prepared.choice.weights
    if rule == "equal":
        return [ONE] * len(prepared.payers)
    if rule == "shares":
        return [Exact.parse(p.weight, field="payers") if p.weight else ONE for p in prepared.payers]
    use = prepared.use
    weights = []
    for payer, used in zip(prepared.payers, eaten, strict=True):
        if not used:
            raise refuse(
                RefusalCode.MEASURE_MISSING,
                "the cost of serving this payer needs a quantity of their own.",
                field=f"payer.{payer.payer}",
                fix="Give each payer what they used.",
            )
        alone = Use(use.start, use.end, {**use.quantities, **used}, use.attributes)
        weights.append(prepared.retail.price(alone, {}, prepared.period).exact)
    return weights


def rate(prepared: Prepared, totals: Totals) -> Rated:
    """Price the record and its parts, then split the fee among providers and payers (pure)."""
    asset = prepared.terms.asset
    retail, (net_money, taxed, total_money) = _retail(prepared, totals)
    net, total = net_money.atoms, total_money.atoms
    if prepared.covered:
        bought = sum(Money.parse(one.amount, asset).atoms for one in prepared.covered)
        net, total = net + bought, total + bought
        retail = msgspec.structs.replace(retail, exact=(retail.exact + Exact(bought, asset.unit)).reduced())
    taxes = [(name, rate, base.atoms, tax.atoms) for name, rate, base, tax in taxed]
    parts = [
        None
        if pricer is None
        else pricer.price(use, totals(f"{part.provider}|{part.part}|") if pricer.running else {}, prepared.period)
        for pricer, use, part in zip(prepared.pricers, prepared.part_uses, prepared.route.parts, strict=True)
    ]
    split = _apportion(prepared, net, parts)
    shares = None
    if len(prepared.payers) > 1 or not _pays(prepared, prepared.payers[0]):
        order = sorted(range(len(prepared.payers)), key=lambda i: prepared.payers[i].payer)
        ranks = [order.index(i) for i in range(len(order))]
        shares = _shared(prepared, total, ranks)
    return Rated(net, total, taxes, retail, parts, split, shares)


def _retail(prepared: Prepared, totals: Totals) -> tuple[Priced, Amounts]:
    """What the payers are charged together: the exact price, and that rounded."""
    use, pricer, choice = uncovered(prepared), prepared.retail, prepared.choice
    if choice is not None and not prepared.covered:
        return choice.joint, choice.amounts
    if use is None:
        retail = _nothing(pricer)
    else:
        retail = choice.priced(use) if choice is not None else pricer.price(use, totals(""), prepared.period)
    return retail, charge_amounts(retail, prepared.terms.asset, pricer.tariff.rounding)


def uncovered(prepared: Prepared) -> Use | None:
    """What allowances leave of a use to be priced; None when they cover everything that was measured.

    Then nothing is priced by the retail tariff, neither a fee per use nor a minimum: the use was paid before.
    """
    use = prepared.use
    if not prepared.covered:
        return use
    rest = dict(use.quantities)
    for one in prepared.covered:
        left = rest[one.measure] - Exact.parse(one.units)
        rest[one.measure] = left if left.num > 0 else Exact(0)
    clocked = (c.measure for c in prepared.retail.tariff.components if getattr(c, "time", False))
    if any(rest.values()) or any(measure not in rest for measure in clocked):
        return Use(use.start, use.end, rest, use.attributes)
    return None


def _nothing(pricer: Pricer) -> Priced:
    return Priced(Exact(0), {}, pricer.version, [], pricer.rates)


def single(prepared: Prepared) -> bool:
    """Whether one payer bears all of it; only then may allowances cover what was used."""
    return len(prepared.payers) == 1 and _pays(prepared, prepared.payers[0])


def _pays(prepared: Prepared, payer: PayerUse) -> bool:
    return payer.pays and payer.payer not in prepared.terms.exempt


def _shared(prepared: Prepared, total: int, ranks: list[int]) -> Allocated:
    pays = [_pays(prepared, payer) for payer in prepared.payers]
    if not any(pays) and prepared.terms.service.sponsor:
        return Allocated((None,) * len(pays), (0,) * len(pays))
    if prepared.choice is not None:
        return share_capped(total, prepared.choice.weights, prepared.choice.alone, pays, ranks)
    return allocate_fee(total, prepared.weights or [ONE] * len(pays), pays, ranks)


def _apportion(prepared: Prepared, net: int, parts: list[Priced | None]) -> Apportioned:
    terms, route = prepared.terms, prepared.route
    rule = terms.service.apportion
    if prepared.rates:
        parts = at_home(prepared.deal, parts, prepared.rates)
    if rule == "wholesale":
        unit = terms.asset.unit
        dues = [Exact(p.exact.num * unit, p.exact.den) if p is not None else Exact(0) for p in parts]
        return by_wholesale(net, dues, route.order)
    if rule == "shares":
        weights = [part.share for part in route.parts]
        return by_weight(net, weights, terms.platform, route.order, fraction=False)
    if rule == "cost":
        weights = [p.exact if p is not None else Exact(0) for p in parts]
    else:
        measures = [terms.service.parts[part.part].measure for part in route.parts]
        uses = zip(prepared.part_uses, measures, strict=True)
        weights = [use.quantities.get(measure, Exact(0)) for use, measure in uses]
    if net < 0:
        weights = [-w for w in weights]
    return by_weight(net, weights, terms.platform, route.order, fraction=True)
