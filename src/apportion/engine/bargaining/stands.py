"""What each offer is worth in a negotiation: every one is valued as the whole plan that it would make.

What is negotiated with a provider is the net price that it earns for its part. What is compared, and held against a
limit, is what payers would pay for all parts, tax included, in atoms: this offer together with the cheapest offers of
the others. What the service itself costs is the same for all and is taken off the limit instead. Set-up fees count with
each part, so the value is never too low by them; fees between networks count only when the plan is made, whose total
is checked again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from apportion.engine.broker.board import Board
from apportion.engine.broker.pricing import Pricing, Quoted
from apportion.engine.broker.scenarios import quality_points
from apportion.engine.broker.sifting import Judged, sift
from apportion.engine.broker.wish import Wish
from apportion.errors import RefusalCode, refuse
from apportion.model.negotiation import POINTS, Brief, Negotiation, Proposal, Side
from apportion.money import Exact
from apportion.money.exact import ZERO
from apportion.stages.broker.bargaining.mandate import needed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: how many standing offers for a part are compared with those that are bargained about, by price and by quality
FEW = 20
replace = msgspec.structs.replace


class Stand(msgspec.Struct, frozen=True):
    """An offer that fits, as one side: its exact ``fee`` to payers (with ``setup``), the fees of the ``others``.

    ``terms`` are what the rules of negotiation compare. Only one that is ``open`` can be bargained about: it is a
    node's bid, and what payers pay for it follows what its provider earns.
    """

    name: str
    quoted: Quoted
    fee: Exact
    setup: Exact
    others: Exact
    terms: Proposal
    open: bool

    def amount_of(self, price: Exact, unit: int) -> int:
        """What the whole would come to, in atoms, if its provider earned ``price``."""
        fee = self.quoted.fee * price.over(self.quoted.cost)
        return ((self.others + self.setup + fee) * Exact(unit)).ceil()

    def price_of(self, amount: int, unit: int) -> int:
        """What its provider may earn, in atoms, so that the whole comes to ``amount`` at most; 0 at least."""
        fee = Exact(amount, unit) - self.others - self.setup
        price = self.quoted.cost * fee.over(self.quoted.fee) * Exact(unit)
        return max(0, price.floor())


class Stands(msgspec.Struct, frozen=True):
    """All offers that fit now, the cheapest of each provider for each part, by name; and what was judged.

    ``good`` are the ids of all that give what is needed, also of those that are not the cheapest.
    """

    found: dict[str, Stand]
    good: frozenset[str]
    judged: Judged
    pricing: Pricing
    parts: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Parts that nobody offers."""
        offered = {stand.quoted.offer.part for stand in self.found.values()}
        return tuple(part for part in self.parts if part not in offered)


def stands_of(wish: Wish, board: Board, parts: tuple[str, ...], brief: Brief | None = None) -> Stands:
    """Judge and value all that is on the board; only what gives what a ``brief`` openly needs, if there is one."""
    pricing = Pricing(wish)
    judged = sift(wish, wish.kept, board, pricing, parts)
    cheapest: dict[tuple[str, str], tuple[Exact, Exact, Quoted]] = {}
    good = set[str]()
    for fits in judged.parts:
        for quoted in fits:
            offer = quoted.offer
            if brief is not None and not needed(brief, _terms(quoted, ZERO, board, wish)):
                continue
            good.add(offer.id)
            setup = pricing.passed_on(Exact.parse(pricing.terms_of(offer.provider, board.setups).setup))[1]
            before = cheapest.get((offer.part, offer.provider))
            if before is None or quoted.fee + setup < before[0]:
                cheapest[offer.part, offer.provider] = quoted.fee + setup, setup, quoted
    least: dict[str, Exact] = {}
    at = millis(board.at)
    for (part, _), (fee, _, quoted) in sorted(cheapest.items(), key=lambda item: not _stands(item[1][2], at)):
        if part not in least or _stands(quoted, at):  # what ran out counts only where there is nothing else
            least[part] = min(fee, least.get(part, fee))
    whole = sum(least.values(), ZERO)
    found: dict[str, Stand] = {}
    for (part, provider), (fee, setup, quoted) in cheapest.items():
        name = provider if len(parts) == 1 else f"{provider} ({part})"
        others = whole - least[part]
        terms = _terms(quoted, others + fee, board, wish)
        bound = quoted.offer.id not in board.bids or not quoted.cost.num or not quoted.fee.num
        bound = bound or quoted.passed is not quoted.tariff
        found[name] = Stand(name, quoted, fee, setup, others, terms, not bound)
    return Stands(_few(found), frozenset(good), judged, pricing, parts)


