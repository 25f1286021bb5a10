"""Stripe behind PaymentPort, by its own SDK; its calls block, so each runs on a thread beside the outside loop.

A payment is one PaymentIntent, confirmed off session under our id as idempotency key and named by it in the metadata.
What has no answer is looked up: by the intent's name where it is known, else among the intents made since, never by a
search that lags behind. An intent that did not succeed is cancelled before it is called failed, so that nothing can
succeed later on. Cards are given on Stripe's page or to its script; only ``cus_…/pm_…`` comes here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from apportion.adapters.payments.signed import check
from apportion.adapters.payments.stripe_events import Stripe, notice_of
from apportion.errors import RefusalCode, refuse
from apportion.model.notice import CardAsked, CardKept, Deposit, DepositItem, Notice
from apportion.model.processor import Known, PaymentOrder, PaymentResult, RefundOrder
from apportion.money.asset import minor_digits
from apportion.money.exact import decimal_text

THREADS = 16  # what waits longer for one than its call may take is given up before it is sent
OURS = "apportion_id"  # the metadata that holds our id
LOOK_BACK, LOOK_MOST = 3600, 20_000  # seconds before a payment was wanted, and intents that are looked through
_T = TypeVar("_T")
_FAILED = ("requires_payment_method", "requires_action", "requires_confirmation", "requires_source")


class StripePayments:
    """PaymentPort over the Stripe SDK; ``address`` is another one for tests, ``secret`` that of the webhooks."""

    name = "stripe"

    def __init__(self, *, key: str, secret: str = "", address: str = "", seconds: float = 10.0) -> None:
        import requests
        import stripe

        stripe.enable_telemetry = False
        session = requests.Session()
        session.trust_env = False
        self._stripe, self._secret = stripe, secret
        client = stripe.StripeClient(
            key,
            http_client=stripe.RequestsClient(timeout=seconds, session=session),
            max_network_retries=0,  # what is lost is asked for by us, and said to be unknown until then
            base_addresses={"api": address.rstrip("/")} if address else {},
        )
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="stripe")
        self._v1: Any = client.v1  # plain dictionaries go in, which its types do not know

    # payments

    async def charge(self, order: PaymentOrder) -> PaymentResult:
        """Charge an order, once per id."""
        return await self._told(lambda: self._charge(order))

    def _charge(self, order: PaymentOrder) -> PaymentResult:
        customer, _, method = order.method.rpartition("/")
        wanted: dict[str, Any] = {
            "amount": _minor(order.amount, order.currency), "currency": order.currency.lower(),
            "payment_method": method, "payment_method_types": ["card"], "confirm": True, "off_session": True,
            "metadata": {OURS: order.id},
        }  # fmt: skip
        if customer:
            wanted["customer"] = customer
        try:
            made = _plain(self._v1.payment_intents.create(wanted, options={"idempotency_key": order.id}))
        except self._stripe.CardError as error:
            told: Any = error.json_body or {}
            intent = told.get("error", {}).get("payment_intent")
            reason = _word(told.get("error", {}).get("decline_code")) or _word(error.code)
            if intent is None:  # the answer does not say which intent it is about
                found = self._find(Known(order.id, since=datetime.now(UTC).isoformat()))
                return self._state(found, reason) if found is not None else PaymentResult("failed", reason=reason)
            return self._state(intent, reason)
        except self._stripe.InvalidRequestError as error:
            if error.http_status in (400, 404) and error.code in ("resource_missing", "payment_method_unactivated"):
                return PaymentResult("failed", reason=_word(error.code))
            if error.http_status == 404:  # the card has vanished there
                return PaymentResult("failed", reason="no_such_method")
            raise
        return self._state(made)

    async def ask(self, known: Known) -> PaymentResult:
        """What became of an order; charges nothing."""
        return await self._told(lambda: self._ask(known))

    def _ask(self, known: Known) -> PaymentResult:
        if known.reference:
            return self._state(_plain(self._v1.payment_intents.retrieve(known.reference)))
        found = self._find(known)
        return self._state(found) if found is not None else PaymentResult("absent")

    def _find(self, known: Known) -> Any:
        """The intent of our id: one that took money before any other. None when there is none."""
        since, best, seen = datetime.fromisoformat(known.since).timestamp() - LOOK_BACK, None, 0
        for found in self._v1.payment_intents.list({"limit": 100}).auto_paging_iter():
            intent = _plain(found)
            seen += 1
            if seen > LOOK_MOST:
                raise LookupError("too many intents")
            if intent["created"] < since:
                break
            if _ours(intent) == known.id and (best is None or intent["status"] in ("succeeded", "processing")):
                best = intent
        return best

    def _state(self, intent: Any, reason: str = "") -> PaymentResult:
        """What an intent says of a payment; one that failed is cancelled, so that it stays so."""
        status, name = intent["status"], intent["id"]
        error = intent.get("last_payment_error") or {}
        said = reason or _word(error.get("decline_code")) or _word(error.get("code"))
        if status in _FAILED:
            said = said or ("authentication_required" if status == "requires_action" else "declined")
            options = {"idempotency_key": f"{_ours(intent) or name}:cancel"}
            status = _plain(self._v1.payment_intents.cancel(name, options=options))["status"]
        currency = str(intent["currency"]).upper()
        if status == "succeeded":
            taken = intent.get("amount_received")
            amount = _major(intent["amount"] if taken is None else taken, currency)
            return PaymentResult("succeeded", amount, currency, name)
        if status == "canceled":
            return PaymentResult("failed", reference=name, reason=said or "canceled")
        return PaymentResult("pending", reference=name, reason=_word(status))

    # refunds

    async def refund(self, order: RefundOrder) -> PaymentResult:
        """Give money back, once per id."""
        return await self._told(lambda: self._refund(order))

    def _refund(self, order: RefundOrder) -> PaymentResult:
        wanted: dict[str, Any] = {
            "payment_intent": order.reference, "amount": _minor(order.amount, order.currency),
            "metadata": {OURS: order.id},
        }  # fmt: skip
        try:
            made = _plain(self._v1.refunds.create(wanted, options={"idempotency_key": order.id}))
        except self._stripe.InvalidRequestError as error:
            if error.http_status == 400 and error.code in ("charge_already_refunded", "charge_disputed"):
                return PaymentResult("failed", reason=_word(error.code))
            raise
        return _refunded(made)

    async def ask_refund(self, order: RefundOrder, known: Known) -> PaymentResult:
        """What became of a refund; gives nothing back."""
        return await self._told(lambda: self._ask_refund(order, known))

    def _ask_refund(self, order: RefundOrder, known: Known) -> PaymentResult:
        if known.reference:
            return _refunded(_plain(self._v1.refunds.retrieve(known.reference)))
        for made in self._v1.refunds.list({"payment_intent": order.reference, "limit": 100}).auto_paging_iter():
            if _ours(_plain(made)) == known.id:
                return _refunded(_plain(made))
        return PaymentResult("absent")

    # cards

    async def ask_card(self, id: str, back: str) -> CardAsked:
        """Where a payer gives a card: Stripe's page when there is a way back, else a secret for its script."""
        found = await self._tried(lambda: self._ask_card(id, back))
        return found if isinstance(found, CardAsked) else CardAsked(fault=found)

    def _ask_card(self, id: str, back: str) -> CardAsked:
        metadata = {OURS: id}
        customer = self._v1.customers.create({"metadata": metadata}, options={"idempotency_key": f"{id}:customer"}).id
        if back:
            page = self._v1.checkout.sessions.create(
                {"mode": "setup", "customer": customer, "success_url": back, "cancel_url": back,
                 "payment_method_types": ["card"], "metadata": metadata,
                 "setup_intent_data": {"metadata": metadata}},
                options={"idempotency_key": id},
            )  # fmt: skip
            return CardAsked(page.id, url=page.url or "")
        made = self._v1.setup_intents.create(
            {"customer": customer, "usage": "off_session", "payment_method_types": ["card"], "metadata": metadata},
            options={"idempotency_key": id},
        )
        return CardAsked(made.id, secret=made.client_secret or "")

    async def card(self, session: str) -> CardKept:
        """What became of it."""
        found = await self._tried(lambda: self._card(session))
        return found if isinstance(found, CardKept) else CardKept("unknown", reason=found)

    def _card(self, session: str) -> CardKept:
        setup = session
        if session.startswith("cs_"):
            page = self._v1.checkout.sessions.retrieve(session)
            if page.status == "expired":
                return CardKept("failed", reason="expired")
            if not page.setup_intent:
                return CardKept("pending")
            setup = str(page.setup_intent)
        made = self._v1.setup_intents.retrieve(setup)
        if made.status == "canceled":
            return CardKept("failed", reason="canceled")
        if made.status != "succeeded" or not made.payment_method:
            return CardKept("pending", reason=_word(made.status))
        method, customer = str(made.payment_method), str(made.customer)
        found = self._v1.payment_methods.retrieve(method)
        if not found.customer:
            found = self._v1.payment_methods.attach(method, {"customer": customer})
        card = _plain(found)["card"]
        expires = f"{card['exp_year']}-{card['exp_month']:02}"
        return CardKept("saved", f"{customer}/{method}", _word(card["brand"]), str(card["last4"])[-4:], expires)

    # what it tells, and pays out

    async def deposit(self, reference: str) -> Deposit:
        """A payout with its items."""
        found = await self._tried(lambda: self._deposit(reference))
        return found if isinstance(found, Deposit) else Deposit(reference, fault=found)

    def _deposit(self, reference: str) -> Deposit:
        payout = self._v1.payouts.retrieve(reference)
        currency = payout.currency.upper()
        listed = self._v1.balance_transactions.list({"payout": reference, "limit": 100, "expand": ["data.source"]})
        items = [
            _item(one, currency, self._intent_id)
            for one in map(_plain, listed.auto_paging_iter())
            if not one["type"].startswith("payout")
        ]
        return Deposit(reference, _major(payout.amount, currency), currency, tuple(items))

    def _intent_id(self, name: str) -> str:
        return _ours(_plain(self._v1.payment_intents.retrieve(name)))

    async def whose(self, notice: Notice) -> str:
        """Our payment's id, out of the intent that a chargeback or refund is about."""
        if notice.payment.startswith("pay_") or not notice.payment:
            return notice.payment
        found = await self._tried(lambda: self._intent_id(notice.payment))
        if found.startswith("pay_") or found in ("", "http_404", "resource_missing"):
            return found if found.startswith("pay_") else ""
        raise TimeoutError(found)  # nobody could say: that does not make it somebody else's

    def read(self, body: bytes, signature: str, now: str) -> Notice:
        """An event of Stripe, its signature verified.

        Raises:
            Refused: BAD_INPUT.
        """
        check(self._secret, body, signature, now)
        try:
            return notice_of(msgspec.json.decode(body, type=Stripe))
        except (msgspec.MsgspecError, KeyError, ValueError) as error:
            what = f"is no event of Stripe ({type(error).__name__})."
            raise refuse(RefusalCode.BAD_INPUT, what, field="body") from None

    # the SDK

    async def _told(self, call: Callable[[], PaymentResult]) -> PaymentResult:
        found = await self._tried(call)
        return found if isinstance(found, PaymentResult) else PaymentResult("unknown", reason=found)

    async def _tried(self, call: Callable[[], _T]) -> _T | str:
        """What a call gave, or a word for why nothing is known."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except self._stripe.APIConnectionError:
            return "no_answer"
        except self._stripe.StripeError as error:
            return _word(error.code) or f"http_{error.http_status or 0}"


def _refunded(made: Any) -> PaymentResult:
    currency = str(made["currency"]).upper()
    amount = _major(made["amount"], currency)
    if made["status"] == "succeeded":
        return PaymentResult("succeeded", amount, currency, made["id"])
    if made["status"] in ("failed", "canceled"):
        return PaymentResult("failed", reference=made["id"], reason=_word(made.get("failure_reason")) or "failed")
    return PaymentResult("pending", reference=made["id"], reason=_word(made["status"]))


def _item(one: Any, currency: str, payment: Callable[[str], str]) -> DepositItem:
    """One balance transaction: which record of ours it is about, when it is one."""
    source, gross, fee = one["source"], _major(one["amount"], currency), _major(one["fee"], currency)
    if not isinstance(source, dict):
        return DepositItem("other", gross, fee, reference=str(source or one["id"]))
    kind, named = source.get("object"), str(source.get("id", ""))
    if kind == "charge":
        intent = source.get("payment_intent")
        return DepositItem("payment", gross, fee, _ours(source) or (payment(str(intent)) if intent else ""), named)
    if kind == "refund":
        return DepositItem("refund", gross, fee, _ours(source), named)
    if kind == "dispute":
        return DepositItem("chargeback", gross, fee, reference=named)
    return DepositItem("other", gross, fee, reference=named)


def _plain(made: Any) -> dict[str, Any]:
    """An object of the SDK as dictionaries."""
    found: dict[str, Any] = made.to_dict()
    return found


def _ours(made: Any) -> str:
    return str((made.get("metadata") or {}).get(OURS, ""))


def _word(text: Any) -> str:
    """A word of theirs as the books may hold it."""
    plain = str(text or "").lower()
    return plain if plain.replace("_", "a").isalnum() and plain.isascii() and len(plain) <= 40 else ""


def _minor(amount: str, currency: str) -> int:
    """Stripe counts in minor units, such as 2000 of 20.00 EUR."""
    whole, _, part = amount.partition(".")
    return int(whole + part.ljust(minor_digits(currency) or 0, "0"))


def _major(minor: int, currency: str) -> str:
    return decimal_text(int(minor), minor_digits(currency) or 0)
