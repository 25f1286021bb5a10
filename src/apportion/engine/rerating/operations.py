"""The operation that rates again."""

from __future__ import annotations

from apportion.engine.operation import Once, Operation, Way, op
from apportion.engine.rerating import door
from apportion.errors import RefusalCode
from apportion.model.access import AccessRole

_C = RefusalCode

RERATING: tuple[Operation, ...] = (
    op(
        "rerate", "POST /v1/reratings", "Price booked charges again by a corrected catalog, a page at a time.",
        door.run, (AccessRole.OPERATOR,), takes=door.RerateInput, way=Way.ALONE, gives=door.RerateAnswer,
        once=Once.OPTIONAL, problems=(_C.NOT_FOUND, _C.BAD_TIME, _C.UNKNOWN_SERVICE, _C.BAD_INPUT),
        more="What was booked stays: what a charge differs by is a charge of its own that names it as its `origin`, and"
        " it comes on top of what was given back otherwise. Once corrected it stands right, so that asking again books"
        " nothing. A higher price is charged, whatever is left on the account, unless `only_credits` says otherwise."
        " What is left as it is, is counted with the reason: `right`, `session`, `agreed` (the price of a plan),"
        " `period` (totals of a period count in its price), `given_back`, `dearer`, `refused`."
        " Ask again with the answer's `catalog` and its `next` as `after`, until that is empty.",
    ),
)  # fmt: skip
