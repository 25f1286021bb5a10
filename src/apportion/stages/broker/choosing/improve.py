"""Improving a plan by small changes: another item for one part or two, one provider more or less.

It proves nothing, but the better the plan that a search begins with, the more of the rest it can leave.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from apportion.stages.broker.choosing.bounds import Prices
from apportion.stages.broker.choosing.field import Item
from apportion.stages.broker.choosing.search import Search

#: steps that may be taken, and those of looking at one plan
STEPS = 20_000
_STEPS_OF_A_PLAN = 4
_NEAR = 8


def improve(search: Search, prices: Prices) -> None:
    """Change the best plan of a search for as long as that makes it better; takes steps of its own."""
    search.left = STEPS
    while search.best is not None and search.left > 0:
        before = search.below
        for picked in _changes(search, prices):
            search.left -= _STEPS_OF_A_PLAN
            search.consider(picked)
            if search.below < before or search.left <= 0:
                break
        if search.below == before:
            return


def _changes(search: Search, prices: Prices) -> Iterator[list[Item]]:
    """The plans around the best one, those first that are likely to be better."""
    stops, best = search.route.stops, search.best
    assert best is not None
    plan = [next(item for item in stop.items if item.place == best.places[stop.part]) for stop in stops]
    near: list[list[Item]] = []
    for stop, costs in zip(stops, prices.costs, strict=True):
        order = sorted(range(len(costs)), key=costs.__getitem__)
        near.append([stop.items[at] for at in order])
    for depth, items in enumerate(near):
        for item in items:
            yield [*plan[:depth], item, *plan[depth + 1 :]]
    if prices.setups:
        yield from _providers(plan, near)
    for one, two in itertools.combinations(range(len(plan)), 2):
        for a, b in itertools.product(near[one][:_NEAR], near[two][:_NEAR]):
            changed = list(plan)
            changed[one], changed[two] = a, b
            yield changed


def _providers(plan: list[Item], near: list[list[Item]]) -> Iterator[list[Item]]:
    """With one provider more or one less: every part takes the cheapest of those that are left."""
    opened = {item.hot for item in plan}
    every = sorted({item.hot for items in near for item in items} - {-1})
    for hot in every:
        taken = (opened ^ {hot}) | {-1}
        yield [
            next((item for item in items if item.hot in taken), kept) for items, kept in zip(near, plan, strict=True)
        ]
        if hot not in opened:
            for depth, items in enumerate(near):
                mine = next((item for item in items if item.hot == hot), None)
                if mine is not None:
                    yield [*plan[:depth], mine, *plan[depth + 1 :]]
