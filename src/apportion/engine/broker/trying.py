"""One try after another: all limits first, then without those that may be given up, in their order."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from apportion.engine.broker.board import Board, placements
from apportion.engine.broker.pricing import Pricing, Quoted
from apportion.engine.broker.scenarios import Found, Wanted, scenarios
from apportion.engine.broker.sifting import Judged, sift
from apportion.engine.broker.weighing import Weighed, Weighing, weigh
from apportion.engine.broker.wish import Kept, Wish
from apportion.engine.engine import Engine
from apportion.model.market import Placement, Relaxable
from apportion.money import Exact
from apportion.stages.broker.choosing.question import Miss

HUNDRED = Exact(100)


class Tried(msgspec.Struct, frozen=True):
    """One try within some limits: what fitted, and what was chosen of it, or what the nearest plan would need."""

    judged: Judged
    weighed: Weighed | None
    found: Sequence[Found] | Miss


def relaxing(
    engine: Engine, wish: Wish, board: Board, pricing: Pricing, parts: tuple[str, ...]
) -> tuple[Tried, tuple[str, ...]]:
    """Try within all limits, then without the first of those that may be given up, and so on."""
    given_up: tuple[Relaxable, ...] = ()
    first = tried = _try(engine, wish, wish.kept, board, pricing, parts)
    for name in wish.relax:
        if not isinstance(tried.found, Miss):
            break
        given_up = (*given_up, name)
        tried = _try(engine, wish, wish.kept.without(given_up), board, pricing, parts)
    return (first, ()) if isinstance(tried.found, Miss) else (tried, given_up)


def _try(engine: Engine, wish: Wish, kept: Kept, board: Board, pricing: Pricing, parts: tuple[str, ...]) -> Tried:
    judged = sift(wish, kept, board, pricing, parts)
    if not all(judged.parts):
        return Tried(judged, None, Miss(empty=tuple(at for at, fits in enumerate(judged.parts) if not fits)))
    paid = placements(wish, board.at)
    placed = {
        quoted.offer.id: one for fits in judged.parts for quoted in fits if (one := _placed(quoted, paid)) is not None
    }
    weighing = Weighing(judged.parts, judged.links, board, pricing, judged.ranks, placed)
    weighed = weigh(weighing, kept, wish.profile)
    return Tried(judged, weighed, scenarios(weighed.question, _wanted(wish, weighed, placed), engine.solver))


def _placed(quoted: Quoted, paid: dict[tuple[str, str], Placement]) -> Placement | None:
    offer = quoted.offer
    return paid.get((offer.part, offer.provider)) or paid.get(("", offer.provider))


def _wanted(wish: Wish, weighed: Weighed, placed: dict[str, Placement]) -> Wanted:
    """What decides; where several providers pay to be preferred, the least of their bounds holds for all."""
    market, premium = wish.service.service.market, wish.profile.premium
    bounds = [Exact.parse(one.bound).over(HUNDRED) for one in placed.values()]
    return Wanted(
        market.weights, weighed.preferring, Exact.parse(premium).over(HUNDRED) if premium else None,
        market.minimise == "wholesale", frozenset(placed), min(bounds, default=Exact(0)),
    )  # fmt: skip
