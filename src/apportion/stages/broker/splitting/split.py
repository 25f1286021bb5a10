"""How many bytes go over which path: the exact optimum for least cost, least time, or the best of both.

All numbers are integers: bytes, microseconds, money in one fraction of an atom. Data goes in whole grains (segments);
what is left over, less than a grain, goes over one of the paths that are used.

For a set of paths and a time, filling the cheapest first is best. Which paths to use, where using one costs or binds
something, is found by branch and bound over a relaxation in which such a fee is spread over all that the path can carry
by then; in it at most one path is filled in part. More time never costs more, so the least time for a cost, and the
point where both regrets meet, are found by halving.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

SECOND = 1_000_000
EFFORT = 400_000  # paths looked at, all questions of one search together: about a second
_FINE = 128  # bits that keep unequal prices per grain apart
_FOREVER = 1 << 90


class Path(msgspec.Struct, frozen=True, gc=False):
    """A path: bytes a second, microseconds until its first byte, money a byte and once, bytes at least and at most.

    ``held`` bytes are on it now; where cost and time are the same they stay.
    """

    id: str
    rate: int
    start: int = 0
    price: int = 0
    setup: int = 0
    least: int = 0
    most: int = _FOREVER
    held: int = 0


class Bounds(msgspec.Struct, frozen=True, gc=False):
    """Hard limits, None for none: microseconds, money, paths."""

    deadline: int | None = None
    budget: int | None = None
    paths: int | None = None


class Split(msgspec.Struct, frozen=True, gc=False):
    """Bytes by path, in the order of the paths, their cost, and when the last of them is there."""

    amounts: tuple[int, ...]
    cost: int
    finish: int
    proven: bool = True


class _Field:
    """The paths as they stand at one moment: what each can carry by then, and what a grain costs on it."""

    def __init__(self, market: Market, time: int, tied: bool) -> None:
        self.market = market
        grain, odd = market.grain, market.odd
        self.units, self.room, self.floor = list[int](), list[bool](), list[int]()
        for path in market.paths:
            able = min(max(time - path.start, 0) * path.rate // SECOND, path.most, market.amount)
            units = able // grain
            floor = -(-path.least // grain)
            fits = units >= max(floor, 1) or (
                0 < odd <= able and max(-(-(path.least - odd) // grain), 0) * grain + odd <= able
            )
            self.units.append(units if fits else 0)
            self.room.append(fits and bool(odd) and able - units * grain >= odd)
            self.floor.append(floor)
        self.there = [bool(u) or r for u, r in zip(self.units, self.room, strict=True)]
        scale = market.ties if tied else 1
        self.scale = scale
        self.setups = [path.setup * scale for path in market.paths]
        self.prices = [path.price * grain * scale for path in market.paths]
        self.held = [path.held // grain if tied else 0 for path in market.paths]
        self.away = market.move if tied else 0
        self.ranks = range(len(self.prices)) if tied else [0] * len(self.prices)

    def outdoes(self, one: int, other: int) -> bool:
        """Whether one path can take the place of another at no more cost: who does without it needs no other either."""
        able = (self.units[one], self.room[one]) >= (self.units[other], self.room[other])
        fee = self.setups[one] <= self.setups[other]
        price = self.prices[one] + self.ranks[one] <= self.prices[other] + self.ranks[other]
        least = self.market.paths[one].least <= self.market.paths[other].least
        return able and fee and price and least and (not self.away or self.held[other] == 0)

    def fill(self, used: Sequence[int]) -> tuple[int, dict[int, int], int] | None:
        """The best for exactly these paths: its cost, grains by path, and the path of what is left over (or −1)."""
        grain, odd = self.market.grain, self.market.odd
        best = self._fill(used, -1)
        if odd:
            for at in used:
                least = self.market.paths[at].least
                if least and max(-(-(least - odd) // grain), 0) < self.floor[at]:
                    other = self._fill(used, at)
                    if other is not None and (best is None or other[0] < best[0]):
                        best = other
        return best

    def _fill(self, used: Sequence[int], holder: int) -> tuple[int, dict[int, int], int] | None:
        grain, odd, paths = self.market.grain, self.market.odd, self.market.paths
        took, left, cost = dict[int, int](), self.market.units, 0
        for at in used:
            least = paths[at].least - (odd if at == holder else 0)
            took[at] = max(-(-least // grain), 0)
            able = self.units[at] - (1 if at == holder and not self.room[at] else 0)
            if took[at] > able:
                return None
            left -= took[at]
            cost += self.setups[at]
        if left < 0:
            return None
        for _, at, until in sorted(part for one in used for part in self._parts(one)):
            able = until - (1 if at == holder and not self.room[at] and until == self.units[at] else 0)
            more = min(left, max(able - took[at], 0))
            took[at] += more
            left -= more
        if left:
            return None
        if odd and holder < 0:
            free = [at for at in used if took[at] < self.units[at] or self.room[at]]
            if not free:
                return None
            holder = min(free, key=lambda at: (self._odd(at, took[at]), at))
        cost += sum(self._cost(at, units) for at, units in took.items())
        return cost + (self._odd(holder, took[holder]) if odd else 0), took, holder

    def _parts(self, at: int) -> list[tuple[int, int, int]]:
        """A path's grains as (price, path, up to how many): those that are on it now, and the others."""
        price, held = self.prices[at] + self.ranks[at], min(self.held[at], self.units[at])
        found = [(price + self.away, at, self.units[at])]
        return [(price, at, held), *found] if held and self.away else found

    def _cost(self, at: int, units: int) -> int:
        return (self.prices[at] + self.ranks[at]) * units + self.away * max(units - self.held[at], 0)

    def _odd(self, at: int, units: int) -> int:
        """What the rest costs on a path that carries so many grains already."""
        path = self.market.paths[at]
        moved = path.held < units * self.market.grain + self.market.odd
        return path.price * self.market.odd * self.scale + self.ranks[at] + (self.away if moved else 0)


