"""The search: depth first, part by part, cheapest first, leaving what can not be better than the best plan known.

It ends with the optimum, or when its steps are used up. A step is one item looked at, or one bundle.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from apportion.stages.broker.choosing.bounds import Prices, Tables
from apportion.stages.broker.choosing.field import Deal, Item
from apportion.stages.broker.choosing.question import AVAILABILITY
from apportion.stages.broker.choosing.route import Back, Route
from apportion.stages.broker.choosing.tail import Tail, tail_of

#: sets of bundles that are tried for one plan
_PACKINGS = 5_000


class Plan(msgspec.Struct, frozen=True):
    """A plan that fits: its key, the place of each part's option, the bundles taken (indices in the question)."""

    key: int
    places: tuple[int, ...]
    taken: tuple[int, ...]


class Search:
    """One search over a field. ``best`` is the best plan so far, ``left`` the steps that may still be taken.

    ``cut`` says that the bundles of some plan were too many to try every set.
    """

    def __init__(self, route: Route, availabilities: Sequence[Sequence[tuple[int, int]]], steps: int) -> None:
        self.route, self.field = route, route.field
        self.left = steps
        self.cut = False
        self.best: Plan | None = None
        self.below = route.field.ceiling
        self.availabilities = availabilities
        self.deals: dict[int, list[Deal]] = {}
        for deal in route.field.deals:
            self.deals.setdefault(deal.hot, []).append(deal)
        self.sums = [at for at, name in enumerate(route.field.names) if name != AVAILABILITY]

    # ── one whole plan ──

    def consider(self, picked: Sequence[Item]) -> bool:
        """Look at a whole plan, items by depth; keep it when it fits and is better. Says whether it fits."""
        found = self._whole(picked)
        if found is None:
            return False
        if found.key < self.below:
            self.best, self.below = found, found.key
        return True

    def _whole(self, picked: Sequence[Item]) -> Plan | None:
        field = self.field
        key, uses = 0, [0] * len(field.limits)
        counts: dict[int, int] = {}
        for item in picked:
            key += item.key
            uses = list(map(int.__add__, uses, item.uses))
            if item.hot >= 0:
                counts[item.hot] = counts.get(item.hot, 0) + 1
        for hot, count in counts.items():
            if field.cap is not None and count > field.cap:
                return None
            setup = field.setups[hot]
            if setup is not None:
                key += setup[0]
                uses = list(map(int.__add__, uses, setup[1]))
        for depth, stop in enumerate(self.route.stops):
            for back in (stop.tree, *stop.others) if stop.tree else ():
                assert back is not None
                effect = back.table[picked[back.depth].at[back.slot]].get(picked[depth].at[back.own])
                if effect is None:
                    return None
                key += effect[0]
                uses = list(map(int.__add__, uses, effect[1]))
        places = [0] * len(picked)
        for item, stop in zip(picked, self.route.stops, strict=True):
            places[stop.part] = item.place
        if field.least is not None and not self._available(places):
            return None
        return self._bundled(key, uses, tuple(places), [item.hot for item in picked], counts)

    def _available(self, places: Sequence[int]) -> bool:
        """Whether the exact product of the availabilities reaches the limit."""
        assert self.field.least is not None
        low, high = self.field.least
        for options, place in zip(self.availabilities, places, strict=True):
            num, den = options[place]
            high *= num
            low *= den
        return high >= low

    def _bundled(
        self, key: int, uses: list[int], places: tuple[int, ...], hots: list[int], counts: dict[int, int]
    ) -> Plan | None:
        """The best set of bundles that share no part: least key within the limits, then fewest, then first."""
        depth = self.route.depth
        open_deals = [
            deal
            for hot in sorted(counts)
            for deal in self.deals.get(hot, ())
            if all(hots[depth[part]] == hot for part in deal.parts)
        ]
        self.left -= sum(len(self.deals.get(hot, ())) for hot in counts) // 4
        room = [limit - use for limit, use in zip(self.field.limits, uses, strict=True)]
        if not open_deals:
            return Plan(key, places, ()) if all(room[at] >= 0 for at in self.sums) else None
        open_deals.sort(key=lambda deal: deal.index)
        return _Packing(self, open_deals).best(key, room, places)

    # ── the search ──

    def run(self, tables: Sequence[Tables]) -> bool:
        """Search everything below the tables of each depth; False when the steps ran out."""
        return _Descent(self, tables).run()


