"""How much faster are groups in turns than a lock on the provider's row for every charge?

All charges credit the same two providers, the worst case for books that lock. The baseline is what a plain service
does: eight connections, a transaction a charge (the charge once by its key, the payer's and both providers' rows
updated, COMMIT), in the same server and with the same durability. Against it stand one node that takes a turn for every
group of 1,000, and two nodes that take turns. Rounds alternate; the server is a real one in a folder of its own.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from apportion.adapters.outside import KeyFile, SystemClock, SystemRandom
from apportion.adapters.stores.postgres import PostgresStore
from apportion.engine.engine import Engine
from apportion.model.agreement import Part, Service
from apportion.model.catalog import Catalog
from apportion.model.command import ChargeUsage
from apportion.model.usage import PartUse
from benchmarks.charges import GROUP, catalog, usages
from tests.postgres.server import PostgresServer

CONNECTIONS = 8
HOST = "host-07"
_TABLES = """
CREATE TABLE account (id integer PRIMARY KEY, posted bigint NOT NULL) WITH (fillfactor = 50);
INSERT INTO account SELECT n, 1000000000000 FROM generate_series(0, 10002) n;
CREATE TABLE charge (key text PRIMARY KEY, payer integer NOT NULL, amount bigint NOT NULL, body bytea NOT NULL);
"""
_CHARGE = "INSERT INTO charge VALUES (%s, %s, %s, %s)"
_DEBIT = "UPDATE account SET posted = posted - %s WHERE id = %s AND posted >= %s"
_CREDIT = "UPDATE account SET posted = posted + %s WHERE id = %s"


def two_providers() -> Catalog:
    """The gateway and one host, who deliver everything."""
    book = catalog()
    service = book.services["chat"]
    parts = {**service.parts, "model": Part(wholesale={HOST: HOST})}
    return Catalog(
        name=book.name, providers=book.providers, tariffs=book.tariffs, unknown_payers=book.unknown_payers,
        services={"chat": Service(id="chat", retail="retail", measures=service.measures, parts=parts)},
    )  # fmt: skip


def groups(first: int, count: int) -> list[list[ChargeUsage]]:
    """Charges that all credit the same two."""
    found = []
    for at in range(first, first + count, GROUP):
        records = [msgspec.structs.replace(one, parts=(PartUse("model", HOST),)) for one in usages(at, GROUP)]
        found.append([ChargeUsage(record) for record in records])
    return found


def _engine(dsn: str, key: str) -> Engine:
    outside = (SystemClock(), SystemRandom(), KeyFile(key))
    return Engine(PostgresStore(dsn), "main", outside, lambda line: None)


def _node(dsn: str, key: str, first: int, count: int, gate: Any, told: Any) -> None:
    """A process that charges ``count`` records, from the moment when all are ready."""
    ready = groups(first, count)
    engine = _engine(dsn, key)
    _ = engine.writer
    gate.wait()
    begin = time.time()
    for outcomes in engine.writer.stream(ready):
        assert all(outcome.total > 0 for outcome in outcomes)
    told.put((begin, time.time()))
    engine.close()


def nodes(server: PostgresServer, folder: Path, count: int, number: int) -> float:
    """Charges a second of so many nodes together."""
    dsn, key = server.fresh(), str(folder / "bench.key")
    with _engine(dsn, key) as engine:
        engine.apply(two_providers())
        engine.charge([command.usage for command in groups(10_000_000, GROUP)[0]])  # accounts are open
    context = multiprocessing.get_context("spawn")
    gate, told, each = context.Barrier(number), context.Queue(), count // number
    args = [(dsn, key, n * each, each, gate, told) for n in range(number)]
    started = [context.Process(target=_node, args=one) for one in args]
    for process in started:
        process.start()
    spans = [told.get(timeout=600) for _ in started]
    for process in started:
        process.join()
    store = PostgresStore(dsn, writable=False)
    assert sum(1 for _ in store.all_seen(1)) == number * each + GROUP
    assert sum(account.posted for _, account in store.all_accounts(1)) == 0
    store.close()
    return number * each / (max(end for _, end in spans) - min(begin for begin, _ in spans))


def rows(server: PostgresServer, count: int) -> float:
    """Charges a second with a lock on both providers' rows for each."""
    dsn = server.fresh()
    with psycopg.connect(dsn) as db:
        db.execute(_TABLES)
    each, body = count // CONNECTIONS, bytes(400)
    gate = threading.Barrier(CONNECTIONS + 1)

    def client(number: int) -> None:
        with psycopg.connect(dsn) as db:
            gate.wait()
            for n in range(number * each, (number + 1) * each):
                payer = n * 7919 % 10_000
                db.execute(_CHARGE, (f"r{n}", payer, 1000, body))
                assert db.execute(_DEBIT, (1000, payer, 1000)).rowcount == 1
                db.execute(_CREDIT, (400, 10_001))
                db.execute(_CREDIT, (600, 10_002))
                db.commit()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    gate.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begin
    with psycopg.connect(dsn) as db:
        assert db.execute("SELECT posted FROM account WHERE id = 10001").fetchone() == (10**12 + 400 * each * 8,)
    return each * CONNECTIONS / seconds


def measure(count: int = 50_000, rounds: int = 3) -> dict[str, object]:
    """Charges a second of one node, of two, and of the baseline, with the ratios of the medians."""
    server = PostgresServer()
    one, two, plain = [], [], []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(rounds):
                plain.append(rows(server, count // 10))
                one.append(nodes(server, Path(folder), count, 1))
                two.append(nodes(server, Path(folder), count, 2))
    finally:
        server.stop()
    middle = [sorted(rates)[len(rates) // 2] for rates in (one, two, plain)]
    return {
        "group": GROUP,
        "count": count,
        "rounds": rounds,
        "one node charges/s": [round(rate) for rate in one],
        "two nodes charges/s": [round(rate) for rate in two],
        "row lock a charge, 8 connections, charges/s": [round(rate) for rate in plain],
        "one node against row locks": round(middle[0] / middle[2], 1),
        "two nodes against row locks": round(middle[1] / middle[2], 1),
        "two nodes against one": round(middle[1] / middle[0], 2),
    }
