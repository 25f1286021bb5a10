"""One fee among its providers: exact dues, whole atoms, and a platform that keeps what is left."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from apportion.errors import RefusalCode, refuse
from apportion.money import Exact, common, settle
from apportion.money.rounding import nearest


class Apportioned(msgspec.Struct, frozen=True, gc=False):
    """``portions`` per part and what the ``platform`` keeps, in atoms; ``sponsored`` is what a sponsor must add.

    Σ portions + platform = fee + sponsored. ``nums`` over ``den`` are the exact dues (atoms, the platform's last) and
    ``kept`` what rounding kept from each of them (10^−9 atoms, together zero unless a sponsor adds).
    """

    portions: list[int]
    platform: int
    sponsored: int
    nums: list[int]
    den: int
    kept: list[int]

    @property
    def dues(self) -> list[Exact]:
        """The exact dues one by one."""
        return [Exact(num, self.den) for num in self.nums]


def by_wholesale(fee: int, dues: Sequence[Exact], order: Sequence[int]) -> Apportioned:
    """Each provider earns its own wholesale price; the platform keeps the margin.

    Args:
        fee: atoms before tax.
        dues: each part's wholesale price in atoms, not negative when the fee is not.
        order: rank of each part's id (ties), the platform's last.

    When the providers cost more than the fee, nobody earns less: ``sponsored`` names the shortfall.
    """
    nums, den = common([*dues, Exact(fee)])
    if min(nums) < 0:
        return _mirror(fee, dues, order)
    del nums[-1]
    return by_whole_costs(fee, nums, den, order)


def by_whole_costs(fee: int, costs: list[int], den: int, order: Sequence[int]) -> Apportioned:
    """``by_wholesale`` for dues that stand over one denominator already, none of them negative, nor the fee."""
    cost = sum(costs)
    margin = fee * den - cost
    if margin >= 0:
        return _settled(fee, 0, [*costs, margin], den, order)
    total = nearest(cost, den)
    shares, kept = settle(total, costs, den, order)
    return Apportioned(shares, 0, total - fee, [*costs, 0], den, [*kept, 0])


def by_cost_alone(fee: int, dues: Sequence[Exact], order: Sequence[int]) -> Apportioned:
    """Each provider earns its due and the platform takes the rest, which may be below zero: for corrections.

    A cap of the period gives back what the platform had earned on records of their own, so the margin of the
    correction alone says nothing about a sale below cost.
    """
    nums, den = common([*dues, Exact(0)])
    cost = nearest(sum(nums), den)
    shares, kept = settle(cost, nums[:-1], den, order)
    nums[-1] = fee * den - sum(nums)
    return Apportioned(shares, fee - cost, 0, nums, den, [*kept, -sum(kept)])


def by_weight(
    fee: int, weights: Sequence[Exact], platform: Exact, order: Sequence[int], *, fraction: bool
) -> Apportioned:
    """Providers share by weights: agreed shares, measured quantities, or measured cost.

    ``platform`` is one weight among them, or with ``fraction`` that fraction of the fee taken first. Without any
    weight there is nothing to reward, so the platform keeps the whole.
    """
    if fee < 0:
        return _negated(by_weight(-fee, weights, platform, order, fraction=fraction))
    if any(w.num < 0 for w in weights) or platform.num < 0:
        raise refuse(RefusalCode.BAD_WEIGHT, "a weight is negative.", field="parts")
    nums, den = common([*weights, platform])
    if not fraction:
        mass = sum(nums)
        if not mass:
            return _settled(fee, 0, [0] * len(weights) + [fee], 1, order)
        return _settled(fee, 0, [fee * n for n in nums], mass, order)
    mass = sum(nums) - nums[-1]
    if not mass:
        return _settled(fee, 0, [0] * len(weights) + [fee], 1, order)
    rest = den - nums[-1]
    if rest < 0:
        raise refuse(RefusalCode.BAD_WEIGHT, "the platform's fraction is above one.", field="platform")
    shared = [fee * rest * n for n in nums[:-1]]
    return _settled(fee, 0, [*shared, fee * nums[-1] * mass], mass * den, order)


def _settled(fee: int, sponsored: int, nums: list[int], den: int, order: Sequence[int]) -> Apportioned:
    shares, kept = settle(fee, nums, den, order)
    platform = shares.pop()
    return Apportioned(shares, platform, sponsored, nums, den, kept)


def _negated(split: Apportioned) -> Apportioned:
    return Apportioned(
        [-p for p in split.portions],
        -split.platform,
        -split.sponsored,
        [-num for num in split.nums],
        split.den,
        [-k for k in split.kept],
    )


def _mirror(fee: int, dues: Sequence[Exact], order: Sequence[int]) -> Apportioned:
    """A refund is split as the mirror image; a rebate on a total lowers the platform's margin, never a portion."""
    if all(due.num >= 0 for due in dues):
        return by_cost_alone(fee, dues, order)
    if fee > 0 or any(due.num > 0 for due in dues):
        raise refuse(
            RefusalCode.BAD_QUANTITY,
            "the fee and the providers' prices have opposite signs.",
            field="quantities",
            fix="Send refunds as records of their own with all quantities negative.",
        )
    return _negated(by_wholesale(-fee, [-due for due in dues], order))
