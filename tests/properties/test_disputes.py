"""Disputes in whatever order, about whatever charge: what is set aside comes back, and every sum stays exact."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apportion.model.charge import Charge
from apportion.model.command import ChargeUsage
from apportion.model.dispute import DisputeLine
from apportion.money import Asset
from apportion.stages.rate.correct import borne_of, earned_of
from tests.book import usages
from tests.disputing import Court

EUR = Asset("EUR", 9)
MOST = st.sampled_from([1, 2, 3, 7, 10, 100, 1000, 999_999_937])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["user", "user", "claim", "claim", "decide", "decide", "withdraw", "settle"]),
        st.integers(0, 10**6), MOST, st.integers(0, 3),
    ),
    min_size=4, max_size=25,
)  # fmt: skip


def part_of(text: str, parts: int) -> str:
    """One of so many parts of an amount, at least one atom of it."""
    atoms = int(text.replace(".", ""))
    return str(Decimal(max(1, atoms // parts)).scaleb(-9)) if atoms > 0 else "1"


def step(court: Court, charges: list[Charge], cases: list[str], what: tuple[str, int, int, int]) -> None:
    name, pick, parts, turn = what
    charge = charges[pick % len(charges)]
    now = court.standing(charge)
    if name == "user":
        payers = sorted(borne_of(now, EUR))
        owner = court.engine.books.owners()[payers[turn % len(payers)]]
        borne = borne_of(now, EUR)[payers[turn % len(payers)]]
        amount = part_of(str(borne), parts) if turn else ""
        made = court.open(charge, f"c{len(cases)} {pick}", payer=owner, amount=amount)
    elif name == "claim":
        earned = sorted(earned_of(now, EUR))
        provider, against = (earned + earned)[turn], (earned + earned)[turn + 1]
        made = court.open(
            charge, f"c{len(cases)} {pick}", provider=provider or "dora", against=against, outside=True,
            amount=part_of(str(max(0, earned_of(now, EUR)[against])), parts),
        )  # fmt: skip
    elif name == "settle":
        court.settle()
        return
    elif not cases:
        return
    else:
        case = court.case(cases[pick % len(cases)])
        granted = part_of(case.amount, parts) if turn else "0"
        faults = ["", *[one.provider for one in now.portions]]
        made = (
            court.decide(case.id, granted, faults[turn % len(faults)]) if name == "decide" else court.withdraw(case.id)
        )
    if made.refusal is None and made.id not in cases:
        cases.append(made.id)


def check(court: Court, charges: list[Charge], cases: list[str]) -> None:
    """Every charge stands as it was booked and corrected, and clearing is what open cases hold."""
    open_ = [case for case in map(court.case, cases) if case.state == "open"]
    assert court.aside() == sum(Decimal(leg.amount) for case in open_ for leg in case.held)
    assert sum(Decimal(view.posted) for view in court.engine.books.accounts()) == 0
    for charge in charges:
        now = court.standing(charge)
        made = [record.charge for record in court.engine.books.records() if record.charge.origin == charge.id]
        for name in ("amount", "total", "platform", "tax", "sponsored"):
            assert Decimal(getattr(now, name)) == sum(Decimal(getattr(one, name)) for one in (charge, *made))
        borne, earned = sum(borne_of(now, EUR).values()), sum(earned_of(now, EUR).values())
        taxes = sum(Decimal(tax.amount) for tax in now.taxes)
        assert Decimal(borne) == Decimal(earned) + (taxes - Decimal(now.sponsored)).scaleb(9)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.integers(0, 40), steps=STEPS)
def test_whatever_is_disputed_adds_up_and_comes_back(
    tmp_path_factory: pytest.TempPathFactory, first: int, steps: list[tuple[str, int, int, int]]
) -> None:
    court = Court(tmp_path_factory.mktemp("disputes") / "books.db")
    court.engine.writer.commit([ChargeUsage(usage) for usage in [*usages(first + 9)][first:]])
    charges = [record.charge for record in court.engine.books.records() if record.charge.shares]
    cases: list[str] = []
    for what in steps if charges else ():
        step(court, charges, cases, what)
    check(court, charges, cases)
    assert court.proven() == []
    for id in cases:
        if court.case(id).state == "open":
            court.withdraw(id)
    assert court.aside() == 0
    for charge in charges:  # and then everybody gets all that is left of it
        for account in list(borne_of(court.standing(charge), EUR)):
            made = court.open(charge, f"all {charge.id} {account}", payer=court.engine.books.owners()[account])
            if made.refusal is None:
                assert court.decide(made.id).refusal is None
        now = court.standing(charge)
        earned = earned_of(now, EUR)
        assert not any(borne_of(now, EUR).values()) and sum(earned.values()) == 0
        if not any(case.fault for case in map(court.case, cases) if case.charge == charge.id):
            assert not any(earned.values())  # who was at fault gave for the others, who keep it
        assert {Decimal(tax.amount) for tax in now.taxes} <= {0} and Decimal(now.sponsored) == 0
    check(court, charges, cases)
    assert court.proven() == []
    assert all(
        line.state != "open" or line.n == 1 for _, line in court.engine.books.lines() if isinstance(line, DisputeLine)
    )
    court.engine.close()
