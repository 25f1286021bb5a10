"""What a solver is told and what it answers: columns of nothing or one, rows of integers, products of fractions.

The solver may be inexact: what it answers is a hint, checked and then proven in integers.
"""

from __future__ import annotations

from typing import Protocol

import msgspec


class Row(msgspec.Struct, frozen=True):
    """``low`` ≤ Σ coefficient × column ≤ ``high``; None for no bound."""

    columns: tuple[int, ...]
    coefficients: tuple[int, ...]
    low: int | None = None
    high: int | None = None


class Product(msgspec.Struct, frozen=True):
    """The product of the fractions (numerator, denominator) of the columns that are one must reach ``least``."""

    columns: tuple[int, ...]
    fractions: tuple[tuple[int, int], ...]
    least: tuple[int, int]


class Program(msgspec.Struct, frozen=True):
    """Minimise Σ cost × column; every column is 0 or 1.

    The first ``choices`` columns are what is chosen, the others follow from them: a set-up fee that is due, a bundle
    that is taken, a link that is crossed. Integers may be longer than 64 bits.
    """

    choices: int
    costs: tuple[int, ...]
    rows: tuple[Row, ...]
    products: tuple[Product, ...] = ()


class Solver(Protocol):
    """Anything that finds a good solution: the value of every column, or None when it found none in its time."""

    def __call__(self, program: Program) -> tuple[int, ...] | None:
        """Solve; must not raise for a program that has no solution."""
        ...
