"""C5: The user is billed."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.bills import PLAIN, Bills, in_ledger, lines
from tests.claims.conftest import Program


def test_the_user_gets_a_bill_and_what_was_refunded_after_it(apportion: Program) -> None:
    credit = 'credit = "10", '
    node = Bills(apportion, PLAIN, ada=credit)
    node.use("700", "2026-10-03T10:00:00Z", "u1")  # 63.00, of which the 50 of value cover all but 13.00
    node.top_up("ada", "5")
    node.use("70", "2026-10-04T10:00:00Z", "u2")
    (bill,) = node.issue(period="2026-10", who="ada")
    mine, other = node.key_of("ada"), node.key_of("ben")
    assert node.ask("GET", f"/v1/statements/{bill['number']}", key=mine) == bill
    node.ask("GET", f"/v1/statements/{bill['id']}", key=other, status=404)
    in_ledger(bill, -node.balance("ada") + 55)
    assert Decimal(bill["due"]) == max(Decimal(0), -node.balance("ada"))
    refund = node.use("-70", "2026-10-04T10:00:00Z", "u3")
    node.ask("POST", f"/v1/statements/{bill['id']}/credit-notes", {}, status=404)  # nothing names the bill by itself
    note = node.ask("POST", f"/v1/statements/{bill['id']}/credit-notes", {"charges": [refund["id"]]}, status=201)
    assert (note["number"], note["corrects"], note["total"]) == ("C-000001", bill["number"], "-6.30")
    assert lines(note) == {"Talk": Decimal("-6.30")} and note["due"] == bill["due"].replace("8.30", "2.00")
    node.ask("POST", f"/v1/statements/{bill['id']}/credit-notes", {"charges": ["chg_" + "0" * 32]}, status=404)
    assert node.ask("GET", f"/v1/statements/{bill['id']}") == bill
    books = node.stop()
    assert [line["number"] for line in books.of("statement")] == ["S-000001", "C-000001"]
