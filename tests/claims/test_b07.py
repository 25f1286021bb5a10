"""B7: Prefer the highest-rated network, whoever delivers over it."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.conftest import Program
from tests.claims.market import Market, calls, crew, fee, one

BEST = {"highest_rated": "network"}
# Oak delivers the near part over the south network too, which is ash's.
GUEST = """
[offers.guest]
service = "call"
part = "near"
provider = "oak"
network = "south"
tariff = "three"
"""


def test_the_network_is_rated_by_itself_and_taken_first(apportion: Program) -> None:
    node = Market(apportion, calls(GUEST))
    assert crew(node.plan("10", profile=BEST)) == {"near": "elm", "far": "elm"}  # all alike: the cheapest

    plan = node.plan("10", "ben", profile={"networks": {"only": ["south"]}})
    session = node.deliver(plan)
    key = node.key_of("ben")
    node.ask("POST", "/v1/ratings", {"record": session["id"], "stars": 5, "network": "south"}, key=key)
    for other in ("east", "west"):  # it did not come over these, though west is the network of oak, who delivered
        wrong = {"record": session["id"], "stars": 1, "network": other}
        node.ask("POST", "/v1/ratings", wrong, key=key, status=404)
    seen = [{"service": "call", "provider": "ash", "network": "south", "succeeded": True}] * 50
    node.ask("POST", "/v1/measurements", {"measurements": seen})
    # the best network for both parts, and on it whoever is cheapest: oak, though it is the guest there
    shown = node.plan("10", profile=BEST)
    assert crew(shown) == {"near": "oak", "far": "ash"}
    assert {part["network"] for part in one(shown)["parts"]} == {"south"}

    assert Decimal(node.deliver(shown)["charged"]) == fee(shown) == Decimal("0.912")
    books = node.stop()
    assert books.balances("provider") == {"oak": Decimal("0.6"), "ash": Decimal("0.6")}
