"""A FAKE payment processor for tests and first steps: it speaks the protocol of ``http.py`` and moves no money.

It runs as a process of its own (``apportion fake-payments``) and behaves as the token says:

    tok_ok                    charged, and says so
    tok_declined              refused; nothing is charged
    tok_slow                  charged, and says so after ``slow`` seconds
    tok_timeout_after_charge  charged, and never answers; when asked, it says so
    tok_500_after_charge      charged, and answers 500; when asked, it says so
    tok_pending_then_ok       pending for ``pending`` seconds, then charged
    tok_unknown               charged, but for ``unknown`` seconds every answer is 503

With others (``tok_refund_fails``, ``tok_chargeback_during_refund`` …) it is a refund that goes its own way; what it
does besides, ``fake_back.py`` tells. Any other token is refused. ``GET /charges`` lists what it has charged, so that a
test can hold the books against it. Under ``/payouts`` it pays out by the same tokens; ``GET /transfers`` lists that.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from apportion.adapters.payments.fake_back import Back, Teller
from apportion.model.processor import PaymentOrder

_BODY_MAX = 1 << 16
_WORDS = b"This is a FAKE payment processor of apportion. It moves no money.\n"
_TOKENS = frozenset(
    "tok_ok tok_declined tok_slow tok_timeout_after_charge tok_500_after_charge tok_pending_then_ok tok_unknown"
    " tok_refund_fails tok_refund_pending tok_refund_timeout tok_chargeback_during_refund".split()
)


class Pace(msgspec.Struct, frozen=True):
    """How many seconds the tokens take that take some."""

    slow: float = 2.0
    pending: float = 1.0
    unknown: float = 3600.0


class Charged(msgspec.Struct):
    """One payment as the fake keeps it; ``requests`` is how often it was to be charged, ``taken`` how often it was."""

    id: str
    amount: str
    currency: str
    method: str
    state: str
    since: float
    reference: str
    reason: str = ""
    requests: int = 1
    taken: int = 0
    asked: int = 0


class FakePayments:
    """The fake as an ASGI application; everything it knows is in memory."""

    def __init__(self, pace: Pace, *, two_faced: bool = False) -> None:
        self._pace = pace
        self._payments: dict[str, Charged] = {}
        self._back = Back(self._paid, Teller(two_faced), pace.pending)

    def _paid(self, id: str) -> Any:
        """A payment that was taken, by its id; all of them without one."""
        if not id:
            return [charged for charged in self._payments.values() if charged.taken and not _out(charged.id)]
        found = self._payments.get(id)
        return found if found is not None and found.taken and not _out(id) else None

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        body = b""
        while (message := await receive()).get("more_body") or message.get("body"):
            body += message.get("body", b"")
            if len(body) > _BODY_MAX or not message.get("more_body"):
                break
        answered = await self._answer(scope, body)
        if answered is None:  # the caller will never hear from us
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        status, content = answered
        media = b"application/json" if isinstance(content, dict | list) else b"text/plain"
        raw = content if isinstance(content, bytes) else msgspec.json.encode(content)
        headers = [(b"content-type", media), (b"x-fake", b"apportion"), (b"content-length", b"%d" % len(raw))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": raw})

    async def _answer(self, scope: dict[str, Any], body: bytes) -> tuple[int, Any] | None:
        method, path = scope["method"], scope["path"]
        if method == "POST" and path in ("/payments", "/payouts"):
            return await self._charge(dict(scope["headers"]).get(b"idempotency-key", b"").decode("latin-1"), body)
        if method == "GET" and path.startswith(("/payments/", "/payouts/")):
            return self._ask(path.rpartition("/")[2])
        if method == "GET" and path in ("/charges", "/transfers"):
            listed = [one for one in self._payments.values() if _out(one.id) is (path == "/transfers")]
            return 200, [msgspec.to_builtins(charged) for charged in listed]
        if path == "/":
            return 200, _WORDS
        try:
            return await self._back.answer(method, path, body)
        except (msgspec.MsgspecError, KeyError):
            return 400, b"not understood\n"

    async def _charge(self, key: str, body: bytes) -> tuple[int, Any] | None:
        try:
            order = msgspec.json.decode(body, type=PaymentOrder)
        except msgspec.MsgspecError:
            return 400, b"not an order\n"
        if key != order.id:
            return 400, b"the Idempotency-Key is not the id of the order\n"
        known = self._payments.get(key)
        if known is not None:
            known.requests += 1
            if (known.amount, known.currency, known.method) != (order.amount, order.currency, order.method):
                return 409, b"this key was used for another order\n"
            return self._told(known)
        made = Charged(
            key, order.amount, order.currency, order.method, "succeeded", time.monotonic(), f"fake_{key[4:16]}"
        )
        self._payments[key] = made
        if order.method not in _TOKENS or order.method == "tok_declined":
            made.state = "failed"
            made.reason = "card_declined" if order.method in _TOKENS else "no_such_method"
        elif order.method == "tok_pending_then_ok":
            made.state = "pending"
        else:
            made.taken = 1
        if order.method == "tok_slow":
            await asyncio.sleep(self._pace.slow)
        if order.method == "tok_timeout_after_charge":
            return None
        if order.method == "tok_500_after_charge":
            return 500, b"something broke\n"
        return self._told(made)

    def _ask(self, id: str) -> tuple[int, Any]:
        known = self._payments.get(id)
        if known is None:
            return 404, {"id": id, "state": "absent"}
        known.asked += 1
        return self._told(known, asked=True)

    def _told(self, known: Charged, *, asked: bool = False) -> tuple[int, Any]:
        age = time.monotonic() - known.since
        if known.method == "tok_unknown" and age < self._pace.unknown:
            return 503, b"nobody knows\n"
        if known.state == "pending" and age >= self._pace.pending:
            known.state, known.taken = "succeeded", known.taken + 1
        names = ("id", "amount", "currency", "state", "reference", "reason")
        status = {"pending": 202, "failed": 200 if asked else 402}.get(known.state, 200)
        return status, {name: getattr(known, name) for name in names}


def _out(id: str) -> bool:
    """Whether it is a transfer to a provider."""
    return id.startswith("pyo_")


def serve_fake(host: str, port: int, pace: Pace, ready: Callable[[str], None], *, two_faced: bool = False) -> None:
    """Serve a fake until a signal; ``ready`` is told its address."""
    import uvicorn

    listening = socket.create_server((host, port))
    ready(f"http://{host}:{listening.getsockname()[1]}")
    app = FakePayments(pace, two_faced=two_faced)
    config = uvicorn.Config(
        app, lifespan="off", ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    uvicorn.Server(config).run(sockets=[listening])
