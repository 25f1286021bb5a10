"""Payments in the commit loop: made once, one at a time, within the limit, and worth their amount exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from apportion.adapters.outside import KeyFile, SystemRandom, signature_holds
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.engine import Engine
from apportion.engine.funding.purse import move_funding
from apportion.engine.payments.decision import METHOD, order, payment_of, request
from apportion.engine.verify.stored import verify_store
from apportion.engine.verify.verdict import Outside
from apportion.errors import Refused
from apportion.model.account import Account
from apportion.model.command import Outcome
from apportion.model.funding import FundingLine
from apportion.model.ids import number_id
from apportion.model.payment import EndPayment, PaymentLine, RequestPayment, SendPayment, check_method
from apportion.money import Money
from tests.book import catalog

LATER = "2026-11-20T10:00:30.000000Z"


class Watch:
    """A clock that stands where it is put."""

    at = "2026-11-20T10:00:00.000000Z"

    def now(self) -> str:
        return self.at


class Till:
    """Books with one payer, ada, who has 5.00 EUR, and a funding that a test chooses."""

    def __init__(self, path: Path) -> None:
        self.clock = Watch()
        self.store = SqliteStore(str(path))
        self.engine = Engine(self.store, "main", (self.clock, SystemRandom(), KeyFile(None)), lambda line: None)
        self.engine.apply(catalog(credit="0"))
        self.ada = next(a for _, a in self.store.all_accounts(self.engine.tenant) if a.party == 1)

    def fund(self, topup: str = "20", limit: str = "") -> None:
        """Say what a payment fetches for ada."""
        work = self.engine.writer.work()
        line = FundingLine(
            id=number_id("fund", self.ada.id), account=self.ada.public, at=self.clock.at, topup=topup,
            topup_limit=limit,
        )  # fmt: skip
        work.append(move_funding(work, line))
        self.engine.writer.land(work)

    def wish(self, atoms: int = 0, cause: str = "auto", method: str = "") -> PaymentLine | None:
        """``request`` in a group of its own."""
        work = self.engine.writer.work()
        found = request(work, work.numbered(self.ada.id), atoms, cause, method)
        if work.writes.journal:
            self.engine.writer.land(work)
        return found

    def ask(self, amount: str = "20", reference: str = "r", method: str = "tok_ok") -> Outcome:
        """RequestPayment through the commit loop."""
        return self.tell(RequestPayment("ada", amount, "EUR", reference, method))

    def tell(self, command: object) -> Outcome:
        return self.engine.writer.commit([command])[0]

    def send(self, line: PaymentLine) -> PaymentLine:
        assert self.tell(SendPayment(line.id, line.n, LATER)).refusal is None
        return self.line(line.id)

    def end(self, line: PaymentLine, outcome: str, reason: str = "") -> Outcome:
        return self.tell(EndPayment(line.id, line.n, outcome, line.amount, "EUR", "ch_1", reason, LATER))

    def line(self, id: str) -> PaymentLine:
        found = payment_of(self.engine.writer.work(), id)
        assert found is not None
        return found

    @property
    def posted(self) -> str:
        account: Account = self.store.accounts(self.engine.tenant, [self.ada.id])[self.ada.id]
        return Money(account.posted, self.engine.books.asset("EUR")).text()[:-7]

    def proven(self) -> list[str]:
        """What verify finds."""
        self.engine.writer.seal()
        verdict = verify_store(self.store, self.engine.tenant, "main", Outside(signature_holds, prefix_ok=True))
        return [finding.code for finding in verdict.findings]


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    made = Till(tmp_path / "books.db")
    yield made
    made.engine.close()


def made(line: PaymentLine | None) -> PaymentLine:
    assert line is not None
    return line


def test_a_payment_brings_its_amount_when_the_processor_says_so_and_once(till: Till) -> None:
    till.fund("20")
    line = made(till.wish())
    assert (line.state, line.amount[:-7], till.posted) == ("created", "20.00", "5.00")
    sent = till.send(line)
    assert (sent.state, sent.tries, sent.due, till.posted) == ("sent", 1, LATER, "5.00")
    assert till.end(sent, "succeeded").refusal is None
    assert (till.line(line.id).state, till.line(line.id).reference, till.posted) == ("succeeded", "ch_1", "25.00")
    assert till.end(sent, "succeeded").refusal is not None
    assert till.end(till.line(line.id), "failed").refusal is not None
    assert till.posted == "25.00"
    entry = next(e for e in till.engine.books.entries(till.ada.public) if e.cause == line.id)
    assert (entry.kind, entry.id) == ("topup", "ent" + line.id[3:])
    assert till.proven() == []


def test_an_unknown_outcome_is_neither_paid_nor_failed_and_adds_no_headroom(till: Till) -> None:
    till.fund("20")
    sent = till.send(made(till.wish()))
    assert till.end(sent, "unknown", "lost").refusal is None
    unknown = till.line(sent.id)
    assert (unknown.state, unknown.asked, unknown.reason, till.posted) == ("unknown", 1, "lost", "5.00")
    assert made(till.wish()).id == sent.id  # it is still under way: nothing else is fetched
    late = till.tell(EndPayment(sent.id, unknown.n, "unknown", due=LATER, late=True))
    assert late.refusal is None and till.line(sent.id).late == till.clock.at
    assert till.end(sent, "succeeded").refusal is None  # an outcome counts whoever brings it
    assert till.posted == "25.00" and till.proven() == []


def test_who_sends_first_wins(till: Till) -> None:
    till.fund()
    line = made(till.wish())
    first, second = till.engine.writer.commit([SendPayment(line.id, line.n, LATER)] * 2)
    assert first.refusal is None and second.refusal is not None
    assert till.line(line.id).tries == 1
    assert till.end(line, "unknown").refusal is not None  # told of the line before it was sent
    assert till.line(line.id).state == "sent" and till.proven() == []


def test_without_leave_nothing_is_fetched(till: Till) -> None:
    assert till.wish(100) is None
    assert till.wish(10**9, method="tok_ok") is not None
    assert till.proven() == []


def test_the_stored_method_needs_the_funding_to_say_so(till: Till) -> None:
    refused = till.ask(method="").refusal
    assert refused is not None and refused.field == "method"
    till.fund()
    assert till.ask(method="").refusal is None and till.proven() == []


def test_one_cause_makes_one_payment_for_ever(till: Till) -> None:
    first, again = till.engine.writer.commit([RequestPayment("ada", "20", "EUR", "r", "tok_ok")] * 2)
    assert first.id == again.id and first.refusal is None and again.refusal is None
    other = till.ask("21").refusal
    assert other is not None and other.code.value == "conflict" and other.field == "reference"
    till.end(till.send(till.line(first.id)), "succeeded")
    assert till.ask().id == first.id and till.posted == "25.00" and till.proven() == []


def test_two_causes_at_once_make_one_payment(till: Till) -> None:
    commands = [RequestPayment("ada", "20", "EUR", reference, "tok_ok") for reference in ("a", "b")]
    first, second = till.engine.writer.commit(commands)
    assert first.refusal is None and second.refusal is not None and second.refusal.code.value == "conflict"


def test_the_limit_of_a_month_counts_what_succeeded_and_what_is_under_way(till: Till) -> None:
    till.fund("20", limit="50")
    till.end(till.send(made(till.wish())), "succeeded")
    till.end(till.send(made(till.wish())), "failed", "declined")
    assert till.ask("30.01").refusal is not None
    explicit = till.ask("30")
    assert explicit.refusal is None
    till.end(till.send(till.line(explicit.id)), "succeeded")
    refused = till.ask("0.01", "s").refusal
    assert refused is not None and refused.code.value == "payment_limit" and till.wish() is None
    till.clock.at = "2026-12-01T00:00:00.000000Z"
    assert made(till.wish()).state == "created" and till.posted == "55.00" and till.proven() == []


def test_after_a_failure_nothing_is_fetched_unasked_until_an_hour_or_a_change(till: Till) -> None:
    till.fund()
    till.end(till.send(made(till.wish())), "failed", "declined")
    assert till.wish() is None and till.posted == "5.00"
    till.clock.at = "2026-11-20T10:00:01.000000Z"
    till.fund()
    till.clock.at = "2026-11-20T10:00:02.000000Z"
    again = made(till.wish())
    till.end(till.send(again), "failed", "declined")
    till.clock.at = "2026-11-20T10:30:00.000000Z"
    assert till.wish() is None
    till.clock.at = "2026-11-20T11:00:02.000000Z"
    assert made(till.wish()).previous == again.id and till.proven() == []


def test_amounts_are_whole_minor_units(till: Till) -> None:
    till.fund()
    refused = till.ask("0.001").refusal
    assert refused is not None and refused.field == "amount"
    assert made(till.wish(1)).amount == "0.010000000"


@pytest.mark.parametrize("card", ["4242424242424242", "4242 4242 4242 4242", "5555-5555-5555-4444", "378282246310005"])
def test_a_card_number_is_refused_and_kept_nowhere(till: Till, card: str) -> None:
    refused = till.ask(method=card).refusal
    assert refused is not None and refused.field == "method" and card not in repr(refused)
    assert not any(person.field == METHOD for person in till.store.people(till.engine.tenant, 1))


@pytest.mark.parametrize(
    "token", ["tok_ok", "pm_1MqLiJLkdIwHu7ixUEgbFdYF", "4242424242424241", "123456789012345678901"]
)
def test_a_token_is_taken(token: str) -> None:
    assert check_method(token) == token


@pytest.mark.parametrize("token", ["", "a" * 256, "tok\n", "tök", "tok ok"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(Refused):
        check_method(token)


def test_the_token_is_a_personal_row_and_no_line_of_the_books(till: Till) -> None:
    id = till.ask(method="tok_secret").id
    rows = [person for person in till.store.people(till.engine.tenant, 1) if person.field == METHOD]
    assert [(row.value, "pay_" + row.record.hex()) for row in rows] == [("tok_secret", id)]
    assert all(b"tok_secret" not in body for _, body, _ in till.store.journal(till.engine.tenant, 0, 0, 10**6))


@contextmanager
def forged(till: Till) -> Iterator[list[object]]:
    """Lines that a forger appends to the books."""
    lines: list[object] = []
    yield lines
    work = till.engine.writer.work()
    work.append(*(work.move(line) for line in lines if isinstance(line, PaymentLine)))
    till.engine.writer.land(work)


@pytest.mark.parametrize(
    "change",
    [
        {"state": "created"}, {"amount": "21.000000000"}, {"tries": 5}, {"n": 9}, {"state": "succeeded", "due": ""},
        {"account": "acct_00099"}, {"due": ""},
    ],
)  # fmt: skip
def test_verify_finds_a_payment_that_goes_wrong(till: Till, change: dict[str, object]) -> None:
    sent = till.send(till.line(till.ask().id))
    with forged(till) as lines:
        lines.append(msgspec.structs.replace(sent, **({"n": sent.n + 1} | change)))
    assert set(till.proven()) & {"payment", "unknown_account"}


def test_verify_finds_a_second_payment_beside_one_and_a_passed_limit(till: Till) -> None:
    till.fund("20", limit="30")
    line = till.line(till.ask().id)
    with forged(till) as lines:
        lines.append(msgspec.structs.replace(line, id="pay_" + "0" * 32, previous=line.id))
    assert {"payment", "payment_limit"} <= set(till.proven())


def test_order_refuses_what_request_would_not_make(till: Till) -> None:
    work = till.engine.writer.work()
    with pytest.raises(Refused, match="above zero"):
        order(work, work.numbered(till.ada.id), 0, "x", "tok_ok")
