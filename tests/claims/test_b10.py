"""B10: Or several statements, one per provider."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.bills import PLAIN, Bills, lines, total
from tests.claims.conftest import Program
from tests.claims.paying import CALLS, Till

WANTED = """
[profiles.apart]
billing = { statements = "per-provider" }
"""


def test_each_provider_sends_its_own_and_together_they_are_the_one(apportion: Program) -> None:
    node = Bills(apportion, WANTED, profile="apart")
    session, fee = node.call()
    found = node.issue(session=session)
    assert [(one["number"], one.get("provider", ""), one["issuer"]) for one in found] == [
        ("S-000001", "", "calls"), ("S-000002", "elm", "elm"), ("S-000003", "oak", "Oak"),
    ]  # fmt: skip
    assert all(one["beside"] == ["S-000001", "S-000002", "S-000003"] for one in found)
    assert [lines(one) for one in found] == [
        {"Connection": Decimal("0.12")},
        {"Far: talk": Decimal("0.27"), "Far: set up": Decimal("0.06")},
        {"Near: talk": Decimal("0.26")},
    ]
    assert [{took["provider"] for took in one["sections"][0].get("providers", ())} for one in found[1:]] == [
        {"elm"}, {"oak"},
    ]  # fmt: skip
    charged = sum(Decimal(one["charges"]) for one in found)
    residue = Decimal(found[-1]["residue_out"]) - Decimal(found[0]["residue_in"])
    assert charged == fee == total(found) + residue and total(found) == Decimal("0.71")
    for one in found:  # a provider reads what it sends, and nothing of the others
        for provider in ("oak", "elm"):
            mine = node.key_of(provider, "provider")
            node.ask(
                "GET", f"/v1/statements/{one['id']}", key=mine, status=200 if one.get("provider") == provider else 404
            )
    node.stop()


def test_also_where_one_price_is_for_the_whole(apportion: Program) -> None:
    """Its providers share the fee by what each earns of it, 2 to 5: what the platform keeps shows nowhere."""
    node = Bills(apportion, WANTED + PLAIN, profile="apart")
    for number in range(5):
        node.use("7", f"2026-10-0{number + 1}T10:00:00Z", f"u{number}")
    found = node.issue(period="2026-10", who="ada")
    assert {one["provider"]: total([one]) for one in found} == {"elm": Decimal("2.25"), "oak": Decimal("0.90")}
    assert [lines(one) for one in found] == [{"Far: talk": Decimal("2.25")}, {"Near: talk": Decimal("0.90")}]
    assert total(found) == Decimal("3.15") == 5 * 7 * Decimal("0.09")
    again = node.issue(period="2026-10", who="ada")
    assert again == found
    node.stop()


def test_each_of_them_is_charged_to_the_card_by_itself(apportion: Program) -> None:
    """Ten euros of three providers, 2.1 to 3.35 to 1: what was paid for one pays nothing of the others."""
    till = Till(apportion, CALLS.replace("[payers.ada]", '[payers.ada]\nprofile = "apart"') + WANTED)
    try:
        till.use("ada", "60", "40")
        made = till.ask("POST", "/v1/statements", {"period": "2026-10", "who": "ada"})["data"]
        found = [till.ask("GET", f"/v1/statements/{one['id']}") for one in made]
        dues = [Decimal(one["due"]) for one in found]
        assert sorted(dues) == [Decimal("1.55"), Decimal("3.26"), Decimal("5.19")] and till.balance("ada") == -10
        till.card("ada")
        paid = []
        for one in found:
            payment = till.ask("POST", f"/v1/statements/{one['id']}/pay", {})
            paid.append(till.ended(payment["id"]))
        assert [Decimal(one["amount"]) for one in paid] == dues and till.balance("ada") == 0
        till.processor.ask("POST", "/disputes", {"payment": paid[0]["id"]})
        (back,) = till.wait(lambda: till.ask("GET", "/v1/chargebacks")["data"])
        pack = till.ask("GET", f"/v1/chargebacks/{back['id']}/evidence")
        assert pack["statement"]["id"] == found[0]["id"] and len(pack["charges"]) == 2
        for one in found[1:]:  # they are paid as before
            till.ask("POST", f"/v1/statements/{one['id']}/pay", {}, status=409)
        again = till.ask("POST", f"/v1/statements/{found[0]['id']}/pay", {})
        assert Decimal(till.ended(again["id"])["amount"]) == dues[0] and till.balance("ada") == 0
        for one in found:
            till.ask("POST", f"/v1/statements/{one['id']}/pay", {}, status=409)
        till.stop()
    finally:
        till.processor.stop()
