"""S8: Delivery of electricity, gas and water."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from tests.claims.conftest import ATOM, EXAMPLES, Book, rows

ELECTRICITY = EXAMPLES / "electricity"
CATALOG = ELECTRICITY / "catalog.toml"


def of_home_01(line: str) -> bool:
    return ",home-01," in line


def test_each_hour_of_electricity_costs_use_times_its_price(book: Book, sample: Callable[..., Path]) -> None:
    usage = sample("electricity/usage.csv", keep=of_home_01)
    books = book(CATALOG, usage, close=True)
    price = {row["start"]: Decimal(row["usd_per_kwh"]) for row in rows(ELECTRICITY / "prices.csv")}
    hours = rows(usage)
    assert len(hours) == 744
    for hour in hours:
        assert Decimal(books.charges[hour["id"]]["exact"]) == Decimal(hour["kwh"]) * price[hour["start"]]
    month = sum(Decimal(hour["kwh"]) * price[hour["start"]] for hour in hours)
    assert abs(books.balances("payer")["home-01"] + month) < 744 * ATOM  # each hour was rounded once


def test_gas_by_the_cubic_metre_and_the_meter_at_the_end_of_the_month(book: Book, sample: Callable[..., Path]) -> None:
    usage = sample("electricity/usage-gas-water.csv", keep=lambda line: of_home_01(line) and ",gas," in line)
    books = book(CATALOG, usage, close=True)
    m3 = sum(Decimal(day["m3"]) for day in rows(usage))
    assert len(rows(usage)) == 31
    assert books.balances("payer") == {"home-01": -(m3 * Decimal("0.58") + Decimal("4.50"))}


def test_water_in_blocks_of_the_month(book: Book, sample: Callable[..., Path]) -> None:
    usage = sample("electricity/usage-gas-water.csv", keep=lambda line: of_home_01(line) and ",water," in line)
    books = book(CATALOG, usage, close=True)
    m3 = sum(Decimal(day["m3"]) for day in rows(usage))
    assert m3 > 10  # so both blocks take part: ten at 1.20, the rest at 2.60, and 9.00 for the meter
    assert books.balances("payer") == {"home-01": -(12 + (m3 - 10) * Decimal("2.60") + 9)}
    assert books.balances("provider") == {"lake-works": m3 * Decimal("0.45"), "city-pipes": m3 * Decimal("0.60")}


def test_the_order_of_readings_does_not_change_the_month(book: Book, sample: Callable[..., Path]) -> None:
    usage = sample("electricity/usage-gas-water.csv", keep=lambda line: of_home_01(line) and ",water," in line)
    forward = book(CATALOG, usage, store="forward.db", close=True)
    header, *days = usage.read_text(encoding="utf-8").splitlines(keepends=True)
    usage.write_text("".join([header, *reversed(days)]), encoding="utf-8")
    backward = book(CATALOG, usage, store="backward.db", close=True)
    assert backward.balances("payer") == forward.balances("payer")
    assert backward.balances("provider") == forward.balances("provider")


def test_three_services_with_their_units_for_one_home(book: Book, sample: Callable[..., Path]) -> None:
    power = sample("electricity/usage.csv", keep=of_home_01)
    pipes = sample("electricity/usage-gas-water.csv", keep=of_home_01)
    books = book(CATALOG, power, pipes)
    found = {}
    for record in ("h01-001", "gas-01-01", "water-01-01"):
        shown = books.program("explain", books.charges[record]["id"], "--store", books.store, "--json").json()
        used = next(section for section in shown["sections"] if section["title"] == "What was used")
        found[record] = {fact["name"]: fact["value"] for fact in used["facts"]}
    assert found["h01-001"]["kwh"] == "2.2758 kWh"
    assert (found["gas-01-01"]["m3"], found["water-01-01"]["m3"]) == ("1.538 m3", "0.772 m3")
    assert {line["service"] for line in books.of("charge")} == {"electricity", "gas", "water"}
    assert list(books.balances("payer")) == ["home-01"]  # one account, one currency, three services
