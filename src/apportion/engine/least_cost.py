"""Least cost: each payer of a record is served under whichever agreement of any of them makes the whole cheapest.

What is found here depends on the tariffs of the catalog and on the agreements held (``Held``) alone, so a proof, which
knows no names of payers, finds the same from the charge.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import msgspec

from apportion.engine.terms import Deal, Route, ServiceTerms
from apportion.errors import Refusal, RefusalCode, Refused, refuse
from apportion.model.charge import Held, PriceLine
from apportion.model.tariff import Flat, Use
from apportion.model.usage import PayerUse, Usage
from apportion.money import Exact, Money
from apportion.money.exact import ZERO
from apportion.stages.rate import Amounts, Priced, Pricer, assign, charge_amounts, net_of

ONE, HUNDRED = Exact(1), Exact(100)
Sums = dict[str, Exact]  # amounts as the tariff states them, by the name of their tax
Spot = tuple[int, int, int]  # user, cell, offer


class Joint(Priced, gc=False):
    """A price made of several: its ``sums`` by tax and its lines are there already."""

    sums: Sums = {}
    said: tuple[PriceLine, ...] = ()

    @property
    def lines(self) -> tuple[PriceLine, ...]:
        """What each component of each tariff contributed, for all whom it served."""
        return self.said

    def bases(self) -> Sums:
        """The amounts as the tariffs state them, by tax."""
        return self.sums


class Offer(msgspec.Struct, frozen=True):
    """A tariff that may serve the ``cells``: 0 is the service, then the parts passed on; what it says times ``factor``.

    ``holders`` agreed on it; without any it is the service's own, and everybody's.
    """

    pricer: Pricer
    cells: tuple[int, ...]
    factor: Exact = ONE
    holders: frozenset[str] = frozenset()


class Choice(msgspec.Struct):
    """Who is served under what: the price of all, and per payer the ``terms`` (tariff ids), ``alone`` (atoms), weight.

    ``retail`` is the tariff of those whom one tariff serves alike, else the service's own; ``spots`` are what serves
    the first payer, who may be the only one.
    """

    joint: Priced
    amounts: Amounts
    retail: Pricer
    terms: list[tuple[str, ...]]
    alone: list[int]
    weights: list[Exact]
    held: tuple[Held, ...]
    cells: Cells
    spots: list[Spot]

    def priced(self, use: Use) -> Priced:
        """What serves the only payer, for another use."""
        return self.cells.of(use).joint(self.spots)


def held_by(terms: ServiceTerms, usage: Usage) -> tuple[Held, ...]:
    """The agreements that any payer of a record holds when it starts, under the payers' names."""
    passed = terms.service.market.retail == "passed-on"
    return tuple(
        Held(payer.payer, one.tariff, one.provider, one.part)
        for payer in usage.payers
        for one in terms.held(payer.payer, usage.start)
        if passed or not one.provider
    )


def choose(
    terms: ServiceTerms, route: Route, deal: Deal, usage: Usage, whole: Use, eaten: list[dict[str, Exact]],
    held: tuple[Held, ...],
) -> Choice:  # fmt: skip
    """Serve the payers of a record at least cost.

    Raises:
        Refused: MEASURE_MISSING or BAD_QUANTITY when it is not known who used what; what no tariff prices.
    """
    cells = Cells(terms, route, deal)
    cells.take(held, {payer.payer for payer in usage.payers})
    _each_has_own(usage.payers, whole, eaten, cells)
    uses = [whole] if len(eaten) == 1 else [Use(usage.start, usage.end, own, usage.attributes) for own in eaten]
    cells.uses = [[use] * len(cells.names) for use in uses]
    users, places = range(len(uses)), range(len(cells.names))
    costs = [[cells.costs(user, cell) for cell in places] for user in users]
    theirs = [
        frozenset(i for i, offer in enumerate(cells.offers) if not offer.holders or payer.payer in offer.holders)
        for payer in usage.payers
    ]
    found = assign(costs, [cells.fee(i) for i in range(len(cells.offers))], theirs)
    asset, rule = terms.asset, terms.retail.tariff.rounding

    def of(picks: Sequence[Sequence[int]], user: int) -> list[Spot]:
        return [(user, cell, offer) for cell, offer in enumerate(picks[user])]

    joint = cells.joint([spot for user in users for spot in of(found.picks, user)])
    amounts = charge_amounts(joint, asset, rule)
    by_themselves = [charge_amounts(cells.joint(of(found.own, user)), asset, rule) for user in users]
    alone = [total.atoms for *_, total in by_themselves]
    sign = cells.sign
    if sign * amounts[2].atoms > sign * sum(alone):  # together nothing must cost more for being rounded once
        amounts = _summed(by_themselves)
    tops = [Exact(sign * atoms, asset.unit) for atoms in alone]
    weights = [min(served, top) for served, top in zip(found.served, tops, strict=True)]
    served_by = [tuple([cells.offers[i].pricer.tariff.id for i in picks]) for picks in found.picks]
    main = {picks[0] for picks in found.picks}
    retail = cells.offers[min(main)].pricer if len(main) == 1 else terms.retail
    return Choice(joint, amounts, retail, served_by, alone, weights, held, cells, of(found.picks, 0))


