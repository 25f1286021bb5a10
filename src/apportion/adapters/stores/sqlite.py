"""The books in one SQLite file: WAL, synchronous=FULL, one connection that both writes and checkpoints.

SQLite before 3.51.3 can corrupt its WAL when two connections write and checkpoint at the same instant; apsw carries
a newer one and a lock file keeps second writers out. Readers open the file read-only and never checkpoint.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw

from apportion.adapters.stores.lock import FileLock
from apportion.adapters.stores.remembered import Remembered
from apportion.adapters.stores.sqlite_rows import account_of, hold_of, write_rows
from apportion.adapters.stores.tables import ADDED, SCHEMA, TABLES
from apportion.errors import NotFound, StoreUnavailable
from apportion.model.account import Account
from apportion.model.hold import Hold
from apportion.ports import Answered, Course, Key, Person, Seen, Turn, Writes

PRAGMAS = (
    "journal_mode=WAL", "synchronous=FULL", "journal_size_limit=67108864", "secure_delete=ON", "cache_size=-65536",
)  # fmt: skip
CHECKPOINT_PAGES = 4000
_WIDTHS = (1, 8, 16, 32, 64, 128, 256, 1024)


class SqliteStore:
    """A Store in the file at ``path``; ``writable`` takes the file's lock until ``close``.

    ``address`` is where others can ask the writer over HTTP. ``vfs`` names another way to the disk (a test's, that cuts
    the power); it then has the file to itself.

    Raises:
        StoreUnavailable: another process writes, the file is no store, or it is newer than this program.
    """

    alone = True
    patience = 0.0
    away = False

    def __init__(self, path: str | Path, *, writable: bool = True, vfs: str | None = None, address: str = "") -> None:
        self.path = str(path)
        self._lock = FileLock(self.path, address) if writable and self.path != ":memory:" else None
        self._remembered = Remembered() if writable else None
        self._turn = threading.Lock()  # between the thread that commits and the one that decides
        try:
            flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE if writable else apsw.SQLITE_OPEN_READONLY
            self._db = apsw.Connection(self.path, flags=flags, vfs=vfs, statementcachesize=256)
            self._db.set_busy_timeout(10_000)
            if vfs is not None:
                list(self._db.execute("PRAGMA locking_mode=EXCLUSIVE"))  # no shared memory, which such a VFS lacks
            self._prepare(writable)
        except apsw.Error as error:
            self._give_up()
            raise StoreUnavailable(f"{self.path} can not be opened as a store: {error}") from error
        except StoreUnavailable:
            self._give_up()
            raise

    def _give_up(self) -> None:
        """Leave nothing open behind a store that could not be opened."""
        try:
            self._db.close(True)
        except (AttributeError, apsw.Error):
            pass  # it was not opened at all, or the disk is gone: the first error is the one to tell
        self._drop_lock()

    def _drop_lock(self) -> None:
        if self._lock is not None:
            self._lock.drop()
            self._lock = None

    def _prepare(self, writable: bool) -> None:
        if writable:
            for pragma in (*PRAGMAS, f"wal_autocheckpoint={CHECKPOINT_PAGES}"):
                list(self._db.execute(f"PRAGMA {pragma}"))
        found = list(self._db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'"))[0][0]
        if not found:
            if not writable:
                raise StoreUnavailable(f"{self.path} holds no books yet. Run `apportion run` to make them.")
            if list(self._db.execute("SELECT count(*) FROM sqlite_master"))[0][0]:
                raise StoreUnavailable(f"{self.path} is a database, but not a store of apportion.")
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(TABLES)
            self._db.execute("INSERT INTO meta VALUES ('schema', '1')")
            self._db.execute("COMMIT")
        schema = int(list(self._db.execute("SELECT value FROM meta WHERE name = 'schema'"))[0][0])
        if schema > SCHEMA:
            raise StoreUnavailable(f"{self.path} was written by a newer apportion (schema {schema}). Upgrade first.")
        if schema < SCHEMA:
            if not writable:
                raise StoreUnavailable(f"{self.path} was written by an older apportion. Open it for writing once.")
            self._upgrade(schema)

    def _upgrade(self, schema: int) -> None:
        """Bring the tables to this program's schema, in one transaction."""
        self._db.execute("BEGIN IMMEDIATE")
        for number in range(schema + 1, SCHEMA + 1):
            self._db.execute(ADDED[number])
        self._db.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (str(SCHEMA),))
        self._db.execute("COMMIT")

    def _select(self, sql: str, tenant: int, keys: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run ``sql`` with ``{}`` replaced by placeholders of a few fixed widths, so that statements stay cached.

        A decision may ask while another thread commits; it then waits for its turn.
        """
        found: list[tuple[Any, ...]] = []
        at = 0
        with self._turn:
            while at < len(keys):
                width = next((w for w in _WIDTHS if w >= len(keys) - at), _WIDTHS[-1])
                part = list(keys[at : at + width])
                part += part[-1:] * (width - len(part))
                found += self._db.execute(sql.format(",".join("?" * width)), (tenant, *part))
                at += width
        return found

    # reads

    def tenant(self, name: str) -> int:
        rows = list(self._db.execute("SELECT id FROM tenant WHERE name = ?", (name,)))
        if rows:
            return int(rows[0][0])
        if self._lock is None and self.path != ":memory:":
            known = ", ".join(self.tenants()) or "none"
            raise NotFound(f"The store holds no books of a tenant {name[:60]!r}. It knows: {known}.")
        self._db.execute("INSERT INTO tenant (name) VALUES (?)", (name,))
        return self.tenant(name)

    def tenants(self) -> dict[str, int]:
        """All tenants of the store."""
        return dict(self._db.execute("SELECT name, id FROM tenant ORDER BY id"))

    def head(self, tenant: int, stream: int) -> tuple[int, bytes]:
        known = self._remembered.heads.get((tenant, stream)) if self._remembered is not None else None
        if known is not None:
            return known
        sql = "SELECT n, hash FROM journal WHERE tenant = ? AND stream = ? ORDER BY n DESC LIMIT 1"
        rows = list(self._db.execute(sql, (tenant, stream)))
        return (rows[0][0], rows[0][1]) if rows else (0, bytes(32))

    def fact(self, tenant: int, name: str) -> str:
        rows = list(self._db.execute("SELECT value FROM fact WHERE tenant = ? AND name = ?", (tenant, name)))
        return str(rows[0][0]) if rows else ""

    def facts(self, tenant: int) -> dict[str, str]:
        """All stored facts of a tenant."""
        return dict(self._db.execute("SELECT name, value FROM fact WHERE tenant = ?", (tenant,)))

    def seen(self, tenant: int, keys: Sequence[Key]) -> dict[Key, Seen]:
        sql = "SELECT key, state, digest, n FROM seen WHERE tenant = ? AND key IN ({})"
        return {key: Seen(state, digest, n) for key, state, digest, n in self._select(sql, tenant, keys)}

    def answered(self, tenant: int, keys: Sequence[Key]) -> dict[Key, Answered]:
        sql = "SELECT key, fingerprint, state, id, n FROM idempotency WHERE tenant = ? AND key IN ({})"
        return {row[0]: Answered(*row) for row in self._select(sql, tenant, keys)}

    def all_seen(self, tenant: int) -> Iterator[tuple[Key, Seen]]:
        for key, *row in self._db.execute("SELECT key, state, digest, n FROM seen WHERE tenant = ?", (tenant,)):
            yield key, Seen(*row)

    def accounts(self, tenant: int, ids: Sequence[int]) -> dict[int, Account]:
        def read(missing: Sequence[int]) -> dict[int, Account]:
            sql = "SELECT id, role, asset, posted, held, credit, party FROM account WHERE tenant = ? AND id IN ({})"
            return {row[0]: account_of(*row) for row in self._select(sql, tenant, missing)}

        return self._remembered.accounts(tenant, ids, read) if self._remembered is not None else read(ids)

    def account_keys(self, tenant: int, keys: Sequence[str]) -> dict[str, int]:
        return dict(self._select("SELECT key, id FROM account WHERE tenant = ? AND key IN ({})", tenant, keys))

    def all_accounts(self, tenant: int) -> Iterator[tuple[str, Account]]:
        sql = "SELECT key, id, role, asset, posted, held, credit, party FROM account WHERE tenant = ? ORDER BY id"
        for key, *row in self._db.execute(sql, (tenant,)):
            yield key, account_of(*row)

    def some_accounts(self, tenant: int, after: int, limit: int) -> list[tuple[str, Account]]:
        sql = "SELECT key, id, role, asset, posted, held, credit, party FROM account WHERE tenant = ? AND id > ?"
        rows = self._db.execute(sql + " ORDER BY id LIMIT ?", (tenant, after, limit))
        return [(key, account_of(*row)) for key, *row in rows]

    def accounts_under(self, tenant: int, prefix: str) -> list[tuple[str, Account]]:
        sql = "SELECT key, id, role, asset, posted, held, credit, party FROM account WHERE tenant = ?"
        span = prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1)
        rows = self._db.execute(sql + " AND key >= ? AND key < ? ORDER BY id", (tenant, *span))
        return [(key, account_of(*row)) for key, *row in rows]

    def handles(self, tenant: int, names: Sequence[str]) -> dict[str, int]:
        sql = "SELECT value, party FROM personal WHERE tenant = ? AND field = 'handle' AND value IN ({})"
        return dict(self._select(sql, tenant, names))

    def salts(self, tenant: int, parties: Sequence[int]) -> dict[int, bytes]:
        sql = "SELECT party, value FROM personal WHERE tenant = ? AND field = 'salt' AND record = x'' AND party IN ({})"
        return dict(self._select(sql, tenant, parties))

    def people(self, tenant: int, party: int) -> Iterator[Person]:
        sql = "SELECT field, value, record FROM personal WHERE tenant = ? AND party = ?"
        for field, value, record in self._db.execute(sql, (tenant, party)):
            yield Person(party, field, value, record)

    def all_handles(self, tenant: int) -> dict[int, str]:
        """Names that usage calls people by, per party."""
        return dict(
            self._db.execute("SELECT party, value FROM personal WHERE tenant = ? AND field = 'handle'", (tenant,))
        )

    def handles_of(self, tenant: int, parties: Sequence[int]) -> dict[int, str]:
        sql = "SELECT party, value FROM personal WHERE tenant = ? AND field = 'handle' AND party IN ({})"
        return dict(self._select(sql, tenant, parties))

    def next_numbers(self, tenant: int) -> tuple[int, int, int]:
        sql = "SELECT coalesce(max({}), 0) + 1 FROM {} WHERE tenant = ?"
        columns = (("id", "account"), ("party", "account"), ("id", "hold"))
        account, party, hold = (list(self._db.execute(sql.format(*c), (tenant,)))[0][0] for c in columns)
        return account, party, hold

    def totals(self, tenant: int, keys: Sequence[tuple[int, str]]) -> dict[tuple[int, str], tuple[int, int]]:
        wanted = set(keys)
        sql = "SELECT account, key, num, den FROM running WHERE tenant = ? AND account IN ({})"
        rows = self._select(sql, tenant, sorted({account for account, _ in keys}))
        return {(a, key): (int(num), int(den)) for a, key, num, den in rows if (a, key) in wanted}

    def all_totals(self, tenant: int) -> Iterator[tuple[int, str, int, int]]:
        for account, key, num, den in self._db.execute(
            "SELECT account, key, num, den FROM running WHERE tenant = ?", (tenant,)
        ):
            yield account, key, int(num), int(den)

    def residues(self, tenant: int, ids: Sequence[int]) -> dict[int, int]:
        def read(missing: Sequence[int]) -> dict[int, int]:
            sql = "SELECT account, value FROM residue WHERE tenant = ? AND account IN ({})"
            return dict(self._select(sql, tenant, missing))

        return self._remembered.residues(tenant, ids, read) if self._remembered is not None else read(ids)

    def all_residues(self, tenant: int) -> dict[int, int]:
        return dict(self._db.execute("SELECT account, value FROM residue WHERE tenant = ?", (tenant,)))

    def holds(self, tenant: int, ids: Sequence[int]) -> dict[int, Hold]:
        sql = (
            "SELECT id, account, owner, amount, expires, captured, released, state FROM hold "
            "WHERE tenant = ? AND id IN ({})"
        )
        return {row[0]: hold_of(*row) for row in self._select(sql, tenant, ids)}

    def all_holds(self, tenant: int) -> Iterator[Hold]:
        """Every hold ever placed."""
        sql = "SELECT id, account, owner, amount, expires, captured, released, state FROM hold WHERE tenant = ?"
        for row in self._db.execute(sql, (tenant,)):
            yield hold_of(*row)

    def some_holds(self, tenant: int, account: int, after: int, upto: int, limit: int) -> list[Hold]:
        sql = (
            "SELECT id, account, owner, amount, expires, captured, released, state FROM hold "
            "WHERE tenant = ? AND id > ? AND id <= ? AND (? = 0 OR account = ?) ORDER BY id LIMIT ?"
        )
        return [hold_of(*row) for row in self._db.execute(sql, (tenant, after, upto, account, account, limit))]

    def expired_holds(self, tenant: int, at: str, limit: int) -> list[int]:
        sql = "SELECT id FROM hold WHERE tenant = ? AND state = 'open' AND expires <= ? ORDER BY expires LIMIT ?"
        return [row[0] for row in self._db.execute(sql, (tenant, at, limit))]

    def courses(self, tenant: int, ids: Sequence[str]) -> dict[str, Course]:
        rows = self._select("SELECT id, due, line FROM course WHERE tenant = ? AND id IN ({})", tenant, ids)
        return {row[0]: Course(*row) for row in rows}

    def due_courses(self, tenant: int, at: str, limit: int, kind: str = "") -> list[str]:
        where = "tenant = ? AND due <> '' AND due <= ? AND substr(id, 1, ?) = ?"
        sql = f"SELECT id FROM course WHERE {where} ORDER BY due LIMIT ?"
        return [row[0] for row in self._db.execute(sql, (tenant, at, len(kind), kind, limit))]

    def all_courses(self, tenant: int, after: str = "") -> Iterator[Course]:
        sql = "SELECT id, due, line FROM course WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?"
        limit = 16  # most look for a few of one kind; whoever reads on reads much
        while page := [Course(*row) for row in self._db.execute(sql, (tenant, after, limit))]:
            yield from page
            after, limit = page[-1].id, min(4 * limit, 512)

    def pending(self, tenant: int, limit: int, after: Key = b"") -> list[tuple[Key, bytes]]:
        sql = "SELECT key, payload FROM pending WHERE tenant = ? AND key > ? ORDER BY key LIMIT ?"
        return list(self._db.execute(sql, (tenant, after, limit)))

    def closed_periods(self, tenant: int) -> set[tuple[str, int]]:
        """All (period, account) that are closed."""
        return set(self._db.execute("SELECT period, account FROM closed WHERE tenant = ?", (tenant,)))

    def journal(self, tenant: int, stream: int, after: int, upto: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Pages of 500 rows, so that no read transaction stays open while a caller works on them."""
        where = "tenant = ? AND stream = ? AND n > ? AND n <= ?"
        sql = f"SELECT n, body, hash FROM journal WHERE {where} ORDER BY n LIMIT 500"
        while True:
            page = list(self._db.execute(sql, (tenant, stream, after, upto)))
            yield from page
            if len(page) < 500:
                return
            after = page[-1][0]

    def row(self, tenant: int, stream: int, n: int) -> bytes:
        sql = "SELECT body FROM journal WHERE tenant = ? AND stream = ? AND n = ?"
        rows = list(self._db.execute(sql, (tenant, stream, n)))
        return rows[0][0] if rows else b""

    def document(self, tenant: int, name: str) -> bytes:
        rows = list(self._db.execute("SELECT body FROM document WHERE tenant = ? AND name = ?", (tenant, name)))
        return rows[0][0] if rows else b""

    def catalogs(self, tenant: int) -> list[str]:
        return [name for name in self.documents(tenant) if name.startswith("cat_")]

    def documents(self, tenant: int) -> list[str]:
        """Names of all stored documents."""
        return [row[0] for row in self._db.execute("SELECT name FROM document WHERE tenant = ?", (tenant,))]

    # writes

    def turn(self, tenant: int) -> Turn:
        return Turn(*self.head(tenant, 0))

    peek = turn

    def drop(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
            if self._remembered is not None:
                self._remembered.forget()

    def stage(self, writes: Writes) -> None:
        assert self._remembered is not None, "the file was opened for reading"
        self._db.execute("BEGIN IMMEDIATE")
        try:
            write_rows(self._db, writes)
            self._remembered.note(writes)
        except BaseException:
            self._remembered.forget()
            self._db.execute("ROLLBACK")
            raise

    def commit(self) -> None:
        assert self._remembered is not None, "the file was opened for reading"
        try:
            with self._turn:
                self._db.execute("COMMIT")
        except BaseException:
            self._remembered.forget()
            raise

    def write(self, writes: Writes) -> None:
        self.stage(writes)
        self.commit()

    def forget(self, tenant: int, party: int) -> int:
        gone = 0
        self._db.execute("BEGIN IMMEDIATE")
        for table in ("personal", "pending", "document"):
            self._db.execute(f"DELETE FROM {table} WHERE tenant = ? AND party = ?", (tenant, party))
            gone += self._db.changes()
        self._db.execute("COMMIT")
        list(self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
        self._db.execute("VACUUM")
        self.compact()
        return gone

    def compact(self) -> None:
        list(self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)"))

    def close(self) -> None:
        if not self._db.getautocommit():  # staged, and something broke before it was committed
            self._db.execute("ROLLBACK")
            assert self._remembered is not None
            self._remembered.forget()
        if self._lock is not None:
            self.compact()
        self._db.close()
        self._drop_lock()
