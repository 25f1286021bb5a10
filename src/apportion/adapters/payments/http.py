"""A payment processor behind a small protocol of JSON over HTTP.

``POST {address}/payments``, with the payment's id as ``Idempotency-Key`` and a body of ``id``, ``amount`` (decimal text
in minor units), ``currency``, ``method`` (the processor's token) and ``description``, charges it once, however often it
comes. ``GET {address}/payments/{id}`` tells what became of it and charges nothing. Both answer an object of ``id``,
``state`` (succeeded, failed, pending), ``amount``, ``currency``, ``reference`` (the processor's own name for it) and,
where it failed, a ``reason``:

    200, 201  it succeeded, or failed earlier
    202       pending: ask again
    402       failed: declined, and nothing was charged
    404       to GET, with the state ``absent``: this processor has never heard of it

Whatever else comes back, or does not, leaves the outcome unknown. So does an answer about another id, and, later on,
a success of another amount than the one that was ordered.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from apportion.model.payment import PaymentOrder, PaymentResult

if TYPE_CHECKING:
    import httpx2

_BODY_MAX = 1 << 16
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
    """PaymentPort over the protocol of this module; ``key`` is sent as a bearer token, ``seconds`` bound a call."""

    path = "/payments"

    def __init__(self, address: str, *, key: str = "", seconds: float = 10.0) -> None:
        self._address, self._key, self._seconds = address.rstrip("/"), key, seconds
        self._client: httpx2.AsyncClient | None = None

    async def charge(self, order: PaymentOrder) -> PaymentResult:
        """Charge an order, once per id."""
        body = {
            "id": order.id, "amount": order.amount, "currency": order.currency, "method": order.method,
            "description": order.description,
        }  # fmt: skip
        status, found = await self._call("POST", self.path, order.id, body)
        if found is None:
            return PaymentResult("unknown", reason=f"http_{status}" if status else "no_answer")
        if found.state == "absent":
            return PaymentResult("unknown", reason=f"http_{status}")
        return _result(found)

    async def ask(self, id: str) -> PaymentResult:
        """What became of an order; charges nothing."""
        status, found = await self._call("GET", f"{self.path}/{id}", id, None)
        if found is None:
            return PaymentResult("unknown", reason=f"http_{status}" if status else "no_answer")
        return _result(found)

    async def _call(self, method: str, path: str, id: str, body: Any) -> tuple[int, Answer | None]:
        """Status and answer; 0 when there was no answer at all, None when it is not about this payment."""
        import httpx2

        client = self._client
        if client is None:  # made here, because it belongs to the loop of the outside thread
            client = self._client = httpx2.AsyncClient(timeout=self._seconds, trust_env=False, follow_redirects=False)
        headers = {"accept": "application/json", "idempotency-key": id}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        try:
            async with client.stream(method, self._address + path, headers=headers, json=body) as answer:
                content = b""
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    if len(content) > _BODY_MAX:
                        return answer.status_code, None
        except (httpx2.HTTPError, httpx2.InvalidURL):
            return 0, None
        try:
            found = msgspec.json.decode(content, type=Answer)
        except msgspec.MsgspecError:
            return answer.status_code, None
        return answer.status_code, found if found.id == id and answer.status_code in _MEANT[found.state] else None


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
