"""C3: … by a linear prediction that the user will pay (in full, on time); explained; declined when it fails."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.conftest import Program
from tests.claims.serving import Served
from tests.claims.test_c02 import CATALOG, MONTHS, charge, live, trust


def test_the_score_is_the_sum_of_its_factors_and_each_says_what_it_did(apportion: Program) -> None:
    node = Served(apportion, CATALOG)
    live(node, "ada", "EUR", MONTHS[:5])
    found = trust(node, "ada")
    made = found["decision"]
    total = Decimal(made["intercept"]) + sum(Decimal(one["share"]) for one in made["factors"])
    assert total == Decimal(made["score"]) and "declined" not in found
    for one in made["factors"]:
        share = Decimal(one["share"])
        said = "raises" if share > 0 else "lowers"
        assert one["words"] in found["words"] and (said in one["words"] or "less than 0.001" in one["words"])
    assert made["reason"] == found["words"][0] and "used and paid on time in 5 months" in made["reason"]
    node.ask("POST", f"/v1/accounts/{found['account']}/credit", {})
    told = apportion("explain", trust(node, "ada")["decided"], "--store", "books.db").out
    assert "month 1" in told and "decided again from its own inputs, it is the same" in told
    books = node.stop()
    model = books.of("model")[-1]
    assert model["id"] == made["model"] and model["model"]["weights"]
    weights = {one["factor"]: one for one in model["model"]["weights"]}
    for one in made["factors"]:  # with nothing but what the export holds
        weight = weights[one["factor"]]
        again = Decimal(weight["coefficient"]) * (Decimal(one["value"]) - Decimal(weight["mean"]))
        assert again == Decimal(one["share"])


def test_a_user_whose_prediction_fails_is_declined(apportion: Program) -> None:
    """Due at once and never paid: the score falls below the policy's, and the answer says so before any offer."""
    node = Served(apportion, CATALOG.replace("due_days = 14", "due_days = 0"))
    for month in MONTHS[:3]:
        charge(node, "ada", 60, month)
        node.ask("POST", "/v1/statements", {"period": month, "who": "ada"})
    found = trust(node, "ada")
    assert Decimal(found["decision"]["score"]) < Decimal("0.7") and Decimal(found["credit"]) == 0
    assert found["declined"] == found["decision"]["declined"] and "is below 0.7" in found["declined"]
    assert charge(node, "ada", 1, MONTHS[4])["state"] == "pending"
    apportion.env["APPORTION_KEY"] = node.key
    asked = apportion("trust", "show", "ada", "--store", f"http://{node.address}").out
    assert "Credit is declined: The score 0." in asked
    assert apportion("trust", "set", "ada", "--store", f"http://{node.address}").out.startswith(
        "The credit line of ada"
    )
    apportion("trust", "write-off", "ada", "--amount", "20", "--store", f"http://{node.address}")
    node.stop()
    shown = apportion("trust", "show", "ada", "--store", "books.db").out
    assert "Credit is declined: 20 EUR was written off and is not paid." in shown
