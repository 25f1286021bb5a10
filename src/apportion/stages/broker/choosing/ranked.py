"""One part alone: its options ranked once by an aim, then asked again and again under different limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from apportion.stages.broker.choosing.dominance import Front
from apportion.stages.broker.choosing.fold import folded, levels_of, levels_of_sums, precision, scales_of
from apportion.stages.broker.choosing.question import FEE, Aim, Bounds, Choice, Option, Question, Sums
from apportion.stages.broker.choosing.whole import whole

_BLOCK = 32


class _Block(msgspec.Struct, frozen=True):
    """Some options in rank order: fee, how far costs exceed the net, latency, availability, place; and the least of
    each, so that a block in which nothing can fit is passed over."""

    fee: int
    short: int
    latency: int
    up: int
    rows: list[tuple[int, int, int, int, int]]


class Ranked:
    """The options of one part, best first, without those that another is better than under every limit.

    Set-ups are added to their options; ``base`` is what the plan has before. With ``thin`` False nothing is dropped,
    which is quicker when it is asked once.
    """

    def __init__(
        self,
        options: Sequence[Option],
        aim: Aim,
        setups: Mapping[str, Sums] | None = None,
        base: Sums | None = None,
        *,
        thin: bool = True,
    ) -> None:
        self._question = Question(options=(tuple(options),), base=base or Sums(), setups=dict(setups or {}))
        self._aim = aim
        self._known: dict[int, Choice] = {}
        self._width = precision(one.availability for one in options)
        keys = self._keys()
        order = sorted(range(len(options)), key=lambda place: (keys[place], options[place].id))
        rows = self._rows(order)
        self._blocks = [_block(rows[at : at + _BLOCK]) for at in range(0, len(rows), _BLOCK)]
        if thin:
            rows = self._thinned(rows)
            self._blocks = [_block(rows[at : at + _BLOCK]) for at in range(0, len(rows), _BLOCK)]

    def _keys(self) -> list[int]:
        options, setups, aim = self._question.options[0], self._question.setups, self._aim or ((),)
        levels = levels_of(options, aim)
        if setups:
            extra = {name: levels_of_sums(sums, aim) for name, sums in setups.items()}
            none = (0,) * len(aim)
            for at, column in enumerate(levels):
                levels[at] = [v + extra.get(o.provider, none)[at] for v, o in zip(column, options, strict=True)]
        return folded(levels, scales_of([max(of) - min(of) if of else 0 for of in levels]))

    def _rows(self, order: list[int]) -> list[tuple[int, int, int, int, int]]:
        options, base, setups = self._question.options[0], self._question.base, self._question.setups
        none, width, rows = Sums(), self._width, []
        for place in order:
            one = options[place]
            setup = setups.get(one.provider, none) if setups else none
            fee = one.fee + base.fee + setup.fee
            short = one.cost - one.net + base.cost - base.net + setup.cost - setup.net
            num, den = one.availability
            rows.append((fee, short, one.latency, -((num << width) // den), place))
        return rows

    def _thinned(self, rows: list[tuple[int, int, int, int, int]]) -> list[tuple[int, int, int, int, int]]:
        aim = self._aim
        start = 1 if aim and len(aim[0]) == 1 and aim[0][0][0] == FEE and aim[0][0][1] > 0 else 0
        front, kept = Front(4 - start), []
        for row in rows:
            point = row[start:4]
            if not front.covers(point):
                front.add(point)
                kept.append(row)
        return kept

    def place(self, bounds: Bounds) -> int | None:
        """The place of the best option within the limits, None when none is."""
        if bounds.per_provider is not None and bounds.per_provider < 1:
            return None
        num, den = bounds.availability or (0, 0)
        fee, latency, margin = bounds.fee, bounds.latency, bounds.margin
        up = -((num << self._width) // den) if den else 0
        for block in self._blocks:
            if (
                (fee is not None and block.fee > fee)
                or (margin is not None and block.short > -margin)
                or (latency is not None and block.latency > latency)
                or (den and block.up > up)
            ):
                continue
            for f, s, t, u, place in block.rows:
                if (
                    (latency is None or t <= latency)
                    and (not den or u <= up)
                    and (fee is None or f <= fee)
                    and (margin is None or s <= -margin)
                    and (not den or u < up or self._reaches(place, num, den))
                ):
                    return place
        return None

    def _reaches(self, place: int, num: int, den: int) -> bool:
        """The exact comparison, for an availability that looks like the limit."""
        have, of = self._question.options[0][place].availability
        return have * den >= num * of

    def best(self, bounds: Bounds) -> Choice | None:
        """The best option within the limits as a plan of one part, None when none is."""
        place = self.place(bounds)
        if place is None:
            return None
        known = self._known.get(place)
        if known is None:
            known = self._known[place] = whole(self._question, self._aim, (place,), (), True)
        return known


def _block(rows: list[tuple[int, int, int, int, int]]) -> _Block:
    fees, shorts, latencies, ups, _ = map(min, zip(*rows, strict=True))
    return _Block(fees, shorts, latencies, ups, rows)
