"""S13: One service to several users where one or more of those users pays nothing."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from tests.claims.conftest import ATOM, EXAMPLES, Book, Example, Write

TOUR = """
unknown_payers = { currency = "EUR", credit = "1000" }
providers = { guide = {}, bus = {} }
[services.tour]
retail = "tour"
measures = { hours = "h" }
exempt = ["child"]
parts.guide = { provider = "guide", wholesale = { guide = "hour" } }
parts.bus = { provider = "bus", wholesale = { bus = "trip" } }
[tariffs]
tour = { currency = "EUR", components = [{ kind = "unit", name = "time", measure = "hours", price = 30 }] }
hour = { currency = "EUR", components = [{ kind = "unit", name = "time", measure = "hours", price = 12 }] }
trip = { currency = "EUR", components = [{ kind = "flat", name = "trip", price = 9 }] }
"""
SPONSORED = TOUR.replace('retail = "tour"', 'retail = "tour"\nsponsor = "city"')


def tours(*payers: str) -> str:
    lines = (f"desk,t{at},tour,2026-03-02T10:00:00Z,{who},2\n" for at, who in enumerate(payers, 1))
    return "source,id,service,start,payer,hours\n" + "".join(lines)


def test_who_pays_nothing_has_no_entry_and_the_others_bear_it(book: Book, write: Write) -> None:
    usage = tours("ada;ben;-carol", "ada;child", "-carol;ada;-ben")
    books = book(write("tour.toml", TOUR), write("tours.csv", usage))
    # Each tour costs 2 × 30 = 60; guide 24, bus 9, platform 27, whoever pays.
    payers = [{name: amount for name, amount in books.legs(f"t{n}") if amount < 0} for n in (1, 2, 3)]
    assert payers == [{"ada": Decimal(-30), "ben": Decimal(-30)}, {"ada": Decimal(-60)}, {"ada": Decimal(-60)}]
    assert all(name not in ("carol", "child") for n in (1, 2, 3) for name, _ in books.legs(f"t{n}"))
    moved = {books.owners[leg["account"]] for entry in books.of("entry") for leg in entry["legs"]}
    assert moved == {"ada", "ben", "guide", "bus", "fees"}
    assert books.balances("provider") == {"guide": Decimal(72), "bus": Decimal(27)}
    assert books.balances("sponsor") == {}


def test_who_pays_nothing_needs_no_value(book: Book, write: Write) -> None:
    poor = 'payers = { carol = { currency = "EUR", credit = "0" } }\n' + TOUR
    books = book(write("tour.toml", poor), write("tours.csv", tours("ada;-carol")))
    assert books.summary["charged"] == 1
    assert books.balances("payer") == {"ada": Decimal(-60), "carol": Decimal(0)}


def test_if_nobody_pays_it_is_refused(book: Book, write: Write) -> None:
    books = book(write("tour.toml", TOUR), write("tours.csv", tours("-ada;-ben", "-ada", "child")))
    assert books.summary["rejected"] == 3
    assert {one["error"]["code"] for one in books.summary["declined"]} == {"sponsor_needed"}
    assert books.of("entry") == [] and set(books.balances("provider").values()) <= {Decimal(0)}


def test_unless_a_sponsor_is_named(book: Book, write: Write) -> None:
    books = book(write("tour.toml", SPONSORED), write("tours.csv", tours("-ada;-ben", "child")))
    assert books.summary["charged"] == 2
    assert books.summary["alerts"] == 0  # a gift is no sale below cost: the providers cost 33 of 60
    for record in ("t1", "t2"):
        assert [leg for leg in books.legs(record) if leg[1] < 0] == [("city", Decimal(-60))]
    assert books.balances("sponsor") == {"city": Decimal(-120)}
    assert books.balances("provider") == {"guide": Decimal(48), "bus": Decimal(18)}
    assert all(balance == 0 for balance in books.balances("payer").values())


def test_flat_17_of_the_building_pays_nothing_all_month(example: Example) -> None:
    books = example("electricity/usage-building.jsonl")
    moved = {books.owners[leg["account"]] for entry in books.of("entry") for leg in entry["legs"]}
    assert "flat-17" not in moved and "flat-16" in moved
    whole = sum(Fraction(charge["exact"]) for charge in books.charges.values())
    assert abs(whole + Fraction(sum(books.balances("payer").values()))) < 31 * Fraction(ATOM)
    assert round(whole, 2) == Fraction("5482.17")  # what all seventeen used is paid by sixteen


def test_the_guest_of_a_conference_pays_nothing(book: Book, sample: Callable[..., Path]) -> None:
    """``p225=2;p574;-p285``: two parts and one, and a guest."""
    usage = sample("telephone/usage-telecom.csv", keep=lambda line: ",0012," in line)
    books = book(EXAMPLES / "telephone/catalog.toml", usage)
    total = Decimal(books.charges["0012"]["total"])
    paid = {name: -amount for name, amount in books.legs("0012") if amount < 0}
    assert set(paid) == {"p225", "p574"} and sum(paid.values()) == total
    assert abs(paid["p225"] - total * 2 / 3) < ATOM
