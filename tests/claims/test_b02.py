"""B2: The scenario may use other providers' networks."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.conftest import Json, Program
from tests.claims.market import Market, calls, crew, fee, one

# Oak has a network of its own in the west and may use elm's; handing over from west to east costs 0.30.
ROAMING = """
[offers.own]
service = "call"
part = "near"
provider = "oak"
tariff = "two"
[offers.roaming]
service = "call"
part = "near"
provider = "oak"
tariff = "two"
network = "east"
when = { title = ["*"] }
[[interconnects]]
source = "west"
target = "east"
fee = "0.08"
"""


def networks(plan: Json) -> dict[str, str]:
    """Over which network each part is delivered."""
    return {part["part"]: part["network"] for part in one(plan)["parts"]}


def test_a_provider_delivers_over_the_network_of_another(apportion: Program) -> None:
    node = Market(apportion, calls(ROAMING, 'links = [["near", "far"]]'))
    over = node.plan("10", attributes={"title": "any"})
    assert crew(over) == {"near": "oak", "far": "elm"} and networks(over) == {"near": "east", "far": "east"}
    assert fee(over) == Decimal("0.648")  # both on one network: nothing is handed over
    assert [c["network"] for c in over["candidates"] if c["offer"] == "own"] == ["west"]

    # where it must use its own, the call is handed over to elm's, which elm is paid for
    handed = node.plan("10")
    assert crew(handed) == {"near": "oak", "far": "elm"} and networks(handed) == {"near": "west", "far": "east"}
    assert fee(handed) == Decimal("0.7536")  # 0.648 + 0.08 × 1.1 × 1.2
    assert {part["part"]: Decimal(part["cost"]) for part in one(handed)["parts"]} == {
        "near": Decimal("0.2"), "far": Decimal("0.28"),
    }  # fmt: skip

    # and a user who does not want that network gets another crew
    without = node.plan("10", profile={"networks": {"ignore": ["east"]}})
    assert crew(without) == {"near": "oak", "far": "oak"} and set(networks(without).values()) == {"west"}

    for plan in (over, handed):
        assert Decimal(node.deliver(plan)["charged"]) == fee(plan)
    books = node.stop()
    assert books.balances("provider") == {"oak": Decimal("0.4"), "elm": Decimal("0.48")}
