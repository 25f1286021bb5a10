"""C13: The user negotiates with the providers: sees offers, counters, accepts or walks away, pays what was agreed."""

from __future__ import annotations

import json
import os
import subprocess
from decimal import Decimal

from tests.claims.bargaining import bargaining, prices
from tests.claims.conftest import Json, Program

CREW = {"oak": ("0.10", "linear"), "elm": ("0.12", "conceder")}


def offer(shown: Json, provider: str) -> Json:
    return next(one for one in shown["offers"] if one["provider"] == provider)


def test_offers_counter_offers_and_a_price_that_is_charged_to_the_atom(apportion: Program) -> None:
    with bargaining(apportion, CREW) as node:
        ada = node.key_of("ada")
        shown = node.negotiate(key=ada, status=201)
        assert {name: Decimal(text) for name, text in prices(shown).items()} == {"oak": 15, "elm": 18, "telco": 50}
        assert Decimal(offer(shown, "oak")["fee"]) == Decimal("19.8")  # 15 × 1.1 × 1.2
        assert Decimal(offer(shown, "oak")["total"]) == Decimal("19.92")  # and the call itself, 0.10 × 1.2
        refused = node.move(shown["id"], "counter", key=ada, status=409, amount="15", provider="oak")
        assert (refused["code"], refused["field"]) == ("conflict", "terms"), "that is offered already"
        for amount in ("9", "10", "11"):  # to all; oak comes down evenly, elm at once
            shown = node.move(shown["id"], "counter", key=ada, amount=amount)
        assert Decimal(prices(shown)["oak"]) == 12 and Decimal(prices(shown)["elm"]) < 14
        # the offer of oak is taken exactly as it stands, and no other
        stale = {"offers": [{"provider": "oak", "price": "11"}]}
        assert node.move(shown["id"], "accept", key=ada, status=409, **stale)["code"] == "conflict"
        agreed = node.move(shown["id"], "accept", key=ada, offers=[{"provider": "oak", "price": "12"}])
        assert agreed["state"] == "agreed" and agreed["round"] == 3
        again = node.move(agreed["id"], "counter", key=ada, status=409, amount="8")
        assert again["code"] == "plan_ended"
        # the agreed price is what is charged, the node has confirmed it
        plan = node.ask("GET", f"/v1/plans/{agreed['agreed']}")
        session = node.deliver(plan)
        assert Decimal(session["charged"]) == Decimal("15.96")  # (0.10 + 12 × 1.1) × 1.2
        assert b"/accept" in node.bidders["oak"].heard and b"/accept" not in node.bidders["elm"].heard
        books = node.stop()
        assert books.balances("payer")["ada"] == Decimal("34.04")
        assert books.balances("provider")["oak"] == 12 and not books.balances("provider").get("elm")


def test_a_user_may_walk_away_and_nobody_else_sees_it(apportion: Program) -> None:
    with bargaining(apportion, CREW) as node:
        ada, ben, elm = node.key_of("ada"), node.key_of("ben"), node.key_of("elm", "provider")
        shown = node.negotiate(key=ada)
        for key in (ben, elm):  # providers see nothing of one another's offers
            assert node.ask("GET", f"/v1/negotiations/{shown['id']}", key=key, status=404)["code"] == "not_found"
            assert node.ask("GET", "/v1/negotiations", key=key)["data"] == []
            node.move(shown["id"], "accept", key=key, status=404)
        assert node.negotiate(key=ben, status=422)["code"] == "unknown_payer"
        left = node.move(shown["id"], "end", key=ada)
        assert left["state"] == "walked-away" and "plan" not in left
        assert [one["state"] for one in node.ask("GET", "/v1/negotiations", key=ada)["data"]] == ["walked-away"]
        books = node.stop()
        assert books.balances("payer")["ada"] == 50 and not books.of("charge") and not books.of("plan")


def test_moves_from_a_script(apportion: Program) -> None:
    """The command reads moves line by line and answers each with a line of JSON."""
    with bargaining(apportion, CREW) as node:
        request = {"service": "call", "payers": [{"payer": "ada"}], "quantities": {"minutes": "100"}}
        (apportion.folder / "request.json").write_text(json.dumps(request))
        words = ["negotiate", "request.json", "--store", f"http://{node.address}", "--json", "--begin"]
        done = subprocess.run(
            [*apportion.command, *words], input="counter 9\nnonsense\nlast 10 oak\naccept oak\n", text=True,
            cwd=apportion.folder, env={**apportion.env, "APPORTION_KEY": node.key}, capture_output=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        first, second, same, third, agreed, begun = map(json.loads, done.stdout.splitlines())
        assert "is no move" in done.stderr and same["offers"] == second["offers"]
        assert [Decimal(prices(one)["oak"]) for one in (first, second, third)] == [15, 14, 11]
        assert Decimal(agreed["plan"]["scenarios"][0]["total"]) == Decimal("14.64")
        session = begun["session"]
        node.report(session["id"], 1, {"minutes": "100"})
        assert Decimal(node.end(session["id"])["charged"]) == Decimal("14.64")
        assert node.stop().balances("provider")["oak"] == 11


def test_without_a_terminal_and_without_moves_nothing_is_agreed(apportion: Program) -> None:
    with bargaining(apportion, {"oak": CREW["oak"]}) as node:
        request = {"service": "call", "payers": [{"payer": "ada"}], "quantities": {"minutes": "100"}}
        (apportion.folder / "request.json").write_text(json.dumps(request))
        words = ["negotiate", "request.json", "--store", f"http://{node.address}"]
        environment = {**os.environ, **apportion.env, "APPORTION_KEY": node.key}
        done = subprocess.run(
            [*apportion.command, *words], input="", text=True, cwd=apportion.folder, env=environment,
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 1 and "Nothing was agreed: the user walked away." in done.stdout
        node.stop()
