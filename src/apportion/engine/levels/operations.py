"""The operations on service levels and outages."""

from __future__ import annotations

from typing import Any

from apportion.engine.exchange import PageQuery
from apportion.engine.levels import door, views
from apportion.engine.operation import Once, Operation, Way, op
from apportion.errors import RefusalCode
from apportion.model.access import AccessRole

_O, _A, _P, _U = AccessRole.OPERATOR, AccessRole.AUDITOR, AccessRole.PROVIDER, AccessRole.USER
_C = RefusalCode
_DECIDES: dict[str, Any] = {
    "way": Way.GROUP, "takes": door.DecideInput, "told": door.level_told, "gives": views.LevelView,
    "once": Once.OPTIONAL, "problems": (_C.NOT_FOUND, _C.CONFLICT, _C.OVERFLOW),
}  # fmt: skip

LEVELS: tuple[Operation, ...] = (
    op(
        "measure_levels", "POST /v1/levels", "Measure the service levels of periods that have ended.", door.run, (_O,),
        takes=door.MeasureInput, way=Way.ALONE, gives=door.MeasureAnswer, once=Once.OPTIONAL,
        problems=(_C.BAD_TIME, _C.PERIOD_OPEN, _C.OVERFLOW),
        more="Each agreement on levels is measured once for each period of its payer in which something was used. A"
        " missed target becomes a credit to the payer, debited to the provider, or waits for review. Again, it changes"
        " nothing; what comes later is not measured any more. A period with running totals must be closed first.",
    ),
    op(
        "levels", "GET /v1/levels", "List measured service levels, in the order of their ids.", views.levels,
        (_O, _A, _P, _U), gives=views.LevelPage, way=Way.READ, query=views.LevelQuery, problems=(_C.BAD_INPUT,),
        more="Users and providers see those of their own agreements.",
    ),
    op(
        "level", "GET /v1/levels/{id}", "One measured service level.", views.level, (_O, _A, _P, _U),
        gives=views.LevelView, way=Way.READ, problems=(_C.NOT_FOUND,),
    ),
    op(
        "approve_level", "POST /v1/levels/{id}/approve", "Approve a credit that waits for review: it is booked.",
        door.approve, (_O,), **_DECIDES,
    ),
    op(
        "waive_level", "POST /v1/levels/{id}/waive", "Waive a credit that waits for review: nothing is booked.",
        door.waive, (_O,), **_DECIDES,
    ),
    op(
        "report_outage", "POST /v1/outages", "Say when a provider was down.", door.report, (_O, _P),
        takes=door.OutageInput, way=Way.GROUP, told=door.report_told, gives=views.OutageView, once=Once.OPTIONAL,
        status=201, problems=(_C.BAD_TIME, _C.UNKNOWN_PROVIDER, _C.UNKNOWN_SERVICE, _C.NOT_FOUND, _C.CONFLICT),
        more="Availability is measured by it. The same start again replaces what was said; an end at the start takes"
        " it back. A provider may report its own, and make it longer.",
    ),
    op(
        "outages", "GET /v1/outages", "List outages, in the order of their ids.", views.outages, (_O, _A, _P),
        gives=views.OutagePage, way=Way.READ, query=PageQuery, problems=(_C.BAD_INPUT,),
        more="Providers see their own.",
    ),
)  # fmt: skip
