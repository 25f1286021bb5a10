"""A choice as terms to charge by: the tariffs of its parts, the retail tariff, what the request comes to by them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from apportion.engine.broker.pricing import CROSSING, SETUP, Pricing, Quoted, compiled
from apportion.engine.broker.scenarios import Found
from apportion.engine.broker.weighing import Weighed
from apportion.engine.broker.wish import ZERO
from apportion.model.plan import PlanPart, PlanShare, Scenario
from apportion.model.tariff import Tariff
from apportion.money import Exact
from apportion.money.exact import decimal_text
from apportion.stages.broker.choosing.question import Choice
from apportion.stages.rate import Pricer, allocate_fee, by_wholesale, charge_amounts

Fees = dict[str, Exact]
replace = msgspec.structs.replace


def as_scenario(found: Found, number: int, plan: str, weighed: Weighed, pricing: Pricing, setups: Mapping[str, str],
                bids: Mapping[str, str], ratings: Mapping[str, int]) -> Scenario:  # fmt: skip
    """The scenario that a choice is: everything in it is computed again by the very tariffs that will be charged."""
    choice, asset = found.choice, pricing.wish.service.asset
    quoted, fees = _crew(choice, weighed, pricing, setups)
    stem = f"{plan}.{number}"
    retail = pricing.retail_of(f"{stem}.retail", list(zip(quoted, fees, strict=True)))
    wholesale = [
        pricing.wholesale(f"{stem}.{one.offer.part}", one.tariff, more) for one, more in zip(quoted, fees, strict=True)
    ]
    net, tax, total = _charged(retail, pricing)
    dues = [_due(_compiled(tariff), one, pricing) for one, tariff in zip(quoted, wholesale, strict=True)]
    order = sorted(range(len(quoted)), key=lambda at: (quoted[at].offer.provider, quoted[at].offer.part))
    ranks = [order.index(at) for at in range(len(order))] + [len(order)]
    split = by_wholesale(net, [Exact(due.num * asset.unit, due.den) for due in dues], ranks)
    parts = tuple(
        _part(one, tariff, asset_text, more, found, weighed, bids, ratings, pricing)
        for one, tariff, asset_text, more in zip(
            quoted, wholesale, (decimal_text(atoms, asset.scale) for atoms in split.portions), fees, strict=True
        )
    )
    cost = sum(split.portions)

    def text(atoms: int) -> str:
        return decimal_text(atoms, asset.scale)

    return Scenario(
        found.name, text(total), text(net), text(tax), text(cost), text(net - cost), retail, parts,
        _shares(total, pricing), choice.latency, Exact(*choice.availability).text(), choice.points // len(parts),
        weighed.amount(found.dearer).text(), weighed.amount(found.placed).text(), choice.proven,
    )  # fmt: skip


def alike(one: Found, other: Found) -> bool:
    """Whether two choices are the same plan but for their names, so that one needs no pricing of its own."""
    mine, its = one.choice, other.choice
    same = (mine.places, mine.bundles, mine.proven) == (its.places, its.bundles, its.proven)
    return same and (one.by_placement, one.dearer, one.placed) == (other.by_placement, other.dearer, other.placed)


def once_more(line: Scenario, found: Found, number: int, plan: str) -> Scenario:
    """The scenario of a choice that is alike; its tariffs have names of their own."""
    stem = f"{plan}.{number}"
    parts = tuple(replace(part, tariff=replace(part.tariff, id=f"{stem}.{part.part}")) for part in line.parts)
    return replace(line, name=found.name, retail=replace(line.retail, id=f"{stem}.retail"), parts=parts)


def _compiled(tariff: Tariff) -> Pricer:
    """A tariff of a plan, compiled: the same prices come again under other names, so it is kept without its own."""
    return compiled(msgspec.json.encode(replace(tariff, id="")))


def _crew(
    choice: Choice, weighed: Weighed, pricing: Pricing, setups: Mapping[str, str]
) -> tuple[list[Quoted], list[Fees]]:
    """The offers of a choice as they are priced in it, and the fees that each provider earns besides."""
    question = weighed.question
    options = [part[place] for part, place in zip(question.options, choice.places, strict=True)]
    quoted = [weighed.quoted[option.id] for option in options]
    for taken in choice.bundles:
        provider, tariffs = question.bundles[taken].provider, weighed.bundled[taken]
        for at, one in enumerate(quoted):
            if one.offer.provider == provider and one.offer.part in tariffs:
                instead = pricing.quote(replace(one.offer, tariff=tariffs[one.offer.part]))
                assert isinstance(instead, Quoted), "it had a price when it was weighed"
                quoted[at] = instead
    fees: list[Fees] = [{} for _ in quoted]
    seen: set[str] = set()
    for at, one in enumerate(quoted):
        provider = one.offer.provider
        setup = Exact.parse(pricing.terms_of(provider, setups).setup)
        if setup and provider not in seen:
            fees[at][SETUP] = setup
        seen.add(provider)
    for link, pairs in zip(question.links, weighed.crossings, strict=True):
        fee = pairs[options[link.source].id, options[link.target].id]
        if fee:
            mine = fees[link.target]
            mine[CROSSING] = mine.get(CROSSING, ZERO) + fee
    return quoted, fees


def _charged(retail: Tariff, pricing: Pricing) -> tuple[int, int, int]:
    """Net, tax and total of the request in atoms, rounded as a charge."""
    wish = pricing.wish
    if wish.rest is None:
        return 0, 0, 0
    net = total = 0
    for sign, use in pricing.signed(wish.rest):
        money, _, whole = charge_amounts(_compiled(retail).price(use), wish.service.asset, retail.rounding)
        net, total = net + sign * money.atoms, total + sign * whole.atoms
    return net, total - net, total


def _due(pricer: Pricer, one: Quoted, pricing: Pricing) -> Exact:
    """What a provider earns by the tariff of its part; what is due at a beginning is not due again."""
    exact = pricer.price(pricing.wish.use).exact
    return exact - pricer.price(pricing.nothing).exact if pricing.goes_on(one.offer) else exact


def _part(one: Quoted, tariff: Tariff, cost: str, fees: Fees, found: Found, weighed: Weighed, bids: Mapping[str, str],
          ratings: Mapping[str, int], pricing: Pricing) -> PlanPart:  # fmt: skip
    offer = one.offer
    fee = one.fee
    for amount in fees.values():
        fee += pricing.passed_on(amount)[1]
    placement = weighed.placed.get(offer.id) if found.by_placement else None
    needs = {m: pricing.wish.use.quantities[m].text() for m in offer.capacity if pricing.wish.use.quantities.get(m)}
    return PlanPart(
        offer.part, offer.provider, offer.network, offer.id, tariff, cost, fee.text() if pricing.passes else "",
        offer.quality, decimal_text(ratings.get(offer.provider, 0), 3), one.agreement, bids.get(offer.id, ""),
        placement is not None, placement.id if placement is not None else "", needs, pricing.goes_on(offer),
    )  # fmt: skip


def _shares(total: int, pricing: Pricing) -> tuple[PlanShare, ...]:
    """What each payer would bear, by its place; nothing where that depends on what each of them will use."""
    request, service = pricing.wish.request, pricing.wish.service
    pays = [payer.pays and payer.payer not in service.exempt for payer in request.payers]
    if service.service.allocate not in ("equal", "shares") or not any(pays):
        return ()
    weights = [
        Exact.parse(payer.weight, field="payers") if payer.weight and service.service.allocate == "shares" else Exact(1)
        for payer in request.payers
    ]
    names = sorted(payer.payer for payer in request.payers)
    ranks = [names.index(payer.payer) for payer in request.payers]
    found = allocate_fee(total, weights, pays, ranks).shares
    scale = service.asset.scale
    return tuple(PlanShare(str(at), decimal_text(atoms, scale)) for at, atoms in enumerate(found) if atoms is not None)