class _Packing:
    """Which bundles are taken in a plan whose parts are all decided."""

    def __init__(self, search: Search, deals: list[Deal]) -> None:
        self.search, self.deals = search, deals
        self.gains = [0] * (len(deals) + 1)  # what the bundles from here on can still save, at most
        for at in range(len(deals) - 1, -1, -1):
            self.gains[at] = self.gains[at + 1] + max(0, deals[at].saves[0])

    def best(self, key: int, room: list[int], places: tuple[int, ...]) -> Plan | None:
        """Try every set that can still be better; taken is tried before left."""
        search, deals, sums, steps = self.search, self.deals, self.search.sums, 0
        found: tuple[int, int, tuple[int, ...]] | None = None
        stack: list[tuple[int, int, list[int], tuple[int, ...], frozenset[int]]] = [(0, key, room, (), frozenset())]
        while stack:
            at, now, rest, taken, used = stack.pop()
            steps += 1
            if steps > _PACKINGS:
                search.cut = True
                break
            if now - self.gains[at] >= search.below or (found is not None and now - self.gains[at] > found[0]):
                continue
            if at == len(deals):
                rank = (now, len(taken), taken)
                if all(rest[i] >= 0 for i in sums) and (found is None or rank < found):
                    found = rank
                continue
            deal = deals[at]
            stack.append((at + 1, now, rest, taken, used))
            if used.isdisjoint(deal.parts):
                more = list(map(int.__add__, rest, deal.saves[1]))
                stack.append((at + 1, now - deal.saves[0], more, (*taken, deal.index), used.union(deal.parts)))
        search.left -= steps
        return Plan(found[0], places, found[2]) if found is not None else None


