"""Whatever goes back in whatever order: never more than was paid, no unit lost, every clearing account explained."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apportion.engine.payments.deeds import clearing, every
from apportion.model.card import (
    AskCard,
    ChargebackLine,
    EndCard,
    EndRefund,
    HearChargeback,
    HearPayout,
    HearRefund,
    PayoutItem,
    RefundLine,
    RequestRefund,
    SendRefund,
)
from apportion.model.payment import EndPayment, SendPayment, holds_card_number
from tests.unit.engine.test_payments import LATER, Till

STEPS = st.one_of(
    st.tuples(st.just("pay"), st.integers(1, 30), st.integers(0, 0)),
    st.tuples(st.just("refund"), st.integers(0, 5), st.integers(1, 25)),
    st.tuples(st.sampled_from(("send", "succeeded", "failed", "unknown")), st.integers(0, 9), st.integers(0, 2)),
    st.tuples(st.just("foreign"), st.integers(0, 5), st.integers(1, 25)),
    st.tuples(st.sampled_from(("open", "won", "lost")), st.integers(0, 5), st.integers(1, 4)),
    st.tuples(st.just("payout"), st.integers(0, 3), st.integers(0, 50)),
)


class Taking(Till):
    """Books whose payments went through a processor."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.paid: list[str] = []

    def take(self, amount: int) -> None:
        line = self.line(self.ask(str(amount), f"r{len(self.paid)}").id)
        self.tell(SendPayment(line.id, line.n, LATER, "http"))
        self.tell(EndPayment(line.id, line.n + 1, "succeeded", line.amount, "EUR", f"ch_{len(self.paid)}"))
        self.paid.append(line.id)

    def refunds(self) -> list[RefundLine]:
        return [line for line in every(self.engine, "rfd_") if isinstance(line, RefundLine)]

    def chargebacks(self) -> list[ChargebackLine]:
        return [line for line in every(self.engine, "chb_") if isinstance(line, ChargebackLine)]

    def pay_out(self, number: int, fee: int) -> None:
        """Some of what is in transit, another amount of one record, and something that is none of ours."""
        items = [
            PayoutItem(id, str(Decimal(self.line(id).amount)), str(Decimal(fee) / 100), id) for id in self.paid[number:]
        ]
        items += [PayoutItem(one.id, f"-{one.amount}", "0", one.id) for one in self.refunds()[number:]]
        items += [PayoutItem(one.reference, f"-{one.amount}", "15") for one in self.chargebacks()[number:]]
        items += [PayoutItem(one.reference, one.amount, "0") for one in self.chargebacks() if one.state == "won"]
        items.append(PayoutItem("stranger", "0.50", "0"))
        self.tell(HearPayout("http", f"po_{number}_{fee}", "EUR", tuple(items)))

    def step(self, what: str, first: int, second: int) -> None:
        if what == "pay":
            self.take(first)
        elif what == "payout":
            self.pay_out(first, second)
        elif not self.paid:
            return
        elif what == "refund":
            self.tell(RequestRefund(self.paid[first % len(self.paid)], f"x{second}", str(second)))
        elif what == "foreign":
            payment = self.paid[first % len(self.paid)]
            self.tell(HearRefund(payment, f"re_{first}_{second}", str(second), "EUR"))
        elif what in ("open", "won", "lost"):
            payment = self.paid[first % len(self.paid)]
            amount = str(int(Decimal(self.line(payment).amount)))
            self.tell(HearChargeback(payment, f"dp_{payment}_{second}", what, amount, "EUR", "15"))
        elif found := self.refunds():
            line = found[first % len(found)]
            n = max(1, line.n - second)
            self.tell(SendRefund(line.id, n, LATER) if what == "send" else EndRefund(line.id, n, what, due=LATER))

    def check(self) -> None:
        """The payer has what it paid, less what went back; nothing went back that was not paid."""
        went = sum(Decimal(one.amount) for one in self.refunds() if one.state != "failed")
        went += sum(Decimal(one.taken) for one in self.chargebacks() if one.state != "won")
        paid = sum((Decimal(self.line(id).amount) for id in self.paid), Decimal(0))
        assert Decimal(self.posted) == 5 + paid - went and went <= paid
        assert all(one.explained for one in clearing(self.engine))
        assert self.proven() == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=40))
def test_every_order_of_things_keeps_the_books(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    folder: Path = tmp_path_factory.mktemp("cards")
    till = Taking(folder / "books.db")
    till.take(20)
    for step in steps:
        till.step(*step)
    till.check()
    till.engine.close()


def test_a_refund_and_a_chargeback_of_one_payment_take_its_amount_once(tmp_path: Path) -> None:
    till = Taking(tmp_path / "books.db")
    till.take(20)
    for what, first, second in (("refund", 0, 12), ("send", 0, 0), ("open", 0, 1), ("failed", 0, 0), ("won", 0, 1)):
        till.step(what, first, second)
        till.check()
    assert till.posted == "25.00"
    till.engine.close()


def card_number(digits: str) -> str:
    """A number that checks as a card's does."""
    for last in "0123456789":
        if holds_card_number(digits + last):
            return digits + last
    raise AssertionError(digits)


NUMBERS = st.text("0123456789", min_size=12, max_size=17).map(lambda text: card_number("4" + text))
PARTED = st.tuples(NUMBERS, st.sampled_from(("", " ", "-", "."))).map(lambda pair: pair[1].join(_fours(pair[0])))


def _fours(text: str) -> list[str]:
    return [text[at : at + 4] for at in range(0, len(text), 4)]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=PARTED)
def test_a_card_number_is_kept_nowhere_wherever_it_comes_in(
    tmp_path_factory: pytest.TempPathFactory, number: str
) -> None:
    folder: Path = tmp_path_factory.mktemp("numbers")
    till = Taking(folder / "books.db")
    till.take(20)
    payment = till.paid[0]
    refusals = [till.ask(method=number, reference="n"), till.ask("1", number, method="tok_ok")]
    line = till.line(refusals[1].id)
    refusals += [till.tell(SendPayment(line.id, line.n, LATER, "http"))]
    refusals += [till.tell(EndPayment(line.id, line.n + 1, "succeeded", line.amount, "EUR", number, number))]
    till.paid.append(line.id)
    refusals += [till.tell(RequestRefund(payment, number, "3"))]
    refund = till.refunds()[0]
    refusals += [till.tell(SendRefund(refund.id, refund.n, LATER))]
    refusals += [till.tell(EndRefund(refund.id, refund.n + 1, "unknown", number, number, LATER))]
    refusals += [till.tell(HearChargeback(payment, number, "open", "5", "EUR"))]
    refusals += [till.tell(HearChargeback(payment, "dp_1", "open", "5", "EUR", "0", f"card {number}", number))]
    refusals += [till.tell(HearPayout("http", number, "EUR", ()))]
    refusals += [till.tell(HearPayout("http", "po_1", "EUR", (PayoutItem(number, "1", "0", number),)))]
    refusals += [till.tell(AskCard("crd_" + "1" * 32, till.ada.id, "http", "{}", LATER))]
    refusals += [till.tell(EndCard("crd_" + "1" * 32, 1, "saved", number, number))]
    refusals += [till.tell(EndCard("crd_" + "1" * 32, 1, "saved", "tok_ok", number, number))]
    till.check()
    till.engine.close()
    said = " ".join(str(outcome.refusal) for outcome in refusals)
    kept = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
    plain = "".join(c for c in number if c.isdecimal())
    for text in (number, plain):
        assert text not in said and text.encode() not in kept
