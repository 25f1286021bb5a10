"""B8: Charges over several providers and networks are aggregated."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.bills import PLAIN, Bills, in_ledger, lines
from tests.claims.conftest import Program


def test_a_statement_adds_up_what_providers_of_two_networks_delivered(apportion: Program) -> None:
    node = Bills(apportion)
    first, one = node.call()
    (statement,) = node.issue(session=first)
    (section,) = statement["sections"]
    assert {(took["part"], took["name"], took["network"]) for took in section["providers"]} == {
        ("near", "Oak", "west"), ("far", "elm", "east"),
    }  # fmt: skip
    assert lines(statement) == {
        "Near: talk": Decimal("0.26"), "Far: talk": Decimal("0.27"), "Connection": Decimal("0.12"),
        "Far: set up": Decimal("0.06"),
    }  # fmt: skip
    in_ledger(statement, one)
    node.issue(session=first)  # once for ever
    books = node.stop()
    (line,) = books.of("statement")
    assert (line["number"], line["covers"], Decimal(line["charges"])) == ("S-000001", [first], one)
    assert sum(Decimal(charge["total"]) for charge in books.of("charge")) == one


def test_also_what_was_charged_at_one_price_for_all_of_them(apportion: Program) -> None:
    node = Bills(apportion, PLAIN)
    for number in range(3):
        assert node.use("10.5", f"2026-10-0{number + 1}T10:00:00Z", f"u{number}")["state"] == "charged"
    found = node.issue(period="2026-10", who="ada")
    assert [Decimal(one["total"]) for one in found] == [Decimal("2.84")]  # 2.835, and half a cent goes on
    in_ledger(found[0], Decimal("2.835"))
    assert lines(found[0]) == {"Talk": Decimal("2.84")}
    assert {took["provider"] for took in found[0]["sections"][0]["providers"]} == {"oak", "elm"}
    node.stop()
