"""From an exact price to money: the one place of a charge where its tariff's rounding rule is applied."""

from __future__ import annotations

import math
from collections.abc import Sequence

from apportion.model.tariff import RoundingRule
from apportion.money import Asset, Exact, Money, Rounding, allocate, quantize, spread
from apportion.money.exact import ZERO
from apportion.stages.rate.priced import Priced
from apportion.stages.rate.terms import HUNDRED

Amounts = tuple[Money, list[tuple[str, str, Money, Money]], Money]

_MODES = {mode.value: mode for mode in Rounding}


def charge_amounts(priced: Priced, asset: Asset, rule: RoundingRule) -> Amounts:
    """Net, taxes as (name, rate in percent, base, amount), and total of a charge; net + taxes = total.

    The sum is rounded once by the tariff's rule (default half-even at the asset's scale), split over the taxes by
    largest remainder, and each tax is computed and rounded on its rounded base. With tax included it is the total
    that is rounded, so that the advertised price is the price paid.

    Raises:
        Refused: OVERFLOW; BAD_AMOUNT when the rule has more decimals than the asset.
    """
    here = rule.at == "charge"  # a rule for lines or increments says nothing about the charge
    mode, decimals = (Rounding(rule.mode), rule.decimals) if here else (Rounding.HALF_EVEN, None)
    coarse = asset if decimals is None else Asset(asset.code, decimals)
    if not priced.rates:
        net = quantize(priced.exact, asset, mode, decimals)
        return net, [], net
    bases = priced.bases()
    whole = quantize(sum(bases.values(), ZERO), asset, mode, decimals)
    named = _split(whole, bases, asset, coarse)
    taxes = []
    for name, base in named:
        if name:
            rate = priced.rates[name]
            over = HUNDRED + rate if priced.tax_included else HUNDRED
            tax = quantize((base.exact() * rate).over(over), asset, mode, decimals)
            taxes.append((name, rate.text(), base - tax if priced.tax_included else base, tax))
    owed = sum((tax.atoms for *_, tax in taxes), 0)
    if priced.tax_included:
        return Money(whole.atoms - owed, asset), taxes, whole
    return whole, taxes, Money(whole.atoms + owed, asset)


def within(total: int, taxes: Sequence[tuple[int, int]], rest: int) -> tuple[list[tuple[int, int]], int]:
    """A part of a charge's total as base and tax of each category, and what is untaxed: each by what it is of all.

    Args:
        total: atoms, net and taxes.
        taxes: base and tax of each category in the whole charge, in atoms; ``rest`` is its untaxed amount.
    """
    parts = _by_weight(total, [base + tax for base, tax in taxes] + [rest])
    split = [_by_weight(part, pair) for part, pair in zip(parts, taxes, strict=False)]
    return [(base, tax) for base, tax in split], parts[-1]


def _by_weight(atoms: int, weights: Sequence[int]) -> list[int]:
    if not any(weights):
        return [0] * (len(weights) - 1) + [atoms]
    return list(allocate(atoms, [Exact(weight) for weight in weights]).shares)


def _split(whole: Money, bases: dict[str, Exact], asset: Asset, coarse: Asset) -> list[tuple[str, Money]]:
    """The rounded sum as one base per tax, in units of ``coarse``; a credit is split as its charge's mirror image."""
    if len(bases) < 2:
        return [(name, whole) for name in bases]
    size = asset.unit // coarse.unit
    sign = -1 if whole.atoms < 0 else 1
    den = math.lcm(*(base.den for base in bases.values()))
    nums = [sign * base.num * coarse.unit * (den // base.den) for base in bases.values()]
    names = list(bases)
    ranks = [sorted(names).index(name) for name in names]
    shares = spread(sign * whole.atoms // size, nums, den, ranks)
    return [(name, Money(sign * units * size, asset)) for name, units in zip(names, shares, strict=True)]
