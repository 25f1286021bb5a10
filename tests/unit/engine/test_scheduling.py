"""The schedule on books with a clock that stands where it is put: what is due is done once, in order, by the books."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from apportion.engine import billing
from apportion.engine.scheduling.due import Found
from apportion.engine.scheduling.running import Running
from apportion.engine.scheduling.standing import Standing
from apportion.engine.settling.payees import put_payee
from apportion.engine.settling.standing import last_run, last_settlement, positions_of
from apportion.model.calendar import Calendar
from apportion.model.card import AskCard, EndCard
from apportion.model.ids import number_id, read_number
from apportion.model.party import Payer
from apportion.model.payee import Payee
from apportion.model.payment import EndPayment, PaidLine, PaymentLine, SendPayment
from apportion.model.schedule import Schedule
from apportion.wiring import open_payments
from tests.book import catalog, ride, usages
from tests.levelling import Levelling, agreed, market
from tests.settling import IBAN, Counting

MONTHLY = Schedule(close="1d", statements="2d", settle="month", settle_after="3d", mode="multilateral", payout="file")


class Books(Counting):
    """Books with a schedule, and those who run it."""

    def __init__(self, path: Path, schedule: Schedule = MONTHLY, **payers: Payer) -> None:
        super().__init__(path)
        given = catalog(credit="100000")
        self.engine.apply(replace(given, schedule=schedule, payers={**given.payers, **payers}))
        self.keep_payees()
        self.running = Running(crash=_raise)

    def at(self, instant: str) -> list[str]:
        """Put the clock there, and do what is due."""
        self.clock.at = f"{instant}.000000Z"
        return self.running.run(self.engine)

    def person(self, name: str) -> str:
        """The opaque name of a payer."""
        return f"pty_{self.store.handles(self.engine.tenant, [name])[name]:05}"

    def number(self, payer: str) -> int:
        return read_number(self.account(payer))

    def paid(self) -> list[PaymentLine]:
        """ada's payments, newest first."""
        found: list[PaymentLine] = []
        known = self.store.courses(1, [number_id("paid", self.number("ada"))])
        id = next((msgspec.json.decode(one.line, type=PaidLine).last for one in known.values()), "")
        while id:
            found.append(msgspec.json.decode(self.store.courses(1, [id])[id].line, type=PaymentLine))
            id = found[-1].previous
        return found

    def pay(self, outcome: str) -> None:
        """What the processor says of the newest payment."""
        line = self.paid()[0]
        assert not self.tell(SendPayment(line.id, line.n, "2099-01-01T00:00:00Z", "http")).refusal
        assert not self.tell(EndPayment(line.id, line.n + 1, outcome, line.amount, "EUR", f"ch_{line.id}")).refusal

    def closed(self) -> set[str]:
        return {period for period, _ in self.store.closed_periods(self.engine.tenant)}

    def documents(self) -> tuple[Any, ...]:
        """Everything that went out, without the instants and ids that follow from them."""
        lines = billing.listing(self.engine)
        settled = [
            (line.number, line.payable, [(one.debtor, one.creditor, one.amount) for one in line.payments],
             [(one.account, one.credited, one.payable) for one in positions_of(self.store, self.engine.tenant, line)],
             [(part.creditor, part.amount, part.batch) for part in self.payouts(line)])
            for line in last_run(self.engine)
        ]  # fmt: skip
        return [(one.number, one.account, one.period, one.total, one.closing) for one in lines], settled


def _raise(job: str, error: BaseException) -> None:
    raise AssertionError(job) from error


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    made = Books(tmp_path / "books.db")
    made.engine.charge(usages(60))
    yield made
    made.engine.close()


