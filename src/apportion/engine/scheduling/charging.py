"""Statements that are due to be charged to their payers' saved cards: an attempt at each time that the schedule names.

Which attempts were made stands in the books: the id of a payment is made of its statement and attempt.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec

from apportion.engine.credit.trails import CAME_IN, came_by
from apportion.engine.engine import Engine
from apportion.engine.payments.bills import ATTEMPTS, cause_of
from apportion.engine.payments.decision import payment_name
from apportion.engine.scheduling.due import Act, Stop
from apportion.engine.statements.composing import STATEMENT
from apportion.engine.unbilled import DOCUMENT
from apportion.model.card import PayStatement
from apportion.model.funding import FundingLine
from apportion.model.ids import number_id, read_number
from apportion.model.journal import Entry, StatementLine
from apportion.model.payment import LIVE, PaymentLine
from apportion.model.statement import Statement
from apportion.money import Money

_LINES, _ENTRIES = msgspec.json.Decoder(StatementLine), msgspec.json.Decoder(Entry)
_FUNDING, _PAYMENT = msgspec.json.Decoder(FundingLine), msgspec.json.Decoder(PaymentLine)
_DOCUMENT = msgspec.json.Decoder(Statement)
_GROUP = 200
#: seconds until a statement is looked at again: one that may be paid in a moment, and one whose payer has no card
_SOON, _LATER = 2.0, 60.0
_KEPT = timedelta(days=30)  # so long after the last attempt a card may still be saved


class _Bill(msgspec.Struct):
    """A statement that may have to be charged; ``again`` is when it is looked at (monotonic), ``n`` its row."""

    id: str
    number: str
    account: str
    at: datetime
    n: int
    again: float = 0.0
    pause: float = _SOON


class Bills:
    """The statements of one tenant that are not paid yet, as far as the rows were looked at."""

    def __init__(self) -> None:
        self._numbered = ""
        self._scanned = 0
        self._bills: dict[str, _Bill] = {}
        self._ids: dict[str, str] = {}  # by number

    def find(self, engine: Engine, lags: Sequence[timedelta], stop: Stop) -> tuple[Act, ...]:
        """Charge the statements for which a time has come and no attempt was made since."""
        self._learn(engine, stop)
        now, clock = datetime.fromisoformat(engine.clock.now()), time.monotonic()
        due: list[_Bill] = []
        for bill in list(self._bills.values()):
            if now > bill.at + lags[-1] + _KEPT:
                del self._bills[bill.id]
            elif bill.again <= clock and bill.at + lags[0] <= now:
                due.append(bill)
        untried: list[tuple[_Bill, int]] = []
        for place in range(0, len(due), _GROUP):
            some = due[place : place + _GROUP]
            moments = {bill.id: max(bill.at + lag for lag in lags if bill.at + lag <= now) for bill in some}
            untried += self._untried(engine, some, moments)
        commands = self._commands(engine, untried)
        groups = [commands[place : place + _GROUP] for place in range(0, len(commands), _GROUP)]
        return tuple(partial(_charge, group) for group in groups)

    def _learn(self, engine: Engine, stop: Stop) -> None:
        """Take note of statements that were issued since."""
        store, tenant = engine.store, engine.tenant
        numbered = store.fact(tenant, f"number:{STATEMENT}")
        if numbered == self._numbered:
            return
        for n, body, _ in store.journal(tenant, 0, self._scanned, store.head(tenant, 0)[0]):
            if n % 1000 == 0 and stop():
                return
            self._scanned = n
            for line in body.split(b"\n") if body.startswith(DOCUMENT) else ():
                if line.startswith(DOCUMENT):
                    made = _LINES.decode(line)
                    self._ids[made.number] = made.id
                    if made.kind == STATEMENT and not made.total.startswith("-"):
                        at = datetime.fromisoformat(made.at)
                        self._bills[made.id] = _Bill(made.id, made.number, made.account, at, n)
        self._numbered = numbered

    def _untried(self, engine: Engine, bills: list[_Bill], moments: dict[str, datetime]) -> list[tuple[_Bill, int]]:
        """Of payers with a card, those of which no attempt was made since its moment, each with the next attempt."""
        store, tenant = engine.store, engine.tenant
        accounts = store.accounts(tenant, sorted({read_number(bill.account) for bill in bills}))
        salts = store.salts(tenant, sorted({account.party for account in accounts.values()}))
        funds = store.courses(tenant, [number_id("fund", number) for number in accounts])
        found: list[tuple[_Bill, int]] = []
        for bill in bills:
            bill.again = time.monotonic() + _SOON
            number = read_number(bill.account)
            fund, salt = funds.get(number_id("fund", number)), salts.get(accounts[number].party)
            if fund is None or salt is None or not _FUNDING.decode(fund.line).card:
                bill.again = time.monotonic() + _LATER
                continue
            last, attempt = None, 1
            while attempt < ATTEMPTS:
                id = payment_name(salt, bill.account, cause_of(bill.id, attempt))
                course = store.courses(tenant, [id]).get(id)
                if course is None:
                    break
                last, attempt = _PAYMENT.decode(course.line), attempt + 1
            if last is None or (last.state not in LIVE and datetime.fromisoformat(last.requested) < moments[bill.id]):
                found.append((bill, attempt))
        return found

    def _commands(self, engine: Engine, found: list[tuple[_Bill, int]]) -> list[PayStatement]:
        """The commands for those of which something is open; what is paid is forgotten."""
        store, tenant = engine.store, engine.tenant
        upto = store.head(tenant, 0)[0]
        came = _came_in(engine, [bill for bill, _ in found], upto)
        newest = {bill.account: bill for bill, _ in sorted(found, key=lambda one: (one[0].n, one[0].number))}
        commands: list[PayStatement] = []
        for bill, attempt in found:
            body = store.document(tenant, bill.id)
            made = _DOCUMENT.decode(body) if body else None
            asset = engine.books.asset(made.currency) if made is not None else None
            paid = made is not None and asset is not None and came[bill.id] >= Money.parse(made.due, asset).atoms
            if made is None or (paid and not made.beside):  # what came in may be for those beside it
                del self._bills[bill.id]
                continue
            last = newest[bill.account]
            if bill is not last and last.number not in made.beside:
                continue  # the newest asks for what is open of those before it too
            bill.again, bill.pause = time.monotonic() + bill.pause, min(2 * bill.pause, _LATER)
            beside = tuple(self._ids[one] for one in made.beside if one != made.number and one in self._ids)
            commands.append(
                PayStatement(bill.id, bill.account, made.due, came[bill.id], upto, beside=beside, attempt=attempt)
            )
        return commands


def _came_in(engine: Engine, bills: list[_Bill], upto: int) -> dict[str, int]:
    """The atoms that came in on the account of each statement behind its row, in one pass."""
    came = dict.fromkeys((bill.id for bill in bills), 0)
    by_account: dict[str, list[_Bill]] = {}
    for bill in bills:
        by_account.setdefault(bill.account, []).append(bill)
    kinds = tuple(b'"kind":"%s"' % kind.encode() for kind in sorted(CAME_IN))
    first = min((bill.n for bill in bills), default=upto)
    for n, body, _ in engine.store.journal(engine.tenant, 0, first, upto):
        if not any(kind in body for kind in kinds):
            continue
        for line in body.split(b"\n"):
            if not line.startswith(b'{"type":"entry"'):
                continue
            entry = _ENTRIES.decode(line)
            for leg in entry.legs if entry.kind in CAME_IN else ():
                for bill in by_account.get(leg.account, ()):
                    if n > bill.n:
                        came[bill.id] += came_by(entry.kind, int(leg.amount.replace(".", "", 1)))
    return came


def _charge(commands: list[PayStatement], engine: Engine) -> None:
    engine.writer.commit(commands)
