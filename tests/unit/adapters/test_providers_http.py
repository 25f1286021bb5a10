"""Asking nodes over HTTP: bounded in time and memory, over connections that may have gone, and never inside."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from apportion.adapters.outside import KeyFile, signature_holds
from apportion.adapters.providers.http import SIGNATURE, HttpProviders
from apportion.model.bid import Acceptance, Asked, CounterOffer, Finished, SignedBid, bytes_of
from apportion.ports import Heard

ASKED = Asked(
    "rfq_12345678", "call", ("termination",), {"seconds": "60"}, "EUR", "2026-11-20T12:00:00Z", "2026-11-20T12:00:01Z"
)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Listening:
    """A server that answers each connection by a function of what it heard, once or as often as it is asked."""

    def __init__(self, reply: Callable[[bytes], bytes], *, once: bool = False, endless: bytes = b"") -> None:
        self.heard: list[bytes] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._reply, self._once, self._endless = reply, once, endless
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                wire, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(wire,), daemon=True).start()

    def _talk(self, wire: socket.socket) -> None:
        try:
            while head := self._request(wire):
                self.heard.append(head)
                wire.sendall(self._reply(head))
                while self._endless:
                    wire.sendall(self._endless)
                if self._once:
                    break
        except OSError:
            pass  # it has hung up on us
        finally:
            wire.close()

    def _request(self, wire: socket.socket) -> bytes:
        got = b""
        while b"\r\n\r\n" not in got:
            chunk = wire.recv(1 << 16)
            if not chunk:
                return b""
            got += chunk
        head, _, body = got.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += wire.recv(1 << 16)
        return head + b"\r\n\r\n" + body

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def listen() -> Iterator[Callable[..., Listening]]:
    made: list[Listening] = []

    def start(*words: Any, **more: Any) -> Listening:
        made.append(Listening(*words, **more))
        return made[-1]

    yield start
    for one in made:
        one.close()


def ask(port: HttpProviders, *addresses: str, asked: Asked = ASKED) -> list[Heard]:
    """What each address answers."""
    found: dict[int, Heard] = {}

    async def all_of_them() -> None:
        await port.ask([(address, asked) for address in addresses], found.__setitem__)

    asyncio.run(all_of_them())
    return [found[at] for at in range(len(addresses))]


def test_each_word_goes_where_it_belongs_and_is_signed(listen: Callable[..., Listening]) -> None:
    server, key = listen(lambda head: OK), KeyFile(None)
    port = HttpProviders(key, private=True)
    later = Asked(
        **{**{f: getattr(ASKED, f) for f in ASKED.__struct_fields__}, "round": 2, "counter": CounterOffer({})}
    )

    async def talk() -> list[Heard]:
        told: list[Heard] = []
        await port.ask([(server.address + "/bids/", ASKED)], lambda at, heard: told.append(heard))
        await port.ask([(server.address, later)], lambda at, heard: told.append(heard))
        told.append(await port.accept(server.address, ASKED.id, Acceptance(SignedBid("{}", "0" * 128))))
        told.append(await port.end(server.address, ASKED.id, Finished("done")))
        return told

    assert asyncio.run(talk()) == [Heard(b"{}")] * 4
    lines = [heard.split(b"\r\n")[0].decode() for heard in server.heard]
    assert lines == [
        "POST /bids/quotes HTTP/1.1", "POST /quotes/rfq_12345678/rounds HTTP/1.1",
        "POST /quotes/rfq_12345678/accept HTTP/1.1", "POST /quotes/rfq_12345678/end HTTP/1.1",
    ]  # fmt: skip
    for heard in server.heard:
        head, _, body = heard.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:])
        assert signature_holds(key.public(), body, headers[SIGNATURE])
    assert server.heard[0].endswith(bytes_of(ASKED))


def test_a_connection_that_had_gone_is_made_again(listen: Callable[..., Listening]) -> None:
    server = listen(lambda head: OK, once=True)  # it hangs up after every answer, without saying so
    port = HttpProviders(private=True)

    async def twice() -> list[Heard]:
        told: list[Heard] = []
        for _ in range(3):
            await port.ask([(server.address, ASKED)], lambda at, heard: told.append(heard))
        return told

    assert asyncio.run(twice()) == [Heard(b"{}")] * 3


def test_who_never_ends_or_says_nothing_useful_is_bounded(listen: Callable[..., Listening]) -> None:
    endless = listen(lambda head: b"HTTP/1.1 200 OK\r\n\r\n", endless=b"x" * 65536)
    headers = listen(lambda head: b"HTTP/1.1 200 OK\r\n", endless=b"x-more: " + b"y" * 8000 + b"\r\n")
    chatter = listen(lambda head: b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + OK)
    nonsense = listen(lambda head: b"220 mail.example ESMTP\r\n\r\n")
    moved = listen(lambda head: b"HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
    silent = listen(lambda head: b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
    servers = (endless, headers, chatter, nonsense, moved, silent)
    found = ask(HttpProviders(private=True, seconds=0.5), *(one.address for one in servers))
    assert [heard.fault for heard in found] == ["oversized", "unreachable", "", "unreachable", "http", "late"]


@pytest.mark.parametrize(
    "address",
    ["", "x", "file:///etc/passwd", "http://example.com", "https://127.0.0.1", "https://10.0.0.1", "https://[::1]",
     "https://user@example.com", "https://169.254.169.254", "https://localhost", "https://2130706433"],
)  # fmt: skip
def test_addresses_that_may_not_be_called_are_not(address: str) -> None:
    (heard,) = ask(HttpProviders(), address)
    assert heard.fault == "unreachable" and not heard.body


def test_a_name_that_leads_inside_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def look_up(host: str, port: int, **more: Any) -> Any:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in ("93.184.216.34", "10.0.0.7")]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    (heard,) = ask(HttpProviders(), "https://bids.example.test")
    assert heard == Heard(fault="unreachable", detail="OSError") and asked == ["bids.example.test"]


def test_one_that_hangs_on_its_name_keeps_nobody_waiting(
    listen: Callable[..., Listening], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, gone = listen(lambda head: OK), threading.Event()

    def look_up(host: str, port: int, **more: Any) -> Any:
        gone.wait(10)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    told: dict[int, Heard] = {}

    async def both() -> None:
        port = HttpProviders(private=True)
        addresses = ["http://nowhere.example.test", server.address]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await port.ask([(one, ASKED) for one in addresses], told.__setitem__)
        gone.set()

    asyncio.run(both())
    assert told == {1: Heard(b"{}")}