def test_a_month_is_closed_billed_settled_and_paid_out_each_at_its_time_and_once(books: Books) -> None:
    assert books.at("2026-12-01T23:59:59") == [] and books.closed() == set()
    assert books.at("2026-12-02T00:00:00") == ["close"] and books.closed() == {"2026-11"}
    assert books.at("2026-12-02T23:59:59") == [] and billing.listing(books.engine) == []
    assert books.at("2026-12-03T00:00:00") == ["statements"]
    issued = billing.listing(books.engine)
    assert [(one.number, one.kind, one.period) for one in issued] == [
        (f"S-{n:06}", "statement", "2026-11") for n in range(1, 6)
    ]
    assert books.at("2026-12-03T23:59:59") == []
    assert books.at("2026-12-04T00:00:00") == ["settle", "payout"]
    line = last_settlement(books.engine)
    assert line is not None and line.mode == "multilateral" and line.previous == ""
    assert {one.by for one in books.payouts(line)} == {"file"} and len(books.payouts(line)) == 4
    before = books.store.head(books.engine.tenant, 0)
    for node in (books.running, Running(crash=_raise)):
        assert node.run(books.engine) == [] and books.store.head(books.engine.tenant, 0) == before
    assert books.proven() == []


def test_each_payer_is_closed_and_billed_by_its_own_calendar(tmp_path: Path) -> None:
    weekly = Payer("ben", "EUR", credit="1000", calendar=Calendar("America/New_York", "week"))
    books = Books(tmp_path / "books.db", Schedule(close="0s", statements="1h"), ben=weekly)
    books.engine.charge(usages(60))
    assert books.at("2026-11-23T04:59:59") == [], "Sunday night in New York"
    assert books.at("2026-11-23T05:00:00") == ["close"] and books.closed() == {"2026-W47"}
    assert books.at("2026-11-23T06:00:00") == ["statements"]
    assert {(one.period, one.party) for one in billing.listing(books.engine)} == {("2026-W47", books.person("ben"))}
    assert books.at("2026-12-01T00:00:00") == ["close"] and books.closed() == {"2026-W47", "2026-11"}
    assert books.at("2026-12-01T01:00:00") == ["statements"]
    found = [(one.kind, one.period) for one in billing.listing(books.engine)]
    assert len(found) == len(set(zip(found, [one.account for one in billing.listing(books.engine)], strict=True)))
    assert ("remittance", "2026-11") in found, "without settlements providers get advices by the catalog's months"
    assert books.proven() == []
    books.engine.close()


def test_whoever_stops_between_any_two_steps_leaves_the_rest_to_be_done_once(tmp_path: Path) -> None:
    def run(stops: int) -> tuple[Any, ...]:
        """Do all, but forget everything after so many steps."""
        books = Books(tmp_path / f"books-{stops}.db")
        books.engine.charge(usages(60))
        books.clock.at = "2026-12-05T00:00:00.000000Z"
        running, steps = Running(crash=_raise), 0
        while (found := running.look(books.engine)) is not None:
            for act in found.acts:
                act(books.engine)
                steps += 1
                if steps == stops:
                    running = Running(crash=_raise)
                    break
            else:
                running.ended(found)
        assert books.proven() == [] and Running(crash=_raise).run(books.engine) == []
        made = books.documents()
        books.engine.close()
        return steps, made

    steps, calm = run(0)
    assert steps == 5, "close, true up, issue, settle, order"
    assert [run(stop) for stop in range(1, steps)] == [(steps, calm)] * (steps - 1)


def test_a_settlement_waits_for_its_time_though_nothing_was_settled_before(tmp_path: Path) -> None:
    books = Books(tmp_path / "books.db", Schedule(settle="7d"))
    assert books.at("2026-11-20T10:00:00") == [], "nobody earned anything before Monday"
    books.ride(3)
    assert books.at("2026-11-20T10:00:01") == [] and Running(crash=_raise).run(books.engine) == []
    assert books.at("2026-11-22T23:59:59") == []
    assert books.at("2026-11-23T00:00:00") == ["settle"]
    books.ride(2)
    for instant in ("2026-11-23T00:00:00", "2026-11-29T23:59:59"):
        assert books.at(instant) == [] and Running(crash=_raise).run(books.engine) == []
    assert books.at("2026-12-14T07:00:00") == ["settle"], "two Mondays late"
    assert books.at("2026-12-20T23:59:59") == []
    books.engine.close()


