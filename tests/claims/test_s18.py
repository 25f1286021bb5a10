"""S18: Select the providers that together have the lowest total cost: the combination, not each part alone."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.conftest import Program
from tests.claims.market import Market, calls, crew, fee

# The same carriers three times: with set-up fees, with a bundle, and with networks that have to meet.
SERVICE = """
[services.{name}]
retail = "own"
measures = {{ minutes = "min" }}
parts.near = {{ wholesale = {{ oak = "two", elm = "three", ash = "five" }} }}
parts.far = {{ wholesale = {{ oak = "five", elm = "two", ash = "three" }} }}
[services.{name}.market]
retail = "passed-on"
{market}
"""
SETUP = SERVICE.format(
    name="setup", market='terms = { oak = { setup = "0.30" }, elm = { setup = "0.30" }, ash = { setup = "0.05" } }'
)
BUNDLE = SERVICE.format(
    name="bundle", market='terms = { ash = { bundles = [{ parts = { near = "one", far = "two" } }] } }'
)
LINKED = SERVICE.format(name="linked", market='links = [["near", "far"]]')
MORE = """
[[interconnects]]
source = "west"
target = "east"
fee = "0.15"
[tariffs.one]
currency = "EUR"
components = [{ kind = "unit", name = "talk", measure = "minutes", price = "0.01" }]
"""


def test_the_cheapest_parts_do_not_make_the_cheapest_whole(apportion: Program) -> None:
    node = Market(apportion, calls(SETUP + BUNDLE + LINKED + MORE))
    # ten minutes of oak and elm cost 0.40, each is the cheapest for its part; together they are not:
    assert crew(node.plan("10")) == {"near": "oak", "far": "elm"}
    # with set-up fees they come to 1.00, elm alone to 0.50 + 0.30, ash alone to 0.80 + 0.05; elm's 0.80 is the least
    setup = node.plan("10", service="setup")
    assert crew(setup) == {"near": "elm", "far": "elm"} and fee(setup) == Decimal("1.08")  # (0.10 + 0.80) × 1.2
    # as a bundle ash asks 0.30 for both, though alone it is the dearest for one and the second for the other
    bundle = node.plan("10", service="bundle")
    assert crew(bundle) == {"near": "ash", "far": "ash"} and fee(bundle) == Decimal("0.48")
    # linked, oak to elm costs 0.15 more than 0.40, elm alone 0.50
    linked = node.plan("10", service="linked")
    assert crew(linked) == {"near": "elm", "far": "elm"} and fee(linked) == Decimal("0.72")
    # and with twenty minutes crossing is worth it: 0.80 + 0.15 against 1.00
    longer = node.plan("20", service="linked")
    assert crew(longer) == {"near": "oak", "far": "elm"} and fee(longer) == Decimal("1.26")

    for plan in (setup, bundle, longer):  # each session is charged exactly what its plan said
        assert Decimal(node.deliver(plan)["charged"]) == fee(plan)
    books = node.stop()
    earned = {
        "elm": Decimal("0.80") + Decimal("0.40") + Decimal("0.15"), "ash": Decimal("0.30"), "oak": Decimal("0.40")
    }  # fmt: skip
    assert books.balances("provider") == earned
    assert books.balances("platform") == {
        "fees": Decimal("0.30")
    }  # the connection of three calls: nothing else is kept
    assert books.balances("payer")["ada"] == 50 - Decimal("1.08") - Decimal("0.48") - Decimal("1.26")
