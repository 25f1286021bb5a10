"""Quotas: how much of what is requested the value pays for, in steps that get smaller near its end (RFC 8506 §8.17 ff).

A grant is a whole number of steps. Whoever calls says what a number of steps needs and what there is; both in atoms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from apportion.money import Exact

FEWEST = 8  # a grant may shrink to this fraction of what was requested before it takes all that is left
_STEPS = 32


class Quota(NamedTuple):
    """``steps`` granted, and whether they are ``final``: the value pays for no more."""

    steps: int
    final: bool


def steps_of(requested: dict[str, Exact]) -> tuple[int, dict[str, Exact]]:
    """Into how many steps a request is cut, and how much each is: whole units of a single measure where they fit."""
    if len(requested) == 1:
        measure, units = next(iter(requested.items()))
        if units >= Exact(_STEPS):
            return units.floor(), {measure: Exact(1)}
    return _STEPS, {measure: units.over(Exact(_STEPS)).reduced() for measure, units in requested.items()}


def grant(steps: int, fits: Callable[[int], bool], modest: Callable[[int], bool]) -> Quota:
    """The quota for a request of ``steps``.

    Args:
        fits: whether the value pays for so many steps; once false, it stays false.
        modest: whether they leave at least as much of the value as they take; what others may need meanwhile. It
            gives way once only an eighth of the request would be left.
    """
    most = steps if fits(steps) else _last(fits, steps)
    if most and not modest(most):
        fewest = max(1, steps // FEWEST)
        if most > fewest:
            return Quota(max(fewest, _last(modest, most)), False)
    return Quota(most, most < steps)


def _last(holds: Callable[[int], bool], beyond: int) -> int:
    """The largest number below ``beyond`` for which a condition holds; 0 when it holds for none above."""
    low, high = 0, beyond
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
