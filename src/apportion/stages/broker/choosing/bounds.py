"""Bounds: how little the rest of a plan can add, whatever is chosen.

Limits are priced: every unit that a plan takes of a limit costs its multiplier, and the whole limit times that is taken
off. With any multipliers that are not below zero the sum is at most the true value, so they decide how fast the search
ends and never what it finds. A set-up is spread over the parts where its provider competes, a bundle over its parts;
what links add is handed back along a tree, from the last part to the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from apportion.stages.broker.choosing.field import Effect
from apportion.stages.broker.choosing.route import Back, Route, Stop

_ROUNDS = 4


class Prices:
    """Everything with the multipliers on it: ``rates`` of the limits, ``tolls`` of providers that are capped."""

    def __init__(self, route: Route, rates: Sequence[int], tolls: Mapping[int, int]) -> None:
        field = route.field
        self.route, self.rates, self.tolls = route, tuple(rates), tolls
        assert min((*self.rates, *tolls.values()), default=0) >= 0, "a multiplier below zero proves nothing"
        self._plain = not any(rates)
        self.costs = [self._costs(stop) for stop in route.stops]
        self.setups = [self.reduced(setup) if setup else 0 for setup in field.setups]
        self.saves = {deal.index: max(0, self.reduced(deal.saves)) for deal in field.deals}
        self.offset = sum(map(int.__mul__, self.rates, field.limits)) + (field.cap or 0) * sum(tolls.values())
        self.trees = [self._crossings(stop.tree) for stop in route.stops]
        self.beside = [[self._crossings(back) for back in stop.others] for stop in route.stops]
        self.never = self._never()

    def reduced(self, effect: Effect) -> int:
        """The scalar of an effect with the multipliers on it."""
        return effect[0] if self._plain else effect[0] + sum(map(int.__mul__, self.rates, effect[1]))

    def _costs(self, stop: Stop) -> list[int]:
        rates, items = self.rates, stop.items
        if self._plain:
            costs = [item.key for item in items]
        elif len(rates) == 1:
            rate = rates[0]
            costs = [item.key + rate * item.uses[0] for item in items]
        elif len(rates) == 2:
            one, two = rates
            costs = [item.key + one * item.uses[0] + two * item.uses[1] for item in items]
        else:
            costs = [item.key + sum(map(int.__mul__, rates, item.uses)) for item in items]
        if self.tolls:
            tolls = self.tolls
            costs = [cost + tolls.get(item.hot, 0) for cost, item in zip(costs, items, strict=True)]
        return costs

    def _never(self) -> int:
        """More than any plan can come to, whatever it was before: what does not fit costs this."""
        most = sum(max(map(abs, costs), default=0) for costs in self.costs)
        most += sum(map(abs, self.setups)) + sum(self.saves.values()) + abs(self.offset)
        for tables in (*((tree,) for tree in self.trees), *self.beside):
            most += sum(max((abs(x) for row in table for x in row.values()), default=0) for table in tables)
        return 2 * most + 2 * abs(self.route.field.ceiling) + 1

    def _crossings(self, back: Back | None) -> list[dict[int, int]]:
        if back is None:
            return []
        return [{to: self.reduced(effect) for to, effect in row.items()} for row in back.table]


class Tables:
    """What every part adds at least when those before depth ``start`` are decided.

    By depth: ``floors`` of its items (with what hangs on them), ``low`` the least of a part without tree, ``over`` the
    least by the class of the item before it. ``eased`` is how much less an item costs whose provider was chosen
    before, ``opened`` the least cost of such a provider's items.
    """

    def __init__(self, prices: Prices, start: int = 0, rounds: int = _ROUNDS) -> None:
        self.prices, self.start = prices, start
        count = len(prices.route.stops)
        self.floors: list[list[int]] = [[]] * count
        self.low: list[int] = [0] * count
        self.over: list[list[int]] = [[]] * count
        self.best: list[dict[int, tuple[int, int]]] = [{}] * count
        self.eased: list[dict[int, int]] = [{}] * count
        self.opened: list[dict[int, int]] = [{}] * count
        self._spread(rounds)
        for depth in range(count - 1, start - 1, -1):
            self._fill(depth)
        self.base = [0] * (count + 1)
        for depth in range(count - 1, start - 1, -1):
            free = prices.route.stops[depth].tree is None
            self.base[depth] = self.base[depth + 1] + (self.low[depth] if free else 0)

    def _spread(self, rounds: int) -> None:
        """Raise each part's level in turn for as long as the set-ups of the providers below it can pay for it."""
        prices = self.prices
        stops = prices.route.stops
        if not prices.setups:
            return
        shares: list[dict[int, int]] = [{} for _ in stops]
        for deal in prices.route.field.deals:
            depths = [prices.route.depth[part] for part in deal.parts]
            if min(depths) >= self.start and prices.saves[deal.index]:
                share = -(-prices.saves[deal.index] // len(depths))
                for depth in depths:
                    shares[depth][deal.hot] = max(share, shares[depth].get(deal.hot, 0))
        slack = [max(0, setup) for setup in prices.setups]
        levels: dict[int, int] = {}
        rivals: dict[int, dict[int, int]] = {}
        caps: dict[int, int | None] = {}
        for depth in range(self.start, len(stops)):
            opened: dict[int, int] = {}
            cold: int | None = None
            for item, cost in zip(stops[depth].items, prices.costs[depth], strict=True):
                hot = item.hot
                if hot < 0:
                    cold = cost if cold is None or cost < cold else cold
                elif hot not in opened or cost < opened[hot]:
                    opened[hot] = cost
            self.opened[depth] = opened
            mine = shares[depth]
            rivals[depth] = {h: c - mine.get(h, 0) + min(0, prices.setups[h]) for h, c in opened.items()}
            caps[depth] = cold
            levels[depth] = min(rivals[depth].values(), default=0 if cold is None else cold)
            if cold is not None:
                levels[depth] = min(levels[depth], cold)
        paid: list[dict[int, int]] = [{} for _ in stops]
        for left in range(rounds, 0, -1):
            for depth, costs in rivals.items():
                _raise(depth, costs, caps[depth], levels, paid[depth], slack, left)
        for depth in range(self.start, len(stops)):
            mine, due = shares[depth], paid[depth]
            self.eased[depth] = {h: due.get(h, 0) + min(0, prices.setups[h]) - mine.get(h, 0) for h in rivals[depth]}

    def _fill(self, depth: int) -> None:
        """The floors of a part's items and the least of them, by the class of the item before."""
        prices = self.prices
        stop, floors = prices.route.stops[depth], prices.costs[depth]
        eased = self.eased[depth]
        if eased:
            floors = [cost + eased.get(item.hot, 0) for cost, item in zip(floors, stop.items, strict=True)]
        for back, rows in zip(stop.others, prices.beside[depth], strict=True):
            least = _least_of_columns(rows)
            floors = [f + least[item.at[back.own]] for f, item in zip(floors, stop.items, strict=True)]
        for kid in stop.kids:
            slot, over = _tree(prices.route.stops[kid]).slot, self.over[kid]
            floors = [f + over[item.at[slot]] for f, item in zip(floors, stop.items, strict=True)]
        self.floors[depth] = floors
        if stop.tree is None:
            self.low[depth] = min(floors)
            return
        best: dict[int, tuple[int, int]] = {}
        own = stop.tree.own
        for place, (floor, item) in enumerate(zip(floors, stop.items, strict=True)):
            at = item.at[own]
            if at not in best or floor < best[at][0]:
                best[at] = floor, place
        self.best[depth] = best
        self.over[depth] = [
            min((x + best[to][0] for to, x in row.items() if to in best), default=prices.never)
            for row in prices.trees[depth]
        ]

    def cheapest(self) -> list[int]:
        """The items of the plan that is least by these tables, by depth; it may break limits."""
        prices, picked = self.prices, []
        stops = prices.route.stops
        for depth, stop in enumerate(stops):
            if stop.tree is None:
                picked.append(min(range(len(stop.items)), key=self.floors[depth].__getitem__))
                continue
            back, best = stop.tree, self.best[depth]
            at = stops[back.depth].items[picked[back.depth]].at[back.slot]
            ways = [(x + best[to][0], best[to][1]) for to, x in prices.trees[depth][at].items() if to in best]
            picked.append(min(ways)[1] if ways else 0)
        return picked


def _raise(
    depth: int,
    costs: dict[int, int],
    cap: int | None,
    levels: dict[int, int],
    paid: dict[int, int],
    slack: list[int],
    left: int,
) -> None:
    """Raise one part's level by one ``left``-th of what it can still rise."""
    if not costs:
        return
    top = min(cost + paid.get(hot, 0) + slack[hot] for hot, cost in costs.items())
    if cap is not None and cap < top:
        top = cap
    level = levels[depth]
    if top <= level:
        return
    level += -(-(top - level) // left)
    levels[depth] = level
    for hot, cost in costs.items():
        if cost < level:
            more = level - cost - paid.get(hot, 0)
            if more > 0:
                slack[hot] -= more
                paid[hot] = level - cost


def _least_of_columns(rows: list[dict[int, int]]) -> dict[int, int]:
    least: dict[int, int] = {}
    for row in rows:
        for to, x in row.items():
            if to not in least or x < least[to]:
                least[to] = x
    return least


def _tree(stop: Stop) -> Back:
    assert stop.tree is not None
    return stop.tree
