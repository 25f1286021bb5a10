"""Closed periods computed again: the payer's records of the period in their order for ever, and what that must book."""

from __future__ import annotations

import zlib
from datetime import datetime
from typing import cast

import msgspec

from apportion.engine.close import Order, closing_order, differences_of, usage_of
from apportion.engine.late import period_before, possible_periods
from apportion.engine.query import Record, record_of
from apportion.engine.rating import Given, Prepared, prepare
from apportion.engine.verify.books import Books, Wrong
from apportion.engine.verify.rerate import Rerating
from apportion.engine.verify.spool import Spool
from apportion.engine.verify.verdict import Findings, Row
from apportion.engine.work import Names, Work
from apportion.ledger import proof
from apportion.ledger.booking import merge
from apportion.ledger.chart import account_key
from apportion.model.account import Account, Role
from apportion.model.charge import Charge
from apportion.model.ids import key_id, number_id, read_number
from apportion.model.journal import CloseLine, Entry, UsageLine
from apportion.money import GRID, Asset, Exact, level
from apportion.ports import Store

_ORIGIN = "close "


class Closings:
    """Keeps, packed, the rows that count in a period until it is closed, then rates them again."""

    def __init__(self, findings: Findings, books: Books, rerating: Rerating) -> None:
        self.findings, self.books, self.rerating = findings, books, rerating
        self.closed: set[tuple[str, str]] = set()
        self._rows: dict[tuple[str, str], list[tuple[Order, int, bytes]]] = {}
        self._spool = Spool()
        self._adjustments: dict[str, tuple[str, Charge]] = {}

    def charged(self, row: Row, index: int, usage: UsageLine) -> None:
        """Keep a row whose charge counts in a period."""
        if usage.period:
            key = (usage.period, usage.payers[0].payer)
            if key in self.closed:
                self.findings.add(
                    "closed", row.place(index), usage.key, f"{usage.period} was closed for {key[1]} before."
                )
            elif not self._in_time(usage):
                why = f"counts in {usage.period}, though its own period was not closed for {key[1]}."
                self.findings.add("period", row.place(index), usage.key, why)
            packed = zlib.compress(b"\n".join(row.lines), 1)
            self._rows.setdefault(key, []).append((closing_order(usage), row.n, packed))

    def _in_time(self, usage: UsageLine) -> bool:
        """Whether a use counts in its own period, or in a later one because its own was closed.

        The books do not say by which calendar somebody is billed: any anchor and any zone that gives a period of the
        same cycle is good enough. All from its own to the one before that which it counts in are closed.
        """
        payer, period = usage.payers[0].payer, usage.period
        start = datetime.fromisoformat(usage.start)
        if "T" in period or period in possible_periods(period, start):  # those of seconds are for trials
            return True
        own, before = possible_periods(period, start), period_before(period)
        if not before:
            return any(key < period and (key, payer) in self.closed for key in own)
        keys = {*own}
        while period not in keys:
            if (before, payer) not in self.closed:
                return False
            period, before = before, period_before(before)
        return True

    def adjusted(self, row: Row, index: int, charge: Charge) -> None:
        """An adjustment waits for the line that closes its period."""
        if charge.origin.startswith(_ORIGIN):
            self._adjustments[charge.id] = (row.place(index), charge)

    def close(self, row: Row, index: int, line: CloseLine) -> None:
        """Rate a payer's period again and hold its adjustments against the outcome."""
        key = (line.period, line.account)
        if key in self.closed:
            self.findings.add("closed", row.place(index), line.account, f"{line.period} was closed before.")
        self.closed.add(key)
        rows = sorted(self._rows.pop(key, []))
        self._spool.put(key, [(n, body) for _, n, body in rows])
        booked, self._adjustments = self._adjustments, {}
        work = Counting(self.books, self.rerating)
        account = work.numbered(read_number(line.account))
        pairs = ((record, self._prepared(record)) for record in (record_of(n, _unpacked(body)) for _, n, body in rows))
        count = 0
        for (service, version), difference in differences_of(work, account, line.period, pairs):
            for moved, residue in difference.residues:
                self.rerating.keep(moved.public, residue)
            if not merge(difference.movements) and not difference.fees:
                continue
            count += 1
            name = key_id("chg", proof.record_key("close", f"{line.period}/{line.account}/{service}/{version}"))
            place, stored = booked.pop(name, (row.place(index), None))
            again = difference.charge(name, line.period, stored.at if stored is not None else line.at)
            if stored is None:
                self.findings.add("close", place, name, f"the adjustment of {service} by {again.total} is missing.")
            elif differing := _differing(stored, again):
                self.findings.add("close", place, name, differing)
        if (line.charged, line.adjusted) != (str(len(rows)), str(count)):
            why = f"says {line.charged} records, {line.adjusted} adjustments; rated again {len(rows)} and {count}."
            self.findings.add("close", row.place(index), line.account, why)
        self._unexpected(booked)

    def records(self, period: str, payer: str) -> list[Record]:
        """The records of a payer's closed period, in their order for ever."""
        return [record_of(n, _unpacked(body)) for n, body in self._spool.get((period, payer))]

    def _prepared(self, record: Record) -> Prepared:
        charge = record.charge
        given = Given.of(charge, record.usage.period)
        return prepare(usage_of(record), self.rerating.terms(charge.catalog), given)

    def _unexpected(self, booked: dict[str, tuple[str, Charge]]) -> None:
        for name, (place, charge) in booked.items():
            self.findings.add(
                "close", place, name, f"no record of {charge.origin[len(_ORIGIN) :]} gives this adjustment."
            )

    def trued_up(self, row: Row, index: int, line: Entry, legs: dict[str, int]) -> None:
        """What rounding kept is paid out in whole atoms, to those whom it was kept from."""
        kept = self.rerating.residues
        mine = [a for a, value in kept.items() if value and self.books.standing(a).line.asset == line.asset]
        mine.sort(key=read_number)
        due = dict(zip(mine, level([kept[a] for a in mine], mine), strict=True))
        if legs != {account: moved for account, moved in due.items() if moved}:
            self.findings.add("true_up", row.place(index), line.id, f"pays {legs}, rounding kept {due}.")
        for account, moved in legs.items():
            self.rerating.keep(account, -moved * GRID)

    def finish(self) -> None:
        """Adjustments whose period no line closes."""
        self._unexpected(self._adjustments)


