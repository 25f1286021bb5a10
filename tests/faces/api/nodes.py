"""A real node in a process of its own, and what tests say to it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from apportion.engine.engine import Engine
from apportion.engine.exchange import KeyInput
from apportion.model.access import AccessRole
from apportion.model.agreement import Part, Service
from apportion.model.catalog import Catalog
from apportion.model.party import Payer, Provider, UnknownPayers
from apportion.model.tariff import Flat, Tariff, Unit
from tests.faces.driving import ROOT

#: wholesale prices that must never be seen by anybody else
CANARIES = {"dora": "1.7371", "otto": "0.31415"}
MARGIN = "4.94875"  # what the platform keeps of a ride of 1 km
ROLES = ("operator", "auditor", "user", "provider")


def catalog(opening: str = "100", price: str = "7") -> Catalog:
    """Rides at 7 EUR flat, delivered by dora and otto at wholesale prices of their own."""
    tariffs = (
        Tariff(id="fare", currency="EUR", components=(Flat(name="start", price=price),)),
        Tariff(id="driving", currency="EUR", components=(Flat(name="time", price=CANARIES["dora"]),)),
        Tariff(id="car", currency="EUR", components=(Unit(name="way", measure="km", price=CANARIES["otto"]),)),
    )
    ride = Service(
        id="ride", retail="fare", measures={"km": "km"}, attributes=("colour",),
        parts={"driver": Part("dora", {"dora": "driving"}), "car": Part("otto", {"otto": "car"})},
    )  # fmt: skip
    return Catalog(
        providers={name: Provider(name) for name in ("dora", "otto")},
        services={"ride": ride},
        tariffs={tariff.id: tariff for tariff in tariffs},
        payers={"ada": Payer("ada", "EUR", opening=opening), "ben": Payer("ben", "EUR", opening=opening)},
        unknown_payers=UnknownPayers("EUR", credit="1000"),
    )


def ride(id: object, payer: str = "ada", source: str = "meter", **more: Any) -> dict[str, Any]:
    """A usage record as JSON."""
    start = "2026-10-16T08:05:00Z"
    plain = {"source": source, "id": str(id), "service": "ride", "start": start, "payers": [{"payer": payer}]}
    return {**plain, "quantities": {"km": "1"}, **more}


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Line:
    """One connection to a node, kept open."""

    def __init__(self, address: tuple[str, int], key: str) -> None:
        self._http = http.client.HTTPConnection(*address, timeout=30)
        self._key = key

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send one request; ``body`` is JSON unless it is bytes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self._key:
            named.setdefault("authorization", f"Bearer {self._key}")
        if body is not None:
            named.setdefault("content-type", "application/json")
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        self._http.request(method, path, raw, named)
        answer = self._http.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def close(self) -> None:
        self._http.close()


class NodeProcess:
    """``apportion serve`` on ``store``."""

    def __init__(self, store: Path, *words: str, wrap: Sequence[str] = ()) -> None:
        self.store = store
        command = [*wrap, sys.executable, "-m", "apportion", "serve", "--store", str(store), *words]
        command += [] if "--port" in words else ["--port", "0"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=store.parent
        )
        self.log: list[str] = []
        assert self.process.stderr is not None and self.process.stdout is not None
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.first_key, self.said = "", ""
        for line in self.process.stdout:
            self.said += line
            if found := re.search(r"apk_\S+", line):
                self.first_key = found[0]
            if found := re.search(r"http://([\d.]+):(\d+)", line):
                self.address = found[1], int(found[2])
                return
        raise AssertionError(f"it did not start: {self.log}")

    def _listen(self) -> None:
        assert self.process.stderr is not None
        self.log.extend(self.process.stderr)

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def line(self, key: str = "") -> Line:
        """A connection with a key; the first one when none is named."""
        return Line(self.address, key or self.first_key)

    def ask(self, method: str, path: str, body: Any = None, key: str = "", **headers: str) -> Answer:
        """One request on a connection of its own; ``key`` ``none`` sends no key."""
        line = Line(self.address, "" if key == "none" else key or self.first_key)
        try:
            return line.ask(method, path, body, **headers)
        finally:
            line.close()

    def key(self, role: str, party: str = "", *sources: str) -> str:
        """A new key of a role."""
        made = self.ask("POST", "/v1/keys", {"role": role, "party": party, "sources": list(sources)})
        assert made.status == 201, made.body
        return str(made.json["secret"])

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(40)
        self._listener.join(5)
        return code


def balance(node: NodeProcess, owner: str) -> dict[str, str]:
    """The payer's account of somebody."""
    accounts = node.ask("GET", "/v1/accounts?limit=200").json["data"]
    return next(account for account in accounts if account["owner"] == owner and account["role"] == "payer")


def together(count: int, run: Callable[[int], Any]) -> list[Any]:
    """``run`` on so many threads that begin at the same instant; what each gave."""
    gate, found = threading.Barrier(count), [None] * count

    def one(number: int) -> None:
        gate.wait()
        found[number] = run(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def books(path: Path, tenants: Sequence[str] = ("main",)) -> dict[str, str]:
    """A store with the catalog and an operator's key for each tenant: tenant → secret."""
    from apportion.engine.access import new_key
    from apportion.wiring import open_engine

    secrets = {}
    for tenant in tenants:
        with open_engine(str(path), tenant=tenant) as engine:
            engine.apply(catalog())
            secrets[tenant] = new_key(engine, KeyInput(AccessRole.OPERATOR))[0].secret
    return secrets


def proven(path: Path, tenant: str = "main") -> Engine:
    """Prove a store that no node holds any more, then open it for reading."""
    from apportion.adapters.outside import signature_holds
    from apportion.adapters.stores.sqlite import SqliteStore
    from apportion.engine.verify import Outside, verify_store
    from apportion.wiring import open_engine

    store = SqliteStore(path, writable=False)
    heads = [
        head for head in Path(f"{path}.heads").read_bytes().splitlines() if b'"tenant":"%b"' % tenant.encode() in head
    ]
    verdict = verify_store(store, store.tenant(tenant), tenant, Outside(signature_holds, heads))
    store.close()
    assert verdict.ok, verdict.findings[:5]
    return open_engine(str(path), tenant=tenant, writable=False)
