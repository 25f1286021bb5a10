"""Price ladders and increments, compiled to integers.

A quantity or amount travels as a pair ``(num, den)`` with ``den > 0``: building objects would cost more than the sums.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from apportion.money import Exact

Pair = tuple[int, int]
#: a tier as numbers: its upper bound (None: no end), price per unit, flat part
Step = tuple[Exact | None, Exact, Exact]


class Curve:
    """A piecewise linear price: zero at zero, else ``slope × quantity + base`` of the first row that reaches it."""

    __slots__ = ("_bounds", "_rows", "_scale", "ladder")

    def __init__(self, rows: Sequence[Step], ladder: Sequence[Step] = ()) -> None:
        self._bounds = math.lcm(*(upper.den for upper, _, _ in rows if upper is not None))
        self._scale = math.lcm(*(value.den for _, slope, base in rows for value in (slope, base)))
        self._rows = tuple(
            (
                None if upper is None else upper.num * (self._bounds // upper.den),
                slope.num * (self._scale // slope.den),
                base.num * (self._scale // base.den),
            )
            for upper, slope, base in rows
        )
        self.ladder = tuple(ladder)

    @property
    def slope(self) -> Pair | None:
        """(numerator, denominator) of the only price per unit, where there is no fixed part; else None."""
        upper, slope, base = self._rows[0]
        return (slope, self._scale) if upper is None and not base else None

    def at(self, num: int, den: int) -> Pair:
        """The amount for a quantity of zero or more."""
        if num <= 0:
            return 0, 1
        for upper, slope, base in self._rows:
            if upper is None or num * self._bounds <= upper * den:
                return slope * num + base * den, self._scale * den
        raise AssertionError("a ladder without an open last tier")

    @property
    def bounds(self) -> list[Exact]:
        """Where the price may jump: the upper ends of the tiers."""
        return [Exact(upper, self._bounds) for upper, _, _ in self._rows if upper is not None]

    @property
    def open_slope(self) -> Exact:
        """The price per unit at the far end."""
        return Exact(self._rows[-1][1], self._scale)


def straight(slope: Exact, base: Exact) -> Curve:
    """One price per unit, and a fixed part owed once there is anything."""
    return Curve([(None, slope, base)])


def volume(steps: Sequence[Step]) -> Curve:
    """The tier that holds the whole quantity prices all of it."""
    return Curve(steps, steps)


def graduated(steps: Sequence[Step]) -> Curve:
    """Every tier prices its own slice; flat parts of the tiers reached add up."""
    rows: list[Step] = []
    lower, owed = Exact(0), Exact(0)
    for upper, slope, flat in steps:
        base = (owed + flat - slope * lower).reduced()
        rows.append((upper, slope, base))
        if upper is not None:
            owed = (slope * upper + base).reduced()
            lower = upper
    return Curve(rows, steps)


class Increments:
    """Rounding up to whole increments: rows of (offset, first increment, further increments)."""

    __slots__ = ("_first", "_rows", "_scale", "_step")

    def __init__(self, rows: Sequence[tuple[Exact, Exact, Exact]]) -> None:
        self._scale = math.lcm(*(value.den for row in rows for value in row))
        whole = [tuple(value.num * (self._scale // value.den) for value in row) for row in rows]
        self._rows = tuple(reversed(whole)) if len(whole) > 1 else ()
        _, self._first, self._step = whole[0]

    @property
    def step(self) -> Exact:
        """The further increment of the first slot."""
        return Exact(self._step, self._scale)

    @property
    def grid(self) -> Exact:
        """The largest quantity of which every increment is a multiple."""
        sizes = [size for row in self._rows for size in row[1:]] or [self._first, self._step]
        return Exact(math.gcd(*sizes), self._scale)

    def billed(self, num: int, den: int) -> Pair:
        """The quantity in whole increments; nothing stays nothing."""
        if num <= 0:
            return 0, 1
        scale = self._scale
        num *= scale
        if self._rows:
            return self._slotted(num, den)
        first = self._first
        if num <= first * den:
            return first, scale
        step = self._step
        return first - (first * den - num) // (step * den) * step, scale

    def _slotted(self, num: int, den: int) -> Pair:
        for offset, first, step in self._rows:
            rest = num - offset * den
            if rest > 0:
                if rest <= first * den:
                    return offset + first, self._scale
                return offset + first - (first * den - rest) // (step * den) * step, self._scale
        raise AssertionError("the first slot starts at zero")

    def further(self, num: int, den: int) -> Pair:
        """Whole further increments that cover a quantity above zero."""
        return -(-num * self._scale // (self._step * den)) * self._step, self._scale
