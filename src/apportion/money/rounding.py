"""The one place where an exact amount becomes atoms."""

from __future__ import annotations

import enum

from apportion.errors import RefusalCode, refuse
from apportion.money.asset import Asset
from apportion.money.exact import Exact
from apportion.money.money import Money, checked


class Rounding(enum.Enum):
    """How a value between two atoms is decided. ``up`` and ``down`` mean away from and towards zero."""

    HALF_EVEN = "half-even"
    HALF_UP = "half-up"
    HALF_DOWN = "half-down"
    UP = "up"
    DOWN = "down"


def nearest(num: int, den: int, mode: Rounding = Rounding.HALF_EVEN) -> int:
    """``num/den`` (den > 0) as a whole number by ``mode``; mirror-symmetric about zero."""
    whole, rest = divmod(abs(num), den)
    if rest:
        if mode is Rounding.HALF_EVEN:
            twice = rest + rest
            whole += twice > den or (twice == den and whole & 1)
        elif mode is Rounding.HALF_UP:
            whole += rest + rest >= den
        elif mode is Rounding.HALF_DOWN:
            whole += rest + rest > den
        else:
            whole += mode is Rounding.UP
    return whole if num >= 0 else -whole


def quantize(exact: Exact, asset: Asset, mode: Rounding = Rounding.HALF_EVEN, decimals: int | None = None) -> Money:
    """Round ``exact`` (in whole units of ``asset``) to atoms, or to fewer ``decimals`` where a contract says so.

    Raises:
        Refused: OVERFLOW; BAD_AMOUNT when ``decimals`` is finer than the asset counts.
    """
    scale = asset.scale
    if decimals is None or decimals == scale:
        return Money(nearest(exact.num * 10**scale, exact.den, mode), asset)
    if not 0 <= decimals < scale:
        raise refuse(RefusalCode.BAD_AMOUNT, f"{asset} can not be rounded to {decimals} decimals.", field="decimals")
    return Money(nearest(exact.num * 10**decimals, exact.den, mode) * 10 ** (scale - decimals), asset)


def atoms_of(num: int, den: int, unit: int) -> int:
    """``num/den`` whole units as atoms, half-even: ``quantize`` for the hot path, where ``unit`` = 10^scale."""
    whole, rest = divmod(num * unit, den)
    if rest:
        twice = rest + rest
        if twice > den or (twice == den and whole & 1):
            whole += 1
    return checked(whole)


def round_to(exact: Exact, decimals: int, mode: Rounding = Rounding.HALF_EVEN) -> Exact:
    """Round to ``decimals`` but stay exact: for contracts that round each increment or each line."""
    return Exact(nearest(exact.num * 10**decimals, exact.den, mode), 10**decimals)
