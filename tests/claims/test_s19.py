"""S19: Monitor the running service, compare the account with the fee so far, end it when the account cannot pay."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.conftest import Program
from tests.claims.serving import Served

POWER = """
providers = { plant = {}, grid = {} }
payers = { ada = { currency = "EUR", name = "Ada" } }
[services.charging]
retail = "energy"
measures = { kwh = "kWh" }
session = { slice = { kwh = 4 }, validity = 1, offer = 1, final = "terminate" }
parts.source = { provider = "plant", wholesale = { plant = "source" } }
parts.grid = { provider = "grid", wholesale = { grid = "wire" } }
[tariffs]
energy = { currency = "EUR", components = [{ kind = "unit", name = "energy", measure = "kwh", price = 0.50 }] }
source = { currency = "EUR", components = [{ kind = "unit", name = "energy", measure = "kwh", price = 0.20 }] }
wire = { currency = "EUR", components = [{ kind = "unit", name = "energy", measure = "kwh", price = 0.10 }] }
"""


def test_a_charging_station_stops_when_the_balance_is_used_up(apportion: Program) -> None:
    node = Served(apportion, POWER.replace("validity = 1,", "validity = 60,"))
    node.top_up("ada", "5")
    session = node.open("charging", "ada")
    number, seen = 0, [Decimal(5)]
    while session["state"] in ("active", "low"):
        number += 1
        session = node.report(session["id"], number, session["parts"][0]["granted"])
        assert Decimal(session["charged"]) <= 5
        seen.append(node.balance("ada", "posted"))
        assert number < 40
    assert seen == sorted(seen, reverse=True) and seen[-1] == 0
    assert session["state"] == "suspended" and session["reason"] == "no_value"
    assert session["final"] == {"action": "terminate"} and session["parts"][0]["used"] == {"kwh": "10"}
    ended = node.until(session["id"], lambda one: one["state"] == "closed")
    assert ended["reason"] == "no_value"
    books = node.stop()
    assert books.balances("provider") == {"plant": Decimal(2), "grid": Decimal(1)}
    assert books.balances("payer") == {"ada": Decimal(0)}


def test_a_station_that_falls_silent_gives_nothing_away(apportion: Program) -> None:
    node = Served(apportion, POWER)
    node.top_up("ada", "50")
    id = node.open("charging", "ada")["id"]
    node.report(id, 1, {"kwh": "3"})
    node.until(id, lambda one: one["state"] == "suspended" and one["reason"] == "silent")
    ended = node.until(id, lambda one: one["state"] == "closed")
    assert ended["reason"] == "silent" and node.balance("ada", "held") == 0
    assert node.stop().balances("payer") == {"ada": Decimal("48.5")}


def test_a_parallel_session_can_not_spend_what_another_holds(apportion: Program) -> None:
    node = Served(apportion, POWER.replace("validity = 1,", "validity = 60,"))
    node.top_up("ada", "3")
    held, open_ = [], []
    while (left := node.balance("ada", "available")) > 0:
        session = node.open("charging", "ada", requested={"kwh": "2"})
        open_.append(session["id"])
        held.append(left - node.balance("ada", "available"))
        assert len(open_) < 99
    assert sum(held) == 3 and held == sorted(held, reverse=True)  # grants shrink near the end of the value
    node.open("charging", "ada", status=402)
    for id in open_:
        session = node.session(id)
        node.report(id, 1, session["parts"][0]["granted"])
        node.end(id)
    books = node.stop()
    assert books.balances("payer")["ada"] >= 0
