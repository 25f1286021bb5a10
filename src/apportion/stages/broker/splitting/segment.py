"""Segmentation: the preferred split of data over paths, found again when a path changes, and which bytes go where.

Three aims: ``lowest-cost`` (ties: soonest), ``fastest`` (ties: cheapest), and ``best-value``, where neither cost nor
time is far from its best: the larger of two weighted regrets is as small as it can be (ties: cheaper). Regrets are how
far the cost is above that of the cheapest split and the time above that of the fastest, as parts of what lies between
the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from apportion.model.segmentation import Segment
from apportion.stages.broker.splitting.ranges import Range, Ranges, common, merged, minus, parted, size
from apportion.stages.broker.splitting.split import EFFORT, Bounds, Market, Path, Split


class Asking(msgspec.Struct, frozen=True):
    """What is to be split: ``amount`` bytes cut every ``grain`` bytes, by an aim, within bounds.

    ``weights`` are those of cost and time. ``ranks`` say by path how far it is from what is preferred, 0 most; what is
    preferred may cost ``premium`` (a fraction) more than the split without the preference, anything when None.
    """

    paths: tuple[Path, ...]
    amount: int
    grain: int
    aim: str = "lowest-cost"
    weights: tuple[int, int] = (1, 1)
    bounds: Bounds = Bounds()
    ranks: tuple[int, ...] = ()
    premium: tuple[int, int] | None = None


class Miss(msgspec.Struct, frozen=True):
    """Why there is no split: what the paths can carry together, the soonest and the cheapest without any limit.

    ``in_time`` is the least cost within the deadline alone, ``in_budget`` the least time within the budget alone.
    Unless it is ``proven``, the search was ended early.
    """

    carries: int
    soonest: int | None = None
    cheapest: int | None = None
    in_time: int | None = None
    in_budget: int | None = None
    proven: bool = True


def split(asking: Asking) -> Split | Miss:
    """The best split; within it as much as possible of what is preferred comes first."""
    market = _market(asking, asking.paths)
    best = _best(market, asking)
    if best is None:
        return _missed(asking)
    sure, levels = best.proven, sorted(set(asking.ranks))[:-1]
    for level in levels:
        places = [at for at, rank in enumerate(asking.ranks) if rank <= level]
        market = _market(asking, [asking.paths[at] for at in places], max(market.effort, 0))
        found = _best(market, asking)
        if found is not None and _affordable(found.cost, best.cost, asking.premium):
            by_place = dict(zip(places, found.amounts, strict=True))
            amounts = tuple(by_place.get(at, 0) for at in range(len(asking.paths)))
            return msgspec.structs.replace(found, amounts=amounts, proven=sure and market.proven)
        sure = sure and market.proven
    return msgspec.structs.replace(best, proven=sure)


def again(asking: Asking, kept: Sequence[int]) -> Split | Miss:
    """The best split of what is left, where each path is still to carry ``kept``: left so unless another is better.

    By the lowest cost and by the best value it never costs more than to go on as it was, where that is still possible.
    """
    market = _market(asking, asking.paths)
    was = _going_on(market, kept)
    if was is None:
        return split(asking)
    bounds = asking.bounds
    if asking.aim != "fastest":
        bounds = Bounds(bounds.deadline, was.cost, bounds.paths)
    found = split(msgspec.structs.replace(asking, bounds=bounds))
    if isinstance(found, Miss):
        return was
    if asking.aim == "fastest":
        return found if (found.finish, found.cost) < (was.finish, was.cost) else was
    if asking.aim == "lowest-cost":
        return found if (found.cost, found.finish) < (was.cost, was.finish) else was
    return was if found.cost >= was.cost and found.finish >= was.finish else found


def _going_on(market: Market, kept: Sequence[int]) -> Split | None:
    """The old split as it is still possible, if it is."""
    paths, bounds = market.paths, market.bounds
    if sum(kept) != market.amount or any(carried and not p.rate for p, carried in zip(paths, kept, strict=True)):
        return None
    if any(carried > path.most for path, carried in zip(paths, kept, strict=True)):
        return None
    was = Split(tuple(kept), market.cost(kept), market.finish(kept))
    late = bounds.deadline is not None and was.finish > bounds.deadline
    dear = bounds.budget is not None and was.cost > bounds.budget
    many = bounds.paths is not None and sum(map(bool, kept)) > bounds.paths
    return None if late or dear or many else was


def _market(asking: Asking, paths: Sequence[Path], effort: int = EFFORT) -> Market:
    return Market(paths, asking.amount, asking.grain, asking.bounds, effort)


def _affordable(cost: int, cheapest: int, premium: tuple[int, int] | None) -> bool:
    return premium is None or (cost - cheapest) * premium[1] <= cheapest * premium[0]


def _best(market: Market, asking: Asking) -> Split | None:
    bounds = asking.bounds
    until = market.horizon() if bounds.deadline is None else min(bounds.deadline, market.horizon())
    budget = bounds.budget
    if asking.aim == "fastest":
        soonest = market.soonest(budget, until)
        return None if soonest is None else market.split(soonest)
    least = market.cheapest(until)
    if least is None or (budget is not None and least > budget):
        return None
    latest = market.soonest(least, until)
    if latest is None:
        latest = until  # only where the effort was spent
    soonest = latest if asking.aim == "lowest-cost" else market.soonest(budget, latest)
    if soonest is None or soonest >= latest:
        return market.split(latest)
    return market.split(_balanced(market, asking.weights, soonest, latest, least))


def _balanced(market: Market, weights: tuple[int, int], soonest: int, latest: int, least: int) -> int:
    """The time at which the larger regret is least: where that of the time overtakes that of the cost."""
    dearest = market.cheapest(soonest)
    if dearest is None or dearest <= least or latest <= soonest:
        return latest
    dear, slow = weights
    span, spread = latest - soonest, dearest - least
    low, high = soonest - 1, latest
    while high - low > 1:
        middle = (low + high) // 2
        regret = slow * (middle - soonest) * spread
        if not dear or market.within(middle, least + regret // (dear * span)):
            high = middle
        else:
            low = middle
    if low < soonest:
        return high
    cost = market.cheapest(low)
    if cost is not None and dear * (cost - least) * span < slow * (high - soonest) * spread:
        return market.soonest(cost, low) or low
    return market.soonest(market.cheapest(high), high) or high


def _missed(asking: Asking) -> Miss:
    paths, bounds = asking.paths, asking.bounds
    carries = sum(min(path.most, asking.amount) for path in paths if path.rate)
    free = Bounds(paths=bounds.paths)
    unbounded = msgspec.structs.replace(asking, bounds=free)
    market = _market(unbounded, paths)
    far = market.horizon()
    cheapest, soonest = market.cheapest(far), market.soonest(None, far)
    proven, market = market.proven, _market(unbounded, paths)
    in_time = None if bounds.deadline is None else market.cheapest(min(bounds.deadline, far))
    in_budget = None if bounds.budget is None else market.soonest(bounds.budget, far)
    return Miss(carries, soonest, cheapest, in_time, in_budget, proven and market.proven)


# ── which bytes go where ──


def lay_out(amounts: Sequence[int], left: Ranges, own: Sequence[Ranges], grain: int) -> list[list[Range]]:
    """The ranges that each path carries: of ``left`` as many bytes as its amount, first those that are its ``own``.

    ``left`` and ``own`` are merged. What is less than a grain is the end of the data.
    """
    if [size(ranges) for ranges in own] == list(amounts) and sum(amounts) == size(left):
        return [list(ranges) for ranges in own]
    odd = sum(amounts) % grain
    body, tail = parted(left, sum(amounts) - odd)
    kept, pool = list[list[Range]](), list(body)
    for amount, ranges in zip(amounts, own, strict=True):
        mine, _ = parted(common(ranges, body), amount - amount % grain)
        kept.append(mine)
        pool = minus(pool, mine)
    laid = list[list[Range]]()
    for amount, mine in zip(amounts, kept, strict=True):
        more, pool = parted(pool, amount - amount % grain - size(mine))
        laid.append(merged([*mine, *more, *(tail if odd and amount % grain else ())]))
    return laid


def cut(path: str, ranges: Ranges, grain: int) -> Iterator[Segment]:
    """The segments of one path's ranges, in the order in which it carries them; none crosses a line of the grid."""
    order = 0
    for begin, end in ranges:
        while begin < end:
            until = min(end, begin - begin % grain + grain)
            order += 1
            yield Segment(begin // grain + 1, begin, until - begin, path, order)
            begin = until


def count(ranges: Ranges, grain: int) -> int:
    """How many segments ``cut`` makes of them."""
    return sum((end - 1) // grain - begin // grain + 1 for begin, end in ranges)


# ── what is delivered ──


def delivered(
    carried: Mapping[str, Ranges], done: Mapping[str, Ranges], lost: Mapping[str, Ranges]
) -> tuple[dict[str, list[Range]], str]:
    """What each path has carried after a report, and the path whose bytes another path brought first (or none).

    Bytes that are lost, or were found bad, count for nobody.
    """
    found = dict[str, list[Range]]()
    everything: list[Range] = []
    for id in sorted({*carried, *done}):
        mine = minus(merged([*carried.get(id, ()), *done.get(id, ())]), merged(lost.get(id, ())))
        if common(everything, mine):
            return found, id
        everything = merged([*everything, *mine])
        found[id] = mine
    return found, ""


__all__ = [
    "Asking",
    "Bounds",
    "Miss",
    "Path",
    "Range",
    "Split",
    "again",
    "count",
    "cut",
    "delivered",
    "lay_out",
    "split",
]
