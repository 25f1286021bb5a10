"""Rows of PostgreSQL as records, and one group's rows on their way in: set-based statements, always in one order.

New rows go in by COPY, rows that may be there by ``UPDATE … FROM unnest`` first. The turn keeps other writers out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from apportion.adapters.stores import postgres_tables as tables
from apportion.adapters.stores.postgres_link import Link
from apportion.adapters.stores.postgres_tables import Table
from apportion.model.account import Account, Role
from apportion.model.hold import Hold, HoldState
from apportion.model.ids import number_id
from apportion.ports import Key, Writes

Row = tuple[Any, ...]
_ROLES = {role.value: role for role in Role}
_FEW = 4  # rows that go in faster one by one than by COPY
_PASS_ON = (
    "UPDATE turn SET n = coalesce(%s, n), hash = coalesce(%s, hash), epoch = epoch + %s, "
    "account = greatest(account, %s), party = greatest(party, %s), hold = greatest(hold, %s) WHERE tenant = %s"
)


class GroupWriter:
    """Puts one group into the open transaction of ``link``.

    ``absent``: by table, the keys that were looked up in this turn and that nobody knew.
    """

    def __init__(self, link: Link, writes: Writes, absent: Mapping[str, AbstractSet[Key]]) -> None:
        self._link, self._writes, self._absent = link, writes, absent
        self._tenant = writes.tenant

    def put(self) -> None:
        """Write everything."""
        writes, s = self._writes, self._writes.stream
        self._pass_on()
        self._open_accounts()
        self._add(tables.JOURNAL, [(s, n, body, head) for n, body, head in writes.journal])
        self._keyed(tables.SEEN, writes.seen)
        self._keyed(tables.ANSWERED, [(a.key, a.fingerprint, a.state, a.id, a.n) for a in writes.answered])
        self._stand()
        self._upsert(tables.RESIDUE, writes.residues)
        self._upsert(tables.RUNNING, [(a, key, str(num), str(den)) for a, key, num, den in writes.totals])
        self._people()
        self._upsert(
            tables.HOLD,
            [
                (h.id, h.account, h.owner.encode(), h.amount, h.captured, h.released, h.expires, h.state.value)
                for h in writes.holds
            ],
        )
        self._upsert(tables.COURSE, [(c.id, c.due, c.line) for c in writes.courses])
        self._pending()
        self._add(tables.CLOSED, writes.closed)
        self._upsert(tables.DOCUMENT, writes.documents)
        self._upsert(tables.FACT, writes.facts)

    def _pass_on(self) -> None:
        """Where the next writer, whichever node it is, begins."""
        writes = self._writes
        n, _, head = writes.journal[-1] if writes.journal else (None, b"", None)
        account = max((opened.account.id for opened in writes.opened), default=0) + 1
        party = max((opened.account.party for opened in writes.opened), default=0) + 1
        hold = max((hold.id for hold in writes.holds), default=0) + 1
        self._link.run(_PASS_ON, (n, head, int(writes.epochal), account, party, hold, self._tenant))

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

    def _update(self, table: Table, rows: Sequence[Row]) -> set[Row]:
        """Change rows that are there; the keys of those that were."""
        columns = [list(column) for column in zip(*rows, strict=True)]
        return set(self._link.rows(table.update(), (*columns, self._tenant, columns[0])))

    def _upsert(self, table: Table, rows: Iterable[Row]) -> None:
        """Change rows that are there and add the others; of several with one key the last one counts."""
        last = {row[: table.keys]: row for row in rows}
        if last:
            there = self._update(table, [last[key] for key in sorted(last)])
            self._add(table, [last[key] for key in sorted(last.keys() - there)])

    def _keyed(self, table: Table, rows: Sequence[Row]) -> None:
        """Keys that were looked up, and that nobody knew, need no second look."""
        absent = self._absent.get(table.name, frozenset())
        last = {row[0]: row for row in rows}
        self._add(table, [last[key] for key in sorted(last) if key in absent])
        self._upsert(table, [row for key, row in last.items() if key not in absent])

    def _open_accounts(self) -> None:
        rows = [
            (a.id, a.role.value, a.asset, a.party, opened.key, a.credit, 0, 0)
            for opened in self._writes.opened
            for a in (opened.account,)
        ]
        self._add(tables.ACCOUNT, rows)

    def _people(self) -> None:
        """Whoever is new is not looked for."""
        rows = [(p.party, p.field, p.record, *_bytes(p.value)) for p in self._writes.people]
        new = {party for party, field, *_ in rows if field == "salt"}
        fresh = {row[:3]: row for row in rows if row[0] in new and row[1] in ("handle", "salt")}
        self._add(tables.PERSONAL, list(fresh.values()))
        self._upsert(tables.PERSONAL, [row for row in rows if row[:3] not in fresh])

    def _stand(self) -> None:
        """Accounts as the group leaves them."""
        rows = [(a.id, a.posted, a.held, a.credit) for a in self._writes.accounts]
        if rows:
            self._update(tables.STANDING, rows)

    def _pending(self) -> None:
        last = {key: (key, party, payload) for key, party, payload in self._writes.pending}
        gone = [key for key, row in last.items() if row[2] is None]
        if gone:
            self._link.run("DELETE FROM pending WHERE tenant = %s AND key = ANY(%s::bytea[])", (self._tenant, gone))
        self._upsert(tables.PENDING, [row for row in last.values() if row[2] is not None])


def _bytes(value: str | bytes) -> tuple[bytes, bool]:
    """A personal value and whether it is text."""
    return (value.encode(), True) if isinstance(value, str) else (value, False)


def account_of(number: int, role: str, asset: int, posted: int, held: int, credit: int | None, party: int) -> Account:
    """An account as a row of it says."""
    return Account(number, number_id("acct", number), _ROLES[role], asset, posted, held, credit, party)


def hold_of(row: Row) -> Hold:
    """A hold as a row of it says."""
    number, account, owner, amount, expires, captured, released, state = row
    return Hold(number, account, owner.decode(), amount, expires, captured, released, HoldState(state))
