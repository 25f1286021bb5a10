"""Errands to a processor besides payments: refunds that are due, and cards that a payer was asked for.

As with payments: the books say that a refund is sent before the processor hears of it; what was sent earlier is asked
for first, and sent again, under the same id, only when the processor has never heard of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.payments.cards import ASKED, SAVED
from apportion.engine.payments.cashier import AT_ONCE, Pace
from apportion.engine.payments.clearing import CARD, REFUND, read_record
from apportion.engine.payments.deeds import details_of
from apportion.model.card import CardCommand, CardLine, EndCard, EndRefund, ReceiptLine, RefundLine, SendRefund
from apportion.model.ids import read_number
from apportion.model.notice import CardKept
from apportion.model.payment import LIVE, PaymentState
from apportion.model.processor import Known, PaymentResult, RefundOrder
from apportion.money import Money
from apportion.money.asset import minor_digits
from apportion.money.exact import decimal_text
from apportion.ports import Outside, PaymentPort

Write = Callable[[CardCommand, Callable[[], None]], None]
CARD_SECONDS = 24 * 3600  # so long a payer has to give a card


class Errands:
    """The errands of one tenant. ``write`` hands a command to the writer and calls back when it is in the books."""

    def __init__(
        self,
        engine: Engine,
        port: PaymentPort,
        outside: Outside,
        write: Write,
        *,
        pace: Pace | None = None,
        alert: Callable[[str], None] = lambda refund: None,
    ) -> None:
        self._engine, self._port, self._outside, self._write = engine, port, outside, write
        self._pace, self._alert = pace or Pace(), alert
        self._busy: dict[str, float] = {}
        self._absent: dict[str, int] = {}

    def look(self) -> None:
        """Begin whatever is due; on the writer's thread, between two groups."""
        engine, now = self._engine, time.monotonic()
        self._busy = {id: until for id, until in list(self._busy.items()) if until > now}
        ids = list(self._absent)
        for kind in (REFUND, CARD):
            ids += engine.store.due_courses(engine.tenant, engine.clock.now(), AT_ONCE, kind)
        ids = [id for id in dict.fromkeys(ids) if id not in self._busy][: max(0, AT_ONCE - len(self._busy))]
        if not ids:
            return
        found = engine.store.courses(engine.tenant, ids)
        for id in ids:
            line = read_record(found[id].line) if id in found else None
            if isinstance(line, RefundLine) and line.state in LIVE:
                self._refund(line)
            elif isinstance(line, CardLine):
                self._card(line)
            self._absent.pop(id, None)

    def poke(self, id: str) -> None:
        """Ask about a refund or card now, because somebody says that there is news; on the writer's thread."""
        if id[:4] not in (REFUND, CARD) or id in self._busy:
            return
        found = self._engine.store.courses(self._engine.tenant, [id]).get(id)
        line = read_record(found.line) if found is not None else None
        if isinstance(line, CardLine) and line.state == ASKED:
            self._card(line)
        elif isinstance(line, RefundLine) and line.tries and line.state != PaymentState.FAILED.value:
            order, known = self._order(line), Known(id, line.reference, line.requested)
            self._call(line, lambda: self._port.ask_refund(order, known))

    # refunds

    def _refund(self, line: RefundLine) -> None:
        order = self._order(line)
        if line.state != PaymentState.CREATED.value and self._absent.get(line.id) != line.n:
            known = Known(line.id, line.reference, line.requested)
            self._call(line, lambda: self._port.ask_refund(order, known))
            return
        due = self._later(2 * self._pace.call)
        outcome = self._engine.writer.commit([SendRefund(line.id, line.n, due)])[0]
        if outcome.refusal is None:
            sent = msgspec.structs.replace(line, n=line.n + 1)
            self._call(sent, lambda: self._port.refund(order))

    def _order(self, line: RefundLine) -> RefundOrder:
        asset = self._engine.books.asset(line.asset.partition("/")[0])
        digits = minor_digits(asset.code) or 0
        atoms = Money.parse(line.amount, asset).atoms
        stored = self._engine.store.courses(self._engine.tenant, ["rcp" + line.payment[3:]])
        receipts = [read_record(course.line) for course in stored.values()]
        paid = next((one.reference for one in receipts if isinstance(one, ReceiptLine)), "")
        amount = decimal_text(atoms // 10 ** (asset.scale - digits), digits)
        return RefundOrder(line.id, line.payment, paid, amount, asset.code)

    def _call(self, line: RefundLine, work: Callable[[], Any]) -> None:
        self._busy[line.id] = time.monotonic() + 2 * self._pace.call

        def ended(result: Any, error: BaseException | None) -> None:
            if error is not None and not isinstance(error, Exception):
                return  # the node stops: the next one asks
            told = result if error is None else PaymentResult("unknown", reason=type(error).__name__.lower()[:40])
            if told.state == "absent":
                self._absent[line.id] = line.n
                self._busy.pop(line.id, None)
            else:
                self._end(line, told)

        self._outside.submit(work, self._pace.call, ended)

    def _end(self, line: RefundLine, result: PaymentResult) -> None:
        since = datetime.fromisoformat(self._engine.clock.now()) - datetime.fromisoformat(line.requested)
        late = not line.late and since.total_seconds() >= self._pace.late
        due = self._later(min(self._pace.first * 2 ** min(line.asked, 30), self._pace.longest))
        command = EndRefund(line.id, line.n, result.state, result.reference, result.reason, due, late)

        def done() -> None:
            self._busy.pop(line.id, None)
            if late:
                self._alert(line.id)

        self._write(command, done)

    # cards

    def _card(self, line: CardLine) -> None:
        engine = self._engine
        session = details_of(engine, line).get("session", "")
        account = engine.store.accounts(engine.tenant, [read_number(line.account)])[read_number(line.account)]
        age = datetime.fromisoformat(engine.clock.now()) - datetime.fromisoformat(line.requested)
        if not session or not account.party or age.total_seconds() > CARD_SECONDS:
            self._kept(line, CardKept("failed", reason="expired"))
            return
        self._busy[line.id] = time.monotonic() + 2 * self._pace.call

        def ended(result: Any, error: BaseException | None) -> None:
            if error is not None and not isinstance(error, Exception):
                return
            self._kept(line, result if error is None else CardKept("unknown", reason="no_answer"))

        self._outside.submit(lambda: self._port.card(session), self._pace.call, ended)

    def _kept(self, line: CardLine, kept: CardKept) -> None:
        due = self._later(min(self._pace.first * 2 ** min(line.asked, 30), 60.0, self._pace.longest))
        outcome = kept.state if kept.state in (SAVED, "failed") else "pending"
        shown = {"brand": kept.brand[:20], "last4": kept.last4[-4:], "expires": kept.expires[:7]}
        details = msgspec.json.encode(shown).decode() if outcome == SAVED else ""
        command = EndCard(line.id, line.n, outcome, kept.method, details, kept.reason, due)
        self._write(command, lambda: self._busy.pop(line.id, None))  # type: ignore[arg-type]

    def _later(self, seconds: float) -> str:
        then = datetime.fromisoformat(self._engine.clock.now()) + timedelta(seconds=seconds)
        return then.isoformat(timespec="microseconds").replace("+00:00", "Z")
