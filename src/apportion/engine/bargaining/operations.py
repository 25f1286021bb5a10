"""The operations on negotiations."""

from __future__ import annotations

from typing import Any

from apportion.engine.bargaining import negotiating as door
from apportion.engine.bargaining.views import NegotiationPage, NegotiationView
from apportion.engine.exchange import Nothing, PageQuery
from apportion.engine.operation import Operation, Way, op
from apportion.errors import RefusalCode
from apportion.model.access import AccessRole
from apportion.model.talks import AgreeAsked, CounterAsked, NegotiationAsked

_O, _A, _U, _P = AccessRole.OPERATOR, AccessRole.AUDITOR, AccessRole.USER, AccessRole.PROVIDER
_C = RefusalCode
_ASKED = (
    _C.BAD_INPUT, _C.UNKNOWN_FIELD, _C.BAD_AMOUNT, _C.BAD_QUANTITY, _C.BAD_TIME, _C.UNKNOWN_SERVICE, _C.UNKNOWN_PART,
    _C.UNKNOWN_PAYER, _C.OVERFLOW, _C.NO_PLAN, _C.DECLINED, _C.CONFLICT,
)  # fmt: skip
_MOVE: dict[str, Any] = {"way": Way.PLAN, "told": door.told, "gives": NegotiationView}
_ENDS = (_C.NOT_FOUND, _C.PLAN_ENDED, _C.CONFLICT, _C.BAD_INPUT, _C.DECLINED, _C.UNKNOWN_PART, _C.UNKNOWN_PROVIDER)

NEGOTIATIONS: tuple[Operation, ...] = (
    op(
        "negotiate", "POST /v1/negotiations", "Negotiate with the provider nodes, or let an agent do it.",
        door.negotiate, (_O, _U, _P), takes=NegotiationAsked, status=201, problems=_ASKED, **_MOVE,
        more="With a `mandate` an agent bargains with all nodes at once until it agrees, walks away, or its time is"
        " over, and the answer says how it ended; the mandate is kept nowhere and no provider learns of it. Without one"
        " the answer holds the first offers, and the negotiation stays open for `seconds`. Nodes have the request's"
        " `ask` milliseconds for each round, the service's `deadline` when that is 0. What is agreed is a plan,"
        " accepted like any other. It is not repeated by itself when an answer is lost: look at GET /v1/negotiations.",
    ),
    op(
        "counter", "POST /v1/negotiations/{id}/counter", "Send a counter-offer, and hear the new offers.",
        door.counter, (_O, _U, _P), takes=CounterAsked, problems=(*_ENDS, _C.BAD_AMOUNT, _C.BAD_TIME), **_MOVE,
        more="Nothing is bound by it. A provider honours its last offer alone: one that misses a round is out with"
        " what it offered before, one that declines still stands by it.",
    ),
    op(
        "agree", "POST /v1/negotiations/{id}/accept", "Take offers as they stand; they become a plan.", door.agree,
        (_O, _U, _P), takes=AgreeAsked, status=201, problems=(*_ENDS, _C.BAD_AMOUNT, _C.NO_PLAN), **_MOVE,
        more="Named offers must be those that were listed; of the other parts the best combination is taken. Accepting"
        " the plan opens a session at exactly these terms.",
    ),
    op(
        "walk_away", "POST /v1/negotiations/{id}/end", "Walk away; the nodes are told.", door.walk, (_O, _U, _P),
        takes=Nothing, problems=(_C.NOT_FOUND, _C.PLAN_ENDED, _C.CONFLICT, _C.DECLINED), **_MOVE,
    ),
    op(
        "negotiation", "GET /v1/negotiations/{id}", "One negotiation as it stands.", door.negotiation_of,
        (_O, _A, _U, _P), gives=NegotiationView, way=Way.READ, problems=(_C.NOT_FOUND,),
        more="Users see what they would pay, providers what came through them; bidders see nothing of one another.",
    ),
    op(
        "negotiations", "GET /v1/negotiations", "List negotiations as they stand.", door.negotiations,
        (_O, _A, _U, _P), gives=NegotiationPage, way=Way.READ, query=PageQuery, problems=(_C.BAD_INPUT,),
    ),
)  # fmt: skip
