"""Which servers and stores are opened, which are refused, and how a store is brought to a newer schema."""

from __future__ import annotations

import psycopg
import pytest

from apportion.adapters.stores import postgres_link, postgres_tables
from apportion.adapters.stores.postgres import PostgresStore, migrate_store
from apportion.errors import Misconfigured, NotFound, StoreUnavailable
from apportion.ports import Writes
from apportion.wiring import migrate, open_engine
from tests.postgres.server import dsn_of, server


def made() -> str:
    """The address of a store with a tenant."""
    dsn = dsn_of()
    store = PostgresStore(dsn)
    store.tenant("main")
    store.close()
    return dsn


def schema(dsn: str, version: int | None = None) -> str:
    """The stored schema, changed before when a version is given."""
    with psycopg.connect(dsn, autocommit=True) as db:
        if version is not None:
            db.execute("UPDATE apportion_books.meta SET value = %s WHERE name = 'schema'", (str(version),))
        row = db.execute("SELECT value FROM apportion_books.meta WHERE name = 'schema'").fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("setting", ["synchronous_commit"])
def test_a_database_that_forgets_is_refused(setting: str) -> None:
    dsn = dsn_of()
    name = dsn.split("/")[3].split("?")[0]
    server().sql("postgres", f"ALTER DATABASE {name} SET {setting} = off")
    with pytest.raises(StoreUnavailable, match=f"{setting} = off.*ALTER SYSTEM"):
        PostgresStore(dsn)
    server().sql("postgres", f"ALTER DATABASE {name} RESET {setting}")
    PostgresStore(dsn).close()


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_forgets_is_refused(setting: str) -> None:
    dsn = made()
    try:
        server().sql("postgres", f"ALTER SYSTEM SET {setting} = off")
        server().sql("postgres", "SELECT pg_reload_conf(), pg_sleep(0.1)")
        with pytest.raises(StoreUnavailable, match=f"{setting} = off"):
            PostgresStore(dsn)
        PostgresStore(dsn, writable=False).close()
    finally:
        server().sql("postgres", f"ALTER SYSTEM RESET {setting}")
        server().sql("postgres", "SELECT pg_reload_conf(), pg_sleep(0.1)")
    PostgresStore(dsn).close()


def test_another_encoding_and_an_older_server_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    server().sql("postgres", "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    with pytest.raises(StoreUnavailable, match="ENCODING 'UTF8'"):
        PostgresStore(server().dsn("latin"))
    monkeypatch.setattr(postgres_link, "OLDEST", 990000)
    with pytest.raises(StoreUnavailable, match="15 is the oldest"):
        PostgresStore(dsn_of())


def test_no_server_and_no_database_say_so_without_the_password() -> None:
    for dsn in (
        "postgresql://me:secret@127.0.0.1:1/books",
        server().dsn("nowhere").replace("apportion@", "apportion:secret@"),
    ):
        with pytest.raises(StoreUnavailable, match="can not be reached") as error:
            PostgresStore(dsn)
        assert "secret" not in str(error.value)


def test_reading_needs_a_store_and_changes_nothing() -> None:
    dsn = dsn_of()
    with pytest.raises(StoreUnavailable, match="holds no books"):
        PostgresStore(dsn, writable=False)
    with psycopg.connect(dsn) as db:
        assert db.execute("SELECT to_regnamespace('apportion_books')").fetchone() == (None,)
    PostgresStore(dsn).close()
    with pytest.raises(NotFound, match="knows: none"):
        PostgresStore(dsn, writable=False).tenant("main")


def test_an_old_program_refuses_a_newer_store() -> None:
    dsn = made()
    schema(dsn, 999)
    for writable in (True, False):
        with pytest.raises(StoreUnavailable, match="newer"):
            PostgresStore(dsn, writable=writable)
    with pytest.raises(StoreUnavailable, match="newer"):
        migrate_store(dsn)


def test_migrate_brings_an_older_store_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    dsn = made()
    assert migrate_store(dsn) == (postgres_tables.SCHEMA,) * 2
    newer = postgres_tables.SCHEMA + 1
    steps = (*postgres_tables.MIGRATIONS, "CREATE TABLE later (tenant integer); SELECT 1")
    monkeypatch.setattr(postgres_link, "SCHEMA", newer)
    monkeypatch.setattr(postgres_link, "MIGRATIONS", (*steps[:-1], "CREATE TABLE later (tenant integer); SELECT 1 / 0"))
    with pytest.raises(StoreUnavailable, match="apportion migrate"):
        PostgresStore(dsn)
    with pytest.raises(StoreUnavailable, match="division by zero"):
        migrate_store(dsn)
    assert schema(dsn) == str(newer - 1), "a migration that fails half-way leaves the store as it was"
    monkeypatch.setattr(postgres_link, "MIGRATIONS", steps)
    assert migrate(dsn) == (newer - 1, newer) and schema(dsn) == str(newer)
    PostgresStore(dsn).close()


def test_migrate_waits_for_no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    dsn = made()
    node = PostgresStore(dsn)
    monkeypatch.setattr(postgres_link, "SCHEMA", postgres_tables.SCHEMA + 1)
    with pytest.raises(StoreUnavailable, match="Stop every node"):
        migrate_store(dsn)
    node.close()
    with pytest.raises(Misconfigured, match="Only a PostgreSQL store"):
        migrate("books.db")


def test_a_young_table_is_not_read_whole() -> None:
    """Without statistics a planner may read all keys for every group; the session's settings forbid it."""
    dsn = made()
    store = PostgresStore(dsn)
    keys = [n.to_bytes(16, "big") for n in range(5000)]
    store.write(Writes(1, 0, seen=[(key, "done", b"", 1) for key in keys]))
    sql = "EXPLAIN " + postgres_tables.SEEN.update()
    parameters = ([keys[0]], ["done"], [b""], [1], 1, [keys[0]])
    plan = "\n".join(str(row[0]) for row in store._link.rows(sql, parameters))
    assert "seen_pkey" in plan and "Seq Scan" not in plan and "Nested Loop" not in plan
    store.close()


def test_opening_by_address_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "apportion.adapters.stores.postgres", None)
    with pytest.raises(Misconfigured, match=r"apportion\[postgres\]"):
        open_engine("postgresql://localhost/books")
