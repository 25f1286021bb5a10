"""Connections and servers that go away: what was answered is there once, what was not is decided again."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator

import pytest

from apportion.adapters.stores.postgres import PostgresStore, Unwritten
from apportion.errors import StoreUnavailable
from apportion.ports import Writes
from tests.postgres.proxy import Proxy
from tests.postgres.server import PostgresServer, dsn_of, server
from tests.postgres.till import open_accounts, settled, take, take_once


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def name_of(dsn: str) -> str:
    return dsn.split("/")[3].split("?")[0]


@pytest.fixture
def door() -> Iterator[Proxy]:
    door = Proxy(server().socket)
    yield door
    door.close()


def test_the_answer_to_commit_is_lost_but_the_group_is_in(door: Proxy) -> None:
    dsn = dsn_of()
    store = PostgresStore(door.dsn(name_of(dsn)))
    tenant = open_accounts(store, 100)
    for n in range(5):
        door.mood = "lose answer"
        assert take(store, tenant, [key(n)], attempts=1) == ["charged"], "found in the journal: no second attempt"
    assert door.troubles == 5 and settled(store, tenant) == (95, 5, 5, 5)
    store.close()


def test_commit_never_reached_the_server(door: Proxy) -> None:
    dsn = dsn_of()
    store = PostgresStore(door.dsn(name_of(dsn)))
    tenant = open_accounts(store, 100)
    for n in range(5):
        door.mood = "lose question"
        with pytest.raises(Unwritten):
            take_once(store, tenant, [key(n)])
        assert settled(store, tenant)[0] == 100 - n
        assert take(store, tenant, [key(n)]) == ["charged"]
    assert door.troubles == 5 and settled(store, tenant) == (95, 5, 5, 5)
    store.close()


def test_a_server_that_falls_silent_is_left_after_a_while(door: Proxy) -> None:
    dsn = dsn_of()
    store = PostgresStore(door.dsn(name_of(dsn)), patience=1)
    tenant = open_accounts(store, 100)
    began = time.monotonic()
    door.mood = "silent"
    with pytest.raises(StoreUnavailable):
        take_once(store, tenant, [key(1)])
    assert time.monotonic() - began < 10
    door.mood = ""
    assert take(store, tenant, [key(1)]) == ["charged"] and settled(store, tenant) == (99, 1, 1, 1)
    store.close()


def test_backends_are_killed_under_load() -> None:
    """``kill -9`` of a backend makes PostgreSQL drop every connection and recover; terminating one drops only that."""
    dsn = dsn_of()
    first = PostgresStore(dsn)
    tenant = open_accounts(first, 10_000)
    first.close()
    stop = threading.Event()
    acknowledged: list[list[int]] = [[], []]

    def node(number: int) -> None:
        store = PostgresStore(dsn)
        for batch in itertools.count():
            if stop.is_set():
                break
            keys = [(batch * 2 + number) * 10 + i for i in range(10)]
            if take(store, tenant, [key(n) for n in keys])[0] in ("charged", "again"):
                acknowledged[number] += keys
        store.close()

    threads = [threading.Thread(target=node, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    chance = random.Random(11)
    for _ in range(12):
        time.sleep(chance.uniform(0.02, 0.15))
        server().sql(
            "postgres",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name_of(dsn)}' "
            f"AND pid % 2 = {chance.randrange(2)}",
        )
    stop.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    store = PostgresStore(dsn, writable=False)
    known = store.seen(tenant, [key(n) for numbers in acknowledged for n in numbers])
    assert len(known) == len(acknowledged[0]) + len(acknowledged[1]) > 50, "everything acknowledged is there"
    left, earned, rows, residue = settled(store, tenant)
    assert left + earned == 10_000 and earned == rows == residue
    store.close()


def test_the_server_itself_is_killed_under_load() -> None:
    own = PostgresServer()
    try:
        dsn = own.fresh()
        first = PostgresStore(dsn)
        tenant = open_accounts(first, 10_000)
        first.close()
        stop = threading.Event()
        acknowledged: list[int] = []

        def node(number: int) -> None:
            store = PostgresStore(dsn)
            for batch in itertools.count():
                if stop.is_set():
                    break
                keys = [(batch * 2 + number) * 10 + i for i in range(10)]
                assert take(store, tenant, [key(n) for n in keys])[0] in ("charged", "again")
                acknowledged.extend(keys)
            store.close()

        threads = [threading.Thread(target=node, args=(number,)) for number in (0, 1)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            time.sleep(0.3)
            before = len(acknowledged)
            own.kill()
            own.start()
        while len(acknowledged) < before + 100:
            time.sleep(0.01)
            assert all(thread.is_alive() for thread in threads)
        stop.set()
        for thread in threads:
            thread.join(60)
        store = PostgresStore(dsn, writable=False)
        assert len(store.seen(tenant, [key(n) for n in acknowledged])) == len(acknowledged)
        left, earned, rows, residue = settled(store, tenant)
        assert left + earned == 10_000 and earned == rows == residue
        store.close()
    finally:
        own.stop()


def test_a_writer_that_was_taken_for_dead_can_write_no_more() -> None:
    """Paused for longer than the server waits, its session is ended; another node has its turn; it wakes up."""
    dsn = dsn_of()
    paused, other = PostgresStore(dsn), PostgresStore(dsn)
    tenant = open_accounts(paused, 10)
    n = paused.turn(tenant).n
    server().sql("postgres", f"SELECT pg_terminate_backend({paused._link.db.info.backend_pid})")
    assert take(other, tenant, [key(2)]) == ["charged"]
    with pytest.raises(Unwritten):
        paused.stage(
            Writes(tenant, 0, journal=[(n + 1, b"charge y", bytes(32))], seen=[(key(3), "charged", b"", n + 1)])
        )
    assert paused.turn(tenant).n == n + 1 and key(3) not in dict(other.all_seen(tenant))
    paused.drop()
    assert take(paused, tenant, [key(3)]) == ["charged"]
    paused.close()
    other.close()
