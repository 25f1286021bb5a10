"""What the only writer remembers is what its file says, and nobody can change it but by writing."""

from __future__ import annotations

from pathlib import Path

import pytest

from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.engine import Engine
from apportion.model.account import Account, Role
from apportion.ports import Opened, Writes
from apportion.wiring import open_engine
from tests.book import fill


def file_says(path: Path) -> SqliteStore:
    return SqliteStore(path, writable=False)


def same(engine: Engine, path: Path) -> int:
    """Everything that may be remembered, asked of the writer and of the file; how many accounts there are."""
    store, tenant, fresh = engine.store, engine.tenant, file_says(path)
    ids = [account.id for _, account in fresh.all_accounts(tenant)]
    assert store.accounts(tenant, ids) == fresh.accounts(tenant, ids)
    assert store.residues(tenant, ids) == fresh.residues(tenant, ids) == fresh.all_residues(tenant)
    assert store.head(tenant, 0) == fresh.head(tenant, 0)
    fresh.close()
    return len(ids)


def test_it_is_what_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with open_engine(str(path)) as engine:
        fill(engine, 40)
        assert same(engine, path) > 10
        fill_again = same(engine, path)
        engine.top_up("ada", "1", "EUR", "one more")
        assert same(engine, path) == fill_again


def test_an_answer_is_the_askers_own(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "books.db")
    tenant = store.tenant("main")
    opened = Opened(Account(1, "", Role.PAYER, 1, credit=5), "payer")
    store.write(Writes(tenant, 0, opened=[opened], accounts=[Account(1, "", Role.PAYER, 1, 100, credit=5)]))
    for _ in range(2):
        found = store.accounts(tenant, [1, 2])[1]
        assert (found.posted, found.credit) == (100, 5)
        found.posted = 7  # decided, but never written
    account = store.accounts(tenant, [1])[1]
    account.posted = 90
    store.write(Writes(tenant, 0, accounts=[account]))
    account.posted = 1
    assert store.accounts(tenant, [1])[1].posted == 90
    store.close()


def test_what_fails_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    store = SqliteStore(path)
    tenant = store.tenant("main")
    store.write(
        Writes(
            tenant, 0, journal=[(1, b"one", bytes(32))], opened=[Opened(Account(1, "", Role.PAYER, 1), "payer")],
            accounts=[Account(1, "", Role.PAYER, 1, 100)], residues=[(1, 3)],
        )
    )  # fmt: skip
    twice = [(1, b"another", bytes(32))]  # the row is there already
    with pytest.raises(Exception, match="UNIQUE"):
        store.stage(Writes(tenant, 0, journal=twice, accounts=[Account(1, "", Role.PAYER, 1, 5)], residues=[(1, 9)]))
    assert store.accounts(tenant, [1])[1].posted == 100 and store.residues(tenant, [1]) == {1: 3}
    assert store.head(tenant, 0) == (1, bytes(32))
    negative = Account(1, "", Role.PAYER, 1, 5, held=-1)  # the file's own constraint refuses it
    with pytest.raises(Exception, match="CHECK"):
        store.stage(Writes(tenant, 0, journal=[(2, b"two", bytes(32))], accounts=[negative]))
    assert store.accounts(tenant, [1])[1].posted == 100 and store.head(tenant, 0) == (1, bytes(32))
    store.close()


def test_what_is_dropped_is_forgotten(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "books.db")
    tenant = store.tenant("main")
    opened = Opened(Account(1, "", Role.PAYER, 1), "payer")
    store.write(Writes(tenant, 0, opened=[opened], accounts=[Account(1, "", Role.PAYER, 1, 100)]))
    store.stage(Writes(tenant, 0, journal=[(1, b"one", b"1" * 32)], accounts=[Account(1, "", Role.PAYER, 1, 5)]))
    assert store.accounts(tenant, [1])[1].posted == 5, "what is staged is what the next group finds"
    store.drop()
    assert store.accounts(tenant, [1])[1].posted == 100 and store.head(tenant, 0) == (0, bytes(32))
    store.close()


def test_groups_of_every_width_are_written_whole(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "books.db")
    tenant, n = store.tenant("main"), 0
    for count in (1, 3, 4, 5, 16, 21, 63, 64, 85, 255, 256, 257, 600):
        rows = [(n + i + 1, b"row %d" % (n + i + 1), (n + i + 1).to_bytes(32, "big")) for i in range(count)]
        seen = [(row[2][16:], "charged", b"12345678", row[0]) for row in rows]
        opened = [Opened(Account(row[0], "", Role.PAYER, 1, party=row[0]), f"payer {row[0]}") for row in rows]
        accounts = [Account(row[0], "", Role.PAYER, 1, row[0] * 7) for row in rows]
        store.write(Writes(tenant, 0, journal=rows, seen=seen, opened=opened, accounts=accounts))
        n += count
        assert store.head(tenant, 0) == (n, n.to_bytes(32, "big"))
    store.close()
    fresh = file_says(tmp_path / "books.db")
    assert [(row, body) for row, body, _ in fresh.journal(tenant, 0, 0, n)] == [
        (i, b"row %d" % i) for i in range(1, n + 1)
    ]
    assert {account.id: account.posted for _, account in fresh.all_accounts(tenant)} == {
        i: i * 7 for i in range(1, n + 1)
    }
    assert {found.n for _, found in fresh.all_seen(tenant)} == set(range(1, n + 1))
    fresh.close()
