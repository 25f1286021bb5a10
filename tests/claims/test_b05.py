"""B5: … or one network to another."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.conftest import Program
from tests.claims.market import Market, calls, crew, fee, one

# Elm also delivers over the south network, which Ada prefers; Ben's profile takes no other than west.
NETWORKS = """
[profiles.southern]
networks = { order = ["south"] }
[profiles.western]
networks = { only = ["west"] }
[offers.usual]
service = "call"
part = "far"
provider = "elm"
tariff = "two"
[offers.south]
service = "call"
part = "far"
provider = "elm"
network = "south"
tariff = "two"
"""


def test_the_preferred_network_carries_what_it_can(apportion: Program) -> None:
    node = Market(apportion, calls(NETWORKS))
    shown = node.plan("10", profile="southern")
    # a network is preferred, not a provider: over the same network elm is cheaper than ash for the far part
    assert crew(shown) == {"near": "ash", "far": "elm"}
    assert {part["network"] for part in one(shown)["parts"]} == {"south"}
    assert fee(shown) == Decimal("1.044") and Decimal(one(shown)["dearer"]) == Decimal("0.396")
    western = node.plan("10", "ben", profile="western")
    assert crew(western) == {"near": "oak", "far": "oak"}
    assert {c["out"] for c in western["candidates"] if c["provider"] != "oak"} == {"only"}

    assert Decimal(node.deliver(shown)["charged"]) == Decimal("1.044")
    assert Decimal(node.deliver(western)["charged"]) == fee(western) == Decimal("1.044")
    books = node.stop()
    assert books.balances("provider") == {"ash": Decimal("0.5"), "elm": Decimal("0.2"), "oak": Decimal("0.7")}
