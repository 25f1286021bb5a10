"""Everybody who could have delivered: what each would have cost, and what kept it from being taken (X3, P9)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from apportion.engine.broker.bidding import Heard
from apportion.engine.broker.pricing import Pricing, Quoted, amount_text
from apportion.engine.broker.scenarios import points_of
from apportion.engine.broker.sifting import Judged
from apportion.engine.broker.weighing import Weighed
from apportion.model.market import Offer
from apportion.model.plan import Candidate, Candidates, Scenario
from apportion.model.request import Request
from apportion.model.usage import PayerUse
from apportion.money import Exact, quantize
from apportion.money.exact import decimal_text


def candidates_of(
    plan: str, judged: Judged, weighed: Weighed, lines: Sequence[Scenario], pricing: Pricing, heard: Heard
) -> Candidates:
    """All offers that were looked at, those that fit first, the cheapest first among them."""
    taken: dict[str, list[str]] = {}
    for line in lines:
        for part in line.parts:
            taken.setdefault(part.offer, []).append(line.name)
    found = sorted(_each(judged, weighed, taken, pricing, heard), key=lambda pair: pair[0])
    return Candidates(
        plan, tuple(one for _, one in found), tuple(msgspec.json.encode(good.signed).decode() for good in heard.bids),
        heard.asked, len(heard.bids), _asked(pricing),
    )  # fmt: skip


def _asked(pricing: Pricing) -> Request:
    """The request as it may be kept: nobody's name, and nothing personal."""
    request, personal = pricing.wish.request, pricing.wish.service.personal
    public = {name: value for name, value in request.attributes.items() if name not in personal}
    without = request.without if pricing.running is None else pricing.running.without
    return msgspec.structs.replace(
        request,
        payers=(PayerUse("somebody"),),
        attributes=public,
        approve=(),
        compare=False,
        without=without,
    )


Order = tuple[int, bool, Exact, str]


def _each(
    judged: Judged, weighed: Weighed, taken: dict[str, list[str]], pricing: Pricing, heard: Heard
) -> Iterator[tuple[Order, Candidate]]:
    outs = {out.place: out for out in judged.matched.outs}
    names = list(pricing.wish.service.service.parts)
    cheapest: dict[str, Exact] = {}
    for fits in judged.parts:
        for quoted in fits:
            known = cheapest.get(quoted.offer.part)
            least = _weight(quoted, pricing)
            cheapest[quoted.offer.part] = least if known is None else min(known, least)
    for place, offer in enumerate(judged.offers):
        price, out = judged.quotes.get(offer.id), outs.get(place)
        mine = tuple(taken.get(offer.id, ()))
        why = "" if mine else out.why if out is not None else _dearer(price, cheapest, pricing)
        order = names.index(offer.part), out is not None, _weight(price, pricing) if price else Exact(0), offer.id
        yield (
            order,
            _candidate(offer, price, pricing, heard, mine, (out.word if out is not None else "", why), weighed),
        )


def _weight(quoted: Quoted, pricing: Pricing) -> Exact:
    return quoted.fee if pricing.passes else quoted.cost


def _dearer(quoted: Quoted | None, cheapest: dict[str, Exact], pricing: Pricing) -> str:
    """Why an offer that fits was not taken, in a sentence."""
    if quoted is None:
        return ""
    more = _weight(quoted, pricing) - cheapest[quoted.offer.part]
    if not pricing.passes:
        return "It fits; another combination is better."
    if not more:
        return "It costs payers no more for this part; another combination is better as a whole."
    asset = pricing.wish.service.asset
    return f"It costs payers {amount_text(more, asset)} {asset.code} more for this part than the cheapest."


def _text(amount: Exact, pricing: Pricing) -> str:
    asset = pricing.wish.service.asset
    return decimal_text(quantize(amount, asset).atoms, asset.scale)


def _candidate(offer: Offer, quoted: Quoted | None, pricing: Pricing, heard: Heard, taken: tuple[str, ...],
               out: tuple[str, str], weighed: Weighed) -> Candidate:  # fmt: skip
    rating = heard.board.rating("provider", offer.provider)
    points = points_of(offer.quality, rating, pricing.market.weights)
    cost = fee = agreement = ""
    if quoted is not None:
        cost, agreement = _text(quoted.cost, pricing), quoted.agreement
        fee = _text(quoted.fee, pricing) if pricing.passes else ""
    return Candidate(
        offer.part, offer.id, offer.provider, offer.network, cost, fee, offer.quality.latency,
        offer.quality.availability, points, decimal_text(rating, 3), agreement, offer.id in weighed.placed, taken,
        out[0], out[1],
    )  # fmt: skip
