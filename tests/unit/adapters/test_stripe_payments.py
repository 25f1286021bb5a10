"""The Stripe adapter against answers as Stripe gives them, where localstripe has none: payouts, pages, lost answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from apportion.adapters.payments.signed import check, sign
from apportion.errors import Refused
from apportion.model.notice import CardAsked, CardKept, DepositItem, Notice
from apportion.model.processor import Known, PaymentOrder, RefundOrder

stripe = pytest.importorskip("stripe")

from apportion.adapters.payments.stripe import StripePayments  # noqa: E402

NOW, SINCE = "2026-11-20T10:00:00Z", 1_795_168_800
ORDER = PaymentOrder("pay_1", "20.00", "EUR", "cus_1/pm_1")
Answer = tuple[int, Any]


class Wire(stripe.HTTPClient):  # type: ignore[misc,name-defined]
    """What Stripe would answer, by method and path; every request is kept."""

    name = "wire"

    def __init__(self, answers: dict[str, Answer | Callable[[dict[str, str]], Answer]]) -> None:
        super().__init__()
        self.answers, self.asked = answers, list[tuple[str, dict[str, str], dict[str, str]]]()

    def request(self, method: str, url: str, headers: Any, post_data: Any = None, **more: Any) -> Any:
        parts = urlsplit(url)
        sent = dict(parse_qsl(post_data or parts.query))
        where = f"{method.upper()} {parts.path}"
        self.asked.append((where, sent, dict(headers)))
        found = self.answers[where]
        if isinstance(found, BaseException):
            raise found
        status, body = found(sent) if callable(found) else found
        return json.dumps(body), status, {}

    def close(self) -> None:
        pass


def port(**answers: Any) -> tuple[StripePayments, Wire]:
    """The adapter over such answers: ``POST_payment_intents=(200, {…})``."""
    wire = Wire({name.replace("_", " /v1/", 1): found for name, found in answers.items()})
    made = StripePayments(key="sk_test_1", secret="whsec_1")
    made._v1 = stripe.StripeClient("sk_test_1", http_client=wire, max_network_retries=0).v1
    return made, wire


def intent(status: str = "succeeded", mine: str = "pay_1", **more: Any) -> dict[str, Any]:
    return {
        "object": "payment_intent", "id": f"pi_{mine}", "status": status, "amount": 2000, "currency": "eur",
        "amount_received": 2000 if status == "succeeded" else 0, "created": SINCE, "metadata": {"apportion_id": mine},
        **more,
    }  # fmt: skip


def listed(*objects: Any) -> Answer:
    return 200, {"object": "list", "data": list(objects), "has_more": False, "url": "/v1/x"}


def test_a_charge_goes_out_once_under_our_key() -> None:
    made, wire = port(POST_payment_intents=(200, intent()))
    result = asyncio.run(made.charge(ORDER))
    assert (result.state, result.amount, result.currency, result.reference) == ("succeeded", "20.00", "EUR", "pi_pay_1")
    where, sent, headers = wire.asked[0]
    assert headers["Idempotency-Key"] == "pay_1" and len(wire.asked) == 1
    assert (sent["amount"], sent["currency"], sent["customer"], sent["payment_method"]) == (
        "2000",
        "eur",
        "cus_1",
        "pm_1",
    )
    assert sent["metadata[apportion_id]"] == "pay_1" and sent["off_session"] == sent["confirm"] == "true"


def test_currencies_without_cents_and_with_three_are_counted_as_stripe_counts_them() -> None:
    for currency, amount, minor in (("JPY", "500", 500), ("KWD", "1.500", 1500), ("EUR", "0.05", 5)):
        answer = intent(amount=minor, amount_received=minor, currency=currency.lower())
        made, wire = port(POST_payment_intents=(200, answer))
        result = asyncio.run(made.charge(PaymentOrder("pay_1", amount, currency, "pm_1")))
        assert wire.asked[0][1]["amount"] == str(minor) and (result.amount, result.currency) == (amount, currency)


@pytest.mark.parametrize(
    "answer",
    [
        (500, {"error": {"type": "api_error"}}), (429, {"error": {"type": "rate_limit"}}),
        (401, {"error": {"type": "invalid_request_error"}}), (409, {"error": {"type": "idempotency_error"}}),
        (400, {"error": {"type": "idempotency_error", "code": "idempotency_key_in_use"}}),
        (400, {"error": {"type": "invalid_request_error", "code": "parameter_invalid_integer"}}),
        stripe.APIConnectionError("reset"),
    ],
)  # fmt: skip
def test_what_is_no_plain_answer_leaves_the_outcome_unknown(answer: Any) -> None:
    made, _ = port(POST_payment_intents=answer, GET_payment_intents=answer)
    assert asyncio.run(made.charge(ORDER)).state == "unknown"
    assert asyncio.run(made.ask(Known("pay_1", since=NOW))).state == "unknown"


def test_what_failed_is_cancelled_before_it_is_called_failed() -> None:
    said = {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}
    error = {"error": {**said, "payment_intent": intent("requires_payment_method")}}
    made, wire = port(POST_payment_intents=(402, error))
    wire.answers["POST /v1/payment_intents/pi_pay_1/cancel"] = (200, intent("canceled"))
    result = asyncio.run(made.charge(ORDER))
    assert (result.state, result.reason) == ("failed", "insufficient_funds")
    assert [where for where, *_ in wire.asked] == [
        "POST /v1/payment_intents",
        "POST /v1/payment_intents/pi_pay_1/cancel",
    ]


def test_a_cancel_without_an_answer_is_no_failure() -> None:
    made, wire = port(POST_payment_intents=(200, intent("requires_action")))
    wire.answers["POST /v1/payment_intents/pi_pay_1/cancel"] = (500, {"error": {"type": "api_error"}})
    assert asyncio.run(made.charge(ORDER)).state == "unknown"


@pytest.mark.parametrize(
    "found, state",
    [
        ((intent("succeeded", "pay_2"),), "absent"), ((intent("canceled"), intent("succeeded")), "succeeded"),
        ((intent("succeeded"), intent("canceled")), "succeeded"), ((intent("processing"),), "pending"),
        ((intent("succeeded", created=SINCE - 4000),), "absent"), ((), "absent"),
    ],
)  # fmt: skip
def test_a_lost_answer_is_looked_up_among_the_intents_since(found: tuple[Any, ...], state: str) -> None:
    made, wire = port(GET_payment_intents=listed(*found))
    assert asyncio.run(made.ask(Known("pay_1", since=NOW))).state == state
    assert all(where.startswith("GET") for where, *_ in wire.asked)  # asking never charges


def test_a_known_name_is_asked_for_itself() -> None:
    made, wire = port()
    wire.answers["GET /v1/payment_intents/pi_9"] = (200, intent())
    assert asyncio.run(made.ask(Known("pay_1", "pi_9", NOW))).state == "succeeded"


def test_refunds() -> None:
    order = RefundOrder("rfd_1", "pay_1", "pi_pay_1", "5.00", "EUR")
    done = {"object": "refund", "id": "re_1", "status": "succeeded", "amount": 500, "currency": "eur"}
    for status, state in (
        ("succeeded", "succeeded"),
        ("pending", "pending"),
        ("failed", "failed"),
        ("canceled", "failed"),
    ):
        made, wire = port(POST_refunds=(200, done | {"status": status}))
        assert asyncio.run(made.refund(order)).state == state
        assert wire.asked[0][2]["Idempotency-Key"] == "rfd_1" and wire.asked[0][1]["payment_intent"] == "pi_pay_1"
    for code, state in (("charge_already_refunded", "failed"), ("charge_disputed", "failed"), ("else", "unknown")):
        made, _ = port(POST_refunds=(400, {"error": {"type": "invalid_request_error", "code": code}}))
        assert asyncio.run(made.refund(order)).state == state
    mine, other = done | {"metadata": {"apportion_id": "rfd_1"}}, done | {"metadata": {"apportion_id": "rfd_2"}}
    made, _ = port(GET_refunds=listed(other, mine))
    assert asyncio.run(made.ask_refund(order, Known("rfd_1"))).state == "succeeded"
    made, _ = port(GET_refunds=listed(other))
    assert asyncio.run(made.ask_refund(order, Known("rfd_1"))).state == "absent"


def test_a_card_is_given_on_a_page_of_theirs() -> None:
    page = {"object": "checkout.session", "id": "cs_1", "url": "https://checkout.stripe.com/1", "status": "open"}
    made, wire = port(POST_customers=(200, {"object": "customer", "id": "cus_1"}))
    wire.answers["POST /v1/checkout/sessions"] = (200, page)
    assert asyncio.run(made.ask_card("crd_1", "https://shop/back")) == CardAsked(
        "cs_1", "https://checkout.stripe.com/1"
    )
    assert wire.asked[1][1]["mode"] == "setup" and wire.asked[1][2]["Idempotency-Key"] == "crd_1"
    wire.answers["GET /v1/checkout/sessions/cs_1"] = (200, page | {"setup_intent": None})
    assert asyncio.run(made.card("cs_1")).state == "pending"
    wire.answers["GET /v1/checkout/sessions/cs_1"] = (200, page | {"setup_intent": "seti_1"})
    done = {
        "object": "setup_intent",
        "id": "seti_1",
        "status": "succeeded",
        "payment_method": "pm_1",
        "customer": "cus_1",
    }
    wire.answers["GET /v1/setup_intents/seti_1"] = (200, done)
    card = {"brand": "mastercard", "last4": "4444", "exp_month": 3, "exp_year": 2031}
    found = {"object": "payment_method", "id": "pm_1", "customer": "cus_1", "card": card}
    wire.answers["GET /v1/payment_methods/pm_1"] = (200, found)
    assert asyncio.run(made.card("cs_1")) == CardKept("saved", "cus_1/pm_1", "mastercard", "4444", "2031-03")
    wire.answers["GET /v1/checkout/sessions/cs_1"] = (200, page | {"status": "expired"})
    assert asyncio.run(made.card("cs_1")).state == "failed"
    wire.answers["POST /v1/customers"] = (500, {"error": {"type": "api_error"}})
    assert asyncio.run(made.ask_card("crd_2", "")).fault == "http_500"


def test_a_payout_with_its_items() -> None:
    def item(kind: str, amount: int, fee: int, source: Any) -> dict[str, Any]:
        return {
            "object": "balance_transaction",
            "id": "txn",
            "type": kind,
            "amount": amount,
            "fee": fee,
            "source": source,
        }

    charge = {"object": "charge", "id": "ch_1", "payment_intent": "pi_pay_1", "metadata": {"apportion_id": "pay_1"}}
    other = {"object": "charge", "id": "ch_2", "payment_intent": "pi_pay_2", "metadata": {}}
    refund = {"object": "refund", "id": "re_1", "metadata": {"apportion_id": "rfd_1"}}
    dispute = {"object": "dispute", "id": "dp_1"}
    made, wire = port(
        GET_balance_transactions=listed(
            item("payout", -100, 0, "po_1"), item("charge", 2000, 59, charge), item("payment", 3000, 75, other),
            item("refund", -500, 0, refund), item("adjustment", -2000, 1500, dispute), item("stripe_fee", -7, 0, None),
        )
    )  # fmt: skip
    wire.answers["GET /v1/payouts/po_1"] = (200, {"object": "payout", "id": "po_1", "amount": 859, "currency": "eur"})
    wire.answers["GET /v1/payment_intents/pi_pay_2"] = (200, intent(mine="pay_2"))
    found = asyncio.run(made.deposit("po_1"))
    assert (found.amount, found.currency, found.fault) == ("8.59", "EUR", "")
    assert found.items == (
        DepositItem("payment", "20.00", "0.59", "pay_1", "ch_1"),
        DepositItem("payment", "30.00", "0.75", "pay_2", "ch_2"),
        DepositItem("refund", "-5.00", "0.00", "rfd_1", "re_1"),
        DepositItem("chargeback", "-20.00", "15.00", "", "dp_1"),
        DepositItem("other", "-0.07", "0.00", "", "txn"),
    )  # fmt: skip


def event(kind: str, **about: Any) -> Notice:
    made, _ = port()
    body = json.dumps({"id": "evt_1", "type": kind, "data": {"object": about}}).encode()
    return made.read(body, sign("whsec_1", body, SINCE), NOW)


def test_events_as_notices() -> None:
    mine = {"metadata": {"apportion_id": "pay_1"}}
    assert event("payment_intent.succeeded", id="pi_1", **mine) == Notice("evt_1", "payment", "pay_1", "pi_1")
    assert event("payment_intent.succeeded", id="pi_1", metadata={}).kind == "other"
    saved = event("checkout.session.completed", id="cs_1", metadata={"apportion_id": "crd_1"})
    assert (saved.kind, saved.id) == ("card", "crd_1")
    assert event("refund.failed", id="re_1", metadata={"apportion_id": "rfd_1"}).id == "rfd_1"
    foreign = event("refund.created", id="re_2", status="succeeded", payment_intent="pi_1", amount=500, currency="eur")
    assert (foreign.kind, foreign.id, foreign.payment, foreign.amount) == ("refund", "", "pi_1", "5.00")
    assert event("payout.paid", id="po_1", currency="eur").reference == "po_1"
    asked = event("charge.dispute.created", id="dp_1", status="warning_needs_response", payment_intent="pi_1")
    assert asked.kind == "other"  # an inquiry takes nothing
    for status, state in (("needs_response", "open"), ("under_review", "open"), ("won", "won"), ("lost", "lost")):
        about = {"id": "dp_1", "status": status, "payment_intent": "pi_1", "amount": 5, "currency": "eur"}
        assert event("charge.dispute.updated", **about).state == state
    with pytest.raises(Refused):
        event("charge.dispute.created", id="dp_1")


def test_who_a_dispute_is_about_is_never_guessed() -> None:
    notice = Notice("e", "chargeback", payment="pi_1")
    for answer, mine in (((200, intent()), "pay_1"), ((404, {"error": {"type": "invalid_request_error"}}), "")):
        made, wire = port()
        wire.answers["GET /v1/payment_intents/pi_1"] = answer
        assert asyncio.run(made.whose(notice)) == mine
    made, wire = port()
    wire.answers["GET /v1/payment_intents/pi_1"] = (500, {"error": {"type": "api_error"}})
    with pytest.raises(TimeoutError):
        asyncio.run(made.whose(notice))


def test_the_signature_is_the_one_that_the_sdk_makes_and_takes() -> None:
    body = b'{"id":"evt_1"}'
    stripe.WebhookSignature.verify_header(body.decode(), sign("whsec_1", body, SINCE), "whsec_1", None)
    check("whsec_1", body, sign("whsec_1", body, SINCE) + ",v1=00,v0=x", NOW)
    for secret, sent, header in (
        ("whsec_2", body, sign("whsec_1", body, SINCE)), ("whsec_1", body + b" ", sign("whsec_1", body, SINCE)),
        ("whsec_1", body, sign("whsec_1", body, SINCE - 301)), ("whsec_1", body, sign("whsec_1", body, SINCE + 301)),
        ("whsec_1", body, ""), ("whsec_1", body, f"t={SINCE}"), ("whsec_1", body, f"t={SINCE},v1=\u00e9"),
        ("", body, sign("", body, SINCE)), ("whsec_1", body, "t=" + "9" * 400 + ",v1=00"),
    ):  # fmt: skip
        with pytest.raises(Refused):
            check(secret, sent, header, NOW)
