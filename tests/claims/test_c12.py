"""C12: The profile says how other providers' charges are presented on the home provider's statement."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.bills import Bills, lines
from tests.claims.conftest import Program

SUMS = '[profiles.sums]\nbilling = { detail = "providers" }\n'


def test_the_home_shows_its_own_by_item_and_each_other_as_one_sum(apportion: Program) -> None:
    node = Bills(apportion, SUMS, profile="sums")
    session, fee = node.call(home="oak")
    other, same = node.call("ben", home="oak")
    (hers,), (his,) = node.issue(session=session), node.issue(session=other)
    assert hers["provider"] == his["provider"] == "oak" and fee == same
    assert lines(hers) == {"Near: talk": Decimal("0.26"), "elm": Decimal("0.33"), "Connection": Decimal("0.12")}
    assert lines(his).keys() == {"Near: talk", "Far: talk", "Connection", "Far: set up"}
    assert hers["total"] == his["total"]
    node.stop()
