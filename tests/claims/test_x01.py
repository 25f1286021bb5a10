"""X1: Exact to the last unit, always: portions + platform fee = fee; shares of payers = fee; no drift over millions of
small fees."""

from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction

import pytest

from tests.claims.conftest import ATOM, Book, Books, Write

RECORDS = 1000
# Prices that no decimal holds: thirds, sevenths, elevenths; 7.7 percent of tax; the platform's fraction a thirteenth.
CATALOG = """
unknown_payers = { currency = "EUR", credit = "100000" }
providers = { a = {}, b = {}, c = {} }
[services.wholesale]
retail = "retail"
measures = { units = "unit" }
allocate = "shares"
parts.one = { provider = "a", wholesale = { a = "third" } }
parts.two = { provider = "b", wholesale = { b = "seventh" } }
parts.three = { provider = "c", wholesale = { c = "eleventh" } }
[services.shares]
retail = "retail"
measures = { units = "unit" }
apportion = "shares"
platform = "1/13"
parts.one = { provider = "a", share = "1/3" }
parts.two = { provider = "b", share = "2/7" }
parts.three = { provider = "c", share = "0.123456789" }
[services.quantity]
retail = "retail"
measures = { units = "unit" }
apportion = "quantity"
platform = "1/13"
parts.one = { provider = "a", measure = "units" }
parts.two = { provider = "b", measure = "units" }
parts.three = { provider = "c", measure = "units" }
[tariffs.retail]
currency = "EUR"
taxes = { vat = "7.7" }
tax = "vat"
components = [{ kind = "unit", name = "units", measure = "units", price = 10, per = 7000001 }]
[tariffs]
third = { currency = "EUR", components = [{ kind = "unit", name = "u", measure = "units", price = 1, per = 3e6 }] }
seventh = { currency = "EUR", components = [{ kind = "unit", name = "u", measure = "units", price = 1, per = 7e6 }] }
eleventh = { currency = "EUR", components = [{ kind = "unit", name = "u", measure = "units", price = 1, per = 11e6 }] }
"""
HEADER = "source,id,service,start,payer,units,one.units,two.units,three.units\n"


def lines(seed: int, service: str) -> list[tuple[Fraction, str]]:
    """Random records: their quantity, and the line of the file; from a few units of 10⁻⁶ EUR to some euros."""
    dice, found = random.Random(seed), []
    for at in range(RECORDS):
        payers = dice.sample(["p1", "p2", "p3", "p4"], dice.choice([1, 1, 2, 3]))
        weights = ";".join(f"{one}={dice.randint(1, 9)}" if service == "wholesale" else one for one in payers)
        sign = dice.choice([1] * 19 + [-1])  # one in twenty is a refund
        own = [sign * dice.randint(1, dice.choice([9, 10**3, 10**6])) for _ in range(3)]
        cells = ["", *map(str, own)] if service == "quantity" else [str(sum(own)), "", "", ""]
        row = f"dice,{seed}-{at},{service},2026-03-02T10:00:{at % 60:02}Z,{weights},{','.join(cells)}\n"
        found.append((Fraction(sum(own)), row))
    return found


def adds_up_exactly(books: Books, units: list[Fraction]) -> None:
    """Recompute every fee from its quantity, and every sum; in fractions, so that nothing is rounded here."""
    due: dict[str, Fraction] = defaultdict(Fraction)
    for quantity, charge in zip(units, books.charges.values(), strict=True):
        exact, fee, tax = quantity * 10 / 7000001, Fraction(charge["amount"]), Fraction(charge["tax"])
        assert Fraction(charge["exact"]) == exact
        assert abs(fee - exact) <= Fraction(ATOM) / 2
        portions = [Fraction(one["amount"]) for one in charge["portions"]]
        assert all(portion * quantity >= 0 for portion in portions)  # nobody earns below zero, nor loses above it
        assert sum(portions) + Fraction(charge["platform"]) == fee
        assert sum(Fraction(one["amount"]) for one in charge["shares"]) == fee + tax
        assert abs(tax - fee * Fraction("0.077")) <= Fraction(ATOM)
        for one in charge["portions"]:
            assert abs(Fraction(one["amount"]) - Fraction(one["exact"])) < Fraction(ATOM)
            due[one["provider"]] += Fraction(one["exact"])
    for provider, credited in books.balances("provider").items():
        assert abs(Fraction(credited) - due[provider]) < Fraction(ATOM), f"{provider} drifts"
    assert sum(Decimal(one["posted"]) for one in books.accounts) == 0


@pytest.mark.parametrize("service", ["wholesale", "shares", "quantity"])
def test_a_thousand_random_fees_add_up_without_drift(book: Book, write: Write, service: str) -> None:
    made = lines(1, service)
    usage = write("dice.csv", HEADER + "".join(row for _, row in made))
    books = book(write("dice.toml", CATALOG), usage, close=True)
    assert books.summary["charged"] == RECORDS
    adds_up_exactly(books, [quantity for quantity, _ in made])


def test_two_closes_drift_no_more_than_one(book: Book, write: Write) -> None:
    first, second = lines(2, "shares"), lines(3, "shares")
    catalog = write("dice.toml", CATALOG)
    book(catalog, write("one.csv", HEADER + "".join(row for _, row in first)), close=True)
    books = book(catalog, write("two.csv", HEADER + "".join(row for _, row in second)), close=True)
    adds_up_exactly(books, [quantity for quantity, _ in first + second])
