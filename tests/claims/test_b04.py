"""B4: A stored segmentation profile prefers one provider to another."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.conftest import Program
from tests.claims.market import Market, calls, crew, fee, one

# Ada's own profile prefers ash, whatever it costs; in `thrifty` it may cost 25 % more.
PROFILES = """
[profiles.fond]
providers = { order = ["ash", "elm"] }
[profiles.thrifty]
providers = { order = ["ash", "elm"] }
premium = "25"
"""


def test_the_preferred_provider_delivers_what_it_can(apportion: Program) -> None:
    own = 'ada = { currency = "EUR", opening = "50"'
    node = Market(apportion, calls(PROFILES).replace(own, own + ', profile = "fond"'))
    fond = node.plan("10")
    assert crew(fond) == {"near": "ash", "far": "ash"} and fond["profile"] == "fond"
    assert fee(fond) == Decimal("1.176") and Decimal(one(fond)["dearer"]) == fee(fond) - Decimal("0.648")
    thrifty = node.plan("10", profile="thrifty")
    assert crew(thrifty) == {"near": "oak", "far": "ash"} and fee(thrifty) == Decimal("0.78")  # 20.4 % more, not 81 %
    assert crew(node.plan("10", "ben")) == {"near": "oak", "far": "elm"}  # he has none

    # who is preferred and can not deliver is passed over, in the order of the profile
    node.ask("POST", "/v1/providers/ash/switch", {"off": True, "reason": "storm"})
    assert crew(node.plan("10")) == {"near": "elm", "far": "elm"}
    # and no preference outweighs a limit
    assert crew(node.plan("10", limits={"budget": "0.65"})) == {"near": "oak", "far": "elm"}
    node.ask("POST", "/v1/providers/ash/switch", {"off": False})

    assert Decimal(node.deliver(fond)["charged"]) == Decimal("1.176")
    books = node.stop()
    assert books.balances("provider") == {"ash": Decimal("0.8")}
