"""``kill -9`` of a serving node under load, again and again: answers stay true, lost ones are found by their key."""

from __future__ import annotations

import http.client
import random
import signal
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.faces.api.nodes import Answer, Line, NodeProcess, catalog, proven, ride
from tests.racing import Facts, Held, exported, ready

CLIENTS = 8


class Request(NamedTuple):
    """What was sent, so that it can be sent again as it was."""

    path: str
    body: Any
    key: str


class Client:
    """Asks one thing after another; an answer that was lost is asked for again, under its key, before anything else."""

    def __init__(self, number: int) -> None:
        self.chance, self.name, self.count = random.Random(number), f"c{number}", 0
        self.lost: Request | None = None
        self.answered: list[tuple[Request, Answer]] = []
        self.holds: dict[str, Held] = {}
        self.charges: set[str] = set()
        self.topups: dict[str, Decimal] = {}
        self.resent = 0

    def run(self, address: tuple[str, int], key: str, stop: threading.Event) -> None:
        """Until told to stop, or until the node is gone."""
        line = Line(address, key)
        try:
            for request, answer in self.chance.sample(self.answered, min(3, len(self.answered))):
                again = self._send(line, request)
                assert (again.status, again.body) == (answer.status, answer.body), (request, answer, again)
                assert again.headers["idempotency-replayed"] == "true"
            while self.lost is not None or not stop.is_set():
                request, self.resent = self.lost or self._next(), self.resent + (self.lost is not None)
                self.lost = request
                answer = self._send(line, request)
                if answer.status == 503:
                    time.sleep(0.01)
                    continue
                self.lost = None
                self._note(request, answer)
        except (OSError, http.client.HTTPException):
            return
        finally:
            line.close()

    def _send(self, line: Line, request: Request) -> Answer:
        return line.ask("POST", request.path, request.body, idempotency_key=request.key)

    def _next(self) -> Request:
        self.count += 1
        name = f"{self.name}-{self.count}"
        verb = self.chance.choice(("usage", "usage", "topup", "hold", "end", "refused"))
        open_ = [id for id, hold in self.holds.items() if hold.state == "open"]
        value = {"payer": "ada", "currency": "EUR"}
        if verb == "usage":
            rides = [
                ride(f"{name}-{i}", f"rider-{self.name}-{self.count % 50}") for i in range(self.chance.randrange(1, 5))
            ]
            return Request("/v1/usage", rides, name)
        if verb == "topup":
            return Request("/v1/topups", {**value, "amount": str(self.chance.randrange(1, 9)), "reference": name}, name)
        if verb == "end" and open_:
            body = {"amount": "1", "final": self.chance.random() < 0.5}
            return Request(f"/v1/holds/{self.chance.choice(open_)}/capture", body, name)
        amount, owner = ("1000000000", "refused") if verb == "refused" else ("2", name)
        body = {**value, "amount": amount, "owner": owner, "expires": "2099-01-01T00:00:00Z"}
        return Request("/v1/holds", body, name)

    def _note(self, request: Request, answer: Answer) -> None:
        if answer.status == 402:
            return
        assert answer.status in (200, 201), (request, answer)
        self.answered.append((request, answer))
        found = answer.json
        if request.path == "/v1/usage":
            assert {record["state"] for record in found["records"]} == {"charged"}
            self.charges |= {record["id"] for record in found["records"]}
        elif request.path == "/v1/topups":
            self.topups[found["id"]] = Decimal(request.body["amount"])
        else:
            amounts = [Decimal(found[name]) for name in ("amount", "open", "captured", "released")]
            self.holds[found["id"]] = Held(found["account"], found["state"], *amounts)


def life(store: Path, key: str, clients: list[Client], seconds: float, end: int) -> str:
    """One life of the node under load; the operator's key."""
    began = time.monotonic()
    node = NodeProcess(store, "--log", "warning")
    ready(node.address, "")
    assert time.monotonic() - began < 5, "not ready within five seconds"
    if not key:
        key = node.first_key
        assert node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog(opening="1000"))).status == 200
    stop, broken = threading.Event(), list[BaseException]()

    def run(client: Client) -> None:
        try:
            client.run(node.address, key, stop)
        except BaseException as error:
            broken.append(error)

    threads = [threading.Thread(target=run, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    if end != signal.SIGKILL:
        stop.set()
        for thread in threads:
            thread.join(20)
        check(exported(node.address, key), clients)
    code = node.stop(end)
    for thread in threads:
        thread.join(20)
    assert not broken, broken[:2]
    assert code == (0 if end == signal.SIGTERM else -end)
    return key


def check(lines: list[bytes], clients: list[Client]) -> None:
    """The books hold what was answered, once, and nothing else."""
    assert not any(client.lost for client in clients)
    facts = Facts(lines)
    charged = [id for client in clients for id in client.charges]
    assert sorted(facts.charges) == sorted(charged)
    topups = {id: amount for client in clients for id, amount in client.topups.items()}
    assert {id for id, kind in facts.causes.items() if kind == "topup"} == set(topups)
    holds = {id: hold for client in clients for id, hold in client.holds.items()}
    assert facts.holds == holds
    assert not any(b'"owner":"refused"' in line for line in lines), "what was refused is in the books"
    ada = next(iter(holds.values())).account
    assert facts.posted[ada] == 1000 + sum(topups.values())


def torment(folder: Path, kills: int, seed: int) -> None:
    store, key = folder / "books.db", ""
    clients = [Client(seed * 100 + number) for number in range(CLIENTS)]
    chance = random.Random(seed)
    for number in range(kills):
        key = life(store, key, clients, chance.uniform(0.02, 0.35), signal.SIGKILL)
        if number % 10 == 9:
            key = life(store, key, clients, 0.1, signal.SIGTERM)
            proven(store).close()
    life(store, key, clients, 0.1, signal.SIGTERM)
    proven(store).close()
    assert sum(client.resent for client in clients) > kills / 2, "no answer was ever lost"


def test_twenty_kills(tmp_path: Path) -> None:
    torment(tmp_path, 20, seed=3)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(3))
def test_hundreds_of_kills(tmp_path: Path, seed: int) -> None:
    torment(tmp_path, 100, seed=100 + seed)
