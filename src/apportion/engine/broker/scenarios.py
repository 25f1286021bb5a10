"""The scenarios of a request: lowest cost, best quality, best value, each the exact optimum of the whole.

What a user prefers comes before the objective, within what it may cost more. What a provider pays to be preferred comes
after that, within the declared bound, and never where quality is what counts.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from apportion.model.market import OBJECTIVES, Objective, Quality, Weights
from apportion.money import Exact
from apportion.stages.broker.choosing.choose import choose
from apportion.stages.broker.choosing.program import Solver
from apportion.stages.broker.choosing.question import COST, FEE, POINTS, RANK, Aim, Choice, Miss, Question

replace = msgspec.structs.replace
_POINTS_MOST = 1000


class Wanted(msgspec.Struct, frozen=True):
    """What decides among plans that fit: ``preferring`` says that options have ranks, ``premium`` (a fraction, None:
    any) what that may cost more; ``wholesale`` that the operator minimises what providers cost.

    ``placed`` are options that a placement is for, by id, ``bound`` the fraction that it may cost more.
    """

    weights: Weights
    preferring: bool = False
    premium: Exact | None = None
    wholesale: bool = False
    placed: frozenset[str] = frozenset()
    bound: Exact = Exact(0)


class Found(msgspec.Struct, frozen=True):
    """One scenario: the choice, and how much of its fee (in the question's units) a preference and a placement cost."""

    name: Objective
    choice: Choice
    dearer: int
    placed: int
    by_placement: bool


def scenarios(question: Question, wanted: Wanted, solver: Solver | None = None) -> list[Found] | Miss:
    """All three, or why nothing fits."""
    parts = len(question.options)
    cheapest = choose(question, _aim("lowest-cost", wanted, 1, parts), solver)
    if isinstance(cheapest, Miss):
        return cheapest
    least = cheapest.sums.fee
    preferred = question
    if wanted.preferring and wanted.premium is not None:
        preferred = _at_most(question, least, wanted.premium)
    found: list[Found] = []
    for name in OBJECTIVES:
        aim = _aim(name, wanted, max(least, 1), parts)
        if wanted.preferring:
            aim = (((RANK, 1),), *aim)
        elif name == "lowest-cost":
            found.append(_placed(name, question, cheapest, aim, wanted, least, solver))
            continue
        base = choose(preferred, aim, solver)
        assert isinstance(base, Choice), "the cheapest plan is within every limit"
        found.append(_placed(name, preferred, base, aim, wanted, least, solver))
    return found


def _placed(
    name: Objective, question: Question, base: Choice, aim: Aim, wanted: Wanted, least: int, solver: Solver | None
) -> Found:
    """The scenario with paid placements, where there are any."""
    choice, paid = base, False
    if wanted.placed and name != "best-quality":
        bounded = _at_most(_ranked(question, wanted), base.sums.fee, wanted.bound)
        tried = choose(bounded, aim if wanted.preferring else (((RANK, 1),), *aim), solver)
        if isinstance(tried, Choice):
            taken = {options[place].id for options, place in zip(question.options, tried.places, strict=True)}
            if taken & wanted.placed:
                choice, paid = tried, True
    return Found(name, choice, choice.sums.fee - least, choice.sums.fee - base.sums.fee, paid)


def _ranked(question: Question, wanted: Wanted) -> Question:
    """Every option ranked by what the user prefers, and within that those first that somebody paid for."""
    more = len(question.options) + 1
    options = tuple(
        tuple(
            replace(one, rank=(one.rank * more if wanted.preferring else 0) + (one.id not in wanted.placed))
            for one in part
        )
        for part in question.options
    )
    return replace(question, options=options)


def _at_most(question: Question, fee: int, more: Exact) -> Question:
    """The same with a fee of at most so much, raised by a fraction."""
    most = (Exact(fee) + Exact(abs(fee)) * more).floor()
    bounds = question.bounds
    return replace(question, bounds=replace(bounds, fee=most if bounds.fee is None else min(most, bounds.fee)))


def _aim(name: Objective, wanted: Wanted, least: int, parts: int) -> Aim:
    """The levels of an objective.

    Best value minimises 1000 × price × fee ÷ least fee − quality × mean points, here times ``parts`` × least fee.
    """
    cost: Aim = (((COST, 1),), ((FEE, 1),)) if wanted.wholesale else (((FEE, 1),), ((COST, 1),))
    weights = wanted.weights
    if name == "lowest-cost":
        return cost
    if name == "best-quality":
        return (((POINTS, -1),), *cost)
    return (((FEE, weights.price * _POINTS_MOST * parts), (POINTS, -weights.quality * least)), *cost)


@lru_cache(maxsize=65_536)
def points_of(quality: Quality, rating: int, weights: Weights) -> int:
    """``quality_points`` of what an offer promises; offers stand for long, so they are kept."""
    return quality_points(quality.latency, Exact.parse(quality.availability), rating, weights)


def quality_points(latency: int, availability: Exact, rating: int, weights: Weights) -> int:
    """Quality as 0 to 1000 points, the weighted mean of three aspects.

    Latency: 1000 at 0 ms, half of it at every 100 ms more in the denominator (1000·100 ÷ (100 + ms)). Availability:
    1000 at 1, 0 at 0.99 or below. Rating: 0 to 5000 thousandths of a star, ÷ 5.
    """
    speed = 100_000 // (100 + latency)
    missing = (Exact(1) - availability) * Exact(100_000)
    up = max(0, 1000 - missing.ceil())
    weight = weights.latency + weights.availability + weights.rating
    total = weights.latency * speed + weights.availability * up + weights.rating * min(1000, rating // 5)
    return total // weight if weight else 0