def test_every_second_is_a_period_and_a_settlement(tmp_path: Path) -> None:
    short = Payer("ada", "EUR", credit="1000", calendar=Calendar(cycle="seconds", seconds=1))
    schedule = Schedule(close="0s", statements="0s", settle="1s", mode="net", payout="transfer")
    books = Books(tmp_path / "books.db", schedule, ada=short)
    moment = datetime.fromisoformat("2026-11-20T10:00:00Z")
    for n in range(1, 6):
        books.clock.at = (moment + timedelta(seconds=n)).isoformat(timespec="microseconds").replace("+00:00", "Z")
        assert books.running.run(books.engine) == ([] if n == 1 else ["statements", "settle", "payout"])
        start = moment + timedelta(seconds=n, microseconds=5)
        assert not books.engine.charge([replace(ride(n), start=start, end=None)])[0].refusal
    kinds = [one.kind for one in billing.listing(books.engine)]
    assert kinds.count("statement") == 4 and kinds.count("remittance") == 8
    assert books.proven() == []
    books.engine.close()


def test_what_can_not_be_paid_waits_and_is_ordered_once_somebody_says_where_to(books: Books) -> None:
    put_payee(books.engine, "otto", Payee())
    books.at("2026-12-05T00:00:00")
    line = last_settlement(books.engine)
    assert line is not None and books.account("otto") not in {one.creditor for one in books.payouts(line)}
    view = {one.job: one for one in Standing(books.engine).view().jobs}
    assert view["payout"].waits == ("otto: it is not known where it has its money",) and view["settle"].state == "done"
    put_payee(books.engine, "otto", Payee("Otto", IBAN["otto"]))
    books.running = Running(crash=_raise)
    assert books.at("2026-12-05T00:00:01") == ["payout"] and Running(crash=_raise).run(books.engine) == []
    made = {one.creditor: one for one in books.payouts(line) if not one.debtor}
    assert {one.batch for one in made.values()} == {1, 2} and made[books.account("otto")].batch == 2
    assert not books.end(made[books.account("otto")].id, "failed").refusal
    assert Running(crash=_raise).run(books.engine) == [], "what came back is for a person"


def test_what_breaks_keeps_nothing_else_from_its_turn_and_is_tried_again(books: Books) -> None:
    told: list[tuple[str, BaseException]] = []
    books.ride(payer="zoe")
    running = Running(crash=lambda job, error: told.append((job, error)))
    books.clock.at = "2026-12-05T00:00:00.000000Z"
    error = ArithmeticError("a close that broke")
    running.ended(Found("close", ()), error)
    assert told == [("schedule close", error)] and running.troubles["close"].times == 1
    assert "close" not in running.run(books.engine) and last_settlement(books.engine) is not None
    assert {one.kind for one in billing.listing(books.engine)} == {"statement", "remittance"}, (
        "those that need no close"
    )
    books.engine.running = running
    view = {one.job: one for one in Standing(books.engine).view().jobs}
    assert view["close"].state == "trouble" and "ArithmeticError" in view["close"].waits[-1]
    running.troubles["close"].again = 0.0
    assert running.run(books.engine)[:2] == ["close", "statements"] and "close" not in running.troubles
    assert books.closed() == {"2026-11"} and books.proven() == []


def test_the_view_says_when_each_job_last_ran_and_runs_next(books: Books) -> None:
    books.at("2026-12-05T12:00:00")
    view = {one.job: one for one in Standing(books.engine).view().jobs}
    assert [(view[job].state, view[job].last[:10], view[job].next) for job in ("close", "statements", "settle")] == [
        ("done", "2026-12-05", "2027-01-02T00:00:00Z"), ("done", "2026-12-05", "2027-01-03T00:00:00Z"),
        ("done", "2026-12-05", "2027-01-04T00:00:00Z"),
    ]  # fmt: skip
    assert view["charge"].state == "off" and view["settle"].how == "each month, 3d after it began, multilateral"
    assert {"holds", "credit", "stock", "sessions", "payments"} <= view.keys()
    books.engine.apply(catalog(credit="100000"))
    assert {one.state for one in Standing(books.engine).view().jobs if one.job in ("close", "settle")} == {"off"}
    assert Running(crash=_raise).run(books.engine) == []


