"""S26: … by payments that providers make to the platform: bounded, visible to the user, booked as their own income."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.claims.conftest import Program
from tests.claims.market import Market, calls, crew, fee, one

# `paid` is `call` with placements: ash pays 0.01 a time to be preferred for the far part, which is 20.4 % dearer at ten
# minutes; users pay at most 21 % more for it. In `tight` they pay at most 20 %.
SERVICES = """
[services.{name}]
retail = "own"
measures = {{ minutes = "min" }}
parts.near = {{ wholesale = {{ oak = "two", elm = "three", ash = "five" }} }}
parts.far = {{ wholesale = {{ oak = "five", elm = "two", ash = "three" }} }}
market = {{ retail = "passed-on", markup = "10" }}
[placements.{name}]
service = "{name}"
provider = "ash"
parts = ["far"]
fee = "0.01"
bound = "{bound}"
"""
PAID = SERVICES.format(name="paid", bound="21") + SERVICES.format(name="tight", bound="20")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Market:
    return Market(Program(tmp_path_factory.mktemp("paid")), calls(PAID))


def test_a_placement_never_costs_users_more_than_its_bound(node: Market) -> None:
    for name, bound in (("paid", "1.21"), ("tight", "1.20")):
        for minutes in ("1", "5", "9", "10", "11", "50"):
            least, shown = fee(node.plan(minutes)), node.plan(minutes, service=name)
            assert least <= fee(shown) <= least * Decimal(bound), (name, minutes)
            assert Decimal(one(shown).get("placed", "0")) == fee(shown) - least
            assert crew(shown, "best-quality") == crew(node.plan(minutes), "best-quality")  # quality is not for sale
    assert crew(node.plan("10", service="tight")) == {"near": "oak", "far": "elm"}  # 20.4 % is more than 20 %
    refused = node.plan("10", service="paid", limits={"budget": "0.77"})
    assert crew(refused)["far"] == "elm"  # nor does it break the user's own limit


def test_the_user_sees_who_paid_and_what_it_costs_and_the_fee_is_income_of_its_own(node: Market) -> None:
    key = node.key_of("ada")
    shown = node.plan("10", key=key, service="paid")
    assert crew(shown) == {"near": "oak", "far": "ash"}
    assert [part["provider"] for part in one(shown)["parts"] if part.get("placed")] == ["ash"]
    assert Decimal(one(shown)["placed"]) == Decimal("0.132")  # ten minutes at 0.01 more, with markup and tax
    told = str(node.ask("GET", f"/v1/plans/{shown['id']}/explanation", key=key))
    assert "which paid to be preferred" in told and "costs payers 0.132 EUR more" in told

    assert Decimal(node.deliver(shown)["charged"]) == fee(shown) == Decimal("0.78")
    books = node.stop()
    # what ash pays is neither part of the charge nor of the platform's own fee
    assert books.balances("platform") == {"fees": Decimal("0.15"), "placement": Decimal("0.01")}
    assert books.balances("provider") == {"oak": Decimal("0.2"), "ash": Decimal("0.3") - Decimal("0.01")}
    [entry] = [line for line in books.of("entry") if line["kind"] == "placement"]
    assert entry["cause"] == shown["id"]
    assert {(books.owners[leg["account"]], Decimal(leg["amount"])) for leg in entry["legs"]} == {
        ("ash", Decimal("-0.01")), ("placement", Decimal("0.01")),
    }  # fmt: skip
