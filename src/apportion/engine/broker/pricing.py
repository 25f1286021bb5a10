"""What each offer comes to for one request: what its provider would earn, and what payers would pay for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import msgspec

from apportion.engine.broker.running import Running
from apportion.engine.broker.wish import ONE, ZERO, Wish
from apportion.errors import Refusal, RefusalCode, Refused
from apportion.model.agreement import Agreement
from apportion.model.market import Offer, ProviderTerms
from apportion.model.tariff import Tariff, Use
from apportion.money import Asset, Exact, quantize
from apportion.money.asset import minor_digits
from apportion.money.exact import decimal_text
from apportion.stages.rate import Passed, Pricer, compile_tariff, composed, settled

HUNDRED = Exact(100)
SETUP, CROSSING = "set-up", "interconnect"


class Quoted(msgspec.Struct, frozen=True, gc=False):
    """An offer priced for a request, exact, in whole units of the currency.

    ``tariff`` is what the provider earns, ``passed`` what payers pay (times ``factor``; None: one price is for the
    whole); ``fee`` is ``net`` with tax. ``agreement`` is the one that gave the offer its price, or just its place.
    """

    offer: Offer
    tariff: Pricer
    cost: Exact
    passed: Pricer | None = None
    factor: Exact = ONE
    net: Exact = ZERO
    fee: Exact = ZERO
    agreement: str = ""


class Pricing:
    """Prices offers for one wish; for a session that is ``running``, what is still due of them in it."""

    def __init__(self, wish: Wish, running: Running | None = None) -> None:
        self.wish, self.running = wish, running
        use = wish.use
        self.nothing = Use(use.start, use.end, dict.fromkeys(use.quantities, ZERO), use.attributes)
        service = wish.service.service
        self.market = service.market
        self.passes = self.market.retail == "passed-on"
        self.retail = wish.service.retail_at(wish.payers[0], wish.start)
        self.markup = ONE + Exact.parse(self.market.markup).over(HUNDRED)
        rate = self.retail.rates.get(self.retail.tariff.tax, ZERO)
        self.taxed = ONE if self.retail.tax_included else ONE + rate.over(HUNDRED)
        self.agreements = self._agreements()
        self._settled: dict[tuple[Pricer, Use], Pricer] = {}

    def _agreements(self) -> dict[tuple[str, str], Agreement]:
        """By provider and part (empty: any) the agreement that a payer has with it, the first payer's first."""
        wish, found = self.wish, dict[tuple[str, str], Agreement]()
        order = {name: place for place, name in enumerate(wish.payers)}
        mine = [
            one for one in wish.terms.catalog.agreements.values()
            if one.service == wish.request.service and one.provider and one.payer in order and in_force(one, wish)
        ]  # fmt: skip
        for one in sorted(mine, key=lambda one: (order[one.payer], one.id)):
            found.setdefault((one.provider, one.part), one)
        return found

    def agreement(self, offer: Offer) -> Agreement | None:
        """The agreement between a payer and an offer's provider for its part, if there is one."""
        named = self.agreements.get((offer.provider, offer.part))
        return named if named is not None else self.agreements.get((offer.provider, ""))

    def quote(self, offer: Offer) -> Quoted | Refusal:
        """An offer's price, or why it has none."""
        wish, agreed = self.wish, self.agreement(offer)
        named = agreed.id if agreed is not None else ""
        try:
            tariff = self.pricer(offer.tariff)
            cost = self._due(tariff, wish.use, again=self.goes_on(offer))
            if cost < ZERO:
                return Refusal(RefusalCode.NO_PRICE, "its price is below zero.", "tariff")
            if not self.passes:
                return Quoted(offer, tariff, cost, agreement=named)
            passed, factor = tariff, self.markup
            if agreed is not None and agreed.tariff:
                passed, factor = self.pricer(agreed.tariff), ONE
            elif offer.retail:
                passed, factor = self.pricer(offer.retail), ONE
            again = self.running is not None
            net = self._due(passed, wish.rest, again=again) * factor if wish.rest is not None else ZERO
            return Quoted(offer, tariff, cost, passed, factor, net, net * self.taxed, named)
        except Refused as refused:
            return refused.refusal

    def goes_on(self, offer: Offer) -> bool:
        """Whether its provider delivers its part already, in the session that is to be taken over."""
        return self.running is not None and (offer.part, offer.provider) in self.running.crew

    def _due(self, pricer: Pricer, use: Use, *, again: bool) -> Exact:
        """A price; without what is due at a beginning, if that was due before."""
        exact = pricer.price(use).exact
        return exact - pricer.price(self.nothing).exact if again else exact

    def crossing(self, fee: Exact, target: Offer) -> tuple[Exact, Exact, Exact]:
        """What it comes to that a network hands over to ``target``'s: fee, net and cost."""
        net, taxed = self.passed_on(fee)
        return taxed, net, ZERO if self.goes_on(target) else fee

    def pricer(self, tariff: str | Tariff) -> Pricer:
        """A tariff that is named or given whole, compiled."""
        return self.wish.terms.pricer(tariff) if isinstance(tariff, str) else compiled(msgspec.json.encode(tariff))

    def passed_on(self, amount: Exact) -> tuple[Exact, Exact]:
        """What payers pay for a fee that a provider earns: net, and with tax; nothing once their service runs."""
        due = self.passes and self.wish.rest is not None and self.running is None
        net = amount * self.markup if due else ZERO
        return net, net * self.taxed

    def own(self) -> tuple[Exact, Exact]:
        """What payers pay for the service itself, whoever delivers: net, and with tax."""
        if self.wish.rest is None:
            return ZERO, ZERO
        net = taxes = ZERO
        for sign, use in self.signed(self.wish.rest):
            priced = self.retail.price(use)
            net += priced.exact * Exact(sign)
            taxes += sum((tax.amount for tax in priced.taxes), ZERO) * Exact(sign)
        return net, net + taxes

    def signed(self, use: Use) -> list[tuple[int, Use]]:
        """What payers pay for is one price, less that of nothing when their service runs already."""
        return [(1, use)] if self.running is None else [(1, use), (-1, self.nothing)]

    def terms_of(self, provider: str, setups: Mapping[str, str]) -> ProviderTerms:
        """What a provider asks of a plan as a whole; a bid's own set-up fee goes before the catalog's."""
        found = self.market.terms.get(provider, ProviderTerms())
        if self.running is not None and provider in self.running.providers:
            return msgspec.structs.replace(found, setup="0")  # it was set up before
        return msgspec.structs.replace(found, setup=setups[provider]) if provider in setups else found

    # the terms of a plan

    def wholesale(self, id: str, tariff: Pricer, fees: Mapping[str, Exact]) -> Tariff:
        """What a provider earns by a plan."""
        return settled(tariff, self.wish.use, id, fees)

    def retail_of(self, id: str, parts: Sequence[tuple[Quoted, Mapping[str, Exact]]]) -> Tariff:
        """What payers are charged by: the service's own tariff, and the parts that are passed on."""
        own = settled(self.retail, self.wish.use, id)
        if not self.passes:
            return own
        passed = [
            Passed(
                quoted.offer.part, settled(quoted.passed, self.wish.use, ""), quoted.factor, _over(fees, quoted, self)
            )
            for quoted, fees in parts
            if quoted.passed is not None
        ]
        return composed(own, passed, id)


