"""B3: providers bid against each other for a request, round by round, and the one that goes lowest is bound to it.

Three providers run nodes of their own, each with its own costs and its own way of giving way. Whoever asks sees only
what they sign. The offers of each round answer the best of the round before; nobody goes below what it must keep.
"""

from __future__ import annotations

import hashlib
import http.client
import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.claims.bargaining import bargaining
from tests.claims.conftest import Json, Program

NODE = """
provider = "NAME"
[bargaining]
tactic = "TACTIC"
margin = 5
markup = 60
rounds = 12
[[offers]]
service = "call"
part = "termination"
tariff = "voice"
capacity = { seconds = 100 }
[tariffs.voice]
currency = "EUR"
[[tariffs.voice.components]]
kind = "unit"
name = "talk"
measure = "seconds"
price = COST
"""
#: provider → (what a second costs it, how it gives way)
CREW = {"north": ("0.010", "boulware"), "east": ("0.011", "linear"), "west": ("0.012", "conceder")}
SECONDS = 60
_IDS = itertools.count(10_000_000)


class Bidder:
    """``apportion provider serve`` of one provider, and what it said."""

    def __init__(self, program: Program, name: str) -> None:
        cost, tactic = CREW[name]
        folder = program.folder / name
        folder.mkdir()
        text = NODE.replace("NAME", name).replace("TACTIC", tactic).replace("COST", cost)
        (folder / "node.toml").write_text(text)
        self.name, self.prices = name, list[Decimal]()
        self.floor = Decimal(cost) * Decimal("1.05") * SECONDS
        command = [*program.command, "provider", "serve", "node.toml", "--port", "0"]
        self.process = subprocess.Popen(command, cwd=folder, env=program.env, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r": ([0-9a-f]{64})", line):
                self.key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(found[1]))
            if found := re.search(r"http://([\d.]+:\d+)", line):
                self.address = found[1]
                return
        raise AssertionError("the node did not start")

    def post(self, path: str, body: bytes, status: int = 200) -> Json:
        line = http.client.HTTPConnection(self.address, timeout=30)
        line.request("POST", path, body, {"content-type": "application/json"})
        answer = line.getresponse()
        text = answer.read()
        line.close()
        assert answer.status == status, text
        return json.loads(text)

    def bid(self, asked: Json) -> tuple[Json, Json]:
        """The bid for a question, read out of what was signed; and as it was signed."""
        raw = json.dumps(asked).encode()
        path = "/quotes" if asked["round"] == 1 else f"/quotes/{asked['id']}/rounds"
        signed = self.post(path, raw)
        said = self.read(signed)
        assert said["rfq"] == asked["id"] and said["provider"] == self.name
        assert said["question"] == hashlib.sha256(raw).hexdigest()
        if said.get("answer") != "decline":
            (offer,) = said["offers"]
            self.prices.append(Decimal(offer["tariff"]["components"][0]["price"]) * SECONDS)
        return said, signed

    def read(self, signed: Json) -> Json:
        """What a signature holds for."""
        self.key.verify(bytes.fromhex(signed["signature"]), signed["body"].encode())
        return json.loads(signed["body"])


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[list[Bidder]]:
    program = Program(tmp_path)
    made = [Bidder(program, name) for name in CREW]
    yield made
    for bidder in made:
        bidder.process.terminate()
        assert bidder.process.wait(20) == 0
        assert bidder.process.stdout is not None
        bidder.process.stdout.close()


def question(id: str, round: int, target: Decimal | None = None) -> Json:
    now = datetime.now(UTC)
    asked: dict[str, Any] = {
        "id": id, "service": "call", "parts": ["termination"], "quantities": {"seconds": str(SECONDS)},
        "currency": "EUR", "at": now.isoformat(), "deadline": (now + timedelta(seconds=10)).isoformat(), "round": round,
    }  # fmt: skip
    return asked if target is None else {**asked, "counter": {"amounts": {"termination": str(target)}}}


