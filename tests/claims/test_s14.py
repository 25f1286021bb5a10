"""S14: A provider selected because of a service level agreement between it and the user."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.conftest import Program
from tests.claims.market import Market, calls, crew, fee, one, why

# Ada and ash agreed on a level, and on 0.02 a minute of the far part; nobody else has anything with ash.
AGREED = """
[agreements.ada-ash]
service = "call"
payer = "ada"
provider = "ash"
part = "far"
tariff = "two"
targets = { latency = 60, availability = "0.999" }
consequence = { credit = "20" }
"""


def test_the_agreement_decides_who_delivers_and_is_named_on_the_plan(apportion: Program) -> None:
    node = Market(apportion, calls(AGREED))
    hers, his = node.plan("10"), node.plan("10", "ben")
    # she pays ash what was agreed, without a markup; for him it is dearer than elm
    assert crew(hers) == {"near": "oak", "far": "ash"} and fee(hers) == Decimal("0.624")  # (0.10 + 0.22 + 0.20) × 1.2
    assert crew(his) == {"near": "oak", "far": "elm"} and fee(his) == Decimal("0.648")
    assert {part["part"]: part.get("agreement") for part in one(hers)["parts"]} == {"near": None, "far": "ada-ash"}
    told = node.ask("GET", f"/v1/plans/{hers['id']}/explanation")
    assert "ash over south, by agreement ada-ash" in str(told)

    assert why(his, "far", "ash") == ("", "It costs payers 0.132 EUR more for this part than the cheapest.")

    assert Decimal(node.deliver(hers)["charged"]) == Decimal("0.624")
    books = node.stop()
    assert books.balances("provider") == {"oak": Decimal("0.2"), "ash": Decimal("0.3")}  # ash earns its own price
    assert books.balances("platform") == {"fees": Decimal("0.02")}  # 0.52 − 0.50
    assert books.balances("payer") == {"ada": Decimal("49.376"), "ben": Decimal("50")}