def _over(fees: Mapping[str, Exact], quoted: Quoted, pricing: Pricing) -> dict[str, Exact]:
    """Fees such that times the part's factor they come to what is passed on of them."""
    return {name: (amount * pricing.markup).over(quoted.factor) for name, amount in fees.items()}


def in_force(agreement: Agreement, wish: Wish) -> bool:
    """Whether an agreement holds when the use starts."""
    after = agreement.valid_from is None or agreement.valid_from <= wish.start
    return after and (agreement.valid_until is None or wish.start < agreement.valid_until)


@lru_cache(maxsize=4096)
def compiled(tariff: bytes) -> Pricer:
    """A tariff that an offer carries with it; offers repeat, so it is kept."""
    return compile_tariff(msgspec.json.decode(tariff, type=Tariff))


def amount_text(amount: Exact, asset: Asset) -> str:
    """An amount for people: rounded as a charge would be, and no longer than it must be."""
    whole, _, part = decimal_text(quantize(amount, asset).atoms, asset.scale).partition(".")
    part = part.rstrip("0").ljust(minor_digits(asset.code) or 0, "0")
    return f"{whole}.{part}" if part else whole


def scale_of(amounts: Iterable[Exact]) -> int:
    """The least number that makes all of these whole when they are multiplied by it."""
    return math.lcm(*{amount.reduced().den for amount in amounts}, 1)
