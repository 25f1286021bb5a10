"""A payment processor behind a small protocol of JSON over HTTP.

``POST {address}/payments``, with the payment's id as ``Idempotency-Key`` and a body of ``id``, ``amount`` (decimal text
in minor units), ``currency``, ``method`` (the processor's token) and ``description``, charges it once, however often it
comes. ``GET {address}/payments/{id}`` tells what became of it and charges nothing. ``POST {address}/refunds`` (``id``,
``payment``, ``reference``, ``amount``, ``currency``) and ``GET {address}/refunds/{id}`` do the same for money that goes
back. All answer an object of ``id``, ``state`` (succeeded, failed, pending), ``amount``, ``currency``, ``reference``
(the processor's own name for it) and, where it failed, a ``reason``:

    200, 201  it succeeded, or failed earlier
    202       pending: ask again
    402       failed: declined, and nothing was charged
    404       to GET, with the state ``absent``: this processor has never heard of it

Whatever else comes back, or does not, leaves the outcome unknown. So does an answer about another id, and, later on,
a success of another amount than the one that was ordered.

``POST {address}/cards`` (``id``, ``return_to``) answers ``session`` and ``url``, ``GET {address}/cards/{session}`` the
``state`` of the card and its token, ``GET {address}/deposits/{reference}`` a payout with its items. What it tells by
itself it posts to the node as a Notice, signed (``signed.py``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from apportion.adapters.payments.signed import check
from apportion.errors import RefusalCode, refuse
from apportion.model.notice import CardAsked, CardKept, Deposit, Notice
from apportion.model.processor import Known, PaymentOrder, PaymentResult, RefundOrder

if TYPE_CHECKING:
    import httpx2

_BODY_MAX = 1 << 20
_WORD = re.compile(r"[a-z0-9_]{1,40}", re.ASCII)


class Answer(msgspec.Struct, frozen=True):
    """What a processor says of one payment."""

    id: str
    state: Literal["succeeded", "failed", "pending", "absent"]
    amount: str = ""
    currency: str = ""
    reference: str = ""
    reason: str = ""


class HttpPayments:
    """PaymentPort over the protocol of this module; ``key`` is sent as a bearer token, ``seconds`` bound a call.

    ``secret`` is what it signs by; without one nothing that it tells by itself is taken.
    """

    name = "http"
    path = "/payments"

    def __init__(self, address: str, *, key: str = "", secret: str = "", seconds: float = 10.0) -> None:
        self._address, self._key, self._secret, self._seconds = address.rstrip("/"), key, secret, seconds
        self._client: httpx2.AsyncClient | None = None

    async def charge(self, order: PaymentOrder) -> PaymentResult:
        """Charge an order, once per id."""
        body = {
            "id": order.id, "amount": order.amount, "currency": order.currency, "method": order.method,
            "description": order.description,
        }  # fmt: skip
        return await self._order(self.path, order.id, body)

    async def ask(self, known: Known) -> PaymentResult:
        """What became of an order; charges nothing."""
        return await self._asked(f"{self.path}/{known.id}", known.id)

    async def refund(self, order: RefundOrder) -> PaymentResult:
        """Give money back, once per id."""
        return await self._order("/refunds", order.id, msgspec.structs.asdict(order))

    async def ask_refund(self, order: RefundOrder, known: Known) -> PaymentResult:
        """What became of a refund; gives nothing back."""
        return await self._asked(f"/refunds/{known.id}", known.id)

    async def ask_card(self, id: str, back: str) -> CardAsked:
        """Where a payer gives a card."""
        status, content = await self._send("POST", "/cards", id, {"id": id, "return_to": back})
        found = _read(content, CardAsked) if status in (200, 201) else None
        return found if found is not None and found.session else CardAsked(fault=_no(status))

    async def card(self, session: str) -> CardKept:
        """What became of it."""
        status, content = await self._send("GET", f"/cards/{session}", "", None)
        found = _read(content, CardKept) if status == 200 else None
        return found if found is not None else CardKept("unknown", reason=_no(status))

    async def deposit(self, reference: str) -> Deposit:
        """A payout with its items."""
        status, content = await self._send("GET", f"/deposits/{reference}", "", None)
        found = _read(content, Deposit) if status == 200 else None
        return found if found is not None and found.reference == reference else Deposit(reference, fault=_no(status))

    async def whose(self, notice: Notice) -> str:
        """Our payment's id, which this processor always knows."""
        return notice.payment

    def read(self, body: bytes, signature: str, now: str) -> Notice:
        """What it tells by itself.

        Raises:
            Refused: BAD_INPUT when it is not signed, or can not be read.
        """
        check(self._secret, body, signature, now)
        found = _read(body, Notice)
        if found is None:
            raise refuse(RefusalCode.BAD_INPUT, "is no notice of a payment processor.", field="body")
        return found

    async def _order(self, path: str, id: str, body: Any) -> PaymentResult:
        status, found = await self._call("POST", path, id, body)
        if found is None:
            return PaymentResult("unknown", reason=_no(status))
        if found.state == "absent":
            return PaymentResult("unknown", reason=f"http_{status}")
        return _result(found)

    async def _asked(self, path: str, id: str) -> PaymentResult:
        status, found = await self._call("GET", path, id, None)
        return _result(found) if found is not None else PaymentResult("unknown", reason=_no(status))

    async def _call(self, method: str, path: str, id: str, body: Any) -> tuple[int, Answer | None]:
        """Status and answer; 0 when there was no answer at all, None when it is not about this record."""
        status, content = await self._send(method, path, id, body)
        found = _read(content, Answer)
        return status, found if found is not None and found.id == id and status in _MEANT[found.state] else None

    async def _send(self, method: str, path: str, id: str, body: Any) -> tuple[int, bytes]:
        """Status and content; 0 when there was no answer at all, and nothing of one that is too long."""
        import httpx2

        client = self._client
        if client is None:  # made here, because it belongs to the loop of the outside thread
            client = self._client = httpx2.AsyncClient(timeout=self._seconds, trust_env=False, follow_redirects=False)
        headers = {"accept": "application/json"} | ({"idempotency-key": id} if id else {})
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        try:
            async with client.stream(method, self._address + path, headers=headers, json=body) as answer:
                content = b""
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    if len(content) > _BODY_MAX:
                        return answer.status_code, b""
        except (httpx2.HTTPError, httpx2.InvalidURL):
            return 0, b""
        return answer.status_code, content


_Kind = TypeVar("_Kind")


def _read(content: bytes, kind: type[_Kind]) -> _Kind | None:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError:
        return None


def _no(status: int) -> str:
    return f"http_{status}" if status else "no_answer"


class HttpPayouts(HttpPayments):
    """PayoutPort over the same protocol at ``{address}/payouts``: the ``method`` of an order is who gets the money."""

    path = "/payouts"


#: which status says what: an answer that contradicts itself is none
_MEANT = {"succeeded": (200, 201), "pending": (200, 202), "failed": (200, 201, 402), "absent": (404,)}


def _result(found: Answer) -> PaymentResult:
    """The answer, with no more of the processor's words than the books may hold."""
    reference = found.reference if re.fullmatch(r"[!-~]{0,64}", found.reference) else ""
    reason = found.reason if _WORD.fullmatch(found.reason) else ("declined" if found.state == "failed" else "")
    return PaymentResult(found.state, found.amount, found.currency, reference, reason)
