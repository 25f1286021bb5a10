"""The postman: sends statements that wait to be sent by e-mail, and tells the books which of them were taken."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from apportion.engine.billing import find
from apportion.engine.engine import Engine
from apportion.engine.gather import Full
from apportion.engine.statements.sending import PREFIX
from apportion.engine.statements.wishes import Wishes
from apportion.engine.work import Work
from apportion.errors import NotFound, Refused, StoreUnavailable
from apportion.model.delivery import Letter, LetterLine
from apportion.model.ids import read_number
from apportion.model.statement import Document
from apportion.ports import Notifier, Outside

AT_ONCE, TRIES = 10, 24  # each try has two lines: that it is sent now, and what became of it
CALL = 30
FIRST, LONGEST = 1, 3600  # seconds before the second try, and at most
_LINE = msgspec.json.Decoder(LetterLine)
Write = Callable[[Callable[[Engine], None]], None]


class Postman:
    """Sends one tenant's statements. ``write`` hands the writer what is to be noted; it is done between two groups.

    ``compose`` writes the letter with a document, on another thread; ``alert`` is told of one that can not be sent.
    It is noted before a letter is sent, so that one node sends it; one that is killed in between has it sent again
    later, under the same ``Message-ID``.
    """

    def __init__(
        self,
        engine: Engine,
        port: Notifier,
        outside: Outside,
        write: Write,
        compose: Callable[[Document, str], Letter],
        alert: Callable[[str], None] = lambda statement: None,
    ) -> None:
        self._engine, self._port, self._outside, self._write = engine, port, outside, write
        self._compose, self._alert = compose, alert
        self._busy: set[str] = set()

    def look(self) -> None:
        """Send whatever is due; on the writer's thread, between two groups."""
        engine = self._engine
        ids = engine.store.due_courses(engine.tenant, engine.clock.now(), 2 * AT_ONCE, PREFIX)
        ids = [id for id in ids if id not in self._busy][: max(0, AT_ONCE - len(self._busy))]
        for id, course in sorted(engine.store.courses(engine.tenant, ids).items()) if ids else ():
            self._send(_LINE.decode(course.line), id)

    def _send(self, line: LetterLine, id: str) -> None:
        self._busy.add(id)
        try:
            document, address = find(self._engine, line.statement), self._address(line.account)
        except (Refused, NotFound):  # the person was forgotten, and the document with them
            self._note(line, "failed", "forgotten")
            return
        if not address:
            self._note(line, "failed", "no_address")
            return
        sent = msgspec.structs.replace(line, due=self._later(2 * CALL), n=line.n + 1, at=self._engine.clock.now())
        if not self._engine.writer.booked(lambda work: _moved(work, line, sent)):
            self._busy.discard(id)  # another node sends it
            return

        def ended(result: Any, error: BaseException | None) -> None:
            if error is not None and not isinstance(error, Exception):
                return  # the node stops: the next one sends it
            why = str(result) if error is None else type(error).__name__.lower()[:40]
            if not why:
                self._note(sent, "sent", "")
            else:
                self._note(sent, "failed" if why.startswith("5") or line.n >= TRIES else "waiting", why)

        self._outside.submit(lambda: self._port.send(lambda: self._compose(document, address)), CALL, ended)

    def _address(self, account: str) -> str:
        """Where a payer wants its statements now, by the catalog in force."""
        engine = self._engine
        number = read_number(account)
        party = engine.store.accounts(engine.tenant, [number])[number].party
        owner = engine.store.handles_of(engine.tenant, [party]).get(party, "")
        return Wishes(engine.terms().catalog, engine.tenant_name).email(owner)

    def _note(self, line: LetterLine, state: str, why: str) -> None:
        due = self._later(min(FIRST * 2 ** min(line.n // 2, 30), LONGEST)) if state == "waiting" else ""
        now = self._engine.clock.now()
        moved = msgspec.structs.replace(line, due=due, n=line.n + 1, at=now, state=state, reason=why[:80])

        def note(engine: Engine) -> None:
            engine.writer.booked(lambda work: _moved(work, line, moved))
            self._busy.discard(line.id)

        if state == "failed":
            self._alert(line.statement)
        try:
            self._write(note)
        except (Full, StoreUnavailable):  # it is not taken now: the letter stays due, and is sent again
            self._busy.discard(line.id)

    def _later(self, seconds: int) -> str:
        then = datetime.fromisoformat(self._engine.clock.now()) + timedelta(seconds=seconds)
        return then.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _moved(work: Work, before: LetterLine, moved: LetterLine) -> bool:
    """Note how a letter stands, unless another node has done so; whether that was noted."""
    found = work.course(before.id)
    fresh = bool(found) and _LINE.decode(found).n == before.n
    if fresh:
        work.append(work.move(moved))
    return fresh