class Cells:
    """What can be served apart, the service and each part that is passed on, the offers for it, and their prices."""

    def __init__(self, terms: ServiceTerms, route: Route, deal: Deal) -> None:
        self.terms = terms
        self.names, self.providers = [""], [""]
        self.offers = [Offer(terms.retail, (0,))]
        self.uses: list[list[Use]] = []
        self._prices: dict[Spot, tuple[Priced, int]] = {}
        market = terms.service.market
        if market.retail == "passed-on":
            markup = ONE + Exact.parse(market.markup).over(HUNDRED)
            for part, pricer in zip(route.parts, deal.pricers, strict=True):
                if pricer is not None:
                    self.offers.append(Offer(pricer, (len(self.names),), markup))
                    self.names.append(part.part)
                    self.providers.append(part.provider)

    def take(self, held: tuple[Held, ...], payers: set[str]) -> None:
        """Add what payers agreed on. The same terms of several are one offer; its place does not depend on names.

        Raises:
            Refused: BAD_INPUT, UNKNOWN_TARIFF.
        """
        holders: dict[tuple[str, str, str, tuple[int, ...]], set[str]] = {}
        named = {(one.account, one.provider, one.part) for one in held if one.part}
        for one in held:
            if one.account not in payers:
                raise refuse(RefusalCode.BAD_INPUT, "somebody holds an agreement who takes no part.", field="held")
            cells = tuple(i for i in range(len(self.names)) if self._is_for(i, one, named))
            if cells:
                holders.setdefault((one.tariff, one.provider, one.part, cells), set()).add(one.account)
        for (tariff, _, _, cells), names in sorted(holders.items()):
            self.offers.append(Offer(self.terms.pricer(tariff), cells, ONE, frozenset(names)))

    def of(self, use: Use) -> Cells:
        """The same offers for one user and use."""
        found = copy.copy(self)
        found.uses, found._prices = [[use] * len(self.names)], {}
        return found

    def _is_for(self, cell: int, one: Held, named: set[tuple[str, str, str]]) -> bool:
        """Whether an agreement prices a cell; one for any part gives way to its holder's for this part."""
        if not cell or not one.provider:
            return not cell and not one.provider
        part = self.names[cell]
        if self.providers[cell] != one.provider or one.part not in ("", part):
            return False
        return bool(one.part) or (one.account, one.provider, part) not in named

    @property
    def pricers(self) -> list[Pricer]:
        """All tariffs that were looked at."""
        return [offer.pricer for offer in self.offers]

    @property
    def sign(self) -> int:
        """−1 for a record that gives back."""
        return -1 if any(_sign(use) < 0 for user in self.uses for use in user) else 1

    def costs(self, user: int, cell: int) -> list[Exact | None]:
        """What serving a user in a cell costs with tax under each offer, without what it costs but once."""
        found: list[Exact | None] = []
        why: Refusal | None = None
        for i, offer in enumerate(self.offers):
            try:
                cost = self._gross(self._sums((user, cell, i), once=False)) if cell in offer.cells else None
            except Refused as refused:
                cost, why = None, why or refused.refusal
            if cost is not None and cost < ZERO:
                raise refuse(RefusalCode.BAD_WEIGHT, "serving a payer costs less than nothing.", field="payers")
            found.append(cost)
        if why is not None and not any(one is not None and not self.offers[i].holders for i, one in enumerate(found)):
            raise Refused(why)
        return found

    def fee(self, offer: int) -> Exact:
        """What an offer costs once, with tax, when it serves anybody."""
        for user, cell, i in self._prices:
            if i == offer:
                return self._gross(self._sums((user, cell, i), once=True))
        return ZERO

    def joint(self, spots: Sequence[Spot]) -> Joint:
        """One price for what serves at these spots, fees once for each offer."""
        sums: Sums = {}
        lines: dict[tuple[int, int, str], list[PriceLine]] = {}
        seen: set[int] = set()
        for spot in spots:
            i = spot[2]
            for once in (False, True) if i not in seen else (False,):
                for name, amount in self._sums(spot, once=once).items():
                    sums[name] = sums.get(name, ZERO) + amount * Exact(self.sign)
            self._say(spot, lines, fees=i not in seen)
            seen.add(i)
        rates, included = self.rates(), self.terms.retail.tax_included
        exact = ZERO
        for name, amount in sums.items():
            exact += net_of(amount, rates[name]) if included and name else amount
        said = tuple(_line(rows, self.offers[key[1]].pricer.tariff.id) for key, rows in lines.items())
        return Joint(exact.reduced(), {}, self.terms.retail.version, [], rates, included, sums, said)

    def rates(self) -> dict[str, Exact]:
        """The taxes of all offers; the catalog's check holds them equal."""
        found: dict[str, Exact] = {}
        for offer in self.offers:
            found |= offer.pricer.rates
        return found | self.terms.retail.rates

    def _price(self, spot: Spot) -> tuple[Priced, int]:
        user, cell, offer = spot
        use = self.uses[user][cell]
        return self.offers[offer].pricer.price(use), _sign(use) or 1

    def _sums(self, spot: Spot, *, once: bool) -> Sums:
        """The amounts of a spot by tax, above zero: those owed once, or the others."""
        priced, sign = self._prices[spot] = self._prices.get(spot) or self._price(spot)
        _, cell, i = spot
        offer, tax = self.offers[i], self.terms.retail.tariff.tax
        names, found = once_of(offer.pricer), dict[str, Exact]()
        for part in priced.parts:
            term = part[0]
            if (term.name in names) == once:
                amount, name = Exact(part[5] * sign, part[6]), term.tax
                if cell:  # a part is passed on by its price without tax, and taxed as the service says
                    rate = offer.pricer.rates.get(name, ZERO)
                    amount = net_of(amount, rate) if offer.pricer.tax_included else amount
                    amount, name = amount * offer.factor, tax
                found[name] = found.get(name, ZERO) + amount
        return found

    def _gross(self, sums: Sums) -> Exact:
        """Amounts by tax as one with tax."""
        if self.terms.retail.tax_included:
            return sum(sums.values(), ZERO)
        rates, total = self.rates(), ZERO
        for name, amount in sums.items():
            total += (amount * (HUNDRED + rates[name])).over(HUNDRED) if name else amount
        return total

    def _say(self, spot: Spot, lines: dict[tuple[int, int, str], list[PriceLine]], *, fees: bool) -> None:
        _, cell, i = spot
        priced, sign = self._prices[spot]
        offer = self.offers[i]
        names = once_of(offer.pricer)
        change = Exact(sign * self.sign) * offer.factor
        raised = f"× {offer.factor.text()}" if offer.factor != ONE else ""
        for line in priced.lines:
            if fees or line.component not in names:
                said = msgspec.structs.replace(
                    line,
                    component=f"{self.names[cell]}: {line.component}" if cell else line.component,
                    exact=(Exact.parse(line.exact) * change).text(),
                    note="; ".join(filter(None, [line.note, raised])),
                )
                lines.setdefault((cell, i, line.component), []).append(said)


