"""Settling in whatever order: netting moves no position, and each portion is in exactly one settlement."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apportion.engine import billing
from apportion.model.account import Role
from apportion.model.journal import Entry
from apportion.model.payment import LIVE
from apportion.model.settlement import Mode, SettlementLine
from apportion.stages.settle import Owed, payments, positions
from tests.settling import Counting

PARTIES = ["", "a", "b", "c", "d"]
OWED = st.lists(
    st.builds(Owed, st.sampled_from(PARTIES), st.sampled_from(PARTIES), st.integers(1, 10**12)).filter(
        lambda one: one.debtor != one.creditor
    ),
    max_size=30,
)


@given(owed=OWED)
def test_netting_moves_no_position_and_never_more_money(owed: list[Owed]) -> None:
    standing = positions(owed)
    gross, net, many = (payments(mode, owed) for mode in Mode)
    for found in (gross, net, many):
        assert positions(found) == standing and all(one.units > 0 for one in found)
    sums = [sum(one.units for one in found) for found in (gross, net)]
    assert sums[0] == sum(one.units for one in owed) and sums[1] <= sums[0]
    assert len({frozenset((one.debtor, one.creditor)) for one in net}) == len(net)
    # each party pays or is paid once: no way of settling with the platform needs less
    assert sum(one.units for one in many) == sum(abs(units) for party, units in standing.items() if party)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ride"), st.integers(1, 3), st.integers(1, 40)),
        st.tuples(st.just("settle"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("oblige"), st.integers(0, 11), st.integers(1, 999)),
        st.tuples(st.just("order"), st.integers(0, 5), st.integers(0, 1)),
        st.tuples(st.sampled_from(["confirm", "fail"]), st.integers(0, 30), st.just(0)),
        st.tuples(st.just("issue"), st.just(0), st.just(0)),
        st.tuples(st.just("close"), st.just(0), st.just(0)),
        st.tuples(st.just("later"), st.integers(1, 40), st.just(0)),
    ),
    max_size=30,
)
NAMES = ["dora", "otto", "sun", "wire"]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_each_portion_is_in_exactly_one_settlement(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    books = Counting(tmp_path_factory.mktemp("settle") / "books.db")
    made: list[SettlementLine] = []
    for number, (what, first, second) in enumerate([*steps, ("ride", 1, 3), ("settle", 1, 0), ("settle", 2, 0)]):
        if what == "ride":
            books.ride(first, km=str(second), minutes=str(second + 1))
        elif what == "settle":
            run = books.settle(list(Mode)[first].value)
            made += run.settlements if run.made else ()
        elif what == "oblige":
            names = [(a, b) for a in NAMES for b in NAMES if a != b]
            outcome = books.oblige(*names[first], f"{second}.{second % 100:02}", f"o{number}")
            assert outcome.refusal is None or names[first][0] == "wire"
        elif what == "order" and made:
            books.order(made[first % len(made)], ("file", "transfer")[second])
        elif what in ("confirm", "fail"):
            ordered = [one.id for line in made for one in books.payouts(line) if one.by != "transfer"]
            if ordered:
                books.end(ordered[first % len(ordered)], {"confirm": "succeeded"}.get(what, "failed"))
        elif what == "issue":
            try:
                billing.issue(books.engine)
            except Exception as error:
                assert "not ended" in str(error) or "closed" in str(error)
        elif what == "close":
            books.engine.close_period("", force=True)
        else:
            day = int(books.clock.at[8:10]) + first
            books.clock.at = f"2026-{11 + (day > 30)}-{(day - 1) % 30 + 1:02}T10:00:00.000000Z"
    assert_settled(books, made)
    assert books.proven() == []
    books.engine.close()


def assert_settled(books: Counting, made: list[SettlementLine]) -> None:
    """Windows follow one another; what providers were credited in all is the sum of what was settled."""
    assert [line.after for line in made] == [0, *(line.upto for line in made[:-1])]
    settled: dict[str, Decimal] = {}
    payable: dict[str, Decimal] = {}
    for line in made:
        assert line == books.found(line.id)  # closed for ever
        for name, one in books.positions(line).items():
            settled[name] = settled.get(name, Decimal(0)) + Decimal(one.credited)
            payable[name] = payable.get(name, Decimal(0)) + Decimal(one.payable)
    credited = dict.fromkeys(settled, Decimal(0))
    owners = books.engine.books.owners()
    roles = {view.id: view.role for view in books.engine.books.accounts()}
    for _, line in books.engine.books.lines():
        if isinstance(line, Entry) and line.kind not in ("payout", "payout-failed", "collection", "direct"):
            for leg in line.legs:
                if roles[leg.account] == Role.PROVIDER.value:
                    credited[owners[leg.account]] += Decimal(leg.amount)
    assert credited == settled
    assert all(abs(payable[name] - settled[name]) <= Decimal("0.005") for name in settled)
    live = [one for line in made for one in books.payouts(line) if one.state in LIVE and not one.debtor]
    assert sum(books.posted(Role.CLEARING).values()) == sum(Decimal(one.amount) for one in live)
