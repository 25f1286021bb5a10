"""S17: Select the providers that have an agreement with the user for their part."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.conftest import Program
from tests.claims.market import Market, calls, crew, fee, one, why

# Ada's agreements name no price: elm for its near part, ash for any. Ben has one for the near part alone.
AGREED = """
[agreements.ada-elm]
service = "call"
payer = "ada"
provider = "elm"
part = "near"
[agreements.ada-ash]
service = "call"
payer = "ada"
provider = "ash"
[agreements.ben-elm]
service = "call"
payer = "ben"
provider = "elm"
part = "near"
"""
ONLY = {"agreements_only": True}


def test_only_those_with_an_agreement_for_the_part_are_taken(apportion: Program) -> None:
    node = Market(apportion, calls(AGREED))
    shown = node.plan("10", limits=ONLY)
    # elm would be cheapest for the far part, but what was agreed with it is the near one
    assert crew(shown) == {"near": "elm", "far": "ash"}
    assert {part["part"]: part["agreement"] for part in one(shown)["parts"]} == {"near": "ada-elm", "far": "ada-ash"}
    assert why(shown, "far", "elm") == ("agreement", "No payer has an agreement with elm.")
    assert fee(shown) == Decimal("0.912")  # (0.10 + 10 × (0.03 + 0.03) × 1.1) × 1.2

    refused = node.plan("10", "ben", limits=ONLY, status=409)
    assert "of 3 that offer the part 'far' none can serve" in refused["detail"]
    assert crew(node.plan("10", "ben", "ada", limits=ONLY)) == {"near": "elm", "far": "ash"}  # one of them has it
    given_up = node.plan("10", "ben", limits=ONLY, relax=["agreements_only"])
    assert given_up["relaxed"] == ["agreements_only"] and crew(given_up) == {"near": "oak", "far": "elm"}

    assert Decimal(node.deliver(shown)["charged"]) == Decimal("0.912")
    books = node.stop()
    assert books.balances("provider") == {"elm": Decimal("0.3"), "ash": Decimal("0.3")}
    assert books.balances("platform") == {"fees": Decimal("0.16")}
    assert books.balances("tax") == {"vat@20": Decimal("0.152")}
