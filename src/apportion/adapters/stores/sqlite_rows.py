"""Rows of SQLite as records, and one group's rows on their way in."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import chain
from operator import itemgetter

import apsw

from apportion.model.account import Account, Role
from apportion.model.hold import Hold, HoldState
from apportion.model.ids import number_id
from apportion.ports import Writes

_WIDTHS = (256, 64, 16, 4, 1)
_FIRST = itemgetter(0)  # keys are random: in their order, neighbours find the page still at hand
_ROLES = {role.value: role for role in Role}


def write_rows(db: apsw.Connection, writes: Writes) -> None:
    """Put everything that a group changes into the open transaction.

    Rows go in by the hundred: each execution gives the interpreter lock up, and a thread that decodes requests
    meanwhile is slow to give it back.
    """
    t, s = writes.tenant, writes.stream
    if writes.opened:
        _many(
            db, "INSERT INTO account (tenant, id, role, asset, party, key, credit, posted, held) VALUES {}",
            "(?1,?,?,?,?,?,?,0,0)", (t,),
            [(a.id, a.role.value, a.asset, a.party, o.key, a.credit) for o in writes.opened for a in (o.account,)],
        )  # fmt: skip
    _many(db, "INSERT INTO journal VALUES {}", "(?1,?2,?,?,?)", (t, s), writes.journal)
    _many(
        db, "INSERT INTO seen VALUES {} ON CONFLICT DO UPDATE SET state = excluded.state, digest = excluded.digest, "
        "n = excluded.n", "(?1,?,?,?,?)", (t,), sorted(writes.seen, key=_FIRST),
    )  # fmt: skip
    _many(
        db, "WITH v (tenant, id, posted, held, credit) AS (VALUES {}) UPDATE account SET posted = v.posted, "
        "held = v.held, credit = v.credit FROM v WHERE account.tenant = v.tenant AND account.id = v.id",
        "(?1,?,?,?,?)", (t,), [(a.id, a.posted, a.held, a.credit) for a in writes.accounts],
    )  # fmt: skip
    _many(
        db, "INSERT INTO residue VALUES {} ON CONFLICT DO UPDATE SET value = excluded.value", "(?1,?,?)", (t,),
        writes.residues,
    )  # fmt: skip
    if writes.totals:
        _many(
            db, "INSERT INTO running VALUES {} ON CONFLICT DO UPDATE SET num = excluded.num, den = excluded.den",
            "(?1,?,?,?,?)", (t,), [(account, key, str(num), str(den)) for account, key, num, den in writes.totals],
        )  # fmt: skip
    if writes.answered:
        _many(
            db, "INSERT INTO idempotency (tenant, key, fingerprint, state, id, n) VALUES {} "
            "ON CONFLICT DO UPDATE SET state = excluded.state, id = excluded.id, n = excluded.n", "(?1,?,?,?,?,?)",
            (t,), [(a.key, a.fingerprint, a.state, a.id, a.n) for a in writes.answered],
        )  # fmt: skip
    _write_rare_rows(db, writes, t)


def _many(
    db: apsw.Connection, sql: str, row: str, common: tuple[object, ...], rows: Sequence[Sequence[object]]
) -> None:
    """Run ``sql`` with ``{}`` standing for rows of the shape ``row``, in a few fixed widths that stay prepared."""
    at, left = 0, len(rows)
    for width in _WIDTHS:
        while left >= width:
            values = chain(common, chain.from_iterable(rows[at : at + width]))
            db.execute(_wide(sql, row, width), tuple(values))
            at, left = at + width, left - width


@functools.cache
def _wide(sql: str, row: str, width: int) -> str:
    return sql.format(",".join([row] * width))


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
