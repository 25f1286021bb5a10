"""Rounding downward: a total that was rounded once is handed to its parts, and they always add up to it."""

from __future__ import annotations

from collections.abc import Sequence

from apportion.money import Asset, Exact, Rounding, allocate, round_to
from apportion.money.asset import minor_digits

HUNDRED = 100


def minor_of(asset: Asset) -> int:
    """Decimals in which this asset is stated: the ISO 4217 minor unit, or its own when it is no currency."""
    digits = minor_digits(asset.code)
    return asset.scale if digits is None else min(digits, asset.scale)


def nearest(num: int, den: int) -> int:
    """``num/den`` as a whole number, half to even."""
    return round_to(Exact(num, den), 0, Rounding.HALF_EVEN).num


def state(charges: int, residue: int, grain: int) -> tuple[int, int]:
    """Round ``charges`` (atoms) with the residue carried in to minor units of ``grain`` atoms, once.

    Returns the total in minor units and the residue carried out in atoms, at most half a minor unit on either side.
    """
    total = nearest(charges + residue, grain)
    carried = charges + residue - total * grain
    assert total * grain + carried - residue == charges, "statement + residue out − residue in = ledger charges"
    return total, carried


def hand_down(total: int, weights: Sequence[int], names: Sequence[str], grain: int) -> list[int]:
    """Split ``total`` minor units over parts that weigh ``weights`` (each ``grain`` weighs one minor unit).

    Weights of one sign go by the largest remainder. With refunds among them the charges round by themselves and the
    refunds take the rest, so that no part changes its sign.
    """
    if not any(weights):
        return [total if i == 0 else 0 for i in range(len(weights))]
    plus = [max(weight, 0) for weight in weights]
    minus = [max(-weight, 0) for weight in weights]
    if not any(minus):
        return _split(total, plus, names)
    if not any(plus):
        return _split(total, minus, names)
    up = max(nearest(sum(plus), grain), total)
    down = total - up
    return [a + b for a, b in zip(_split(up, plus, names), _split(down, minus, names), strict=True)]


def _split(total: int, weights: Sequence[int], names: Sequence[str]) -> list[int]:
    if not total:
        return [0] * len(weights)
    return list(allocate(total, [Exact(weight) for weight in weights], list(names)).shares)


def tax_within(gross: int, rate: Exact) -> int:
    """The tax of ``rate`` percent that ``gross`` minor units contain, rounded once."""
    return nearest(gross * rate.num, rate.num + HUNDRED * rate.den)
