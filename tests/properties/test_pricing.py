"""Pricing held against plain fractions: tiers, chopping, monotony, and the inverse."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.model.tariff import Use
from apportion.model.tariff_check import check
from apportion.money import Asset, Exact, Money
from apportion.stages.rate import Pricer, affordable, charge_amounts, compile_tariff, grantable
from tests.tariffs import read_tariff

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CENTS = Asset("EUR", 2)

SMALL = st.decimals(0, 20, places=2).map(str)
POSITIVE = st.decimals("0.01", 20, places=2).map(str)
QUANTITY = st.fractions(0, 200, max_denominator=1000)


@st.composite
def ladders(draw: st.DrawFn) -> list[dict[str, str]]:
    bounds = sorted(draw(st.sets(st.integers(1, 60), max_size=4)))
    tiers = [{"up_to": str(bound), "price": draw(SMALL), "flat": draw(SMALL)} for bound in bounds]
    return [*tiers, {"price": draw(SMALL), "flat": draw(SMALL)}]


def pricer_of(**component: Any) -> Pricer:
    plain = {"id": "t", "currency": "EUR", "components": [{"name": "c", "measure": "n", **component}]}
    tariff = read_tariff(plain)
    assert check(tariff) == []
    return compile_tariff(tariff)


def use(quantity: Fraction | Exact) -> Use:
    found = quantity if isinstance(quantity, Exact) else Exact(quantity.numerator, quantity.denominator)
    return Use(NOON, None, {"n": found}, {})


def fraction(exact: Exact) -> Fraction:
    return Fraction(exact.num, exact.den)


def by_hand(kind: str, tiers: list[dict[str, str]], units: Fraction) -> Fraction:
    """The price of a ladder, the slow and plain way."""
    if units <= 0:
        return Fraction(0)
    total, lower = Fraction(0), Fraction(0)
    for tier in tiers:
        upper = Fraction(tier["up_to"]) if "up_to" in tier else None
        inside = units if upper is None else min(units, upper)
        if kind == "volume":
            if upper is None or units <= upper:
                return units * Fraction(tier["price"]) + Fraction(tier["flat"])
            continue
        total += (inside - lower) * Fraction(tier["price"]) + Fraction(tier["flat"])
        if upper is None or units <= upper:
            return total
        lower = upper
    raise AssertionError


def rounded_up(quantity: Fraction, first: Fraction, step: Fraction) -> Fraction:
    if quantity <= 0:
        return Fraction(0)
    return first + max(0, math.ceil((quantity - first) / step)) * step


@given(st.sampled_from(["graduated", "volume"]), ladders(), QUANTITY, POSITIVE, POSITIVE, SMALL)
def test_ladders_equal_plain_fractions(
    kind: str, tiers: list[dict[str, str]], n: Fraction, first: str, step: str, free: str
) -> None:
    pricer = pricer_of(kind=kind, tiers=tiers, first=first, step=step, free=free)
    billed = rounded_up(n, Fraction(first), Fraction(step))
    priced = pricer.price(use(n))
    assert fraction(priced.exact) == by_hand(kind, tiers, billed - Fraction(free))
    assert Fraction(priced.lines[0].quantity) == billed
    assert fraction(pricer.price(use(-n)).exact) == -fraction(priced.exact)


@given(QUANTITY, POSITIVE, POSITIVE, SMALL, SMALL, SMALL)
def test_units_packages_and_percentages_equal_plain_fractions(
    n: Fraction, price: str, size: str, low: str, more: str, fixed: str
) -> None:
    high = str(Fraction(low) + Fraction(more))
    unit = pricer_of(kind="unit", price=price, per=size, convert="7/3", minimum=low, maximum=high)
    wanted = n * Fraction(7, 3) * Fraction(price) / Fraction(size)
    if n:
        wanted = min(max(wanted, Fraction(low)), Fraction(high))
    assert fraction(unit.price(use(n)).exact) == wanted
    package = pricer_of(kind="package", price=price, size=size)
    assert fraction(package.price(use(n)).exact) == math.ceil(n / Fraction(size)) * Fraction(price)
    percentage = pricer_of(kind="percentage", rate=price, fixed=fixed)
    wanted = n * Fraction(price) / 100 + Fraction(fixed) if n else Fraction(0)
    assert fraction(percentage.price(use(n)).exact) == wanted


@given(
    st.sampled_from(["graduated", "volume", "package"]), ladders(), st.lists(QUANTITY, max_size=8), SMALL, st.randoms()
)
def test_chopping_and_order_change_no_total_of_a_period(
    kind: str, tiers: list[dict[str, str]], pieces: list[Fraction], free: str, random: Any
) -> None:
    shape: dict[str, Any] = {"price": "3", "size": "7"} if kind == "package" else {"tiers": tiers}
    pricer = pricer_of(kind=kind, scope="period", free=free, **shape)

    def total(parts: list[Fraction]) -> tuple[Exact, dict[str, Exact]]:
        totals: dict[str, Exact] = {}
        sums = Exact(0)
        for part in parts:
            priced = pricer.price(use(part), totals, "p")
            totals |= priced.totals
            sums += priced.exact
        return sums, totals

    whole, shuffled = total([sum(pieces, Fraction(0))]), list(pieces)
    random.shuffle(shuffled)
    assert total(pieces)[0] == whole[0] == total(shuffled)[0]
    if pieces:
        assert total(pieces)[1] == whole[1]


@given(ladders(), QUANTITY, QUANTITY, POSITIVE)
def test_graduated_prices_never_fall(tiers: list[dict[str, str]], n: Fraction, more: Fraction, step: str) -> None:
    pricer = pricer_of(kind="graduated", tiers=tiers, step=step)
    assert pricer.price(use(n)).exact <= pricer.price(use(n + more)).exact


def owed(pricer: Pricer, quantity: Exact, totals: dict[str, Exact]) -> int:
    priced = pricer.price(use(quantity), totals, "p")
    return charge_amounts(priced, CENTS, pricer.tariff.rounding)[2].atoms


@settings(deadline=None)
@given(
    st.sampled_from(["graduated", "volume"]),
    ladders(),
    st.sampled_from(["", "1", "0.25", "6"]),
    st.integers(0, 40_000),
    st.integers(0, 50),
    st.sampled_from(["charge", "period"]),
)
def test_the_inverse_is_the_largest_quantity_paid_for(
    kind: str, tiers: list[dict[str, str]], step: str, cents: int, used: int, scope: str
) -> None:
    pricer = pricer_of(kind=kind, tiers=tiers, step=step, scope=scope)
    totals = {"t/c@p": Exact(used)} if scope == "period" else {}
    amount, size = Money(cents, CENTS), Exact.parse(step or "1")
    found = affordable(pricer, amount, use(Exact(0)), "n", totals, "p")
    safe = grantable(pricer, amount, use(Exact(0)), "n", totals, "p")
    if found is None:
        return
    assert owed(pricer, found, totals) <= cents < owed(pricer, found + size, totals)
    assert found.over(size).reduced().den == 1
    far = [Exact(n) * size for n in range(found.over(size).floor() + 1, found.over(size).floor() + 90)]
    assert all(owed(pricer, quantity, totals) > cents for quantity in far)
    assert safe is not None and safe <= found
    near = [Exact(n) * size for n in range(max(0, safe.over(size).floor() - 90), safe.over(size).floor() + 1)]
    assert all(owed(pricer, quantity, totals) <= cents for quantity in near)
    assert owed(pricer, safe + size, totals) > cents


@given(
    st.datetimes(datetime(2026, 3, 27), datetime(2026, 4, 1), timezones=st.just(UTC)),
    st.integers(0, 400_000),
    st.integers(0, 400_000),
    st.sampled_from(["Europe/Copenhagen", "America/New_York"]),
)
def test_time_by_bands_is_neither_lost_nor_doubled(start: datetime, one: int, two: int, zone: str) -> None:
    """Chopping a use anywhere, also in an hour that the clock skips or repeats, changes neither time nor price."""
    band = {"kind": "unit", "measure": "s", "time": True}
    tariff = read_tariff(
        {
            "id": "t",
            "currency": "EUR",
            "zone": zone,
            "bands": {"night": {"times": ["22:00-06:00"]}, "sunday": {"days": ["sun"]}},
            "components": [
                {**band, "name": "night", "price": "1", "when": ["night"]},
                {**band, "name": "rest", "price": "3", "when": ["sunday", "other"]},
                {**band, "name": "always", "price": "1/7"},
            ],
        }
    )
    pricer = compile_tariff(tariff)
    middle, end = start + timedelta(seconds=one), start + timedelta(seconds=one + two)
    whole = pricer.price(Use(start, end, {}, {}))
    parts = pricer.price(Use(start, middle, {}, {})).exact + pricer.price(Use(middle, end, {}, {})).exact
    assert whole.exact == parts
    seconds = {line.component: Fraction(line.quantity) for line in whole.lines}
    assert seconds["always"] == one + two == seconds.get("night", 0) + seconds.get("rest", 0)
