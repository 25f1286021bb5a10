"""The home of a provider's own users: their requests go on to the platform, in the provider's name.

The platform chooses. What the provider itself offers competes there like everybody else's, because it is asked there
like everybody else. A user is known by a token and may ask for the payers that the node's file names, nobody else.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec

from apportion.errors import RefusalCode, StoreUnavailable, refuse
from apportion.faces.api.bodies import record
from apportion.faces.api.problems import Declined
from apportion.model.provider_node import NodeUser
from apportion.model.request import Request

if TYPE_CHECKING:
    import httpx2

_PLANS_MAX, _ANSWER_MAX, _SECONDS = 10_000, 16 << 20, 30.0


class _Made(msgspec.Struct):
    """What must be known of a plan that the platform made."""

    id: str


class Home:
    """The way on to a ``platform`` with the provider's ``key``; used on one event loop."""

    def __init__(self, platform: str, key: str, users: tuple[NodeUser, ...]) -> None:
        self._platform, self._key, self._users = platform.rstrip("/"), key, users
        self._plans: OrderedDict[str, str] = OrderedDict()
        self._http: httpx2.AsyncClient | None = None

    def user(self, headers: dict[bytes, bytes]) -> NodeUser:
        """Who asks. Every hash is compared, whichever fits, so that time says nothing.

        Raises:
            Declined: nobody who is known here.
        """
        kind, _, token = headers.get(b"authorization", b"").partition(b" ")
        digest = hashlib.sha256(token.strip()).hexdigest()
        fits = [user for user in self._users if hmac.compare_digest(user.token, digest)]
        if kind.lower() != b"bearer" or not fits:
            raise Declined("unauthenticated", "", "Send Authorization: Bearer and your token.")
        return fits[0]

    async def plan(self, user: NodeUser, body: bytes, key: str) -> tuple[int, bytes]:
        """The platform's plan for a user's request.

        Raises:
            Refused: it can not be read, or names payers that this user may not ask for.
        """
        request = record(body, Request)
        for at, payer in enumerate(request.payers):
            if payer.payer not in user.payers:
                raise refuse(
                    RefusalCode.UNKNOWN_PAYER, "is nobody you may ask for.", field=f"payers[{at}]",
                    fix="Name one of: " + ", ".join(user.payers) + ".",
                )  # fmt: skip
        status, answer = await self._post("/v1/plans", msgspec.json.encode(request), key)
        if status < 300:
            try:
                made = msgspec.json.decode(answer, type=_Made)
            except msgspec.MsgspecError:
                raise StoreUnavailable("The platform answered what is no plan.") from None
            self._plans[made.id] = user.name
            while len(self._plans) > _PLANS_MAX:
                self._plans.popitem(last=False)
        return status, answer

    async def accept(self, user: NodeUser, plan: str, body: bytes, key: str) -> tuple[int, bytes]:
        """Accept a plan that was made for this user.

        Raises:
            Refused: NOT_FOUND, also for the plan of somebody else.
        """
        if self._plans.get(plan) != user.name:
            raise refuse(RefusalCode.NOT_FOUND, "There is no such plan of yours.", field="plan", fix="Ask for one.")
        return await self._post(f"/v1/plans/{plan}/accept", body or b"{}", key)

    async def close(self) -> None:
        """Give back the connections."""
        if self._http is not None:
            await self._http.aclose()

    async def _post(self, path: str, body: bytes, key: str) -> tuple[int, bytes]:
        """Ask the platform as the provider; its status and answer, problems included.

        Raises:
            StoreUnavailable: it does not answer.
        """
        import httpx2

        if self._http is None:
            self._http = httpx2.AsyncClient(timeout=_SECONDS, trust_env=False, follow_redirects=False)
        headers = {
            "authorization": f"Bearer {self._key}", "content-type": "application/json",
            "idempotency-key": key or secrets.token_hex(16), "accept-encoding": "identity",
        }  # fmt: skip
        try:
            async with self._http.stream("POST", self._platform + path, content=body, headers=headers) as answer:
                content = b""
                async for chunk in answer.aiter_raw():
                    content += chunk
                    if len(content) > _ANSWER_MAX:
                        raise StoreUnavailable("The platform answered more than is read.")
        except httpx2.HTTPError as error:
            raise StoreUnavailable(f"The platform does not answer ({type(error).__name__}).") from None
        if answer.status_code in (401, 403):  # that is between the node and the platform
            raise StoreUnavailable("The platform does not take this node's key.")
        return answer.status_code, content
