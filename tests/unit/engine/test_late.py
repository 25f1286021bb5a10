"""Late usage counts in the payer's first open period; the next statement shows it, and verify knows it from fraud."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.engine.late import possible_periods
from apportion.errors import RefusalCode
from apportion.model.calendar import Calendar, period_of
from apportion.model.catalog import Catalog
from apportion.model.party import UnknownPayers
from apportion.model.usage import UsageClass
from apportion.stages.statement import as_text
from tests.adjusting import Books, power
from tests.book import catalog, ride


def period_of_charge(books: Books, charge: str) -> str:
    return books.engine.books.record(charge).usage.period


def test_a_late_record_counts_in_the_first_open_period_and_is_marked_on_the_next_statement(tmp_path: Path):
    """9 kWh at 0.3 and the rest at 0.2 in each month: 6 + 6 in November are 2.7 + 0.6, whichever came first."""
    books = Books(tmp_path / "b.db")
    books.now("10-31")
    books.charge(power(1, "4", "10-20"))
    books.now("11-02")
    assert books.engine.close_period("2026-10").accounts == 1
    first = books.statement("2026-10")
    assert Decimal(first.total) == Decimal("3.20")  # 4 × 0.3 and 2 for the meter
    late = books.charge(power(2, "6", "10-21"))[0]
    assert late.state is UsageClass.CHARGED and period_of_charge(books, late.id) == "2026-11"
    assert books.charge(power(2, "6", "10-21"))[0].state is UsageClass.DUPLICATE
    own = books.charge(power(3, "6", "11-01"))[0]
    assert period_of_charge(books, own.id) == "2026-11"
    books.now("12-01")
    books.engine.close_period("2026-11")
    second = books.statement("2026-11")
    assert Decimal(second.total) == Decimal("5.30")  # 2.7 + 0.6 and the meter
    section = next(one for one in second.sections if one.service == "power")
    assert (section.uses, section.late) == (2, 1)
    assert "2 uses, 1 used earlier" in as_text(second)
    assert all(one.late == 0 for one in first.sections) and b"late" not in msgspec.json.encode(first)
    assert books.proven() == []


def test_it_goes_on_to_the_period_that_is_open_and_waits_when_even_the_present_one_is_closed(tmp_path: Path):
    books = Books(tmp_path / "b.db")
    books.now("11-20")
    books.charge(power(1, "4", "09-20"), power(2, "4", "10-20"), power(3, "4", "11-10"))
    books.engine.close_period("2026-09")
    books.engine.close_period("2026-10")
    assert period_of_charge(books, books.charge(power(4, "1", "09-21"))[0].id) == "2026-11"
    books.engine.close_period("2026-11", force=True)
    waits = books.charge(power(5, "1", "10-21"))[0]
    assert waits.state is UsageClass.PENDING and waits.refusal is not None
    assert waits.refusal.code is RefusalCode.PERIOD_CLOSED
    books.now("12-02")
    assert books.engine.run([]).settled == 1  # what waited from before is charged by the next run
    assert books.store.pending(books.engine.tenant, 10) == []
    assert period_of_charge(books, "chg" + waits.id[3:]) == "2026-12"
    assert books.proven() == []


def test_another_payer_s_closed_period_is_not_ours(tmp_path: Path):
    books = Books(tmp_path / "b.db")
    books.now("11-20")
    books.charge(power(1, "4", "10-20"))
    books.engine.close_period("2026-10")
    found = books.charge(power(2, "4", "10-21", "ben"))[0]
    assert period_of_charge(books, found.id) == "2026-10"
    books.engine.close_period()
    books.now("12-01")
    assert Decimal(books.statement("2026-10", "ben").total) == Decimal("3.20")


def test_what_is_given_back_late_needs_something_to_be_given_back_of(tmp_path: Path):
    books = Books(tmp_path / "b.db")
    books.now("11-20")
    books.charge(power(1, "4", "10-20"))
    books.engine.close_period("2026-10")
    refused = books.charge(power(2, "-1", "10-20"))[0]
    assert refused.state is UsageClass.REJECTED and refused.refusal is not None
    assert refused.refusal.code is RefusalCode.BAD_QUANTITY and "correct its charge" in refused.refusal.fix
    books.charge(power(3, "2", "11-02"))
    again = books.charge(power(2, "-1", "10-20"))[0]
    assert again.state is UsageClass.CHARGED and books.proven() == []


def bounded(days: int) -> Catalog:
    made = catalog(credit="100000")
    service = msgspec.structs.replace(made.services["ride"], late_days=days)
    return msgspec.structs.replace(made, services=made.services | {"ride": service})


def test_a_service_may_take_nothing_that_is_older_than_so_many_days(tmp_path: Path):
    """The ride ends at 08:23 on the 16th; 30 days later it is taken, and a minute after that no more."""
    books = Books(tmp_path / "b.db", bounded(30))
    books.clock.at = "2026-12-16T08:23:00.000000Z"
    assert books.charge(ride(0, "ada"))[0].state is UsageClass.CHARGED
    books.clock.at = "2026-12-16T08:24:01.000000Z"
    assert books.charge(ride(0, "ada"))[0].state is UsageClass.DUPLICATE
    before = books.posted()
    late = books.charge(ride(-1, "ada"))[0]
    assert late.state is UsageClass.REJECTED and late.refusal is not None
    assert (late.refusal.code, late.refusal.field) == (RefusalCode.BAD_TIME, "end")
    assert "30 days" in late.refusal.message and books.posted() == before
    books.engine.apply(bounded(31))
    assert books.charge(ride(-1, "ada"))[0].state is UsageClass.CHARGED
    assert books.proven() == []


def test_what_waits_for_value_came_in_time(tmp_path: Path):
    books = Books(tmp_path / "b.db", bounded(30))
    assert books.charge(ride(0, "poor"))[0].state is UsageClass.PENDING
    books.clock.at = "2027-02-16T08:23:00.000000Z"
    books.engine.top_up("poor", "100", "EUR", "t")
    assert books.engine.run([]).settled == 1
    assert books.charge(ride(0, "poor"))[0].state is UsageClass.DUPLICATE


@pytest.mark.parametrize("change", [(b'"period":"2026-11"', b'"period":"2026-12"'), (b'"2026-11"', b'"2026-10"')])
def test_a_record_in_a_period_that_is_not_its_own_is_found(tmp_path: Path, change: tuple[bytes, bytes]):
    """An insider moves a use out of its open month into the next one, or into one that is closed."""
    from tests.forging import edited, exported, rehash, verified

    path = tmp_path / "b.db"
    books = Books(path)
    books.now("11-20")
    books.charge(power(1, "4", "10-20"))
    books.engine.close_period("2026-10")
    books.charge(power(2, "4", "11-03"))
    books.engine.writer.seal()
    books.engine.close()
    lines = exported(path)
    at = next(n for n, line in enumerate(lines) if b'"id":"p2"' in line and b'"type":"usage"' in line)
    codes = {one.code for one in verified(rehash(edited(lines, at, lambda line: line.replace(*change)))).findings}
    assert ("period" if b"12" in change[1] else "closed") in codes


CALENDARS = st.one_of(
    st.builds(
        Calendar, st.sampled_from(["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"]), anchor_day=st.integers(1, 31)
    ),
    st.builds(Calendar, zone=st.just("Asia/Tokyo"), cycle=st.just("week"), anchor_day=st.integers(1, 7)),
    st.builds(Calendar, zone=st.just("America/Lima"), cycle=st.just("custom"), days=st.integers(1, 400)),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(CALENDARS, st.datetimes(datetime(2001, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_a_use_s_own_period_is_always_possible(calendar: Calendar, start: datetime):
    key = period_of(calendar, start).key
    assert key in set(possible_periods(key, start))


ROWS = st.lists(
    st.tuples(st.sampled_from(["ada", "ben"]), st.decimals("0.001", "9.999", places=3).map(str), st.integers(1, 28)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(ROWS, ROWS, st.randoms(use_true_random=False))
def test_late_records_in_any_order_come_to_what_the_later_period_would_have_charged(late, own, chance: random.Random):
    """October's late uses and November's own, shuffled, are what November alone would come to with all of them."""
    daily = UnknownPayers("EUR", credit="100000")
    made = msgspec.structs.replace(catalog(credit="100000"), unknown_payers=daily)

    def charged(first: str, shuffle: bool) -> dict[tuple[str, str], Decimal]:
        books = Books(Path(":memory:"), made)
        books.now("11-01")
        if first == "10":
            books.charge(*(power(900 + n, "1", "10-05", who) for n, who in enumerate(("ada", "ben"))))
            books.engine.close_period("2026-10")
        before = books.posted()
        books.now("12-05")
        records = [power(n, kwh, f"{first}-{day:02}", who) for n, (who, kwh, day) in enumerate(late)]
        records += [power(100 + n, kwh, f"11-{day:02}", who) for n, (who, kwh, day) in enumerate(own)]
        if shuffle:
            chance.shuffle(records)
        for record in records:
            assert books.charge(record)[0].state is UsageClass.CHARGED
        books.engine.close_period()
        assert books.proven() == []
        return {key: amount - before.get(key, Decimal(0)) for key, amount in books.posted().items()}

    found, wanted = charged("10", True), charged("11", False)
    rounding = Decimal("0.000000005")  # a few atoms lie elsewhere: the records come in another order
    assert all(abs(found[key] - wanted[key]) <= rounding for key in wanted)
