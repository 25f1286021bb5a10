"""The best plans of a small market by trying everything, with fractions.

Nothing here calls what it checks: tariffs are priced again in a few lines, every combination is added up.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import ceil
from typing import Any, NamedTuple

from apportion.model.agreement import Agreement
from apportion.model.market import Offer, Placement
from apportion.model.profile import Profile
from apportion.model.tariff import Flat, Package, Tariff, Tier, Unit
from tests.properties.bazaar import PROVIDERS, Bazaar

RATING = 3000  # milli-stars of who was never rated
Pair = tuple[str, str]


def priced(tariff: Tariff, used: Mapping[str, Fraction], dest: str = "") -> Fraction | None:
    """Net, with fractions; None where the deck sells nothing."""
    total, blank = Fraction(0), ""
    if tariff.deck is not None:
        fits = [row for row in tariff.deck.rows if dest.startswith(row.key)]
        if not fits:
            return None
        blank = max(fits, key=lambda row: len(row.key)).price
    for one in tariff.components:
        if isinstance(one, Flat):
            total += Fraction(one.price or blank)
            continue
        units = used.get(one.measure, Fraction(0))
        if isinstance(one, Unit):
            total += units * Fraction(one.price or blank) / Fraction(one.per)
        elif isinstance(one, Package):
            total += ceil(units / Fraction(one.size)) * Fraction(one.price)
        else:
            total += _tiers(one.tiers, units)
    return total


def _tiers(tiers: Sequence[Tier], units: Fraction) -> Fraction:
    total, begun = Fraction(0), Fraction(0)
    for tier in tiers:
        end = Fraction(tier.up_to) if tier.up_to else units
        if units > begun:
            total += Fraction(tier.flat) + (min(units, end) - begun) * Fraction(tier.price)
        begun = end
    return total


class Whole(NamedTuple):
    """One combination: who delivers, its sums, and what decides among those that fit."""

    offers: tuple[Offer, ...]
    fee: Fraction
    net: Fraction
    cost: Fraction
    points: int
    rank: int
    placed: int


class Runs(NamedTuple):
    """A session that runs: who delivers what, what is still to come, what was paid of it and kept by the platform."""

    crew: frozenset[Pair]
    left: dict[str, Fraction]
    paid: Fraction
    kept: Fraction
    lost: frozenset[str]


class Best:
    """The best plans of a bazaar, found by trying all that there is; for a session that runs, of what is still due."""

    def __init__(self, given: Bazaar, runs: Runs | None = None) -> None:
        self.given, self.market, self.runs = given, given.service.market, runs
        self.used = {measure: Fraction(text) for measure, text in given.request.quantities.items()}
        if runs is not None:
            self.used = runs.left
        self.dest = given.request.attributes["dest"]
        self.passes = self.market.retail == "passed-on"
        self.factor = 1 + Fraction(self.market.markup) / 100
        own = given.catalog.tariffs["own"]
        self.taxed = 1 + Fraction(own.taxes["vat"]) / 100
        self.own = self.due(own, again=runs is not None)
        paid = given.catalog.placements
        self.paid = {o.id: paid[o.provider] for o in self.offers() if self._pays(o, paid)}

    def _pays(self, offer: Offer, paid: Mapping[str, Placement]) -> bool:
        one = paid.get(offer.provider)
        return one is not None and (not one.parts or offer.part in one.parts)

    def due(self, tariff: Tariff, *, again: bool) -> Fraction | None:
        """A price; without what was due at a beginning, when that was before."""
        price, begun = priced(tariff, self.used, self.dest), priced(tariff, {}, self.dest)
        return price if price is None or begun is None or not again else price - begun

    def goes_on(self, offer: Offer) -> bool:
        return self.runs is not None and (offer.part, offer.provider) in self.runs.crew

    def tariff(self, id: Any) -> Tariff:
        return self.given.catalog.tariffs[id]

    def sums(self, offer: Offer, wholesale: str = "") -> tuple[Fraction, Fraction] | None:
        """Net to payers, and cost, of one offer, at its own price or another's."""
        tariff = wholesale or str(offer.tariff)
        cost = self.due(self.tariff(tariff), again=self.goes_on(offer))
        if cost is None:
            return None
        if not self.passes:
            return Fraction(0), cost
        agreed = self.agreement(offer)
        retail, factor = tariff, self.factor
        if agreed is not None and agreed.tariff:
            retail, factor = agreed.tariff, Fraction(1)
        elif offer.retail:
            retail, factor = str(offer.retail), Fraction(1)
        net = self.due(self.tariff(retail), again=self.runs is not None)
        return None if net is None else (net * factor, cost)

    def agreement(self, offer: Offer) -> Agreement | None:
        mine = [one for one in self.given.catalog.agreements.values() if one.provider == offer.provider]
        return next((one for one in mine if one.part in ("", offer.part)), None)

    def offers(self) -> list[Offer]:
        """All that could be taken by itself."""
        found = list(self.given.catalog.offers.values())
        for part, terms in self.given.service.parts.items():
            found += [Offer(f"call.{part}.{who}", "call", part, who, id) for who, id in terms.wholesale.items()]
        request = self.given.request
        profile = request.profile
        assert isinstance(profile, Profile)
        return [
            one for one in found
            if one.provider not in profile.providers.ignore
            and not (self.runs is not None and one.provider in self.runs.lost)
            and all(self.used[m] <= Fraction(text) for some in (one.capacity, one.most) for m, text in some.items())
            and all(any(self.dest.startswith(p[:-1]) for p in prefixes) for prefixes in one.when.values())
            and not (request.limits.agreements_only and self.agreement(one) is None)
            and self.sums(one) is not None
        ]  # fmt: skip

    def crossing(self, source: Offer, target: Offer) -> Fraction | None:
        a, b = (one.network or f"n-{one.provider}" for one in (source, target))
        if a == b or b in source.reaches:
            return Fraction(0)
        known = {(one.source, one.target): one.fee for one in self.given.catalog.interconnects}
        return Fraction(known[a, b]) if (a, b) in known else None

    def points(self, offer: Offer) -> int:
        weights = self.market.weights
        speed = int(Fraction(100_000, 100 + offer.quality.latency))
        up = max(0, 1000 - ceil((1 - Fraction(offer.quality.availability)) * 100_000))
        total = weights.latency * speed + weights.availability * up + weights.rating * (RATING // 5)
        return total // (weights.latency + weights.availability + weights.rating)

    def rank(self, offer: Offer) -> int:
        profile = self.given.request.profile
        assert isinstance(profile, Profile)
        first, second = profile.providers.order, profile.networks.order
        network = offer.network or f"n-{offer.provider}"
        mine = first.index(offer.provider) if offer.provider in first else len(first)
        return mine * (len(second) + 1) + (second.index(network) if network in second else len(second))

    def wholes(self, given_up: Sequence[str] = ()) -> list[Whole]:
        """Every combination within the limits."""
        names = list(self.given.service.parts)
        by_part = [[one for one in self.offers() if one.part == name] for name in names]
        found = []
        for crew in itertools.product(*by_part):
            found += [whole for whole in self._each(crew) if self._fits(whole, given_up)]
        return found

    def _each(self, crew: tuple[Offer, ...]) -> Iterator[Whole]:
        fees = Fraction(0)
        places = {one.part: one for one in crew}
        for source, target in self.market.links:
            fee = self.crossing(places[source], places[target])
            if fee is None:
                return
            fees += 0 if self.goes_on(places[target]) else fee
        known = {who for _, who in self.runs.crew} if self.runs is not None else set()
        new = {one.provider for one in crew} - known
        fees += sum((Fraction(self.market.terms[who].setup) for who in new), Fraction(0))
        for instead in self._bundles(crew):
            sums = [self.sums(one, instead.get(one.part, "")) for one in crew]
            assert self.own is not None
            net = self.own + sum((one[0] for one in sums if one), Fraction(0))
            net += fees * self.factor if self.passes and self.runs is None else 0
            cost = sum((one[1] for one in sums if one), Fraction(0)) + fees
            yield Whole(
                crew, net * self.taxed, net, cost, sum(map(self.points, crew)), sum(map(self.rank, crew)),
                sum(one.id in self.paid for one in crew),
            )  # fmt: skip

    def _bundles(self, crew: tuple[Offer, ...]) -> Iterator[dict[str, str]]:
        """All ways to take bundles of which no two share a part, none among them."""
        mine = {(one.part, one.provider) for one in crew}
        open_ = [
            bundle.parts for who, terms in self.market.terms.items() for bundle in terms.bundles
            if all((part, who) in mine for part in bundle.parts)
        ]  # fmt: skip
        for count in range(len(open_) + 1):
            for some in itertools.combinations(open_, count):
                parts = [part for one in some for part in one]
                if len(set(parts)) == len(parts):
                    yield {part: id for one in some for part, id in one.items()}

    def _fits(self, whole: Whole, given_up: Sequence[str]) -> bool:
        limits, service = self.given.request.limits, self.given.service
        least = Fraction(self.market.margin) if self.market.margin else Fraction(0) if service.guard else None
        if "margin" in given_up:
            least = Fraction(0) if service.guard else None
        if least is not None and self.runs is not None:
            least -= self.runs.kept
        paid = self.runs.paid if self.runs is not None else 0
        up = Fraction(1)
        for one in whole.offers:
            up *= Fraction(one.quality.availability)
        counts = [sum(one.provider == who for one in whole.offers) for who in PROVIDERS]
        return not (
            ("budget" not in given_up and limits.budget and whole.fee + paid > Fraction(limits.budget))
            or (least is not None and whole.net - whole.cost < least)
            or ("latency" not in given_up and limits.latency
                and sum(one.quality.latency for one in whole.offers) > limits.latency)
            or ("availability" not in given_up and limits.availability and up < Fraction(limits.availability))
            or ("per_provider" not in given_up and limits.per_provider and max(counts) > limits.per_provider)
        )  # fmt: skip

    def scenarios(self) -> tuple[dict[str, Whole], tuple[str, ...]]:
        """The best of each kind, and the limits that were given up; nothing when there is no plan."""
        given_up: tuple[str, ...] = ()
        found = self.wholes()
        for name in self.market.relax:
            if found:
                break
            given_up = (*given_up, name)
            found = self.wholes(given_up)
        return ({name: self.best(name, found, given_up) for name in ("lowest-cost", "best-quality", "best-value")}
                if found else {}), given_up  # fmt: skip

    def best(self, name: str, found: list[Whole], given_up: Sequence[str] = ()) -> Whole:
        """The best of one kind, as it is documented."""
        profile = self.given.request.profile
        assert isinstance(profile, Profile)
        preferring = bool(profile.providers.order or profile.networks.order)
        cheapest = min(found, key=lambda whole: self._aim("lowest-cost", whole, Fraction(0)))
        least = cheapest.fee
        if preferring and profile.premium:
            found = [whole for whole in found if whole.fee <= least * (1 + Fraction(profile.premium) / 100)]

        def order(whole: Whole) -> tuple[Any, ...]:
            return ((whole.rank,) if preferring else ()) + self._aim(name, whole, least)

        base = min(found, key=order)
        if name == "best-quality" or not self.paid:
            return base
        paid = [Fraction(self.paid[one.id].bound) for one in self._reaching(given_up) if one.id in self.paid]
        bound = min(paid, default=Fraction(0))
        within = [whole for whole in found if whole.fee <= base.fee * (1 + bound / 100)]
        more = len(base.offers) + 1

        def placed(whole: Whole) -> tuple[Any, ...]:
            unpaid = len(whole.offers) - whole.placed
            return ((whole.rank * more if preferring else 0) + unpaid, *order(whole)[preferring:])

        tried = min(within, key=placed)
        return tried if tried.placed else base

    def _reaching(self, given_up: Sequence[str]) -> list[Offer]:
        """Offers that keep the limits alone and have a partner over every link, who has one too, and so on."""
        limits = self.given.request.limits
        latency = 0 if "latency" in given_up else limits.latency
        up = Fraction(0 if "availability" in given_up else limits.availability or 0)
        left = [
            one for one in self.offers()
            if (not latency or one.quality.latency <= latency) and Fraction(one.quality.availability) >= up
        ]  # fmt: skip
        while True:
            alone = [
                one for one in left for a, b in self.market.links
                if one.part in (a, b) and all(
                    self.crossing(*((one, other) if one.part == a else (other, one))) is None
                    for other in left if other.part in (a, b) and other.part != one.part
                )
            ]  # fmt: skip
            if not alone:
                return left
            left = [one for one in left if one not in alone]

    def _aim(self, name: str, whole: Whole, least: Fraction) -> tuple[Any, ...]:
        cost = (whole.cost, whole.fee) if self.market.minimise == "wholesale" else (whole.fee, whole.cost)
        if name == "lowest-cost":
            return cost
        if name == "best-quality":
            return (-whole.points, *cost)
        weights, parts = self.market.weights, len(whole.offers)
        return (weights.price * 1000 * parts * whole.fee - weights.quality * least * whole.points, *cost)
