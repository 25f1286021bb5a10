"""Rows of SQLite as records, and one group's rows on their way in."""

from __future__ import annotations

import apsw

from apportion.model.account import Account, Role
from apportion.model.hold import Hold, HoldState
from apportion.model.ids import number_id
from apportion.ports import Writes

_ROLES = {role.value: role for role in Role}


def write_rows(db: apsw.Connection, writes: Writes) -> None:
    """Put everything that a group changes into the open transaction."""
    t = writes.tenant
    many = db.executemany
    s = writes.stream
    if writes.opened:
        many(
            "INSERT INTO account (tenant, id, role, asset, party, key, credit, posted, held) "
            "VALUES (?,?,?,?,?,?,?,0,0)",
            [(t, a.id, a.role.value, a.asset, a.party, o.key, a.credit) for o in writes.opened for a in (o.account,)],
        )
    many("INSERT INTO journal VALUES (?,?,?,?,?)", [(t, s, n, body, head) for n, body, head in writes.journal])
    many(
        "INSERT INTO seen VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE SET state = excluded.state, "
        "digest = excluded.digest, n = excluded.n",
        [(t, key, state, digest, n) for key, state, digest, n in writes.seen],
    )
    many(
        "UPDATE account SET posted = ?, held = ?, credit = ? WHERE tenant = ? AND id = ?",
        [(a.posted, a.held, a.credit, t, a.id) for a in writes.accounts],
    )
    many(
        "INSERT INTO residue VALUES (?,?,?) ON CONFLICT DO UPDATE SET value = excluded.value",
        [(t, account, value) for account, value in writes.residues],
    )
    if writes.totals:
        many(
            "INSERT INTO running VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE SET num = excluded.num, den = excluded.den",
            [(t, account, key, str(num), str(den)) for account, key, num, den in writes.totals],
        )
    _write_rare_rows(db, writes, t)


def _write_rare_rows(db: apsw.Connection, writes: Writes, t: int) -> None:
    many = db.executemany
    if writes.people:
        many(
            "INSERT INTO personal (tenant, party, field, record, value) VALUES (?,?,?,?,?) "
            "ON CONFLICT DO UPDATE SET value = excluded.value",
            [(t, p.party, p.field, p.record, p.value) for p in writes.people],
        )
    if writes.holds:
        many(
            "INSERT INTO hold VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET captured = excluded.captured, "
            "released = excluded.released, state = excluded.state",
            [
                (t, h.id, h.account, h.owner, h.amount, h.captured, h.released, h.expires, h.state.value)
                for h in writes.holds
            ],
        )
    if writes.courses:
        many(
            "INSERT INTO course VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET due = excluded.due, line = excluded.line",
            [(t, c.id, c.due, c.line) for c in writes.courses],
        )
    for key, party, payload in writes.pending:
        if payload is None:
            db.execute("DELETE FROM pending WHERE tenant = ? AND key = ?", (t, key))
        else:
            db.execute("INSERT OR REPLACE INTO pending VALUES (?,?,?,?)", (t, key, party, payload))
    if writes.closed:
        many("INSERT INTO closed VALUES (?,?,?,?)", [(t, period, account, n) for period, account, n in writes.closed])
    if writes.documents:
        many(
            "INSERT OR REPLACE INTO document VALUES (?,?,?,?)",
            [(t, name, party, body) for name, party, body in writes.documents],
        )
    if writes.answered:
        many(
            "INSERT INTO idempotency (tenant, key, fingerprint, state, id, n) VALUES (?,?,?,?,?,?) "
            "ON CONFLICT DO UPDATE SET state = excluded.state, id = excluded.id, n = excluded.n",
            [(t, a.key, a.fingerprint, a.state, a.id, a.n) for a in writes.answered],
        )
    if writes.facts:
        many(
            "INSERT INTO fact VALUES (?,?,?) ON CONFLICT DO UPDATE SET value = excluded.value",
            [(t, name, value) for name, value in writes.facts],
        )


def account_of(number: int, role: str, asset: int, posted: int, held: int, credit: int | None, party: int) -> Account:
    """A row of the table of accounts."""
    return Account(number, number_id("acct", number), _ROLES[role], asset, posted, held, credit, party)


def hold_of(
    number: int, account: int, owner: str, amount: int, expires: str, captured: int, released: int, state: str
) -> Hold:
    """A row of the table of holds."""
    return Hold(number, account, owner, amount, expires, captured, released, HoldState(state))
