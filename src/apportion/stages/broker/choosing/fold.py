"""Folding: the levels of an aim become one integer, an availability becomes integers that can be compared and added."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

from apportion.stages.broker.choosing.question import (
    AVAILABILITY,
    COST,
    FEE,
    LATENCY,
    NET,
    POINTS,
    RANK,
    Aim,
    Option,
    Sums,
)

_OF_SUMS = (FEE, NET, COST)
_TERMS = (FEE, NET, COST, POINTS, RANK, LATENCY, AVAILABILITY)
_SERIES = 64


def levels_of(options: Sequence[Option], aim: Aim, bits: int = 0) -> list[list[int]]:
    """For each level of the aim the value of each option.

    ``bits`` is the precision of the term ``availability`` (its loss), which only the search for a near miss uses.
    """
    found: list[list[int]] = []
    for level in aim:
        column: list[int] | None = None
        for term, weight in level:
            if term not in _TERMS:
                raise ValueError(f"an aim has no term {term!r}; terms are {', '.join(_TERMS[:-1])}")
            values = (
                [loss(*o.availability, bits) for o in options]
                if term == AVAILABILITY
                else list(map(attrgetter(term), options))
            )
            if weight != 1:
                values = [weight * value for value in values]
            column = values if column is None else [a + b for a, b in zip(column, values, strict=True)]
        found.append(column if column is not None else [0] * len(options))
    return found


def levels_of_sums(sums: Sums, aim: Aim) -> tuple[int, ...]:
    """The same of what a set-up, a crossing or a bundle adds."""
    return tuple(sum(weight * getattr(sums, term) for term, weight in level if term in _OF_SUMS) for level in aim)


def folded(levels: Sequence[Sequence[int]], scales: Sequence[int]) -> list[int]:
    """One integer per option that orders as its levels do; ``scales`` as ``scales_of`` gives them."""
    if len(levels) == 1:
        scale = scales[0]
        return [value * scale for value in levels[0]] if scale != 1 else list(levels[0])
    return [sum(map(int.__mul__, values, scales)) for values in zip(*levels, strict=True)]


def scales_of(spreads: Sequence[int]) -> list[int]:
    """What to multiply each level by: more than everything below it can ever differ by."""
    scales = [1] * len(spreads)
    for at in range(len(spreads) - 2, -1, -1):
        scales[at] = scales[at + 1] * (spreads[at + 1] + 1)
    return scales


# ── availability ──


def precision(availabilities: Iterable[tuple[int, int]]) -> int:
    """Bits after the point with which two different fractions of these never look alike."""
    return 2 * max((den.bit_length() for _, den in availabilities), default=1)


def loss(num: int, den: int, bits: int) -> int:
    """−ln(num/den) in 2⁻ᵇⁱᵗˢ, never too high: by the series of ln(1 − u), each step rounded down.

    A higher availability never has a higher loss.
    """
    u = ((den - num) << bits) // den
    if u <= 0:
        return u
    total, power, k = 0, u, 1
    while power and k <= _SERIES + bits:
        total += power // k
        power = power * u >> bits
        k += 1
    return total


def loss_at_most(num: int, den: int, bits: int) -> int:
    """−ln(num/den) in 2⁻ᵇⁱᵗˢ, never too low; ``num`` is above 0."""
    if num >= den:
        return -(((num - den) << bits) // num)
    u = -((-(den - num) << bits) // den)
    total, power, k = 0, u, 1
    while power > 1 and k <= _SERIES + bits:
        total += -(-power // k)
        power = -(-power * u >> bits)
        k += 1
    # the terms left out are together at most the next one divided by 1 − u
    return total + -(-(power << bits) // (k * max((1 << bits) - u, 1)))
