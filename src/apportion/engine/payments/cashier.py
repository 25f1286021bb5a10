"""The cashier: sends payments that are due, asks for the outcome of those that have none, and tells the books.

A payment is sent only after the books say so; what was sent before this node started, or by a node that is gone, is
asked for first and sent again, under the same id, only when the processor has never heard of it. The calls wait on the
outside thread; everything else happens on the writer's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.payments.decision import METHOD, minor_unit
from apportion.errors import Refused
from apportion.model.account import Account
from apportion.model.funding import FundingLine
from apportion.model.ids import number_id, read_key, read_number
from apportion.model.payment import LIVE, EndPayment, PaymentLine, PaymentState, SendPayment
from apportion.model.processor import Known, PaymentOrder, PaymentResult
from apportion.money import Money
from apportion.money.asset import minor_digits
from apportion.money.exact import decimal_text
from apportion.ports import Outside, PayoutPort

AT_ONCE = 50  # calls under way at the same time
Write = Callable[[Any, Callable[[], None]], None]


class Pace(msgspec.Struct, frozen=True):
    """Seconds: how long a call may take; from the ``first`` to the ``longest`` pause before an outcome is asked for.

    A payment that has had no outcome for ``late`` seconds is told to the operator.
    """

    call: float = 10.0
    first: float = 1.0
    longest: float = 3600.0
    late: float = 3600.0


class Cashier:
    """The payments of one tenant. ``write`` hands a command to the writer and calls back when it is in the books.

    ``alert`` is told, once per payment, of one whose outcome has not been known for long. What goes out to providers
    takes the same way: only the names differ.
    """

    prefix = "pay_"
    end: ClassVar[Callable[..., Any]] = EndPayment
    _decode = staticmethod(msgspec.json.Decoder(PaymentLine).decode)

    def __init__(
        self,
        engine: Engine,
        port: PayoutPort,
        outside: Outside,
        write: Write,
        *,
        pace: Pace | None = None,
        alert: Callable[[str], None] = lambda payment: None,
    ) -> None:
        self._engine, self._port, self._outside, self._write = engine, port, outside, write
        self._pace = pace or Pace()
        self._alert = alert
        self._busy: dict[str, float] = {}  # payments with a call under way, and when it is over at the latest
        self._absent: dict[str, int] = {}  # those that the processor has never heard of, and their line

    def look(self) -> None:
        """Begin whatever is due; on the writer's thread, between two groups."""
        engine, now = self._engine, time.monotonic()
        self._busy = {id: until for id, until in list(self._busy.items()) if until > now}
        room = AT_ONCE - len(self._busy)
        ids = engine.store.due_courses(engine.tenant, engine.clock.now(), AT_ONCE * 2, self.prefix)
        ids = [*list(self._absent), *(id for id in ids if id not in self._absent)]
        ids = [id for id in ids if id not in self._busy][: max(0, room)]
        if not ids:
            return
        found = engine.store.courses(engine.tenant, ids)
        lines = [self._decode(found[id].line) for id in ids if id in found]
        lines = [line for line in lines if line.state in LIVE]
        to_send = [line for line in lines if self._may_send(line)]
        for id in ids:
            self._absent.pop(id, None)
        self._send(to_send)
        for line in lines:
            if line not in to_send:
                self._call(line, lambda line=line: self._port.ask(_known(line)))  # type: ignore[misc]

    def poke(self, id: str) -> None:
        """Ask what became of a payment now, because somebody says that there is news; on the writer's thread."""
        found = self._engine.store.courses(self._engine.tenant, [id]).get(id) if id.startswith(self.prefix) else None
        line = self._decode(found.line) if found is not None else None
        if line is not None and line.state in LIVE and line.tries and id not in self._busy:
            self._call(line, lambda: self._port.ask(_known(line)))

    def _may_send(self, line: PaymentLine) -> bool:
        return line.state == PaymentState.CREATED.value or self._absent.get(line.id) == line.n

    def _send(self, lines: list[PaymentLine]) -> None:
        """Write down that they are sent, and only then send those that this node was the first to write down."""
        ready: list[tuple[PaymentLine, PaymentOrder]] = []
        for line in lines:
            order = self._order(line)
            if order is not None:
                ready.append((line, order))
            else:
                state = "failed" if line.state == PaymentState.CREATED.value else "unknown"
                self._end(line, PaymentResult(state, reason="no_method"))  # type: ignore[arg-type]
        if not ready:
            return
        due = self._later(2 * self._pace.call)  # the call, and the way of its outcome into the books
        outcomes = self._engine.writer.commit([self._sending(line, due) for line, _ in ready])
        for (line, order), outcome in zip(ready, outcomes, strict=True):
            if outcome.refusal is None:
                sent = msgspec.structs.replace(line, n=line.n + 1)
                self._call(sent, lambda order=order: self._port.charge(order))  # type: ignore[misc]

    def _sending(self, line: PaymentLine, due: str) -> Any:
        return SendPayment(line.id, line.n, due, self._port.name)

    def _order(self, line: PaymentLine) -> PaymentOrder | None:
        """What the processor is told; None when the payer's means of payment is gone."""
        store, tenant, number = self._engine.store, self._engine.tenant, read_number(line.account)
        account: Account = store.accounts(tenant, [number])[number]
        rows = {row.record: row.value for row in store.people(tenant, account.party) if row.field == METHOD}
        fund = number_id("fund", number)
        found = store.courses(tenant, [fund]).get(fund)
        card = msgspec.json.decode(found.line, type=FundingLine).card if found is not None else ""
        token = rows.get(read_key(line.id)) or (rows.get(read_key(card)) if card else None) or rows.get(b"")
        if not token or not isinstance(token, str):
            return None
        asset = self._engine.books.asset(line.asset.partition("/")[0])
        atoms, digits = Money.parse(line.amount, asset).atoms, minor_digits(asset.code) or 0
        amount = decimal_text(atoms // minor_unit(asset), digits)
        try:
            return PaymentOrder(line.id, amount, asset.code, token, f"value for {line.account}")
        except Refused:  # what is stored is no token
            return None

    # the outside

    def _call(self, line: PaymentLine, work: Callable[[], Any]) -> None:
        self._busy[line.id] = time.monotonic() + 2 * self._pace.call

        def ended(result: Any, error: BaseException | None) -> None:
            if error is not None and not isinstance(error, Exception):
                return  # the node stops: the next one asks
            self._told(line, result if error is None else PaymentResult("unknown", reason=_reason(error)))

        self._outside.submit(work, self._pace.call, ended)

    def _told(self, line: PaymentLine, result: PaymentResult) -> None:
        """On the outside thread: what a call came to."""
        if result.state == "absent":
            self._absent[line.id] = line.n
            self._busy.pop(line.id, None)
        else:
            self._end(line, result)

    def _end(self, line: PaymentLine, result: PaymentResult) -> None:
        late = not line.late and self._age(line) >= self._pace.late
        pause = min(self._pace.first * 2 ** min(line.asked, 30), self._pace.longest)
        if not line.late and not late:
            pause = min(pause, max(0.0, self._pace.late - self._age(line)))
        command = type(self).end(
            line.id, line.n, result.state, result.amount, result.currency, result.reference, result.reason,
            self._later(pause), late,
        )  # fmt: skip

        def done() -> None:
            self._busy.pop(line.id, None)
            stands = self._engine.store.courses(self._engine.tenant, [line.id])[line.id]
            if not line.late and self._decode(stands.line).late:
                self._alert(line.id)

        self._write(command, done)

    def _age(self, line: PaymentLine) -> float:
        now = datetime.fromisoformat(self._engine.clock.now())
        return (now - datetime.fromisoformat(line.requested)).total_seconds()

    def _later(self, seconds: float) -> str:
        then = datetime.fromisoformat(self._engine.clock.now()) + timedelta(seconds=seconds)
        return then.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _known(line: PaymentLine) -> Known:
    return Known(line.id, line.reference, line.requested)


def _reason(error: BaseException) -> str:
    return "timeout" if isinstance(error, TimeoutError) else type(error).__name__.lower()[:40]
