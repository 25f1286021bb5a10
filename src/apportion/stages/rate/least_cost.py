"""Several users served at least cost: who is served under which offer, what each would pay alone, and their shares.

An offer is a price that somebody agreed on. Serving one user in one cell (the whole service, or one part of it) under
an offer costs what that user used; besides, an offer that serves anybody costs its fee, once for the whole group. Which
offers to take is the problem of where to open facilities; it is solved exactly, by branch and bound.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from apportion.errors import RefusalCode, refuse
from apportion.money import Exact, common, settle
from apportion.stages.rate.allocate import Allocated, must_pay

#: how many offers with a fee of their own may compete for one use, after those that others outdo are gone
MOST = 12

Costs = Sequence[Sequence[Sequence[Exact | None]]]  # user × cell × offer; None: it does not serve this user's cell


class Assigned(msgspec.Struct, frozen=True):
    """``picks`` per user and cell, as places of offers; ``served`` is what serving each user costs in it.

    ``served`` sums to the least total. ``alone`` is what each user costs under its own offers, ``own`` which these are.
    """

    picks: tuple[tuple[int, ...], ...]
    served: tuple[Exact, ...]
    own: tuple[tuple[int, ...], ...]
    alone: tuple[Exact, ...]


def assign(costs: Costs, fees: Sequence[Exact], theirs: Sequence[frozenset[int]]) -> Assigned:
    """The assignment of least total, all of it exact.

    Args:
        costs: what each user costs by itself in each cell under each offer, zero or more.
        fees: what each offer costs once when it serves anybody, zero or more.
        theirs: per user the offers that it could use alone; everybody may use every offer in the group.

    A fee that several users share falls on them in proportion to what they would cost alone. Among equal totals the
    order of the offers decides, never that of the users.

    Raises:
        Refused: NO_PRICE when no offer serves somebody's cell; BAD_INPUT when more than 12 offers with fees compete.
    """
    known = [one for user in costs for cell in user for one in cell if one is not None]
    nums, den = common([*fees, *known, Exact(0)])
    dues, rest = nums[: len(fees)], iter(nums[len(fees) :])
    whole = [[[None if one is None else next(rest) for one in cell] for cell in user] for user in costs]
    own, alone = list[tuple[int, ...]](), list[int]()
    for user, mine in zip(whole, theirs, strict=True):
        rows = [[one if i in mine else None for i, one in enumerate(cell)] for cell in user]
        own.append(tuple(_least(rows, dues)))
        alone.append(_total(rows, own[-1], dues))
    flat = iter(_least([cell for user in whole for cell in user], dues))
    picks = tuple(tuple(next(flat) for _ in user) for user in whole)
    served = [Exact(_total(user, mine, [0] * len(dues)), den) for user, mine in zip(whole, picks, strict=True)]
    for offer, due in enumerate(dues):
        users = [i for i, mine in enumerate(picks) if due and offer in mine]
        mass = sum(alone[i] for i in users)
        for i in users:  # whoever would cost nothing alone owes nothing of a fee
            served[i] += Exact(due * alone[i], den * mass)
    exact = [Exact(one, den).reduced() for one in alone]
    return Assigned(picks, tuple(one.reduced() for one in served), tuple(own), tuple(exact))


def _total(rows: Sequence[Sequence[int | None]], picks: Sequence[int], dues: Sequence[int]) -> int:
    return sum(row[i] or 0 for row, i in zip(rows, picks, strict=True)) + sum(dues[i] for i in set(picks))


def _least(rows: Sequence[Sequence[int | None]], dues: Sequence[int]) -> list[int]:
    """For each row the offer that serves it in the cheapest choice of offers."""
    if any(all(one is None for one in row) for row in rows):
        raise refuse(RefusalCode.NO_PRICE, "no tariff in force serves this user.", field="payers")
    far = sum(one for row in rows for one in row if one is not None) + sum(dues) + 1
    costs = [[far if one is None else one for one in row] for row in rows]
    free = [i for i, due in enumerate(dues) if not due]
    paid = _worth(costs, dues, free)
    if len(paid) > MOST:
        raise refuse(
            RefusalCode.BAD_INPUT,
            f"{len(paid)} agreements with fees of their own compete for this use.",
            field="payers",
            fix=f"Least cost is found among {MOST}; let fewer payers share one record.",
        )
    now = [min([row[i] for i in free], default=far) for row in costs]
    chosen = {*free, *_Search(costs, dues, paid, now).run()}
    return [min(chosen, key=lambda i: (row[i], i)) for row in costs]


def _worth(costs: list[list[int]], dues: Sequence[int], free: list[int]) -> list[int]:
    """Offers with a fee that no other one outdoes for everybody."""
    kept: list[int] = []
    for i in sorted((i for i, due in enumerate(dues) if due), key=lambda i: (dues[i], i)):
        if not any(all(row[j] <= row[i] for row in costs) for j in (*free, *kept)):
            kept.append(i)
    return sorted(kept)


class _Search:
    """Which offers with a fee to take: each in turn or not, cut off where even the best rest can not be cheaper.

    Each row costs ``now`` when none is taken.
    """

    def __init__(self, costs: list[list[int]], dues: Sequence[int], paid: list[int], now: list[int]) -> None:
        self._costs, self._dues, self._paid, self._now = costs, dues, paid, now
        self._best: tuple[int, tuple[int, ...]] | None = None
        ahead = [now]
        for i in reversed(paid):
            ahead.append([min(row[i], known) for row, known in zip(costs, ahead[-1], strict=True)])
        self._ahead = ahead[::-1]  # by depth: the least that each row can still come to

    def run(self) -> tuple[int, ...]:
        """The offers with a fee to take."""
        self._look(0, self._now, 0, ())
        assert self._best is not None
        return self._best[1]

    def _look(self, depth: int, now: list[int], spent: int, taken: tuple[int, ...]) -> None:
        bound = spent + sum(min(a, b) for a, b in zip(now, self._ahead[depth], strict=True))
        if self._best is not None and bound >= self._best[0]:
            return
        if depth == len(self._paid):
            self._best = (spent + sum(now), taken)
            return
        i = self._paid[depth]
        better = [min(row[i], known) for row, known in zip(self._costs, now, strict=True)]
        if better != now:
            self._look(depth + 1, better, spent + self._dues[i], (*taken, i))
        self._look(depth + 1, now, spent, taken)


def share_capped(
    fee: int, weights: Sequence[Exact], caps: Sequence[int], pays: Sequence[bool], order: Sequence[int]
) -> Allocated:
    """Split ``fee`` atoms over those who pay in proportion to ``weights``, nobody above its cap (atoms).

    Whoever reaches its cap stays there and the others share what is left. A fee above all caps together (somebody who
    does not pay was served, and the saving does not cover it) is borne beyond them, in proportion to the weights.
    A refund is the mirror image. Those who weigh nothing and owe nothing get no entry.

    Raises:
        Refused: SPONSOR_NEEDED when nobody pays; BAD_WEIGHT for a weight below zero.
    """
    paying = must_pay(weights, pays)
    sign, size = (-1, -fee) if fee < 0 else (1, fee)
    tops = [abs(caps[i]) for i in paying]
    nums, den = capped_dues(size, [weights[i] for i in paying], tops)
    found = [(i, num) for i, num in zip(paying, nums, strict=True) if num or weights[i]]
    split, gone = settle(size, [num for _, num in found], den, [order[i] for i, _ in found]) if found else ([], [])
    shares: list[int | None] = [None] * len(weights)
    kept = [0] * len(weights)
    for (i, _), share, rest in zip(found, split, gone, strict=True):
        shares[i], kept[i] = sign * share, sign * rest
    return Allocated(tuple(shares), tuple(kept))


def capped_dues(size: int, weights: Sequence[Exact], caps: Sequence[int]) -> tuple[list[int], int]:
    """The exact shares of ``size`` atoms under caps, as numerators over one denominator."""
    nums, _ = common(weights)
    over = size - sum(caps)
    if over >= 0:
        nums = nums if any(nums) else list(caps) if any(caps) else [1] * len(nums)
        mass = sum(nums)
        return [cap * mass + over * num for cap, num in zip(caps, nums, strict=True)], mass
    full: set[int] = set()
    while True:
        rest = size - sum(caps[i] for i in full)
        live = [i for i in range(len(nums)) if i not in full]
        mass = sum(nums[i] for i in live)
        if not mass:  # all who weigh anything are full: the others by what they could still bear
            nums = [cap if i in live else 0 for i, cap in enumerate(caps)]
            mass = sum(nums)
        more = {i for i in live if rest * nums[i] > caps[i] * mass}
        if not more:
            return [caps[i] * mass if i in full else rest * nums[i] for i in range(len(nums))], mass
        full |= more
