"""Settlements and payouts that are due, by what stands in the books of those before."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from functools import partial

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.scheduling.due import Act
from apportion.engine.settling.counting import Counted, count_ahead
from apportion.engine.settling.decision import FILE, payouts_of
from apportion.engine.settling.netted import grain_of, units_of
from apportion.engine.settling.payees import payee_of
from apportion.engine.settling.run import settle
from apportion.engine.settling.standing import LAST, find_line, last_settlement
from apportion.engine.unbilled import PAID_OUT
from apportion.model.account import Role
from apportion.model.ids import read_number
from apportion.model.journal import Entry
from apportion.model.settlement import Mode, OrderPayouts, SettlementLine, Transfer, Wanted

_ENTRY, _ENTRIES = b'{"type":"entry"', msgspec.json.Decoder(Entry)
_AGAIN, _SOON = 30.0, 1.0  # seconds until payments are looked at again that could not be ordered, or were just now


class Settlements:
    """The settling of one tenant."""

    def __init__(self) -> None:
        self._bare = 0  # the row up to which nobody earned anything since the last settlement

    def find(self, engine: Engine, since: datetime, mode: str) -> tuple[Act, ...]:
        """Settle when somebody earned anything before ``since``, and no settlement was made at it or later."""
        last = last_settlement(engine)
        if last is not None and datetime.fromisoformat(last.at) >= since:
            return ()
        earned = self._first(engine, last.upto if last is not None else 0)
        if earned is None or earned >= since:
            return ()
        return (partial(_settle, Mode(mode), since, count_ahead(engine)),)

    def _first(self, engine: Engine, after: int) -> datetime | None:
        """When the first that no settlement covers was earned."""
        store, tenant = engine.store, engine.tenant
        accounts = {account.public for _, account in store.accounts_under(tenant, f"{Role.PROVIDER.value}:")}
        self._bare = max(self._bare, after)
        for n, body, _ in store.journal(tenant, 0, self._bare, store.head(tenant, 0)[0]):
            for line in body.split(b"\n"):
                if line.startswith(_ENTRY):
                    entry = _ENTRIES.decode(line)
                    if entry.kind not in PAID_OUT and any(leg.account in accounts for leg in entry.legs):
                        return datetime.fromisoformat(entry.at)
            self._bare = n
        return None


def _settle(mode: Mode, since: datetime, ahead: Counted, engine: Engine) -> None:
    settle(engine, mode, since=since, ahead=ahead)


class Payouts:
    """The payouts of one tenant: payments of settlements that nobody ordered yet. What came back is for a person."""

    def __init__(self) -> None:
        self._newest = ""  # all settlements up to this one are known
        self._open: dict[str, SettlementLine] = {}  # those with payments that nobody ordered
        self._again = 0.0
        self.words: tuple[str, ...] = ()  # who can not be paid, and why

    def find(self, engine: Engine, by: str) -> tuple[Act, ...]:
        """Order whatever was never ordered and can be paid."""
        newest = engine.store.fact(engine.tenant, LAST)
        if newest == self._newest and time.monotonic() < self._again:
            return ()
        self._learn(engine, newest)
        self._again = time.monotonic() + _AGAIN
        owners, acts, without = engine.books.owners(), list[Act](), dict[str, None]()
        for line in list(self._open.values()):
            never = _never(engine, line)
            if not never:
                del self._open[line.id]
                continue
            known = {
                one.creditor
                for one in never
                if not one.debtor and _reachable(engine, owners.get(one.creditor, ""), by)
            }  # fmt: skip
            able = [one for one in never if one.debtor or one.creditor in known]
            without |= dict.fromkeys(owners.get(one.creditor, "") for one in never if one not in able)
            wanted = tuple(Wanted(one.debtor, one.creditor) for one in _within(engine, line, able))
            if wanted:
                acts.append(partial(_order, OrderPayouts(line.id, by, wanted)))
        self.words = tuple(f"{name}: it is not known where it has its money" for name in without)
        if acts:
            self._again = time.monotonic() + _SOON
        return tuple(acts)

    def _learn(self, engine: Engine, newest: str) -> None:
        fresh: list[SettlementLine] = []
        id = newest
        while id and id != self._newest:
            line = find_line(engine.store, engine.tenant, id)
            assert line is not None
            fresh.append(line)
            id = line.previous
        self._open |= {line.id: line for line in reversed(fresh)}
        self._newest = newest


def _never(engine: Engine, line: SettlementLine) -> list[Transfer]:
    """The payments of a settlement that were never ordered."""
    store, tenant = engine.store, engine.tenant
    found = payouts_of(line, lambda ids: {id: one.line for id, one in store.courses(tenant, ids).items()})
    return [one for one in line.payments if not found[one.debtor, one.creditor]]


def _reachable(engine: Engine, provider: str, by: str) -> bool:
    payee = payee_of(engine, provider) if provider else None
    return payee is not None and bool(payee.iban if by == FILE else payee.destination)


def _within(engine: Engine, line: SettlementLine, payments: Iterable[Transfer]) -> list[Transfer]:
    """Those that are not above the position of whom the platform pays: what it owes since then is set off first."""
    payments = list(payments)
    numbers = {read_number(one.creditor) for one in payments if not one.debtor}
    accounts = engine.store.accounts(engine.tenant, sorted(numbers))
    asset = engine.books.asset(line.asset.partition("/")[0])
    grain = grain_of(asset)

    def fits(one: Transfer) -> bool:
        posted = accounts[read_number(one.creditor)].posted if not one.debtor else 0
        return bool(one.debtor) or 2 * (units_of(one.amount) * grain - posted) <= grain

    return [one for one in payments if fits(one)]


def _order(command: OrderPayouts, engine: Engine) -> None:
    """Order them together, so that they are one batch; each by itself when one of them can not be ordered any more."""
    outcome = engine.writer.commit([command])[0]
    if outcome.refusal is not None:
        engine.writer.commit([msgspec.structs.replace(command, wanted=(one,)) for one in command.wanted])
