"""What was acknowledged is in the books: killed under load, told to stop under load, out of disk."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from pathlib import Path

import msgspec

from tests.faces.api.nodes import Line, NodeProcess, catalog, proven, ride


class Load(threading.Thread):
    """A client that writes down what was acknowledged, until the node goes away."""

    def __init__(self, address: tuple[str, int], key: str, name: str, log: list[str]) -> None:
        super().__init__(daemon=True)
        self._line, self._name, self._log = Line(address, key), name, log
        self.statuses: set[int] = set()

    def run(self) -> None:
        number = 0
        try:
            while True:
                number += 1
                sent = [ride(f"{self._name}-{number}-{i}", f"rider-{i}") for i in range(3)]
                answer = self._line.ask("POST", "/v1/usage", sent)
                self.statuses.add(answer.status)
                if answer.status == 200:
                    self._log += [record["id"] for record in json.loads(answer.body)["records"]]
                if number % 5 == 0:
                    body = {"payer": "ada", "amount": "1", "currency": "EUR", "reference": f"{self._name}-{number}"}
                    answer = self._line.ask("POST", "/v1/topups", body)
                    if answer.status == 201:
                        self._log.append(answer.json["id"])
        except (OSError, http.client.HTTPException):
            return


def under_load(store: Path, key: str, name: str, end: int, seconds: float) -> tuple[int, list[str]]:
    """One life of a node with eight clients on it; its exit code and what it acknowledged."""
    node = NodeProcess(store, "--log", "warning")
    if not key:
        key = node.first_key
        node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog()))
    log: list[str] = []
    clients = [Load(node.address, key, f"{name}-{i}", log) for i in range(8)]
    for client in clients:
        client.start()
    time.sleep(seconds)
    code = node.stop(end)
    for client in clients:
        client.join(10)
    (store.parent / "key").write_text(key)
    return code, log


def in_the_books(store: Path, acknowledged: list[str]) -> None:
    with proven(store) as engine:
        known = {key.hex() for key, _ in engine.store.all_seen(engine.tenant)}
        lost = [id for id in acknowledged if id.partition("_")[2] not in known]
        assert acknowledged and not lost, f"{len(lost)} of {len(acknowledged)} lost"
        assert len(acknowledged) == len(set(acknowledged))


def test_killed_under_load_loses_nothing_acknowledged(tmp_path: Path) -> None:
    store, acknowledged = tmp_path / "books.db", list[str]()
    for round in range(3):
        key = (tmp_path / "key").read_text() if round else ""
        code, log = under_load(store, key, f"life{round}", signal.SIGKILL, 0.5 + 0.2 * round)
        assert code == -signal.SIGKILL
        acknowledged += log
    code, log = under_load(store, (tmp_path / "key").read_text(), "last", signal.SIGTERM, 0.3)
    assert code == 0
    in_the_books(store, acknowledged + log)


def test_told_to_stop_it_finishes_what_it_accepted(tmp_path: Path) -> None:
    store = tmp_path / "books.db"
    code, log = under_load(store, "", "drain", signal.SIGTERM, 0.8)
    assert code == 0
    in_the_books(store, log)
    node = NodeProcess(store)
    key = (tmp_path / "key").read_text()
    done: list[int] = []
    big = [ride(f"big-{i}", f"passenger-{i % 99}") for i in range(5000)]
    asked = threading.Thread(target=lambda: done.append(len(node.ask("POST", "/v1/usage", big, key).json["records"])))
    asked.start()
    time.sleep(0.35)
    assert node.stop() == 0
    asked.join()
    assert done == [5000]
    with proven(store) as engine:
        assert sum(record.usage.id.startswith("big-") for record in engine.books.records()) == 5000


def test_a_store_that_breaks_stops_the_node(tmp_path: Path) -> None:
    store = tmp_path / "books.db"
    # no file of this process may grow beyond 3 MiB: the write-ahead log meets a full disk
    node = NodeProcess(store, wrap=("sh", "-c", 'ulimit -f 6144; trap "" XFSZ; exec "$@"', "sh"))
    node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog()))
    log: list[str] = []
    clients = [Load(node.address, node.first_key, f"full{i}", log) for i in range(8)]
    for client in clients:
        client.start()
    assert node.process.wait(60) == 1
    for client in clients:
        client.join(10)
    assert set().union(*(client.statuses for client in clients)) <= {200, 503}
    assert any("the store failed" in line for line in node.log), node.log[-3:]
    os.sync()
    code, more = under_load(store, node.first_key, "again", signal.SIGTERM, 0.3)
    assert code == 0
    in_the_books(store, log + more)
