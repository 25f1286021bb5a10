"""One thing asked of a session, decided on the working set: what it changes is one row of the books, or nothing."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from apportion.engine.sessions import waiting
from apportion.engine.sessions.agreed import Agreed, agreed_line, chosen, enter, lapse, leave, may_accept, tell
from apportion.engine.sessions.bill import finish, replace
from apportion.engine.sessions.change import Over, change
from apportion.engine.sessions.contract import ZERO, Quantities, read, used
from apportion.engine.sessions.grant import extend, guarded, slice_of
from apportion.engine.sessions.opening import first_line, known_units
from apportion.engine.sessions.reporting import Taken, asked_first, confirm, place_of, take
from apportion.engine.sessions.reserving import give_back, plenty
from apportion.engine.sessions.row import Row
from apportion.engine.terms import Terms
from apportion.engine.unforeseen import Unforeseen
from apportion.engine.work import Work
from apportion.errors import Refusal, RefusalCode, Refused, refuse
from apportion.model.command import Outcome
from apportion.model.ids import read_number
from apportion.model.payment import LIVE
from apportion.model.session import SessionLine, SessionState
from apportion.model.session_asked import (
    Accepted,
    Change,
    Chosen,
    Confirmed,
    Due,
    Ended,
    LapsePlan,
    Report,
    SessionAsked,
    SessionCommand,
    Units,
)
from apportion.model.usage import UsageClass
from apportion.money import Exact, Money

_LINE = msgspec.json.Decoder(SessionLine)
_SHORT = (SessionState.LOW, SessionState.GRACE, SessionState.SUSPENDED)


class SessionDecision(Unforeseen):
    """A SessionCommand on its way; ``versions`` finds the terms that a running session was agreed on."""

    def __init__(self, command: SessionCommand, terms: Terms, versions: Callable[[str], Terms]) -> None:
        self.command, self.terms, self._versions = command, terms, versions

    def people(self) -> list[str]:
        """Names of payers to look up."""
        given, names = self.command.given, [self.command.payer]
        if isinstance(given, SessionAsked):
            names += [payer.payer for payer in given.payers]
        elif isinstance(given, Change):
            names += [*given.leave, *(payer.payer for payer in given.join)]
        elif isinstance(given, Report | Accepted):
            names.append(given.payer)
        return [name for name in names if name]

    def decide(self, work: Work) -> Outcome:
        """Change the session, or say why not."""
        given = self.command.given
        row: Row | None = None
        try:
            if isinstance(given, SessionAsked):
                row = Row(work, self.terms, first_line(work, self.terms, self.command.session, given))
                return self._open(row, asked_first(row.line, given))
            if isinstance(given, LapsePlan):
                return lapse(work, given.plan)
            if isinstance(given, Chosen):
                agreed = self._agreed(work, given.plan, given.scenario)
                terms = self._terms_of(agreed.plan.catalog)
                row = Row(work, terms, agreed_line(work, terms, self.command.session, agreed))
                planned = {} if row.contract.session.slice else agreed.plan.quantities
                return self._open(row, [(0, given.requested or planned)], agreed)
            row = self._row(work)
            if isinstance(given, Report):
                return self._report(row, given)
            if isinstance(given, Due):
                return self._look(row)
            return self._other(row, given)
        except Refused as error:
            if row is not None:
                row.undo()
            if error.refusal.code is RefusalCode.COUNTER_DECREASED and row is not None:
                self._flag(work, error.refusal)
            return Outcome(UsageClass.REJECTED, self.command.session, error.refusal)

    def _row(self, work: Work) -> Row:
        """The session as it stands, if it is the caller's.

        Raises:
            Refused: NOT_FOUND.
        """
        line = work.course(self.command.session) if self.command.session.startswith("ses_") else b""
        if not line:
            raise refuse(RefusalCode.NOT_FOUND, "there is no such session.", field="id")
        session = _LINE.decode(line)
        row = Row(work, self._terms_of(session.catalog), session)
        if not self._mine(row):
            raise refuse(RefusalCode.NOT_FOUND, "there is no such session.", field="id")
        return row

    def _terms_of(self, catalog: str) -> Terms:
        return self.terms if catalog == self.terms.version else self._versions(catalog)

    def _agreed(self, work: Work, plan: str, scenario: str) -> Agreed:
        """A plan that the caller may accept.

        Raises:
            Refused: NOT_FOUND, BAD_INPUT.
        """
        agreed = chosen(work, plan, scenario)
        if not may_accept(work, agreed, self.command.provider, self.command.payer):
            raise refuse(RefusalCode.NOT_FOUND, "there is no such plan.", field="plan")
        return agreed

    def _mine(self, row: Row) -> bool:
        provider, payer = self.command.provider, self.command.payer
        if provider:
            return any(meter.provider == provider for meter in row.line.meters)
        if payer:
            return row.payer(payer) is not None
        return True

    def _flag(self, work: Work, refusal: Refusal) -> None:
        """A counter went down: the books say that it was tried."""
        row = self._row(work)
        row.line = replace(row.line, event="flagged", reason=refusal.field)
        row.write()

    # opening

    def _open(self, row: Row, asked: list[tuple[int, Units]], agreed: Agreed | None = None) -> Outcome:
        for place, requested in asked:
            self._check(row, place, requested)
            if not extend(row, place, read(requested)):
                raise refuse(
                    RefusalCode.INSUFFICIENT_FUNDS,
                    "the account does not have the value for the first units.",
                    field="payers",
                    fix="Add value to the account, or request less.",
                )
        guarded(row, row.line)
        if agreed is not None:
            row.add(*enter(row, agreed, self.terms.catalog, row.terms))
        return self._done(row, "opened")

    def _check(self, row: Row, place: int, requested: Units) -> None:
        """What is requested can be counted, and is something.

        Raises:
            Refused: UNKNOWN_FIELD, BAD_QUANTITY, BAD_INPUT.
        """
        known_units(row.contract.terms, requested, "requested.")
        if not any(read(requested).values() if requested else slice_of(row, place).values()):
            raise refuse(
                RefusalCode.BAD_INPUT,
                "asks for no units, and the service grants no slice unasked.",
                field="requested",
                fix="Say how many units are wanted next.",
            )

    # running

    def _report(self, row: Row, report: Report) -> Outcome:
        if row.line.state is SessionState.CLOSED:
            place_of(row.line, report.part, report.provider, self.command.provider)
            raise refuse(
                RefusalCode.SESSION_CLOSED,
                "the session has been closed.",
                field="id",
                fix="Send what was delivered before as a usage record; it is charged if the account has the value.",
            )
        place = place_of(row.line, report.part, report.provider, self.command.provider)
        if report.requested:
            self._check(row, place, report.requested)
        if take(row, report, self.command.provider) is Taken.SEEN:
            return Outcome(UsageClass.DUPLICATE, row.line.id)
        row.charge()
        if report.final:
            if not set(_metered(row.line)) - {place}:
                return self._close(row, "ended")
            row.line = finish(row.contract, row.line, [place])
            return self._done(row, "reported")
        return self._go_on(row, {place: report.requested})

    def _go_on(self, row: Row, asked: dict[int, Units]) -> Outcome:
        """Grant the next units of some meters, or let the session fall."""
        state = row.line.state
        short = [
            place
            for place, requested in asked.items()
            if (requested or slice_of(row, place)) and not extend(row, place, read(requested))
        ]
        dry = [place for place in short if _dry(row.line, place)]
        if not short:
            if state is SessionState.SUSPENDED or (state is SessionState.GRACE and not self._on_loan(row)):
                waiting.recover(row)
            self._low(row)
        elif dry:
            waiting.fall(row, dry)
            if row.line.state is SessionState.GRACE and self._on_loan(row):
                for place in dry:
                    extend(row, place, {})
        return self._done(row, "reported")

    def _on_loan(self, row: Row) -> bool:
        return any(
            (line := row.work.course(f"grace_{read_number(payer.account):05d}")) and row.line.id.encode() in line
            for payer in row.line.payers
        )

    def _low(self, row: Row) -> None:
        """Say once that the value will not last, with an offer; and once that it lasts again."""
        session, line = row.contract.session, row.line
        final = [place for place, meter in enumerate(line.meters) if meter.final and not meter.ended]
        least = Money.parse(session.low, row.contract.asset).atoms
        paying = [payer for payer in line.payers if payer.pays and not payer.left]
        low = bool(final) or any(row.room(payer) < least for payer in paying)
        low = low and (bool(final) or not plenty(row, _wanted(row)))
        if low and line.state is SessionState.ACTIVE:
            row.line = replace(line, state=SessionState.LOW, event="low", reason="value")
            waiting.offer_value(row, final or _metered(line))
        elif not low and line.state is SessionState.LOW:
            row.line = replace(line, state=SessionState.ACTIVE, event="resumed", reason="", offer=None)
            waiting.forget(row)

    def _other(self, row: Row, given: Confirmed | Change | Accepted | Ended) -> Outcome:
        if row.line.state is SessionState.CLOSED:
            if isinstance(given, Ended):
                return Outcome(UsageClass.DUPLICATE, row.line.id)
            raise refuse(RefusalCode.SESSION_CLOSED, "the session has been closed.", field="id", fix="Open another.")
        if isinstance(given, Ended):
            row.charge()
            return self._close(row, given.reason or "ended")
        if isinstance(given, Confirmed):
            confirm(row, given)
            row.charge()
            return self._done(row, "confirmed")
        if isinstance(given, Change):
            change(row, given, self.terms, self._over(row, given))
            self._low(row)
            return self._done(row, "altered")
        return self._accept(row, given)

    def _over(self, row: Row, given: Change) -> Over | None:
        if not given.plan:
            return None
        agreed = self._agreed(row.work, given.plan, given.scenario)
        before = chosen(row.work, row.line.plan, "") if row.line.plan else None
        return Over(agreed, self._terms_of(agreed.plan.catalog), before)

    def _accept(self, row: Row, given: Accepted) -> Outcome:
        offer = row.line.offer
        if offer is None or offer.id != given.offer:
            raise refuse(
                RefusalCode.NOT_FOUND, "this offer is not the session's live one.", field="offer",
                fix="Look at the session again.",
            )  # fmt: skip
        name = self.command.payer or given.payer
        account = row.payer(name) if name else None
        if account is None and not name:
            account = row.work.numbered(read_number(row.line.payers[0].account))
        if account is None or account.public not in [payer.account for payer in row.line.payers]:
            raise refuse(RefusalCode.UNKNOWN_PAYER, "is no payer of this session.", field="payer")
        waiting.accept(row, account, given.amount)
        return self._done(row, "accepted")

    # though nobody calls

    def _look(self, row: Row) -> Outcome:
        """The session's time has come, or value came in for it."""
        line, now = row.line, row.work.at
        if line.state is SessionState.CLOSED:
            return Outcome(None, line.id)
        late = line.state is SessionState.LOW and any(line.meters[place].until <= now for place in _metered(line))
        if line.state in _SHORT and line.reason != "silent" and not late and self._revive(row):
            return self._done(row, row.line.event)
        if line.state is SessionState.SUSPENDED:
            return self._close(row, line.reason) if line.until <= now else Outcome(None, line.id)
        if line.state is SessionState.GRACE and (line.until <= now or not self._paying(row)):
            waiting.suspend(row, "no_value")
            return self._done(row, "suspended")
        return self._silence(row)

    def _revive(self, row: Row) -> bool:
        """Try to grant again what the value did not pay for."""
        places = [p for p in _metered(row.line) if row.line.meters[p].final or _dry(row.line, p)]
        if row.line.state is SessionState.GRACE:
            waiting.repay(row)
        if not places or not all(extend(row, place, {}) for place in places):
            return False
        if row.line.state is not SessionState.LOW:
            waiting.recover(row)
        before = row.line
        self._low(row)
        return before is not row.line or row.line.event == "resumed" or bool(row.lines)

    def _paying(self, row: Row) -> bool:
        """Whether a payment is still on its way, or nothing was lent on one."""
        if not row.contract.session.grace:
            return False
        for payer in row.line.payers:
            account = row.work.numbered(read_number(payer.account))
            paid = waiting.payments.paid_of(row.work, account)
            last = waiting.payments.payment_of(row.work, paid.last) if paid is not None else None
            if last is not None and last.cause == row.line.id and last.state not in LIVE:
                return False
        return True

    def _silence(self, row: Row) -> Outcome:
        """Parts whose validity time has passed without a report stop, and end one interval later."""
        now, session = row.work.at, row.contract.session
        late = [place for place in _metered(row.line) if row.line.meters[place].until <= now]
        if not late:
            return Outcome(None, row.line.id)
        gone = [place for place in late if row.line.meters[place].silent]
        row.lines += tell(row, gone)
        line = finish(row.contract, row.line, gone)
        meters = list(line.meters)
        for place in late:
            if not meters[place].ended:
                meters[place] = replace(meters[place], silent=True, until=waiting.later(now, session.validity))
        row.line = replace(line, meters=tuple(meters))
        speaking = [m for m in meters if m.until and not m.ended and not m.silent]
        if not speaking and not any(m.until and not m.ended for m in meters):
            return self._close(row, "silent")
        if not speaking and line.state is not SessionState.SUSPENDED:
            waiting.suspend(row, "silent")
            return self._done(row, "suspended")
        return self._done(row, "silent")

    # the end of a change

    def _close(self, row: Row, reason: str) -> Outcome:
        """End the session: nothing is held any more, what rounding kept goes to the accounts."""
        for place in range(len(row.line.payers)):
            row.release(place)
        waiting.forget(row)
        meters = tuple(replace(m, until="", ended=True, final=False, silent=False) for m in row.line.meters)
        row.settle()
        give_back(row)
        leave(row)
        row.line = replace(
            row.line, meters=meters, state=SessionState.CLOSED, event="closed", reason=reason, until="", offer=None
        )
        return self._done(row, "closed")

    def _done(self, row: Row, event: str) -> Outcome:
        """Write the change; its event is the state's where that changed."""
        before, line = row.first, row.line
        if line.event == before.event and line.state is before.state:
            line = replace(line, event=event)
        elif line.state is before.state and event not in (line.event, "reported"):
            line = replace(line, event=event)
        row.line = replace(line, due=_due(line))
        n = row.write()
        state = UsageClass.CHARGED if row.charged else UsageClass.ZERO_RATED
        return Outcome(state, line.id, None, row.charged, row.below_cost, n)


def _due(line: SessionLine) -> str:
    """When somebody must look at a session though nobody calls."""
    if line.state is SessionState.CLOSED:
        return ""
    if line.state in (SessionState.GRACE, SessionState.SUSPENDED):
        return line.until
    return min((meter.until for meter in line.meters if meter.until and not meter.ended), default="")


def _metered(line: SessionLine) -> list[int]:
    """The meters that report under grants."""
    return [place for place, meter in enumerate(line.meters) if meter.until and not meter.ended]


def _wanted(row: Row) -> Quantities:
    """What is granted next if nobody asks for more or less: a slice of every measure that is under a grant."""
    slice_, meters = read(row.contract.session.slice), row.line.meters
    return {m: slice_.get(m, ZERO) for place in _metered(row.line) for m in meters[place].granted}


def _dry(line: SessionLine, place: int) -> bool:
    """Whether a meter has nothing left of its grant."""
    meter = line.meters[place]
    now = used(meter)
    return all(Exact.parse(upto) <= now.get(measure, ZERO) for measure, upto in meter.granted.items())
