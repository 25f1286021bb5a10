"""The server process: sockets with deadlines, signals, a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from apportion.errors import Misconfigured
from apportion.faces.api.app import HANG_UP, Api
from apportion.faces.api.corked import Corked
from apportion.faces.api.node import Node
from apportion.faces.api.problems import DECLINED
from apportion.faces.api.watch import Watch

HEAD_MAX = 1 << 15
SWITCH_SECONDS = 0.001  # how long a thread keeps the interpreter while another one wants it


class Serving(msgspec.Struct, frozen=True):
    """Where and how to serve; deadlines are absolute, in seconds. Without ``schedule`` that is left to other nodes."""

    host: str = "127.0.0.1"
    port: int = 8080
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    send_seconds: float = 60.0
    drain_seconds: int = 30
    connections: int = 2000
    schedule: bool = True


class Bounded(HttpToolsProtocol):
    """HTTP as uvicorn speaks it, with what it lacks: absolute deadlines for head, body and a slow reader."""

    serving = Serving()
    _arriving: asyncio.TimerHandle | None = None
    _leaving: asyncio.TimerHandle | None = None
    _in_head = True
    _head = _came = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(Corked(transport, self.loop))  # type: ignore[arg-type]
        if len(self.connections) > self.serving.connections:
            self._close(503, "overloaded", b"retry-after: 1\r\n")
            return
        self._wait(self.serving.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._came = len(data)
        if self._in_head:
            self._head += self._came
        super().data_received(data)
        if self._in_head:
            if self._head > HEAD_MAX:
                self._close(431, "head_too_large")
        elif self._arriving is None and self.cycle is not None and self.cycle.more_body:
            self._wait(self.serving.body_seconds)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head = True, 0
        if self._arriving is None:
            self._wait(self.serving.head_seconds)

    def on_headers_complete(self) -> None:
        self._arrived()
        self._in_head = False
        if _ambiguous(self.headers):
            self._close(400, "malformed")
            return
        if self._came > HEAD_MAX and sum([len(n) + len(v) + 4 for n, v in self.headers], len(self.url)) > HEAD_MAX:
            self._close(431, "head_too_large")  # it came in one piece
            return
        super().on_headers_complete()
        self.scope[HANG_UP] = self.transport.abort  # type: ignore[literal-required]

    def on_message_complete(self) -> None:
        self._arrived()
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._leaving is None:
            self._leaving = self.loop.call_later(self.serving.send_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    def send_400_response(self, msg: str) -> None:
        self._close(400, "malformed")

    def _wait(self, seconds: float) -> None:
        self._arriving = self.loop.call_later(seconds, self._close, 408, "too_slow")

    def _arrived(self) -> None:
        if self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None

    def _close(self, status: int, code: str, more: bytes = b"") -> None:
        """Answer what never became a request, and hang up."""
        self._arrived()
        if self.transport.is_closing():
            return
        title = DECLINED[code][1]
        problem = {"type": f"urn:apportion:problem:{code}", "title": title, "status": status, "code": code}
        body = msgspec.json.encode(problem)
        head = b"content-type: application/problem+json\r\nconnection: close\r\ncontent-length: %d\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + more + b"\r\n" + body)
        self.transport.close()


def _ambiguous(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether two readers could understand a head in two ways."""
    names = [name for name, _ in headers]
    lengths, codings = names.count(b"content-length"), [v for name, v in headers if name == b"transfer-encoding"]
    if lengths > 1 or (codings and (lengths or codings != [b"chunked"])):
        return True
    return names.count(b"host") > 1 or names.count(b"authorization") > 1


def protocol_of(serving: Serving) -> type[Bounded]:
    """The protocol with these deadlines."""
    return type("Deadlines", (Bounded,), {"serving": serving})


class _Server(uvicorn.Server):
    """A server that ends by returning, so that the books can be sealed after it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(serving: Serving) -> socket.socket:
    """Take the address, before anything else is done.

    Raises:
        Misconfigured: it is taken, or none of this machine's.
    """
    try:
        family = socket.getaddrinfo(serving.host, serving.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((serving.host, serving.port), family=family, backlog=2048)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise Misconfigured(
            f"{serving.host}:{serving.port} can not be listened on: {why}. Name another --port "
            "(0 takes a free one) or --host."
        ) from error


def serve(node: Node, watch: Watch, serving: Serving, listening: socket.socket) -> int:
    """Serve until a signal; the exit code: 0 when everything accepted was finished, 1 when the store failed."""
    api = Api(node, watch)
    config = uvicorn.Config(
        api, http=protocol_of(serving), ws="none", lifespan="off", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, timeout_keep_alive=30,
        timeout_graceful_shutdown=serving.drain_seconds,
    )  # fmt: skip
    server = _Server(config)
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.freeze()  # what is there now stays; looking through it again and again would cost a tenth
    gc.set_threshold(50_000, 20, 50)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_run(server, node, watch, listening))
    failed = node.gatherer.failed
    try:
        node.stop()
    except Exception as error:
        watch.event("the store did not close", error=type(error).__name__)
        failed = True
    watch.note("stopped", failed=failed)
    return int(failed)


async def _run(server: _Server, node: Node, watch: Watch, listening: socket.socket) -> None:
    loop = asyncio.get_running_loop()

    def end(why: str) -> None:
        watch.note("draining", why=why)
        node.draining = server.should_exit = True
        node.hub.drain()

    def broken() -> None:
        watch.event("the store failed", error=node.gatherer.reason)
        end("failure")

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, signal.Signals(number).name)
    node.on_broken = broken
    node.on_late = lambda payment: watch.event("a payment has had no outcome for long", payment=payment)
    node.note, node.crash, node.on_told = watch.event, watch.crash, watch.delivered
    node.on_ran = watch.ran
    node.start(loop)
    await server.serve(sockets=[listening])
    await node.mender.stop()
    if node.schedules is not None:
        await node.schedules.stop()
    await node.deliveries.stop()
