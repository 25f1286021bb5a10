"""The engine on PostgreSQL writes the very books that it writes on SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest

from apportion.adapters.outside import KeyFile, signature_holds
from apportion.adapters.stores.postgres import PostgresStore
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.engine import Engine
from apportion.engine.export import export
from apportion.engine.verify import Outside, verify_store
from apportion.errors import Misconfigured
from apportion.model.account import Account
from apportion.ports import Store
from apportion.wiring import open_engine
from tests.book import catalog, fill, ride, usages
from tests.postgres.server import dsn_of


class Outsiders:
    """A clock that stands, and salts that repeat."""

    def __init__(self) -> None:
        self._salts = 0

    def now(self) -> str:
        return "2026-12-24T10:00:00.000000Z"

    def salt(self) -> bytes:
        self._salts += 1
        return self._salts.to_bytes(32, "big")


def run(store: Store, key: KeyFile) -> list[str]:
    """The same story on any store; the heads that were announced."""
    heads: list[str] = []
    outside = Outsiders()
    with Engine(store, "main", (outside, outside, key), heads.append) as engine:
        fill(engine, close=True)
    return heads


def plain(accounts: list[tuple[str, Account]]) -> list[tuple[object, ...]]:
    return [(key, a.id, a.role, a.posted, a.held, a.credit, a.party) for key, a in accounts]


def test_the_same_run_makes_the_same_books(tmp_path: Path) -> None:
    key, dsn = KeyFile(None), dsn_of()
    heads = run(SqliteStore(tmp_path / "books.db"), key)
    assert run(PostgresStore(dsn), key) == heads
    one, two = SqliteStore(tmp_path / "books.db", writable=False), PostgresStore(dsn, writable=False)
    upto = one.head(1, 0)[0]
    assert upto > 100 and list(two.journal(1, 0, 0, upto + 9)) == list(one.journal(1, 0, 0, upto))
    assert plain(list(two.all_accounts(1))) == plain(list(one.all_accounts(1)))
    assert two.all_residues(1) == one.all_residues(1) and two.facts(1) == one.facts(1)
    assert dict(two.all_seen(1)) == dict(one.all_seen(1)) and sorted(two.all_totals(1)) == sorted(one.all_totals(1))
    assert list(two.all_holds(1)) == list(one.all_holds(1)) and two.pending(1, 99) == one.pending(1, 99)
    assert two.closed_periods(1) == one.closed_periods(1) and two.documents(1) == sorted(one.documents(1))
    assert b"".join(export(two, 1)) == b"".join(export(one, 1))
    verdict = verify_store(two, 1, "main", Outside(signature_holds, [head.encode() for head in heads]))
    assert verdict.ok, verdict.findings[:5]


def test_the_books_go_on_where_they_stopped(tmp_path: Path) -> None:
    key, dsn = KeyFile(None), dsn_of()
    for store in (lambda: PostgresStore(dsn), lambda: SqliteStore(tmp_path / "books.db")):
        run(store(), key)
        outside = Outsiders()
        with Engine(store(), "main", (outside, outside, key), lambda head: None) as engine:
            engine.charge(list(usages(90)))
            engine.charge([ride(77, "newcomer")])
    one, two = SqliteStore(tmp_path / "books.db", writable=False), PostgresStore(dsn, writable=False)
    assert two.head(1, 0)[0] == one.head(1, 0)[0]
    assert plain(list(two.all_accounts(1))) == plain(list(one.all_accounts(1)))
    assert dict(two.all_seen(1)) == dict(one.all_seen(1))


def test_an_address_opens_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dsn = dsn_of()
    with open_engine(dsn) as engine:
        fill(engine)
    assert len(list(tmp_path.glob("*.key"))) == len(list(tmp_path.glob("*.heads"))) == 1
    with open_engine(dsn, writable=False) as reader:
        assert len(reader.books.accounts()) > 10
    next(tmp_path.glob("*.key")).unlink()
    with pytest.raises(Misconfigured, match="signing key"):
        open_engine(dsn)


def test_text_that_postgresql_can_not_hold(tmp_path: Path) -> None:
    with Engine(
        PostgresStore(dsn_of()), "main", (Outsiders(), Outsiders(), KeyFile(None)), lambda head: None
    ) as engine:
        engine.apply(catalog())
        outcomes = engine.charge([ride(1, "zero\x00name"), ride(2, "\U0001f600"), ride(3, "zero\x00name")])
        assert [outcome.refusal for outcome in outcomes] == [None] * 3
        engine.hold("zero\x00name", "1", "EUR", "owner\x00", "2027-01-01T00:00:00Z")
        assert len(engine.store.handles(1, ["zero\x00name", "\U0001f600", "zero"])) == 2
        assert next(engine.store.all_holds(1)).owner == "owner\x00"
