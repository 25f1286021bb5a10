"""Hostile input against a real node: refused within a second, and the node's memory hardly grows."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from tests.faces.api.nodes import NodeProcess, catalog, ride

GROWTH = 64 << 10  # kB
CHUNK = b"10000\r\n" + b" " * 65536 + b"\r\n"


class Watched(NodeProcess):
    """A node whose memory is looked at."""

    def memory(self, which: str = "VmRSS") -> int:
        """Resident kB, or the most that it ever were (``VmHWM``)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(which))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    node = Watched(tmp_path_factory.mktemp("bounds") / "books.db", "--log", "warning")
    assert node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog())).status == 200
    for batch in range(4):  # warm: what a node needs for honest work is there already
        sent = [ride(f"warm-{batch}-{n}", f"rider-{n % 50}") for n in range(2000)]
        assert node.ask("POST", "/v1/usage", sent).status == 200
    yield node
    assert node.stop() == 0, node.log[-5:]


@pytest.fixture(autouse=True)
def bounded(node: Watched) -> Iterator[None]:
    """Whatever a test does, the node has not grown by much, answers honest people, and has booked nothing."""
    before, peak = node.memory(), node.memory("VmHWM")
    books = node.ask("GET", "/v1/accounts?limit=200").body
    yield
    grown = (node.memory("VmHWM") if node.memory("VmHWM") > peak else node.memory()) - before
    assert grown < GROWTH, f"the node grew by {grown >> 10} MB"
    started = time.monotonic()
    assert node.ask("GET", "/ready").status == 200 and node.ask("GET", "/v1/accounts?limit=200").body == books
    assert time.monotonic() - started < 1


def head(node: Watched, path: str, *headers: str, method: str = "POST") -> bytes:
    """The head of a request."""
    more = "".join(f"{header}\r\n" for header in headers)
    media = "Content-Type: application/json\r\n" if not any("Content-Type" in h for h in headers) else ""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {node.first_key}\r\n{media}{more}\r\n".encode()
    )


def sent(node: Watched, first: bytes, more: Iterable[bytes] = (), seconds: float = 1) -> bytes:
    """What comes back within the time for ``first`` and as much of ``more`` as the node listens to."""
    started, found = time.monotonic(), b""
    with socket.create_connection(node.address, timeout=seconds) as line:
        try:
            line.sendall(first)
            for part in more:
                line.sendall(part)
                assert time.monotonic() - started < seconds + 1, "it goes on listening"
        except (ConnectionResetError, BrokenPipeError):
            pass  # hung up on: the answer may be there all the same
        try:
            while part := line.recv(65536):
                found += part
                if b"\r\n\r\n" in found and b"connection: close" not in found.lower():
                    break
        except ConnectionResetError:
            pass
    assert time.monotonic() - started < seconds + 1
    return found