def once_of(pricer: Pricer) -> frozenset[str]:
    """Components that an agreement costs once, whoever and however many it serves: flat ones without a measure."""
    components = pricer.tariff.components
    return frozenset(c.name for c in components if isinstance(c, Flat) and c.scope == "charge" and not c.measure)


def _sign(use: Use) -> int:
    """Whether a use takes (1), gives back (−1) or does neither."""
    signs = {(one.num > 0) - (one.num < 0) for one in use.quantities.values()} - {0}
    if len(signs) > 1:
        raise refuse(RefusalCode.BAD_QUANTITY, "a record can not use some and give back some.", field="quantities")
    return signs.pop() if signs else 0


def _line(rows: list[PriceLine], tariff: str) -> PriceLine:
    """One line for all whom a component served."""
    if len(rows) == 1:
        return msgspec.structs.replace(rows[0], tariff=tariff)
    quantity = exact = ZERO
    for row in rows:
        quantity, exact = quantity + Exact.parse(row.quantity), exact + Exact.parse(row.exact)
    first, note = rows[0], f"of {len(rows)} payers"
    return PriceLine(first.component, first.measure, quantity.text(), first.price, exact.text(), note, tariff)


def _summed(some: Sequence[Amounts]) -> Amounts:
    """Charges added up, taxes by name and rate."""
    net, total = some[0][0], some[0][2]
    for more, _, all_of_it in some[1:]:
        net, total = net + more, total + all_of_it
    taxes: dict[tuple[str, str], tuple[Money, Money]] = {}
    for _, named, _ in some:
        for name, rate, base, tax in named:
            before = taxes.get((name, rate))
            taxes[name, rate] = (before[0] + base, before[1] + tax) if before else (base, tax)
    return net, [(*key, *amounts) for key, amounts in taxes.items()], total


def _each_has_own(payers: Sequence[PayerUse], whole: Use, eaten: Sequence[Mapping[str, Exact]], cells: Cells) -> None:
    """Several payers state all that is priced between them: nothing may be left that nobody used.

    Raises:
        Refused: MEASURE_MISSING, BAD_QUANTITY.
    """
    if len(payers) == 1:
        return
    for payer, own in zip(payers, eaten, strict=True):
        if not own:
            raise refuse(
                RefusalCode.MEASURE_MISSING,
                "least cost needs to know what each payer used.",
                field=f"payer.{payer.payer}",
                fix="Give each payer what they used.",
            )
    priced = {c.measure for offer in cells.offers for c in offer.pricer.tariff.components}
    for measure, amount in whole.quantities.items():
        used = sum((own[measure] for own in eaten if measure in own), ZERO)
        if used != amount and (measure in priced or used):
            raise refuse(
                RefusalCode.BAD_QUANTITY,
                f"the payers used {used.text()} of {amount.text()} together.",
                field=measure,
                fix="What each payer used must sum to the record.",
            )
