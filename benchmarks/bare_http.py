"""The path that no engine can be faster than: the node's server, decode, reply and SQLite rows, and nothing in between.

    python -m benchmarks.bare_http STORE     says its address on the first line, ends with SIGTERM

It takes what ``POST /v1/usage`` takes and gives the same answer. Every record becomes a usage row, a charge row, four
postings, two moved balances and its dedup key; a request its Idempotency-Key. What waits is written as one group with
one COMMIT (WAL, synchronous=FULL, checkpoints as the store makes them) by a thread of its own, and answered after it.
Prices are two multiplications; nobody looks up a key, a tariff or a balance, and nothing is proven.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Iterable
from typing import Any

import apsw
import msgspec
import uvicorn
from blake3 import blake3

from apportion.adapters.stores.sqlite import CHECKPOINT_PAGES, PRAGMAS
from apportion.faces.api.server import SWITCH_SECONDS, Serving, protocol_of
from apportion.model.usage import Usage

GROUP = 1000
TABLES = """
CREATE TABLE usage (id INTEGER PRIMARY KEY, source TEXT, record TEXT, service TEXT, start TEXT, payer INTEGER,
  part TEXT, provider TEXT, input INTEGER, output INTEGER);
CREATE TABLE charge (id INTEGER PRIMARY KEY, usage INTEGER, amount INTEGER, total INTEGER, platform INTEGER,
  tariff TEXT, currency TEXT, explanation TEXT);
CREATE TABLE posting (charge INTEGER, account INTEGER, amount INTEGER);
CREATE TABLE balance (account INTEGER PRIMARY KEY, posted INTEGER NOT NULL);
CREATE TABLE seen (key BLOB PRIMARY KEY, charge INTEGER) WITHOUT ROWID;
CREATE TABLE idempotency (key BLOB PRIMARY KEY, fingerprint BLOB, charge INTEGER) WITHOUT ROWID;
"""
GATE, PLATFORM, HOSTS, PAYERS = 1, 2, 10, 100  # account numbers: one, one, fifty, ten thousand
Rows = list[tuple[Any, ...]]


class Bare:
    """The rows of charges in one file."""

    def __init__(self, path: str) -> None:
        self.db = apsw.Connection(path, statementcachesize=64)
        for pragma in (*PRAGMAS, f"wal_autocheckpoint={CHECKPOINT_PAGES}"):
            list(self.db.execute(f"PRAGMA {pragma}"))
        if not list(self.db.execute("SELECT 1 FROM sqlite_master WHERE name = 'usage'")):
            self.db.execute("BEGIN IMMEDIATE")
            self.db.execute(TABLES)
            accounts = [GATE, PLATFORM, *range(HOSTS, HOSTS + 50), *range(PAYERS, PAYERS + 10_000)]
            self.db.executemany("INSERT INTO balance VALUES (?, 0)", [(account,) for account in accounts])
            self.db.execute("COMMIT")
        self.next: int = list(self.db.execute("SELECT coalesce(max(id), 0) + 1 FROM usage"))[0][0]

    def write(self, requests: Iterable[tuple[list[Usage], str, bytes]]) -> list[int]:
        """Write a group of (records, Idempotency-Key, body) and make it durable; each request's first number."""
        usages: Rows = []
        charges: Rows = []
        postings: Rows = []
        seen: Rows = []
        keys: Rows = []
        moved: dict[int, int] = {}
        firsts = []
        for records, key, body in requests:
            firsts.append(self.next)
            if key:
                keys.append((blake3(key.encode()).digest(16), blake3(body).digest(8), self.next))
            for usage in records:
                number = self.next
                self.next += 1
                payer = PAYERS + int(usage.payers[0].payer[1:])
                host = HOSTS + int(usage.parts[0].provider[5:])
                tokens_in, tokens_out = int(usage.quantities["input_tokens"]), int(usage.quantities["output_tokens"])
                fee, gate, model = (
                    tokens_in * 600 + tokens_out * 2400, tokens_in * 20 + tokens_out * 50,
                    tokens_in * 200 + tokens_out * 1000,
                )  # fmt: skip
                usages.append(
                    (number, usage.source, usage.id, usage.service, usage.start.isoformat(), payer,
                     usage.parts[0].part, usage.parts[0].provider, tokens_in, tokens_out)
                )  # fmt: skip
                charges.append((number, number, fee, fee, fee - gate - model, "retail", "USD", ""))
                for account, amount in ((payer, -fee), (GATE, gate), (host, model), (PLATFORM, fee - gate - model)):
                    postings.append((number, account, amount))
                    moved[account] = moved.get(account, 0) + amount
                seen.append((blake3(f"{usage.source}\0{usage.id}".encode()).digest(16), number))
        many = self.db.executemany
        self.db.execute("BEGIN IMMEDIATE")
        many("INSERT INTO usage VALUES (?,?,?,?,?,?,?,?,?,?)", usages)
        many("INSERT INTO charge VALUES (?,?,?,?,?,?,?,?)", charges)
        many("INSERT INTO posting VALUES (?,?,?)", postings)
        many("INSERT INTO seen VALUES (?,?)", seen)
        many("INSERT INTO idempotency VALUES (?,?,?)", keys)
        many("UPDATE balance SET posted = posted + ? WHERE account = ?", [(m, a) for a, m in moved.items()])
        self.db.execute("COMMIT")
        return firsts


