"""C4: Trust-based credit also when another provider delivers."""

from __future__ import annotations

import time
from decimal import Decimal

from tests.claims.conftest import Program
from tests.claims.serving import Served
from tests.claims.test_c02 import charge, trust

CATALOG = """
providers = { home = {}, dora = {} }
dunning = { due_days = 1, reminders = [1], write_off = 2, day = 1 }
payers.ada = { currency = "EUR", trust = true, guarantor = "home" }
payers.ben = { currency = "EUR", credit = 100 }
[[trust]]
currency = "EUR"
cap = 300
starting = 120
[services.ride]
retail = "fare"
measures = { km = "km" }
parts.car = { provider = "dora", wholesale = { dora = "car" } }
[tariffs]
fare = { currency = "EUR", components = [{ kind = "unit", name = "way", measure = "km", price = 2 }] }
car = { currency = "EUR", components = [{ kind = "unit", name = "way", measure = "km", price = 1 }] }
"""


def until(node: Served, owner: str, posted: Decimal, seconds: float = 20) -> None:
    """Wait until somebody's account stands so; the node looks after due dates by itself."""
    end = time.monotonic() + seconds
    while node.balance(owner) != posted:
        assert time.monotonic() < end, node.balance(owner)
        time.sleep(0.1)


def test_the_home_provider_loses_exactly_the_debt_and_the_other_is_paid(apportion: Program) -> None:
    """Dora delivers on credit that home guarantees; ada defaults; what she pays later goes to home first."""
    node = Served(apportion, CATALOG)
    assert charge(node, "ada", 55, "2026-01")["state"] == "charged"
    assert (node.balance("ada"), node.balance("dora")) == (-110, 55)
    assert trust(node, "ada")["guarantor"] == "home"
    node.ask("POST", "/v1/statements", {"period": "2026-01", "who": "ada"})
    until(node, "ada", Decimal(0))  # reminded after two seconds, written off after three
    assert (node.balance("home"), node.balance("dora"), node.balance("fees")) == (-110, 55, 55)
    found = trust(node, "ada")
    assert Decimal(found["credit"]) == 0 and Decimal(found["outstanding"]) == 110
    assert found["declined"] == "110 EUR was written off and is not paid."
    assert charge(node, "ada", 1, "2026-02")["state"] == "pending"
    node.ask("POST", f"/v1/accounts/{found['account']}/write-off", {}, status=409)  # nothing is owed any more
    node.top_up("ada", "30")
    assert (node.balance("ada"), node.balance("home")) == (0, -80)
    node.top_up("ada", "100")
    until(node, "ada", Decimal(18))  # home has its money back, 20 are hers, and the ride that waited is paid
    assert (node.balance("home"), node.balance("dora"), node.balance("fees")) == (0, 56, 56)
    assert "outstanding" not in trust(node, "ada")
    books = node.stop()
    assert [line["state"] for line in books.of("dunning")] == ["reminder", "written-off", "paid"]
    off, *back = [line for line in books.of("entry") if line["kind"] in ("write-off", "recovery")]
    assert off["forced"] is True and {Decimal(leg["amount"]) for leg in off["legs"]} == {110, -110}
    assert [max(Decimal(leg["amount"]) for leg in line["legs"]) for line in back] == [30, 80]


def test_the_operator_writes_off_once_and_without_a_guarantor_the_platform_bears_it(apportion: Program) -> None:
    node = Served(apportion, CATALOG)
    charge(node, "ben", 40, "2026-01")
    account = node.ask("GET", "/v1/accounts?owner=ben")["data"][0]["id"]
    node.ask("POST", f"/v1/accounts/{account}/write-off", {"amount": "81"}, status=422)
    made = node.ask("POST", f"/v1/accounts/{account}/write-off", {"amount": "80"})
    assert (made["amount"], "guarantor" in made, "below_zero" in made) == ("80.000000000", False, False)
    assert (node.balance("ben"), node.balance("losses"), node.balance("dora")) == (0, -80, 40)
    assert node.balance("ben", "credit") == 0
    node.ask("POST", f"/v1/accounts/{account}/write-off", {}, status=409)
    node.top_up("ben", "80")
    assert (node.balance("ben"), node.balance("losses"), node.balance("ben", "credit")) == (0, 0, 100)
    books = node.stop()
    told = apportion("explain", made["id"], "--store", books.store).out
    assert "a debt of ben that was written off" in told