def test_a_statement_is_charged_to_the_saved_card_at_each_time_until_it_is_paid(tmp_path: Path) -> None:
    books = Books(tmp_path / "books.db", Schedule(statements="0s", charge=("0d", "3d", "7d")))
    books.ride(2)
    books.ride(1, payer="zoe")
    books.engine.payments = open_payments("http://127.0.0.1:1", private=True)  # nobody is asked here
    assert not books.tell(AskCard("crd_" + "7" * 32, books.number("ada"), "http", "{}", books.clock.at)).refusal
    assert books.at("2026-12-01T00:00:00") == ["statements"], "nobody has a card yet"
    assert not books.tell(EndCard("crd_" + "7" * 32, 1, "saved", "tok_ok")).refusal
    books.running = Running(crash=_raise)
    assert books.at("2026-12-01T00:00:01") == ["charge"] and Running(crash=_raise).run(books.engine) == []
    assert books.paid()[0].amount == "18.460000000" and books.paid()[0].cause.startswith("stm_")
    books.pay("failed")
    for instant, found in (("2026-12-03T23:59:59", []), ("2026-12-04T00:00:00", ["charge"])):
        books.running = Running(crash=_raise)
        assert books.at(instant) == found
    both = [books.paid()[0], books.paid()[1]]
    assert [one.cause for one in both] == [both[1].cause + "/2", both[1].cause]
    books.running = Running(crash=_raise)
    assert books.at("2026-12-09T00:00:00") == [], "it is under way"
    books.pay("succeeded")
    books.running = Running(crash=_raise)
    assert books.at("2026-12-10T00:00:00") == [] and len(books.paid()) == 2 and books.proven() == []
    books.engine.close()


def test_an_attempt_that_was_made_meanwhile_is_not_made_again(tmp_path: Path) -> None:
    books = Books(tmp_path / "books.db", Schedule(statements="0s", charge=("0d",)))
    books.ride()
    books.engine.payments = open_payments("http://127.0.0.1:1", private=True)
    books.tell(AskCard("crd_" + "7" * 32, books.number("ada"), "http", "{}", books.clock.at))
    books.tell(EndCard("crd_" + "7" * 32, 1, "saved", "tok_ok"))
    books.at("2026-11-30T00:00:00")
    books.clock.at = "2026-12-01T00:00:00.000000Z"
    issued, one, other = books.running.look(books.engine), Running(crash=_raise), Running(crash=_raise)
    assert issued is not None and issued.job == "statements"
    issued.acts[0](books.engine)
    found = [one.look(books.engine), other.look(books.engine)]
    assert [it.job for it in found if it is not None] == ["charge", "charge"], "both nodes find it"
    for it in found:
        assert it is not None
        it.acts[0](books.engine)
        if it is found[0]:
            books.pay("failed")
    assert len(books.paid()) == 1, "the second attempt is for another day"
    books.engine.close()


def test_levels_are_measured_when_a_period_is_closed_and_stand_on_its_statement(tmp_path: Path) -> None:
    books = Levelling(tmp_path / "books.db", agreed(), running=True)
    given = replace(market(agreed(), running=True), schedule=Schedule(close="1d", levels="2d", statements="3d"))
    books.engine.apply(given)
    books.call(count=3)
    books.call("failed", count=2)
    running, found = Running(crash=_raise), list[list[str]]()
    for day in ("01", "02", "03", "04", "05"):
        books.clock.at = f"2026-11-{day}T00:00:00.000000Z"
        found.append(running.run(books.engine))
    assert found[1][0] == "close" and found[2:] == [["levels"], ["statements"], []], found
    head = books.store.head(books.engine.tenant, 0)
    assert "close" not in Running(crash=_raise).run(books.engine) and books.store.head(books.engine.tenant, 0) == head
    (level,) = books.levels().values()
    assert (level.state, level.at[:10]) == ("credited", "2026-11-03") and Decimal(level.credit) > 0
    (account,) = [one for one in books.engine.books.accounts() if one.owner == "ada" and one.role == "payer"]
    (line,) = [one for one in billing.listing(books.engine) if one.account == account.id]
    assert Decimal(line.charges) == -Decimal(account.posted), "the credit is on it"
    books.engine.close()
