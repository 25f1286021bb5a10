"""Offers that fit, made into the question that choosing answers: integers in one common fraction of the currency."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from apportion.engine.broker.board import Board
from apportion.engine.broker.pricing import Pricing, Quoted, scale_of
from apportion.engine.broker.scenarios import points_of
from apportion.engine.broker.wish import ZERO, Kept
from apportion.errors import Refused
from apportion.model.market import Placement
from apportion.model.profile import Profile
from apportion.money import Exact
from apportion.stages.broker.choosing.question import Bounds, Bundle, Link, Option, Question, Sums

RATED = 5001  # above every rating, so that a place in an order always counts more
Crossings = Mapping[tuple[str, str], Exact]  # by the ids of two offers that fit: the fee of handing over
Amounts = tuple[Exact, Exact, Exact]  # fee, net, cost


class Weighed(msgspec.Struct, frozen=True):
    """A question, and what its numbers stand for: ``scale`` of them are one unit of the currency.

    ``bundled`` are the tariffs by part of each bundle of the question, ``crossings`` the fees of each link.
    """

    question: Question
    quoted: Mapping[str, Quoted]
    scale: int
    bundled: Sequence[Mapping[str, str]]
    crossings: Sequence[Crossings]
    placed: Mapping[str, Placement]
    preferring: bool

    def amount(self, number: int) -> Exact:
        """A number of the question in units of the currency."""
        return Exact(number, self.scale).reduced()


class Weighing(msgspec.Struct, frozen=True):
    """What is known before limits: offers by part that fit and have a price, links with the pairs that fit."""

    parts: Sequence[Sequence[Quoted]]
    links: Sequence[tuple[int, int, Crossings]]
    board: Board
    pricing: Pricing
    ranks: Mapping[str, int]
    placed: Mapping[str, Placement]


def weigh(given: Weighing, kept: Kept, profile: Profile) -> Weighed:
    """The question. Amounts become whole numbers by their least common denominator, so that nothing is rounded."""
    pricing = given.pricing
    names = list(pricing.wish.service.service.parts)
    parts = [names.index(options[0].offer.part) for options in given.parts]
    setups = _setups(given)
    bundles = list(_bundles(given, [names[place] for place in parts]))
    known = {q.offer.id: q.offer for part in given.parts for q in part}
    crossings = [
        {pair: pricing.crossing(fee, known[pair[1]]) for pair, fee in pairs.items()} for _, _, pairs in given.links
    ]
    own_net, own_fee = pricing.own()
    drawn = Exact(pricing.wish.drawn, pricing.wish.service.asset.unit)  # paid for when the allowance was bought
    everything: list[Exact] = [own_net, own_fee, drawn]
    everything += [x for part in given.parts for q in part for x in (q.fee, q.net, q.cost)]
    everything += [x for amounts in setups.values() for x in amounts]
    everything += [x for _, _, _, amounts in bundles for x in amounts]
    everything += [x for pairs in crossings for amounts in pairs.values() for x in amounts]
    scale = scale_of(everything)

    def whole(amounts: Amounts) -> Sums:
        return Sums(*(x.num * scale // x.den for x in amounts))

    preferring = bool(
        profile.providers.order or profile.networks.order or profile.highest_rated
    )  # those to ignore and those alone are settled by matching
    question = Question(
        tuple(tuple(_option(q, given, whole, profile) for q in part) for part in given.parts),
        whole((own_fee, own_net + drawn, ZERO)),
        {provider: whole(amounts) for provider, amounts in setups.items()},
        tuple(Bundle(provider, places, whole(saves)) for provider, places, _, saves in bundles),
        tuple(
            Link(source, target, {pair: whole(amounts) for pair, amounts in pairs.items()})
            for (source, target, _), pairs in zip(given.links, crossings, strict=True)
        ),
        _bounds(kept, scale, pricing),
    )  # fmt: skip
    return Weighed(
        question, {q.offer.id: q for part in given.parts for q in part}, scale,
        [tariffs for _, _, tariffs, _ in bundles], [pairs for _, _, pairs in given.links], given.placed, preferring,
    )  # fmt: skip


def _option(quoted: Quoted, given: Weighing, whole: Callable[[Amounts], Sums], profile: Profile) -> Option:
    offer, board = quoted.offer, given.board
    availability = Exact.parse(offer.quality.availability).reduced()
    rating = board.rating("provider", offer.provider)
    points = points_of(offer.quality, rating, given.pricing.market.weights)
    rank = given.ranks.get(offer.id, 0)
    if profile.highest_rated:
        name = offer.network if profile.highest_rated == "network" else offer.provider
        rank = rank * RATED * 100 + RATED - 1 - board.rating(profile.highest_rated, name)
    sums = whole((quoted.fee, quoted.net, quoted.cost))
    return Option(
        offer.id, offer.provider, offer.network, sums.fee, sums.net, sums.cost, points, rank, offer.quality.latency,
        (availability.num, availability.den),
    )  # fmt: skip


def _both(pricing: Pricing, cost: Exact) -> Amounts:
    net, fee = pricing.passed_on(cost)
    return fee, net, cost


def _setups(given: Weighing) -> dict[str, Amounts]:
    """The set-up fee of every provider that asks one."""
    found: dict[str, Amounts] = {}
    for provider in {quoted.offer.provider for part in given.parts for quoted in part}:
        text = given.pricing.terms_of(provider, given.board.setups).setup
        amount = Exact.parse(text)
        if amount:
            found[provider] = _both(given.pricing, amount)
    return found


Bundled = tuple[str, tuple[int, ...], Mapping[str, str], Amounts]


def _bundles(given: Weighing, parts: Sequence[str]) -> list[Bundled]:
    """What each bundle saves. It counts only where its provider has one offer of each of its parts that fits."""
    pricing, found = given.pricing, list[Bundled]()
    mine: dict[tuple[str, str], list[Quoted]] = {}
    for part, options in zip(parts, given.parts, strict=True):
        for quoted in options:
            mine.setdefault((quoted.offer.provider, part), []).append(quoted)
    for provider, terms in pricing.market.terms.items():
        for bundle in terms.bundles:
            offers = [mine.get((provider, part), []) for part in bundle.parts]
            if any(len(one) != 1 for one in offers):
                continue
            try:
                saves = _saved(pricing, [one[0] for one in offers], list(bundle.parts.values()))
            except Refused:  # the bundle has no price for this request
                continue
            places = tuple(parts.index(part) for part in bundle.parts)
            found.append((provider, places, bundle.parts, saves))
    return found


def _saved(pricing: Pricing, offers: Sequence[Quoted], tariffs: Sequence[str]) -> Amounts:
    fee = net = cost = ZERO
    for quoted, tariff in zip(offers, tariffs, strict=True):
        instead = pricing.quote(msgspec.structs.replace(quoted.offer, tariff=tariff))
        if not isinstance(instead, Quoted):
            raise Refused(instead)
        fee, net, cost = (
            fee + quoted.fee - instead.fee,
            net + quoted.net - instead.net,
            cost + quoted.cost - instead.cost,
        )
    return fee, net, cost


def _bounds(kept: Kept, scale: int, pricing: Pricing) -> Bounds:
    unit = pricing.wish.service.asset.unit

    def most(atoms: int | None) -> int | None:
        return None if atoms is None else (Exact(atoms, unit) * Exact(scale)).floor()

    margin = None if kept.margin is None else (Exact(kept.margin, unit) * Exact(scale)).ceil()
    availability = None
    if kept.availability is not None:
        least = kept.availability.reduced()
        availability = (least.num, least.den)
    return Bounds(most(kept.budget), margin, kept.latency, availability, kept.per_provider)
