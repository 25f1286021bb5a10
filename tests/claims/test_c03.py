"""C3: … by a linear prediction that the user will pay (in full, on time); explained; declined when it fails."""

from __future__ import annotations

import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.claims.conftest import Program
from tests.claims.serving import Served
from tests.claims.test_c02 import CATALOG, DUE_AT_ONCE, MONTHS, charge, live, trust


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


class Nodes:
    """A provider's node that counts who asks, and answers nothing of use."""

    def __init__(self) -> None:
        asked = self.asked = list[str]()

        class Counting(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked.append(self.path)
                self.send_error(503)

            def log_message(self, *words: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Counting)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def test_who_is_declined_is_declined_before_any_provider_is_asked(apportion: Program) -> None:
    """A request on credit alone: nobody is asked for a bid; with value in the account it goes through."""
    nodes = Nodes()
    dora = f'dora = {{ address = "{nodes.address}", key = "{"ab" * 32}" }}'
    catalog = DUE_AT_ONCE.replace("dora = {}", dora)
    node = Served(apportion, catalog, "--allow-private-addresses")
    charge(node, "ada", 60, MONTHS[0])
    node.ask("POST", "/v1/statements", {"period": MONTHS[0], "who": "ada"})
    asked = {"service": "ride", "payers": [{"payer": "ada"}], "quantities": {"km": "5"}, "ask": 500}
    refused = node.ask("POST", "/v1/plans", asked, status=402)
    assert refused["code"] == "declined" and "is below 0.7" in refused["detail"] and nodes.asked == []
    assert refused["field"] == "payers" and refused["fix"].startswith("Add value to the account")
    assert not node.ask("GET", "/v1/plans")["data"]

    node.top_up("ada", "160")  # what she owes, and 40 more
    plan = node.ask("POST", "/v1/plans", asked, status=201)
    assert len(nodes.asked) == 1 and (plan["asked"], plan.get("answered", 0)) == (1, 0)
    session = node.ask("POST", f"/v1/plans/{plan['id']}/accept", {}, status=201)
    node.report(session["id"], 1, {"km": "5"})
    assert Decimal(node.end(session["id"])["charged"]) == 10
    assert node.balance("ada") == 30
    nodes.server.shutdown()
    books = node.stop()
    assert books.balances("provider") == {"dora": Decimal(65)} and books.balances("payer")["ada"] == 30
