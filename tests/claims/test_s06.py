"""S6: Video on demand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from tests.claims.conftest import ATOM, EXAMPLES, Book, rows

CATALOG = EXAMPLES / "video-on-demand/catalog.toml"
# EUR for each minute at a height of the picture: what a viewer pays, what a studio earns, what one with music earns.
PRICES = {
    "s144": ("0.0010", "0.0004", "0.0005"),
    "s240": ("0.0015", "0.0006", "0.00075"),
    "s360": ("0.0020", "0.0008", "0.0010"),
    "s480": ("0.0030", "0.0012", "0.0015"),
    "s720": ("0.0050", "0.0020", "0.0025"),
}


def minutes(session: dict[str, str], column: int) -> Fraction:
    """A session priced by its minutes at each quality."""
    return sum(
        (Fraction(session[name]) / 60 * Fraction(prices[column]) for name, prices in PRICES.items()), Fraction(0)
    )


def test_viewers_pay_by_the_minute_and_studios_earn_by_the_minute(book: Book, sample: Callable[..., Path]) -> None:
    usage = sample("video-on-demand/usage.csv", 600)
    books = book(CATALOG, usage, close=True)
    assert books.summary["charged"] == 600
    paid: dict[str, Fraction] = defaultdict(Fraction)
    earned: dict[str, Fraction] = defaultdict(Fraction)
    for session in rows(usage):
        charge, studio = books.charges[session["id"]], session["provider.content"]
        portion = next(one for one in charge["portions"] if one["part"] == "content")
        assert Fraction(charge["exact"]) == minutes(session, 0)
        assert portion["provider"] == studio
        assert Fraction(portion["exact"]) == minutes(session, 2 if studio == "encore" else 1)
        debits = [(name, amount) for name, amount in books.legs(session["id"]) if amount < 0]
        assert debits == [(session["payer"], -Decimal(charge["amount"]))]
        paid[session["payer"]] += Fraction(charge["amount"])
        earned[studio] += minutes(session, 2 if studio == "encore" else 1)
    balances = books.balances("payer")
    balances["v100"] -= Decimal("0.45")  # paid in advance
    assert {name: -Fraction(balance) for name, balance in balances.items()} == paid
    credited = books.balances("provider")
    assert len(earned) == 5
    assert all(abs(Fraction(credited[studio]) - due) < Fraction(ATOM) for studio, due in earned.items())


def test_a_month_of_viewing_costs_what_the_page_says(book: Book) -> None:
    """``v100`` has paid 0.45 in advance: five sessions wait, and are charged when value is added."""
    usage = EXAMPLES / "video-on-demand/usage.csv"
    before = book(CATALOG, usage)
    assert (before.summary["charged"], before.summary["pending"]) == (5238, 5)
    before.program("topup", "v100", "1.00", "EUR", "--store", before.store)
    books = book(CATALOG, usage, close=True)
    assert (books.summary["settled"], books.summary["pending"]) == (5, 0)
    own = sum(Decimal(books.charges[row["id"]]["total"]) for row in rows(usage) if row["payer"] == "v100")
    assert books.balances("payer")["v100"] == Decimal("1.45") - own > 0
    paid = Decimal("1.45") - sum(books.balances("payer").values())
    content, delivery = (sum(books.earned(part).values()) for part in ("content", "delivery"))
    assert (round(paid, 2), round(content, 2)) == (Decimal("70.10"), Decimal("29.55"))
    assert round(delivery, 1) == Decimal("7.3")
