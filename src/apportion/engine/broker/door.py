"""What each operation on plans does: plans are found on a thread that reads, and then put into the books."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from apportion.engine.broker.confirming import Unconfirmed, confirmed
from apportion.engine.broker.planning import found_plan
from apportion.engine.broker.replacing import replacement
from apportion.engine.broker.views import (
    PlanAnswer,
    PlanPage,
    PlansAnswer,
    PlanView,
    candidates_of,
    may_see,
    plan_line,
    view,
)
from apportion.engine.broker.words import explain_plan
from apportion.engine.cursor import Cursors
from apportion.engine.engine import Engine
from apportion.engine.exchange import PageQuery
from apportion.engine.explain import Explanation, View
from apportion.engine.sessions.verbs import accept_plan
from apportion.engine.verbs import Call
from apportion.engine.visible import Sight, nothing
from apportion.errors import Refusal, RefusalCode, Refused, refuse
from apportion.model.access import AccessRole, Credential
from apportion.model.command import Outcome
from apportion.model.plan import PlanLine, PlanMade, PlanState
from apportion.model.request import Request, Requests
from apportion.model.session_asked import ChosenInput
from apportion.model.standing import Observe, Observed

_LINE = msgspec.json.Decoder(PlanLine)
_SCAN = 10_000
_PATIENCE = 10.0  # seconds for all requests of one batch
#: what those are told that were not looked at, because others before them took so long
NOT_LOOKED_AT = Refusal(
    RefusalCode.NO_PLAN, "was not looked at: those before it took too long.", "requests", "Send it again, first."
)


def plan(engine: Engine, call: Call) -> list[object]:
    """Find a plan; it is in the books once the answer comes."""
    return [_made(engine, call.caller, call.given)]


def plan_all(engine: Engine, call: Call) -> list[object]:
    """Find a plan for each of several requests; those for which there is none are listed with the reason.

    Some requests are hard, and nodes may be asked for each: after ten seconds what is left is not looked at any more.
    """
    requests: Requests = call.given
    made: list[object] = []
    began = time.monotonic()
    for request in requests.requests:
        if made and time.monotonic() - began > _PATIENCE:
            made.append(NOT_LOOKED_AT)
            continue
        try:
            made.append(_made(engine, call.caller, request))
        except Refused as refused:
            made.append(refused.refusal)
    return made


def _made(engine: Engine, caller: Credential, request: Request) -> PlanMade:
    return found_plan(engine, request, home=home_of(caller, request), by=caller.role.value)


def home_of(caller: Credential, request: Request) -> str:
    """The home provider that a request comes through, if it does.

    Raises:
        Refused: UNKNOWN_PAYER when a user asks for what others pay; BAD_INPUT when it gives up the operator's margin.
    """
    if caller.role is not AccessRole.OPERATOR and "margin" in (request.relax or ()):
        raise refuse(
            RefusalCode.BAD_INPUT, "the margin is the operator's limit, no request's.", field="relax",
            fix="Leave it out. The service's own terms say whether it may be given up.",
        )  # fmt: skip
    if caller.role is AccessRole.USER and any(payer.payer != caller.party for payer in request.payers):
        raise refuse(
            RefusalCode.UNKNOWN_PAYER, "a user's key asks for what it pays alone.", field="payers",
            fix=f"Name {caller.party!r}, or ask the operator.",
        )  # fmt: skip
    return caller.party if caller.role is AccessRole.PROVIDER else ""


def plan_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> PlanView:
    outcome = outcomes[0]
    if outcome.refusal is not None:
        raise Refused(outcome.refusal)
    return view(engine, _written(engine, outcome), call.caller)


def plans_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> PlansAnswer:
    requests: Requests = call.given
    return PlansAnswer(
        tuple(
            PlanAnswer(refusal=outcome.refusal)
            if outcome.refusal is not None
            else PlanAnswer(view(engine, _written(engine, outcome), call.caller, whole=False, compare=asked.compare))
            for asked, outcome in zip(requests.requests, outcomes, strict=True)
        )
    )


def _written(engine: Engine, outcome: Outcome) -> PlanLine:
    """The plan as the row that answers has it, however it stands now."""
    mark = b'{"type":"plan","id":"' + outcome.id.encode() + b'"'
    for line in engine.store.row(engine.tenant, 0, outcome.n).split(b"\n"):
        if line.startswith(mark):
            return _LINE.decode(line)
    return plan_line(engine, outcome.id)


def plan_of(engine: Engine, call: Call) -> PlanView:
    """One plan as it stands.

    Raises:
        Refused: NOT_FOUND.
    """
    line = plan_line(engine, call.id)
    if not may_see(line, call.caller, frozenset(Sight(engine, call.caller).own)):
        raise nothing()
    return view(engine, line, call.caller)


def plans(engine: Engine, call: Call) -> PlanPage:
    """All that the caller may see, in the order of their ids."""
    query: PageQuery = call.query
    cursors, own = Cursors(engine), frozenset(Sight(engine, call.caller).own)
    place = cursors.read(query.after, "plans")
    after, shown, looked = f"pln_{place:016x}{'f' * 16}" if place else "pln_", list[PlanView](), 0
    for course in engine.store.all_courses(engine.tenant, after):
        if not course.id.startswith("pln_"):
            break
        if looked >= _SCAN or len(shown) == query.limit:
            return PlanPage(tuple(shown), cursors.write(int(after[4:20], 16), "plans"))
        after, looked = course.id, looked + 1
        line = _LINE.decode(course.line)
        if may_see(line, call.caller, own):
            shown.append(view(engine, line, call.caller, whole=False))
    return PlanPage(tuple(shown))


def explanation(engine: Engine, call: Call) -> Explanation:
    """Why these providers, as far as the caller may know; who may see all may ask what another would be told.

    Raises:
        Refused: NOT_FOUND, BAD_INPUT.
    """
    wanted = View.parse(call.query.view)
    if call.caller.role in (AccessRole.OPERATOR, AccessRole.AUDITOR) and wanted.kind != "operator":
        line = plan_line(engine, call.id)
        other = Credential("", call.caller.tenant, AccessRole(wanted.kind), "", "", wanted.name)
        return explain_plan(view(engine, line, other), wanted.kind)
    return explain_plan(plan_of(engine, call), call.caller.role.value)


def accept(engine: Engine, call: Call) -> list[object]:
    """Accept a scenario; providers whose signed bid is part of it confirm first that they stand by it.

    That one does not is remembered against it, as any other failure.
    """
    given: ChosenInput = call.given
    line = plan_line(engine, call.id)
    if not may_see(line, call.caller, frozenset(Sight(engine, call.caller).own)):
        raise nothing()
    if line.state is PlanState.QUOTED and engine.clock.now() < line.due:
        try:
            confirmed(engine, line, given.scenario or line.preferred, candidates_of(engine, line.id))
        except Unconfirmed as broken:
            failure = Observe(service=line.service, provider=broken.provider, observed=Observed(succeeded=False))
            return [broken.refusal, failure]
    return accept_plan(call)


def replace_crew(engine: Engine, call: Call) -> list[object]:
    """Find the next best plan for what a session still needs, and let it take over."""
    return [replacement(engine, call.id, call.given)]
