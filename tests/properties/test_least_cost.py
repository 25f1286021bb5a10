"""Least cost against brute force: nothing is lost, nobody pays more than alone, and no cheaper way was left out.

The cases are drawn from a seed, so a failure names one number that replays it.
"""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from apportion.engine.rating import Prepared, prepare
from apportion.engine.terms import Terms
from apportion.errors import RefusalCode, Refused
from apportion.model.agreement import Agreement, Part, Service
from apportion.model.catalog import Catalog
from apportion.model.market import MarketTerms
from apportion.model.party import Provider, UnknownPayers
from apportion.model.tariff import Flat, RoundingRule, Tariff, Unit
from apportion.model.usage import PayerUse, Usage
from apportion.money import Exact
from apportion.stages.rate import assign, share_capped

Costs = list[list[list[Exact | None]]]
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
PEOPLE = ("ada", "ben", "cleo", "dan", "eve")


def fraction(exact: Exact) -> Fraction:
    return Fraction(exact.num, exact.den)


def some(chance: random.Random) -> Exact:
    return chance.choice([Exact(0), Exact(chance.randrange(9)), Exact(chance.randrange(99), chance.randrange(1, 9))])


def problem(chance: random.Random) -> tuple[Costs, list[Exact], list[frozenset[int]]]:
    users, cells, offers = chance.randrange(1, 5), chance.randrange(1, 3), chance.randrange(1, 5)
    costs: Costs = [
        [[some(chance) if i == 0 or chance.random() < 0.8 else None for i in range(offers)] for _ in range(cells)]
        for _ in range(users)
    ]
    fees = [some(chance) if chance.random() < 0.7 else Exact(0) for _ in range(offers)]
    theirs = [frozenset({0, *(i for i in range(1, offers) if chance.random() < 0.4)}) for _ in range(users)]
    return costs, fees, theirs


def least(rows: list[list[Exact | None]], fees: list[Exact], may: frozenset[int]) -> Fraction:
    """The least total by trying everything."""
    totals = []
    for picks in itertools.product(sorted(may), repeat=len(rows)):
        costs = [row[i] for row, i in zip(rows, picks, strict=True)]
        if None not in costs:
            totals.append(sum(fraction(one) for one in costs if one) + sum(fraction(fees[i]) for i in set(picks)))
    return min(totals)


def check_assignment(chance: random.Random) -> None:
    costs, fees, theirs = problem(chance)
    found = assign(costs, fees, theirs)
    everything = frozenset(range(len(fees)))
    best = least([cell for user in costs for cell in user], fees, everything)
    alone = [least(user, fees, mine) for user, mine in zip(costs, theirs, strict=True)]
    assert sum(map(fraction, found.served)) == best <= sum(alone)
    assert [fraction(one) for one in found.alone] == alone
    rows = [(user, cell, pick) for user, picks in enumerate(found.picks) for cell, pick in enumerate(picks)]
    used = {pick for *_, pick in rows}
    total = sum(fraction(costs[u][c][i] or Exact(0)) for u, c, i in rows) + sum(fraction(fees[i]) for i in used)
    assert total == best
    places = list(range(len(costs)))
    chance.shuffle(places)
    moved = assign([costs[i] for i in places], fees, [theirs[i] for i in places])
    assert [moved.picks[places.index(i)] for i in range(len(places))] == list(found.picks)
    assert [moved.served[places.index(i)] for i in range(len(places))] == list(found.served)


def check_shares(chance: random.Random) -> None:
    count = chance.randrange(1, 6)
    caps = [chance.choice([0, 1, chance.randrange(20), chance.randrange(2**40)]) for _ in range(count)]
    weights = [some(chance) for _ in caps]
    pays = [chance.random() < 0.8 for _ in caps]
    pays[chance.randrange(count)] = True
    fee = chance.randrange(sum(caps) + 1)
    order = list(range(count))
    found = share_capped(fee, weights, caps, pays, order)
    atoms = [share or 0 for share in found.shares]
    assert sum(atoms) == fee and sum(found.kept) == 0 and min(atoms) >= 0
    assert all(share is None for share, one in zip(found.shares, pays, strict=True) if not one)
    tops = [cap for cap, one in zip(caps, pays, strict=True) if one]
    if fee <= sum(tops):
        assert all(share <= cap for share, cap in zip(atoms, caps, strict=True))
        live = [i for i in range(count) if pays[i] and weights[i] and atoms[i] < caps[i]]
        for i, j in itertools.pairwise(live):  # those below their caps share in proportion, but for one atom each
            off = abs(atoms[i] * fraction(weights[j]) - atoms[j] * fraction(weights[i]))
            assert off <= fraction(weights[i]) + fraction(weights[j])
    else:
        assert all(share >= cap for share, cap, one in zip(atoms, caps, pays, strict=True) if one)
    back = share_capped(-fee, weights, [-cap for cap in caps], pays, order)
    assert [-(share or 0) for share in back.shares] == atoms