def _few(found: dict[str, Stand]) -> dict[str, Stand]:
    """All who bargain, and of the many others for each part the cheapest and the best."""
    kept, settled = set[str](), dict[str, list[Stand]]()
    for stand in found.values():
        if stand.open:
            kept.add(stand.name)
        else:
            settled.setdefault(stand.quoted.offer.part, []).append(stand)
    for some in settled.values():
        kept |= {one.name for one in sorted(some, key=lambda one: one.terms.amount)[:FEW]}
        kept |= {one.name for one in sorted(some, key=lambda one: (-one.terms.quality, one.terms.amount))[:FEW]}
    return {name: stand for name, stand in found.items() if name in kept}


def _stands(quoted: Quoted, at: int) -> bool:
    """Whether an offer has not run out."""
    return not quoted.offer.valid_until or at < millis(quoted.offer.valid_until)


def _terms(quoted: Quoted, whole: Exact, board: Board, wish: Wish) -> Proposal:
    """An offer as the rules see it."""
    offer, unit = quoted.offer, wish.service.asset.unit
    points = quality_points(
        offer.quality.latency, Exact.parse(offer.quality.availability), board.rating("provider", offer.provider),
        wish.service.service.market.weights,
    )  # fmt: skip
    return Proposal((whole * Exact(unit)).ceil(), points, POINTS, millis(offer.valid_from), millis(offer.valid_until))


def bounded(wish: Wish, limit: int) -> int:
    """What a limit on what payers pay, in atoms, leaves for all parts.

    Less an atom for each rounding, so that a plan within it is within the limit too.

    Raises:
        Refused: NO_PLAN when the service itself costs that much already.
    """
    pricing = Pricing(wish)
    own = pricing.own()[1] * Exact(wish.service.asset.unit)
    left = limit - own.ceil() - 1 - len(pricing.retail.rates)
    if left <= 0:
        raise refuse(
            RefusalCode.NO_PLAN, "the service itself costs as much as may be paid, whoever delivers.",
            field="mandate.limit", fix="Allow for more, or ask for less.",
        )  # fmt: skip
    return left


def taken_in(negotiation: Negotiation, stands: Stands, out: dict[str, str], final: frozenset[str]) -> Negotiation:
    """The negotiation with all offers as they stand now; a provider honours its last bid alone, so nothing older is.

    Providers in ``out`` say no more; those in ``final`` will not move any more.
    """
    sides: dict[str, Side] = {}
    for name in sorted({*negotiation.sides, *stands.found}):
        side, stand = negotiation.sides.get(name, Side()), stands.found.get(name)
        if stand is None:
            sides[name] = replace(side, offer=None, gone=True, final=True)
            continue
        provider, terms, before = stand.quoted.offer.provider, stand.terms, side.offer
        fresh = side.fresh or before is None or replace(before, until=0) != replace(terms, until=0)
        sides[name] = replace(
            side, first=side.first or terms, offer=terms, fresh=fresh, gone=provider in out,
            final=not stand.open or provider in final or provider in out,
        )  # fmt: skip
    return replace(negotiation, sides=sides)


def millis(text: str) -> int:
    """An RFC 3339 instant as whole milliseconds since 1970, 0 for none."""
    if not text:
        return 0
    return max(1, (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1))