def test_providers_underbid_each_other_down_to_what_they_must_keep(crew: list[Bidder]) -> None:
    id = f"rfq_{next(_IDS)}"
    signed = {bidder.name: bidder.bid(question(id, 1))[1] for bidder in crew}
    first = {bidder.name: bidder.prices[0] for bidder in crew}
    assert first == {name: Decimal(cost) * SECONDS * Decimal("1.6") for name, (cost, _) in CREW.items()}
    for round in range(2, 14):
        target = min(bidder.prices[-1] for bidder in crew) * Decimal("0.95")  # who wants it must go below the best
        for bidder in crew:
            said, now = bidder.bid(question(id, round, target))
            if said.get("answer") != "decline":
                signed[bidder.name] = now
            if said.get("answer") == "accept":
                assert bidder.prices[-1] <= target
    for bidder in crew:
        assert bidder.prices == sorted(bidder.prices, reverse=True), "nobody takes anything back"
        assert min(bidder.prices) >= bidder.floor, "nobody pays for being chosen"
    winner = min(crew, key=lambda one: one.prices[-1])
    assert winner.name == "north", "who can do it at the least cost wins"
    assert winner.prices[-1] < min(first.values())
    assert winner.prices[-1] < min(one.floor for one in crew if one is not winner), "the others could not follow"

    body = json.dumps({"bid": signed["north"]}).encode()
    agreed = winner.read(winner.post(f"/quotes/{id}/accept", body))
    assert agreed["kind"] == "agreed" and agreed["rfq"] == id
    assert agreed["bid"] == hashlib.sha256(signed["north"]["body"].encode()).hexdigest()
    assert winner.read(winner.post(f"/quotes/{id}/accept", body))["bid"] == agreed["bid"], "once, however often"
    full, _ = winner.bid(question(f"rfq_{next(_IDS)}", 1))
    assert full["answer"] == "decline", "its capacity is taken"
    cheaper = {**signed["north"], "body": signed["north"]["body"].replace("0.01", "0.001", 1)}
    winner.post(f"/quotes/{id}/accept", json.dumps({"bid": cheaper}).encode(), status=422)
    for loser in crew:
        if loser is not winner:
            assert loser.post(f"/quotes/{id}/end", b"{}")["ended"] is True
            loser.post(f"/quotes/{id}/accept", json.dumps({"bid": signed[loser.name]}).encode(), status=409)


def test_a_crew_is_bargained_together_and_nobody_sees_another(apportion: Program) -> None:
    """A platform bargains with four providers at once about two parts; each part goes to who goes lowest for it."""
    crew = {
        "oak": ("0.10", "linear", "near", "far"), "elm": ("0.09", "boulware", "far"),
        "ash": ("0.08", "conceder", "near"), "fir": ("0.12", "tit-for-tat", "near", "far"),
    }  # fmt: skip
    with bargaining(apportion, crew, ("near", "far")) as node:
        first = node.negotiate()
        asked = {(one["provider"], one["part"]): Decimal(one["price"]) for one in first["offers"]}
        assert asked["ash", "near"] == 12 and asked["elm", "far"] == Decimal("13.5")
        node.move(first["id"], "end")
        shown = node.negotiate(mandate={"limit": "28", "rounds": 8, "seconds": 30})
        assert shown["state"] == "agreed", shown["reason"]
        (one,) = shown["plan"]["scenarios"]
        crewed = {part["part"]: (part["provider"], Decimal(part["cost"])) for part in one["parts"]}
        assert crewed["near"][0] == "ash" and crewed["far"][0] == "elm"
        # each keeps a tenth above its cost at least, and goes below what it asked first
        assert Decimal("8.8") <= crewed["near"][1] < 12 and Decimal("9.9") <= crewed["far"][1] < Decimal("13.5")
        session = node.deliver(node.ask("GET", f"/v1/plans/{shown['agreed']}"))
        assert Decimal(session["charged"]) == Decimal(one["total"]) <= 28
        for name, bidder in node.bidders.items():
            others = [other for other in (*crew, "telco", "ada") if other != name]
            heard = bytes(bidder.heard)
            assert b'"counter"' in heard
            assert not [other for other in others if f'"{other}"'.encode() in heard], "no name of anybody else"
            if len(crew[name]) == 3:  # of a part that it does not deliver it hears no price
                mine = crew[name][2]
                counters = re.findall(rb'"amounts":\{([^}]*)\}', heard)
                assert counters and all(one.startswith(f'"{mine}"'.encode()) and b"," not in one for one in counters)
        books = node.stop()
        earned = {name: amount for name, amount in books.balances("provider").items() if amount}
        assert earned == {"ash": crewed["near"][1], "elm": crewed["far"][1]}
