"""Two real nodes on one PostgreSQL database, clients that go on at the other one, and the proof of what they left."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psycopg

from apportion.adapters.outside import signature_holds
from apportion.adapters.stores.postgres import PostgresStore
from apportion.engine.export import export
from apportion.engine.verify import Outside, verify_export, verify_store
from apportion.model.catalog import Catalog
from apportion.model.party import Payer
from tests.faces.api.nodes import Answer, Line, NodeProcess, catalog

READY = 5.0  # seconds from the start of a process, or of PostgreSQL, until a node is ready


class Address(NamedTuple):
    """A database as a node is told of it, and the folder it is told it in: key and heads lie there."""

    dsn: str
    parent: Path

    def __str__(self) -> str:
        return self.dsn


def with_payers(*names: str, opening: str = "100") -> Catalog:
    """The catalog of rides with more payers who have paid something in."""
    plain = catalog()
    more = {name: Payer(name, "EUR", opening=opening) for name in names}
    return msgspec.structs.replace(plain, payers={**plain.payers, **more})


class Pair:
    """Two nodes on ``dsn``, and their common key."""

    def __init__(self, dsn: str, folder: Path, book: Catalog | None = None, *, second: str = "") -> None:
        self.addresses = [Address(dsn, folder), Address(second or dsn, folder)]
        for address in self.addresses:
            name = address.dsn.split("/")[3].split("?")[0]
            assert name == dsn.split("/")[3].split("?")[0]
        self.dsn, self.folder = dsn, folder
        self.nodes = [self._begin(0)]
        self.key = self.nodes[0].first_key
        self.nodes.append(self._begin(1))
        assert not self.nodes[1].first_key, "the tenant has an operator already"
        put = self.ask(0, "PUT", "/v1/catalog", msgspec.json.encode(book or catalog()))
        assert put.status == 200, put.body

    def _begin(self, number: int) -> NodeProcess:
        return NodeProcess(self.addresses[number], "--log", "warning")  # type: ignore[arg-type]

    def ask(self, number: int, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request to one of them."""
        return self.nodes[number].ask(method, path, body, self.key, **headers)

    def kill(self, number: int) -> float:
        """``kill -9`` one of them and start it again; seconds until it was ready."""
        self.nodes[number].stop(signal.SIGKILL)
        began = time.monotonic()
        self.nodes[number] = self._begin(number)
        self.ready(number)
        return time.monotonic() - began

    def ready(self, number: int, within: float = 2 * READY) -> float:
        """Seconds until a node says that it is ready."""
        began = time.monotonic()
        while time.monotonic() - began < within:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.nodes[number].ask("GET", "/ready", None, "none").status == 200:
                    return time.monotonic() - began
            time.sleep(0.02)
        raise AssertionError(f"not ready within {within} s: {self.nodes[number].log[-5:]}")

    def stop(self) -> None:
        """End both, whole."""
        for node in self.nodes:
            assert node.stop() == 0, node.log[-5:]


class Client:
    """Somebody who repeats a request, under its key and at the other node, until it is answered."""

    def __init__(self, pair: Pair, number: int) -> None:
        self._pair, self._lines = pair, dict[tuple[str, int], Line]()
        self._number = number
        self._at = number % 2
        self.repeated = 0

    def home(self) -> None:
        """Ask the node first that it began with: who went over to the other one stays there as long as it answers."""
        self._at = self._number % 2

    def ask(self, method: str, path: str, body: Any, key: str, seconds: float = 40) -> Answer:
        """The answer of whichever node gives one."""
        until = time.monotonic() + seconds
        while True:
            address = self._pair.nodes[self._at].address
            try:
                line = self._lines.get(address) or self._lines.setdefault(address, Line(address, self._pair.key))
                answer = line.ask(method, path, body, idempotency_key=key)
                if answer.status < 500:
                    return answer
                assert answer.status == 503 and "retry-after" in answer.headers, answer.body
            except (OSError, http.client.HTTPException):
                self._lines.pop(address, None)
            assert time.monotonic() < until, f"{key} was never answered"
            self.repeated += 1
            self._at ^= 1
            time.sleep(0.02)


class Load:
    """Clients that run ``one`` over and over until they are told to stop; what each gave, in ``found``."""

    def __init__(self, pair: Pair, count: int, one: Callable[[Client, str], Any], name: str = "") -> None:
        self.pair, self.one, self.name = pair, one, name
        self.found: list[Any] = []
        self.broken: list[BaseException] = []
        self.clients = [Client(pair, number) for number in range(count)]
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(count)]

    def _run(self, number: int) -> None:
        try:
            for turn in itertools.count():
                if self._stop.is_set():
                    return
                self.found.append(self.one(self.clients[number], f"{self.name}{number}-{turn}"))
        except BaseException as error:
            self.broken.append(error)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads)
        assert not self.broken, (self.broken[:3], [node.log[-3:] for node in self.pair.nodes])

    def progress(self, more: int = 20) -> None:
        """Wait until so many more requests were answered."""
        wanted = len(self.found) + more
        self.until(lambda: len(self.found) >= wanted)

    def until(self, right: Callable[[], bool]) -> None:
        """Wait until something is so."""
        end = time.monotonic() + 40
        while not right() and not self.broken:
            assert time.monotonic() < end, f"{len(self.found)} were answered"
            time.sleep(0.01)


@contextlib.contextmanager
def never_below(dsn: str, pause: float = 0.002) -> Iterator[list[int]]:
    """Look at every payer's account all the time: no snapshot shows one below its limit. Yields how many were seen."""
    seen, stop = [0], threading.Event()
    below: list[tuple[object, ...]] = []

    def watch() -> None:
        with psycopg.connect(dsn, autocommit=True) as db:
            while not stop.wait(pause):
                sql = "SELECT id, posted, held, credit FROM apportion_books.account WHERE role = 'payer'"
                below.extend(row for row in db.execute(sql) if row[1] - row[2] + (row[3] or 0) < 0)
                seen[0] += 1

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
    assert seen[0] > 0 and not below, below[:3]


@contextlib.contextmanager
def proven(pair: Pair) -> Iterator[PostgresStore]:
    """The books that two stopped nodes left, proved from the store and from the export."""
    store = PostgresStore(pair.dsn, writable=False)
    try:
        heads = next(pair.folder.glob("*.heads")).read_bytes().splitlines()
        verdict = verify_store(store, 1, "main", Outside(signature_holds, heads))
        assert verdict.ok, verdict.findings[:5]
        verdict = verify_export(list(export(store, 1)), Outside(signature_holds, heads))
        assert verdict.ok, verdict.findings[:5]
        yield store
    finally:
        store.close()
