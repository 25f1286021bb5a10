"""What of the board can serve a request, with its price, and why the rest can not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from apportion.engine.broker.board import Board
from apportion.engine.broker.pricing import Pricing, Quoted
from apportion.engine.broker.wish import Kept, Wish
from apportion.errors import Refusal, RefusalCode
from apportion.model.agreement import Agreement, Targets
from apportion.model.market import Offer, Quality
from apportion.model.market_check import uncomposable
from apportion.model.session_check import unfit as unchargeable
from apportion.money import Exact
from apportion.stages.broker.match import Matched, Off, Placed, Wanted, match, rank_of, unmet_by

Crossings = Mapping[tuple[str, str], Exact]


class Judged(msgspec.Struct, frozen=True):
    """Offers by part that fit, priced; all offers with the verdict of matching; links by places of parts.

    ``quotes`` are prices by offer, also of those that do not fit for something else than their conditions. ``ranks``
    are how far each that fits is from what is preferred.
    """

    parts: Sequence[Sequence[Quoted]]
    offers: Sequence[Offer]
    matched: Matched
    quotes: Mapping[str, Quoted]
    ranks: Mapping[str, int]
    links: Sequence[tuple[int, int, Crossings]]


def sift(wish: Wish, kept: Kept, board: Board, pricing: Pricing, parts: tuple[str, ...]) -> Judged:
    """Judge every offer on the board for these parts within limits that each must keep alone."""
    offers = [promised(one, pricing.agreement(one)) for one in board.offers if one.part in parts]
    quotes, placed = dict[str, Quoted](), list[Placed]()
    for offer in offers:
        # whoever does not serve this has no price for it either, and is many: others of a market sell other things
        quoted = pricing.quote(offer) if unmet_by(wish.request.attributes, offer) is None else None
        if isinstance(quoted, Quoted):
            quotes[offer.id] = quoted
        placed.append(_placed(offer, quoted, wish, board, pricing))
    matched = match(_wanted(wish, kept, parts), placed)
    fits = [[quotes[offers[place].id] for place in part] for part in matched.fits]
    links = [
        (joint.source, joint.target, {(offers[a].id, offers[b].id): crossing.fee for a, b, crossing in joint.pairs()})
        for joint in matched.joints
    ]
    ranks = {
        one.offer.id: rank_of(wish.profile, one.offer.provider, one.offer.network) for part in fits for one in part
    }
    return Judged(fits, offers, matched, quotes, ranks, links)


def promised(offer: Offer, agreement: Agreement | None) -> Offer:
    """An offer with the service level that its provider agreed on with a payer, where that is better than it says."""
    if agreement is None or agreement.targets == Targets():
        return offer
    said, targets = offer.quality, agreement.targets
    availability = targets.availability or "0"
    better = {
        "latency": min(said.latency, targets.latency) if targets.latency else said.latency,
        "availability": max(said.availability, availability, key=Exact.parse),
        "throughput": max(said.throughput, targets.throughput, key=Exact.parse)
        if said.throughput and targets.throughput
        else said.throughput,
    }
    return msgspec.structs.replace(offer, quality=Quality(**better))  # type: ignore[arg-type]


def _placed(offer: Offer, quoted: Quoted | Refusal | None, wish: Wish, board: Board, pricing: Pricing) -> Placed:
    off = board.off.get(offer.provider)
    mark = off.off(board.at) if off is not None else None
    unfit, currency = "", ""
    if isinstance(quoted, Refusal):
        unfit = _unpriced(quoted)
    elif quoted is not None:
        currency = quoted.tariff.tariff.currency.partition("/")[0]
        unfit = _unfit(quoted, pricing)
    return Placed(
        offer, board.taken.get(offer.id, {}), Off(mark.reason, mark.until) if mark is not None else None,
        board.approved is None or offer.provider in board.approved, pricing.agreement(offer) is not None, currency,
        unfit,
    )  # fmt: skip


def _unpriced(refusal: Refusal) -> str:
    """Why an offer has no price; a refusal of an attribute tells its value, which may be personal."""
    part, _, name = refusal.field.partition(".")
    if refusal.code is RefusalCode.NO_PRICE and part == "attributes":
        return f"it has no price for this {name!r}"
    return refusal.message or refusal.code.value


def _unfit(quoted: Quoted, pricing: Pricing) -> str:
    """Why a price can not be charged as the service sells; empty when it can."""
    why = unchargeable(quoted.tariff.tariff)
    if why:
        return f"{why}, so it can not be charged while it runs"
    return uncomposable(quoted.passed.tariff, pricing.retail.tariff) if quoted.passed is not None else ""


def _wanted(wish: Wish, kept: Kept, parts: tuple[str, ...]) -> Wanted:
    request, market = wish.request, wish.service.service.market
    return Wanted(
        parts, wish.start, wish.service.asset.code,
        {measure: quantity for measure, quantity in wish.use.quantities.items() if quantity}, request.attributes,
        frozenset(request.without), wish.profile, kept.latency or 0, kept.availability, kept.throughput,
        market.approval, kept.agreements_only, market.links, wish.terms.catalog.interconnects, request.service,
    )  # fmt: skip
