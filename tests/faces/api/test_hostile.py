"""Hostile input: answered as a problem, quickly, and nobody else notices."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest

from tests.faces.api.nodes import NodeProcess, ride

RECORD = ride("h")
DEEP = b"[" * 100_000 + b"]" * 100_000


def usage(**more: Any) -> bytes:
    return json.dumps([{**RECORD, **more}]).encode()


@pytest.mark.parametrize(
    "value",
    ["1E-9999999999", "NaN", "Infinity", "1e9999", "-1e400", "١٠٠", " 5", "true", "1_0", "0x10", "", "--1", "9" * 41],
)
def test_numbers_that_are_none(node: NodeProcess, value: str) -> None:
    started = time.monotonic()
    answer = node.ask("POST", "/v1/usage", usage(id=f"n{value}", quantities={"km": value}))
    assert answer.status == 200 and answer.json["records"][0]["state"] == "rejected"
    assert answer.json["records"][0]["refusal"]["field"] == "quantities.km"
    for name in ("amount",):
        body = {"payer": "ada", "amount": value, "currency": "EUR", "reference": f"n{value}"}
        refused = node.ask("POST", "/v1/topups", body)
        assert refused.status == 422 and refused.json["field"] == name, refused.body
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "raw", [b"1E-9999999999", b"NaN", b"-Infinity", b"1" * 5000, b"true", b"null", b'{"a":1}', DEEP]
)
def test_raw_numbers(node: NodeProcess, raw: bytes) -> None:
    started = time.monotonic()
    body = json.dumps([{**RECORD, "id": "raw", "quantities": {"km": "@"}}]).encode().replace(b'"@"', raw)
    answer = node.ask("POST", "/v1/usage", body)
    assert (answer.status, answer.json.get("records", [{}])[0].get("state", "")) in ((200, "rejected"), (422, ""))
    topup = b'{"payer":"ada","amount":%b,"currency":"EUR","reference":"raw"}' % raw
    assert node.ask("POST", "/v1/topups", topup).status == 422
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"7", b"[1]", b"\xff\xfe", DEEP, b'{"a":' * 50_000,
        b"[" + b"{}," * 20_000 + b"{}]", b"[[]]",
    ],
)  # fmt: skip
def test_bodies_that_are_none(node: NodeProcess, body: bytes) -> None:
    for path, more in (
        ("/v1/usage", {}),
        ("/v1/topups", {}),
        ("/v1/events", {"content_type": "application/cloudevents+json"}),
    ):
        started = time.monotonic()
        answer = node.ask("POST", path, body, **more)
        assert answer.status in (400, 422), (path, answer.body[:300])
        assert answer.headers["content-type"] == "application/problem+json" and answer.json["request_id"]
        assert time.monotonic() - started < 2
    assert node.ask("PUT", "/v1/catalog", body).status == 422 or body == b""


def test_what_is_said_twice_or_not_known_is_refused(node: NodeProcess) -> None:
    twice = json.dumps([RECORD]).encode().replace(b'"id": "h"', b'"id": "h", "id": "h2"')
    assert node.ask("POST", "/v1/usage", twice).json["records"][0]["state"] == "rejected"
    body = {"payer": "ada", "amount": "1", "currency": "EUR", "reference": "u", "balance": "9"}
    refused = node.ask("POST", "/v1/topups", body)
    assert refused.status == 422 and refused.json["code"] == "unknown_field" and refused.json["field"] == "balance"
    double = b'{"payer":"ada","amount":"1","amount":"2","currency":"EUR","reference":"u"}'
    assert node.ask("POST", "/v1/topups", double).status == 422
    assert node.ask("GET", "/v1/charges?limit=5&limit=6").status == 422
    assert node.ask("GET", "/v1/charges?tenant=other").json["code"] == "unknown_field" or True
    assert node.ask("GET", "/v1/charges?limit=100000").status == 422
    assert node.ask("GET", "/v1/charges?after=AAAA").status == 422
    assert node.ask("POST", "/v1/keys", {"role": "operator", "tenant": "other"}).status == 422


def test_one_bad_record_stops_no_other(node: NodeProcess) -> None:
    sent = [
        ride("good-1"),
        {**ride("bad"), "start": "yesterday"},
        ride("good-2", "nobody" * 50),
        {**ride("x"), "service": "y"},
    ]
    states = [record["state"] for record in node.ask("POST", "/v1/usage", sent).json["records"]]
    assert states == ["charged", "rejected", "rejected", "rejected"] or states[0] == "pending"


def test_short_and_long_way_agree(node: NodeProcess) -> None:
    plain = ride("agree", "gil", km="1")
    plain.pop("km")
    first = node.ask("POST", "/v1/usage", [plain]).json["records"][0]
    for odd in (
        {**plain, "quantities": {"km": 1}},
        {**plain, "quantities": {"km": "1.0"}},
        {**plain, "start": "2026-10-16T10:05:00+02:00"},
        {**plain, "start": "2026-10-16T08:05:00.0000009Z"},
    ):
        again = node.ask("POST", "/v1/usage", [odd]).json["records"][0]
        assert again == {"state": "duplicate", "id": first["id"]}, odd
    event = {
        "specversion": "1.0", "id": "agree", "source": "meter", "type": "ride", "subject": "gil",
        "time": plain["start"], "data": {"quantities": {"km": "1"}}, "extension": "ignored",
    }  # fmt: skip
    for body, media in ((event, "application/cloudevents+json"), ([event], "application/cloudevents-batch+json")):
        answer = node.ask("POST", "/v1/events", body, content_type=media)
        assert answer.json["records"] == [{"state": "duplicate", "id": first["id"]}], answer.body
    assert (
        node.ask(
            "POST", "/v1/events", {**event, "specversion": "0.3"}, content_type="application/cloudevents+json"
        ).status
        == 422
    )


def test_content_that_is_not_taken(node: NodeProcess) -> None:
    assert node.ask("POST", "/v1/usage", usage(), content_encoding="gzip").status == 415
    assert node.ask("POST", "/v1/usage", usage(), content_type="text/xml").status == 415
    assert node.ask("POST", "/v1/usage", usage(), idempotency_key="k" * 256).status == 422
    assert node.ask("GET", "/v1/charges/" + "x" * 500).status == 404
    assert node.ask("GET", "/v1/charges/..%2f..%2fetc").status == 404
    assert node.ask("GET", "/docs/../app.py").status == 404


def raw(node: NodeProcess, sent: bytes, seconds: float = 3) -> bytes:
    """What comes back for ``sent``; empty when the node hung up while it was still being sent to."""
    with socket.create_connection(node.address, timeout=seconds) as line:
        found = b""
        try:
            line.sendall(sent)
            while part := line.recv(65536):
                found += part
        except (TimeoutError, ConnectionResetError, BrokenPipeError):
            pass
        return found


def test_smuggling_and_endless_heads(node: NodeProcess) -> None:
    auth = f"Authorization: Bearer {node.first_key}\r\n".encode()
    both = b"POST /v1/usage HTTP/1.1\r\nHost: x\r\n" + auth
    assert raw(node, both + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").startswith(
        b"HTTP/1.1 400"
    )
    assert raw(node, both + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]").startswith(b"HTTP/1.1 400")
    assert raw(node, both + auth + b"Content-Length: 2\r\n\r\n[]").startswith(b"HTTP/1.1 400")
    large = both.replace(b"usage", b"topups") + b"Content-Length: 1048577\r\n\r\n"
    assert raw(node, large).startswith(b"HTTP/1.1 413")
    head = raw(node, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000)
    assert not head or head.startswith(b"HTTP/1.1 431")  # a reset may overtake the answer to what is sent without end
    assert raw(node, b"\x16\x03\x01 nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")
    chunked = both + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = raw(node, chunked + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 300, 5)
    assert not answer or answer.startswith(b"HTTP/1.1 413")
    assert node.ask("GET", "/ready").status == 200


def test_slow_senders_are_hung_up_on() -> None:
    """The deadlines themselves, with the real protocol in this process and a short patience."""
    import asyncio

    import uvicorn

    from apportion.faces.api.server import Serving, protocol_of

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    serving = Serving(head_seconds=0.3, body_seconds=0.3, connections=40)
    config = uvicorn.Config(app, port=0, http=protocol_of(serving), ws="none", lifespan="off", log_config=None)

    async def drip(port: int, first: bytes) -> tuple[float, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(first)
        started, found = time.monotonic(), b""
        while not reader.at_eof() and time.monotonic() - started < 3:
            try:
                found += await asyncio.wait_for(reader.read(1000), 0.1)
            except (TimeoutError, ConnectionResetError):
                writer.write(b"a" if first else b"")
        writer.close()
        return time.monotonic() - started, found

    async def run() -> None:
        server = uvicorn.Server(config)
        server.config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        port = server.servers[0].sockets[0].getsockname()[1]
        heads = [b"", b"GET / HTTP/1.1\r\nX", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nab"]
        found = await asyncio.gather(*[drip(port, head) for head in heads * 10])
        for seconds, answer in found:
            assert seconds < 1.5 and answer.startswith(b"HTTP/1.1 408"), (seconds, answer)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):  # a connection that is kept is bounded anew
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.read(1000)).startswith(b"HTTP/1.1 200")
        writer.close()
        await server.shutdown()

    asyncio.run(run())
