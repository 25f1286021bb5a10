"""S25: … by lowest cost together: of all combinations the cheapest, found again here one by one."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

from tests.claims.conftest import Program
from tests.claims.market import Market, calls, crew, fee, one

MINUTES = ("1", "4", "10", "25", "90")
NEAR = {"oak": Decimal("0.02"), "elm": Decimal("0.03"), "ash": Decimal("0.05")}
FAR = {"oak": Decimal("0.05"), "elm": Decimal("0.02"), "ash": Decimal("0.03")}
SETUP = {"oak": Decimal("0.20"), "elm": Decimal("0.40"), "ash": Decimal("0.01")}


def cost(near: str, far: str, minutes: str) -> Decimal:
    """What two providers ask together."""
    return (NEAR[near] + FAR[far]) * Decimal(minutes) + sum(SETUP[name] for name in {near, far})


def test_no_combination_costs_less(apportion: Program) -> None:
    terms = "terms = { oak = { setup = '0.20' }, elm = { setup = '0.40' }, ash = { setup = '0.01' } }"
    node = Market(apportion, calls(market=terms))
    plans = {minutes: node.plan(minutes) for minutes in MINUTES}
    for minutes, plan in plans.items():
        found, least = crew(plan), min(cost(*both, minutes) for both in product(NEAR, FAR))
        assert cost(found["near"], found["far"], minutes) == Decimal(one(plan)["cost"]) == least, minutes
        assert fee(plan) == (Decimal("0.10") + least * Decimal("1.1")) * Decimal("1.2")
        assert one(plan).get("proven", True)
    assert len({tuple(crew(plan).values()) for plan in plans.values()}) > 2  # how much is wanted decides who delivers

    charged = sum(Decimal(node.deliver(plans[minutes])["charged"]) for minutes in ("4", "90"))
    assert charged == fee(plans["4"]) + fee(plans["90"])
    books = node.stop()
    assert sum(books.balances("provider").values()) == sum(Decimal(one(plans[m])["cost"]) for m in ("4", "90"))
    assert books.balances("payer")["ada"] == 50 - charged
