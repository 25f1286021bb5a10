"""Every kind of component by an example that a person can recompute."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from apportion.errors import RefusalCode, Refused
from apportion.model.tariff import Use
from apportion.model.tariff_check import check
from apportion.money import Exact, parse_asset
from apportion.stages.rate import Pricer, charge_amounts, compile_tariff
from tests.tariffs import read_tariff

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday


def tariff(components: str, header: str = "") -> Pricer:
    text = f'id = "t"\ncurrency = "EUR"\n{header}\n{components}'
    found = read_tariff(tomllib.loads(text, parse_float=Decimal))
    assert check(found) == []
    return compile_tariff(found)


def use(start: datetime = NOON, end: datetime | None = None, **quantities: str) -> Use:
    return Use(start, end, {name: Exact.parse(text) for name, text in quantities.items()}, {})


def stated(quantities: dict[str, str]) -> Use:
    return Use(NOON, None, {name: Exact.parse(text) for name, text in quantities.items()}, {})


def exact(pricer: Pricer, **quantities: str) -> str:
    return pricer.price(stated(quantities)).exact.text()


def amounts(pricer: Pricer, priced: Any) -> tuple[str, list[str], str]:
    net, taxes, total = charge_amounts(priced, parse_asset("EUR"), pricer.tariff.rounding)
    return net.text(), [amount.text() for *_, amount in taxes], total.text()


def unit(extra: str = "", price: str = "0.06", measure: str = "seconds", name: str = "talk") -> str:
    return f'[[components]]\nkind = "unit"\nname = "{name}"\nmeasure = "{measure}"\nprice = {price}\n{extra}\n'


# ── increments ──


@pytest.mark.parametrize(
    ("increments", "seconds", "billed"),
    [
        ("step = 60", "0", 0),
        ("step = 60", "1", 60),
        ("step = 60", "60", 60),
        ("step = 60", "60.0001", 120),
        ("first = 30\nstep = 6", "1", 30),
        ("first = 30\nstep = 6", "30", 30),
        ("first = 30\nstep = 6", "31", 36),
        ("first = 30\nstep = 6", "36", 36),
        ("first = 30\nstep = 6", "37", 42),
        ("first = 6\nstep = 6", "7", 12),
        ("first = 1\nstep = 1", "7.2", 8),
        ("first = 60\nstep = 1", "61.5", 62),
        ("step = 0.5", "1.2", 1.5),
    ],
)
def test_increments(increments: str, seconds: str, billed: float) -> None:
    pricer = tariff(unit(increments, price="2"))
    assert exact(pricer, seconds=seconds) == f"{billed * 2:g}"
    assert pricer.price(use(seconds=seconds)).lines[0].quantity == f"{billed:g}"


def test_price_per_three_is_an_exact_third() -> None:
    assert exact(tariff(unit("per = 3", price="1")), seconds="1") == "1/3"


def test_slots_change_price_and_increment_at_their_offset() -> None:
    # a minute whole at 0.60, then to the second minute by 30 s at 0.30 a minute, then by the second at 0.06 a minute
    pricer = tariff(
        '[[components]]\nkind = "graduated"\nname = "talk"\nmeasure = "seconds"\nper = 60\ntiers = [\n'
        "{up_to = 60, price = 0.6, step = 60}, {up_to = 120, price = 0.3, step = 30}, {price = 0.06, step = 1}]"
    )
    costs = {"1": "0.6", "60": "0.6", "61": "0.75", "90": "0.75", "91": "0.9", "120": "0.9", "130.5": "0.911"}
    assert {seconds: exact(pricer, seconds=seconds) for seconds in costs} == costs


# ── tiers ──

GRADUATED = (
    '[[components]]\nkind = "graduated"\nname = "c"\nmeasure = "n"\n'
    "tiers = [{up_to = 10, price = 5, flat = 1}, {up_to = 20, price = 4, flat = 2}, {price = 3}]\n"
)


@pytest.mark.parametrize(
    ("n", "cost"),
    # 10 × 5 + 1 = 51; + 10 × 4 + 2 = 93; + 5 × 3 = 108; at 10.5: 51 + 0.5 × 4 + 2 = 55
    [("0", "0"), ("1", "6"), ("10", "51"), ("10.5", "55"), ("20", "93"), ("25", "108")],
)
def test_graduated(n: str, cost: str) -> None:
    assert exact(tariff(GRADUATED), n=n) == cost


@pytest.mark.parametrize(
    ("n", "cost"),
    # 10 × 5 + 1; from 10.5 on all at 4 plus 2: 44; 20 × 4 + 2; 25 × 3
    [("0", "0"), ("10", "51"), ("10.5", "44"), ("20", "82"), ("25", "75")],
)
def test_volume(n: str, cost: str) -> None:
    assert exact(tariff(GRADUATED.replace("graduated", "volume")), n=n) == cost


def test_graduated_with_free_units_and_per() -> None:
    # 30 used, 5 free: 25 in the ladder, at prices per 10: 5 + 1 + 4 + 2 + 1.5
    pricer = tariff(GRADUATED + "free = 5\nper = 10\n")
    assert exact(pricer, n="30") == "13.5"
    assert exact(pricer, n="5") == "0"


@pytest.mark.parametrize(("n", "cost"), [("0", "0"), ("1", "4"), ("100", "4"), ("101", "8"), ("0.5", "4")])
def test_package(n: str, cost: str) -> None:
    assert (
        exact(tariff('[[components]]\nkind = "package"\nname = "c"\nmeasure = "n"\nsize = 100\nprice = 4'), n=n) == cost
    )


def test_component_bounds_apply_once_anything_was_used() -> None:
    pricer = tariff(unit("minimum = 1\nmaximum = 3", price="1", measure="n"))
    assert [exact(pricer, n=n) for n in ("0", "0.5", "2", "9")] == ["0", "1", "2", "3"]


def test_graduated_percentage() -> None:
    pricer = tariff(
        '[[components]]\nkind = "graduated-percentage"\nname = "c"\nmeasure = "v"\n'
        "tiers = [{up_to = 1000, rate = 2}, {rate = 1, flat = 3}]"
    )
    assert [exact(pricer, v=v) for v in ("500", "1000", "1500")] == ["10", "20", "28"]


def test_percentage_events() -> None:
    component = '[[components]]\nkind = "percentage"\nname = "p"\nmeasure = "v"\nrate = 1.5\nfixed = 0.2\n'
    assert exact(tariff(component), v="40") == "0.8"
    assert exact(tariff(component), v="0") == "0"
    pricer = tariff(component + "free_events = 2\nfree_total = 100")
    totals: dict[str, Exact] = {}
    costs = []
    for value in ("60", "80", "10"):  # free; 40 above the free total: 0.6 + 0.2; third event: 0.15 + 0.2
        priced = pricer.price(use(v=value), totals, "p")
        totals |= priced.totals
        costs.append(priced.exact.text())
    assert costs == ["0", "0.8", "0.35"]
    assert {key: total.text() for key, total in totals.items()} == {"t/p:events@p": "3", "t/p:value@p": "150"}
    assert set(pricer.total_keys(use(v="1"), "p")) == set(totals)


# ── the OCPI specification's own examples ──

ENERGY = '[[components]]\nkind = "unit"\nname = "energy"\nmeasure = "kwh"\nprice = 0.25\nstep = 0.001\ntax = "low"\n'
START = '[[components]]\nkind = "flat"\nname = "start"\nprice = 0.50\ntax = "high"\n'
TAXES = "taxes = {low = 10, high = 20}"


def hourly(name: str, price: str, step: int, tax: str) -> str:
    return unit(f'per = 3600\nstep = {step}\ntax = "{tax}"\noptional = true', price, f"{name}_seconds", name)


@pytest.mark.parametrize(
    ("components", "quantities", "net", "total"),
    [
        (ENERGY, {"kwh": "20"}, "5.00", "5.50"),
        (START + ENERGY, {"kwh": "20"}, "5.50", "6.10"),
        (START + ENERGY + hourly("idle", "2", 900, "high"), {"kwh": "20", "idle_seconds": "2400"}, "7.00", "7.90"),
        (START + ENERGY, {"kwh": "30"}, "8.00", "8.85"),
        (hourly("charging", "2", 60, "low"), {"charging_seconds": "9000"}, "5.00", "5.50"),
        (
            hourly("charging", "3", 60, "low") + hourly("idle", "5", 300, "high"),
            {"charging_seconds": "9000", "idle_seconds": "2520"},
            "11.25",
            "12.75",
        ),
        (
            hourly("reservation", "5", 60, "high") + START + ENERGY,
            {"reservation_seconds": "900", "kwh": "20"},
            "6.75",
            "7.60",
        ),
        (
            hourly("reservation", "2", 600, "high") + START + ENERGY,
            {"reservation_seconds": "1320", "kwh": "20"},
            "6.50",
            "7.30",
        ),
    ],
)
def test_ocpi_examples(components: str, quantities: dict[str, str], net: str, total: str) -> None:
    pricer = tariff(components, TAXES)
    found = amounts(pricer, pricer.price(stated(quantities)))
    assert (found[0], found[2]) == (net, total)


def test_ocpi_first_hour_and_kwh_free() -> None:
    # 19 kWh × 0.20 = 3.80; of 2.75 hours one is free, 1.75 × 2.00 = 3.50
    pricer = tariff(
        unit("free = 1\nstep = 0.001", "0.20", "kwh", "energy")
        + '[[components]]\nkind = "graduated"\nname = "idle"\nmeasure = "idle"\nconvert = "1/3600"\nstep = "1/60"\n'
        "tiers = [{up_to = 1}, {up_to = 4, price = 2}, {price = 3}]"
    )
    assert exact(pricer, kwh="20", idle="9900") == "7.3"


# ── bounds and taxes of the charge ──


def test_charge_maximum_keeps_the_proportion_of_taxes() -> None:
    # 0.50 + 12.50 = 13 is cut to 10: bases 10 × 0.5/13 = 0.38 and 9.62; taxes 0.08 and 0.96
    pricer = tariff(START + ENERGY, TAXES + "\nmaximum = 10")
    priced = pricer.price(use(kwh="50"))
    assert priced.exact.text() == "10"
    assert amounts(pricer, priced) == ("10.00", ["0.08", "0.96"], "11.04")
    assert [line.component for line in priced.lines] == ["start", "energy", "maximum", "maximum"]
    assert {tax.name: tax.base.text() for tax in priced.taxes} == {"high": "5/13", "low": "125/13"}


def test_charge_minimum() -> None:
    pricer = tariff(ENERGY, TAXES + "\nminimum = 0.5")
    assert amounts(pricer, pricer.price(use(kwh="1"))) == ("0.50", ["0.05"], "0.55")
    assert amounts(pricer, pricer.price(use(kwh="0"))) == ("0.00", ["0.00"], "0.00")


def test_net_is_split_over_taxes_so_that_it_still_sums() -> None:
    # 0.005 + 0.005 = 0.01 net: one base is 0.01 and the other 0
    pricer = tariff(
        unit('tax = "a"', "0.005", "n", "x") + unit('tax = "b"', "0.005", "n", "y"), "taxes = {a = 100, b = 0}"
    )
    net, taxes, total = amounts(pricer, pricer.price(use(n="1")))
    assert (net, taxes, total) == ("0.01", ["0.01", "0.00"], "0.02")
    back = amounts(pricer, pricer.price(use(n="-1")))
    assert back == ("-0.01", ["-0.01", "0.00"], "-0.02")


def test_tax_included_pays_the_advertised_price() -> None:
    # 0.99 contains 25 %: 0.792 net; the total is what is rounded, the tax is 0.99 × 25/125 = 0.198
    pricer = tariff(unit('tax = "vat"', "0.99", "films"), "tax_included = true\ntaxes = {vat = 25}")
    priced = pricer.price(use(films="1"))
    assert priced.exact.text() == "0.792"
    assert amounts(pricer, priced) == ("0.79", ["0.20"], "0.99")
    assert [(tax.base.text(), tax.amount.text()) for tax in priced.taxes] == [("0.792", "0.198")]


# ── rounding rules ──


@pytest.mark.parametrize(
    ("mode", "amount"),
    [("half-even", "0.02"), ("half-up", "0.03"), ("half-down", "0.02"), ("up", "0.03"), ("down", "0.02")],
)
def test_modes_at_the_charge(mode: str, amount: str) -> None:
    pricer = tariff(unit(price="0.025", measure="n"), f'rounding = {{mode = "{mode}"}}')
    assert amounts(pricer, pricer.price(use(n="1")))[0] == amount
    assert amounts(pricer, pricer.price(use(n="-1")))[0] == f"-{amount}"


def test_fewer_decimals_at_the_charge() -> None:
    pricer = tariff(unit(price="0.15", measure="n"), "rounding = {decimals = 1}")
    assert amounts(pricer, pricer.price(use(n="1")))[0] == "0.20"


def test_each_line_rounded() -> None:
    # 0.014 → 0.01 twice; unrounded it would be 0.028 → 0.03
    two = unit(price="0.014", measure="n", name="a") + unit(price="0.014", measure="n", name="b")
    pricer = tariff(two, 'rounding = {at = "line", decimals = 2}')
    assert exact(pricer, n="1") == "0.02"


def test_each_increment_rounded() -> None:
    # a step of 60 costs 0.01/3 → 0.0034 rounded up; the first of 30 costs 0.01/6 → 0.0017
    pricer = tariff(
        unit("per = 180\nfirst = 30\nstep = 60", "0.01"), 'rounding = {at = "increment", mode = "up", decimals = 4}'
    )
    assert [exact(pricer, seconds=s) for s in ("0", "1", "30", "31", "91")] == [
        "0", "0.0017", "0.0017", "0.0051", "0.0085",
    ]  # fmt: skip


# ── credit records, missing and hostile input ──


def test_a_credit_mirrors_the_charge() -> None:
    pricer = tariff(GRADUATED + unit("first = 30\nstep = 6") + START.replace('tax = "high"\n', ""))
    there = pricer.price(use(n="25", seconds="31")).exact
    back = pricer.price(use(n="-25", seconds="-31")).exact
    assert there + back == Exact(0)
    assert there.text() == "110.66"  # 108 + 36 × 0.06 + 0.50


def test_a_record_that_uses_and_gives_back_is_refused() -> None:
    with pytest.raises(Refused) as error:
        tariff(GRADUATED + unit()).price(use(n="1", seconds="-1"))
    assert error.value.refusal.code is RefusalCode.BAD_QUANTITY


def test_running_totals_go_down_but_not_below_zero() -> None:
    pricer = tariff(GRADUATED + 'scope = "period"')
    first = pricer.price(use(n="25"), {}, "2026-11")
    assert first.totals == {"t/c@2026-11": Exact(25)}
    back = pricer.price(use(n="-10"), first.totals, "2026-11")
    assert back.exact.text() == "-35"  # 25 cost 108, and 15 cost 51 + 5 × 4 + 2 = 73
    with pytest.raises(Refused):
        pricer.price(use(n="-26"), first.totals, "2026-11")


def test_missing_measures_are_named() -> None:
    pricer = tariff(unit(measure="kwh"))
    with pytest.raises(Refused) as error:
        pricer.price(use())
    assert (error.value.refusal.code, error.value.refusal.field) == (RefusalCode.MEASURE_MISSING, "quantities.kwh")
    assert pricer.measures == {"kwh"}
    optional = tariff(unit("optional = true", measure="kwh"))
    assert exact(optional) == "0" and optional.measures == frozenset()


def test_time_runs_from_start_to_end_unless_stated() -> None:
    pricer = tariff(unit("time = true\nper = 60", "0.60"))
    end = datetime(2026, 11, 20, 12, 1, 30, 500000, tzinfo=UTC)
    assert pricer.price(use(NOON, end)).exact.text() == "0.905"
    assert pricer.price(use(NOON, end, seconds="60")).exact.text() == "0.6"
    with pytest.raises(Refused):
        pricer.price(use(NOON, None))
    with pytest.raises(Refused) as error:
        pricer.price(use(end, NOON))
    assert error.value.refusal.code is RefusalCode.BAD_TIME


def test_lines_explain_and_sum() -> None:
    priced = tariff(GRADUATED + unit("first = 30\nstep = 6\nper = 60")).price(use(n="25", seconds="31"))
    lines = priced.lines
    assert sum((Exact.parse(line.exact) for line in lines), Exact(0)) == priced.exact
    assert lines[0].note == "10 × 5 + 1, 10 × 4 + 2, 5 × 3"
    assert (lines[1].quantity, lines[1].price, lines[1].note) == ("36", "0.06 per 60", "measured 31")


def test_version_follows_the_content() -> None:
    assert tariff(unit()).version == tariff(unit()).version != tariff(unit(price="0.07")).version
