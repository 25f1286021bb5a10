"""Issuing: once and for ever, period after period, late usage with the next one, gone with a forgotten person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from apportion.engine.billing import find, issue, listing
from apportion.engine.engine import Engine
from apportion.errors import RefusalCode, Refused
from apportion.model.statement import Remittance, Statement
from apportion.model.usage import PayerUse, Usage
from apportion.wiring import open_engine
from tests.book import catalog


@pytest.fixture
def engine() -> Iterator[Engine]:
    with open_engine(":memory:") as found:
        found.apply(catalog())
        yield found


def ride(number: int, month: int, km: str = "6.4") -> Usage:
    start = datetime(2024, month, 10, 8, number, tzinfo=UTC)
    return Usage("m", f"r{number}", "ride", start, None, (PayerUse("ada"),), (), {"km": km, "minutes": "18"})


def power(number: int, month: int) -> Usage:
    start = datetime(2024, month, 10, 8, number, tzinfo=UTC)
    return Usage("m", f"p{number}", "power", start, None, (PayerUse("eve"),), (), {"kwh": "12"})


def test_every_period_gets_its_own_statement_and_the_residue_goes_on(engine: Engine) -> None:
    engine.charge([ride(1, 3), ride(2, 4, "1.1")])
    march, april = [d for d in issue(engine, who="ada") if isinstance(d, Statement)]
    assert (march.period, march.number, april.period, april.number) == ("2024-03", "S-000001", "2024-04", "S-000002")
    assert april.residue_in == march.residue_out and april.brought == march.balance
    assert march.received[0].kind == "opening" and april.received == ()


def test_the_same_again_is_the_same(engine: Engine) -> None:
    engine.charge([ride(1, 3)])
    first = issue(engine, "2024-03")
    rows = engine.store.head(engine.tenant, 0)
    assert issue(engine, "2024-03") == first and engine.store.head(engine.tenant, 0) == rows
    assert {type(one) for one in first} == {Statement, Remittance}


def test_late_usage_is_billed_with_the_next_period(engine: Engine) -> None:
    engine.charge([ride(1, 3)])
    before = issue(engine, "2024-03", "ada")
    engine.charge([ride(2, 3), ride(3, 2)])
    assert issue(engine, "2024-03", "ada") == before
    late = issue(engine, "2024-04", "ada")[0]
    assert isinstance(late, Statement) and late.sections[0].uses == 2


def test_earlier_periods_come_first(engine: Engine) -> None:
    engine.charge([ride(1, 3), ride(2, 4), ride(3, 5)])
    assert [d.period for d in issue(engine, "2024-04", "ada")] == ["2024-04"]
    assert [line.period for line in listing(engine, "ada")] == ["2024-03", "2024-04"]


def test_running_totals_are_closed_first(engine: Engine) -> None:
    engine.charge([power(1, 3)])
    with pytest.raises(Refused) as refused:
        issue(engine, "2024-03", "eve")
    assert refused.value.refusal.code is RefusalCode.PERIOD_OPEN
    engine.close_period("2024-03")
    assert issue(engine, "2024-03", "eve")[0].period == "2024-03"


def test_a_period_that_has_not_ended_waits(engine: Engine) -> None:
    now = datetime.now(UTC)
    engine.charge([Usage("m", "x", "ride", now, None, (PayerUse("ada"),), (), {"km": "1", "minutes": "1"})])
    with pytest.raises(Refused) as refused:
        issue(engine, who="ada")
    assert refused.value.refusal.code is RefusalCode.PERIOD_OPEN


def test_found_by_number_and_by_id(engine: Engine) -> None:
    engine.charge([ride(1, 3)])
    for document in issue(engine):
        assert find(engine, document.number) == find(engine, document.id) == document
    for name in ("S-000009", "stm_nothing", "stm_" + "0" * 32, "x"):
        with pytest.raises(Refused):
            find(engine, name)
    with pytest.raises(Refused):
        issue(engine, who="nobody")


def test_a_forgotten_person_takes_the_document_along(engine: Engine) -> None:
    engine.charge([ride(1, 3)])
    number = next(d.number for d in issue(engine) if isinstance(d, Statement))
    engine.forget("ada")
    with pytest.raises(Refused):
        find(engine, number)
    assert all(isinstance(document, Remittance) for document in issue(engine))
    assert number in [line.number for line in listing(engine)]
