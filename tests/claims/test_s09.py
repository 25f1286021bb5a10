"""S9: Delivery of electricity, gas and water from source and distribution providers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from tests.claims.conftest import ATOM, EXAMPLES, Book, Program, rows, run_books

CATALOG = EXAMPLES / "electricity/catalog.toml"


def test_generation_and_wires_earn_by_their_own_hours(book: Book, sample: Callable[..., Path]) -> None:
    """A Thursday and a Saturday of 17 homes: the source is dear from 15 to 20 on weekdays, the wires from 16 to 21."""
    usage = sample("electricity/usage.csv", keep=lambda line: "2016-08-04T" in line or "2016-08-06T" in line)
    books = book(CATALOG, usage, close=True)
    due = {"sunny-side": Fraction(0), "valley-wires": Fraction(0)}
    assert len(rows(usage)) == 2 * 24 * 17
    for hour in rows(usage):
        at, kwh = datetime.fromisoformat(hour["start"]), Fraction(hour["kwh"])
        source = kwh * Fraction("0.082949" if at.weekday() < 5 and 15 <= at.hour < 20 else "0.069079")
        wires = kwh * Fraction("0.24" if 16 <= at.hour < 21 else "0.11")
        portions = {one["part"]: one for one in books.charges[hour["id"]]["portions"]}
        assert (portions["source"]["provider"], Fraction(portions["source"]["exact"])) == ("sunny-side", source)
        assert (portions["distribution"]["provider"], Fraction(portions["distribution"]["exact"])) == (
            "valley-wires",
            wires,
        )
        due["sunny-side"] += source
        due["valley-wires"] += wires
    credited = books.balances("provider")
    assert set(credited) == set(due)
    assert all(abs(Fraction(credited[name]) - due[name]) < Fraction(ATOM) for name in due)


def test_gas_is_shared_55_to_40_to_5(book: Book, sample: Callable[..., Path]) -> None:
    usage = sample("electricity/usage-gas-water.csv", keep=lambda line: ",gas," in line)
    books = book(CATALOG, usage, close=True)
    assert len(rows(usage)) == 17 * 31
    fees = -sum(books.balances("payer").values())
    m3 = sum(Decimal(day["m3"]) for day in rows(usage))
    assert fees == m3 * Decimal("0.58") + 17 * Decimal("4.50")
    earned = books.balances("provider") | books.balances("platform")
    assert set(earned) == {"north-field", "city-pipes", "fees"}
    for name, percent in (("north-field", 55), ("city-pipes", 40), ("fees", 5)):
        assert abs(earned[name] - fees * percent / 100) < ATOM, name


def test_water_from_the_works_through_the_mains(book: Book, sample: Callable[..., Path]) -> None:
    usage = sample("electricity/usage-gas-water.csv", keep=lambda line: ",water," in line)
    books = book(CATALOG, usage, close=True)
    m3 = sum(Decimal(day["m3"]) for day in rows(usage))
    assert books.balances("provider") == {"lake-works": m3 * Decimal("0.45"), "city-pipes": m3 * Decimal("0.60")}


def test_the_month_of_the_page(apportion: Program) -> None:
    books = run_books(apportion, CATALOG, EXAMPLES / "electricity/usage.csv", close=True)
    earned = books.balances("provider")
    assert (round(earned["sunny-side"], 2), round(earned["valley-wires"], 2)) == (
        Decimal("1288.44"), Decimal("2677.03")
    )  # fmt: skip
    assert round(-sum(books.balances("payer").values()), 2) == Decimal("5482.17")
