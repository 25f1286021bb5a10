"""The books on PostgreSQL: several nodes at once, writers in turns, all statements set-based.

A group is one transaction. ``turn`` opens it and waits for a lock that only one writer of a tenant can have; whatever
is then read stays true until ``commit``, so that no row needs a lock of its own.

Errors: ``Unwritten`` says that nothing of the group is in the books and that it must be decided again; any other
StoreUnavailable that the outcome, or the store, is not to be had now. Repeating with the same keys is always right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from apportion.adapters.stores.postgres_link import Link, migrate_store
from apportion.adapters.stores.postgres_rows import GroupWriter, account_of, hold_of
from apportion.errors import NotFound, StoreUnavailable, Unwritten
from apportion.model.account import Account
from apportion.model.hold import Hold
from apportion.ports import Answered, Course, Key, Person, Seen, Turn, Writes

__all__ = ["PostgresStore", "Unwritten", "migrate_store"]

Row = tuple[Any, ...]
_PAGE = 5000
_ACCOUNT = "SELECT id, role, asset, posted, held, credit, party FROM account WHERE tenant = %s"
_CHARTED = "SELECT id, role, asset, posted, held, credit, party, key FROM account WHERE tenant = %s"
_HOLD = "SELECT id, account, owner, amount, expires, captured, released, state FROM hold WHERE tenant = %s"
_TURN = "SELECT n, hash, epoch, account, party, hold FROM turn WHERE tenant = %s"


class PostgresStore:
    """A Store in the PostgreSQL database at ``dsn``, version 15 or newer.

    ``patience``: how many seconds one answer, a lost server, or this writer's turn, is waited for.

    Raises:
        StoreUnavailable: not reachable, newer than this program, or set up so that it could lose what it acknowledged.
    """

    alone = False

    def __init__(self, dsn: str, *, writable: bool = True, patience: float = 30.0) -> None:
        self._link = Link(dsn, writable=writable, patience=patience)
        self.patience = patience
        self._writable = writable
        self._absent: dict[str, set[Key]] = {}
        self._checked: set[int] = set()
        self._whose = 0  # the tenant of the open turn
        self._staged: tuple[int, int, int, bytes] | None = None

    @property
    def database(self) -> str:
        """The name of the database."""
        return self._link.db.info.dbname

    @property
    def away(self) -> bool:
        """Whether the server was lost and is not back yet."""
        return self._link.away or self._link.lost()

    # reads

    def _rows(self, sql: str, *parameters: Any) -> list[Row]:
        return self._link.rows(sql, parameters)

    def _paged(self, sql: str, order: str, tenant: int) -> Iterator[Row]:
        """All rows in the order of one unique column, which comes first, page by page."""
        page = self._rows(f"{sql} ORDER BY {order} LIMIT {_PAGE}", tenant)
        while page:
            yield from page
            if len(page) < _PAGE:
                return
            page = self._rows(f"{sql} AND {order} > %s ORDER BY {order} LIMIT {_PAGE}", tenant, page[-1][0])

    def tenant(self, name: str) -> int:
        while True:
            rows = self._rows("SELECT id FROM tenant WHERE name = %s", name)
            if rows:
                return int(rows[0][0])
            if not self._writable:
                known = ", ".join(self.tenants()) or "none"
                raise NotFound(f"The store holds no books of a tenant {name[:60]!r}. It knows: {known}.")
            try:
                self._link.run("INSERT INTO tenant SELECT coalesce(max(id), 0) + 1, %s FROM tenant", (name,))
            except Unwritten:
                continue  # another node made one at the same moment

    def tenants(self) -> dict[str, int]:
        """All tenants of the store."""
        return dict(self._rows("SELECT name, id FROM tenant ORDER BY id"))

    def head(self, tenant: int, stream: int) -> tuple[int, bytes]:
        sql = "SELECT n, hash FROM journal WHERE tenant = %s AND stream = %s ORDER BY n DESC LIMIT 1"
        rows = self._rows(sql, tenant, stream)
        return (rows[0][0], rows[0][1]) if rows else (0, bytes(32))

    def fact(self, tenant: int, name: str) -> str:
        rows = self._rows("SELECT value FROM fact WHERE tenant = %s AND name = %s", tenant, name)
        return str(rows[0][0]) if rows else ""

    def facts(self, tenant: int) -> dict[str, str]:
        return dict(self._rows("SELECT name, value FROM fact WHERE tenant = %s", tenant))

    def seen(self, tenant: int, keys: Sequence[Key]) -> dict[Key, Seen]:
        if not keys:
            return {}
        sql = "SELECT key, state, digest, n FROM seen WHERE tenant = %s AND key = ANY(%s::bytea[])"
        rows = self._rows(sql, tenant, list(keys))
        self._look("seen", keys, rows)
        return {key: Seen(state, digest, n) for key, state, digest, n in rows}

    def _look(self, table: str, keys: Sequence[Key], rows: Sequence[Row]) -> None:
        """Remember, for this turn, which keys nobody knows."""
        if self._link.open:
            self._absent.setdefault(table, set()).update(set(keys) - {row[0] for row in rows})

    def answered(self, tenant: int, keys: Sequence[Key]) -> dict[Key, Answered]:
        if not keys:
            return {}
        sql = "SELECT key, fingerprint, state, id, n FROM idempotency WHERE tenant = %s AND key = ANY(%s::bytea[])"
        rows = self._rows(sql, tenant, list(keys))
        self._look("idempotency", keys, rows)
        return {row[0]: Answered(*row) for row in rows}

    def all_seen(self, tenant: int) -> Iterator[tuple[Key, Seen]]:
        for key, *row in self._paged("SELECT key, state, digest, n FROM seen WHERE tenant = %s", "key", tenant):
            yield key, Seen(*row)

    def accounts(self, tenant: int, ids: Sequence[int]) -> dict[int, Account]:
        if not ids:
            return {}
        rows = self._rows(f"{_ACCOUNT} AND id = ANY(%s::bigint[])", tenant, list(ids))
        return {row[0]: account_of(*row) for row in rows}

    def account_keys(self, tenant: int, keys: Sequence[str]) -> dict[str, int]:
        return self._named("SELECT key, id FROM account WHERE tenant = %s AND key = ANY(%s::text[])", tenant, keys)

    def _named(self, sql: str, tenant: int, names: Sequence[Any]) -> dict[Any, Any]:
        return dict(self._rows(sql, tenant, list(names))) if names else {}

    def all_accounts(self, tenant: int) -> Iterator[tuple[str, Account]]:
        for *row, key in self._paged(_CHARTED, "id", tenant):
            yield key, account_of(*row)

    def some_accounts(self, tenant: int, after: int, limit: int) -> list[tuple[str, Account]]:
        rows = self._rows(f"{_CHARTED} AND id > %s ORDER BY id LIMIT %s", tenant, after, limit)
        return [(key, account_of(*row)) for *row, key in rows]

    def accounts_under(self, tenant: int, prefix: str) -> list[tuple[str, Account]]:
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        rows = self._rows(f"{_CHARTED} AND key >= %s AND key < %s ORDER BY id", tenant, prefix, end)
        return [(key, account_of(*row)) for *row, key in rows]

    def handles(self, tenant: int, names: Sequence[str]) -> dict[str, int]:
        sql = "SELECT value, party FROM personal WHERE tenant = %s AND field = 'handle' AND value = ANY(%s::bytea[])"
        found = self._named(sql, tenant, [name.encode() for name in names])
        return {name.decode(): party for name, party in found.items()}

    def all_handles(self, tenant: int) -> dict[int, str]:
        rows = self._rows("SELECT party, value FROM personal WHERE tenant = %s AND field = 'handle'", tenant)
        return {party: value.decode() for party, value in rows}

    def handles_of(self, tenant: int, parties: Sequence[int]) -> dict[int, str]:
        sql = (
            "SELECT party, value FROM personal WHERE tenant = %s AND field = 'handle' AND record = '' "
            "AND party = ANY(%s::bigint[])"
        )
        return {party: value.decode() for party, value in self._named(sql, tenant, parties).items()}

    def salts(self, tenant: int, parties: Sequence[int]) -> dict[int, bytes]:
        sql = (
            "SELECT party, value FROM personal WHERE tenant = %s AND field = 'salt' AND record = '' "
            "AND party = ANY(%s::bigint[])"
        )
        return self._named(sql, tenant, parties)

    def people(self, tenant: int, party: int) -> Iterator[Person]:
        sql = "SELECT field, value, record, written FROM personal WHERE tenant = %s AND party = %s"
        for field, value, record, written in self._rows(sql, tenant, party):
            yield Person(party, field, value.decode() if written else value, record)

    def next_numbers(self, tenant: int) -> tuple[int, int, int]:
        free = self.peek(tenant).free
        assert free is not None
        return free

    def totals(self, tenant: int, keys: Sequence[tuple[int, str]]) -> dict[tuple[int, str], tuple[int, int]]:
        if not keys:
            return {}
        sql = (
            "SELECT account, key, num, den FROM running WHERE tenant = %s AND account = ANY(%s::bigint[]) "
            "AND key = ANY(%s::text[])"
        )
        wanted = set(keys)
        rows = self._rows(sql, tenant, sorted({account for account, _ in keys}), sorted({key for _, key in keys}))
        return {(a, key): (int(num), int(den)) for a, key, num, den in rows if (a, key) in wanted}

    def all_totals(self, tenant: int) -> Iterator[tuple[int, str, int, int]]:
        for account, key, num, den in self._rows(
            "SELECT account, key, num, den FROM running WHERE tenant = %s", tenant
        ):
            yield account, key, int(num), int(den)

    def residues(self, tenant: int, ids: Sequence[int]) -> dict[int, int]:
        sql = "SELECT account, value FROM residue WHERE tenant = %s AND account = ANY(%s::bigint[])"
        return self._named(sql, tenant, ids)

    def all_residues(self, tenant: int) -> dict[int, int]:
        return dict(self._rows("SELECT account, value FROM residue WHERE tenant = %s", tenant))

    def holds(self, tenant: int, ids: Sequence[int]) -> dict[int, Hold]:
        if not ids:
            return {}
        rows = self._rows(f"{_HOLD} AND id = ANY(%s::bigint[])", tenant, list(ids))
        return {row[0]: hold_of(row) for row in rows}

    def all_holds(self, tenant: int) -> Iterator[Hold]:
        for row in self._paged(_HOLD, "id", tenant):
            yield hold_of(row)

    def some_holds(self, tenant: int, account: int, after: int, upto: int, limit: int) -> list[Hold]:
        sql = f"{_HOLD} AND id > %s AND id <= %s AND (%s = 0 OR account = %s) ORDER BY id LIMIT %s"
        return [hold_of(row) for row in self._rows(sql, tenant, after, upto, account, account, limit)]

    def expired_holds(self, tenant: int, at: str, limit: int) -> list[int]:
        sql = "SELECT id FROM hold WHERE tenant = %s AND state = 'open' AND expires <= %s ORDER BY expires LIMIT %s"
        return [row[0] for row in self._rows(sql, tenant, at, limit)]

    def courses(self, tenant: int, ids: Sequence[str]) -> dict[str, Course]:
        if not ids:
            return {}
        sql = "SELECT id, due, line FROM course WHERE tenant = %s AND id = ANY(%s::text[])"
        return {row[0]: Course(*row) for row in self._rows(sql, tenant, list(ids))}

    def due_courses(self, tenant: int, at: str, limit: int, kind: str = "") -> list[str]:
        where = "tenant = %s AND due <> '' AND due <= %s AND left(id, %s) = %s"
        sql = f"SELECT id FROM course WHERE {where} ORDER BY due LIMIT %s"
        return [row[0] for row in self._rows(sql, tenant, at, len(kind), kind, limit)]

    def all_courses(self, tenant: int, after: str = "") -> Iterator[Course]:
        sql = "SELECT id, due, line FROM course WHERE tenant = %s AND id > %s ORDER BY id LIMIT %s"
        limit = 16  # most look for a few of one kind; whoever reads on reads much
        while page := [Course(*row) for row in self._rows(sql, tenant, after, limit)]:
            yield from page
            after, limit = page[-1].id, min(4 * limit, 512)

    def pending(self, tenant: int, limit: int, after: Key = b"") -> list[tuple[Key, bytes]]:
        sql = "SELECT key, payload FROM pending WHERE tenant = %s AND key > %s ORDER BY key LIMIT %s"
        return self._rows(sql, tenant, after, limit)

    def closed_periods(self, tenant: int) -> set[tuple[str, int]]:
        return set(self._rows("SELECT period, account FROM closed WHERE tenant = %s", tenant))

    def journal(self, tenant: int, stream: int, after: int, upto: int) -> Iterator[tuple[int, bytes, bytes]]:
        sql = (
            "SELECT n, body, hash FROM journal WHERE tenant = %s AND stream = %s AND n > %s AND n <= %s "
            "ORDER BY n LIMIT 500"
        )
        while True:
            page = self._rows(sql, tenant, stream, after, upto)
            yield from page
            if len(page) < 500:
                return
            after = page[-1][0]

    def row(self, tenant: int, stream: int, n: int) -> bytes:
        rows = self._rows("SELECT body FROM journal WHERE tenant = %s AND stream = %s AND n = %s", tenant, stream, n)
        return rows[0][0] if rows else b""

    def document(self, tenant: int, name: str) -> bytes:
        rows = self._rows("SELECT body FROM document WHERE tenant = %s AND name = %s", tenant, name)
        return rows[0][0] if rows else b""

    def documents(self, tenant: int) -> list[str]:
        return [row[0] for row in self._rows("SELECT name FROM document WHERE tenant = %s ORDER BY name", tenant)]

    def catalogs(self, tenant: int) -> list[str]:
        return [name for name in self.documents(tenant) if name.startswith("cat_")]

    # writes

    def turn(self, tenant: int) -> Turn:
        self.drop()
        n, head, epoch, *free = self._link.turn(tenant)
        self._whose = tenant
        if tenant not in self._checked:
            if self.head(tenant, 0) != (n, head):
                self.drop()
                raise StoreUnavailable(
                    f"{self._link.place}: writers were told of {n} rows, the journal has another end. Was a part of "
                    "the database restored by itself? Restore all of it."
                )
            self._checked.add(tenant)
        return Turn(n, head, epoch, tuple(free))

    def peek(self, tenant: int) -> Turn:
        for n, head, epoch, *free in self._rows(_TURN, tenant):
            return Turn(n, head, epoch, tuple(free))
        return Turn(0, bytes(32), 0, (1, 1, 1))

    def drop(self) -> None:
        self._link.rollback()
        self._staged, self._absent = None, {}

    def stage(self, writes: Writes) -> None:
        if not self._link.open:
            self.turn(writes.tenant)  # somebody who read nothing that matters
        elif self._whose != writes.tenant:
            self.drop()
            raise Unwritten(f"{self._link.place}: the turn is another tenant's. Try again.")
        try:
            GroupWriter(self._link, writes, self._absent).put()
        except BaseException:
            self.drop()
            raise
        n, _, head = writes.journal[-1] if writes.journal else (0, b"", b"")
        self._staged = (writes.tenant, writes.stream, n, head)
        self._absent = {}

    def commit(self) -> None:
        """As the port says; when the answer is lost, the journal is asked what became of the group."""
        assert self._staged is not None, "nothing is staged"
        staged, self._staged = self._staged, None
        self._link.open = False
        try:
            said = self._link.run("COMMIT")
        except Unwritten:
            if self._link.lost() and self._landed(staged):
                return
            raise
        if said != "COMMIT":
            raise Unwritten(f"{self._link.place} rolled the group back. Try again.")

    def _landed(self, staged: tuple[int, int, int, bytes]) -> bool:
        """Whether a group whose COMMIT was not answered is in the books: its last row is there, or is not."""
        tenant, stream, n, head = staged
        self._link.again()
        sql = "SELECT 1 FROM journal WHERE tenant = %s AND stream = %s AND n = %s AND hash = %s"
        return bool(self._rows(sql, tenant, stream, n, head))

    def write(self, writes: Writes) -> None:
        self.stage(writes)
        self.commit()

    def forget(self, tenant: int, party: int) -> int:
        """The rows go at once, and the tables are written anew without them; base backups and WAL archives keep
        them until they expire."""
        gone = 0
        self.turn(tenant)
        try:
            for table in ("personal", "pending", "document"):
                done = self._link.run(f"DELETE FROM {table} WHERE tenant = %s AND party = %s", (tenant, party))
                gone += int(done.rpartition(" ")[2])
            self._link.run("UPDATE turn SET epoch = epoch + 1 WHERE tenant = %s", (tenant,))
        except BaseException:
            self.drop()
            raise
        self._staged = (tenant, 0, 0, b"")
        self.commit()
        self._link.run_long("VACUUM (FULL) personal, pending, document")
        return gone

    def compact(self) -> None:
        """Nothing: PostgreSQL keeps its write-ahead log by itself."""

    def close(self) -> None:
        self.drop()
        self._link.close()
