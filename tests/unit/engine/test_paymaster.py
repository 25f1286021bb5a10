"""The paymaster against the fake processor in a process of its own, stopped between any two of its steps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apportion.adapters.payments.http import HttpPayments, HttpPayouts
from apportion.engine.payments.cashier import Pace
from apportion.engine.settling.payees import put_payee
from apportion.engine.settling.paymaster import Paymaster
from apportion.model.account import Role
from apportion.model.payee import Payee
from apportion.model.processor import PaymentResult, RefundOrder
from apportion.model.settlement import EndPayout, PayoutLine, Wanted
from tests.faces.api.processor import Processor
from tests.settling import Counting
from tests.unit.engine.test_cashier import Lane


class Desk:
    """What a node has of a paymaster, over and over again on the same books."""

    def __init__(self, path: Path, processor: Processor) -> None:
        self.books, self.processor = Counting(path), processor
        self.late: list[str] = []
        self.restart()

    def restart(self) -> None:
        """A new process: nothing is remembered but the books."""
        self.lane = Lane()
        self.paymaster = Paymaster(
            self.books.engine, HttpPayouts(self.processor.url, seconds=1.0), self.lane, self._hand_in,
            pace=Pace(call=1, late=600), alert=self.late.append,
        )  # fmt: skip

    def _hand_in(self, command: EndPayout, done: Any) -> None:
        self.books.tell(command)
        done()

    def look(self, seconds: int = 0) -> None:
        """Let some time pass, then look."""
        now = datetime.fromisoformat(self.books.clock.at) + timedelta(seconds=seconds)
        self.books.clock.at = now.isoformat(timespec="microseconds").replace("+00:00", "Z")
        self.paymaster.look()

    def ordered(self, token: str) -> PayoutLine:
        """A transfer of 18.00 EUR to dora, whose destination is a token of the fake."""
        put_payee(self.books.engine, "dora", Payee(destination=token))
        self.books.ride(7)
        line = self.books.one()
        assert self.books.order(line, "transfer", Wanted("", self.books.account("dora"))).total == 1
        return self.books.payouts(line)[0]

    def made(self, id: str) -> tuple[int, int]:
        """How often the processor was asked to pay, and how often it did."""
        found = self.processor.charges("/transfers")[id]
        return found["requests"], found["taken"]

    @property
    def stands(self) -> tuple[Decimal, Decimal]:
        """What dora has, and what lies in clearing."""
        return self.books.posted()["dora"], self.books.posted(Role.CLEARING)["payouts"]


@pytest.fixture(scope="module")
def processor() -> Iterator[Processor]:
    made = Processor("--unknown", "2", "--pending", "1")
    yield made
    made.stop()


@pytest.fixture
def desk(tmp_path: Path, processor: Processor) -> Iterator[Desk]:
    made = Desk(tmp_path / "books.db", processor)
    yield made
    assert made.books.proven() == []
    made.books.engine.close()


def test_it_dies_before_the_processor_hears_of_it(desk: Desk) -> None:
    line = desk.ordered("tok_ok")
    desk.lane.before = True
    desk.look()
    assert desk.books.payout(line.id).state == "sent" and desk.stands == (0, 18)
    desk.restart()
    desk.look(20)  # asked first: the processor has never heard of it
    desk.look()
    assert desk.books.payout(line.id).state == "succeeded" and desk.stands == (0, 0)
    assert desk.made(line.id) == (1, 1)


def test_it_dies_before_the_books_hear_of_the_outcome(desk: Desk) -> None:
    line = desk.ordered("tok_ok")
    desk.lane.after = True
    desk.look()
    assert desk.books.payout(line.id).state == "sent" and desk.stands == (0, 18)
    desk.restart()
    desk.look(20)
    assert desk.books.payout(line.id).state == "succeeded" and desk.stands == (0, 0)
    assert desk.made(line.id) == (1, 1)


@pytest.mark.parametrize("token", ["tok_timeout_after_charge", "tok_500_after_charge", "tok_pending_then_ok"])
def test_a_lost_answer_is_asked_for_and_not_paid_again(desk: Desk, token: str) -> None:
    line = desk.ordered(token)
    desk.look()
    assert desk.books.payout(line.id).state in ("unknown", "sent") and desk.stands == (0, 18)
    for _ in range(40):
        desk.look(2)
        if desk.books.payout(line.id).state == "succeeded":
            break
        asyncio.run(asyncio.sleep(0.1))  # the processor's own time
    assert desk.stands == (0, 0) and desk.made(line.id) == (1, 1)


def test_what_is_not_known_for_long_is_told_once_and_counts_as_nothing(desk: Desk) -> None:
    line = desk.ordered("tok_unknown")
    for _ in range(8):
        desk.look(200)
    assert desk.books.payout(line.id).state == "unknown" and desk.late == [line.id] and desk.stands == (0, 18)


def test_what_was_declined_is_the_providers_again(desk: Desk) -> None:
    line = desk.ordered("tok_declined")
    desk.look()
    found = desk.books.payout(line.id)
    assert (found.state, found.reason, desk.stands) == ("failed", "card_declined", (18, 0))


def test_nobody_knows_any_more_where_the_money_is_to_go(desk: Desk) -> None:
    line = desk.ordered("tok_ok")
    put_payee(desk.books.engine, "dora", Payee())
    desk.look()
    assert (desk.books.payout(line.id).state, desk.stands) == ("failed", (18, 0))
    assert line.id not in desk.processor.charges("/transfers")


def test_a_transfer_is_no_charge_and_can_not_be_refunded(desk: Desk) -> None:
    line = desk.ordered("tok_ok")
    desk.look()
    assert line.id in desk.processor.charges("/transfers") and line.id not in desk.processor.charges()
    order = RefundOrder("rfd_1", line.id, "", "1.00", "EUR")
    told = asyncio.run(HttpPayments(desk.processor.url).refund(order))
    assert told == PaymentResult("failed", "1.00", "EUR", reason="no_such_payment")
