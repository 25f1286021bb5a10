"""The tail: the last two parts taken together, so that the search ends one short scan earlier.

Pairs of their items are made once, those dropped that another pair is better than, and sorted by the scalar: for any
beginning the first pair that keeps the limits is the best. A set-up counts in full in the common list; pairs with an
item of a provider that is paid already have lists of their own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

from apportion.stages.broker.choosing.dominance import Front
from apportion.stages.broker.choosing.field import Item
from apportion.stages.broker.choosing.question import AVAILABILITY
from apportion.stages.broker.choosing.route import Route

#: scalar, limited sums and −(numerator over the common denominator), the two items
Pair = tuple[int, tuple[int, ...], Item, Item]
_PAIRS = 10_000
_BITS = 256


class Tail:
    """The pairs of the last two parts of a route; ``depth`` is that of the first of them."""

    def __init__(self, route: Route, availabilities: Sequence[Sequence[tuple[int, int]]]) -> None:
        self.field, self.depth = route.field, len(route.stops) - 2
        self._one, self._two = (stop.items for stop in route.stops[-2:])
        self._sums = [at for at, name in enumerate(self.field.names) if name != AVAILABILITY]
        self._setups = [setup or (0, (0,) * len(self.field.limits)) for setup in self.field.setups]
        self._free = (0, (0,) * len(self.field.limits))
        #: by depth and place the numerator of the availability over a denominator common to the part
        self.ups: list[dict[int, int]] = []
        self._least, self._scale = self.field.least or (0, 1)
        if self.field.least is not None:
            for stop in route.stops:
                fractions = {item.place: availabilities[stop.part][item.place] for item in stop.items}
                common = math.lcm(*(den for _, den in fractions.values()))
                self.ups.append({place: num * (common // den) for place, (num, den) in fractions.items()})
                self._least *= common
        self._all = self._thinned(itertools.product(self._one, self._two), frozenset())
        self._of: dict[int, list[Pair]] = {}

    def _pair(self, one: Item, two: Item, paid: frozenset[int]) -> Pair:
        due = {hot for hot in (one.hot, two.hot) if hot >= 0} - paid
        effects = [self._setups[hot] for hot in due]
        key = one.key + two.key + sum(effect[0] for effect in effects)
        uses = [one.uses[at] + two.uses[at] + sum(effect[1][at] for effect in effects) for at in self._sums]
        if self.ups:
            uses.append(-self.ups[self.depth][one.place] * self.ups[self.depth + 1][two.place])
        return key, tuple(uses), one, two

    def _thinned(self, pairs: Iterable[tuple[Item, Item]], paid: frozenset[int]) -> list[Pair]:
        made = sorted((self._pair(one, two, paid) for one, two in pairs), key=lambda pair: pair[0])
        front, kept = Front(len(self._sums) + bool(self.ups)), []
        for pair in made:
            if not front.covers(pair[1]):
                front.add(pair[1])
                kept.append(pair)
        return kept

    def _lists(self, opened: Sequence[int]) -> Iterator[list[Pair]]:
        """Every pair at what it costs after the set-ups of ``opened`` were paid, or at more and again at that."""
        yield self._all
        for hot in opened:
            if hot not in self._of:
                mine = [(one, two) for one in self._one if one.hot == hot for two in self._two]
                mine += [(one, two) for two in self._two if two.hot == hot for one in self._one if one.hot != hot]
                self._of[hot] = self._thinned(mine, frozenset((hot,)))
            yield self._of[hot]
        for a, b in itertools.permutations(opened, 2):
            ones, twos = [i for i in self._one if i.hot == a], [i for i in self._two if i.hot == b]
            if ones and twos:
                yield self._thinned(itertools.product(ones, twos), frozenset((a, b)))

    def best(
        self, picked: Sequence[Item], used: Sequence[int], opened: Sequence[int], below: int
    ) -> tuple[Pair | None, int]:
        """The pair of least scalar under ``below`` with which a beginning keeps all limits, and how many were seen."""
        room = [self.field.limits[at] - used[at] for at in self._sums]
        if self.ups:
            have = self._scale
            for ups, item in zip(self.ups, picked, strict=False):
                have *= ups[item.place]
            if have <= 0:
                return None, 1
            room.append(self._least // -have)  # −⌈least ÷ have⌉
        found: Pair | None = None
        seen = 0
        for pairs in self._lists(opened):
            place = _first(pairs, room, below)
            seen += place + 1
            if place < len(pairs) and pairs[place][0] < below:
                found, below = pairs[place], pairs[place][0]
        return found, seen


def _first(pairs: list[Pair], room: list[int], below: int) -> int:
    """The place of the first pair that fits, or where none can any more."""
    if len(room) == 2:
        one, two = room
        for place, (key, uses, _, _) in enumerate(pairs):
            if key >= below or (uses[0] <= one and uses[1] <= two):
                return place
        return len(pairs)
    for place, (key, uses, _, _) in enumerate(pairs):
        if key >= below or all(map(int.__le__, uses, room)):
            return place
    return len(pairs)


def tail_of(route: Route, availabilities: Sequence[Sequence[tuple[int, int]]]) -> Tail | None:
    """The tail of a route, None where its last two parts depend on more than set-ups or are too large."""
    field, last = route.field, route.stops[-2:]
    if len(route.stops) < 3 or field.deals or not all(stop.plain for stop in last):
        return None
    if any(field.links[stop.part] for stop in last) or len(last[0].items) * len(last[1].items) > _PAIRS:
        return None
    hots = {item.hot for stop in last for item in stop.items if item.hot >= 0}
    if hots & field.capped or any(min((s[0], *s[1])) < 0 for hot in hots if (s := field.setups[hot]) is not None):
        return None
    dens = {den for options in availabilities for _, den in options} if field.least is not None else {1}
    if math.lcm(*dens).bit_length() > _BITS:
        return None
    return Tail(route, availabilities)
