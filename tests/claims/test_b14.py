"""B14: A stored service level agreement holds billing preferences: they are on the plan and in the books.

What they do to a statement is in tests/unit/engine/test_planned_billing.py: a period has to end first.
"""

from __future__ import annotations

from decimal import Decimal

from tests.claims.conftest import Program
from tests.claims.market import Market, calls, fee

# Ada agreed with elm to see one sum a provider; Ben's profile says where his statements are to go.
BILLING = """
[agreements.ada-elm]
service = "call"
payer = "ada"
provider = "elm"
billing = { detail = "providers", statements = "one", language = "en" }
[profiles.remote]
billing = { channel = "webhook" }
"""
SETUP = 'terms = { oak = { setup = "0.05" } }'


def test_what_was_agreed_about_bills_is_stored_and_kept(apportion: Program) -> None:
    node = Market(apportion, calls(BILLING, SETUP))
    hers, his = node.plan("100"), node.plan("100", "ben", profile="remote")
    agreed = {"detail": "providers", "statements": "one", "language": "en"}
    assert hers["billing"] == agreed == node.ask("GET", f"/v1/plans/{hers['id']}", key=node.key_of("ada"))["billing"]
    assert his["billing"] == {"channel": "webhook"}
    assert "billing" not in node.ask("GET", f"/v1/plans/{hers['id']}", key=node.key_of("oak", "provider"))
    for plan in (hers, his):
        assert Decimal(node.deliver(plan)["charged"]) == fee(plan) == Decimal("5.466")
    books = node.stop()
    assert {line["id"]: line["billing"] for line in books.of("plan")} == {hers["id"]: agreed, his["id"]: his["billing"]}
