"""The operation on a provider's own records."""

from __future__ import annotations

from apportion.engine.operation import Operation, Way, op
from apportion.engine.reconciling import door
from apportion.errors import RefusalCode
from apportion.model.access import AccessRole
from apportion.model.reconciliation import Reconciliation

_C = RefusalCode

RECONCILING: tuple[Operation, ...] = (
    op(
        "reconcile", "POST /v1/reconciliations",
        "Hold a provider's own records or invoice against our meter and the ledger.", door.run,
        (AccessRole.OPERATOR, AccessRole.AUDITOR, AccessRole.PROVIDER), takes=door.ReconcileInput, way=Way.READ,
        gives=Reconciliation, body_max=16 << 20,
        problems=(
            _C.NOT_FOUND, _C.BAD_INPUT, _C.UNKNOWN_FIELD, _C.BAD_TIME, _C.BAD_QUANTITY, _C.UNKNOWN_PROVIDER,
        ),
        more="Every row is matched, different, missing or extra, with both sides as evidence, and a dispute that can be"
        f" opened as it is where they ask for more. Nothing is booked or kept. At most {door.ROWS_MAX:,} rows; one that"
        " can not be read is listed, and the others go on. A provider sees its own portions alone.",
    ),
)  # fmt: skip
