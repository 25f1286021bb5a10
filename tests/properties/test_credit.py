"""Whatever a payer does, its credit line follows from the books, and every guarantor loses exactly what is owed."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.engine.credit.standing import history_of, stands
from apportion.engine.credit.tend import review
from apportion.model.credit import Dunning, LossLine, SetCredit, TrustLine, TrustPolicy, WriteOff
from apportion.model.journal import Entry
from apportion.stages.credit import decide
from tests.unit.engine.test_credit import Till

POLICIES = st.builds(
    TrustPolicy,
    currency=st.just("EUR"),
    cap=st.sampled_from(("100", "100000")),
    starting=st.sampled_from(("0", "30")),
    share=st.sampled_from(("0.25", "1")),
    minimum_score=st.sampled_from(("0.5", "0.7")),
    minimum_months=st.integers(1, 3),
)
DUNNING = st.sampled_from((None, Dunning(5, (1, 4), 9), Dunning(0, (2,)), Dunning(14, (), 20)))
DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("ride"), st.integers(1, 60)),
        st.tuples(st.just("pay"), st.integers(1, 150)),
        st.tuples(st.just("bill"), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 40)),
        st.tuples(st.just("sleep"), st.integers(1, 60)),
        st.tuples(st.just("write off"), st.integers(1, 80)),
        st.tuples(st.just("decide"), st.just(0)),
        st.tuples(st.just("apply"), st.integers(0, 120)),
        st.tuples(st.just("drop"), st.integers(0, 120)),
    ),
    min_size=4,
    max_size=22,
)


def follow(till: Till, deeds: list[tuple[str, int]], policy: TrustPolicy, dunning: Dunning | None) -> None:
    """Do one thing after another; the clock never stands still."""
    for what, much in deeds:
        till.clock.at = till.clock.at.replace(microsecond=till.clock.at.microsecond + 1)
        if what == "ride":
            till.ride(str(much))
        elif what == "pay":
            till.pay(str(much))
        elif what == "bill":
            till.bill_if_due()
        elif what == "wait":
            till.wait(much)
        elif what == "sleep":  # nobody looks for days: a node that was down
            till.pass_days(much)
        elif what == "write off":
            till.tell(WriteOff(1, str(much)))
        elif what == "decide":
            till.tell(SetCredit(1))
        else:
            till.apply(credit=str(much), trust=what == "apply", policy=policy, dunning=dunning)


@settings(max_examples=25, deadline=None)
@given(DEEDS, POLICIES, DUNNING)
def test_books_of_any_payer_prove_themselves(
    deeds: list[tuple[str, int]], policy: TrustPolicy, dunning: Dunning | None
) -> None:
    till = Till(policy=policy, dunning=dunning, credit="40")
    follow(till, deeds, policy, dunning)
    review(till.engine)
    found = stands(till.engine, "acct_00001")
    if found.decision is not None:
        assert found.decision.history == history_of(till.engine, "ada")
        for line in till.of(TrustLine):
            model = till.model(line.decision.model)
            again = decide(line.decision.policy, model, line.decision.history)
            assert again.limit == line.decision.limit
            assert Decimal(line.credit) <= max(Decimal(line.least), Decimal(line.decision.policy.cap))
    moved = {"write-off": Decimal(0), "recovery": Decimal(0)}
    for entry in till.of(Entry):
        if entry.kind in moved:
            moved[entry.kind] += max(Decimal(leg.amount) for leg in entry.legs)
    owed = moved["write-off"] - moved["recovery"]
    assert till.posted("home") == -owed and owed >= 0
    losses = till.of(LossLine)
    assert sum(one.atoms - one.recovered for one in losses[-1].losses) == owed * 10**9 if losses else owed == 0
    assert not owed or till.credit() == 0
    till.proven()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=3, max_size=3), st.integers(2, 30))
def test_many_tiny_payments_buy_no_more_than_one(rides: list[int], parts: int) -> None:
    """What is paid in counts by what was used and paid on time, in however many pieces it comes."""
    lines = []
    for pieces in (1, parts):
        till = Till(credit="0", policy=TrustPolicy("EUR", "100000", starting="100", minimum_months=1))
        for km in rides:
            till.clock.day(10)
            assert till.ride(str(km)).refusal is None
            due = Decimal(till.bill())
            till.clock.day(5)
            for piece in range(pieces):
                till.clock.at = till.clock.at.replace(microsecond=piece + 1)
                cents = due * 100
                till.pay(str((cents * (piece + 1) // pieces - cents * piece // pieces) / 100 or Decimal("0.000000001")))
        lines.append(till.credit())
    assert abs(lines[0] - lines[1]) < Decimal("0.001")
    assert max(lines) <= max(Decimal(100), Decimal(sum(rides)) * 2)
