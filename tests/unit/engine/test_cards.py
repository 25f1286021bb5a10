"""Refunds, chargebacks, payouts and saved cards in the commit loop, and what a forger would be found out by."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from apportion.engine.explain import View
from apportion.engine.inquiry import explain
from apportion.engine.payments.clearing import Record, read_record
from apportion.engine.payments.deeds import clearing
from apportion.engine.payments.errands import Errands
from apportion.errors import Refused
from apportion.model.card import (
    AskCard,
    ChargebackLine,
    EndCard,
    EndRefund,
    HearChargeback,
    HearPayout,
    HearRefund,
    PayoutItem,
    ProcessorPayoutLine,
    ReceiptLine,
    RequestRefund,
    SendRefund,
)
from apportion.model.command import Outcome
from apportion.model.payment import EndPayment, SendPayment
from apportion.model.processor import RefundOrder
from tests.properties.test_cards import Taking
from tests.unit.engine.test_payments import LATER


class Later:
    """A clock by which everything is due."""

    def now(self) -> str:
        return "2099-01-01T00:00:00.000000Z"


class Desk(Taking):
    """Books with one payment of 20 EUR through a processor."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.take(20)
        self.payment = self.paid[0]

    def record(self, id: str) -> Any:
        found = read_record(self.store.courses(self.engine.tenant, [id])[id].line)
        assert found is not None
        return found

    @property
    def receipt(self) -> ReceiptLine:
        return self.record("rcp" + self.payment[3:])  # type: ignore[no-any-return]

    def back(self, amount: str = "", reference: str = "r") -> Outcome:
        return self.tell(RequestRefund(self.payment, reference, amount))

    def dispute(self, state: str = "open", amount: str = "20", **more: str) -> Outcome:
        return self.tell(HearChargeback(self.payment, "dp_1", state, amount, "EUR", "15", **more))

    def payout(self, *items: PayoutItem, reference: str = "po_1") -> Outcome:
        return self.tell(HearPayout("http", reference, "EUR", items))

    def transit(self) -> Decimal:
        return Decimal(clearing(self.engine)[0].balance)

    def forge(self, line: Record) -> list[str]:
        """What verify finds when somebody appends a line."""
        work = self.engine.writer.work()
        work.append(work.move(line))
        self.engine.writer.land(work)
        return self.proven()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "books.db")
    yield made
    made.engine.close()


def code(outcome: Outcome) -> str:
    return outcome.refusal.code.value if outcome.refusal is not None else ""


def test_a_refund_leaves_the_account_at_once_and_comes_back_only_when_it_failed(desk: Desk) -> None:
    id = desk.back("8").id
    assert desk.posted == "17.00" and desk.receipt.back == "8.000000000" and desk.transit() == -12
    desk.tell(SendRefund(id, 1, LATER))
    assert code(desk.tell(SendRefund(id, 1, LATER))) == "conflict"
    desk.tell(EndRefund(id, 2, "unknown", due=LATER))
    assert desk.posted == "17.00" and desk.record(id).state == "unknown"
    desk.tell(EndRefund(id, 3, "succeeded", "re_1"))
    assert code(desk.tell(EndRefund(id, 4, "pending", due=LATER))) == "conflict"
    desk.tell(EndRefund(id, 4, "failed", "re_1", "lost_or_stolen_card"))  # banks say so days later
    assert (desk.posted, desk.receipt.back, desk.transit()) == ("25.00", "0.000000000", -20)
    assert desk.back("20.00", "s").id and code(desk.back("0.01", "t")) == "bad_amount" and desk.proven() == []


def test_a_refund_that_was_made_at_the_processor_is_booked_once(desk: Desk) -> None:
    for _ in range(2):
        assert code(desk.tell(HearRefund(desk.payment, "re_9", "5.00", "EUR"))) == ""
    assert desk.posted == "20.00" and desk.transit() == -15
    assert code(desk.tell(HearRefund(desk.payment, "re_8", "15.01", "EUR"))) == "bad_amount"
    assert code(desk.tell(HearRefund(desk.payment, "re_8", "1.00", "USD"))) == "bad_amount"
    mine = desk.back("4").id
    desk.tell(SendRefund(mine, 1, LATER))
    desk.tell(EndRefund(mine, 2, "succeeded", "re_7"))
    desk.tell(HearRefund(desk.payment, "re_7", "4.00", "EUR"))  # told of our own one under the processor's name
    assert desk.posted == "16.00" and desk.proven() == []


