"""S11: One service to several users: the fee allocated by the proportional cost of serving each."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from fractions import Fraction

from tests.claims.conftest import ATOM, EXAMPLES, Book, Example, Write

# 0.50 a kWh in the evening and 0.20 else; ten and thirty are the first tier of each use.
HOUSE = """
unknown_payers = { currency = "EUR", credit = "1000" }
providers = { works = {}, wires = {} }
[services.power]
retail = "house"
allocate = "cost"
measures = { evening = "kWh", night = "kWh" }
parts.source = { provider = "works", wholesale = { works = "generation" } }
parts.distribution = { provider = "wires", wholesale = { wires = "network" } }
[tariffs]
generation = { currency = "EUR", components = [{ kind = "unit", name = "night", measure = "night", price = 0.08 }] }
network = { currency = "EUR", components = [{ kind = "unit", name = "evening", measure = "evening", price = 0.11 }] }
[tariffs.house]
currency = "EUR"
components = [
  { kind = "unit", name = "evening", measure = "evening", price = 0.50 },
  { kind = "unit", name = "night", measure = "night", price = 0.20 },
  { kind = "flat", name = "meter", price = 3.00 },
]
"""


def test_equal_kilowatt_hours_cost_by_what_serving_them_costs(book: Book, write: Write) -> None:
    record = {
        "source": "meter", "id": "day", "service": "power", "start": "2026-03-02T00:00:00Z",
        "payers": [
            {"payer": "early", "quantities": {"evening": "2", "night": "8"}},
            {"payer": "late", "quantities": {"evening": "8", "night": "2"}},
        ],
    }  # fmt: skip
    books = book(write("house.toml", HOUSE), write("day.jsonl", json.dumps(record)))
    # Together 10 and 10 kWh: 5.00 + 2.00 + 3.00 = 10.00. Serving each alone would cost 1.00 + 1.60 + 3 = 5.60 and
    # 4.00 + 0.40 + 3 = 7.40, so they bear 10 × 5.60/13 and 10 × 7.40/13.
    shares = {name: -amount for name, amount in books.legs("day") if amount < 0}
    assert sum(shares.values()) == 10
    assert abs(Fraction(shares["early"]) - Fraction(10 * 56, 130)) < Fraction(ATOM)
    assert abs(Fraction(shares["late"]) - Fraction(10 * 74, 130)) < Fraction(ATOM)
    assert books.portions("day") == {"works": Decimal("0.80"), "wires": Decimal("1.10")}


def test_the_flats_of_a_building_share_each_day_by_their_own_cost(example: Example) -> None:
    books = example("electricity/usage-building.jsonl")
    usage = EXAMPLES / "electricity/usage-building.jsonl"
    assert books.summary["charged"] == 31
    borne: dict[str, Fraction] = {}
    for record in map(json.loads, usage.read_text(encoding="utf-8").splitlines()):
        weekday = date.fromisoformat(record["id"]).weekday() < 5
        evening = Fraction("0.54") if weekday else Fraction("0.40")
        cost = {
            payer["payer"]: Fraction(payer["quantities"]["peak_kwh"]) * evening
            + Fraction(payer["quantities"]["off_peak_kwh"]) * Fraction("0.22")
            for payer in record["payers"]
        }
        charge = books.charges[record["id"]]
        assert Fraction(charge["exact"]) == sum(cost.values())  # the fee holds the cost of flat-17, who pays nothing
        paying = sum(one for flat, one in cost.items() if flat != "flat-17")
        shares = {name: -amount for name, amount in books.legs(record["id"]) if amount < 0}
        assert sum(shares.values()) == Decimal(charge["total"])
        assert set(shares) == set(cost) - {"flat-17"}
        for flat, share in shares.items():
            exact = Fraction(charge["total"]) * cost[flat] / paying
            assert abs(Fraction(share) - exact) < Fraction(ATOM), (record["id"], flat)
            borne[flat] = borne.get(flat, Fraction(0)) + exact
    # After the close not even the rounding of thirty-one days is left on anybody.
    balances = books.balances("payer")
    assert all(abs(-Fraction(balances[flat]) - exact) < Fraction(ATOM) for flat, exact in borne.items())
    assert (round(-balances["flat-07"], 2), round(-balances["flat-12"], 2)) == (Decimal("357.65"), Decimal("234.74"))
