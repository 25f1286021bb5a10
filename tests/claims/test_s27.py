"""S27: … by the agreements between user and providers: their price is what is charged."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.conftest import Program
from tests.claims.market import Market, calls, crew, fee, one, why

# Ada pays ash 0.01 a minute for any part; ash itself earns what it always does. The operator lets it cost.
AGREED = """
[agreements.ada-ash]
service = "call"
payer = "ada"
provider = "ash"
tariff = "one"
[tariffs.one]
currency = "EUR"
components = [{ kind = "unit", name = "agreed", measure = "minutes", price = "0.01" }]
"""


def test_the_agreed_price_decides_and_is_charged(apportion: Program) -> None:
    catalog = calls(AGREED).replace('retail = "own"', 'retail = "own"\nguard = false', 1)
    node = Market(apportion, catalog)
    hers, his = node.plan("10"), node.plan("10", "ben")
    assert crew(hers) == {"near": "ash", "far": "ash"} and fee(hers) == Decimal("0.36")  # (0.10 + 2 × 0.10) × 1.2
    assert {part["agreement"] for part in one(hers)["parts"]} == {"ada-ash"}
    assert why(his, "near", "ash")[1] == "It costs payers 0.396 EUR more for this part than the cheapest."
    assert crew(his) == {"near": "oak", "far": "elm"} and fee(his) == Decimal("0.648")
    together = node.plan("10", "ben", "ada")  # what one of them has agreed holds for what they pay together
    assert crew(together) == {"near": "ash", "far": "ash"}

    assert Decimal(node.deliver(hers)["charged"]) == Decimal("0.36")
    assert Decimal(node.deliver(his)["charged"]) == Decimal("0.648")
    books = node.stop()
    assert books.balances("provider") == {"oak": Decimal("0.2"), "elm": Decimal("0.2"), "ash": Decimal("0.8")}
    assert sum(books.balances("sponsor").values()) == Decimal("-0.50")  # 0.30 without tax, and ash earns 0.80
    assert books.balances("payer") == {"ada": Decimal("49.64"), "ben": Decimal("49.352")}
