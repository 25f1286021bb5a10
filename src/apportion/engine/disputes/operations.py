"""The operations on disputes."""

from __future__ import annotations

from typing import Any

from apportion.engine.disputes import door, views
from apportion.engine.exchange import Nothing
from apportion.engine.operation import Once, Operation, Way, op
from apportion.errors import RefusalCode
from apportion.model.access import AccessRole

_O, _A, _U, _P = AccessRole.OPERATOR, AccessRole.AUDITOR, AccessRole.USER, AccessRole.PROVIDER
_C = RefusalCode
_ENDS: dict[str, Any] = {
    "way": Way.GROUP, "told": door.ended_told, "gives": door.DecisionAnswer, "once": Once.OPTIONAL,
}  # fmt: skip

DISPUTES: tuple[Operation, ...] = (
    op(
        "dispute", "POST /v1/disputes", "Dispute a charge, or one's portion of it, once per reference.", door.dispute,
        (_O, _U, _P), takes=door.DisputeInput, way=Way.GROUP, told=door.dispute_told, gives=door.DisputeAnswer,
        once=Once.OPTIONAL, status=201,
        problems=(
            _C.NOT_FOUND, _C.BAD_INPUT, _C.BAD_AMOUNT, _C.UNKNOWN_PART, _C.UNKNOWN_PROVIDER, _C.CONFLICT, _C.OVERFLOW,
        ),
        more="What would have to be given back lies in clearing until the case ends, and is paid to nobody; a user is"
        " not reminded of it. A party has one open case about a charge at a time.",
    ),
    op(
        "disputes", "GET /v1/disputes", "List disputes, of all charges or of one.", views.disputes, (_O, _A, _U, _P),
        gives=views.DisputePage, way=Way.READ, query=views.DisputeQuery, problems=(_C.BAD_INPUT,),
        more="Users and providers see those that they opened, and those that may cost them something.",
    ),
    op(
        "dispute_of", "GET /v1/disputes/{id}", "One dispute, with the evidence of both sides and that of the books.",
        views.dispute, (_O, _A, _U, _P), gives=views.DisputeView, way=Way.READ, problems=(_C.NOT_FOUND,),
        more="What the books say of the charge is shown as the caller may see it.",
    ),
    op(
        "add_evidence", "POST /v1/disputes/{id}/evidence", "Add a text to an open dispute.", door.evidence,
        (_O, _U, _P), takes=door.EvidenceInput, way=Way.GROUP, told=door.evidence_told, gives=door.EvidenceAnswer,
        once=Once.OPTIONAL, status=201, problems=(_C.NOT_FOUND, _C.BAD_INPUT, _C.CONFLICT),
        more="The words are kept beside the books, which hold their digest, and go when the person is forgotten.",
    ),
    op(
        "decide_dispute", "POST /v1/disputes/{id}/decision", "Decide a dispute: all of it, a part, or nothing.",
        door.decide, (_O,), takes=door.DecisionInput,
        problems=(_C.NOT_FOUND, _C.BAD_INPUT, _C.BAD_AMOUNT, _C.UNKNOWN_PROVIDER, _C.CONFLICT, _C.OVERFLOW), **_ENDS,
        more="What was set aside goes back, and what is granted is a charge of its own that corrects the disputed one.",
    ),
    op(
        "withdraw_dispute", "POST /v1/disputes/{id}/withdraw", "Give a dispute up.", door.withdraw, (_O, _U, _P),
        takes=Nothing, problems=(_C.NOT_FOUND, _C.CONFLICT), **_ENDS, more="Whoever opened it may.",
    ),
)  # fmt: skip
