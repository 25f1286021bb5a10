"""The home of a provider's own users: what they ask for and negotiate goes on to the platform, in the provider's name.

The platform chooses. What the provider itself offers competes there like everybody else's, because it is asked there
like everybody else. A user is known by a token and may ask for the payers that the node's file names, nobody else. A
mandate is not taken: no provider may know it, so a user's own device bargains. Bills that the provider sends are here.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from apportion.adapters.whose import Whose
from apportion.engine.exchange import Nothing
from apportion.errors import RefusalCode, Refused, StoreUnavailable, refuse
from apportion.faces.api.bodies import record
from apportion.faces.api.problems import Declined
from apportion.model.provider_node import NodeUser
from apportion.model.request import Request
from apportion.model.talks import AgreeAsked, CounterAsked, NegotiationAsked

if TYPE_CHECKING:
    import httpx2

_ANSWER_MAX, _SECONDS = 16 << 20, 30.0
_T = TypeVar("_T")
_MOVES: dict[str, type[msgspec.Struct]] = {"counter": CounterAsked, "accept": AgreeAsked, "end": Nothing}


class _Made(msgspec.Struct):
    """What must be known of a plan or a negotiation that the platform made; ``agreed`` is the plan that came of it."""

    id: str
    agreed: str = ""


class _Bill(msgspec.Struct):
    """What must be known of a document: whose it is."""

    name: str


class Said(NamedTuple):
    """What the platform answered: problems included."""

    status: int
    body: bytes
    media: str


class Home:
    """The way on to a ``platform`` with the provider's ``key``; used on one event loop."""

    def __init__(self, platform: str, key: str, users: tuple[NodeUser, ...], known: Whose | None = None) -> None:
        self._platform, self._key, self._users = platform.rstrip("/"), key, users
        self._known = known or Whose()
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

    async def plan(self, user: NodeUser, body: bytes, key: str) -> Said:
        """The platform's plan for a user's request.

        Raises:
            Refused: it can not be read, or names payers that this user may not ask for.
        """
        request = record(body, Request)
        _own(user, request, "")
        return self._noted(user, await self._send("POST", "/v1/plans", msgspec.json.encode(request), key))

    async def accept(self, user: NodeUser, plan: str, body: bytes, key: str) -> Said:
        """Accept a plan that was made for this user, or that came of a negotiation of theirs.

        Raises:
            Refused: NOT_FOUND, also for the plan of somebody else.
        """
        self._theirs(user, plan, "plan")
        return await self._send("POST", f"/v1/plans/{plan}/accept", body or b"{}", key)

    async def negotiate(self, user: NodeUser, body: bytes, key: str) -> Said:
        """The first offers for a user's request; the negotiation is the user's to lead.

        Raises:
            Refused: it can not be read, names payers that this user may not ask for, or holds a mandate.
        """
        given = record(body, NegotiationAsked)
        _own(user, given.request, "request.")
        if given.mandate is not None:
            raise refuse(
                RefusalCode.BAD_INPUT, "a mandate is for who pays alone: no provider may know it.", field="mandate",
                fix="Keep it on the device, and make counter-offers.",
            )  # fmt: skip
        return self._noted(user, await self._send("POST", "/v1/negotiations", msgspec.json.encode(given), key))

    async def move(self, user: NodeUser, id: str, verb: str, body: bytes, key: str) -> Said:
        """Counter, accept or end a negotiation of this user.

        Raises:
            Refused: it can not be read; NOT_FOUND, also for the negotiation of somebody else.
        """
        self._theirs(user, id, "negotiation")
        given = msgspec.json.encode(record(body, _MOVES[verb]))
        return self._noted(user, await self._send("POST", f"/v1/negotiations/{id}/{verb}", given, key))

    async def stands(self, user: NodeUser, id: str) -> Said:
        """A negotiation of this user as it stands.

        Raises:
            Refused: NOT_FOUND, also for the negotiation of somebody else.
        """
        self._theirs(user, id, "negotiation")
        return self._noted(user, await self._send("GET", f"/v1/negotiations/{id}"))

    async def bill(self, user: NodeUser, id: str, form: str) -> Said:
        """A statement that the provider sends this user, by id or number; ``form`` is json when empty.

        Raises:
            Refused: NOT_FOUND, also for the bill of somebody else.
        """
        path = f"/v1/statements/{quote(id, safe='')}"
        said = await self._send("GET", path)
        if said.status < 300 and _read(said, _Bill).name not in user.payers:
            raise _absent("statement")
        return await self._send("GET", f"{path}?format={quote(form, safe='')}") if form and said.status < 300 else said

    async def close(self) -> None:
        """Give back the connections."""
        if self._http is not None:
            await self._http.aclose()

    def _theirs(self, user: NodeUser, id: str, what: str) -> None:
        if self._known.get(id) != user.name:
            raise _absent(what)

    def _noted(self, user: NodeUser, said: Said) -> Said:
        """Remember whose plan or negotiation it is that the platform made."""
        if said.status < 300:
            made = _read(said, _Made)
            for id in filter(None, (made.id, made.agreed)):
                self._known.put(id, user.name)
        return said

    async def _send(self, method: str, path: str, body: bytes = b"", key: str = "") -> Said:
        """Ask the platform as the provider.

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
            async with self._http.stream(method, self._platform + path, content=body, headers=headers) as answer:
                content = b""
                async for chunk in answer.aiter_raw():
                    content += chunk
                    if len(content) > _ANSWER_MAX:
                        raise StoreUnavailable("The platform answered more than is read.")
        except httpx2.HTTPError as error:
            raise StoreUnavailable(f"The platform does not answer ({type(error).__name__}).") from None
        if answer.status_code in (401, 403):  # that is between the node and the platform
            raise StoreUnavailable("The platform does not take this node's key.")
        return Said(answer.status_code, content, answer.headers.get("content-type", "application/json"))


def _own(user: NodeUser, request: Request, where: str) -> None:
    """Refuse payers that a user may not ask for."""
    for at, payer in enumerate(request.payers):
        if payer.payer not in user.payers:
            raise refuse(
                RefusalCode.UNKNOWN_PAYER, "is nobody you may ask for.", field=f"{where}payers[{at}]",
                fix="Name one of: " + ", ".join(user.payers) + ".",
            )  # fmt: skip


def _absent(what: str) -> Refused:
    return refuse(RefusalCode.NOT_FOUND, f"There is no such {what} of yours.", field=what, fix="Ask for one.")


def _read(said: Said, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(said.body, type=kind)
    except msgspec.MsgspecError:
        raise StoreUnavailable("The platform answered what can not be read.") from None
