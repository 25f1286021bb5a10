"""The cashier against the fake processor in a process of its own, stopped between any two of its steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from apportion.adapters.payments.http import HttpPayments
from apportion.engine.payments.cashier import Cashier, Pace
from apportion.engine.payments.words import explain_payment
from apportion.model.payment import EndPayment, PaymentLine
from apportion.model.processor import Known, PaymentOrder, PaymentResult
from tests.faces.api.processor import Processor
from tests.unit.engine.test_payments import Till

Ended = Callable[[Any, BaseException | None], None]


class Lane:
    """The outside, on this thread. ``before`` and ``after`` say that the node dies before or after a call."""

    def __init__(self) -> None:
        self.before = self.after = False
        self._loop = asyncio.new_event_loop()

    def submit(self, work: Callable[[], Coroutine[Any, Any, Any]], seconds: float, ended: Ended) -> None:
        if self.before:
            return
        try:
            result = self._loop.run_until_complete(asyncio.wait_for(work(), seconds))
        except Exception as error:
            result, failed = None, error
        else:
            failed = None
        if not self.after:
            ended(result, failed)


class Node:
    """What a node has of a cashier, over and over again on the same books."""

    def __init__(self, till: Till, processor: Processor) -> None:
        self.till, self.processor, self.lane, self.late = till, processor, Lane(), list[str]()
        self.restart()

    def restart(self) -> None:
        """A new process: nothing is remembered but the books."""
        self.lane = Lane()
        self.cashier = Cashier(
            self.till.engine, HttpPayments(self.processor.url, seconds=1.0), self.lane, self._hand_in,
            pace=Pace(call=1, late=600), alert=self.late.append,
        )  # fmt: skip

    def _hand_in(self, command: EndPayment, done: Callable[[], None]) -> None:
        self.till.tell(command)
        done()

    def look(self, seconds: int = 0) -> None:
        """Let some time pass, then look."""
        now = datetime.fromisoformat(self.till.clock.at) + timedelta(seconds=seconds)
        self.till.clock.at = now.isoformat(timespec="microseconds").replace("+00:00", "Z")
        self.cashier.look()

    def wanted(self, token: str) -> PaymentLine:
        return self.till.line(self.till.ask(method=token).id)

    def charge(self, id: str) -> dict[str, Any]:
        return self.processor.charges()[id]


@pytest.fixture(scope="module")
def processor() -> Iterator[Processor]:
    made = Processor("--unknown", "2", "--pending", "1")
    yield made
    made.stop()


@pytest.fixture
def node(tmp_path: Path, processor: Processor) -> Iterator[Node]:
    till = Till(tmp_path / "books.db")
    yield Node(till, processor)
    assert till.proven() == []
    till.engine.close()


def test_it_dies_before_the_processor_hears_of_it(node: Node) -> None:
    line = node.wanted("tok_ok")
    node.lane.before = True
    node.look()
    assert node.till.line(line.id).state == "sent" and line.id not in node.processor.charges()
    node.restart()
    node.look(1)
    assert node.till.line(line.id).tries == 1  # whoever sent it may still be at it
    node.look(20)
    assert line.id not in node.processor.charges()  # asked first
    node.look()
    ended = node.till.line(line.id)
    assert (ended.state, ended.tries, node.till.posted) == ("succeeded", 2, "25.00")
    assert (node.charge(line.id)["taken"], node.charge(line.id)["requests"]) == (1, 1)


def test_it_dies_before_the_books_hear_of_the_outcome(node: Node) -> None:
    line = node.wanted("tok_ok")
    node.lane.after = True
    node.look()
    assert node.till.line(line.id).state == "sent" and node.till.posted == "5.00"
    node.restart()
    node.look(20)
    ended = node.till.line(line.id)
    assert (ended.state, ended.tries, node.till.posted) == ("succeeded", 1, "25.00")
    assert (node.charge(line.id)["taken"], node.charge(line.id)["requests"]) == (1, 1)


@pytest.mark.parametrize("token", ["tok_timeout_after_charge", "tok_500_after_charge", "tok_pending_then_ok"])
def test_a_lost_answer_is_asked_for_and_not_charged_again(node: Node, token: str) -> None:
    line = node.wanted(token)
    node.look()
    assert node.till.line(line.id).state in ("unknown", "sent") and node.till.posted == "5.00"
    for _ in range(40):
        node.look(2)
        if node.till.line(line.id).state == "succeeded":
            break
        asyncio.run(asyncio.sleep(0.1))  # the processor's own time
    assert (node.till.posted, node.charge(line.id)["taken"], node.charge(line.id)["requests"]) == ("25.00", 1, 1)


def test_the_pauses_grow_and_the_operator_is_told_once(node: Node) -> None:
    line, asked = node.wanted("tok_unknown"), list[int]()
    for _ in range(1300):
        node.look(1)
        found = node.till.line(line.id)
        if found.asked != len(asked):
            asked.append(int((datetime.fromisoformat(found.at) - datetime.fromisoformat(line.requested)).seconds))
        if len(asked) == 11:
            break
    gaps = [later - before for before, later in zip(asked, asked[1:], strict=False)]
    assert gaps[:8] == [1, 2, 4, 8, 16, 32, 64, 128] and asked[10] == 600  # and once when it is late
    assert node.late == [line.id] and node.till.line(line.id).late
    assert node.till.posted == "5.00" and node.till.line(line.id).tries == 1
    words = explain_payment(node.till.engine, line.id)
    assert words.holds and "neither paid nor failed" in words.sections[0].text


def test_a_declined_payment_brings_nothing(node: Node) -> None:
    line = node.wanted("tok_declined")
    node.look()
    ended = node.till.line(line.id)
    assert (ended.state, ended.reason, node.till.posted) == ("failed", "card_declined", "5.00")
    assert node.charge(line.id)["taken"] == 0 and explain_payment(node.till.engine, line.id).holds


def test_a_token_that_is_gone_fails_before_it_is_sent(node: Node) -> None:
    node.till.fund()  # the funding says so, but no token is stored
    line = node.till.line(node.till.ask(method="").id)
    node.look()
    ended = node.till.line(line.id)
    assert (ended.state, ended.reason, ended.tries) == ("failed", "no_method", 0)


def test_two_nodes_send_it_once(node: Node, processor: Processor) -> None:
    other = Node(node.till, processor)
    line = node.wanted("tok_ok")
    node.lane.after = other.lane.after = True
    node.look()
    other.look()
    assert node.charge(line.id)["requests"] == 1 and node.till.line(line.id).tries == 1
    node.restart()
    node.look(30)
    assert node.till.posted == "25.00"


class Strange:
    """A processor that charges another amount than it was told."""

    name = "http"

    async def charge(self, order: PaymentOrder) -> PaymentResult:
        return PaymentResult("succeeded", "0.01", order.currency)

    async def ask(self, known: Known) -> PaymentResult:
        return PaymentResult("succeeded", "20.00", "USD")


def test_another_amount_is_no_success(node: Node) -> None:
    line = node.wanted("tok_ok")
    node.cashier._port = Strange()
    for _ in range(3):
        node.look(10)
    found = node.till.line(line.id)
    assert (found.state, found.reason, node.till.posted) == ("unknown", "other_amount", "5.00") and node.late == [
        line.id
    ]
    told = EndPayment(line.id, found.n, "succeeded", "20.00", "EUR")
    assert node.till.tell(told).refusal is None and node.till.posted == "25.00"


# ── the protocol ──


def said(status: int, body: bytes) -> HttpPayments:
    """A processor that always answers this."""
    import httpx2

    port = HttpPayments("http://127.0.0.1:1")
    port._client = httpx2.AsyncClient(
        transport=httpx2.MockTransport(lambda request: httpx2.Response(status, content=body))
    )
    return port


ORDER = PaymentOrder("pay_1", "20.00", "EUR", "tok_ok")


@pytest.mark.parametrize(
    "status, body, charged, asked",
    [
        (200, {"id": "pay_1", "state": "succeeded", "amount": "20.00", "currency": "EUR"}, "succeeded", "succeeded"),
        (202, {"id": "pay_1", "state": "pending"}, "pending", "pending"),
        (402, {"id": "pay_1", "state": "failed"}, "failed", "failed"),
        (404, {"id": "pay_1", "state": "absent"}, "unknown", "absent"),
        (200, {"id": "pay_1", "state": "absent"}, "unknown", "unknown"),
        (404, {"id": "pay_1", "state": "succeeded"}, "unknown", "unknown"),
        (402, {"id": "pay_1", "state": "succeeded"}, "unknown", "unknown"),
        (200, {"id": "pay_2", "state": "succeeded"}, "unknown", "unknown"),
        (200, {"id": "pay_2", "state": "failed"}, "unknown", "unknown"),
        (200, {"id": "pay_1", "state": "paid"}, "unknown", "unknown"),
        (302, {"id": "pay_1", "state": "succeeded"}, "unknown", "unknown"),
        (500, {"id": "pay_1", "state": "failed"}, "unknown", "unknown"),
        (401, {"id": "pay_1", "state": "failed"}, "unknown", "unknown"),
        (404, {}, "unknown", "unknown"),
        (200, [], "unknown", "unknown"),
    ],
)
def test_only_a_plain_answer_about_this_payment_counts(status: int, body: Any, charged: str, asked: str) -> None:
    raw = msgspec.json.encode(body)
    assert asyncio.run(said(status, raw).charge(ORDER)).state == charged
    assert asyncio.run(said(status, raw).ask(Known("pay_1"))).state == asked


@pytest.mark.parametrize("body", [b"", b"<html>", b"x" * (1 << 17), b'{"id":"pay_1"'])
def test_what_is_no_answer_leaves_the_outcome_unknown(body: bytes) -> None:
    for status in (200, 404):
        assert asyncio.run(said(status, body).ask(Known("pay_1"))).state == "unknown"


def test_the_words_of_a_processor_are_cut_to_what_the_books_may_hold() -> None:
    body = {"id": "pay_1", "state": "failed", "reason": "Card 4242424242424242 of Mr. X", "reference": "a b\n"}
    result = asyncio.run(said(402, msgspec.json.encode(body)).charge(ORDER))
    assert (result.state, result.reason, result.reference) == ("failed", "declined", "")


def test_an_order_does_not_show_its_token() -> None:
    assert "tok_ok" not in repr(ORDER) and "tok_ok" not in str(ORDER)
