"""B13: … and how charges of other providers are presented: by item, or as one sum of each."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.bills import PLAIN, Bills, lines, total
from tests.claims.conftest import Program

SUMS = '[profiles.sums]\nbilling = { detail = "providers" }\n'
ITEMS = '[profiles.items]\nbilling = { detail = "items" }\n'


def test_by_item_or_one_sum_a_provider_and_the_same_total(apportion: Program) -> None:
    node = Bills(apportion, SUMS + ITEMS, profile="sums")
    (first, fee), (second, same) = node.call(), node.call("ben", profile="items")
    (hers,), (his,) = node.issue(session=first), node.issue(session=second)
    assert lines(hers) == {"elm": Decimal("0.33"), "Oak": Decimal("0.26"), "Connection": Decimal("0.12")}
    assert lines(his).keys() == {"Near: talk", "Far: talk", "Connection", "Far: set up"}
    assert fee == same and total([hers]) == total([his]) == Decimal("0.71") and hers["taxes"] == his["taxes"]
    node.stop()


def test_also_for_charges_without_a_plan(apportion: Program) -> None:
    node = Bills(apportion, SUMS + PLAIN, profile="sums")
    for payer in ("ada", "ben"):
        node.use("70", "2026-10-03T10:00:00Z", f"of {payer}", payer)
    hers, his = (node.issue(period="2026-10", who=who)[0] for who in ("ada", "ben"))
    assert lines(hers) == {"elm": Decimal("4.50"), "Oak": Decimal("1.80")} and lines(his) == {"Talk": Decimal("6.30")}
    node.stop()
