"""The fake processor's other face: what goes back, what it pays out, what it tells, and how badly it tells it.

It posts signed notices to a node until the node has taken them. With two faces it also forges each one first, sends it
twice, and tells the end of a dispute before its beginning.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec

from apportion.adapters.payments.signed import sign
from apportion.model.notice import CardKept, Deposit, DepositItem, Notice
from apportion.model.processor import RefundOrder
from apportion.money.asset import minor_digits
from apportion.money.exact import decimal_text

TRIES, PAUSE = 240, 0.25
FEE, DISPUTE_FEE = "0.25", "15.00"


class Given(msgspec.Struct):
    """One refund as the fake keeps it; ``given`` is how often money went back."""

    id: str
    payment: str
    amount: str
    currency: str
    state: str
    reference: str
    reason: str = ""
    since: float = 0.0
    requests: int = 1
    given: int = 0


class Dispute(msgspec.Struct):
    """One chargeback as the fake keeps it."""

    reference: str
    payment: str
    amount: str
    currency: str
    state: str = "open"


class Ask(msgspec.Struct):
    """What a test tells the fake to do."""

    payment: str = ""
    amount: str = ""
    state: str = ""
    url: str = ""
    secret: str = ""
    method: str = "tok_ok"


class Teller:
    """Sends notices to a node, again and again until it takes them."""

    def __init__(self, two_faced: bool) -> None:
        self.two_faced, self.url, self.secret = two_faced, "", ""
        self.answers: list[dict[str, Any]] = []
        self._count = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, kind: str, **about: str) -> None:
        """Tell something, in the background."""
        if not self.url:
            return
        self._count += 1
        notice = msgspec.convert({"event": f"evt_{self._count}", "kind": kind, **about}, Notice)
        bodies = [(msgspec.json.encode(notice), self.secret)]
        if self.two_faced:
            false = msgspec.structs.replace(notice, event="evt_forged", reference="dp_forged", state="open")
            bodies = [(msgspec.json.encode(false), "somebody else's"), *bodies, *bodies]
        task = asyncio.ensure_future(self._send(notice.event, bodies))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, event: str, bodies: list[tuple[bytes, str]]) -> None:
        import httpx2

        for body, secret in bodies:
            async with httpx2.AsyncClient(timeout=5, trust_env=False) as client:
                for _ in range(TRIES if secret == self.secret else 1):
                    headers = {"stripe-signature": sign(secret, body, int(time.time()))}
                    try:
                        status = (await client.post(self.url, content=body, headers=headers)).status_code
                    except httpx2.HTTPError:
                        status = 0
                    self.answers.append({"event": event, "forged": secret != self.secret, "status": status})
                    if 200 <= status < 300:
                        break
                    await asyncio.sleep(PAUSE)


class Back:
    """Refunds, disputes, payouts and cards of the fake; ``paid`` finds a payment that was taken."""

    def __init__(self, paid: Callable[[str], Any], teller: Teller, pending: float) -> None:
        self._paid, self.teller, self._pending = paid, teller, pending
        self.refunds: dict[str, Given] = {}
        self.disputes: dict[str, Dispute] = {}
        self.deposits: dict[str, Deposit] = {}
        self.cards: dict[str, CardKept] = {}
        self._paid_out: set[str] = set()

    async def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any] | None:
        """The answer to a request about these; None when it never comes, 404 when it is about something else."""
        what, _, name = path[1:].partition("/")
        if method == "POST" and path == "/refunds":
            return await self._refund(msgspec.json.decode(body, type=RefundOrder))
        if what == "refunds" and method == "GET":
            return self._asked(name) if name else (200, msgspec.to_builtins(list(self.refunds.values())))
        ask = msgspec.json.decode(body, type=Ask) if body else Ask()
        if method == "POST" and path == "/listen":
            self.teller.url, self.teller.secret = ask.url, ask.secret
            return 200, {}
        if path == "/told":
            return 200, self.teller.answers
        if what == "disputes":
            return self._dispute(method, name, ask)
        if what == "deposits":
            return self._deposit(method, name)
        if what == "cards":
            return self._card(method, name, ask, body)
        return 404, b"no such page\n"

    # refunds

    async def _refund(self, order: RefundOrder) -> tuple[int, Any] | None:
        known = self.refunds.get(order.id)
        if known is not None:
            known.requests += 1
            return self._told(known)
        paid = self._paid(order.payment)
        if paid is None or self._left(order.payment, paid.amount) < _minor(order.amount):
            return 402, _failed(order, "no_such_payment" if paid is None else "too_much")
        made = self.refunds[order.id] = Given(
            order.id, order.payment, order.amount, order.currency, "succeeded", f"re_{order.id[4:16]}",
            since=time.monotonic(),
        )  # fmt: skip
        method = paid.method
        if method == "tok_refund_fails":
            made.state, made.reason = "failed", "expired_card"
        elif method == "tok_chargeback_during_refund":
            made.state, made.reason = "failed", "charge_disputed"
            self._dispute("POST", "", Ask(payment=order.payment))
            await asyncio.sleep(self._pending)
        elif method == "tok_refund_pending":
            made.state = "pending"
        else:
            made.given = 1
        return None if method == "tok_refund_timeout" else self._told(made)

    def _left(self, payment: str, amount: str) -> int:
        gone = [one.amount for one in self.refunds.values() if one.payment == payment and one.state != "failed"]
        return _minor(amount) - sum(_minor(text) for text in gone)

    def _asked(self, id: str) -> tuple[int, Any]:
        known = self.refunds.get(id)
        return self._told(known) if known is not None else (404, {"id": id, "state": "absent"})

    def _told(self, known: Given) -> tuple[int, Any]:
        if known.state == "pending" and time.monotonic() - known.since >= self._pending:
            known.state, known.given = "succeeded", 1
        names = ("id", "amount", "currency", "state", "reference", "reason")
        return {"pending": 202}.get(known.state, 200), {name: getattr(known, name) for name in names}

    # disputes

    def _dispute(self, method: str, name: str, ask: Ask) -> tuple[int, Any]:
        if method == "GET":
            return 200, msgspec.to_builtins(list(self.disputes.values()))
        if name:
            self._close(self.disputes[name], ask.state)
            return 200, {}
        paid = self._paid(ask.payment)
        if paid is None:
            return 404, b"no such payment\n"
        made = Dispute(f"dp_{len(self.disputes) + 1}", ask.payment, ask.amount or paid.amount, paid.currency)
        self.disputes[made.reference] = made
        if ask.state and self.teller.two_faced:
            self._close(made, ask.state)
            self._tell(made, "open")
            return 201, {"reference": made.reference}
        self._tell(made, "open")
        if ask.state:
            self._close(made, ask.state)
        return 201, {"reference": made.reference}

    def _close(self, made: Dispute, state: str) -> None:
        made.state = state
        self._tell(made, state)

    def _tell(self, made: Dispute, state: str) -> None:
        self.teller.tell(
            "chargeback", reference=made.reference, payment=made.payment, state=state, amount=made.amount,
            currency=made.currency, fee=DISPUTE_FEE, reason="fraudulent",
        )  # fmt: skip

    # payouts to our bank

    def _deposit(self, method: str, name: str) -> tuple[int, Any]:
        if method == "GET":
            found = self.deposits.get(name)
            return (200, msgspec.to_builtins(found)) if found is not None else (404, b"no such payout\n")
        items = list(self._items())
        currency = next((one.currency for one in self._paid("") or ()), "EUR")
        net = sum(_minor(one.gross) - _minor(one.fee) for one in items)
        made = Deposit(f"po_{len(self.deposits) + 1}", _text(net, currency), currency, tuple(items))
        self.deposits[made.reference] = made
        self.teller.tell("payout", reference=made.reference, currency=currency)
        return 201, msgspec.to_builtins(made)

    def _items(self) -> Any:
        """What was taken and given since the last payout."""
        for paid in self._paid("") or ():
            if self._fresh(paid.id):
                yield DepositItem("payment", paid.amount, FEE, paid.id, paid.reference)
        for back in self.refunds.values():
            if back.given and self._fresh(back.id):
                yield DepositItem("refund", "-" + back.amount, "0", back.id, back.reference)
        for dispute in self.disputes.values():
            if self._fresh(dispute.reference):
                yield DepositItem("chargeback", "-" + dispute.amount, DISPUTE_FEE, "", dispute.reference)
            if dispute.state == "won" and self._fresh(dispute.reference + ":won"):
                yield DepositItem("chargeback", dispute.amount, "0", "", dispute.reference)

    def _fresh(self, name: str) -> bool:
        fresh = name not in self._paid_out
        self._paid_out.add(name)
        return fresh

    # cards

    def _card(self, method: str, name: str, ask: Ask, body: bytes) -> tuple[int, Any]:
        if method == "POST" and not name:
            session = "cs_" + msgspec.json.decode(body)["id"][4:20]
            self.cards.setdefault(session, CardKept("pending"))
            return 201, {"session": session, "url": f"https://fake.example/{session}"}
        if method == "POST":
            self.cards[name] = CardKept("saved", ask.method, "visa", "4242", "2030-12")
            self.teller.tell("card", id="crd_" + name[3:])
            return 200, {}
        found = self.cards.get(name)
        return (200, msgspec.to_builtins(found)) if found is not None else (404, b"no such card\n")


def _failed(order: RefundOrder, reason: str) -> dict[str, str]:
    return {"id": order.id, "amount": order.amount, "currency": order.currency, "state": "failed", "reason": reason}


def _minor(amount: str) -> int:
    """An amount in hundredths; the fake knows such currencies alone."""
    whole, _, part = amount.partition(".")
    return int(whole + part.ljust(2, "0")[:2])


def _text(minor: int, currency: str) -> str:
    return decimal_text(minor, minor_digits(currency) or 0)
