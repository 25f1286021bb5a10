"""The operation that replays a past period under other terms."""

from __future__ import annotations

from apportion.engine.operation import Operation, Way, op
from apportion.engine.whatif import door
from apportion.errors import RefusalCode
from apportion.model.access import AccessRole
from apportion.model.whatif import WhatIf, WhatIfInput

_C = RefusalCode

WHATIF: tuple[Operation, ...] = (
    op(
        "what_if", "POST /v1/whatif", "Replay a past period under other terms, and compare; nothing is booked.",
        door.what_if, (AccessRole.OPERATOR, AccessRole.AUDITOR), takes=WhatIfInput, gives=WhatIf, way=Way.READ,
        body_max=16 << 20,
        problems=(
            _C.BAD_INPUT, _C.BAD_TIME, _C.BAD_WEIGHT, _C.CATALOG_INVALID, _C.UNKNOWN_SERVICE, _C.UNKNOWN_PART,
            _C.UNKNOWN_PROVIDER, _C.UNKNOWN_TARIFF, _C.NO_PRICE, _C.NOT_FOUND, _C.CONFLICT,
        ),
        more="A `catalog` is whole, as GET /v1/catalog gives it. With neither that nor `changes` it is a control: every"
        " difference must be zero. What could not be told anew counts as booked on both sides, and is told in `apart`."
        " One replay at a time; the larger the books, the longer it takes.",
    ),
)  # fmt: skip
