"""The nearest miss: which plan there would be if one limit gave way, and how far."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from apportion.stages.broker.choosing.optimum import best_plan
from apportion.stages.broker.choosing.question import (
    AVAILABILITY,
    COST,
    FEE,
    LATENCY,
    MARGIN,
    NET,
    PER_PROVIDER,
    Aim,
    Choice,
    Miss,
    Question,
)
from apportion.stages.broker.choosing.whole import whole

#: steps for each number of a near miss: it is told as far as it can be found quickly
MISS_STEPS = 20_000
#: with more options nothing more is told than that nothing fits
_OPTIONS_MOST = 100_000
_BITS_MOST = 512
_AIMS: dict[str, Aim] = {
    FEE: (((FEE, 1),),),
    MARGIN: (((COST, 1), (NET, -1)),),
    LATENCY: (((LATENCY, 1),),),
    AVAILABILITY: (((AVAILABILITY, 1),),),
}

replace = msgspec.structs.replace


def relaxed(question: Question, names: Iterable[str]) -> Question:
    """The question without some limits: ``fee``, ``margin``, ``latency``, ``availability``, ``per_provider``.

    Raises:
        ValueError: a name that is no limit.
    """
    dropped = dict.fromkeys(names)
    for name in dropped:
        if name not in (*_AIMS, PER_PROVIDER):
            raise ValueError(f"no limit is called {name!r}; limits are {', '.join((*_AIMS, PER_PROVIDER))}")
    return replace(question, bounds=replace(question.bounds, **dropped))


def miss(question: Question, proven: bool = True) -> Miss:
    """What each limit would have to be for a plan to fit, all others as they are; ``proven``: that nothing fits."""
    if sum(map(len, question.options)) > _OPTIONS_MOST:
        return Miss(proven=proven)
    bounds, sure = question.bounds, [proven]
    found: dict[str, Choice | None] = {}
    for name in _AIMS:
        if getattr(bounds, name) is not None:
            found[name] = _best(relaxed(question, [name]), name, sure)
    fee, margin, latency, up = (found.get(name) for name in _AIMS)
    linked = True
    most = _parts_for_one(question, sure)
    if question.links and most is None and not any(found.values()):
        free = relaxed(question, (*_AIMS, PER_PROVIDER))
        linked = _best(free, FEE, sure) is not None
    return Miss(
        fee=fee.sums.fee if fee else None,
        margin=margin.sums.net - margin.sums.cost if margin else None,
        latency=latency.latency if latency else None,
        availability=up.availability if up else None,
        per_provider=most,
        linked=linked,
        proven=all(sure),
    )


def _best(question: Question, name: str, sure: list[bool]) -> Choice | None:
    """The plan that takes least of a limit."""
    bits = 0
    if name == AVAILABILITY:
        # so many that two different products never look alike, as far as that is reasonable
        bits = sum(max(one.availability[1].bit_length() for one in options) for options in question.options)
        bits = min(2 * bits + 16, _BITS_MOST)
    plan, proven = best_plan(question, _AIMS[name], None, MISS_STEPS, 0, bits)
    sure.append(proven)
    if plan is None:
        return None
    return whole(question, () if bits else _AIMS[name], plan.places, plan.taken, proven)


def _parts_for_one(question: Question, sure: list[bool]) -> int | None:
    """How many parts one provider must be allowed to deliver."""
    bounds, parts = question.bounds, len(question.options)
    if bounds.per_provider is None or bounds.per_provider >= parts:
        return None
    if _best(relaxed(question, [PER_PROVIDER]), FEE, sure) is None:
        return None
    low, high = max(bounds.per_provider, 0), parts
    while high - low > 1:
        middle = (low + high) // 2
        tried = replace(question, bounds=replace(bounds, per_provider=middle))
        if _best(tried, FEE, sure) is None:
            low = middle
        else:
            high = middle
    return high
