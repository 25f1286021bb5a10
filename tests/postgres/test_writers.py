"""Several writers on one database: each on a stream of its own, none below the limit, no record twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from apportion.adapters.stores.postgres import PostgresStore, Unwritten
from apportion.errors import StoreUnavailable
from apportion.model.account import Account, Role
from apportion.model.hold import Hold
from apportion.ports import Answered, Opened, Person, Writes
from tests.postgres.server import dsn_of, server
from tests.postgres.till import open_accounts, settled, take


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


class Node:
    """A store that 32 clients share, one group at a time."""

    def __init__(self, dsn: str) -> None:
        self.store = PostgresStore(dsn)
        self.tenant = self.store.tenant("main")
        self.turn = threading.Lock()

    def take(self, *keys: int) -> list[str]:
        with self.turn:
            return take(self.store, self.tenant, [key(n) for n in keys])


def test_sixty_four_clients_on_two_nodes_race_for_the_last_coins() -> None:
    dsn = dsn_of()
    first = PostgresStore(dsn)
    open_accounts(first, 200)
    first.close()
    nodes = [Node(dsn), Node(dsn)]

    def client(number: int) -> list[str]:
        """Every client tries ten keys, five of them those of a client at the other node."""
        mine = [number * 10 + i for i in range(10)]
        theirs = [(number ^ 1) * 10 + i for i in range(5)]
        return [answer for n in mine + theirs for answer in nodes[number % 2].take(n)]

    with ThreadPoolExecutor(64) as pool:
        answers = [answer for found in pool.map(client, range(64)) for answer in found]
    left, earned, rows, residue = settled(nodes[0].store, 1)
    assert (left, earned, rows, residue) == (0, 200, 200, 200) and answers.count("charged") == 200
    assert nodes[0].store.streams(1) == [0, 1] and all(nodes[0].store.head(1, s)[0] > 5 for s in (0, 1))
    database = dsn.split("/")[3].split("?")[0]
    assert len(server().sql(database, "SELECT 1 FROM apportion_books.balance WHERE account = 2")) == 2
    for node in nodes:
        node.store.close()


def test_a_record_that_two_nodes_charge_at_once_has_one_effect() -> None:
    dsn = dsn_of()
    one, two = PostgresStore(dsn), PostgresStore(dsn)
    tenant = open_accounts(one, 10)
    streams = [one.begin(tenant), two.begin(tenant)]
    assert streams == [0, 1] and one.seen(tenant, [key(7)]) == two.seen(tenant, [key(7)]) == {}
    one.stage(Writes(tenant, 0, journal=[(2, b"charge 7", bytes(32))], seen=[(key(7), "charged", b"", 2)]))
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(
            two.stage, Writes(tenant, 1, journal=[(1, b"charge 7", bytes(32))], seen=[(key(7), "charged", b"", 1)])
        )
        assert not late.done()
        one.commit()
        with pytest.raises(Unwritten, match="faster"):
            late.result(10)
    assert two.head(tenant, 1)[0] == 0 and take(two, tenant, [key(7)]) == ["again"]
    one.close()
    two.close()


def test_a_key_that_moved_on_meanwhile_is_decided_again() -> None:
    dsn = dsn_of()
    one, two = PostgresStore(dsn), PostgresStore(dsn)
    tenant = open_accounts(one, 10)
    one.begin(tenant)
    one.write(Writes(tenant, 0, journal=[(2, b"parked", bytes(32))], seen=[(key(7), "pending", b"", 2)]))
    for store in (one, two):
        store.begin(tenant)
        assert store.seen(tenant, [key(7)])[key(7)].state == "pending"
    one.write(Writes(tenant, 0, journal=[(3, b"charge", bytes(32))], seen=[(key(7), "charged", b"", 3)]))
    with pytest.raises(Unwritten):
        two.stage(Writes(tenant, 1, journal=[(1, b"charge", bytes(32))], seen=[(key(7), "charged", b"", 1)]))
    assert two.head(tenant, 1)[0] == 0
    one.close()
    two.close()


def test_an_idempotency_key_on_two_nodes_at_once_makes_one_record() -> None:
    dsn = dsn_of()
    one, two = PostgresStore(dsn), PostgresStore(dsn)
    tenant = open_accounts(one, 10)
    for store in (one, two):
        store.begin(tenant)
        assert store.answered(tenant, [key(7)]) == {}
    made = Answered(key(7), b"request", "done", "top_1", 2)
    one.write(Writes(tenant, 0, answered=[made]))
    with pytest.raises(Unwritten):
        two.stage(Writes(tenant, 1, answered=[Answered(key(7), b"request", "done", "top_2", 1)]))
    assert two.answered(tenant, [key(7), key(8)]) == {key(7): made}
    one.close()
    two.close()


def test_what_is_unique_stays_unique() -> None:
    """A chart key, a person's name, an asset's number: the second node to open one is told to look again."""
    dsn = dsn_of()
    one, two = PostgresStore(dsn), PostgresStore(dsn)
    tenant = open_accounts(one, 10)
    account = Account(5, "", Role.PLATFORM, 1)
    for first, second in (
        ({"opened": [Opened(account, "platform")]}, {"opened": [Opened(Account(6, "", Role.PLATFORM, 1), "platform")]}),
        ({"people": [Person(3, "handle", "ada")]}, {"people": [Person(4, "handle", "ada")]}),
        ({"facts": [("epoch", "a"), ("asset:2", "EUR/9")]}, {"facts": [("epoch", "b"), ("asset:2", "USD/9")]}),
        ({"facts": [("epoch", "c"), ("asset:3", "JPY/6")]}, {"facts": [("epoch", "d"), ("asset:3", "USD/9")]}),
    ):  # fmt: skip
        one.begin(tenant)
        two.begin(tenant)
        one.fact(tenant, "epoch")
        two.fact(tenant, "epoch")
        one.write(Writes(tenant, 0, **first))  # type: ignore[arg-type]
        with pytest.raises(Unwritten):
            two.stage(Writes(tenant, 1, **second))  # type: ignore[arg-type]
    assert one.fact(tenant, "asset:3") == "JPY/6" and one.handles(tenant, ["ada"]) == {"ada": 3}
    one.close()
    two.close()


def test_holds_and_payers_are_locked_until_the_group_is_in() -> None:
    dsn = dsn_of()
    one, two = PostgresStore(dsn), PostgresStore(dsn)
    tenant = open_accounts(one, 10)
    one.begin(tenant)
    one.write(Writes(tenant, 0, holds=[Hold(1, 1, "s", 5, "2027")]))
    one.begin(tenant)
    held = one.holds(tenant, [1])[1]
    held.captured = 5
    with ThreadPoolExecutor(1) as pool:
        two.begin(tenant)
        late = pool.submit(two.holds, tenant, [1])
        with pytest.raises(TimeoutError):
            late.result(0.2)
        one.write(Writes(tenant, 0, holds=[held]))
        assert late.result(10)[1].captured == 5, "what is read after the wait is what the other one wrote"
    two.drop()
    one.close()
    two.close()


def test_streams_are_leased_and_taken_over() -> None:
    dsn = dsn_of()
    one, two = PostgresStore(dsn), PostgresStore(dsn)
    tenant = open_accounts(one, 10)
    assert (one.begin(tenant), two.begin(tenant)) == (0, 1)
    two.drop()
    with pytest.raises(Unwritten, match="not ours"):
        two.begin(tenant)
        two.stage(Writes(tenant, 0, journal=[(2, b"", b"")]))
    three = PostgresStore(dsn)
    with pytest.raises(StoreUnavailable, match="written by another process"):
        three.stage(Writes(tenant, 0, journal=[(2, b"", b"")]))
    one.close()
    assert three.begin(tenant) == 0, "the stream of a writer that is gone is taken over"
    three.close()
    two.close()


def test_numbers_come_in_blocks_that_never_overlap() -> None:
    dsn = dsn_of()
    stores = [PostgresStore(dsn) for _ in range(3)]
    tenant = open_accounts(stores[0], 10)
    with ThreadPoolExecutor(3) as pool:
        taken = list(pool.map(lambda store: [store.reserve(tenant, "account") for _ in range(20)], stores))
    numbers = [n for blocks in taken for first, count in blocks for n in range(first, first + count)]
    assert len(set(numbers)) == len(numbers) == 60_000 and min(numbers) == 3
    for store in stores:
        store.close()


def test_two_processes_that_make_the_tables_at_once() -> None:
    dsn = dsn_of()
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: PostgresStore(dsn), range(8)))
        assert set(pool.map(lambda store: store.tenant("main"), stores)) == {1}
    for store in stores:
        store.close()
