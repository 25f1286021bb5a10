"""S20: Before ending the service, offer the user to add value, so that the same service goes on."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.conftest import Json, Program
from tests.claims.serving import Served

TOKENS = """
providers = { lab = {}, host = {} }
payers = { ada = { currency = "USD" } }
[services.chat]
retail = "tokens"
measures = { tokens = "token" }
session = { slice = { tokens = 1000 }, validity = 60, offer = 60, final = "redirect", redirect = "https://pay.it" }
parts.model = { provider = "lab", wholesale = { lab = "model" } }
parts.hosting = { provider = "host", wholesale = { host = "gpu" } }
[tariffs]
tokens = { currency = "USD", components = [{ kind = "unit", name = "t", measure = "tokens", price = 0.00002 }] }
model = { currency = "USD", components = [{ kind = "unit", name = "t", measure = "tokens", price = 0.00001 }] }
gpu = { currency = "USD", components = [{ kind = "unit", name = "t", measure = "tokens", price = 0.000004 }] }
"""


def drain(node: Served, session: Json) -> Json:
    """Use up what is granted until nothing more comes."""
    while session["state"] in ("active", "low"):
        part = session["parts"][0]
        session = node.report(session["id"], part.get("number", 0) + 1, part["granted"])
    return session


def test_the_same_session_goes_on_once_value_is_added(apportion: Program) -> None:
    node = Served(apportion, TOKENS)
    node.top_up("ada", "0.05", "USD")
    session = drain(node, node.open("chat", "ada"))
    assert session["state"] == "suspended" and session["parts"][0]["used"] == {"tokens": "2500"}
    assert session["final"] == {"action": "redirect", "redirect": "https://pay.it"}
    offer = session["offer"]
    assert (Decimal(offer["least"]), Decimal(offer["needed"])) == (Decimal("0.00002"), Decimal("0.02"))
    id = session["id"]

    node.top_up("ada", "0.01", "USD")  # half of what is needed for a full slice
    session = node.until(id, lambda one: one["state"] in ("active", "low"))
    assert session["id"] == id and "offer" not in session or session["state"] == "low"
    session = drain(node, session)
    assert session["parts"][0]["used"] == {"tokens": "3000"} and session["offer"]["id"] != offer["id"]

    reference = session["offer"]["id"]
    given = {"payer": "ada", "amount": "0.04", "currency": "USD", "reference": reference}
    for _ in range(3):  # accepted three times, credited once
        node.ask("POST", "/v1/topups", given)
    session = node.until(id, lambda one: one["state"] in ("active", "low"))
    session = drain(node, session)
    assert session["parts"][0]["used"] == {"tokens": "5000"} and node.balance("ada") == 0
    node.end(id)
    books = node.stop()
    assert books.balances("provider") == {"lab": Decimal("0.05"), "host": Decimal("0.02")}
    assert {line["id"] for line in books.of("session")} == {id}


def test_an_offer_that_nobody_takes_ends_the_session_with_its_reason(apportion: Program) -> None:
    node = Served(apportion, TOKENS.replace("offer = 60", "offer = 1"))
    node.top_up("ada", "0.02", "USD")
    session = drain(node, node.open("chat", "ada"))
    ended = node.until(session["id"], lambda one: one["state"] == "closed")
    assert ended["reason"] == "no_value" and "offer" not in ended
    books = node.stop()
    events = [line["event"] for line in books.of("session") if line["event"] != "reported"]
    assert events == ["opened", "low", "suspended", "closed"]
