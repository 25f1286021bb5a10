"""S24: The agent selects the providers: from a request to a session that is charged, with nobody choosing by hand."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.conftest import Program
from tests.claims.market import Market, calls, crew, fee, one


def test_a_user_asks_and_is_served_by_whom_the_agent_chose(apportion: Program) -> None:
    node = Market(apportion, calls())
    key = node.key_of("ada")
    shown = node.plan("10", key=key, limits={"budget": "1"})
    assert [scenario["name"] for scenario in shown["scenarios"]] == ["lowest-cost", "best-quality", "best-value"]
    assert crew(shown) == {"near": "oak", "far": "elm"} and one(shown).get("proven", True)
    assert (shown["state"], fee(shown)) == ("quoted", Decimal("0.648"))
    assert node.balance("ada", "held") == 0  # a plan holds nothing

    session = node.accept(shown, key=key)
    assert {part["part"]: part["provider"] for part in session["parts"] if part.get("part")} == crew(shown)
    assert node.balance("ada", "held") == Decimal("0.648")
    assert node.accept(shown, key=key, status=409)["code"] == "plan_ended"  # once
    node.report(session["id"], 1, {"minutes": "4"})
    node.report(session["id"], 2, {"minutes": "10"})
    assert Decimal(node.end(session["id"])["charged"]) == Decimal("0.648")
    assert node.ask("GET", f"/v1/plans/{shown['id']}", key=key)["session"] == session["id"]

    # of a plan somebody else knows nothing, and nobody asks in another's name
    ben = node.key_of("ben")
    assert node.ask("GET", f"/v1/plans/{shown['id']}", key=ben, status=404)
    assert node.plan("10", key=ben, status=422)["code"] == "unknown_payer"

    books = node.stop()
    assert books.balances("provider") == {"oak": Decimal("0.2"), "elm": Decimal("0.2")}
    assert books.balances("platform") == {"fees": Decimal("0.14")}
    assert books.balances("payer")["ada"] == Decimal("49.352")
    [plan] = [line for line in books.of("plan") if line["state"] == "accepted"]
    assert (plan["id"], plan["chosen"], plan["session"]) == (shown["id"], "lowest-cost", session["id"])
