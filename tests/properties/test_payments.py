"""Whatever comes in whatever order: an account holds what it had and the payments that succeeded, each of them once."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apportion.model.payment import LIVE, EndPayment, PaymentLine, SendPayment
from tests.unit.engine.test_payments import LATER, Till

OUTCOMES = ("succeeded", "failed", "pending", "unknown")
STEPS = st.one_of(
    st.tuples(st.just("wish"), st.integers(0, 0), st.integers(0, 0)),
    st.tuples(st.just("ask"), st.integers(1, 4), st.integers(1, 60)),
    st.tuples(st.just("send"), st.integers(0, 9), st.integers(0, 2)),
    st.tuples(st.sampled_from(OUTCOMES), st.integers(0, 9), st.integers(0, 2)),
    st.tuples(st.just("later"), st.integers(1, 28), st.integers(0, 23)),
)


@pytest.mark.parametrize("limit", ["", "75"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=40))
def test_every_order_of_things_keeps_the_books(
    tmp_path_factory: pytest.TempPathFactory, limit: str, steps: list[tuple[str, int, int]]
) -> None:
    folder: Path = tmp_path_factory.mktemp("till")
    till, made = Till(folder / "books.db"), dict[str, None]()
    till.fund("20", limit)
    month = 11
    for what, first, second in steps:
        lines: list[PaymentLine] = [till.line(id) for id in made]
        if what == "wish":
            found = till.wish()
            made.update({found.id: None} if found is not None else {})
        elif what == "ask":
            outcome = till.ask(str(second), f"r{first}")
            made.update({outcome.id: None} if outcome.refusal is None else {})
        elif what == "later":
            month += second == 0 and month < 12
            till.clock.at = max(till.clock.at, f"2026-{month}-{first:02}T{second:02}:00:00.000000Z")
        elif lines:
            line = lines[first % len(lines)]
            n = max(1, line.n - second)  # what somebody knew of it a while ago
            if what == "send":
                till.tell(SendPayment(line.id, n, LATER))
            else:
                till.tell(EndPayment(line.id, n, what, line.amount, "EUR", due=LATER))
    lines = [till.line(id) for id in made]
    paid = sum(Decimal(line.amount) for line in lines if line.state == "succeeded")
    assert Decimal(till.posted) == 5 + paid
    assert sum(line.state in LIVE for line in lines) <= 1
    for month_ in {line.requested[:7] for line in lines}:
        counted = [Decimal(x.amount) for x in lines if x.requested[:7] == month_ and x.state != "failed"]
        assert not limit or sum(counted) <= Decimal(limit)
    assert till.proven() == []
    till.engine.close()