def test_refunds_are_sent_one_after_another_also_of_a_payment_that_the_processor_gave_no_name(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "books.db")
    nameless = desk.line(desk.ask("6", "nameless").id)
    desk.tell(SendPayment(nameless.id, nameless.n, LATER, "http"))
    desk.tell(EndPayment(nameless.id, nameless.n + 1, "succeeded", nameless.amount, "EUR", ""))
    first = desk.tell(RequestRefund(nameless.id, "a", "2")).id
    second = desk.back("3", "b").id
    desk.engine.clock = Later()
    orders: list[RefundOrder] = []
    port = SimpleNamespace(name="http", refund=orders.append)
    outside = SimpleNamespace(submit=lambda work, seconds, ended: work())
    Errands(desk.engine, port, outside, lambda command, done: None).look()  # type: ignore[arg-type]
    assert {order.id: Decimal(order.amount) for order in orders} == {first: 2, second: 3}
    assert {desk.record(id).state for id in (first, second)} == {"sent"}
    desk.engine.close()


def test_a_chargeback_is_forced_when_the_value_is_used_up(desk: Desk) -> None:
    desk.tell(HearRefund(desk.payment, "re_1", "20.00", "EUR"))
    desk.dispute()
    line: ChargebackLine = next(iter(desk.chargebacks()))
    assert (line.taken, desk.posted, desk.transit()) == ("0.000000000", "5.00", 35)  # it had all gone back already
    assert clearing(desk.engine)[0].cost == "-35.000000000"
    for state, wrong in (("won", ""), ("lost", ""), ("open", "")):
        assert code(desk.dispute(state)) == wrong
    assert next(iter(desk.chargebacks())).state == "won" and desk.transit() == 15 and desk.proven() == []
    assert code(desk.dispute(amount="20.01")) == "" and code(desk.tell(
        HearChargeback(desk.payment, "dp_2", "open", "20.01", "EUR"))) == "bad_amount"  # fmt: skip
    assert code(desk.tell(HearChargeback("pay_" + "0" * 32, "dp_3", "open", "1", "EUR"))) == "not_found"


def test_a_chargeback_takes_also_what_is_held_and_is_marked_as_forced(desk: Desk) -> None:
    desk.engine.hold("ada", "22", "EUR", "somebody", "2026-12-01T00:00:00.000000Z")
    assert code(desk.back("4")) == "insufficient_funds"
    desk.dispute()
    entry = next(entry for entry in desk.engine.books.entries(desk.ada.public) if entry.kind == "chargeback")
    assert entry.forced and desk.posted == "5.00" and desk.proven() == []
    assert desk.engine.books.find_account("ada").available == "-17.000000000"


def test_a_payout_clears_each_record_once_and_leaves_what_it_can_not_match(desk: Desk) -> None:
    item = PayoutItem("ch_0", "20.00", "0.59", desk.payment)
    assert code(desk.payout(replace(item, gross="19.00"))) == ""
    assert desk.transit() == -20 + 19 - Decimal("0.59") and desk.receipt.payout == ""
    made = desk.payout(item, PayoutItem("x", "3.00", "0.10"), reference="po_2")
    line: ProcessorPayoutLine = desk.record(made.id)
    assert (line.amount, line.fees, line.unmatched) == ("22.310000000", "0.590000000", "2.900000000")
    assert desk.receipt.payout == made.id and [one.id for one in line.items] == [desk.receipt.id, ""]
    assert desk.payout(item, reference="po_2").id == made.id  # told twice
    third = desk.record(desk.payout(item, reference="po_3").id)
    assert third.unmatched == "19.410000000" and third.items[0].id == ""  # brought before: it can not come twice
    left = {rest.id: rest.amount for rest in clearing(desk.engine)[0].remainders}
    assert left[made.id] == "2.900000000" and clearing(desk.engine)[0].explained and desk.proven() == []