def tariff(chance: random.Random, id: str, rounding: RoundingRule, *, taxed: bool = True) -> Tariff:
    """A price by kilometre and minute with a flat fee or without."""
    parts: list[Unit | Flat] = [
        Unit(name="way", measure="km", price=str(chance.randrange(5)), per=str(chance.choice([1, 1, 3, 7]))),
        Unit(name="time", measure="minutes", price=f"0.{chance.randrange(99)}"),
    ]
    if chance.random() < 0.6:
        parts.append(Flat(name="entry", price=chance.choice(["0", "1", "2.5", "6"])))
    tax = {"taxes": {"vat": "7.7"}, "tax": "vat"} if taxed else {}
    return Tariff(id=id, currency="EUR", components=tuple(parts), rounding=rounding, **tax)  # type: ignore[arg-type]


def rides(chance: random.Random, *, passed: bool) -> Terms:
    """A service with two parts, terms that some people have of their own, and with providers."""
    rounding = RoundingRule(decimals=chance.choice([None, 0, 2]))
    named = [tariff(chance, name, rounding) for name in ("list", "t1", "t2", "t3")]
    named += [tariff(chance, name, RoundingRule(), taxed=False) for name in ("w1", "w2", "p1", "p2")]
    held = [
        Agreement(f"a{who}", "ride", chance.choice(["t1", "t2", "t3"]), who) for who in PEOPLE if chance.random() < 0.5
    ]
    held += [
        Agreement(f"s{who}", "ride", chance.choice(["p1", "p2"]), who, "dora", chance.choice(["", "driver", "car"]))
        for who in PEOPLE
        if chance.random() < 0.4
    ]
    parts = {"driver": Part("dora", {"dora": "w1"}), "car": Part("dora", {"dora": "w2"})}
    market = MarketTerms(retail="passed-on" if passed else "fixed", markup="12.5")
    service = Service(
        id="ride", retail="list", parts=parts, measures={"km": "km", "minutes": "min"}, allocate="least-cost",
        market=market,
    )  # fmt: skip
    catalog = Catalog(
        providers={"dora": Provider("dora")}, services={"ride": service}, tariffs={one.id: one for one in named},
        agreements={one.id: one for one in held}, unknown_payers=UnknownPayers("EUR"),
    )  # fmt: skip
    return Terms(catalog, "v")


def rated(terms: Terms, *payers: PayerUse) -> Prepared:
    return prepare(Usage("meter", "1", "ride", NOON, None, payers), terms)


def check_records(chance: random.Random) -> None:
    terms = rides(chance, passed=chance.random() < 0.5)
    sign = chance.choice(["", "", "-"])
    used = [{"km": f"{sign}{chance.randrange(9)}.{chance.randrange(9)}", "minutes": f"{sign}{chance.randrange(9)}"}
            for _ in range(chance.randrange(2, 6))]  # fmt: skip
    payers = [PayerUse(who, "", own) for who, own in zip(PEOPLE, used, strict=False)]
    found = rated(terms, *payers)
    assert found.rated is not None and found.rated.shares is not None and found.choice is not None
    shares = [abs(share or 0) for share in found.rated.shares.shares]
    alone = []
    for payer in payers:  # what each alone is charged, as a record of its own
        one = rated(terms, payer).rated
        assert one is not None
        alone.append(abs(one.total))
    assert sum(shares) == abs(found.rated.total) <= sum(alone)
    assert [abs(atoms) for atoms in found.choice.alone] == alone
    assert all(share <= most for share, most in zip(shares, alone, strict=True))
    chance.shuffle(payers)
    moved = rated(terms, *payers)
    assert moved.rated is not None and moved.rated.shares is not None
    again = dict(zip([payer.payer for payer in payers], moved.rated.shares.shares, strict=True))
    assert [abs(again[who] or 0) for who in PEOPLE[: len(payers)]] == shares
    assert (moved.rated.net, moved.rated.taxes) == (found.rated.net, found.rated.taxes)
    assert found.rated.total == found.rated.net + sum(tax for *_, tax in found.rated.taxes)
    lines = sum(fraction(Exact.parse(line.exact)) for line in found.rated.retail.lines)
    assert lines == fraction(found.rated.retail.exact)


@pytest.mark.parametrize("seed", range(300))
def test_the_assignment_is_the_cheapest_of_all(seed: int) -> None:
    check_assignment(random.Random(seed))


@pytest.mark.parametrize("seed", range(300))
def test_shares_sum_exactly_and_nobody_bears_more_than_its_cap(seed: int) -> None:
    check_shares(random.Random(seed))


@pytest.mark.parametrize("seed", range(200))
def test_records_cost_nobody_more_than_alone(seed: int) -> None:
    check_records(random.Random(seed))


def test_too_many_fees_are_refused_and_as_many_as_may_be_are_quick() -> None:
    chance = random.Random(7)
    for count in (12, 13):
        fees = [Exact(100), *[Exact(chance.randrange(30, 40)) for _ in range(count - 1)]]
        costs: Costs = [[[Exact(chance.randrange(10, 60)) for _ in fees]] for _ in range(20)]
        mine = [frozenset({0})] * 20
        if count == 12:
            found = assign(costs, fees, mine)
            assert sum(map(fraction, found.served)) <= 20 * 60 + 100
        else:
            with pytest.raises(Refused) as error:
                assign(costs, fees, mine)
            assert error.value.refusal.code is RefusalCode.BAD_INPUT
