"""S21: … or draw on an alternate account of the user."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.claims.conftest import Book, Books, Program, Write, run_books

CATALOG = """
[providers.oak]
[providers.elm]

[tariffs.fare]
currency = "EUR"
components = [{ kind = "unit", name = "talk", measure = "minutes", price = "0.30" }]
[tariffs.oak]
currency = "EUR"
components = [{ kind = "unit", name = "talk", measure = "minutes", price = "0.12" }]
[tariffs.elm]
currency = "EUR"
components = [{ kind = "unit", name = "talk", measure = "minutes", price = "0.07" }]

[services.call]
retail = "fare"
measures = { minutes = "min" }
parts.near = { provider = "oak", wholesale = { oak = "oak" } }
parts.far = { provider = "elm", wholesale = { elm = "elm" } }

[payers.ada]
currency = "EUR"
opening = "5"
credit = "1"
alternates = [{ payer = "savings" }, { payer = "family", cap = "4", per = "month" }]
[payers.savings]
currency = "EUR"
opening = "2"
[payers.family]
currency = "EUR"
opening = "100"
[payers.ben]
currency = "EUR"
opening = "1"
alternates = [{ payer = "family" }]
"""
USAGE = """source,id,service,start,payer,minutes
switch,1,call,2026-11-02T10:00:00Z,ada,10
switch,2,call,2026-11-02T11:00:00Z,ada,10
switch,3,call,2026-11-02T12:00:00Z,ada,10
switch,4,call,2026-11-02T13:00:00Z,ada,10
switch,5,call,2026-11-02T14:00:00Z,ada,1
switch,6,call,2026-11-02T15:00:00Z,ben,20
"""


@pytest.fixture
def books(book: Book, write: Write) -> Books:
    return book(write("catalog.toml", CATALOG), write("usage.csv", USAGE))


def drawn(books: Books, record: str) -> dict[tuple[str, str], Decimal]:
    """(whose account, source) → what the charge of a record drew on it."""
    shares = books.charges[record]["shares"]
    return {(books.owners[one["account"]], one.get("source", "")): Decimal(one["amount"]) for one in shares}


def test_the_alternates_are_drawn_in_order_once_the_own_account_is_empty(books: Books) -> None:
    assert drawn(books, "1") == {("ada", ""): Decimal("3")}
    assert drawn(books, "2") == {("ada", ""): Decimal("2"), ("savings", "alternate"): Decimal("1")}
    assert drawn(books, "3") == {("savings", "alternate"): Decimal("1"), ("family", "alternate"): Decimal("2")}
    assert drawn(books, "4") == {("family", "alternate"): Decimal("2"), ("ada", "credit"): Decimal("1")}
    assert drawn(books, "6") == {("ben", ""): Decimal("1"), ("family", "alternate"): Decimal("5")}
    # the cap of 4 is used up and the credit line too: the fifth waits, though the family has 91 left
    assert books.summary["pending"] == 1 and "5" not in books.charges
    assert books.balances("payer") == {"ada": -1, "savings": 0, "family": 91, "ben": 0}
    # one entry each: every provider earns its own price of 60 minutes, whoever's account was drawn
    assert sorted(books.legs("2")) == sorted(
        [
            ("ada", Decimal("-2")), ("savings", Decimal("-1")), ("oak", Decimal("1.2")), ("elm", Decimal("0.7")),
            ("fees", Decimal("1.1")),
        ]
    )  # fmt: skip
    assert books.balances("provider") == {"oak": Decimal("7.2"), "elm": Decimal("4.2")}
    assert books.balances("platform") == {"fees": Decimal("6.6")}


def test_the_charge_says_from_where_it_was_paid_and_the_books_are_proven(books: Books, apportion: Program) -> None:
    id = books.charges["3"]["id"]
    told = apportion("explain", id, "--store", books.store, "--json").json()
    paid = next(section for section in told["sections"] if section["title"] == "Who pays")
    assert [(fact["name"], fact["value"]) for fact in paid["facts"]] == [
        ("savings", "1.00 EUR"),
        ("family", "2.00 EUR"),
    ]
    assert told["holds"]
    apportion("verify", books.store)


def test_value_that_comes_in_is_drawn_before_the_alternates_again(
    books: Books, apportion: Program, write: Write
) -> None:
    apportion("topup", "ada", "10", "EUR", "--store", books.store)
    later = USAGE.splitlines()[0] + "\nswitch,7,call,2026-11-03T10:00:00Z,ada,10\n"
    again = run_books(apportion, Path("catalog.toml"), write("more.csv", later), store=books.store)
    assert drawn(again, "7") == {("ada", ""): Decimal("3")}
    assert drawn(again, "5") == {("ada", ""): Decimal("0.3")}  # what waited was tried again
    assert again.balances("payer")["ada"] == Decimal("5.7")  # −1 + 10 − 0.3 − 3
    again.add_up()


def test_a_bucket_goes_first_and_an_allowance_before_all_of_it(apportion: Program, write: Write) -> None:
    """Over HTTP, as an operator grants and sells them."""
    from tests.faces.api.nodes import NodeProcess

    apportion("catalog", "apply", write("catalog.toml", CATALOG))
    node = NodeProcess(apportion.folder / "apportion.db")
    try:
        for path, body in (
            ("/v1/grants", {"payer": "ben", "amount": "0.6", "currency": "EUR", "reference": "g", "name": "welcome"}),
            (
                "/v1/allowances",
                {
                    "payer": "ben",
                    "currency": "EUR",
                    "price": "0.5",
                    "measure": "minutes",
                    "units": "3",
                    "reference": "u",
                },
            ),
        ):
            assert node.ask("POST", path, body).status == 201
        record = {"source": "switch", "id": "9", "service": "call", "start": "2026-11-02T10:00:00Z"}
        sent = [{**record, "payers": [{"payer": "ben"}], "quantities": {"minutes": "10"}}]
        [done] = node.ask("POST", "/v1/usage", sent).json["records"]
        charge = node.ask("GET", f"/v1/charges/{done['id']}").json
    finally:
        assert node.stop() == 0
    # the bucket of 0.60 paid the allowance of 0.50; 3 minutes are covered, 7 cost 2.10
    assert [(one.get("source", ""), Decimal(one["amount"])) for one in charge["shares"]] == [
        ("allowance", Decimal("0.5")), ("bucket", Decimal("0.1")), ("", Decimal("1")), ("alternate", Decimal("1")),
    ]  # fmt: skip
    books = Books(apportion, "apportion.db")
    assert Decimal(charge["total"]) == Decimal("2.6")
    assert books.balances("provider") == {"oak": Decimal("1.2"), "elm": Decimal("0.7")}  # all ten minutes
    assert books.balances("payer")["family"] == 99 and books.balances("payer")["ben"] == 0
    shown = {(one["role"], one["name"]) for one in apportion("balance", "ben", "--json").json() if one["name"]}
    assert ("bucket", "welcome") in shown and len(shown) == 2
    assert "welcome" in apportion("balance", "ben").out
    assert json.loads(apportion("verify", "apportion.db", "--json").out)["ok"]
    books.add_up()
