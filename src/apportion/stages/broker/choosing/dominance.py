"""Dominance: options that can not be in the best plan, because another is better wherever the first could stand.

Between options of one provider, or of providers that matter for their own part alone, that is a plain comparison. Where
the provider matters elsewhere the one that replaces is taken at its dearest (its set-up is new) and the one replaced at
its cheapest (its set-up was paid anyway, or its bundle is lost), number by number. Only options with the same crossings
of every link replace each other, and one whose provider could get too many parts replaces none of another provider.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from apportion.stages.broker.choosing.field import Deal, Effect

#: with three sums and more an option is compared with so many of the best only: the rest is kept, which is sound
_COMPARED = 200


class Front:
    """Points of which none is at most another in every coordinate; asks whether one of them is at most a new one."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.points: list[tuple[int, ...]] = []
        self._xs: list[int] = []
        self._ys: list[int] = []

    def covers(self, point: tuple[int, ...]) -> bool:
        """Whether a point of the front is at most ``point`` in every coordinate."""
        if self.width == 0:
            return bool(self.points)
        if self.width == 1:
            return bool(self.points) and self.points[0][0] <= point[0]
        if self.width == 2:
            at = bisect_right(self._xs, point[0])
            return at > 0 and self._ys[at - 1] <= point[1]
        if self.width == 3:
            x, y, z = point
            for a, b, c in self.points:
                if a <= x and b <= y and c <= z:
                    return True
            return False
        return any(all(map(int.__le__, one, point)) for one in self.points)

    def add(self, point: tuple[int, ...]) -> None:
        """Take up a point."""
        if self.covers(point):
            return
        if self.width <= 1:
            self.points = [point]
        elif self.width == 2:
            x, y = point
            at = bisect_right(self._xs, x - 1)
            end = at
            while end < len(self._ys) and self._ys[end] >= y:
                end += 1
            self._xs[at:end], self._ys[at:end] = [x], [y]
        elif len(self.points) < _COMPARED:
            self.points.append(point)


class Dear:
    """How much a provider can make its options dearer or cheaper than they look."""

    def __init__(self, setups: Sequence[Effect | None], deals: Sequence[Deal], capped: frozenset[int]) -> None:
        self.capped = capped
        self._setups = setups
        self._deals: dict[tuple[int, int], list[Deal]] = {}
        for deal in deals:
            for part in deal.parts:
                self._deals.setdefault((part, deal.hot), []).append(deal)

    def most(self, hot: int, at: Sequence[int]) -> tuple[int, tuple[int, ...]]:
        """What the provider's set-up adds when it is new: to the scalar, to each of the sums ``at``."""
        setup = self._setups[hot]
        if setup is None:
            return 0, (0,) * len(at)
        return max(0, setup[0]), tuple(max(0, setup[1][i]) for i in at)

    def least(self, part: int, hot: int, at: Sequence[int]) -> tuple[int, tuple[int, ...]]:
        """What an option gains at most by being of this provider: a set-up below zero, a bundle; never above 0."""
        setup, deals = self._setups[hot], self._deals.get((part, hot), ())
        key = min(0, setup[0]) if setup else 0
        key -= max((deal.saves[0] for deal in deals if deal.saves[0] > 0), default=0)
        uses = [min(0, setup[1][i]) if setup else 0 for i in at]
        for place, i in enumerate(at):
            uses[place] -= max((deal.saves[1][i] for deal in deals if deal.saves[1][i] > 0), default=0)
        return key, tuple(uses)


def undominated(
    part: int,
    alive: list[int],
    keys: list[int],
    ranks: list[int],
    uses: list[list[int]],
    hot: list[int],
    classes: Sequence[tuple[int, ...] | None],
    dear: Dear,
    at: Sequence[int],
) -> list[int]:
    """The places of the options of a part that may be in the best plan.

    ``uses`` are columns, one for each limited sum; ``at`` which sums of an effect they are. Ties of the scalar go to
    the lower rank.
    """
    points: list[tuple[int, ...]] = list(zip(*uses, strict=True)) if uses else [()] * len(keys)
    groups: dict[tuple[int, ...] | None, list[int]] = {}
    for place in alive:
        groups.setdefault(classes[place], []).append(place)
    kept: list[int] = []
    for group in groups.values():
        group.sort(key=lambda place: (keys[place], ranks[place]))
        if any(hot[place] >= 0 for place in group):
            own = _within_providers(group, points, hot)
            kept += _across(part, own, keys, ranks, points, hot, dear, at)
        else:
            front = Front(len(uses))
            for place in group:
                if not front.covers(points[place]):
                    front.add(points[place])
                    kept.append(place)
    return kept


def _within_providers(group: list[int], points: list[tuple[int, ...]], hot: list[int]) -> list[int]:
    """Drop what another option of the same provider is better than; all that are cold count as one."""
    fronts: dict[int, Front] = {}
    kept: list[int] = []
    for place in group:
        front = fronts.setdefault(hot[place], Front(len(points[place])))
        if not front.covers(points[place]):
            front.add(points[place])
            kept.append(place)
    return kept


def _across(
    part: int,
    group: list[int],
    keys: list[int],
    ranks: list[int],
    points: list[tuple[int, ...]],
    hot: list[int],
    dear: Dear,
    at: Sequence[int],
) -> list[int]:
    """Drop what an option of another provider is better than even at its dearest."""
    width = len(at)
    added: list[tuple[int, int, tuple[int, ...]]] = []
    asked: list[tuple[int, int, tuple[int, ...], int]] = []
    worst: dict[int, tuple[int, tuple[int, ...]]] = {}
    best: dict[int, tuple[int, tuple[int, ...]]] = {}
    for place in group:
        h, key, point = hot[place], keys[place], points[place]
        if h < 0:
            added.append((key, ranks[place], point))
            asked.append((key, ranks[place], point, place))
            continue
        if h not in worst:
            worst[h], best[h] = dear.most(h, at), dear.least(part, h, at)
        low, less = best[h]
        asked.append((key + low, ranks[place], tuple(map(int.__add__, point, less)), place))
        if h not in dear.capped:
            high, more = worst[h]
            added.append((key + high, ranks[place], tuple(map(int.__add__, point, more))))
    added.sort()
    asked.sort()
    front, seen = Front(width), 0
    kept: list[int] = []
    for low, rank, point, place in asked:
        while seen < len(added) and added[seen][:2] < (low, rank):
            front.add(added[seen][2])
            seen += 1
        if not front.covers(point):
            kept.append(place)
    return kept
