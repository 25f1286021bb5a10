"""Rows of PostgreSQL as records, and one group's rows on their way in: set-based statements, always in one order.

New rows go in by COPY, rows that may be there by ``UPDATE … FROM unnest`` first; a row that another node put in
meanwhile ends the transaction by its key, and the group is decided again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from apportion.adapters.stores import postgres_tables as tables
from apportion.adapters.stores.postgres_link import Link, Unwritten
from apportion.adapters.stores.postgres_tables import Table
from apportion.model.account import Account, Role
from apportion.model.hold import Hold, HoldState
from apportion.model.ids import number_id
from apportion.ports import Key, Writes

Row = tuple[Any, ...]
EPOCH = "epoch"
_ROLES = {role.value: role for role in Role}
Looked = dict[Key, tuple[int, int] | None]  # stream and row, None for a key that nobody knew
_FEW = 4  # rows that go in faster one by one than by COPY


class Streamed(Account):
    """An account without a bound; ``read`` is the balance it was read with, so that only the difference is written."""

    read: int = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Account) and all(
            getattr(self, name) == getattr(other, name) for name in Account.__struct_fields__
        )


class GroupWriter:
    """Puts one group into the open transaction of ``link``.

    ``looked``: by table, the keys that were looked up in this transaction, with the row that each stood in.
    """

    def __init__(self, link: Link, writes: Writes, looked: Mapping[str, Looked]) -> None:
        self._link, self._writes, self._looked = link, writes, looked
        self._tenant, self._stream = writes.tenant, writes.stream

    def put(self) -> None:
        """Write everything."""
        writes, s = self._writes, self._stream
        self._open_accounts()
        self._add(tables.JOURNAL, [(s, n, body, head) for n, body, head in writes.journal])
        self._once(tables.SEEN, [(key, state, digest, s, n) for key, state, digest, n in writes.seen])
        self._once(tables.ANSWERED, [(a.key, a.fingerprint, a.state, a.id, s, a.n) for a in writes.answered])
        self._balances()
        self._upsert(tables.RESIDUE, [(account, s, value) for account, value in writes.residues])
        self._upsert(tables.RUNNING, [(a, key, str(num), str(den)) for a, key, num, den in writes.totals])
        self._upsert(tables.PERSONAL, [(p.party, p.field, p.record, *_bytes(p.value)) for p in writes.people])
        self._upsert(
            tables.HOLD,
            [
                (h.id, h.account, h.owner.encode(), h.amount, h.captured, h.released, h.expires, h.state.value)
                for h in writes.holds
            ],
        )
        self._upsert(tables.COURSE, [(c.id, c.due, c.line) for c in writes.courses])
        self._pending()
        self._add(tables.CLOSED, [(period, account, s, n) for period, account, n in writes.closed])
        self._upsert(tables.DOCUMENT, writes.documents)
        self._facts()

    def _add(self, table: Table, rows: Sequence[Row]) -> None:
        """New rows; one that is there already ends the transaction."""
        if not rows:
            return
        with self._link.busy(), self._link.db.cursor() as cursor:
            if len(rows) <= _FEW:
                for row in rows:
                    cursor.execute(table.insert(), (self._tenant, *row))
                return
            with cursor.copy(table.copy()) as copy:
                copy.set_types(table.types)
                for row in rows:
                    copy.write_row((self._tenant, *row))

    def _update(self, table: Table, rows: Sequence[Row], *, add: bool = False, was: tuple[str, ...] = ()) -> set[Row]:
        """Change rows that are there; the keys of those that were."""
        columns = [list(column) for column in zip(*rows, strict=True)]
        return set(self._link.rows(table.update(add=add, was=was), (*columns, self._tenant, columns[0])))

    def _upsert(self, table: Table, rows: Iterable[Row], *, add: bool = False) -> None:
        """Change rows that are there and add the others; of several with one key the last one counts."""
        last = {row[: table.keys]: row for row in rows}
        if last:
            there = self._update(table, [last[key] for key in sorted(last)], add=add)
            self._add(table, [last[key] for key in sorted(last.keys() - there)])

    def _open_accounts(self) -> None:
        rows = [
            (a.id, a.role.value, a.asset, a.party, opened.key, a.credit, 0, 0)
            for opened in self._writes.opened
            for a in (opened.account,)
        ]
        self._add(tables.ACCOUNT, rows)

    def _once(self, table: Table, rows: Sequence[Row]) -> None:
        """Keys that nobody knew must be new, those that somebody did must stand where they stood."""
        looked = self._looked.get(table.name, {})
        last = {row[0]: row for row in rows}
        new = [last[key] for key in sorted(last) if key in looked and looked[key] is None]
        again = [(*last[key], *was) for key in sorted(last) if (was := looked.get(key)) is not None]
        self._add(table, new)
        if again and len(self._update(table, again, was=("stream", "n"))) < len(again):
            raise Unwritten(f"{self._link.place}: another node has charged the same record. Try again.")
        self._upsert(table, [row for key, row in last.items() if key not in looked])

    def _balances(self) -> None:
        """Payers' rows as they are now, which are locked; of all others what this stream moved."""
        accounts, opened = self._writes.accounts, {o.account.id for o in self._writes.opened}
        payers = [(a.id, a.posted, a.held, a.credit) for a in accounts if a.role is Role.PAYER]
        if payers:
            self._update(tables.PAYER, payers)
        moved = []
        for account in accounts:
            if account.role is not Role.PAYER:
                moved.append((account.id, self._stream, account.posted - self._read(account, opened)))
        self._upsert(tables.BALANCE, moved, add=True)

    def _read(self, account: Account, opened: set[int]) -> int:
        """The balance that an unbounded account was read with."""
        if isinstance(account, Streamed):
            return account.read
        if account.id in opened:
            return 0
        sql = "SELECT coalesce(sum(posted), 0)::bigint FROM balance WHERE tenant = %s AND account = %s"
        return int(self._link.rows(sql, (self._tenant, account.id))[0][0])

    def _pending(self) -> None:
        last = {key: (key, party, payload) for key, party, payload in self._writes.pending}
        gone = [key for key, row in last.items() if row[2] is None]
        if gone:
            self._link.run("DELETE FROM pending WHERE tenant = %s AND key = ANY(%s::bytea[])", (self._tenant, gone))
        self._upsert(tables.PENDING, [row for row in last.values() if row[2] is not None])

    def _facts(self) -> None:
        """Facts last, as they are the rows that nodes share; the epoch only moves on from the one that was read."""
        facts = dict(self._writes.facts)
        epoch = facts.pop(EPOCH, None)
        if epoch is not None:
            self._move_epoch(epoch)
        self._upsert(tables.FACT, list(facts.items()))

    def _move_epoch(self, epoch: str) -> None:
        sql = "UPDATE fact SET value = %s WHERE tenant = %s AND name = %s AND value = %s"
        was = self._link.epoch
        if not was:
            self._add(tables.FACT, [(EPOCH, epoch)])
        elif self._link.run(sql, (epoch, self._tenant, EPOCH, was)) != "UPDATE 1":
            raise Unwritten(f"{self._link.place}: another node changed what is in force. Try again.")


def _bytes(value: str | bytes) -> tuple[bytes, bool]:
    """A personal value and whether it is text."""
    return (value.encode(), True) if isinstance(value, str) else (value, False)


def plain_account(
    number: int, role: str, asset: int, posted: int, held: int, credit: int | None, party: int
) -> Account:
    """An account as a row of it says."""
    return Account(number, number_id("acct", number), _ROLES[role], asset, posted, held, credit, party)


def account_of(number: int, role: str, asset: int, posted: int, held: int, credit: int | None, party: int) -> Account:
    """The same for one that may be changed: an unbounded account remembers its balance."""
    if role == Role.PAYER.value:
        return plain_account(number, role, asset, posted, held, credit, party)
    return Streamed(number, number_id("acct", number), _ROLES[role], asset, posted, held, credit, party, posted)


def hold_of(row: Row) -> Hold:
    """A hold as a row of it says."""
    number, account, owner, amount, expires, captured, released, state = row
    return Hold(number, account, owner.decode(), amount, expires, captured, released, HoldState(state))
