"""Provider nodes that bargain: real HTTP servers, one address each, some of whom do not keep to what they say.

``python bargainers.py 127.7 SPECS FILE`` with SPECS a JSON list of ``{"provider", "price", …}`` prints who is where as
one line of JSON, and writes every byte that a node is sent to FILE.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from apportion.adapters.outside import KeyFile
from apportion.errors import Refused
from apportion.faces.provider.desk import Desk
from apportion.model.bid import Acceptance, Agreed, SignedBid
from apportion.model.market import Quality
from apportion.model.provider_node import Bargaining, NodeOffer, ProviderNode
from apportion.model.tariff import Tariff, Unit

ROOT = Path(__file__).parents[3]


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class Bargainer:
    """One node; ``manner`` says how it misbehaves, if it does."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.provider, self.manner, self.signer = spec["provider"], spec.get("manner", "honest"), KeyFile(None)
        rule = Bargaining(
            spec.get("tactic", "linear"), spec.get("margin", "10"), spec.get("markup", "50"), spec.get("rounds", 4)
        )
        tariff = Tariff(
            id="cost", currency="EUR", components=(Unit(name="talk", measure="minutes", price=spec["price"]),)
        )
        quality = Quality(latency=spec.get("latency", 0))
        offers = tuple(NodeOffer("call", part, "cost", quality=quality) for part in spec.get("parts", ["near"]))
        node = ProviderNode(self.provider, offers, {"cost": tariff}, validity=spec.get("validity", 30), bargaining=rule)
        self.desk, self.asked = Desk(node, self.signer, _now), 0

    async def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        """What it says, in its manner."""
        self.asked += 1
        rfq = path.split("/")[2] if path.count("/") > 1 else ""
        late = self.manner == "silent" or (self.manner == "dies" and self.asked > 1)
        if late or (self.manner == "slow" and path.endswith("/rounds")):
            await asyncio.sleep(3600 if late else 5)
        if path.endswith("/end"):
            return 200, msgspec.json.encode(self.desk.end(rfq, body))
        if path.endswith("/accept"):
            return self._accepted(rfq, body)
        signed = self.desk.quote(body) if path == "/quotes" else self.desk.round(rfq, body)
        if self.manner == "liar":  # it changes its price after it has signed it
            return 200, msgspec.json.encode(
                SignedBid(signed.body.replace('"price":"0', '"price":"0.0'), signed.signature)
            )
        return 200, msgspec.json.encode(signed)

    def _accepted(self, rfq: str, body: bytes) -> tuple[int, bytes]:
        if self.manner == "refuses":
            return 409, b'{"code":"plan_ended","detail":"It costs more by now."}'
        if self.manner == "turncoat":  # it confirms another price than the one that was accepted
            given = msgspec.json.decode(body, type=Acceptance)
            raw = msgspec.json.encode(Agreed(rfq, "0" * 64, self.provider, _now(), given.offers))
            return 200, msgspec.json.encode(SignedBid(raw.decode(), self.signer.sign(raw)))
        return 200, msgspec.json.encode(self.desk.accept(rfq, body))


async def _serve(scope: Any, receive: Any, send: Any, nodes: dict[str, Bargainer], log: Any) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    log.write(repr((scope["server"][0], scope["path"], scope["headers"], body)).encode() + b"\n")
    log.flush()
    try:
        status, raw = await nodes[scope["server"][0]].answer(scope["path"], body)
    except Refused as refused:
        status, raw = 409, refused.refusal.sentence().encode()
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(raw))]})
    await send({"type": "http.response.body", "body": raw})


@contextmanager
def bargainers(start: str, specs: list[dict[str, Any]], log: Path) -> Iterator[dict[str, dict[str, str]]]:
    """The nodes in a process of their own: address and key by provider."""
    command = [sys.executable, __file__, start, json.dumps(specs), str(log)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, "the nodes did not start"
        yield json.loads(line)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def main() -> None:
    start, specs, path = sys.argv[1:]
    listening = socket.create_server(("0.0.0.0", 0), backlog=512)
    nodes, told = {}, {}
    for at, spec in enumerate(json.loads(specs)):
        host = f"{start}.0.{at + 1}"
        node = nodes[host] = Bargainer(spec)
        told[node.provider] = {"address": f"http://{host}:{listening.getsockname()[1]}", "key": node.signer.public()}
    with open(path, "ab") as log:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await _serve(scope, receive, send, nodes, log)

        print(json.dumps(told), flush=True)
        config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, access_log=False)
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
