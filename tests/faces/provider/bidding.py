"""Questions to provider nodes, real nodes in processes of their own, and a fleet of good and bad ones in another."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from apportion.adapters.outside import signature_holds
from apportion.engine.broker.asking import Node
from apportion.model.bid import Acceptance, Asked, CounterOffer, SignedBid, bytes_of
from apportion.model.bid_check import GoodBid, Unfit, read_bid

ROOT = Path(__file__).parents[3]
_IDS = itertools.count(10_000_000)

CONFIG = """
provider = "north"
validity = {validity}
hold = {hold}
{more}
[bargaining]
tactic = "linear"
margin = 10
markup = 50
rounds = 4

[[offers]]
service = "call"
part = "termination"
tariff = "voice"
network = "northnet"
quality = {{ latency = 20, availability = 0.999 }}
capacity = {{ seconds = 100 }}
when = {{ destination = ["45*"] }}

[[users]]
name = "ada's phone"
token = "{token}"
payers = ["ada"]

[tariffs.voice]
currency = "EUR"
[[tariffs.voice.components]]
kind = "unit"
name = "talk"
measure = "seconds"
price = 0.01
"""


def later(seconds: int, now: datetime | None = None) -> str:
    """An instant so many seconds from now."""
    at = (now or datetime.now(UTC)) + timedelta(seconds=seconds)
    return at.isoformat().replace("+00:00", "Z")


def question(**more: Any) -> Asked:
    """Sixty seconds of a call to Denmark, asked now."""
    plain: dict[str, Any] = {
        "id": f"rfq_{next(_IDS)}", "service": "call", "parts": ("termination",), "quantities": {"seconds": "60"},
        "currency": "EUR", "at": later(0), "deadline": later(5), "attributes": {"destination": "4521"},
    }  # fmt: skip
    return Asked(**plain | more)


def counter(asked: Asked, amount: str, **more: Any) -> Asked:
    """The next round: so much for everything."""
    offer = CounterOffer({"termination": amount}, **more)
    return msgspec.structs.replace(asked, round=asked.round + 1, at=later(0), deadline=later(5), counter=offer)


class Said(NamedTuple):
    """What a node answered."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ProviderProcess:
    """``apportion provider serve`` with a file in a folder."""

    def __init__(self, folder: Path, config: str, *words: str, key: str = "") -> None:
        (folder / "node.toml").write_text(config, encoding="utf-8")
        command = [sys.executable, "-m", "apportion", "provider", "serve", "node.toml", "--port", "0", *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "APPORTION_KEY": key}
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.key = self.address = ""
        for line in self.process.stdout:
            if found := re.search(r"public key of \S+: ([0-9a-f]{64})", line):
                self.key = found[1]
            if found := re.search(r"http://[\d.]+:\d+", line):
                self.address = found[0]
                return
        assert self.process.stderr is not None
        raise AssertionError(self.process.stderr.read())

    def node(self, provider: str = "north") -> Node:
        return Node(provider, self.address, self.key)

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> Said:
        """One request, as it is."""
        line = http.client.HTTPConnection(self.address.removeprefix("http://"), timeout=20)
        try:
            with suppress(BrokenPipeError):  # what is too long is answered before all of it is sent
                line.request(method, path, body, {"content-type": "application/json", **headers})
            answer = line.getresponse()
            return Said(answer.status, answer.read())
        finally:
            line.close()

    def ask(self, asked: Asked, **headers: str) -> Said:
        """A question, where questions of its round go."""
        path = "/quotes" if asked.round == 1 else f"/quotes/{asked.id}/rounds"
        return self.send("POST", path, bytes_of(asked), **headers)

    def bid(self, asked: Asked) -> GoodBid:
        """The bid for a question; it must count."""
        said = self.ask(asked)
        assert said.status == 200, said.body
        good = read_bid(said.body, asked, ("north", self.key), datetime.now(UTC), signature_holds)
        assert isinstance(good, GoodBid), good
        return good

    def declined(self, asked: Asked) -> bool:
        """Whether the answer to a question is a signed no."""
        said = self.ask(asked)
        assert said.status == 200, said.body
        found = read_bid(said.body, asked, ("north", self.key), datetime.now(UTC), signature_holds)
        return isinstance(found, Unfit) and found.reason == "declined"

    def accept(self, rfq: str, signed: SignedBid, *offers: int) -> Said:
        return self.send("POST", f"/quotes/{rfq}/accept", msgspec.json.encode(Acceptance(signed, offers)))

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(20)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        return code


@contextmanager
def fleet(*words: str) -> Iterator[list[dict[str, str]]]:
    """The fleet of ``fleet.py`` in a process of its own: provider, address, key and manner of each node."""
    command = [sys.executable, str(Path(__file__).with_name("fleet.py")), *words]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, "the fleet did not start"
        yield json.loads(line)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
