"""S3: Telecommunications served by several providers."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.claims.conftest import ATOM, EXAMPLES, Book, Program, rows, run_books

TELEPHONE = EXAMPLES / "telephone"
COPENHAGEN = ZoneInfo("Europe/Copenhagen")


def deck() -> dict[str, dict[str, str]]:
    """The rate deck by prefix, read as anybody would read a CSV file."""
    with gzip.open(TELEPHONE / "deck.csv.gz", "rt", encoding="utf-8") as file:
        return {row["prefix"]: row for row in csv.DictReader(file)}


def longest(rates: dict[str, dict[str, str]], number: str) -> dict[str, str]:
    return next(rates[number[:size]] for size in range(len(number), 0, -1) if rates.get(number[:size], {}).get("rate"))


def by_day(call: dict[str, str]) -> bool | None:
    """Whether a call lay between 8 and 20 of a weekday in Copenhagen; None when it ran over the edge."""
    start = datetime.fromisoformat(call["start"]).astimezone(COPENHAGEN)
    last = start + timedelta(seconds=int(call["duration"]))
    day = [at.weekday() < 5 and 8 <= at.hour < 20 for at in (start, last)]
    return day[0] if day[0] == day[1] else None


def expected(call: dict[str, str], rate: dict[str, str], day: bool) -> dict[str, Fraction]:
    """Fee before tax and what each provider earns, from the prices that the catalog and the deck print."""
    seconds, legs = int(call["seconds"]), int(call["leg_seconds"])
    first, step = int(rate["first"]), int(rate["next"])
    billed = max(first, first + ceil((seconds - first) / step) * step)
    access, origin = ("0.012", "0.008") if day else ("0.006", "0.003")
    fee = Fraction(rate["rate"]) * billed + Fraction(access) * seconds + Fraction("0.003") * legs
    return {
        "fee": fee / 60 + Fraction("0.005"),
        "origination": Fraction(origin) * seconds / 60,
        "bridge": Fraction("0.002") + Fraction("0.0016") * legs / 60,
        "termination": Fraction(rate["derived_cost"]) * billed / 60,
    }


def test_every_call_pays_three_providers_by_their_own_prices(book: Book, sample: Callable[..., Path]) -> None:
    usage = sample("telephone/usage-telecom.csv", 400)
    books = book(TELEPHONE / "catalog.toml", usage, close=True)
    rates, checked = deck(), 0
    due: dict[str, Fraction] = defaultdict(Fraction)
    for call in rows(usage):
        charge = books.charges.get(call["id"])
        if charge is None:
            assert call["called"].startswith("43820")  # the deck lists this number without a rate: not sold
            continue
        if call["seconds"] == "0":
            assert books.legs(call["id"]) == []
            continue
        for portion in charge["portions"]:
            due[portion["provider"]] += Fraction(portion["exact"])
        day = by_day(call)
        if day is None:
            continue
        want = expected(call, longest(rates, call["called"]), day)
        assert Fraction(charge["exact"]) == want.pop("fee"), call
        assert abs(Fraction(charge["tax"]) - Fraction(charge["amount"]) / 4) <= Fraction(ATOM)  # 25 percent
        assert {one["part"]: Fraction(one["exact"]) for one in charge["portions"]} == want, call
        assert {one["part"]: one["provider"] for one in charge["portions"]} == {
            "origination": "campus-mobile",
            "bridge": "telecom-platform",
            "termination": call["provider.termination"],
        }
        checked += 1
    assert checked > 250
    credited = books.balances("provider")
    assert set(credited) == set(due) and len(due) == 4
    assert all(abs(Fraction(credited[name]) - due[name]) < Fraction(ATOM) for name in due)


def test_the_four_weeks_cost_what_the_page_says(apportion: Program) -> None:
    books = run_books(apportion, TELEPHONE / "catalog.toml", TELEPHONE / "usage-telecom.csv", close=True)
    counts = {name: books.summary[name] for name in ("received", "charged", "zero_rated", "rejected", "pending")}
    assert counts == {"received": 3600, "charged": 2649, "zero_rated": 946, "rejected": 3, "pending": 2}
    earned = sum(books.balances("provider").values())
    fees, vat = books.balances("platform")["fees"], sum(books.balances("tax").values())
    paid = Decimal("28") + Decimal("23") - sum(books.balances("payer").values())  # two had paid in advance
    assert earned + fees + vat == paid
    assert abs(vat - (earned + fees) / 4) < 3600 * ATOM
