"""The books on PostgreSQL: several writers at once, each on a stream of its own, all statements set-based.

A group is one transaction. ``begin`` opens it before anything is read: the payers' accounts and the holds that are
then read stay locked, in the order of their numbers, until ``commit``. Accounts without a bound are never locked;
their balance is kept per stream and added up when read. A writer that never calls ``begin`` is alone on its stream.

Errors: ``Unwritten`` says that nothing of the group is in the books and that it must be decided again; any other
StoreUnavailable that the outcome, or the store, is not to be had now. Repeating with the same keys is always right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from apportion.adapters.stores.postgres_link import Link, Unwritten, migrate_store
from apportion.adapters.stores.postgres_rows import (
    EPOCH,
    GroupWriter,
    Looked,
    Streamed,
    account_of,
    hold_of,
    plain_account,
)
from apportion.errors import NotFound
from apportion.model.account import Account, Role
from apportion.model.hold import Hold
from apportion.ports import Answered, Course, Key, Person, Seen, Writes

__all__ = ["PostgresStore", "Unwritten", "migrate_store"]

Row = tuple[Any, ...]
_PAYER = Role.PAYER.value
_PAGE = 5000

_LOCKED = (
    "SELECT id, role, asset, posted, held, credit, party FROM account "
    f"WHERE tenant = %s AND id = ANY(%s::bigint[]) AND role = '{_PAYER}' ORDER BY id FOR UPDATE"
)
_SUMMED = (
    "SELECT id, role, asset, posted + coalesce((SELECT sum(posted) FROM balance b WHERE b.tenant = a.tenant "
    "AND b.account = a.id), 0)::bigint, held, credit, party FROM account a WHERE tenant = %s"
)
_HOLD = "SELECT id, account, owner, amount, expires, captured, released, state FROM hold WHERE tenant = %s"
_COUNTED = {"account": "coalesce(max(id), 0) + 1 FROM account", "party": "coalesce(max(party), 0) + 1 FROM account",
            "hold": "coalesce(max(id), 0) + 1 FROM hold"}  # fmt: skip
_BLOCK = 1000  # numbers that a writer takes at once


class PostgresStore:
    """A Store in the PostgreSQL database at ``dsn``, version 15 or newer.

    ``patience``: how many seconds one answer, or a lost server, is waited for.

    Raises:
        StoreUnavailable: not reachable, newer than this program, or set up so that it could lose what it acknowledged.
    """

    alone = False

    def __init__(self, dsn: str, *, writable: bool = True, patience: float = 30.0) -> None:
        self._link = Link(dsn, writable=writable, patience=patience)
        self._side: Link | None = None
        self._dsn, self._writable, self._patience = dsn, writable, patience
        self._own: dict[int, int] = {}
        self._looked: dict[str, Looked] = {}
        self._staged: tuple[int, int, int, bytes] | None = None

    @property
    def database(self) -> str:
        """The name of the database."""
        return self._link.db.info.dbname

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

    def streams(self, tenant: int) -> list[int]:
        """Every stream that was ever written."""
        sql = (
            "SELECT stream FROM writer w WHERE tenant = %s AND EXISTS (SELECT FROM journal j "
            "WHERE j.tenant = w.tenant AND j.stream = w.stream AND n = 1) ORDER BY stream"
        )
        return [row[0] for row in self._rows(sql, tenant)]

    def head(self, tenant: int, stream: int) -> tuple[int, bytes]:
        sql = "SELECT n, hash FROM journal WHERE tenant = %s AND stream = %s ORDER BY n DESC LIMIT 1"
        rows = self._rows(sql, tenant, stream)
        return (rows[0][0], rows[0][1]) if rows else (0, bytes(32))

    def fact(self, tenant: int, name: str) -> str:
        rows = self._rows("SELECT value FROM fact WHERE tenant = %s AND name = %s", tenant, name)
        value = str(rows[0][0]) if rows else ""
        if name == EPOCH:
            self._link.epoch = value
        return value

    def facts(self, tenant: int) -> dict[str, str]:
        return dict(self._rows("SELECT name, value FROM fact WHERE tenant = %s", tenant))

    def seen(self, tenant: int, keys: Sequence[Key]) -> dict[Key, Seen]:
        if not keys:
            return {}
        sql = "SELECT key, state, digest, stream, n FROM seen WHERE tenant = %s AND key = ANY(%s::bytea[])"
        rows = self._rows(sql, tenant, list(keys))
        self._look("seen", keys, {key: (stream, n) for key, _, _, stream, n in rows})
        return {key: Seen(state, digest, n) for key, state, digest, _, n in rows}

    def _look(self, table: str, keys: Sequence[Key], found: Mapping[Key, tuple[int, int]]) -> None:
        """Remember what was looked up, so that it can be written only while it is still so."""
        before = self._looked.get(table, {}) if self._link.open else {}
        self._looked[table] = {**before, **dict.fromkeys(keys), **found}

    def answered(self, tenant: int, keys: Sequence[Key]) -> dict[Key, Answered]:
        if not keys:
            return {}
        sql = (
            "SELECT key, fingerprint, state, id, stream, n FROM idempotency WHERE tenant = %s "
            "AND key = ANY(%s::bytea[])"
        )
        rows = self._rows(sql, tenant, list(keys))
        self._look("idempotency", keys, {key: (stream, n) for key, *_, stream, n in rows})
        return {row[0]: Answered(row[0], row[1], row[2], row[3], row[5]) for row in rows}

    def all_seen(self, tenant: int) -> Iterator[tuple[Key, Seen]]:
        for key, *row in self._paged("SELECT key, state, digest, n FROM seen WHERE tenant = %s", "key", tenant):
            yield key, Seen(*row)

    def accounts(self, tenant: int, ids: Sequence[int]) -> dict[int, Account]:
        """As they stand; within a transaction the payers among them are locked in the order of their numbers.

        On Citus, which knows no distributed FOR UPDATE, the lock would be ``UPDATE … SET posted = posted …
        RETURNING``; nothing else depends on how it is taken.
        """
        if not ids:
            return {}
        wanted = list(ids)
        found = {row[0]: account_of(*row) for row in self._rows(self._locking(_LOCKED), tenant, wanted)}
        others = [number for number in wanted if number not in found]
        if others:
            for row in self._rows(f"{_SUMMED} AND id = ANY(%s::bigint[]) AND role <> '{_PAYER}'", tenant, others):
                found[row[0]] = account_of(*row)
        return found

    def _locking(self, sql: str) -> str:
        return sql if self._link.open else sql.removesuffix(" FOR UPDATE")

    def account_keys(self, tenant: int, keys: Sequence[str]) -> dict[str, int]:
        return self._named("SELECT key, id FROM account WHERE tenant = %s AND key = ANY(%s::text[])", tenant, keys)

    def _named(self, sql: str, tenant: int, names: Sequence[Any]) -> dict[Any, Any]:
        return dict(self._rows(sql, tenant, list(names))) if names else {}

    def all_accounts(self, tenant: int) -> Iterator[tuple[str, Account]]:
        sql = _SUMMED.replace(" FROM account a", ", key FROM account a")
        for *row, key in self._paged(sql, "id", tenant):
            yield key, plain_account(*row)

    def handles(self, tenant: int, names: Sequence[str]) -> dict[str, int]:
        sql = "SELECT value, party FROM personal WHERE tenant = %s AND field = 'handle' AND value = ANY(%s::bytea[])"
        found = self._named(sql, tenant, [name.encode() for name in names])
        return {name.decode(): party for name, party in found.items()}

    def all_handles(self, tenant: int) -> dict[int, str]:
        rows = self._rows("SELECT party, value FROM personal WHERE tenant = %s AND field = 'handle'", tenant)
        return {party: value.decode() for party, value in rows}

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
        sql = ", ".join(f"(SELECT {what} WHERE tenant = %s)" for what in _COUNTED.values())
        account, party, hold = self._rows(f"SELECT {sql}", tenant, tenant, tenant)[0]
        return account, party, hold

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
        """A writer reads, and writes, what its own stream kept; a reader all of it."""
        sql = "SELECT account, sum(value)::bigint FROM residue WHERE tenant = %s AND account = ANY(%s::bigint[])"
        if self._writable:
            sql += f" AND stream = {self._own.get(tenant, 0)}"
        return self._named(sql + " GROUP BY account", tenant, ids)

    def all_residues(self, tenant: int) -> dict[int, int]:
        rows = self._rows("SELECT account, sum(value)::bigint FROM residue WHERE tenant = %s GROUP BY account", tenant)
        return dict(rows)

    def holds(self, tenant: int, ids: Sequence[int]) -> dict[int, Hold]:
        if not ids:
            return {}
        rows = self._rows(
            self._locking(f"{_HOLD} AND id = ANY(%s::bigint[]) ORDER BY id FOR UPDATE"), tenant, list(ids)
        )
        return {row[0]: hold_of(row) for row in rows}

    def all_holds(self, tenant: int) -> Iterator[Hold]:
        for row in self._paged(_HOLD, "id", tenant):
            yield hold_of(row)

    def expired_holds(self, tenant: int, at: str, limit: int) -> list[int]:
        sql = "SELECT id FROM hold WHERE tenant = %s AND state = 'open' AND expires <= %s ORDER BY expires LIMIT %s"
        return [row[0] for row in self._rows(sql, tenant, at, limit)]

    def courses(self, tenant: int, ids: Sequence[str]) -> dict[str, Course]:
        if not ids:
            return {}
        sql = "SELECT id, due, line FROM course WHERE tenant = %s AND id = ANY(%s::text[]) ORDER BY id FOR UPDATE"
        return {row[0]: Course(*row) for row in self._rows(self._locking(sql), tenant, list(ids))}

    def due_courses(self, tenant: int, at: str, limit: int) -> list[str]:
        sql = "SELECT id FROM course WHERE tenant = %s AND due <> '' AND due <= %s ORDER BY due LIMIT %s"
        return [row[0] for row in self._rows(sql, tenant, at, limit)]

    def all_courses(self, tenant: int, after: str = "") -> Iterator[Course]:
        sql = "SELECT id, due, line FROM course WHERE tenant = %s AND id > %s ORDER BY id LIMIT 500"
        while page := [Course(*row) for row in self._rows(sql, tenant, after)]:
            yield from page
            after = page[-1].id

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

    def begin(self, tenant: int) -> int:
        """Open the transaction of one group; the stream that it must append to.

        What an earlier ``begin`` opened and nobody committed is given up.
        """
        self.drop()
        stream = self._own[tenant] = self._link.begin(tenant)
        return stream

    def drop(self) -> None:
        """Give up what ``begin`` opened."""
        self._link.rollback()
        self._staged, self._looked, self._link.epoch = None, {}, ""

    def stage(self, writes: Writes) -> None:
        if not self._link.open:
            self._link.begin(writes.tenant, writes.stream)  # the caller knows of one writer only
            self._own.setdefault(writes.tenant, writes.stream)
        elif self._own.get(writes.tenant) != writes.stream:
            self.drop()
            raise Unwritten(f"{self._link.place}: stream {writes.stream} is not ours. Try again.")
        try:
            GroupWriter(self._link, writes, self._looked).put()
        except BaseException:
            self.drop()
            raise
        n, _, head = writes.journal[-1] if writes.journal else (0, b"", b"")
        self._staged = (writes.tenant, writes.stream, n, head)
        self._looked = {}
        for account in writes.accounts:
            if isinstance(account, Streamed):
                account.read = account.posted

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

    def reserve(self, tenant: int, name: str) -> tuple[int, int]:
        """A block of numbers for new accounts, parties or holds that no other writer gets: (first, how many).

        Taken on a connection of its own, so that no group waits for another's counter.
        """
        if self._side is None:
            self._side = Link(self._dsn, writable=True, patience=self._patience)
        take = "UPDATE counter SET next = next + %s WHERE tenant = %s AND name = %s RETURNING next - %s"
        while True:
            rows = self._side.rows(take, (_BLOCK, tenant, name, _BLOCK))
            if rows:
                return rows[0][0], _BLOCK
            sql = f"INSERT INTO counter SELECT %s, %s, {_COUNTED[name]} WHERE tenant = %s ON CONFLICT DO NOTHING"
            self._side.run(sql, (tenant, name, tenant))

    def forget(self, tenant: int, party: int) -> int:
        """The rows go at once, and the tables are written anew without them; base backups and WAL archives keep
        them until they expire."""
        gone = 0
        self.drop()
        self._link.begin(tenant)
        for table in ("personal", "pending", "document"):
            done = self._link.run(f"DELETE FROM {table} WHERE tenant = %s AND party = %s", (tenant, party))
            gone += int(done.rpartition(" ")[2])
        self._link.open = False
        self._link.run("COMMIT")
        self._link.run_long("VACUUM (FULL) personal, pending, document")
        return gone

    def compact(self) -> None:
        """Nothing: PostgreSQL keeps its write-ahead log by itself."""

    def close(self) -> None:
        self.drop()
        if self._side is not None:
            self._side.close()
        self._link.close()
