"""C6: The charges of other providers are aggregated: the platform bills what all of them delivered."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.bills import Bills, lines
from tests.claims.conftest import Program


def test_one_bill_has_what_others_delivered_and_they_earn_their_parts(apportion: Program) -> None:
    node = Bills(apportion)
    session, fee = node.call()
    (bill,) = node.issue(session=session)
    assert {took["provider"] for took in bill["sections"][0]["providers"]} == {"oak", "elm"}
    assert sum(lines(bill).values()) == Decimal(bill["total"]) == Decimal("0.71")
    earned = {who: node.balance(who) for who in ("oak", "elm", "fees", "vat@20")}
    assert earned == {
        "oak": Decimal("0.2"), "elm": Decimal("0.25"), "fees": Decimal("0.145"), "vat@20": Decimal("0.12"),
    }  # fmt: skip
    # the tax is owed as it is stated: what the booked leg had more or less went to the rounding account
    assert sum(earned.values()) - fee == -node.balance("statements")
    account = node.ask("GET", "/v1/accounts?owner=oak")["data"][0]["id"]
    (advice,) = node.ask("GET", f"/v1/accounts/{account}/preview", key=node.key_of("oak", "provider"))["data"]
    assert (advice["kind"], advice["total"]) == ("remittance", "0.20")
    node.stop()