def gigabyte(part: bytes) -> Iterator[bytes]:
    for _ in range((1 << 30) // len(part)):
        yield part


@pytest.mark.parametrize("path", ["/v1/usage", "/v1/events", "/v1/topups", "/v1/catalog"])
def test_a_gigabyte(node: Watched, path: str) -> None:
    method = "PUT" if path == "/v1/catalog" else "POST"
    media = "Content-Type: application/cloudevents+json" if path == "/v1/events" else "Content-Type: application/json"
    declared = sent(node, head(node, path, media, f"Content-Length: {1 << 30}", method=method), gigabyte(b" " * 65536))
    assert not declared or declared.startswith(b"HTTP/1.1 413")
    chunked = sent(node, head(node, path, media, "Transfer-Encoding: chunked", method=method), gigabyte(CHUNK))
    assert not chunked or chunked.startswith(b"HTTP/1.1 413")


def test_lengths_that_lie(node: Watched) -> None:
    body = json.dumps([ride("lie", "rider-1")]).encode()
    more = sent(node, head(node, "/v1/usage", f"Content-Length: {len(body) - 5}") + body)
    assert more.startswith(b"HTTP/1.1 4")
    for length in ("-1", "+5", "0x10", "1e3", "9" * 30, "5, 5", "5;5", "", "５"):
        answer = sent(
            node, head(node, "/v1/usage", f"Content-Length: {length}").replace("５".encode(), b"5\xff") + body
        )
        assert answer.startswith(b"HTTP/1.1 4"), (length, answer[:200])
    for encoding in (
        "gzip, chunked",
        "chunked, identity",
        "xchunked",
        "chunked\r\nTransfer-Encoding: chunked",
        "\x0bchunked",
    ):
        answer = sent(node, head(node, "/v1/usage", f"Transfer-Encoding: {encoding}") + b"2\r\n[]\r\n0\r\n\r\n")
        assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501")), (encoding, answer[:200])
    for size in (b"-1", b"0x2", b"FFFFFFFFFFFFFFFFF", b"zz"):
        answer = sent(node, head(node, "/v1/usage", "Transfer-Encoding: chunked") + size + b"\r\n[]\r\n0\r\n\r\n")
        assert not answer or answer.startswith(b"HTTP/1.1 4"), (size[:20], answer[:200])


def test_smuggled_requests_are_not_heard(node: Watched) -> None:
    """Whatever two readers could understand in two ways is refused, and the second half is never carried out."""
    inner = b'{"payer":"ada","amount":"5","currency":"EUR","reference":"smuggled"}'
    hidden = head(node, "/v1/topups", f"Content-Length: {len(inner)}") + inner
    for outer in (
        head(node, "/v1/usage", f"Content-Length: {len(hidden) + 5}", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        head(node, "/v1/usage", "Content-Length: 0", f"Content-Length: {len(hidden)}"),
        head(node, "/v1/usage", "Content-Length : 0"),
        head(node, "/v1/usage", "Transfer-Encoding: chunked", "Transfer-Encoding: identity") + b"0\r\n\r\n",
        head(node, "/v1/usage", " Content-Length: 2") + b"[]",
        head(node, "/v1/usage\tHTTP/1.1"),
    ):
        answer = sent(node, outer + hidden)
        assert b"201 Created" not in answer and b"top_" not in answer, answer
    listed = b"".join(node.ask("GET", "/v1/export").body.splitlines())
    assert b"smuggled" not in listed and listed.count(b'"kind":"topup"') == 0


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"1," * 7_000_000 + b"1]",
        b"[" + b"{}," * 5_000_000 + b"{}]",
        b"[" + b'"",' * 5_000_000 + b'""]',
        b"[" + b"[]," * 5_000_000 + b"[]]",
        b"[" + (json.dumps(ride("many", "rider-1")).encode() + b",") * 80_000 + b"{}]",
        b"[" * 100_000 + b"]" * 100_000,
        b'[{"a":' * 50_000,
        b"[" + b'{"source":"' + b"s" * 15_000_000 + b'"}]',
        b'[{"quantities":{' + b",".join(b'"%d":"1"' % n for n in range(1_000_000)) + b"}}]",
        b'[{"id":' + b"9" * 15_000_000 + b"}]",
        b'[{"id":1E-9999999999,"source":"m"}]',
        b"[" + b'{"id":"a",' * 10 + b"\xff\xfe\xfd",
        b'[{"id":"' + b"\\ud800" * 100_000 + b'"}]',
    ],
    ids=lambda body: repr(body[:12]) + str(len(body) % 97),
)  # fmt: skip
def test_bodies_out_of_all_proportion(node: Watched, body: bytes) -> None:
    for path, media in (
        ("/v1/usage", "application/json"),
        ("/v1/events", "application/cloudevents-batch+json"),
        ("/v1/events", "application/cloudevents+json"),
    ):
        started = time.monotonic()
        answer = node.ask("POST", path, body, content_type=media, idempotency_key="hostile")
        told = answer.json.get("records", [{}])  # a record whose source can be read is written down as refused
        assert answer.status in (400, 413, 422) or told[0]["state"] == "rejected", (path, answer.body[:300])
        assert time.monotonic() - started < 1.5, f"{path} took {time.monotonic() - started:.1f} s"


def test_long_heads_and_queries(node: Watched) -> None:
    for first in (
        head(node, "/v1/charges?after=" + "a" * 100_000, method="GET"),
        head(node, "/v1/charges?" + "&".join(f"a{n}=1" for n in range(3000)), method="GET"),
        head(node, "/" + "a/" * 100_000, method="GET"),
        head(node, "/v1/me", *[f"X-{n}: y" for n in range(20_000)], method="GET"),
        head(node, "/v1/me", "Idempotency-Key: " + "k" * 100_000, method="GET"),
        head(node, "/v1/me", method="G" * 50_000),
    ):
        answer = sent(node, first)
        assert not answer or answer.startswith(b"HTTP/1.1 4"), answer[:200]
    many = sent(node, head(node, "/v1/charges?" + "&".join(f"a{n}=1" for n in range(100)), method="GET"))
    assert many.startswith(b"HTTP/1.1 4")
    assert sent(node, head(node, "/v1/charges?limit=%00%ff&after=%", method="GET")).startswith(b"HTTP/1.1 4")


def test_many_slow_ones_do_not_stop_the_others(node: Watched) -> None:
    """Heads that never end, bodies that never come, and answers that nobody reads."""
    slow = []
    for n in range(300):
        line = socket.create_connection(node.address)
        begun = (b"GET /v1/me HTTP/1.1\r\nHo", head(node, "/v1/usage", "Content-Length: 100000") + b"[", b"")[n % 3]
        line.sendall(begun)
        slow.append(line)
    readers = []
    for _ in range(20):
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(node.address)
        line.sendall(head(node, "/v1/export", method="GET"))
        readers.append(line)
    started = time.monotonic()
    for n in range(20):
        assert node.ask("POST", "/v1/usage", [ride(f"warm-0-{n}", f"rider-{n % 50}")]).status == 200
        assert node.ask("GET", "/v1/charges?limit=5").status == 200
    assert time.monotonic() - started < 2
    for line in slow + readers:
        line.close()
    deadline = time.monotonic() + 5
    while node.ask("GET", "/v1/export").status != 200:  # those who went away make room
        assert time.monotonic() < deadline


def test_a_crowd_of_bad_requests(node: Watched) -> None:
    bad = b"[" + b'{"source":"meter","id":"1","service":"ride"},' * 9_000 + b"{}]"
    statuses: set[int] = set()

    def shout() -> None:
        statuses.update(node.ask("POST", "/v1/topups", b"[" * 500_000).status for _ in range(5))
        statuses.update(node.ask("POST", "/v1/usage", bad).status for _ in range(2))

    threads = [threading.Thread(target=shout) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses <= {400, 413, 422, 429, 503}
