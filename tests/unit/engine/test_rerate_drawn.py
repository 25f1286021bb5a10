"""Corrected prices where several agreements, buckets, allowances or other accounts had a part in the charge."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from apportion.engine.engine import Engine
from apportion.engine.rerating.door import RerateAnswer, RerateInput, run
from apportion.engine.verbs import Call
from apportion.model.tariff import Unit
from tests.adjusting import OPERATOR, Books, changed
from tests.funds import Funds, catalog, payer, use
from tests.sessions import Rig
from tests.unit.engine import test_least_cost as least


@pytest.fixture
def funds(tmp_path: Path) -> Iterator[Funds]:
    made = Funds(tmp_path / "b.db", payer("ada", "5", "0", "cyd"), payer("cyd", "100"))
    yield made
    assert made.proven() == []
    made.engine.close()


def repriced(engine: Engine, minute: str) -> RerateAnswer:
    """Correct all calls to a price of a minute."""
    given = catalog(payer("ada", "5", "0", "cyd"), payer("cyd", "100"))
    talk = Unit(name="talk", measure="minutes", price=minute)
    engine.apply(changed(given, retail={"components": (talk,)}))
    return run(engine, Call(OPERATOR, given=RerateInput("call")))


def test_at_least_cost_it_is_found_again_among_the_agreements_of_then(tmp_path: Path) -> None:
    """Together they are served by ada's agreement for 6 + 0.4 × 45 = 24; at 0.35 a minute that is 21.75."""
    made = least.catalog()
    books = Books(tmp_path / "b.db", made)
    charge = books.charge(least.call("1", ada="20", cyd="20", ben="5"))[0].id
    entry, _ = made.tariffs["large"].components
    books.engine.apply(changed(made, large={"components": (entry, least.talk("0.35"))}))
    assert books.rerate("call")[0].corrected == 1
    assert Decimal(books.standing(charge).total) == Decimal("21.75") and books.proven() == []
    assert books.rerate("call")[0].corrected == 0


def test_what_an_allowance_covers_was_paid_before_and_stays(funds: Funds) -> None:
    """Ten of 14 minutes are covered; the others cost 0.20 less each, which the sponsor of the margin adds."""
    funds.buy("3", "10", "ten")
    funds.charge(use("1", "14"))
    page = repriced(funds.engine, "0.8")
    assert {row.who: Decimal(row.change) for row in page.rows if Decimal(row.change)} == {
        "ada": Decimal("-0.8"), "sponsor": Decimal("0.8"),
    }  # fmt: skip
    assert repriced(funds.engine, "0.8").corrected == 0


def test_what_is_given_back_goes_to_where_it_was_drawn_and_from_a_bucket_to_the_account(funds: Funds) -> None:
    """9 minutes: 3 out of a bucket, 5 of ada's own, 1 of cyd's; a third of it comes back."""
    funds.grant("3", "gift")
    outcome = funds.charge(use("1", "9"))[0]
    assert [(who, source) for who, source, _ in funds.sources(outcome)] == [
        ("ada", "bucket"),
        ("ada", ""),
        ("cyd", "alternate"),
    ]
    before = funds.balances()
    assert repriced(funds.engine, "0.7").corrected == 1
    after = funds.balances()
    moved = {who: Decimal(after[who]) - Decimal(before[who]) for who in ("ada", "cyd")}
    assert moved == {"ada": Decimal("2.4"), "cyd": Decimal("0.3")}
    assert repriced(funds.engine, "0.8").corrected == 1  # the half of it is due again, from ada's own account
    assert Decimal(funds.balances()["ada"]) == Decimal(after["ada"]) - Decimal("0.9")


def test_slices_of_a_session_are_left_and_counted() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    session = rig.open("ada")
    rig.report(session, 1, "60", seconds=60)
    rig.end(session)
    page = run(rig.engine, Call(OPERATOR, given=RerateInput("call")))
    assert page.corrected == 0 and {one.reason for one in page.left} == {"session"}
    assert sum(one.count for one in page.left) == page.looked > 0
