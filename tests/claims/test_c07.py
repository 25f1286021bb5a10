"""C7: One statement from one provider, the user's own, holds all of them."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.bills import Bills, in_ledger, lines
from tests.claims.conftest import Program


def test_the_home_provider_sends_one_statement_with_everybodys_charges(apportion: Program) -> None:
    node = Bills(apportion)
    session, fee = node.call(home="ash")  # ash delivers nothing itself: it is ada's face
    (bill,) = node.issue(session=session)
    assert (bill["provider"], bill["issuer"]) == ("ash", "ash") and "beside" not in bill
    assert {took["provider"] for took in bill["sections"][0]["providers"]} == {"oak", "elm"}
    assert lines(bill).keys() == {"Near: talk", "Far: talk", "Connection", "Far: set up"}
    in_ledger(bill, fee)
    home, other = node.key_of("ash", "provider"), node.key_of("oak", "provider")
    assert node.ask("GET", f"/v1/statements/{bill['id']}", key=home) == bill
    listed = node.ask("GET", "/v1/statements", key=home)["data"]
    assert [(one["number"], one["provider"], one["session"]) for one in listed] == [("S-000001", "ash", session)]
    node.ask("GET", f"/v1/statements/{bill['id']}", key=other, status=404)
    assert node.ask("GET", "/v1/statements", key=other)["data"] == []
    (line,) = node.stop().of("statement")
    assert line["provider"] == "ash" and Decimal(line["charges"]) == fee
