"""Several writers on one database: one after the other, none below the limit, no record twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from apportion.adapters.stores.postgres import PostgresStore, Unwritten
from apportion.errors import StoreUnavailable
from apportion.model.account import Account, Role
from apportion.model.hold import Hold
from apportion.ports import Answered, Opened, Writes
from tests.postgres.server import dsn_of
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
    for node in nodes:
        node.store.close()


def test_whoever_has_the_turn_is_alone_until_it_ends() -> None:
    dsn = dsn_of()
    one, two = PostgresStore(dsn), PostgresStore(dsn)
    tenant = open_accounts(one, 10)
    begun = one.turn(tenant)
    assert one.seen(tenant, [key(7)]) == one.answered(tenant, [key(7)]) == {}
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(two.turn, tenant)
        with pytest.raises(TimeoutError):
            late.result(0.2)
        made = Answered(key(7), b"request", "done", "top_1", 2)
        one.write(
            Writes(
                tenant, 0, journal=[(begun.n + 1, b"charge 7", b"h" * 32)], seen=[(key(7), "charged", b"", 2)],
                answered=[made], holds=[Hold(1, 1, "s", 5, "2027")],
                opened=[Opened(Account(5, "", Role.PLATFORM, 1), "platform")],
            )
        )  # fmt: skip
        turn = late.result(10)
    assert (turn.n, turn.head, turn.free) == (begun.n + 1, b"h" * 32, (6, 1, 2)) and turn.epoch == begun.epoch
    assert two.seen(tenant, [key(7)])[key(7)].state == "charged" and two.answered(tenant, [key(7)]) == {key(7): made}
    assert two.account_keys(tenant, ["platform"]) == {"platform": 5} and two.peek(tenant) == turn
    two.drop()
    one.close()
    two.close()


def test_turns_of_tenants_do_not_wait_for_each_other() -> None:
    dsn = dsn_of()
    one, two = PostgresStore(dsn), PostgresStore(dsn)
    first, second = one.tenant("first"), one.tenant("second")
    one.turn(first)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(two.turn, second).result(5).n == 0
    with pytest.raises(Unwritten, match="another tenant"):
        two.stage(Writes(first, 0, facts=[("x", "y")]))
    one.close()
    two.close()


def test_who_asks_first_is_served_first() -> None:
    """A node that always has something to write does not push in front of the others."""
    dsn = dsn_of()
    stores = [PostgresStore(dsn) for _ in range(3)]
    tenant = open_accounts(stores[0], 10_000)
    served: list[int] = []

    def node(number: int) -> None:
        for n in range(40):
            stores[number].turn(tenant)
            served.append(number)
            stores[number].write(Writes(tenant, 0, seen=[(key(number * 100 + n), "charged", b"", 1)]))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(node, range(3)))
    together = served[6:-12]
    assert max(served.index(n) for n in range(3)) < 20
    assert all(len(set(together[at : at + 8])) == 3 for at in range(len(together) - 8)), "".join(map(str, served))
    for store in stores:
        store.close()


def test_the_epoch_moves_with_what_nodes_remember() -> None:
    dsn = dsn_of()
    store = PostgresStore(dsn)
    tenant = open_accounts(store, 10)
    epoch = store.peek(tenant).epoch
    for fields, moves in (
        ({"facts": [("checkpoint", "x")]}, 0), ({"facts": [("assets", "2")]}, 1), ({"facts": [("keys", "k")]}, 1),
        ({"documents": [("key_1", 0, b"{}")]}, 1), ({"documents": [("stm_1", 0, b"{}")]}, 0),
        ({"facts": [("catalog", "cat_1")]}, 1), ({"closed": [("2026-11", 1, 1)]}, 1),
    ):  # fmt: skip
        store.write(Writes(tenant, 0, **fields))  # type: ignore[arg-type]
        assert store.peek(tenant).epoch == epoch + moves, fields
        epoch += moves
    store.forget(tenant, 1)
    assert store.peek(tenant).epoch == epoch + 1
    store.close()


def test_a_turn_that_is_never_ended_is_waited_for_with_patience_only() -> None:
    dsn = dsn_of()
    greedy, other = PostgresStore(dsn), PostgresStore(dsn, patience=2)
    tenant = open_accounts(greedy, 10)
    greedy.turn(tenant)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(other.turn, tenant)
        while not waiting.done():
            greedy.peek(tenant)
        with pytest.raises(StoreUnavailable, match="does not end its turn"):
            waiting.result()
    greedy.close()
    assert take(other, tenant, [key(1)]) == ["charged"]
    other.close()


def test_a_journal_that_was_restored_without_the_rest_is_refused() -> None:
    dsn = dsn_of()
    store = PostgresStore(dsn)
    tenant = open_accounts(store, 10)
    store.close()
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute("DELETE FROM apportion_books.journal")
    store = PostgresStore(dsn)
    with pytest.raises(StoreUnavailable, match="Restore all of it"):
        store.turn(tenant)
    store.close()


def test_two_processes_that_make_the_tables_at_once() -> None:
    dsn = dsn_of()
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: PostgresStore(dsn), range(8)))
        assert set(pool.map(lambda store: store.tenant("main"), stores)) == {1}
    for store in stores:
        store.close()
