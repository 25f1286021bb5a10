"""One connection to PostgreSQL: made, checked, bounded in time, lost, made again; and the turns that it takes.

A turn belongs to a transaction: an advisory lock holds it until that ends, and who waits for it comes in the order of
asking. Whoever was paused or cut off loses its transaction, and can not write any more once another has had a turn.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors

from apportion.adapters.stores.postgres_tables import MIGRATIONS, SCHEMA, SPACE
from apportion.errors import StoreUnavailable, Unwritten

OLDEST = 150000
_SESSION = (
    f"SET search_path = {SPACE}; SET default_transaction_isolation = 'read committed';"
    "SET statement_timeout = '25s'; SET idle_in_transaction_session_timeout = '10s'; SET client_encoding = 'UTF8'; "
    # every statement names its rows by key: a planner that knows nothing of a young table must not read all of it
    "SET enable_seqscan = off; SET enable_nestloop = off; SET plan_cache_mode = force_custom_plan"
)
_CHECK = (
    "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), pg_is_in_recovery(), "
    "current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes'), "
    "pg_backend_pid(), (SELECT backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid())"
)
_KEEP = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
_WRITERS_LOCK = "hashtextextended('apportion writers', 0)"  # shared by every writer, exclusive to migrate
_MIGRATE_LOCK = "hashtextextended('apportion migrate', 0)"
_TURN_LOCK = 0x61707074  # the first half of every tenant's lock; the second is its number
_RACES = (
    errors.UniqueViolation,
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    errors.QueryCanceled,
)


class Link:
    """The connection behind ``dsn``. ``patience``: seconds for one answer, and for a lost server to come back."""

    def __init__(self, dsn: str, *, writable: bool, patience: float) -> None:
        self._dsn, self._writable, self._patience = dsn, writable, patience
        self.place = _place(dsn)
        self._session: tuple[int, str] = (0, "")
        self.open = False
        self.away = False
        self._since = 0.0
        self._ended = threading.Event()
        self.db: psycopg.Connection[tuple[Any, ...]]
        self._connect()
        threading.Thread(target=self._watch, name="postgres-deadline", daemon=True).start()

    # the connection

    def _connect(self) -> None:
        try:
            keep = {"connect_timeout": max(2, min(5, int(self._patience))), **_KEEP}
            keep = {name: value for name, value in keep.items() if name not in self._dsn}
            self.db = psycopg.connect(self._dsn, autocommit=True, fallback_application_name="apportion node", **keep)  # type: ignore[arg-type]
        except psycopg.Error as error:
            raise StoreUnavailable(f"{self.place} can not be reached: {_first_line(error)}") from error
        try:
            with self.busy():
                self._check()
                self._prepare()
        except StoreUnavailable:
            self.db.close()
            raise

    def _check(self) -> None:
        """Refuse a server on which the books would not be safe."""
        found = self.db.execute(_CHECK).fetchone()
        assert found is not None
        version, encoding, standby, synchronous, fsync, pages, pid, start = found
        if version < OLDEST:
            raise StoreUnavailable(f"{self.place} is PostgreSQL {version // 10000}; 15 is the oldest that works.")
        if encoding != "UTF8":
            raise StoreUnavailable(f"{self.place} is encoded in {encoding}. Make the database with ENCODING 'UTF8'.")
        self._session = (pid, start)
        if not self._writable:
            return
        if standby:
            raise StoreUnavailable(
                f"{self.place} is a standby. Name every host in the address and add target_session_attrs=read-write."
            )
        for name, value in (("synchronous_commit", synchronous), ("fsync", fsync), ("full_page_writes", pages)):
            if value == "off":
                raise StoreUnavailable(
                    f"{self.place} runs with {name} = off and would lose acknowledged charges. "
                    f"Set it: ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf();"
                )

    def _prepare(self) -> None:
        """Settle the session and the schema."""
        self.db.execute(_SESSION)
        self.db.execute(f"SET lock_timeout = {max(1, int(min(5.0, self._patience / 2) * 1000))}")
        schema = schema_of(self.db)
        if schema > SCHEMA:
            raise StoreUnavailable(f"{self.place} was written by a newer apportion (schema {schema}). Upgrade first.")
        if not schema and not self._writable:
            raise StoreUnavailable(f"{self.place} holds no books yet. Run `apportion run` to make them.")
        if schema and schema < SCHEMA:
            raise StoreUnavailable(f"{self.place} has schema {schema}, not {SCHEMA}. Run `apportion migrate` first.")
        if not schema:
            migrate(self.db)
        if self._writable:
            self.db.execute(f"SELECT pg_advisory_lock_shared({_WRITERS_LOCK})")

    def lost(self) -> bool:
        """Whether the connection is known to be gone."""
        return bool(self.db.closed or self.db.broken)

    def again(self) -> None:
        """Connect anew, waiting for the server; what the old session held is settled before.

        Raises:
            StoreUnavailable: nobody answers, or the old session is still there, within the patience.
        """
        self.open, self.away = False, True
        old, deadline, pause = self._session, time.monotonic() + self._patience, 0.05
        self.db.close()
        while True:
            try:
                self._connect()
                break
            except StoreUnavailable:
                if time.monotonic() > deadline:
                    raise
            time.sleep(pause)
            pause = min(0.5, pause * 2)
        self._bury(old, deadline)
        self.away = False

    def _bury(self, old: tuple[int, str], deadline: float) -> None:
        """End the session that was lost and wait until it is gone: only then is it known what it committed."""
        there = "FROM pg_stat_activity WHERE pid = %s AND backend_start = %s::timestamptz"
        self.rows(f"SELECT pg_terminate_backend(pid) {there}", old)
        while self.rows(f"SELECT 1 {there}", old):
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"{self.place}: a lost session has not ended yet. Try again with the same key.")
            time.sleep(0.02)

    def _watch(self) -> None:
        """Cut a connection that has been silent for too long; whoever waits for it then sees it break."""
        while not self._ended.wait(min(1.0, self._patience / 4)):
            since = self._since
            if since and time.monotonic() - since > self._patience:
                try:
                    wire = socket.socket(fileno=os.dup(self.db.fileno()))
                    wire.shutdown(socket.SHUT_RDWR)
                    wire.close()
                except (OSError, psycopg.Error):
                    pass  # it has broken by itself meanwhile

    def close(self) -> None:
        """End the session; a turn that it has is free at once."""
        self._ended.set()
        self.db.close()

    # statements

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Bound what is done within; its errors become ``Unwritten`` or ``StoreUnavailable``, never SQL."""
        self._since = time.monotonic()
        try:
            yield
        except psycopg.Error as error:
            if self.lost():
                raise Unwritten(f"{self.place}: the connection was lost. Try again with the same key.") from error
            if isinstance(error, _RACES):
                raise Unwritten(f"{self.place}: another node was faster ({error.sqlstate}). Try again.") from error
            raise StoreUnavailable(f"{self.place} refused ({error.sqlstate}): {_first_line(error)}") from error
        finally:
            self._since = 0.0

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows that a statement answers; outside a transaction a lost connection is made again, once."""
        try:
            with self.busy():
                return self.db.execute(sql, parameters, binary=True).fetchall()
        except Unwritten:
            if self.open or not self.lost():
                raise
        self.again()
        with self.busy():
            return self.db.execute(sql, parameters, binary=True).fetchall()

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> str:
        """Run a statement; what the server says it did."""
        with self.busy():
            return self.db.execute(sql, parameters).statusmessage or ""

    def run_long(self, sql: str) -> None:
        """Run a statement that may take as long as it takes."""
        self.run("SET statement_timeout = 0")
        try:
            self.db.execute(sql)
        except psycopg.Error as error:
            raise StoreUnavailable(f"{self.place} could not finish ({error.sqlstate}): {_first_line(error)}") from error
        finally:
            if not self.lost():
                self.run("SET statement_timeout = '25s'")

    def turn(self, tenant: int) -> tuple[Any, ...]:
        """Open a transaction and wait for the turn of a tenant: its row of ``turn``, once nobody else can write.

        Raises:
            Unwritten: the connection broke meanwhile.
            StoreUnavailable: another writer has had the turn for as long as this one is patient.
        """
        deadline = time.monotonic() + self._patience
        while True:
            if self.lost():
                self.again()
            try:
                return self._begin(tenant)
            except Unwritten as error:
                self.rollback()
                if not isinstance(error.__cause__, errors.LockNotAvailable):
                    raise
                if time.monotonic() > deadline:
                    raise StoreUnavailable(f"{self.place}: another node does not end its turn. Try again.") from error

    def _begin(self, tenant: int) -> tuple[Any, ...]:
        """One trip to the server: the row is read by a statement of its own, which sees all that was committed."""
        found = f"SELECT n, hash, epoch, account, party, hold FROM turn WHERE tenant = {tenant:d}"
        lock = f"SELECT pg_advisory_xact_lock({_TURN_LOCK}, {tenant:d})"
        self.open = True
        with self.busy():
            cursor = self.db.execute(f"BEGIN; {lock}; {found}")
            while cursor.nextset():
                pass
            row = cursor.fetchone()
        if row is None:
            self.run("INSERT INTO turn VALUES (%s, 0, %s, 0, 1, 1, 1)", (tenant, bytes(32)))
            row = (0, bytes(32), 0, 1, 1, 1)
        return row

    def rollback(self) -> None:
        """Give up the open transaction, if there is one."""
        if self.open:
            self.open = False
            if not self.lost():
                try:
                    self.run("ROLLBACK")
                except Unwritten:
                    pass  # the server does it for us


def schema_of(db: psycopg.Connection[tuple[Any, ...]]) -> int:
    """The schema version of the store, 0 when there is none."""
    row = db.execute(f"SELECT to_regclass('{SPACE}.meta') IS NOT NULL").fetchone()
    if row is None or not row[0]:
        return 0
    row = db.execute(f"SELECT value FROM {SPACE}.meta WHERE name = 'schema'").fetchone()
    return int(row[0]) if row is not None else 0


def migrate(db: psycopg.Connection[tuple[Any, ...]]) -> tuple[int, int]:
    """Bring the tables to this program's schema in one transaction; (schema before, schema now).

    Raises:
        StoreUnavailable: a node is writing, or the store is newer than this program.
    """
    db.execute(f"SELECT pg_advisory_lock({_MIGRATE_LOCK})")  # before the transaction, which then sees what others made
    try:
        before = schema_of(db)
        if before > SCHEMA:
            raise StoreUnavailable(f"The store was written by a newer apportion (schema {before}). Upgrade first.")
        if before < SCHEMA:
            with db.transaction():
                _migrate_from(db, before)
        return before, SCHEMA
    finally:
        if not db.closed:
            db.execute(f"SELECT pg_advisory_unlock({_MIGRATE_LOCK})")


def _migrate_from(db: psycopg.Connection[tuple[Any, ...]], before: int) -> None:
    alone = db.execute(f"SELECT pg_try_advisory_xact_lock({_WRITERS_LOCK})").fetchone()
    if alone is None or not alone[0]:
        raise StoreUnavailable("A node is still writing to the store. Stop every node, then migrate.")
    if not before:
        db.execute(f"CREATE SCHEMA IF NOT EXISTS {SPACE}")
        db.execute(f"CREATE TABLE {SPACE}.meta (name text PRIMARY KEY, value text NOT NULL)")
        db.execute(f"INSERT INTO {SPACE}.meta VALUES ('schema', '0')")
    db.execute(f"SET LOCAL search_path = {SPACE}")
    for step in MIGRATIONS[before:]:
        db.execute(step)
    db.execute(f"UPDATE {SPACE}.meta SET value = %s WHERE name = 'schema'", (str(SCHEMA),))


def migrate_store(dsn: str) -> tuple[int, int]:
    """``migrate`` at an address; (schema before, schema now)."""
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=5) as db:
            return migrate(db)
    except psycopg.Error as error:
        raise StoreUnavailable(f"{_place(dsn)} could not be migrated: {_first_line(error)}") from error


def _place(dsn: str) -> str:
    """The address as it may be shown: without user and password."""
    try:
        parts = psycopg.conninfo.conninfo_to_dict(dsn)
    except psycopg.Error:
        return "the address after postgresql://"
    return f"PostgreSQL {parts.get('dbname', '')} at {parts.get('host', 'localhost')}"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
