"""Closing a period: re-rate its running totals in one order for ever, book what only a period has, true up.

While a period is open a record costs what it adds to the running total at that moment. Closing prices the payer's
records again in (time, source, id) order and books the differences, so that afterwards nothing depends on the order,
the batches or the repetitions in which usage came.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime

import msgspec

from apportion.engine.catalogs import load_terms
from apportion.engine.commit import Committer
from apportion.engine.legs import Legs, RunningTotals, move_totals, providers_of, tariffs_of
from apportion.engine.periodic import Difference, period_fees
from apportion.engine.query import Record, record_of
from apportion.engine.rating import Given, Prepared, prepare, rate
from apportion.engine.terms import Terms
from apportion.engine.work import Work, encode
from apportion.errors import RefusalCode, refuse
from apportion.ledger import proof
from apportion.ledger.booking import book, merge
from apportion.model.account import Account
from apportion.model.ids import key_id, read_number
from apportion.model.journal import CloseLine, UsageLine
from apportion.model.usage import PartUse, PayerUse, Usage
from apportion.money import GRID, level
from apportion.money.exact import decimal_text
from apportion.ports import Store

_TRUE_UP, _CLOSE = b'"kind":"true-up"', b'{"type":"close"'
Order = tuple[bool, str, str, str]
Open = dict[tuple[str, str], list[tuple[Order, int]]]


def closing_order(usage: UsageLine) -> Order:
    """The place of a record in its period: by time, source and id; what gives back comes after what was used."""
    quantities = [usage.quantities, *(part.quantities for part in usage.parts)]
    gives_back = any(text.startswith("-") for piece in quantities for text in piece.values())
    return gives_back, usage.start, usage.source, usage.id


class Closed(msgspec.Struct):
    """What a close did: ``accounts`` closed, ``adjustments`` booked, atoms ``trued_up``, per asset text → amount."""

    periods: list[str] = []
    accounts: int = 0
    records: int = 0
    adjustments: int = 0
    trued_up: dict[str, str] = {}


class Opened:
    """The records of periods that are not closed, as far as the rows were ``scanned``; of one ``period``, if named.

    ``open`` holds those that are ``wanted`` (a record, and its period with the payer's account), with the row of each;
    all of the others are behind the row ``floor``. ``closed`` and ``trued`` are the last rows that closed a period and
    that trued up rounding.
    """

    def __init__(
        self, tenant: int, period: str = "", *, after: int = 0, wanted: Callable[[Record, str, str], bool] | None = None
    ) -> None:
        self._tenant, self._period, self._wanted = tenant, period, wanted
        self.open: Open = {}
        self.scanned = self.floor = after
        self.closed = self.trued = 0
        self._some = False

    def look(self, store: Store, upto: int, stop: Callable[[], bool] = lambda: False) -> None:
        """Look at the rows that were not looked at yet, unless it is to ``stop``."""
        mark = b'"period":"' + self._period.encode()
        closed = store.closed_periods(self._tenant) if upto > self.scanned else set()
        for n, body, _ in store.journal(self._tenant, 0, self.scanned, upto):
            if n % 1000 == 0 and stop():
                return
            self.scanned = n
            if mark in body and b'"type":"charge"' in body:
                self._take(record_of(n, body), closed)
            elif _TRUE_UP in body:
                self.trued = n
            if _CLOSE in body:
                self.closed = n
        self.scanned = max(upto, self.scanned)
        self.floor = self.floor if self._some else self.scanned

    def _take(self, record: Record, closed: Collection[tuple[str, int]]) -> None:
        if not record.usage.period:
            return  # an adjustment, or a correction beside which a use is told again
        period, payer = record.usage.period, record.usage.payers[0].payer
        if (self._period and period != self._period) or (period, read_number(payer)) in closed:
            return
        if not self._some:
            self._some, self.floor = True, record.n - 1
        if self._wanted is None or self._wanted(record, period, payer):
            self.open.setdefault((period, payer), []).append((closing_order(record.usage), record.n))


class Closing:
    """One close over the books of a writer, of what was found ``opened``."""

    def __init__(self, committer: Committer, store: Store, opened: Opened) -> None:
        self._committer = committer
        self._store = store
        self._terms: dict[str, Terms] = {}
        self._opened = opened
        self.result = Closed()

    def run(self, pairs: Iterable[tuple[str, str]] = ()) -> Closed:
        """Close these periods of payers' accounts, or all that are open."""
        self._opened.look(self._store, self._store.head(self._committer.tenant, 0)[0])
        for name, payer in sorted(pairs or self._opened.open):
            if name not in self.result.periods:
                self.result.periods.append(name)
            self._close_payer(name, payer)
        return self.result

    def true_up(self) -> Closed:
        """Pay out what rounding kept."""
        self.result.trued_up = self._committer.booked(lambda work: true_up(work, self._store))
        return self.result

    def _records(self, order: Sequence[tuple[Order, int]]) -> Iterator[Record]:
        for _, n in order:
            yield record_of(n, self._store.row(self._committer.tenant, 0, n))

    def _close_payer(self, period: str, payer: str) -> None:
        number = read_number(payer)

        def book(work: Work) -> tuple[int, int]:
            """Records and adjustments; none when another node closed this one first."""
            if not self._store.alone:
                self._opened.look(self._store, work.head[0])  # what others charged until this turn counts too
            if (period, number) in work.closed:
                return 0, -1
            order = sorted(self._opened.open[period, payer])
            return len(order), self._book_payer(work, period, payer, order)

        records, charged = self._committer.booked(book)
        if charged < 0:
            return
        self._committer.note_closed(period, number)
        self.result.records += records
        self.result.adjustments += charged
        self.result.accounts += 1

    def _book_payer(self, work: Work, period: str, payer: str, order: Sequence[tuple[Order, int]]) -> int:
        """Book the differences, and that the period is closed; how many differ."""
        account = work.numbered(read_number(payer))
        pairs = ((record, self._prepared(record)) for record in self._records(order))
        charged = 0
        for (service, version), difference in differences_of(work, account, period, pairs):
            charged += self._book(work, difference, f"{period}/{payer}/{service}/{version}", period)
        n = work.append(encode(CloseLine(period, payer, work.at, str(len(order)), str(charged))))
        work.writes.closed.append((period, account.id, n))
        return charged

    def _prepared(self, record: Record) -> Prepared:
        """The record as the books hold it, resolved against the catalog it was charged by."""
        version = record.charge.catalog
        if version not in self._terms:
            names = self._committer.names.assets
            self._terms[version] = load_terms(self._store, self._committer.tenant, version, names)
        given = Given.of(record.charge, record.usage.period)
        return prepare(usage_of(record), self._terms[version], given)

    def _book(self, work: Work, difference: Difference, cause: str, period: str) -> int:
        """Book what a payer's period differs by for one service; how many adjustments that made."""
        movements = merge(difference.movements)
        for account, residue in difference.residues:
            work.keep(account, residue)
        if not movements and not difference.fees:
            return 0
        key = proof.record_key("close", cause)
        charge = difference.charge(key_id("chg", key), period, work.at)
        lines = [encode(charge)]
        if movements:
            asset = difference.prepared.terms.asset
            lines.append(
                encode(
                    book(
                        key_id("ent", key),
                        charge.id,
                        "adjustment",
                        work.at,
                        (str(asset), asset.scale),
                        movements,
                        forced=True,
                    )
                )
            )
            for account, _ in movements:
                work.touch(account)
        work.record(key, "done", b"", *lines)
        return 1


def differences_of(
    work: Work, account: Account, period: str, records: Iterable[tuple[Record, Prepared]]
) -> list[tuple[tuple[str, str], Difference]]:
    """What a payer's period differs by, per (service, catalog), when its records are rated again in the order given.

    The close books it, and a proof computes it again: ``work`` is what either of them counts on.
    """
    differences: dict[tuple[str, str], Difference] = {}
    fresh: set[str] = set()
    for record, prepared in records:
        key = (record.charge.service, record.charge.catalog)
        difference = differences.setdefault(key, Difference(prepared, account, record.charge.catalog))
        _restart(work, prepared, account, fresh)
        rated = rate(prepared, lambda prefix: RunningTotals(work, account.id, prefix))
        move_totals(work, prepared, rated, account)
        payers = [work.numbered(read_number(p.payer)) for p in record.usage.payers]
        legs = Legs(work, prepared.terms, rated, payers, providers_of(work, prepared))
        legs.as_booked(work, record.charge)
        difference.add(work, record, prepared, legs)
    once: set[str] = set()
    for _, difference in sorted(differences.items()):
        period_fees(work, difference, period, once)
    return sorted(differences.items())


def _restart(work: Work, prepared: Prepared, account: Account, fresh: set[str]) -> None:
    """Running totals start from zero again, each at the first record that touches it."""
    for pricer, prefix in tariffs_of(prepared):
        for key in pricer.total_keys(prepared.use, prepared.period):
            if prefix + key not in fresh:
                fresh.add(prefix + key)
                work.clear_total(account.id, prefix + key)


def true_up(work: Work, store: Store) -> dict[str, str]:
    """Pay out what rounding kept, whole atoms at a time, so that it favours nobody over millions of small fees.

    What moved, as decimal text by asset.
    """
    moved: dict[str, str] = {}
    kept = store.all_residues(work.writes.tenant)
    accounts = {number: work.numbered(number) for number in kept}
    for number in sorted({account.asset for account in accounts.values()}):
        mine = [a for _, a in sorted(accounts.items()) if a.asset == number]
        asset = work.asset_of(mine[0])
        atoms = level([kept[a.id] for a in mine], [a.public for a in mine])
        movements = merge(zip(mine, atoms, strict=True))
        if not movements:
            continue
        key = proof.record_key("true-up", f"{asset} {work.head[0]}")
        shown = (str(asset), asset.scale)
        entry = book(key_id("ent", key), key_id("tru", key), "true-up", work.at, shown, movements, forced=True)
        for account, gone in movements:
            work.touch(account)
            work.keep(account, -gone * GRID)
        work.record(key, "done", b"", encode(entry))
        moved[str(asset)] = decimal_text(sum(m for _, m in movements if m > 0), asset.scale)
    return moved


def close_periods(committer: Committer, store: Store, period: str = "", *, now: str = "") -> Closed:
    """Close ``period``, or every period that usage names; closing again changes nothing.

    Raises:
        Refused: PERIOD_OPEN when ``now`` (RFC 3339) is given and the named month or day has not ended.
    """
    if period and now and period >= now[: len(period)]:
        raise refuse(
            RefusalCode.PERIOD_OPEN,
            f"{period} has not ended yet.",
            field="period",
            fix="Wait for its end, or close it all the same with --force: later usage of it will then wait.",
        )
    closing = Closing(committer, store, Opened(committer.tenant, period))
    closing.run()
    return closing.true_up()


def usage_of(record: Record) -> Usage:
    """The usage of a record as the books hold it: payers by account id, personal attributes cut."""
    line = record.usage
    return Usage(
        line.source,
        line.id,
        line.service,
        datetime.fromisoformat(line.start),
        datetime.fromisoformat(line.end) if line.end else None,
        tuple(PayerUse(p.payer, p.weight, p.quantities, p.pays) for p in line.payers),
        tuple(PartUse(p.part, p.provider, p.quantities) for p in line.parts),
        line.quantities,
        line.attributes,
    )
