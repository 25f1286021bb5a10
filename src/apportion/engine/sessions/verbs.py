"""What each operation on sessions does: commands for the writer's next group, and reads."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import partial

import msgspec

from apportion.engine.cursor import Cursors
from apportion.engine.engine import Engine
from apportion.engine.exchange import PageQuery
from apportion.engine.sessions.views import (
    ReportAnswer,
    ReportsAnswer,
    SessionPage,
    SessionView,
    may_see,
    session_line,
    view,
)
from apportion.engine.sessions.waiters import calm, waiting_on
from apportion.engine.verbs import Call
from apportion.engine.visible import Sight, nothing
from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.access import AccessRole
from apportion.model.command import Outcome
from apportion.model.ids import key_id
from apportion.model.plan import PLAN
from apportion.model.session import SessionLine
from apportion.model.session_asked import (
    Accepted,
    Change,
    Chosen,
    ChosenInput,
    Confirmed,
    Due,
    Ended,
    LapsePlan,
    Report,
    SessionAsked,
    SessionCommand,
)
from apportion.model.talks import NEGOTIATION, LapseNegotiation
from apportion.model.usage import UsageClass

_LINE = msgspec.json.Decoder(SessionLine)
_PAGE, _PLANS = 500, 5000


def open_session(call: Call) -> list[object]:
    given: SessionAsked = call.given
    caller = call.caller
    if caller.role is AccessRole.USER and any(payer.payer != caller.party for payer in given.payers):
        raise refuse(
            RefusalCode.UNKNOWN_PAYER, "a user's key opens sessions that it pays alone.", field="payers",
            fix=f"Name {caller.party!r}, or ask the operator.",
        )  # fmt: skip
    if caller.role is AccessRole.PROVIDER and all(part.provider != caller.party for part in given.parts):
        raise refuse(
            RefusalCode.UNKNOWN_PROVIDER, "a provider's key opens sessions in which it delivers a part.", field="parts",
            fix=f"Name {caller.party!r} for one of the parts.",
        )  # fmt: skip
    return [SessionCommand(key_id("ses", secrets.token_bytes(16)), given)]


def accept_plan(call: Call) -> list[object]:
    given: ChosenInput = call.given
    return [_of(call, Chosen(call.id, given.scenario, given.requested), key_id("ses", secrets.token_bytes(16)))]


def report(call: Call) -> list[object]:
    return [_of(call, one) for one in call.given.reports]


def alter(call: Call) -> list[object]:
    return [_of(call, call.given)]


def _of(
    call: Call, given: Chosen | Report | Change | Confirmed | Accepted | Ended | Due, session: str = ""
) -> SessionCommand:
    caller = call.caller
    provider = caller.party if caller.role is AccessRole.PROVIDER else ""
    return SessionCommand(session or call.id, given, provider, caller.party if caller.role is AccessRole.USER else "")


def told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> SessionView:
    """The session as the one command left it; its refusal is raised."""
    if outcomes[0].refusal is not None:
        raise Refused(outcomes[0].refusal)
    return _view(engine, call, _line(engine, outcomes[0]))


def reports_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> ReportsAnswer:
    """Each report's answer, and the session after the last of them."""
    answers = []
    for outcome in outcomes:
        if outcome.refusal is not None and outcome.refusal.code is RefusalCode.NOT_FOUND:
            raise Refused(outcome.refusal)
        answers.append(ReportAnswer(outcome.state or UsageClass.ZERO_RATED, outcome.refusal))
    made = [outcome for outcome in outcomes if outcome.refusal is None] or [Outcome(None, call.id)]
    return ReportsAnswer(tuple(answers), _view(engine, call, _line(engine, made[-1])))


def _line(engine: Engine, outcome: Outcome) -> SessionLine:
    """The session as it stood in the row that answers; as it stands now, when nothing was changed."""
    mark = b'{"type":"session","id":"' + outcome.id.encode() + b'"'
    if outcome.n:
        for line in engine.store.row(engine.tenant, 0, outcome.n).split(b"\n"):
            if line.startswith(mark):
                return _LINE.decode(line)
    return session_line(engine.store, engine.tenant, outcome.id)


def _view(engine: Engine, call: Call, line: SessionLine) -> SessionView:
    own = frozenset(Sight(engine, call.caller).own)
    return view(line, engine.version(line.catalog), call.caller, own)


def session(engine: Engine, call: Call) -> SessionView:
    line = session_line(engine.store, engine.tenant, call.id)
    if not may_see(line, call.caller, frozenset(Sight(engine, call.caller).own)):
        raise nothing()
    return _view(engine, call, line)


def sessions(engine: Engine, call: Call) -> SessionPage:
    """All that the caller may see, in the order of their ids."""
    query: PageQuery = call.query
    sight, cursors = Sight(engine, call.caller), Cursors(engine)
    own = frozenset(sight.own)
    place = cursors.read(query.after, "sessions")
    after, shown, looked = f"ses_{place:016x}{'f' * 16}" if place else "ses_", list[SessionView](), 0
    for course in engine.store.all_courses(engine.tenant, after):
        if not course.id.startswith("ses_") or looked >= 20 * _PAGE or len(shown) == query.limit:
            more = course.id.startswith("ses_")
            return SessionPage(tuple(shown), cursors.write(int(after[4:20], 16), "sessions") if more else "")
        after, looked = course.id, looked + 1
        line = _LINE.decode(course.line)
        if may_see(line, call.caller, own):
            shown.append(view(line, engine.version(line.catalog), call.caller, own))
    return SessionPage(tuple(shown))


def look_after(engine: Engine) -> int:
    """Sessions whose time has come, and those for which value came in; how many were looked at."""
    now, looked = engine.clock.now(), 0
    for id in engine.store.due_courses(engine.tenant, now, _PAGE, "wait_"):
        line = engine.store.courses(engine.tenant, [id])[id].line
        names = waiting_on(line).sessions
        engine.writer.salvage([SessionCommand(name, Due()) for name in names])
        engine.writer.booked(partial(calm, id))
        looked += len(names)
    lapsed = engine.store.due_courses(engine.tenant, now, _PLANS, PLAN)
    if lapsed:
        engine.writer.salvage([SessionCommand("", LapsePlan(id)) for id in lapsed])
    over = engine.store.due_courses(engine.tenant, now, _PLANS, NEGOTIATION)
    if over:
        engine.writer.salvage([LapseNegotiation(id) for id in over])
    due = engine.store.due_courses(engine.tenant, now, _PAGE, "ses_")
    if due:
        engine.writer.salvage([SessionCommand(name, Due()) for name in due])
    return looked + len(due)
