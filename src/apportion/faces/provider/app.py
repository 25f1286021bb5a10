"""The application of a provider's node: the protocol of bids for platforms, and the door of its own users.

Plain ASGI, with the deadlines of the server around it. Errors are problem details, as everywhere.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec

from apportion.adapters.providers.http import SIGNATURE
from apportion.faces.api.bodies import read
from apportion.faces.api.problems import Declined, encoded, problem_of
from apportion.faces.provider.desk import Desk, check_asker
from apportion.faces.provider.document import document_text
from apportion.faces.provider.home import Home, Said
from apportion.model.bid import BID_BYTES
from apportion.model.provider_node import NodeUser

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Answer = tuple[int, bytes] | Said

#: a bid comes back inside a body of its own, as text with its quotes marked
BODY_MAX, _ID_MAX = 2 * BID_BYTES + 4096, 120
_JSON, _PROBLEM = b"application/json", b"application/problem+json"
_FIXED = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_VERBS = {
    "quotes": ("rounds", "accept", "end"), "requests": ("accept",), "statements": ("",),
    "negotiations": ("", "counter", "accept", "end"),
}  # fmt: skip
_RUN, _REQUESTS = secrets.token_hex(6), itertools.count()


class ProviderApi:
    """The application; ``home`` forwards to a platform, when there is one."""

    def __init__(self, desk: Desk, home: Home | None, crash: Callable[[str, BaseException], None]) -> None:
        self._desk, self._home, self._crash = desk, home, crash
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "the server speaks HTTP only"
        id, media = f"req_{_RUN}{next(_REQUESTS):08x}", _JSON
        more: tuple[tuple[str, str], ...] = ()
        try:
            status, body, *kind = await self._answer(scope, receive)
            media = _PROBLEM if status >= 400 else kind[0].encode("latin-1") if kind else _JSON
        except (Exception, RecursionError) as error:
            problem, more = problem_of(error, id)
            status, body, media = problem.status, encoded(problem), _PROBLEM
            if status == 500:
                self._crash(id, error)
        headers = [
            (b"content-type", media), (b"x-request-id", id.encode()), *_FIXED,
            (b"content-length", b"%d" % len(body)), *((n.encode(), v.encode()) for n, v in more),
        ]  # fmt: skip
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        path = scope["path"]
        if path in ("/ready", "/openapi.json"):
            _method(scope, "GET")
            if path == "/openapi.json":
                return 200, document_text()
            ready = not self.draining
            return (200, b'{"ready":true}') if ready else (503, b'{"ready":false}')
        place, id, verb = _place(path)
        headers = dict(scope["headers"])
        if place == "statements" or (place == "negotiations" and id and not verb):
            _method(scope, "GET")
            return await self._look(place, id, scope["query_string"], headers)
        _method(scope, "POST")
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise Declined("media", "Compressed bodies are not taken.", "Send it as it is.")
        media = headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
        if media != b"application/json":
            raise Declined("media", f"Not {media[:60].decode('latin-1')!a}.", "Send application/json.")
        if place in ("requests", "negotiations"):
            return await self._request((place, id, verb), headers, receive)
        body = await read(headers, receive, BODY_MAX if verb == "accept" else BID_BYTES)
        check_asker(self._desk.node, body, headers.get(SIGNATURE.encode(), b"").decode("latin-1"))
        if verb == "quotes":
            return 200, msgspec.json.encode(self._desk.quote(body))
        run: Callable[[str, bytes], Any] = {
            "rounds": self._desk.round, "accept": self._desk.accept, "end": self._desk.end,
        }[verb]  # fmt: skip
        return 200, msgspec.json.encode(run(id, body))

    async def _request(self, place: tuple[str, str, str], headers: dict[bytes, bytes], receive: Receive) -> Answer:
        home, user = self._door(headers)
        body = await read(headers, receive, BID_BYTES)
        key = headers.get(b"idempotency-key", b"").decode("latin-1")[:255]
        where, id, verb = place
        if where == "negotiations":
            return await (home.move(user, id, verb, body, key) if id else home.negotiate(user, body, key))
        return await (home.accept(user, id, body, key) if id else home.plan(user, body, key))

    async def _look(self, place: str, id: str, query: bytes, headers: dict[bytes, bytes]) -> Answer:
        home, user = self._door(headers)
        if place == "negotiations":
            return await home.stands(user, id)
        return await home.bill(user, id, parse_qs(query.decode("latin-1")).get("format", [""])[-1])

    def _door(self, headers: dict[bytes, bytes]) -> tuple[Home, NodeUser]:
        if self._home is None:
            raise Declined("no_route", "This node forwards to no platform.", "Start it with --platform.")
        return self._home, self._home.user(headers)


def _method(scope: Scope, wanted: str) -> None:
    if scope["method"] != wanted:
        raise Declined("method", f"It takes {wanted}.", "See /openapi.json.", (("allow", wanted),))


def _place(path: str) -> tuple[str, str, str]:
    """Where an address leads: to bids, or to what users ask for; the id in it, and what is to be done there.

    Raises:
        Declined: nowhere.
    """
    pieces = path.removeprefix("/").split("/")
    if len(pieces) == 1 and pieces[0] in ("quotes", "requests", "negotiations"):
        return pieces[0], "", pieces[0]
    if len(pieces) in (2, 3) and 0 < len(pieces[1]) <= _ID_MAX:
        place, id, verb = (*pieces, "")[:3]
        if verb in _VERBS.get(place, ()):
            return place, id, verb
    raise Declined("no_route", "", "See /openapi.json for all addresses.")
