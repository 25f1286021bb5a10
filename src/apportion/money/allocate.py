"""Splitting atoms: every share is a whole number of atoms and together they are the total, always.

The default is the method of the largest remainder (Hamilton): each party gets the floor of its exact share,
and the spare units go, one each, to the largest remainders; ties go to the smallest id. The outcome depends on
ids and weights only, never on the order in which parties are listed.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence

import msgspec

from apportion.errors import RefusalCode, refuse
from apportion.money.exact import Exact
from apportion.money.money import checked

Party = int | str
GRID = 10**9  # residues are counted in this fraction of an atom
RULES = ("largest-remainder", "in-order", "largest-weight", "to-party=NAME", "separate")


class Split(msgspec.Struct, frozen=True):
    """Shares in the order given, in atoms, and the ``remainder`` that the rule ``separate`` leaves beside them."""

    shares: tuple[int, ...]
    remainder: int = 0


def _by_id(party: Party) -> tuple[int, int, str]:
    return (0, party, "") if isinstance(party, int) else (1, 0, party)


def _whole(weights: Sequence[Exact]) -> list[int]:
    """The weights over one denominator, as whole numbers."""
    if not weights:
        raise refuse(RefusalCode.BAD_WEIGHT, "there is nobody to share with.", field="weights", fix="Give a weight.")
    common = math.lcm(*(w.den for w in weights))
    whole = [w.num * (common // w.den) for w in weights]
    if min(whole) < 0:
        raise refuse(RefusalCode.BAD_WEIGHT, "a weight is negative.", field="weights", fix="Use zero or more.")
    if not any(whole):
        raise refuse(
            RefusalCode.BAD_WEIGHT, "all weights are zero.", field="weights", fix="Give at least one above zero."
        )
    return whole


def _spare_order(rule: str, parties: Sequence[Party], whole: list[int], rests: list[int]) -> list[int]:
    """Positions of those who may take a spare unit, first to last."""
    weighted = [i for i, w in enumerate(whole) if w]
    orders: dict[str, Callable[[int], tuple[object, ...]]] = {
        "largest-remainder": lambda i: (-rests[i], _by_id(parties[i])),
        "in-order": lambda i: (i,),
        "largest-weight": lambda i: (-whole[i], _by_id(parties[i])),
    }
    if rule not in orders:
        raise refuse(
            RefusalCode.BAD_INPUT, f"{rule!r} is not a remainder rule.", field="rule", fix="One of " + ", ".join(RULES)
        )
    return sorted(weighted, key=orders[rule])


def allocate(
    total: int,
    weights: Sequence[Exact],
    parties: Sequence[Party] | None = None,
    rule: str = "largest-remainder",
    step: int = 1,
) -> Split:
    """Split ``total`` atoms by ``weights``; shares (+ remainder) always sum to the total.

    Args:
        total: atoms; a negative total is split as the mirror image of the positive one.
        weights: one per party, zero or more; fractions and decimals are fine, only their ratio counts.
        parties: stable ids that decide ties; without them parties are numbered from 1.
        rule: ``largest-remainder``, ``in-order``, ``largest-weight``, ``to-party=NAME`` or ``separate``.
        step: shares come in multiples of so many atoms (coins of 0.05); the total must be one too, unless the
            rule is ``separate``.

    Raises:
        Refused: BAD_WEIGHT, BAD_INPUT, or OVERFLOW.
    """
    checked(total)
    whole = _whole(weights)
    names: Sequence[Party] = range(1, len(whole) + 1) if parties is None else parties
    if len(names) != len(whole) or len(set(names)) != len(whole):
        raise refuse(RefusalCode.BAD_INPUT, "every party needs one weight and a name of its own.", field="parties")
    if step < 1:
        raise refuse(RefusalCode.BAD_INPUT, "the step must be above zero.", field="step")
    sign = -1 if total < 0 else 1
    units, odd = divmod(abs(total), step)
    if odd and rule != "separate":
        raise refuse(
            RefusalCode.BAD_INPUT,
            "the total is not a multiple of the step.",
            field="step",
            fix="Round the total first, or use the rule 'separate'.",
        )
    mass = sum(whole)
    shares, rests = [], []
    for weight in whole:
        share, rest = divmod(units * weight, mass)
        shares.append(share)
        rests.append(rest)
    spare = units - sum(shares)
    if rule == "separate":
        return Split(tuple(sign * s * step for s in shares), sign * (spare * step + odd))
    if rule.startswith("to-party="):
        taker = rule.removeprefix("to-party=")
        position = next((i for i, name in enumerate(names) if str(name) == taker), None)
        if position is None:
            raise refuse(RefusalCode.BAD_INPUT, f"{taker!r} is not among the parties.", field="rule")
        shares[position] += spare
    elif spare or rule != "largest-remainder":
        for i in _spare_order(rule, names, whole, rests)[:spare]:
            shares[i] += 1
    return Split(tuple(sign * s * step for s in shares))


def common(exacts: Sequence[Exact]) -> tuple[list[int], int]:
    """Numerators over one common denominator: (½, ¼) → ([2, 1], 4)."""
    den = max([e.den for e in exacts])
    nums = []
    for e in exacts:
        times, odd = divmod(den, e.den)
        if odd:
            den = math.lcm(*(e.den for e in exacts))
            return [e.num * (den // e.den) for e in exacts], den
        nums.append(e.num * times)
    return nums, den


def settle(total: int, nums: Sequence[int], den: int, order: Sequence[int]) -> tuple[list[int], list[int]]:
    """Split ``total`` atoms by exact shares ``nums[i]/den`` (atoms, not negative) that add up to it.

    Each share becomes its floor; the spare atoms go one each to the largest fractions, ties by ``order`` (the rank
    of each party's id). This is the largest remainder again, without weighing: the shares are known already.

    Returns the shares, and what rounding kept from each party (exact − credited) in 10^−9 atoms, together what it
    kept from all. Denominators that do not divide that grid are cut to it, so that sums over millions of fees stay
    short: each is wrong by less than 10^−9 atom and the sum is exact (the last party takes the difference).
    """
    if den == 1:
        return list(nums), [0] * len(nums)
    shares, rests = [], []
    for num in nums:
        share, rest = divmod(num, den)
        shares.append(share)
        rests.append(rest)
    spare = total - sum(shares)
    if spare == 1:  # the common case, without a sort
        largest = max(rests)
        taker = rests.index(largest)
        if rests.count(largest) > 1:
            taker = min([i for i, rest in enumerate(rests) if rest == largest], key=order.__getitem__)
        shares[taker] += 1
        rests[taker] -= den
    elif spare:
        tail = sorted(range(len(rests)), key=lambda i: (-rests[i], order[i]))
        for i in tail[:spare]:
            shares[i] += 1
            rests[i] -= den
    if not GRID % den:  # whole residues: nothing is cut, so nothing has to be made up for
        times = GRID // den
        return shares, [rest * times for rest in rests]
    kept = [rest * GRID // den for rest in rests]
    kept[-1] += sum(rests) * GRID // den - sum(kept)
    return shares, kept


def spread(total: int, nums: Sequence[int], den: int, order: Sequence[int]) -> list[int]:
    """The shares of ``settle`` alone."""
    return settle(total, nums, den, order)[0]


def hand_out(total: int, nums: Sequence[int], den: int, order: Sequence[int]) -> list[int]:
    """Give ``total`` atoms (not negative) one at a time to the party with the largest due, ties by ``order``.

    Dues are ``nums[i]/den`` atoms that add up to the total; who got too much earlier has a negative one and waits. So
    nobody gets a negative number, however the whole is chopped, and what is given in one piece equals the largest
    remainder. All but the last few atoms go in one step: down to a level that the single atoms surely reach.
    """
    assert total >= 0 and sum(nums) == total * den, "the dues do not add up to the total"
    low, height = len(nums), len(nums) + 1
    while _above(nums, den, height) > total:
        low, height = height, 2 * height
    while height - low > 1 and low > len(nums):
        middle = (low + height) // 2
        low, height = (middle, height) if _above(nums, den, middle) > total else (low, middle)
    shares = [max(0, num // den - height) for num in nums]
    heap = [(share * den - num, order[i], i) for i, (num, share) in enumerate(zip(nums, shares, strict=True))]
    heapq.heapify(heap)
    for _ in range(total - sum(shares)):
        due, rank, i = heap[0]
        shares[i] += 1
        heapq.heapreplace(heap, (due + den, rank, i))
    return shares


def _above(nums: Sequence[int], den: int, height: int) -> int:
    """How many atoms bring all dues down to a level."""
    return sum(max(0, num // den - height) for num in nums)


def residues(nums: Sequence[int], den: int, shares: Sequence[int]) -> list[int]:
    """What rounding kept from each party when ``shares`` were credited for exact shares ``nums[i]/den``."""
    rests = [num - share * den for num, share in zip(nums, shares, strict=True)]
    kept = [rest * GRID // den for rest in rests]
    kept[-1] += sum(rests) * GRID // den - sum(kept)
    return kept


def level(residue: Sequence[int], parties: Sequence[Party]) -> tuple[int, ...]:
    """Whole atoms for residues (10^−9 atoms) that sum to zero: each within one atom of its own, together zero."""
    floors = [r // GRID for r in residue]
    tail = sorted(range(len(floors)), key=lambda i: (-(residue[i] % GRID), _by_id(parties[i])))
    for i in tail[: -sum(floors)]:
        floors[i] += 1
    return tuple(floors)
