"""The operations on corrections."""

from __future__ import annotations

from typing import Any

from apportion.engine.correcting import door
from apportion.engine.exchange import ChargeView
from apportion.engine.operation import Once, Operation, Way, op
from apportion.errors import RefusalCode
from apportion.model.access import AccessRole

_O, _A, _U, _P = AccessRole.OPERATOR, AccessRole.AUDITOR, AccessRole.USER, AccessRole.PROVIDER
_C = RefusalCode
_BOOKED: dict[str, Any] = {
    "way": Way.GROUP, "told": door.told, "gives": ChargeView, "once": Once.OPTIONAL, "status": 201,
}  # fmt: skip
_WRONG = (_C.NOT_FOUND, _C.BAD_INPUT, _C.BAD_AMOUNT, _C.UNKNOWN_PROVIDER, _C.CONFLICT, _C.OVERFLOW)

CORRECTIONS: tuple[Operation, ...] = (
    op(
        "correct", "POST /v1/charges/{id}/corrections", "Give back a charge or a part of it, once per reference.",
        door.give, (_O,), takes=door.CorrectionInput, problems=(*_WRONG, _C.UNKNOWN_PAYER), **_BOOKED,
        more="What was booked stays; the answer is a charge of its own that names it as its `origin`. Payers get it"
        " where it was drawn from; everybody gives back what it earned of it. Never more than stands.",
    ),
    op(
        "resplit", "POST /v1/charges/{id}/resplits", "Share a charge's fee anew, once per reference.", door.share,
        (_O,), takes=door.ResplitInput, problems=_WRONG, **_BOOKED,
        more="What payers bear does not change. Nobody gives more than it earns of the charge.",
    ),
    op(
        "standing", "GET /v1/charges/{id}/standing", "A charge as it stands with all that corrected it.",
        door.standing, (_O, _A, _U, _P), gives=door.StandingView, way=Way.READ, problems=(_C.NOT_FOUND,),
    ),
)  # fmt: skip
