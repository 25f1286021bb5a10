"""A fleet of provider nodes: real HTTP servers, one address each, that behave well or badly in many manners.

``python fleet.py 127.1 honest honest silent …`` listens on one free port of all addresses of the loopback, serves node
i at 127.1.0.(i + 1), and prints who is who as one line of JSON. Whoever lies asks less than everybody else.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import uvicorn

from apportion.adapters.outside import KeyFile
from apportion.faces.provider.desk import Desk
from apportion.model.bid import Agreed, Asked, Bid, SignedBid
from apportion.model.provider_node import Bargaining, NodeOffer, ProviderNode
from apportion.model.tariff import Tariff, Unit


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _later(seconds: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


class Member:
    """One node of the fleet."""

    def __init__(self, at: int, manner: str) -> None:
        self.manner, self.provider, self.signer = manner, f"p{at:03d}", KeyFile(None)
        # what honest nodes ask differs, so that one is the cheapest; who lies asks next to nothing
        price = f"0.0{200 + (at * 37) % 100}" if manner == "honest" else "0.0001"
        tariff = Tariff(id="voice", currency="EUR", components=(Unit(name="talk", measure="seconds", price=price),))
        offer = NodeOffer("call", "termination", "voice", network=f"net{at}")
        node = ProviderNode(self.provider, (offer,), {"voice": tariff}, bargaining=Bargaining("fixed"))
        self.desk = Desk(node, self.signer, _now)
        self.seen: SignedBid | None = None

    async def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        """What it says, in its manner."""
        if path.endswith("/accept"):
            return 200, self._agreed(path.split("/")[2], body)
        if self.manner in ("silent", "slow"):
            await asyncio.sleep(3600 if self.manner == "silent" else 0.6)
        if self.manner == "http":
            return 500, b"{}"
        if self.manner == "redirect":
            return 307, b""
        if self.manner == "garbage":
            return 200, b"\xff\xfe not json"
        if self.manner == "oversized":
            return 200, b'{"body":"' + b"x" * (1 << 20) + b'"}'
        signed = self.desk.quote(body) if path == "/quotes" else self.desk.round(path.split("/")[2], body)
        return 200, msgspec.json.encode(self._twisted(signed, body))

    def _twisted(self, signed: SignedBid, question: bytes) -> SignedBid:
        """The bid with whatever this node does wrong; signed again where it lies rather than forges."""
        if self.manner == "replayed":  # its bid for another question, valid and signed
            self.seen = self.seen or signed
            return self.seen
        if self.manner == "forged":
            return SignedBid(signed.body, ("0" if signed.signature[0] != "0" else "1") + signed.signature[1:])
        if self.manner == "altered":
            return SignedBid(signed.body.replace('"price":"0.0001"', '"price":"0.00001"'), signed.signature)
        bid = msgspec.json.decode(signed.body, type=Bid)
        asked = msgspec.json.decode(question, type=Asked)
        offer = bid.offers[0]
        assert isinstance(offer.tariff, Tariff)
        replace = msgspec.structs.replace
        changed = {
            "expired": lambda: replace(bid, valid_until=_later(-1)),
            "stale": lambda: replace(bid, at=_later(-3600)),
            "rfq": lambda: replace(bid, rfq="rfq_99999999"),
            "question": lambda: replace(bid, question=hashlib.sha256(b"another").hexdigest()),
            "impostor": lambda: replace(bid, provider="p000", offers=(replace(offer, provider="p000"),)),
            "currency": lambda: replace(bid, offers=(replace(offer, tariff=replace(offer.tariff, currency="JPY")),)),
            "negative": lambda: replace(bid, offers=(replace(offer, tariff=_priced(offer.tariff, "-5")),)),
            "accepts": lambda: replace(
                bid,
                answer="accept" if asked.counter else "offer",
                offers=(replace(offer, tariff=_priced(offer.tariff, "9")),),
            ),  # fmt: skip
        }
        if self.manner not in changed:
            return signed
        raw = msgspec.json.encode(changed[self.manner]())
        return SignedBid(raw.decode(), self.signer.sign(raw))

    def _agreed(self, rfq: str, body: bytes) -> bytes:
        if self.manner != "turncoat":
            return msgspec.json.encode(self.desk.accept(rfq, body))
        raw = msgspec.json.encode(Agreed(rfq, hashlib.sha256(b"a dearer bid").hexdigest(), self.provider, _now()))
        return msgspec.json.encode(SignedBid(raw.decode(), self.signer.sign(raw)))


def _priced(tariff: Tariff, price: str) -> Tariff:
    only = tariff.components[0]
    return msgspec.structs.replace(tariff, components=(msgspec.structs.replace(only, price=price),))


async def _serve(scope: Any, receive: Any, send: Any, members: dict[str, Member]) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    try:
        status, raw = await members[scope["server"][0]].answer(scope["path"], body)
    except Exception as error:
        status, raw = 422, repr(error).encode()
    headers = [(b"content-length", b"%d" % len(raw))]
    if status == 307:
        headers.append((b"location", b"http://127.0.0.1:1/quotes"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": raw})


def main() -> None:
    start, *manners = sys.argv[1:]
    listening = socket.create_server(("0.0.0.0", 0), backlog=2048)
    port = listening.getsockname()[1]
    members, told = {}, []
    for at, manner in enumerate(manners):
        host = f"{start}.{at // 200}.{at % 200 + 1}"
        member = members[host] = Member(at, manner)
        there = 1 if manner == "killed" else port  # nobody listens on port 1
        told.append(
            {"provider": member.provider, "address": f"http://{host}:{there}", "key": member.signer.public(),
             "manner": manner}
        )  # fmt: skip

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await _serve(scope, receive, send, members)

    print(json.dumps(told), flush=True)
    config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, access_log=False, timeout_keep_alive=60)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
