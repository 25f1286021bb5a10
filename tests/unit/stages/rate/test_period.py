"""What only a period has: fees, peaks, minimum and maximum, from the totals that pricing keeps."""

from __future__ import annotations

import itertools
import tomllib
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from apportion.errors import Refused
from apportion.model.tariff import Use
from apportion.model.tariff_check import check
from apportion.money import Exact
from apportion.stages.rate import Pricer, compile_tariff
from tests.tariffs import read_tariff

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ENERGY = '[[components]]\nkind = "unit"\nname = "energy"\nmeasure = "kwh"\nprice = 0.1\n'
PEAK = '[[components]]\nkind = "demand"\nname = "peak"\nmeasure = "kw"\n'


def tariff(text: str) -> Pricer:
    found = read_tariff(tomllib.loads(f'id = "t"\ncurrency = "USD"\n{text}', parse_float=Decimal))
    assert check(found) == []
    return compile_tariff(found)


def run(pricer: Pricer, uses: list[Use]) -> tuple[Exact, dict[str, Exact]]:
    totals: dict[str, Exact] = {}
    charged = Exact(0)
    for use in uses:
        assert set(pricer.total_keys(use, "p")) >= set(totals)
        priced = pricer.price(use, totals, "p")
        totals |= priced.totals
        charged += priced.exact
    return charged, totals


def kwh(*amounts: int) -> list[Use]:
    return [Use(NOON, None, {"kwh": Exact(amount)}, {}) for amount in amounts]


@pytest.mark.parametrize(("amounts", "total"), [((), "5"), ((10,), "5"), ((40, 20), "8"), ((300,), "20")])
def test_fee_minimum_and_maximum_of_the_period(amounts: tuple[int, ...], total: str) -> None:
    # 2 a month + 0.10 a kWh, at least 5 and at most 20: 2, 2 + 1, 2 + 6, 2 + 30
    fee = '[[components]]\nkind = "flat"\nname = "fee"\nprice = 2\nscope = "period"\n'
    pricer = tariff("period_minimum = 5\nperiod_maximum = 20\n" + fee + ENERGY)
    charged, totals = run(pricer, kwh(*amounts))
    assert pricer.running
    assert (charged + pricer.period_charge(totals, "p").exact).text() == total


def test_the_periods_maximum_keeps_the_proportion_of_taxes() -> None:
    low, high = ENERGY + 'tax = "low"\n', ENERGY.replace("energy", "grid") + 'tax = "high"\n'
    pricer = tariff("period_maximum = 10\ntaxes = {low = 10, high = 20}\n" + low + high)
    _, totals = run(pricer, kwh(60, 40))  # 10 of each, halved at the close
    assert totals == {"t:charged/low@p": Exact(10), "t:charged/high@p": Exact(10)}
    close = pricer.period_charge(totals, "p")
    assert {tax.name: (tax.base.text(), tax.amount.text()) for tax in close.taxes} == {
        "low": ("-5", "-0.5"),
        "high": ("-5", "-1"),
    }


def test_a_cap_of_a_component_on_its_running_total() -> None:
    pricer = tariff(ENERGY + 'scope = "period"\nmaximum = 5\n')
    totals: dict[str, Exact] = {}
    costs = []
    for use in kwh(30, 30, 30):
        priced = pricer.price(use, totals, "p")
        totals |= priced.totals
        costs.append(priced.exact.text())
    assert costs == ["3", "2", "0"]


def test_the_peak_of_the_period_in_any_order() -> None:
    pricer = tariff(PEAK + "tiers = [{up_to = 100, price = 8}, {price = 5}]\n")
    for order in itertools.permutations((20, 120, 40)):
        charged, totals = run(pricer, [Use(NOON, None, {"kw": Exact(kw)}, {}) for kw in order])
        assert (charged, totals) == (Exact(0), {"t/peak:peak@p": Exact(120)})
        close = pricer.period_charge(totals, "p")
        assert close.exact.text() == "900"  # 100 × 8 + 20 × 5
        assert close.lines[0].quantity == "120"
    assert pricer.period_charge({}, "p").exact == Exact(0)


def test_average_power_over_the_record() -> None:
    pricer = tariff(PEAK.replace('"kw"', '"kwh"') + "averaged = true\nprice = 10\nstep = 1\nfree = 5\n")
    quarter = Use(NOON, NOON + timedelta(minutes=15), {"kwh": Exact.parse("5.1")}, {})
    _, totals = run(pricer, [quarter])
    assert pricer.period_charge(totals, "p").exact.text() == "160"  # 20.4 kW is billed as 21, less 5 free
    for end in (None, NOON):
        with pytest.raises(Refused):
            pricer.price(Use(NOON, end, {"kwh": Exact(1)}, {}))


def test_demand_in_a_band_and_never_negative() -> None:
    pricer = tariff('bands.day = {times = ["08:00-20:00"]}\n' + PEAK + 'when = ["day"]\nprice = 1\n')
    night = Use(NOON.replace(hour=3), None, {"kw": Exact(99)}, {})
    _, totals = run(pricer, [night, Use(NOON, None, {"kw": Exact(7)}, {})])
    assert pricer.period_charge(totals, "p").exact == Exact(7)
    with pytest.raises(Refused):
        pricer.price(Use(NOON, None, {"kw": Exact(-1)}, {}))


def test_fees_of_the_period_follow_the_price_history() -> None:
    fee = '[[components]]\nkind = "flat"\nname = "fee"\nscope = "period"\n'
    pricer = tariff(fee + "price = 2\nvalid_until = 2027-01-01\n" + fee + "price = 3\nvalid_from = 2027-01-01\n")
    assert pricer.period_charge({}, "p", NOON).exact == Exact(2)
    assert pricer.period_charge({}, "p").exact == Exact(3)
