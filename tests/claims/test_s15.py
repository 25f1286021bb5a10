"""S15: Measure what each provider delivered; determine the portion of the fee for each measured service."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from tests.claims.conftest import ATOM, Book, Write

# Power from a roof, a battery and the grid: what each of them delivered is measured, and decides its portion.
HOME = """
unknown_payers = { currency = "EUR", credit = "1000" }
providers = { roof = {}, battery = {}, grid = {} }
[services.power]
retail = "home"
measures = { kwh = "kWh", minutes = "min" }
apportion = "quantity"
platform = "0.1"
parts.sun = { provider = "roof", measure = "kwh" }
parts.store = { provider = "battery", measure = "kwh" }
parts.wire = { provider = "grid", measure = "kwh" }
[tariffs]
home = { currency = "EUR", components = [{ kind = "unit", name = "energy", measure = "kwh", price = 0.40 }] }
own = { currency = "EUR", components = [{ kind = "unit", name = "energy", measure = "kwh", price = 0.10 }] }
dear = { currency = "EUR", components = [{ kind = "unit", name = "energy", measure = "kwh", price = 0.30 }] }
"""
HEADER = "source,id,service,start,payer,sun.kwh,store.kwh,wire.kwh\n"
# The same home, but portions follow what each part costs.
COST = (
    HOME.replace('"quantity"', '"cost"')
    .replace('provider = "roof", measure = "kwh"', 'provider = "roof", wholesale = { roof = "own" }')
    .replace('provider = "battery", measure = "kwh"', 'provider = "battery", wholesale = { battery = "own" }')
    .replace('provider = "grid", measure = "kwh"', 'provider = "grid", wholesale = { grid = "dear" }')
)


def day(record: str, sun: str, store: str, wire: str) -> str:
    return f"meter,{record},power,2026-03-02T00:00:00Z,ada,{sun},{store},{wire}\n"


def test_portions_follow_the_measured_quantities(book: Book, write: Write) -> None:
    usage = HEADER + day("a", "5", "2", "3") + day("b", "0", "2", "6")
    books = book(write("home.toml", HOME), write("days.csv", usage))
    # a: 10 kWh, 4.00; a tenth for the platform, 3.60 by 5 : 2 : 3. b: 8 kWh, 3.20; 2.88 by 0 : 2 : 6.
    assert books.portions("a") == {"roof": Decimal("1.80"), "battery": Decimal("0.72"), "grid": Decimal("1.08")}
    assert books.portions("b") == {"roof": Decimal(0), "battery": Decimal("0.72"), "grid": Decimal("2.16")}
    assert books.balances("platform") == {"fees": Decimal("0.72")}
    assert books.balances("payer") == {"ada": Decimal("-7.20")}


def test_what_each_provider_delivered_is_kept_as_measured(book: Book, write: Write) -> None:
    books = book(write("home.toml", HOME), write("days.csv", HEADER + day("a", "5.25", "2", "3")))
    measured = {part["provider"]: part["quantities"] for part in books.of("usage")[0]["parts"]}
    assert measured == {"roof": {"kwh": "5.25"}, "battery": {"kwh": "2"}, "grid": {"kwh": "3"}}


def test_who_delivers_more_of_the_same_whole_earns_more(book: Book, write: Write) -> None:
    """From 1 : 1 : 1 to 2 : 1 : 1, with thirds that no decimal holds."""
    usage = HEADER + day("even", "1", "1", "1") + day("more", "2", "1", "1")
    books = book(write("home.toml", HOME), write("days.csv", usage))
    for record, fee, weights in (("even", "1.08", (1, 1, 1)), ("more", "1.44", (2, 1, 1))):
        portions = books.portions(record)
        assert sum(portions.values()) == Decimal(fee)
        for name, weight in zip(("roof", "battery", "grid"), weights, strict=True):
            assert abs(Fraction(portions[name]) - Fraction(fee) * weight / sum(weights)) < Fraction(ATOM)


def test_portions_by_what_each_part_costs(book: Book, write: Write) -> None:
    books = book(write("home.toml", COST), write("days.csv", HEADER + day("a", "5", "2", "3")))
    # The parts cost 0.50, 0.20 and 0.90 alone: 3.60 is shared 5 : 2 : 9.
    assert books.portions("a") == {"roof": Decimal("1.125"), "battery": Decimal("0.45"), "grid": Decimal("2.025")}


@pytest.mark.parametrize("wrong", ["-1", "five", "1e999"])
def test_what_can_not_be_measured_moves_no_money(book: Book, write: Write, wrong: str) -> None:
    books = book(write("home.toml", HOME), write("days.csv", HEADER + day("a", wrong, "2", "3")))
    assert books.summary["rejected"] == 1
    assert books.of("entry") == []


def test_who_was_not_measured_earns_nothing(book: Book, write: Write) -> None:
    """Nothing was measured of the roof: its portion may not come from what the others delivered."""
    books = book(write("home.toml", HOME), write("days.csv", HEADER + day("a", "", "2", "3")))
    assert books.balances("provider").get("roof", Decimal(0)) == 0
    if books.summary["charged"]:
        assert books.portions("a") == {"roof": Decimal(0), "battery": Decimal("0.72"), "grid": Decimal("1.08")}