class Writer(threading.Thread):
    """Writes what waits, a group at a time, and wakes the event loop once per group."""

    def __init__(self, bare: Bare, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(daemon=True)
        self.bare, self.loop = bare, loop
        self.jobs: deque[tuple[list[Usage], str, bytes, asyncio.Future[int]]] = deque()
        self.turn = threading.Condition()

    def submit(self, job: tuple[list[Usage], str, bytes, asyncio.Future[int]]) -> None:
        with self.turn:
            self.jobs.append(job)
            if len(self.jobs) == 1:
                self.turn.notify()

    def run(self) -> None:
        while True:
            with self.turn:
                while not self.jobs:
                    self.turn.wait()
                taken, room = [], GROUP
                while self.jobs and room > 0:
                    taken.append(self.jobs.popleft())
                    room -= len(taken[-1][0])
            firsts = self.bare.write([(records, key, body) for records, key, body, _ in taken])
            done = [(job[3], first) for job, first in zip(taken, firsts, strict=True)]
            self.loop.call_soon_threadsafe(lambda done=done: [waiter.set_result(first) for waiter, first in done])


_DECODE = msgspec.json.Decoder(list[Usage]).decode
_ENCODE = msgspec.json.Encoder().encode


class App:
    """The one route, as plain ASGI."""

    writer: Writer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        parts = []
        while True:
            message = await receive()
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        body = b"".join(parts)
        key = dict(scope["headers"]).get(b"idempotency-key", b"").decode()
        records = _DECODE(body)
        waiter: asyncio.Future[int] = self.writer.loop.create_future()
        self.writer.submit((records, key, body, waiter))
        first = await waiter
        made = [{"state": "charged", "id": f"chg_{first + n:032x}"} for n in range(len(records))]
        answer = _ENCODE({"records": made})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


async def _serve(path: str) -> None:
    app = App()
    app.writer = Writer(Bare(path), asyncio.get_running_loop())
    app.writer.start()
    config = uvicorn.Config(
        app, http=protocol_of(Serving()), ws="none", lifespan="off", log_config=None, access_log=False,
        server_header=False, proxy_headers=False,
    )  # fmt: skip
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print("http://{}:{}".format(*listening.getsockname()), flush=True)
    await uvicorn.Server(config).serve(sockets=[listening])


def main() -> None:
    """Serve until told to stop."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    config = uvicorn.Config("", http="httptools", log_config=None)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(sys.argv[1]))


if __name__ == "__main__":
    main()