class _Search:
    """Branch and bound at one moment: ``best`` is the least cost found, ``used`` the paths that it takes."""

    def __init__(self, field: _Field, limit: int | None, enough: bool) -> None:
        self.field, self.market = field, field.market
        self.limit = limit  # nothing dearer is of interest
        self.enough = enough  # the first that is within the limit will do
        self.best: int | None = None
        self.found: tuple[dict[int, int], int] | None = None
        self.proven = True
        few = self.market.bounds.paths
        self.few = few if few is not None and few < sum(field.there) else None
        paths, there = self.market.paths, [at for at, is_there in enumerate(field.there) if is_there]
        free = [at for at in there if not (paths[at].setup or paths[at].least) and self.few is None]
        self.odd_least = self._odd_least(there)
        self._branch(free, [at for at in there if at not in set(free)])

    def _odd_least(self, there: list[int]) -> int:
        odd, scale = self.market.odd, self.field.scale
        return min((self.market.paths[at].price for at in there), default=0) * odd * scale if odd else 0

    def _branch(self, taken: list[int], open_: list[int]) -> None:
        """Everything below: with ``taken``, and with or without each of ``open_``. A stack of its own, not Python's."""
        waiting = [(taken, open_, -1)]
        while waiting:
            if self.enough and self.best is not None:
                return
            if self.market.effort <= 0:
                self.proven = False
                return
            taken, open_, without = waiting.pop()
            if without >= 0:
                open_ = [at for at in open_ if not self.field.outdoes(without, at)]
            self.market.effort -= 1 + len(taken) + len(open_)
            if self.few is not None:
                if len(taken) > self.few:
                    continue
                if len(taken) == self.few:
                    open_ = []
            relaxed = self._relaxed(taken, open_)
            if relaxed is None:
                continue
            bound, filled, partly = relaxed
            if not self._better(bound):
                continue
            used = [*taken, *filled]
            if self.few is None or len(used) <= self.few:
                self._try(used)
            if not open_:
                continue
            if self.field.market.odd and not used:  # the grains are none, or all taken care of
                partly = min(open_, key=lambda at: (self.field.setups[at], at))
            pick = partly if partly >= 0 else (filled or open_)[0]
            rest = [at for at in open_ if at != pick]
            waiting.append((taken, rest, pick))
            waiting.append(([*taken, pick], rest, -1))

    def _better(self, cost: int) -> bool:
        if self.limit is not None and cost > self.limit:
            return False
        return self.best is None or cost < self.best

    def _try(self, used: list[int]) -> None:
        made = self.field.fill(used)
        if made is not None and self._better(made[0]):
            self.best, self.found = made[0], (made[1], made[2])

    def _relaxed(self, taken: list[int], open_: list[int]) -> tuple[int, list[int], int] | None:
        """No less than this it costs; the open paths that it fills, and the one of them that it fills in part (or −1).

        None when even all of them can not carry it.
        """
        field, market = self.field, self.market
        if not market.odd or market.units:
            most = [field.units[at] for at in open_]
            if self.few is not None:
                most = sorted(most, reverse=True)[: self.few - len(taken)]
            if sum(field.units[at] for at in taken) + sum(most) < market.units:
                return None
        elif not taken and not open_:
            return None
        cost, left = self.odd_least + sum(field.setups[at] for at in taken), market.units
        offers = []
        for at in taken:
            least = max(-(-(market.paths[at].least - market.odd) // market.grain), 0)
            cost += (field.prices[at] + field.ranks[at]) * least
            left -= least
            offers.append(((field.prices[at] + field.ranks[at]) << _FINE, at, field.units[at] - least, 0))
        if left < 0:
            return None
        for at in open_:
            units = field.units[at]
            if units:
                price = field.prices[at] + field.ranks[at]
                offers.append((((price * units + field.setups[at]) << _FINE) // units, at, units, field.setups[at]))
        offers.sort()
        filled, partly, opened = list[int](), -1, set(open_)
        for _, at, units, setup in offers:
            more = min(left, units)
            if more <= 0:
                continue
            left -= more
            cost += (field.prices[at] + field.ranks[at]) * more + setup * more // units
            if at in opened:
                filled.append(at)
                partly = at if more < units else partly
        return (cost, filled, partly) if left <= 0 else None


class Market:
    """One question: ``amount`` bytes in grains over paths, within bounds."""

    def __init__(self, paths: Sequence[Path], amount: int, grain: int, bounds: Bounds, effort: int = EFFORT) -> None:
        self.paths, self.amount, self.grain, self.bounds = tuple(paths), amount, grain, bounds
        self.units, self.odd = divmod(amount, grain)
        self.effort, self.proven = effort, True
        self.move = (self.units + 1) * (len(self.paths) + 1)  # one grain moved weighs more than any order of ids
        self.ties = self.move * (self.units + 2) * 2

    def horizon(self) -> int:
        """When every path could have carried everything that it may; None of them takes longer for anything."""
        ends = [p.start - (-min(p.most, self.amount) * SECOND // p.rate) for p in self.paths if p.rate]
        return max(ends, default=0)

    def within(self, time: int, budget: int | None) -> bool:
        """Whether it can be done by then for at most that."""
        search = _Search(_Field(self, time, tied=False), budget, enough=True)
        self.proven = self.proven and search.proven
        return search.best is not None

    def cheapest(self, time: int) -> int | None:
        """The least cost of having it by then."""
        search = _Search(_Field(self, time, tied=False), None, enough=False)
        self.proven = self.proven and search.proven
        return search.best

    def soonest(self, budget: int | None, until: int) -> int | None:
        """The least time for at most that, if there is one up to ``until``."""
        if not self.within(until, budget):
            return None
        low, high = -1, until
        while high - low > 1:
            middle = (low + high) // 2
            if self.within(middle, budget):
                high = middle
            else:
                low = middle
        return high

    def split(self, time: int) -> Split:
        """The cheapest by then; of those the one that moves the least, then the one with most on the smaller ids."""
        self.effort = max(self.effort, EFFORT // 4)
        search = _Search(_Field(self, time, tied=True), None, enough=False)
        if search.found is None:  # the effort is spent: the first that comes
            self.effort = EFFORT
            search = _Search(_Field(self, time, tied=True), None, enough=True)
        assert search.found is not None, "it was found before"
        self.proven = self.proven and search.proven
        took, holder = search.found
        amounts = [took.get(at, 0) * self.grain + (self.odd if at == holder else 0) for at in range(len(self.paths))]
        return Split(tuple(amounts), self.cost(amounts), self.finish(amounts), self.proven)

    def cost(self, amounts: Sequence[int]) -> int:
        """What it costs to carry these."""
        return sum(p.setup + p.price * carried for p, carried in zip(self.paths, amounts, strict=True) if carried)

    def finish(self, amounts: Sequence[int]) -> int:
        """When the last of these is there."""
        return max((ends(p, carried) for p, carried in zip(self.paths, amounts, strict=True) if carried), default=0)


def ends(path: Path, carried: int) -> int:
    """When a path has carried so many bytes: its start, and the bytes by its rate, up to the next microsecond."""
    return path.start - (-carried * SECOND // path.rate)
