"""The short way to a fee and its portions where every side has only prices per unit and flat fees.

Then all of them are sums of products: one row of whole numbers per side, over one denominator. A proof takes the
general way (``Pricer.price``, ``charge_amounts``, ``by_wholesale``), so that what went the short way is checked by it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import mul

from apportion.money import Asset, Exact, Rounding, common
from apportion.money.exact import ZERO
from apportion.money.money import checked
from apportion.money.rounding import nearest
from apportion.stages.rate.apportion import Apportioned, by_whole_costs
from apportion.stages.rate.price import Pricer

#: what one unit of each measure costs; flat fees stand under the empty name, of which there is always one
Prices = Mapping[str, Exact]


class Linear:
    """A retail tariff and the wholesale tariffs of one delivery, joined; make it with ``joined``."""

    __slots__ = ("_costs", "_den", "_fee", "_measures", "_order", "_unit")

    def __init__(self, sides: Sequence[Prices], asset: Asset, order: Sequence[int]) -> None:
        self._measures = sorted({measure for prices in sides for measure in prices if measure})
        columns = (*self._measures, "")
        rows = [[Exact(p.num * asset.unit, p.den).plain() for p in (s.get(c, ZERO) for c in columns)] for s in sides]
        self._den = math.lcm(*(price.den for row in rows for price in row))
        self._fee, *self._costs = [[price.num * (self._den // price.den) for price in row] for row in rows]
        self._order = order
        self._unit = asset.unit

    def split(self, quantities: Mapping[str, Exact]) -> tuple[Exact, int, Apportioned] | None:
        """The exact fee, its atoms, and who earns them; None where only the general way has an answer.

        Raises:
            Refused: OVERFLOW.
        """
        nums, one = [], 1
        for measure in self._measures:
            quantity = quantities.get(measure)
            if quantity is None or quantity.num < 0:
                return None
            nums.append(quantity.num)
            if quantity.den != 1:
                one = quantity.den
        if one != 1:
            nums, one = common([quantities[measure] for measure in self._measures])
        nums.append(one)
        den = self._den * one
        exact = sum(map(mul, nums, self._fee))
        fee = checked(nearest(exact, den))
        costs = [sum(map(mul, nums, row)) for row in self._costs]
        return Exact(exact, den * self._unit), fee, by_whole_costs(fee, costs, den, self._order)


def joined(retail: Pricer, wholesale: Sequence[Pricer | None], asset: Asset, order: Sequence[int]) -> Linear | None:
    """The short way for these tariffs, if there is one; ``order`` ranks the parties as in ``by_wholesale``."""
    rule = retail.tariff.rounding
    plain = Rounding(rule.mode) is Rounding.HALF_EVEN and rule.decimals in (None, asset.scale)
    if retail.rates or (rule.at == "charge" and not plain):
        return None
    sides = [unit_prices(retail), *[{} if pricer is None else unit_prices(pricer) for pricer in wholesale]]
    found = [prices for prices in sides if prices is not None]
    return Linear(found, asset, order) if len(found) == len(sides) else None


def unit_prices(pricer: Pricer) -> Prices | None:
    """What one unit of each measure costs without tax, and the flat fees; None where a price is anything else."""
    plan = pricer.plans.only
    if plan is None or not plan.plain or pricer.periodic:
        return None
    prices: dict[str, Exact] = {}
    for term, measure, simple in plan.steps:
        if measure and simple is None:
            return None
        slope = simple if measure and simple is not None else term.cost(*term.units(1, 1))
        prices[measure] = prices.get(measure, ZERO) + Exact(*slope)
    return None if any(price.num < 0 for price in prices.values()) else prices
