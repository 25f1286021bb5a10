"""Splitting data over paths: against brute force on small cases, and whatever happens on the way no byte is lost."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.stages.broker.splitting.ranges import merged, minus, size
from apportion.stages.broker.splitting.segment import (
    Asking,
    Bounds,
    Miss,
    Path,
    Split,
    again,
    cut,
    delivered,
    lay_out,
    split,
)
from apportion.stages.broker.splitting.split import SECOND, ends

Ends = tuple[int, int]  # cost and finish


@st.composite
def paths(draw: st.DrawFn, most: int = 4) -> tuple[Path, ...]:
    def one(at: int) -> Path:
        return Path(
            f"p{at}",
            rate=draw(st.sampled_from((0, 1, 2, 3, 5, 7, 10))),
            start=draw(st.sampled_from((0, 0, 400_000, 1_000_000, 3_000_000))),
            price=draw(st.integers(0, 5)),
            setup=draw(st.sampled_from((0, 0, 3, 10, 40))),
            least=draw(st.sampled_from((0, 0, 0, 4, 9))),
            most=draw(st.sampled_from((1 << 60, 1 << 60, 5, 12))),
        )

    return tuple(one(at) for at in range(draw(st.integers(1, most))))


@st.composite
def askings(draw: st.DrawFn, aim: str = "") -> Asking:
    return Asking(
        draw(paths()),
        amount=draw(st.integers(1, 24)),
        grain=draw(st.sampled_from((1, 3, 4, 5))),
        aim=aim or draw(st.sampled_from(("lowest-cost", "fastest", "best-value"))),
        weights=draw(st.sampled_from(((1, 1), (2, 1), (1, 3), (0, 1), (1, 0)))),
        bounds=Bounds(
            draw(st.none() | st.integers(0, 12_000_000)),
            draw(st.none() | st.integers(0, 120)),
            draw(st.none() | st.integers(1, 3)),
        ),
    )


def every(asking: Asking) -> Iterator[tuple[tuple[int, ...], int, int]]:
    """All ways to split it within the bounds, with their cost and finish."""
    units, odd = divmod(asking.amount, asking.grain)
    count = len(asking.paths)
    for bars in itertools.combinations(range(units + count - 1), count - 1):
        edges = (-1, *bars, units + count - 1)
        grains = [edges[at + 1] - edges[at] - 1 for at in range(count)]
        for holder in range(count) if odd else (-1,):
            amounts = tuple(n * asking.grain + (odd if at == holder else 0) for at, n in enumerate(grains))
            used = [(path, carried) for path, carried in zip(asking.paths, amounts, strict=True) if carried]
            if any(not p.rate or not p.least <= carried <= p.most for p, carried in used):
                continue
            cost = sum(p.setup + p.price * carried for p, carried in used)
            finish = max(ends(p, carried) for p, carried in used)
            limits = asking.bounds
            if limits.paths is not None and len(used) > limits.paths:
                continue
            if limits.budget is not None and cost > limits.budget:
                continue
            if limits.deadline is None or finish <= limits.deadline:
                yield amounts, cost, finish


def regret(one: Ends, asking: Asking, found: Sequence[Ends]) -> int:
    """The larger weighted regret, times both spans."""
    least, soonest = min(cost for cost, _ in found), min(finish for _, finish in found)
    latest = min(finish for cost, finish in found if cost == least)
    dearest = min(cost for cost, finish in found if finish == soonest)
    dear, slow = asking.weights
    span, spread = latest - soonest, dearest - least
    if not span or not spread:
        return one[0] - least
    return max(dear * (one[0] - least) * span, slow * (one[1] - soonest) * spread)


@settings(max_examples=600, deadline=None)
@given(askings())
def test_it_is_as_good_as_trying_everything(asking: Asking) -> None:
    tried = list(every(asking))
    found = split(asking)
    if isinstance(found, Miss):
        assert not tried
        return
    assert (found.amounts, found.cost, found.finish) in tried
    assert found.proven and sum(found.amounts) == asking.amount
    outcomes = [(cost, finish) for _, cost, finish in tried]
    mine = (found.cost, found.finish)
    if asking.aim == "lowest-cost":
        assert mine == min(outcomes)
    elif asking.aim == "fastest":
        assert mine[::-1] == min((finish, cost) for cost, finish in outcomes)
    else:
        assert regret(mine, asking, outcomes) == min(regret(one, asking, outcomes) for one in outcomes)


@settings(max_examples=150, deadline=None)
@given(askings())
def test_the_nearest_miss_is_true(asking: Asking) -> None:
    found = split(asking)
    if not isinstance(found, Miss):
        return
    free = [
        (c, f)
        for _, c, f in every(
            Asking(asking.paths, asking.amount, asking.grain, bounds=Bounds(paths=asking.bounds.paths))
        )
    ]
    assert found.soonest == min((f for _, f in free), default=None)
    assert found.cheapest == min((c for c, _ in free), default=None)
    limits = asking.bounds
    if limits.deadline is not None:
        assert found.in_time == min((c for c, f in free if f <= limits.deadline), default=None)
    if limits.budget is not None:
        assert found.in_budget == min((f for c, f in free if c <= limits.budget), default=None)


def field(rng: random.Random, count: int) -> tuple[Path, ...]:
    return tuple(
        Path(
            f"p{at:02}", rng.randrange(10**5, 10**8), rng.randrange(0, 300_000), rng.randrange(1, 10**6),
            rng.choice((0, 0, rng.randrange(10**12, 10**14))),
            most=rng.choice((1 << 60, rng.randrange(10**8, 10**10))),
        )
        for at in range(count)
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(30))
def test_many_paths_and_much_data_are_never_worse_than_anything_tried(seed: int) -> None:
    """Sets of paths drawn at random, filled cheapest first: none meets the same limit for less."""
    rng = random.Random(seed)
    all_, grain = field(rng, 20), 1 << 20
    amount = rng.randrange(10**9, 3 * 10**10)
    fastest = split(Asking(all_, amount, grain, "fastest"))
    assert isinstance(fastest, Split) and fastest.proven
    deadline = fastest.finish * rng.randrange(11, 40) // 10
    found = split(Asking(all_, amount, grain, bounds=Bounds(deadline)))
    assert isinstance(found, Split) and found.proven and found.finish <= deadline
    units, odd = divmod(amount, grain)
    tried = 0
    for _ in range(300):
        left, cost, last = units, 0, 0
        for path in sorted(rng.sample(all_, rng.randrange(5, 21)), key=lambda p: p.price):
            able = min(max(deadline - path.start, 0) * path.rate // SECOND, path.most)
            took = min(left, max(able - odd, 0) // grain)  # every one has room for what is left over
            if took:
                left, last = left - took, path.price
                cost += path.setup + path.price * took * grain
        if not left:
            tried += 1
            assert found.cost <= cost + odd * last
    assert tried > 10


@settings(max_examples=200, deadline=None)
@given(askings(), st.data())
def test_no_byte_is_lost_or_twice_whatever_happens(asking: Asking, data: st.DataObject) -> None:
    whole = [(0, asking.amount)]
    found = split(asking)
    if isinstance(found, Miss):
        return
    laid = lay_out(found.amounts, whole, [[] for _ in asking.paths], asking.grain)
    carried: dict[str, list[tuple[int, int]]] = {}
    for _ in range(4):
        pieces = sorted(one for ranges in laid for one in ranges)
        assert sum(end - begin for begin, end in pieces) == size(merged(pieces)), "a byte twice"
        everything = merged([*pieces, *(one for ranges in carried.values() for one in ranges)])
        assert everything == whole, "a byte missing"
        assert [size(ranges) for ranges in laid] == list(found.amounts)
        for path, ranges in zip(asking.paths, laid, strict=True):
            segments = list(cut(path.id, ranges, asking.grain))
            assert sum(one.length for one in segments) == size(ranges)
            assert all(one.length <= asking.grain for one in segments)
        done = {
            path.id: [(b, b + data.draw(st.integers(0, e - b))) for b, e in ranges]
            for path, ranges in zip(asking.paths, laid, strict=True)
        }
        lost = {path.id: [(0, data.draw(st.integers(0, 3)))] for path in asking.paths[:1]}
        carried, twice = delivered(carried, {id: merged(r) for id, r in done.items()}, lost)
        assert not twice
        left = minus(whole, merged(one for ranges in carried.values() for one in ranges))
        own = [
            minus(minus(ranges, merged(carried.get(p.id, ()))), merged(lost.get(p.id, ())))
            for p, ranges in zip(asking.paths, laid, strict=True)
        ]
        if not left:
            return
        gone = data.draw(st.sampled_from([*range(len(asking.paths)), -1, -1]))
        rest = tuple(
            Path(p.id, 0 if at == gone else p.rate, 0, p.price, held=size(own[at])) for at, p in enumerate(asking.paths)
        )
        asking = Asking(rest, size(left), asking.grain, asking.aim, asking.weights)
        kept = [0 if at == gone else size(ranges) for at, ranges in enumerate(own)]
        next_ = again(asking, kept)
        if isinstance(next_, Miss):
            assert not any(path.rate for path in rest)
            return
        was = [(p, n) for p, n in zip(rest, kept, strict=True) if n]
        if sum(kept) == size(left) and all(p.rate for p, _ in was):
            old = (sum(p.setup + p.price * n for p, n in was), max(ends(p, n) for p, n in was))
            if asking.aim == "fastest":
                assert next_.finish <= old[1]
            else:
                assert next_.cost <= old[0]
        found = next_
        laid = lay_out(found.amounts, left, [[] if at == gone else r for at, r in enumerate(own)], asking.grain)
