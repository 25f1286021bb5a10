"""Periods that are due to be closed: those whose usage has running totals, payer by payer as its calendar says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from apportion.engine.close import Closing, Opened
from apportion.engine.engine import Engine
from apportion.engine.query import Record
from apportion.engine.scheduling.due import Act, Stop
from apportion.engine.terms import Terms
from apportion.errors import Refused, StoreUnavailable
from apportion.model.calendar import period_named, period_of
from apportion.model.ids import read_number
from apportion.money import level
from apportion.ports import Store

_RECORDS = 2000  # so many records, or one payer's period, are closed while nobody else writes


class Closings:
    """The closing of one tenant: what is due is looked for behind the last row before which all is closed."""

    def __init__(self) -> None:
        self._floor = self._closed = self._trued = 0

    def find(self, engine: Engine, terms: Terms, before: datetime, stop: Stop) -> tuple[Act, ...]:
        """Close what had ended ``before``, some at a time; then pay out what rounding kept."""
        ended = Ended(engine.store, engine.tenant, terms, before)
        opened = Opened(engine.tenant, after=self._floor, wanted=ended.wanted)
        opened.look(engine.store, engine.store.head(engine.tenant, 0)[0], stop)
        if stop():
            return ()
        self._floor = opened.floor
        self._closed, self._trued = max(self._closed, opened.closed), max(self._trued, opened.trued)
        acts: list[Act] = [partial(_close, ended, opened, pairs) for pairs in _groups(opened)]
        killed_between = self._closed > self._trued  # the two, as the books say
        if acts or (killed_between and _kept(engine)):
            acts.append(partial(self._true_up, opened))
        return tuple(acts)

    def _true_up(self, opened: Opened, engine: Engine) -> None:
        Closing(engine.writer, engine.store, opened).true_up()
        self._trued = engine.store.head(engine.tenant, 0)[0]  # there may have been nothing to pay out


class Ended:
    """Whether a period of a payer's account had ended before an instant, by the calendar that it is billed by."""

    def __init__(self, store: Store, tenant: int, terms: Terms, before: datetime) -> None:
        self.store = store  # that of the thread that asks
        self._tenant, self._terms, self._before = tenant, terms, before
        self._known: dict[tuple[str, str], bool] = {}

    def wanted(self, record: Record, period: str, payer: str) -> bool:
        """Whether the period that a record counts in has ended."""
        known = self._known.get((period, payer))
        if known is None:
            known = self._known[period, payer] = self._end(record, period, payer) <= self._before
        return known

    def _end(self, record: Record, period: str, payer: str) -> datetime:
        number = read_number(payer)
        party = self.store.accounts(self._tenant, [number])[number].party
        calendar = self._terms.calendar(self.store.handles_of(self._tenant, [party]).get(party, ""))
        try:
            return period_named(calendar, period).end
        except Refused:  # it was another calendar's, before the catalog gave the payer this one
            instants = (datetime.fromisoformat(text) for text in (record.usage.start, record.charge.at))
            return period_of(calendar, max(instants)).end


def _groups(opened: Opened) -> Iterator[list[tuple[str, str]]]:
    """The periods of payers in order, so many records at a time."""
    group: list[tuple[str, str]] = []
    count = 0
    for pair, records in sorted(opened.open.items()):
        if group and count + len(records) > _RECORDS:
            yield group
            group, count = [], 0
        group.append(pair)
        count += len(records)
    if group:
        yield group


def _kept(engine: Engine) -> bool:
    """Whether rounding kept so much that a whole atom can be paid out."""
    store, tenant = engine.store, engine.tenant
    kept = store.all_residues(tenant)
    accounts = store.accounts(tenant, sorted(kept))
    for asset in {account.asset for account in accounts.values()}:
        mine = [number for number in sorted(kept) if accounts[number].asset == asset]
        if any(level([kept[number] for number in mine], [accounts[number].public for number in mine])):
            return True
    return False


def _close(ended: Ended, opened: Opened, pairs: list[tuple[str, str]], engine: Engine) -> None:
    """Close each of them; one that breaks keeps no other from being closed."""
    ended.store = engine.store
    closing, broken = Closing(engine.writer, engine.store, opened), list[Exception]()
    for pair in pairs:
        try:
            closing.run([pair])
        except StoreUnavailable:
            raise
        except Exception as error:
            if engine.writer.failed:
                raise
            broken.append(error)
    if broken:
        raise broken[0]
