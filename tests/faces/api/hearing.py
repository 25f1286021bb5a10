"""Those who are told: a stream of events over HTTP, and a receiver of webhooks, both as strangers would write them."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple

from tests.faces.api.nodes import NodeProcess

Event = dict[str, Any]


class Stream:
    """A stream of events, read by a thread of its own; ``cursor`` is the last id that came."""

    def __init__(self, node: NodeProcess, path: str, key: str = "", last: str = "") -> None:
        self._http = http.client.HTTPConnection(*node.address, timeout=30)
        headers = {"authorization": f"Bearer {key or node.first_key}"} if key != "none" else {}
        self._http.request("GET", path, headers=headers | ({"last-event-id": last} if last else {}))
        self._wire = self._http.sock
        self._answer = self._http.getresponse()
        self.status = self._answer.status
        self.events: list[Event] = []
        self.cursors: list[str] = []
        self.comments = 0
        self.cursor, self.ended = last, threading.Event()
        self._moved = threading.Condition()
        if self.status == 200:
            assert self._answer.headers["content-type"] == "text/event-stream"
            self._thread = threading.Thread(target=self._read, daemon=True)
            self._thread.start()

    @property
    def problem(self) -> Any:
        """What was answered instead of a stream."""
        return json.loads(self._answer.read())

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            while line := self._answer.readline():
                text = line.decode().rstrip("\n")
                name, _, value = text.partition(": ")
                if text:
                    fields[name] = value
                    continue
                with self._moved:
                    self.comments += "" in fields
                    self.cursor = fields.get("id", self.cursor)
                    if "data" in fields:
                        event = json.loads(fields["data"])
                        assert event["type"] == fields["event"]
                        self.events.append(event)
                        self.cursors.append(self.cursor)
                    self._moved.notify_all()
                fields = {}
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            pass  # it was closed, on this side or the other
        self.ended.set()

    def wait(self, until: Callable[[list[Event]], bool], seconds: float = 10) -> list[Event]:
        """The events, as soon as they are what is waited for."""
        with self._moved:
            if not self._moved.wait_for(lambda: until(self.events), seconds):
                raise AssertionError(f"{len(self.events)} came, the last: {[e['type'] for e in self.events[-20:]]}")
            return list(self.events)

    def wait_for_cursor(self, seconds: float = 10) -> str:
        """The first cursor, with which the stream begins."""
        with self._moved:
            assert self._moved.wait_for(lambda: self.cursor, seconds)
            return self.cursor

    def close(self) -> None:
        """Go away."""
        try:
            self._wire.shutdown(2)
        except OSError:
            pass
        self._http.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Told(NamedTuple):
    """One request to a receiver."""

    at: float
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def event(self) -> Event:
        return json.loads(self.body)


class Receiver:
    """A receiver of webhooks on a port of its own; answers what ``answers`` holds, then 204 for ever."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.answers: list[int] = []
        self.slow = 0.0
        self._moved = threading.Condition()
        receiver = self

        class Asked(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                time.sleep(receiver.slow)
                status = receiver._take({k.lower(): v for k, v in self.headers.items()}, body)
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("location", receiver.url + "elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *words: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Asked)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _take(self, headers: dict[str, str], body: bytes) -> int:
        with self._moved:
            status = self.answers.pop(0) if self.answers else 204
            self.told.append(Told(time.monotonic(), headers, body, status))
            self._moved.notify_all()
            return status

    @property
    def accepted(self) -> list[Event]:
        """The events that were taken, in order."""
        return [told.event for told in self.told if 200 <= told.status < 300]

    def wait(self, until: Callable[[list[Event]], bool], seconds: float = 15) -> list[Event]:
        """The events that were taken, as soon as they are what is waited for."""
        with self._moved:
            assert self._moved.wait_for(lambda: until(self.accepted), seconds), [
                (told.event["type"], told.status) for told in self.told
            ]
            return self.accepted

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