def test_a_card_is_saved_once_and_its_token_stays_out_of_the_books(desk: Desk) -> None:
    id = "crd_" + "7" * 32
    for _ in range(2):
        assert code(desk.tell(AskCard(id, desk.ada.id, "http", '{"url":"https://x"}', LATER))) == ""
    assert code(desk.tell(EndCard(id, 9, "pending", due=LATER))) == "conflict"
    assert desk.tell(EndCard(id, 1, "pending", due=LATER)).refusal is None and desk.record(id).asked == 1
    assert code(desk.tell(EndCard(id, 2, "saved", "4242424242424242"))) == "bad_input"
    assert code(desk.tell(EndCard(id, 2, "saved", "cus_1/pm_1", '{"last4":"4242"}'))) == ""
    assert code(desk.tell(EndCard(id, 3, "saved", "cus_1/pm_2"))) == "conflict"
    assert desk.ask(method="", reference="by card").refusal is None
    bodies = b"".join(body for _, body, _ in desk.store.journal(desk.engine.tenant, 0, 0, 10**6))
    assert b"pm_1" not in bodies and b"4242" not in bodies and desk.proven() == []
    desk.engine.forget("ada")
    assert code(desk.tell(EndCard(id, 3, "removed"))) == "not_found"
    assert not any(b"pm_1" in path.read_bytes() for path in Path(desk.store.path).parent.glob("books.db"))


def test_both_are_told_in_plain_words(desk: Desk) -> None:
    refund, dispute = desk.back("5").id, desk.dispute(reason="fraudulent").id
    desk.tell(SendRefund(refund, 1, LATER))
    desk.tell(EndRefund(refund, 2, "failed", "", "expired_card"))
    first, second = (explain(desk.engine, id, View("operator")) for id in (refund, dispute))
    assert first.holds and first.title.startswith("a refund of 5.00") and "has the amount again" in str(first.sections)
    assert second.holds and "fraudulent" in str(second.sections) and second.check.endswith("-20.000000000")
    with pytest.raises(Refused):
        explain(desk.engine, "rfd_" + "0" * 32, View("operator"))
    with pytest.raises(Refused):
        explain(desk.engine, dispute, View("user", "ada"))


@pytest.mark.parametrize(
    "change",
    [
        {"amount": "30.000000000"}, {"processor": "other"}, {"account": "acct_00099"}, {"payment": "pay_" + "0" * 32},
        {"back": "1.000000000"}, {"payout": "ppo_" + "0" * 32},
    ],
)  # fmt: skip
def test_verify_finds_a_forged_receipt(desk: Desk, change: dict[str, Any]) -> None:
    desk.back("5")
    assert desk.forge(replace(desk.receipt, **change)) != []


@pytest.mark.parametrize(
    "change",
    [
        {"state": "failed"}, {"state": "succeeded"}, {"amount": "6.000000000"}, {"n": 7}, {"payout": "ppo_" + "0" * 32},
        {"id": "rfd_" + "0" * 32}, {"payment": "pay_" + "0" * 32},
    ],
)  # fmt: skip
def test_verify_finds_a_forged_refund(desk: Desk, change: dict[str, Any]) -> None:
    line = desk.record(desk.back("5").id)
    assert {"card", "clearing"} & set(desk.forge(replace(line, **({"n": line.n + 1} | change))))


@pytest.mark.parametrize(
    "change",
    [
        {"state": "won"}, {"taken": "1.000000000"}, {"taken": "21.000000000"}, {"fee": "1.000000000"}, {"n": 7},
        {"id": "chb_" + "0" * 32, "n": 1}, {"returned": "ppo_" + "0" * 32},
    ],
)  # fmt: skip
def test_verify_finds_a_forged_chargeback(desk: Desk, change: dict[str, Any]) -> None:
    line = desk.record(desk.dispute().id)
    assert {"card", "clearing"} & set(desk.forge(replace(line, **({"n": line.n + 1} | change))))


def test_verify_finds_a_forged_payout_and_card(desk: Desk) -> None:
    line = desk.record(desk.payout(PayoutItem("ch_0", "20.00", "0.59", desk.payment)).id)
    assert "card" in desk.forge(line)
    assert "card" in desk.forge(replace(line, id="ppo_" + "0" * 32, unmatched="1.000000000"))
    desk.tell(AskCard("crd_" + "7" * 32, desk.ada.id, "http", "{}", LATER))
    card = desk.record("crd_" + "7" * 32)
    assert "card" in desk.forge(replace(card, state="paid", n=2))
