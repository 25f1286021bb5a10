"""One ASGI application: find the operation, know the caller, read the body within its bounds, ask, answer.

It is plain ASGI on purpose: a framework between socket and operation costs as much again as the request itself.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from blake3 import blake3

from apportion.engine import once, verbs
from apportion.engine.alone import act_once
from apportion.engine.gather import Job
from apportion.engine.operations import Once, Operation, Way
from apportion.engine.statements.operations import FORMS
from apportion.engine.verbs import Call
from apportion.errors import RefusalCode, StoreUnavailable, refuse
from apportion.faces.api import bodies, notices, pages
from apportion.faces.api.hub import Listener, frames
from apportion.faces.api.node import Node
from apportion.faces.api.problems import Declined, absent, encoded, problem_of
from apportion.faces.api.routes import find
from apportion.faces.api.watch import Watch
from apportion.faces.forms import documents_of, file_name, formed
from apportion.faces.receiving import bounded
from apportion.model.access import AccessRole, Credential
from apportion.model.command import Outcome
from apportion.model.webhook import NewWebhook, WebhookView

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
_JSON = b"application/json"
_PROBLEM = b"application/problem+json"
_RUN, _REQUESTS = secrets.token_hex(6), itertools.count()  # a request id is no secret; the kernel need not be asked
_NARROW = (AccessRole.USER, AccessRole.PROVIDER)
_FIXED = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_PAGED = (_FIXED[0], _FIXED[1], (b"content-security-policy", pages.POLICY))


class Reply(msgspec.Struct):
    """An answer: bytes, or chunks of a long one."""

    body: bytes | AsyncIterator[bytes]
    status: int = 200
    media: bytes = _JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Seen(msgspec.Struct):
    """What is known of a request so far, for the log and the metrics."""

    id: str
    route: str = "none"
    key: str = ""
    role: AccessRole | None = None


class Api:
    """The application; deadlines are the server's."""

    def __init__(self, node: Node, watch: Watch) -> None:
        self.node, self.watch = node, watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "the server speaks HTTP only"
        started = time.perf_counter()
        seen = Seen(f"req_{_RUN}{next(_REQUESTS):08x}")
        try:
            reply = await self._reply(scope, receive, seen)
        except (Exception, RecursionError) as error:
            reply = self._problem(error, seen)
        watched = time.perf_counter() if reply.headers is _UNBUFFERED else 0.0  # a stream has no end worth measuring
        try:
            await self._send(reply, seen, send)
        finally:
            ended = watched or time.perf_counter()
            self.watch.request(seen.id, seen.route, seen.key, reply.status, ended - started)

    def _problem(self, error: BaseException, seen: Seen) -> Reply:
        problem, headers = problem_of(error, seen.id)
        if problem.status == 404 and problem.code == "not_found" and seen.role in _NARROW:
            problem = absent(seen.id)
        if problem.status == 500:
            self.watch.crash(seen.id, error)
        return Reply(encoded(problem), problem.status, _PROBLEM, tuple((n.encode(), v.encode()) for n, v in headers))

    async def _send(self, reply: Reply, seen: Seen, send: Send) -> None:
        paged = reply.media.startswith((b"text/html", b"text/css", b"text/javascript", b"image/"))
        headers = [
            (b"content-type", reply.media), (b"x-request-id", seen.id.encode()), *(_PAGED if paged else _FIXED),
            *reply.headers,
        ]  # fmt: skip
        if isinstance(reply.body, bytes):
            headers.append((b"content-length", b"%d" % len(reply.body)))
            await send({"type": "http.response.start", "status": reply.status, "headers": headers})
            await send({"type": "http.response.body", "body": reply.body})
            return
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        async for chunk in reply.body:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    # one request

    async def _reply(self, scope: Scope, receive: Receive, seen: Seen) -> Reply:
        method, path = scope["method"], scope["path"]
        page = pages.PAGES.get(path) or (pages.asset if path.startswith("/docs/") else None)
        if page is not None:
            return await self._page(page, scope, seen)
        if path.startswith(notices.PATH):
            seen.route = "processor_event"
            return Reply(await notices.hear(self.node, method, path, dict(scope["headers"]), receive))
        operation, id = find(method, path)
        seen.route = operation.name
        headers = dict(scope["headers"])
        now = self.node.now()
        caller = await self._caller(headers, seen)
        if caller.role not in operation.roles:
            roles = " or ".join(sorted(role.value for role in operation.roles))
            raise Declined(
                "forbidden", f"A {caller.role.value}'s key may not {operation.name}.", f"Use a key of the role {roles}."
            )
        body = b""
        if operation.takes is not None or operation.method != "GET":
            media = bodies.media(headers, operation)
            body = await bodies.read(headers, receive, operation.body_max)
        query = self._query(operation, scope["query_string"])
        call = Call(caller, id, None, query)
        if operation.forms and getattr(query, "format", "json") != "json":
            return await self._formed(operation, call)
        if operation.way is Way.READ:
            return Reply(await self.node.read(caller.tenant, lambda engine: _answered(engine, operation, call, body)))
        if operation.way is Way.STREAM:
            return await self._stream(operation, call)
        if operation.way is Way.WATCH:
            return await self._watch(operation, call, scope, receive)
        key = self._key(headers, operation)

        def may_write(source: str) -> bool:
            return self.node.keyring.may_write(caller, source, now)

        print_ = blake3(b"%b %b\n%b" % (method.encode(), scope["raw_path"], body)).digest(8) if key else b""
        given = await bodies.decoded(self.node, operation, (body, media), caller.tenant, may_write)
        call = Call(caller, id, given, query)
        bounded(caller, given)
        if operation.way in (Way.GROUP, Way.PLAN):
            return await self._group(operation, call, key, print_)
        return await self._alone(operation, call, key, print_)

    async def _page(self, page: pages.Page | Callable[[str], pages.Page], scope: Scope, seen: Seen) -> Reply:
        """Health, metrics, the document of the API and its pages."""
        if callable(page):
            page = page(scope["path"])
        seen.route = page.name
        if scope["method"] not in ("GET", "HEAD"):
            raise Declined("method", headers=(("allow", "GET"),))
        if page.roles:
            caller = await self._caller(dict(scope["headers"]), seen)
            if caller.role not in page.roles:
                raise Declined("forbidden", "Metrics are for operators and auditors.", "Use another key.")
        status, media, body = page.answer(self.node, self.watch)
        return Reply(body, status, media.encode(), ((b"retry-after", b"1"),) if status == 503 else ())

    async def _caller(self, headers: dict[bytes, bytes], seen: Seen) -> Credential:
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        found = await self.node.find_key(token.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            fix = "Send `Authorization: Bearer apk_…`; an operator makes keys with POST /v1/keys."
            raise Declined("unauthenticated", "", fix, (("www-authenticate", "Bearer"),))
        seen.key, seen.role = found.id, found.role
        return found

    def _key(self, headers: dict[bytes, bytes], operation: Operation) -> str:
        """The Idempotency-Key; at most 255 printable characters."""
        key = headers.get(b"idempotency-key", b"").decode("latin-1")
        if operation.once is Once.NONE:
            return ""
        if not key and operation.once is Once.REQUIRED:
            raise Declined("key_missing", "", "Send a fresh Idempotency-Key, and the same one whenever you repeat it.")
        if len(key) > 255 or not key.isascii() or (key and not key.isprintable()):
            raise refuse(
                RefusalCode.BAD_INPUT, "has more than 255 characters, or some that do not print.", field=once.KEY_FIELD
            )
        return key

    def _query(self, operation: Operation, text: bytes) -> Any:
        try:
            pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True, max_num_fields=20)
        except ValueError:
            raise refuse(RefusalCode.BAD_INPUT, "has more than 20 parameters.", field="query") from None
        if operation.query is None:
            if pairs:
                raise refuse(
                    RefusalCode.UNKNOWN_FIELD, "is not known here.", field=pairs[0][0][:60], fix="Leave it out."
                )
            return None
        if len(dict(pairs)) < len(pairs):
            raise refuse(RefusalCode.BAD_INPUT, "A parameter stands twice.", field="query", fix="Keep one.")
        try:
            return msgspec.convert(dict(pairs), operation.query, strict=False)
        except msgspec.ValidationError as error:
            raise refuse(RefusalCode.BAD_INPUT, f"{error}.", field="query", fix="See /docs.") from None

    # the three ways

    async def _group(self, operation: Operation, call: Call, key: str, print_: bytes) -> Reply:
        replayed = False
        commands: Sequence[object]
        if operation.way is Way.PLAN:
            commands = await self.node.plan(
                call.caller.tenant, lambda engine: once.found(lambda: operation.run(engine, call), key)
            )
        else:
            commands = operation.run(call)
        if not key and operation.name == "top_up":
            key = f"reference {call.given.reference}"
            print_ = blake3(msgspec.json.encode(call.given)).digest(8)
        if key:
            usage = operation.told is verbs.usage_told
            commands = once.under_key(call.caller.id, key, commands, print_, usage=usage)
        told = operation.told
        assert told is not None

        def tell(engine: Any, outcomes: list[Outcome]) -> Any:
            nonlocal replayed
            once.check_reused(outcomes)
            replayed = bool(outcomes) and all(outcome.replayed for outcome in outcomes)
            return told(engine, call, outcomes)

        if not commands:
            return Reply(msgspec.json.encode(verbs.UsageAnswer(())))
        answer = await self.node.write(Job(call.caller.tenant, commands, tell))
        self.watch.told(answer)
        return Reply(msgspec.json.encode(answer), operation.status, headers=_REPLAYED if replayed else ())

    async def _alone(self, operation: Operation, call: Call, key: str, print_: bytes) -> Reply:
        replayed = False
        if operation.ahead is not None:
            call = msgspec.structs.replace(call, ahead=await self.node.read(call.caller.tenant, operation.ahead))

        def act(engine: Any) -> bytes:
            nonlocal replayed
            if not key:
                return msgspec.json.encode(operation.run(engine, call))
            first = once.request_keys(call.caller.id, key, 1)[0]
            body, replayed = act_once(engine, first, print_, lambda: operation.run(engine, call))
            return body

        body = await self.node.write(Job(call.caller.tenant, act=act))
        if operation.name in ("create_key", "revoke_key"):
            await self.node.refresh_keys(call.caller.tenant)
        if operation.gives in (NewWebhook, WebhookView):
            await self.node.deliveries.changed(call.caller.tenant)
        return Reply(body, operation.status, headers=_REPLAYED if replayed else ())

    async def _formed(self, operation: Operation, call: Call) -> Reply:
        """Documents for people: as a page, a PDF, lines for a spreadsheet, or plain text."""
        form = call.query.format

        def ask(engine: Any) -> tuple[bytes, str]:
            documents = documents_of(operation.run(engine, call))
            return formed(documents, form), file_name(documents[0], form)

        body, name = await self.node.read(call.caller.tenant, ask)
        shown = b"attachment" if form in ("pdf", "csv") else b"inline"
        headers = ((b"content-disposition", shown + f'; filename="{name}"'.encode()),)
        return Reply(body, media=FORMS[form].encode(), headers=headers)

    async def _watch(self, operation: Operation, call: Call, scope: Scope, receive: Receive) -> Reply:
        """Events as they happen, until the caller goes, its key ends, or the node stops."""
        tenant = call.caller.tenant
        after = dict(scope["headers"]).get(b"last-event-id", b"").decode("latin-1")
        if after:
            call = msgspec.structs.replace(call, query=msgspec.structs.replace(call.query, after=after[:120]))
        watching = await self.node.read(tenant, lambda engine: operation.run(engine, call))
        if self.node.draining:
            raise StoreUnavailable("The node is stopping. Come back with the last event's id.")
        listener = self.node.hub.listen(tenant, watching, scope.get(HANG_UP, lambda: None))
        listener.gone = asyncio.ensure_future(_until_gone(receive, listener))
        return Reply(frames(self.node.hub, listener), media=operation.media[0].encode(), headers=_UNBUFFERED)

    async def _stream(self, operation: Operation, call: Call) -> Reply:
        tenant = call.caller.tenant
        await self.node.write(Job(tenant, act=lambda engine: verbs.seal(engine, call)))
        lines = self.node.lines(tenant, lambda engine: operation.run(engine, call))
        first = await anext(lines, b"")  # whatever is wrong shows before the answer begins
        return Reply(_after(first, lines), media=operation.media[0].encode())


def _answered(engine: Any, operation: Operation, call: Call, body: bytes) -> bytes:
    """The answer of an operation that only reads; what it is asked for may stand in a body."""
    if operation.takes is not None:
        call = msgspec.structs.replace(call, given=bodies.record(body, operation.takes))
    return msgspec.json.encode(operation.run(engine, call))


async def _after(first: bytes, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        yield first
        async for chunk in lines:
            yield chunk
    finally:
        await lines.aclose()  # type: ignore[attr-defined]


async def _until_gone(receive: Receive, listener: Listener) -> None:
    """Let a listener go when its connection has ended."""
    while (await receive())["type"] != "http.disconnect":
        pass
    listener.end()


#: what the server leaves in a request's scope, so that who does not read can be cut off
HANG_UP = "apportion.hang_up"
_UNBUFFERED = ((b"x-accel-buffering", b"no"),)
_REPLAYED = ((b"idempotency-replayed", b"true"),)
