"""The operations on requests and plans."""

from __future__ import annotations

from typing import Any

from apportion.engine.broker import door
from apportion.engine.broker.replacing import Replace
from apportion.engine.broker.views import PlanPage, PlansAnswer, PlanView
from apportion.engine.exchange import PageQuery, ViewQuery
from apportion.engine.explain import Explanation
from apportion.engine.operation import Once, Operation, Way, op
from apportion.engine.sessions import verbs as sessions
from apportion.engine.sessions.views import SessionView
from apportion.errors import RefusalCode
from apportion.model.access import AccessRole
from apportion.model.request import Request, Requests
from apportion.model.session_asked import ChosenInput

_O, _A, _U, _P = AccessRole.OPERATOR, AccessRole.AUDITOR, AccessRole.USER, AccessRole.PROVIDER
_EVERYBODY = (_O, _A, _U, _P)
_C = RefusalCode
_ASKED = (
    _C.BAD_INPUT, _C.UNKNOWN_FIELD, _C.BAD_AMOUNT, _C.BAD_QUANTITY, _C.BAD_TIME, _C.UNKNOWN_SERVICE, _C.UNKNOWN_PART,
    _C.UNKNOWN_PAYER, _C.NO_PRICE, _C.NO_PLAN, _C.DECLINED, _C.CONFLICT,
)  # fmt: skip
_PLAN: dict[str, Any] = {"way": Way.PLAN, "once": Once.OPTIONAL, "status": 201}

PLANS: tuple[Operation, ...] = (
    op(
        "plan", "POST /v1/plans", "Find the best providers for a request: three scenarios, and why these.", door.plan,
        (_O, _U, _P), takes=Request, told=door.plan_told, gives=PlanView, problems=_ASKED, **_PLAN,
        more="Nothing is held or charged by a plan; accepting a scenario opens a session at exactly its terms. A user's"
        " key asks for what it pays alone. A provider's key asks for its users, as their home provider: its own offers"
        " compete like all others. When nothing fits, the problem says what the nearest plan would need.",
    ),
    op(
        "plan_all", "POST /v1/plans/batch", "Find a plan for each of several requests.", door.plan_all, (_O, _U, _P),
        takes=Requests, told=door.plans_told, gives=PlansAnswer, problems=(_C.BAD_INPUT, _C.CONFLICT), **_PLAN,
        more="Each request gets a plan, without its candidates, or a refusal of its own. What could not be"
        " looked at within ten seconds is refused too, and may be sent again.",
    ),
    op(
        "plans", "GET /v1/plans", "List plans as they stand.", door.plans, _EVERYBODY, gives=PlanPage, way=Way.READ,
        query=PageQuery, problems=(_C.BAD_INPUT,),
        more="Users see those that they would pay for, providers those they deliver in or that came through them.",
    ),
    op(
        "plan_of", "GET /v1/plans/{id}", "One plan as it stands, with everybody who could deliver.", door.plan_of,
        _EVERYBODY, gives=PlanView, way=Way.READ, problems=(_C.NOT_FOUND,),
        more="Users see of those who were not taken the fee that was offered and the reason, providers themselves.",
    ),
    op(
        "explain_plan", "GET /v1/plans/{id}/explanation", "Why these providers, in plain words.", door.explanation,
        _EVERYBODY, gives=Explanation, way=Way.READ, query=ViewQuery, problems=(_C.NOT_FOUND, _C.BAD_INPUT),
    ),
    op(
        "accept_plan", "POST /v1/plans/{id}/accept", "Open a session at exactly the terms of a scenario.",
        door.accept, (_O, _U, _P), takes=ChosenInput, told=sessions.told, gives=SessionView, way=Way.PLAN,
        once=Once.REQUIRED, status=201,
        problems=(_C.NOT_FOUND, _C.PLAN_ENDED, _C.INSUFFICIENT_FUNDS, _C.MARGIN_GUARD, _C.BAD_INPUT, _C.CONFLICT),
        more="The preferred scenario, when none is named. Value is held and the first units are granted, as for any"
        " session. Providers whose signed bid is part of it are told first, and must confirm it.",
    ),
    op(
        "replace_crew", "POST /v1/sessions/{id}/replacement", "Let the next best crew take a running session over.",
        door.replace_crew, (_O,), takes=Replace, told=sessions.told, gives=SessionView, way=Way.PLAN,
        once=Once.OPTIONAL,
        problems=(_C.NOT_FOUND, _C.SESSION_CLOSED, _C.NO_PLAN, _C.INSUFFICIENT_FUNDS, _C.MARGIN_GUARD, _C.PLAN_ENDED,
                  _C.BAD_INPUT, _C.CONFLICT),
        more="For a session that was opened by a plan, when a provider is lost. What was used so far is charged on the"
        " old terms; the new ones are held for anew. When it is refused, the session goes on as before.",
    ),
)  # fmt: skip
