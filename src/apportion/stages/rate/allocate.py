"""One fee among its payers: shares that sum to it, with payers who pay nothing."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from apportion.errors import RefusalCode, refuse
from apportion.money import Exact, common, settle


class Allocated(msgspec.Struct, frozen=True):
    """``shares`` per payer in atoms (None: not a payer of this fee, no entry); ``kept`` as in Apportioned."""

    shares: tuple[int | None, ...]
    kept: tuple[int, ...]


def allocate_fee(fee: int, weights: Sequence[Exact], pays: Sequence[bool], order: Sequence[int]) -> Allocated:
    """Split ``fee`` atoms over those who pay, in proportion to ``weights``; the cost of the others stays in the fee.

    With the cost of serving each as weight this is the proportional rule: a payer's share is the fee × own cost ÷
    the cost of all who pay. Those who pay and weigh nothing get no entry. If the paying ones weigh nothing
    altogether they share equally.

    Raises:
        Refused: SPONSOR_NEEDED when nobody pays; BAD_WEIGHT for a negative weight.
    """
    paying = must_pay(weights, pays)
    nums, _ = common([weights[i] for i in paying])
    mass = sum(nums)
    if not mass:
        nums, mass = [1] * len(paying), len(paying)
    sign, size = (-1, -fee) if fee < 0 else (1, fee)
    split, gone = settle(size, [size * n for n in nums], mass, [order[i] for i in paying])
    shares: list[int | None] = [None] * len(weights)
    kept = [0] * len(weights)
    for place, i in enumerate(paying):
        if nums[place]:
            shares[i], kept[i] = sign * split[place], sign * gone[place]
    return Allocated(tuple(shares), tuple(kept))


def must_pay(weights: Sequence[Exact], pays: Sequence[bool]) -> list[int]:
    """Places of those who pay.

    Raises:
        Refused: SPONSOR_NEEDED when nobody pays; BAD_WEIGHT for a negative weight.
    """
    paying = [i for i, one in enumerate(pays) if one]
    if not paying:
        raise refuse(
            RefusalCode.SPONSOR_NEEDED,
            "nobody pays for this use.",
            field="payers",
            fix="Name a sponsor for the service, or let one payer pay.",
        )
    if any(weights[i].num < 0 for i in paying):
        raise refuse(RefusalCode.BAD_WEIGHT, "a payer's weight is negative.", field="payers")
    return paying