class Counting(Work):
    """What a close counts on, out of the books so far: accounts by number and name, and running totals.

    It has no store: a proof reads the books instead.
    """

    def __init__(self, books: Books, rerating: Rerating) -> None:
        super().__init__(cast(Store, None), 0, cast(Names, None), "", bytes, (0, proof.START))
        self._books, self._totals = books, rerating.totals

    def numbered(self, number: int) -> Account:
        """An account of the books."""
        line = self._books.standing(number_id("acct", number)).line
        return Account(number, line.id, Role(line.role), 0)

    def account(self, role: Role, owner: str, asset: Asset) -> Account:
        """A provider's or the platform's account."""
        name = self._books.chart.get((role.value, owner, str(asset)))
        if name is None:
            raise Wrong("unknown_account", f"{account_key(role, owner, str(asset))} is not in the books.")
        return self.numbered(read_number(name))

    def keyed(self, key: str) -> Account | None:
        """An account by its chart key."""
        role, owner, asset = key.split(":", 2)
        name = self._books.chart.get((role, owner, asset))
        return self.numbered(read_number(name)) if name is not None else None

    def total(self, account: int, key: str) -> Exact:
        """A running total."""
        return self._totals.get((number_id("acct", account), key), Exact(0))

    def set_total(self, account: int, key: str, value: Exact) -> None:
        """Move a running total."""
        self._totals[number_id("acct", account), key] = value.reduced()

    def clear_total(self, account: int, key: str) -> None:
        """Start a running total again."""
        self._totals[number_id("acct", account), key] = Exact(0)


def _unpacked(body: bytes) -> bytes:
    return zlib.decompress(body)


def _differing(stored: Charge, again: Charge) -> str:
    """The first field in which an adjustment differs; words beside the numbers do not count."""
    plain = [
        msgspec.structs.replace(
            charge, lines=(), portions=tuple(msgspec.structs.replace(p, lines=()) for p in charge.portions)
        )
        for charge in (stored, again)
    ]
    for field in Charge.__struct_fields__:
        one, other = (getattr(charge, field) for charge in plain)
        if one != other:
            return f"{field} is {one}, rated again {other}."
    return ""
