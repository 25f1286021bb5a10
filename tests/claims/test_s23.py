"""S23: A service platform with a service measurement and settlement agent: measure, apportion, credit."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction

from tests.claims.conftest import ATOM, EXAMPLES, Example, rows

PIPES = EXAMPLES / "electricity/usage-gas-water.csv"


def test_measure_apportion_credit(example: Example) -> None:
    """From meter readings to what each provider is owed, over three providers and 1,054 readings."""
    books = example("electricity/usage-gas-water.csv")
    # measured: every reading is in the books as it was read
    kept = {line["id"]: line["quantities"]["m3"] for line in books.of("usage")}
    assert {row["id"]: Decimal(row["m3"]) for row in rows(PIPES)} == {one: Decimal(m3) for one, m3 in kept.items()}
    # apportioned: each charge names who earns which portion of it, and they add up to the fee
    named: dict[str, Decimal] = {}
    for charge in books.of("charge"):
        portions = {one["provider"]: Decimal(one["amount"]) for one in charge["portions"]}
        assert len(portions) == 2 and sum(portions.values()) + Decimal(charge["platform"]) == Decimal(charge["amount"])
        for provider, amount in portions.items():
            named[provider] = named.get(provider, Decimal(0)) + amount
    # credited: what stands on the accounts, but for single atoms of rounding that the close paid back
    credited = books.balances("provider")
    assert set(credited) == set(named) == {"north-field", "city-pipes", "lake-works"}
    trued = Decimal(books.summary["closed"]["trued_up"].get("USD/9", "0"))
    assert all(abs(credited[name] - named[name]) <= trued for name in named)
    # and by the meters alone: 55 and 40 of 100 of the gas; 0.45 and 0.60 for a cubic metre of water
    gas = sum(Fraction(row["m3"]) for row in rows(PIPES) if row["service"] == "gas")
    water = sum(Fraction(row["m3"]) for row in rows(PIPES) if row["service"] == "water")
    fees = gas * Fraction("0.58") + 17 * Fraction("4.50")
    for name, due in (
        ("north-field", fees * 55 / 100),
        ("city-pipes", fees * 40 / 100 + water * Fraction("0.60")),
        ("lake-works", water * Fraction("0.45")),
    ):
        assert abs(Fraction(credited[name]) - due) < Fraction(ATOM), name


def test_every_credit_can_be_followed_to_its_user(example: Example) -> None:
    books = example("electricity/usage-gas-water.csv")
    traced = books.program("trace", "lake-works", "--store", books.store, "--json").json()
    assert traced["holds"] is True
    came = sum(Decimal(flow["into"]) - Decimal(flow["out"]) for flow in traced["flows"])
    assert came == books.balances("provider")["lake-works"]
    assert {flow["role"] for flow in traced["flows"]} <= {"payer", "platform"}
    assert len([flow for flow in traced["flows"] if flow["role"] == "payer"]) == 17


def test_the_remittance_advice_is_the_credit_rounded_once(example: Example) -> None:
    books = example("electricity/usage-gas-water.csv")
    shown = books.program("statement", "--period", "2016-08", "--store", books.store, "--json").out
    documents = json.loads(shown)
    advice = {one["party"]: one for one in documents if one["kind"] == "remittance"}
    assert set(advice) == set(books.balances("provider"))
    for provider, credited in books.balances("provider").items():
        one = advice[provider]
        assert Decimal(one["credited"]) == credited
        assert Decimal(one["total"]) == round(credited, 2)
        assert sum(Decimal(due["payable"]) for due in one["dues"]) == Decimal(one["total"])
    asked = sum(Decimal(one["total"]) for one in documents if one["kind"] == "statement")
    assert abs(asked + sum(books.balances("payer").values())) <= 17 * Decimal("0.005")
