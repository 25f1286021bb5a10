"""Multipliers: what a unit of each limit is worth, so that the bounds come close to the optimum.

First each limit alone, by cutting the concave bound with the lines it is made of; then all of them, step by step. Every
plan met on the way is tried, which gives the search a good plan to begin with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from apportion.stages.broker.choosing.bounds import Prices, Tables
from apportion.stages.broker.choosing.field import Item
from apportion.stages.broker.choosing.search import Search

_CUTS = 12
_STEPS = 24
#: how many items and crossings are looked at in all while multipliers are sought
_WORK = 400_000


class Multipliers:
    """The best multipliers found: ``rates`` of the limits, ``tolls`` of capped providers, ``bound`` what they prove."""

    def __init__(self, search: Search) -> None:
        self.search, self.route, self.field = search, search.route, search.field
        self.rates: tuple[int, ...] = (0,) * len(self.field.limits)
        self.tolls: dict[int, int] = {}
        self.bound: int | None = None
        crossings = sum(len(row) for joint in self.field.joints for row in joint.forth)
        self._work = max(1, sum(map(len, self.field.parts)) + crossings)
        self._left = _WORK

    def find(self) -> None:
        """Look for them; stops early when a plan meets its bound."""
        self._look(self.rates, {})
        if not self.rates and not self.field.capped:
            return
        for _ in range(2 if len(self.rates) > 1 else 1):
            for at in range(len(self.rates)):
                if self._done():
                    return
                self._cut(at)
        if len(self.rates) + len(self.field.capped) > 1:
            self._step()

    def _done(self) -> bool:
        return self._left <= 0 or (self.bound is not None and self.bound >= self.search.below - 1)

    def _look(self, rates: Sequence[int], tolls: Mapping[int, int]) -> tuple[int, list[int], dict[int, int]]:
        """The bound of some multipliers, and by how much its plan breaks each limit and each cap."""
        self._left -= self._work
        prices = Prices(self.route, rates, tolls)
        tables = Tables(prices, rounds=2)
        bound = tables.base[0] - prices.offset
        if self.bound is None or bound > self.bound:
            self.bound, self.rates, self.tolls = bound, tuple(rates), dict(tolls)
        picked = [stop.items[at] for stop, at in zip(self.route.stops, tables.cheapest(), strict=True)]
        self.search.consider(picked)
        return bound, self._over(picked), self._crowded(picked)

    def _over(self, picked: Sequence[Item]) -> list[int]:
        field, over = self.field, [-limit for limit in self.field.limits]
        for item in picked:
            over = list(map(int.__add__, over, item.uses))
        for hot in {item.hot for item in picked if item.hot >= 0}:
            setup = field.setups[hot]
            if setup is not None:
                over = list(map(int.__add__, over, setup[1]))
        for depth, stop in enumerate(self.route.stops):
            for back in (stop.tree, *stop.others) if stop.tree else ():
                assert back is not None
                effect = back.table[picked[back.depth].at[back.slot]].get(picked[depth].at[back.own])
                if effect is not None:
                    over = list(map(int.__add__, over, effect[1]))
        return over

    def _crowded(self, picked: Sequence[Item]) -> dict[int, int]:
        counts: dict[int, int] = {}
        for item in picked:
            if item.hot in self.field.capped:
                counts[item.hot] = counts.get(item.hot, 0) + 1
        return {hot: count - (self.field.cap or 0) for hot, count in counts.items()}

    def _cut(self, at: int) -> None:
        """Raise the bound along one multiplier: between a plan that breaks the limit and one that keeps it.

        Each plan is a line of the bound over the multiplier; the lines of two plans meet where the next is tried.
        """
        rates, tolls = list(self.rates), self.tolls
        here = rates[at]
        bound, over, _ = self._look(rates, tolls)
        rising = (here, bound, over[at]) if over[at] > 0 else None
        falling = (here, bound, over[at]) if over[at] <= 0 else None
        guess = self._guess(at) if here == 0 else here
        for _ in range(_CUTS):
            if self._done() or (falling is not None and (falling[0] == 0 or falling[2] == 0)):
                return
            if rising is None:
                rates[at] = 0
            elif falling is None:
                rates[at] = guess = 2 * guess
            else:
                (x, y, slope), (u, v, fall) = rising, falling
                rates[at] = (v - y + slope * x - fall * u) // (slope - fall)
                # slopes know nothing of how set-ups are spread, so the lines may meet anywhere
                if not min(x, u) < rates[at] < max(x, u):
                    return
            bound, over, _ = self._look(rates, tolls)
            point = (rates[at], bound, over[at])
            if over[at] > 0:
                rising = point
            else:
                falling = point

    def _guess(self, at: int) -> int:
        """A multiplier of the right size: the spread of the scalar over the spread of the limited sum."""
        keys = [item.key for items in self.field.parts for item in items]
        uses = [item.uses[at] for items in self.field.parts for item in items]
        return max(1, (max(keys) - min(keys)) // (2 * max(1, max(uses) - min(uses))))

    def _step(self) -> None:
        """Walk uphill with all multipliers at once; the step shrinks when the bound does not rise."""
        field = self.field
        columns = [[i.uses[at] for items in field.parts for i in items] for at in range(len(self.rates))]
        widths = [max(1, max(column) - min(column)) for column in columns]
        rates, tolls = self.rates, dict(self.tolls)
        stride, fails = 32, 0
        for _ in range(_STEPS):
            before = self.bound
            bound, over, crowd = self._look(rates, tolls)
            if self._done() or stride == 0:
                return
            assert self.bound is not None
            if before is not None and self.bound <= before:
                fails += 1
                if fails >= 3:
                    stride, fails = stride // 2, 0
                    rates, tolls = self.rates, dict(self.tolls)
            over = [g if g > 0 or rate > 0 else 0 for g, rate in zip(over, rates, strict=True)]
            crowd = dict.fromkeys(tolls, -(field.cap or 0)) | crowd
            crowd = {hot: g for hot, g in crowd.items() if g > 0 or tolls.get(hot)}
            # slopes in thousandths of each limit's own width, so that milliseconds and amounts weigh alike
            slopes = [1000 * g // width for g, width in zip(over, widths, strict=True)]
            norm = sum(s * s for s in slopes) + sum(1_000_000 * g * g for g in crowd.values())
            gap = (self.search.below - bound) if self.search.best else abs(bound) // 8 + 1
            if norm == 0 or gap <= 0:
                return
            rates = tuple(
                max(0, rate + stride * gap * s * 1000 // (32 * norm * width))
                for rate, s, width in zip(rates, slopes, widths, strict=True)
            )
            for hot, g in crowd.items():
                tolls[hot] = max(0, tolls.get(hot, 0) + stride * gap * g * 1_000_000 // (32 * norm))
            tolls = {hot: toll for hot, toll in tolls.items() if toll}
