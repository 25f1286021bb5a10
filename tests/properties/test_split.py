"""Splitting against exact fractions: nothing is lost, nobody is off by a whole unit, order decides nothing.

The cases are drawn from a seed, so a failure names one number that replays it.
"""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from apportion.money import GRID, Exact, allocate, level
from apportion.stages.rate import allocate_fee, by_weight, by_wholesale


def weight(chance: random.Random) -> Exact:
    kind = chance.randrange(4)
    if kind == 0:
        return Exact(chance.randrange(5))
    if kind == 1:
        return Exact(chance.randrange(1, 10**6), 10 ** chance.randrange(9))
    if kind == 2:
        return Exact(chance.randrange(1, 50), chance.randrange(1, 50))
    return Exact(chance.randrange(10**18))


def fraction(exact: Exact) -> Fraction:
    return Fraction(exact.num, exact.den)


def check_allocate(chance: random.Random) -> None:
    total = chance.choice([0, 1, 7, 100, chance.randrange(10**6), chance.randrange(2**62)])
    total *= chance.choice([1, 1, -1])
    weights = [weight(chance) for _ in range(chance.randrange(1, 9))]
    if not any(weights):
        weights[0] = Exact(1)
    names = [f"p{n}" for n in range(len(weights))]
    shares = allocate(total, weights, names).shares
    assert sum(shares) == total
    mass = sum(map(fraction, weights))
    for share, one in zip(shares, weights, strict=True):
        assert abs(share - total * fraction(one) / mass) < 1
        assert share * total >= 0 and (one or share == 0)
    places = list(range(len(weights)))
    chance.shuffle(places)
    moved = allocate(total, [weights[i] for i in places], [names[i] for i in places]).shares
    assert [moved[places.index(i)] for i in range(len(places))] == list(shares)
    assert allocate(-total, weights, names).shares == tuple(-s for s in shares)


def check_apportion(chance: random.Random) -> None:
    count = chance.randrange(1, 5)
    order = list(range(count + 1))
    fee = chance.choice([0, 1, chance.randrange(1000), chance.randrange(2**60)])
    if chance.random() < 0.5:
        dues = [Exact(chance.randrange(fee + 2) * 10**4 + chance.randrange(10**4), 10**4 * count) for _ in range(count)]
        split = by_wholesale(fee, dues, order)
        margin = fee - sum(map(fraction, dues))
        assert (split.sponsored > 0) <= (margin < 0)
        assert (split.platform == 0) if margin < 0 else abs(split.platform - margin) < 1
    else:
        weights = [weight(chance) for _ in range(count)]
        share = Exact(chance.randrange(100), 100)
        split = by_weight(fee, weights, share, order, fraction=True)
        mass = sum(map(fraction, weights))
        dues = [Exact(0)] * count
        if mass:
            parts = [(1 - fraction(share)) * fee * fraction(w) / mass for w in weights]
            dues = [Exact(p.numerator, p.denominator) for p in parts]
    assert sum(split.portions) + split.platform == fee + split.sponsored
    for portion, due in zip(split.portions, dues, strict=True):
        assert portion >= 0 and abs(portion - fraction(due)) < 1
        assert due or portion == 0


def check_payers(chance: random.Random) -> None:
    count = chance.randrange(1, 7)
    total = chance.choice([1, -1]) * chance.randrange(2**50)
    weights = [weight(chance) for _ in range(count)]
    pays = [chance.random() < 0.8 for _ in range(count)]
    if not any(pays):
        pays[0] = True
    shares = allocate_fee(total, weights, pays, list(range(count))).shares
    assert sum(s or 0 for s in shares) == total
    mass = sum(fraction(w) for w, p in zip(weights, pays, strict=True) if p)
    for share, one, paying in zip(shares, weights, pays, strict=True):
        if not paying:
            assert share is None
        elif mass:
            assert abs((share or 0) - total * fraction(one) / mass) < 1


def run(cases: int, seed: int) -> None:
    for case in range(cases):
        chance = random.Random(seed + case)
        try:
            (check_allocate, check_apportion, check_payers)[case % 3](chance)
        except AssertionError as error:
            raise AssertionError(f"seed {seed + case}: {error}") from error


@pytest.mark.parametrize("part", range(2))
def test_a_hundred_thousand_splits_equal_exact_fractions(part: int):
    run(50_000, 10_000_000 * part)


@pytest.mark.torture
def test_five_million_splits_equal_exact_fractions():
    run(5_000_000, 10**9)


@pytest.mark.parametrize("weights", [(1, 2, 3, 94), (1, 1, 1), (5, 0, 7)])
def test_a_million_fees_of_one_atom_leave_nobody_more_than_one_unit_off(weights: tuple[int, ...]):
    """P6: each fee favours the largest weight, but what rounding kept is counted exactly and paid out at the close."""
    fees, mass = 1_000_000, sum(weights)
    exacts = [Exact(w) for w in weights[:-1]]
    order = list(range(len(weights)))
    split = by_weight(1, exacts, Exact(weights[-1]), order, fraction=False)
    credited = [fees * p for p in (*split.portions, split.platform)]
    kept = [fees * k for k in split.kept]
    assert sum(credited) == fees and sum(kept) == 0
    paid = [c + up for c, up in zip(credited, level(kept, order), strict=True)]
    assert sum(paid) == fees
    for atoms, w in zip(paid, weights, strict=True):
        assert abs(atoms - Fraction(fees * w, mass)) <= 1
    assert GRID == 10**9


def test_the_fee_is_chopping_neutral_to_the_last_atom():
    """U4: what a whole is split into, pieces that add up to it are split into, once residues are levelled."""
    chance = random.Random(4)
    weights = [Exact(1, 3), Exact(2, 7), Exact(5)]
    order = [0, 1, 2, 3]
    for _ in range(300):
        pieces = [chance.randrange(1, 40) for _ in range(chance.randrange(1, 60))]
        whole = by_weight(sum(pieces), weights, Exact(1), order, fraction=False)
        sums, kept = [0] * 4, [0] * 4
        for piece in pieces:
            split = by_weight(piece, weights, Exact(1), order, fraction=False)
            sums = [a + b for a, b in zip(sums, (*split.portions, split.platform), strict=True)]
            kept = [a + b for a, b in zip(kept, split.kept, strict=True)]
        levelled = [a + b for a, b in zip(sums, level(kept, order), strict=True)]
        assert sum(levelled) == sum(pieces)
        for mine, due in zip(levelled, whole.dues, strict=True):
            assert abs(mine - fraction(due)) < 1 + Fraction(len(pieces), GRID)
