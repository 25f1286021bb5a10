"""S10: One fee debited from the accounts of several users."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.conftest import ATOM, Book, Example, Program, Write

TABLE = """
providers = { cook = {} }
unknown_payers = { currency = "EUR", credit = "100" }
payers = { poor = { currency = "EUR", credit = "0" } }
[services.dinner]
retail = "menu"
allocate = "shares"
measures = { menus = "menu" }
parts.kitchen = { provider = "cook", wholesale = { cook = "cooking" } }
[tariffs]
menu = { currency = "EUR", components = [{ kind = "unit", name = "menu", measure = "menus", price = 10 }] }
cooking = { currency = "EUR", components = [{ kind = "unit", name = "menu", measure = "menus", price = 7 }] }
"""
HEADER = "source,id,service,start,payer,menus\n"


def dinner(record: str, payers: str, menus: str = "1") -> str:
    return f"till,{record},dinner,2026-03-02T19:00:00Z,{payers},{menus}\n"


def test_two_riders_of_one_ride_are_debited_in_one_entry(example: Example) -> None:
    books = example("quickstart/usage.csv")
    # 11.3 km and 25 minutes: 3 + 13.56 + 7.50 = 24.06, half of it each; driver 11.25, car 7.91.
    assert sorted(books.legs("3")) == [
        ("ada", Decimal("-12.03")), ("ben", Decimal("-12.03")),
        ("dora", Decimal("11.25")), ("fees", Decimal("4.90")), ("otto", Decimal("7.91")),
    ]  # fmt: skip
    # 17.8 km and 33 minutes: 3 + 21.36 + 9.90 = 34.26.
    assert [leg for leg in books.legs("5") if leg[1] < 0] == [("cleo", Decimal("-17.13")), ("ada", Decimal("-17.13"))]


def test_a_fee_that_does_not_divide_is_debited_whole(book: Book, write: Write) -> None:
    usage = HEADER + dinner("thirds", "ada;ben;cleo") + dinner("sevenths", "ada=4;ben=2;cleo=1")
    books = book(write("table.toml", TABLE), write("dinners.csv", usage))
    shares = sorted(-amount for _, amount in books.legs("thirds") if amount < 0)
    assert shares == [Decimal("3.333333333"), Decimal("3.333333333"), Decimal("3.333333334")]
    shares = [-amount for name, amount in sorted(books.legs("sevenths")) if amount < 0]
    assert sum(shares) == 10
    assert all(abs(share - Decimal(10) * weight / 7) < ATOM for share, weight in zip(shares, (4, 2, 1), strict=True))
    assert books.balances("provider") == {"cook": Decimal(14)}


def test_the_order_of_payers_decides_nothing(book: Book, write: Write) -> None:
    catalog = write("table.toml", TABLE)
    one = book(catalog, write("one.csv", HEADER + dinner("t", "ada;ben;cleo")), store="one.db")
    two = book(catalog, write("two.csv", HEADER + dinner("t", "cleo;ben;ada")), store="two.db")
    assert one.balances("payer") == two.balances("payer")


def test_all_are_debited_or_nobody_is(apportion: Program, book: Book, write: Write) -> None:
    """``poor`` can not pay: the other one is not debited alone, and the cook waits too."""
    catalog, usage = write("table.toml", TABLE), write("dinners.csv", HEADER + dinner("d", "ada;poor"))
    books = book(catalog, usage)
    assert books.summary["pending"] == 1
    assert all(balance == 0 for role in ("payer", "provider") for balance in books.balances(role).values())
    assert books.of("entry") == []
    apportion("topup", "poor", "5.00", "EUR", "--store", books.store)
    books = book(catalog, usage)
    assert books.balances("payer") == {"ada": Decimal(-5), "poor": Decimal(0)}
    assert books.balances("provider") == {"cook": Decimal(7)}