class _Descent:
    """The state of a search on its way down: by depth what was picked and what it has come to."""

    def __init__(self, search: Search, tables: Sequence[Tables]) -> None:
        self.search, self.tables = search, tables
        self.prices: Prices = tables[0].prices
        self.route, self.field = search.route, search.field
        count = len(self.route.stops)
        self.picked: list[Item] = []
        self.spent = [0] * (count + 1)
        self.spent[0] = -self.prices.offset
        self.used: list[tuple[int, ...]] = [(0,) * len(self.field.limits)] * (count + 1)
        self.counts = [0] * len(self.field.setups)
        self.rest = self._rest()
        self._sorted: dict[tuple[int, int], list[tuple[int, int, Item]]] = {}
        self.tail = tail_of(self.route, search.availabilities)
        # providers whose choice makes others of their items cheaper
        self._weighty = {hot for hot, setup in enumerate(self.field.setups) if setup or hot in search.deals}

    def _rest(self) -> list[list[int]]:
        """For each depth how much of each limit the parts before it may have used."""
        field, count = self.field, len(self.route.stops)
        rest = [list(field.limits) for _ in range(count + 1)]
        for at in range(len(field.limits)):
            for depth in range(count - 1, -1, -1):
                stop = self.route.stops[depth]
                least = min(self._optimistic(depth, at))
                for back in (stop.tree, *stop.others) if stop.tree else ():
                    assert back is not None
                    least += min((e[1][at] for row in back.table for e in row.values()), default=0)
                rest[depth][at] = rest[depth + 1][at] - least
        return rest

    def _optimistic(self, depth: int, at: int) -> list[int]:
        stop, setups = self.route.stops[depth], self.field.setups
        found = [item.uses[at] for item in stop.items]
        if not setups:
            return found
        for place, item in enumerate(stop.items):
            setup = setups[item.hot] if item.hot >= 0 else None
            if setup is not None:
                found[place] += min(0, setup[1][at])
            if item.hot in stop.closing:
                found[place] -= max(0, max(deal.saves[1][at] for deal in stop.closing[item.hot]))
        return found

    def run(self) -> bool:
        """Go down, look, come back."""
        search, count = self.search, len(self.route.stops)
        ways: list[list[tuple[int, int, Item]]] = [[]] * count
        at = [0] * count
        floor = [0] * count
        depth = 0
        entered = self._enter(0, ways, floor)
        at[0] = 0
        if not entered:
            return True
        while depth >= 0:
            way = ways[depth]
            place = at[depth]
            if place >= len(way) or floor[depth] + way[place][0] >= search.below:
                depth -= 1
                if depth >= 0:
                    self._undo()
                continue
            search.left -= 1
            if search.left < 0:
                return False
            at[depth] = place + 1
            if not self._take(depth, way[place]):
                continue
            if depth + 1 == count:
                search.consider(self.picked)
                self._undo()
            elif self._enter(depth + 1, ways, floor):
                depth += 1
                at[depth] = 0
            else:
                self._undo()
        return search.left >= 0

    def _undo(self) -> None:
        item = self.picked.pop()
        if item.hot >= 0:
            self.counts[item.hot] -= 1

    def _take(self, depth: int, way: tuple[int, int, Item]) -> bool:
        """Add an item to the plan unless it breaks a limit or does not fit; False then."""
        _, cost, item = way
        stop, hot = self.route.stops[depth], item.hot
        used = self.used[depth]
        if hot >= 0:
            count, field = self.counts[hot], self.field
            if field.cap is not None and count >= field.cap and hot in field.capped:
                return False
            setup = field.setups[hot]
            if count == 0 and setup is not None:
                cost += self.prices.setups[hot]
                used = tuple(map(int.__add__, used, setup[1]))
            if hot in stop.closing:
                deals = self._live(stop.closing[hot], hot, depth)
                if deals:
                    cost -= max(self.prices.saves[deal.index] for deal in deals)
                    most = [max(0, *column) for column in zip(*(deal.saves[1] for deal in deals), strict=True)]
                    used = tuple(map(int.__sub__, used, most))
        if stop.tree is not None:
            for which, back in enumerate((stop.tree, *stop.others)):
                effect = back.table[self.picked[back.depth].at[back.slot]].get(item.at[back.own])
                if effect is None:
                    return False
                if which:
                    cost += self.prices.reduced(effect)
                used = tuple(map(int.__add__, used, effect[1]))
        used = tuple(map(int.__add__, used, item.uses))
        if any(map(int.__gt__, used, self.rest[depth + 1])):
            return False
        self.used[depth + 1] = used
        self.spent[depth + 1] = self.spent[depth] + cost
        self.picked.append(item)
        if hot >= 0:
            self.counts[hot] += 1
        return True

    def _live(self, deals: list[Deal], hot: int, before: int) -> list[Deal]:
        """The bundles of which the provider has every part before a depth."""
        self.search.left -= len(deals)
        picked, depth = self.picked, self.route.depth
        return [deal for deal in deals if all(depth[p] >= before or picked[depth[p]].hot == hot for p in deal.parts)]

    def _enter(self, depth: int, ways: list[list[tuple[int, int, Item]]], floor: list[int]) -> bool:
        """Prepare the items of a depth; False when nothing below can be better than what is known."""
        tables, stop = self.tables[depth], self.route.stops[depth]
        tail = tables.base[depth]
        for later in self.route.frontier[depth]:
            back = self._tree(later)
            tail += tables.over[later][self.picked[back.depth].at[back.slot]]
        eased = 0
        if self._weighty and self.picked:
            less, own, eased = self._ease(depth, tables)
            tail -= less
        else:
            own = 0
        if self.spent[depth] + tail >= self.search.below:
            return False
        if self.tail is not None and depth == self.tail.depth:
            self._end(self.tail)
            return False
        at = -1
        low = tables.low[depth]
        if stop.tree is not None:
            at = self.picked[stop.tree.depth].at[stop.tree.slot]
            low = tables.over[depth][at]
        ways[depth] = self._ways(depth, at)
        floor[depth] = self.spent[depth] + tail - low + own - eased
        return True

    def _end(self, tail: Tail) -> None:
        """Finish a plan by its best pair of last items."""
        depth, setups = tail.depth, self.field.setups
        opened = sorted({item.hot for item in self.picked if item.hot >= 0 and setups[item.hot] is not None})
        used = self.used[depth]
        # what it comes to without multipliers
        key = self.spent[depth] + self.prices.offset - sum(map(int.__mul__, self.prices.rates, used))
        key -= sum(self.prices.tolls.get(item.hot, 0) for item in self.picked)
        pair, seen = tail.best(self.picked, used, opened, self.search.below - key)
        self.search.left -= 1 + seen // 8
        if pair is not None:
            self.search.consider([*self.picked, *pair[2:]])

    def _tree(self, depth: int) -> Back:
        tree = self.route.stops[depth].tree
        assert tree is not None
        return tree

    def _ease(self, depth: int, tables: Tables) -> tuple[int, int, int]:
        """How much less the rest may add as providers were chosen before: in all, here, at most for one item here."""
        opened = {item.hot for item in self.picked if item.hot in self._weighty}
        if not opened:
            return 0, 0, 0
        self.search.left -= len(opened) * (len(self.route.stops) - depth) // 8
        total, own, here = 0, 0, 0
        for later in range(depth, len(self.route.stops)):
            stop, eased = self.route.stops[later], tables.eased[later]
            less = most = 0
            for hot in opened:
                if hot not in eased:
                    continue
                saved = 0
                if hot in stop.closing:
                    saves = self.prices.saves
                    live = self._live(stop.closing[hot], hot, depth)
                    saved = max((saves[deal.index] for deal in live), default=0)
                drop = eased[hot] + saved
                most = max(most, drop)
                if stop.plain:
                    less = max(less, tables.low[later] - tables.opened[later][hot] + saved)
            if not stop.plain:
                less = most
            total += less
            if later == depth:
                own, here = less, most
        return total, own, here

    def _ways(self, depth: int, at: int) -> list[tuple[int, int, Item]]:
        """The items of a depth after an item of class ``at``: floor, cost, item, by their floors."""
        known = self._sorted.get((depth, at))
        if known is not None:
            return known
        stop, floors, costs = self.route.stops[depth], self.tables[depth].floors[depth], self.prices.costs[depth]
        found: list[tuple[int, int, Item]]
        if stop.tree is None:
            found = list(zip(floors, costs, stop.items, strict=True))
        else:
            row, own = self.prices.trees[depth][at], stop.tree.own
            found = []
            for floor, cost, item in zip(floors, costs, stop.items, strict=True):
                x = row.get(item.at[own])
                if x is not None:
                    found.append((floor + x, cost + x, item))
        found.sort(key=lambda way: way[0])
        self._sorted[depth, at] = found
        return found
