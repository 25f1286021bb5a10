"""The operation on the schedule."""

from __future__ import annotations

from apportion.engine.operation import Operation, Way, op
from apportion.engine.scheduling.standing import ScheduleView, schedule
from apportion.model.access import AccessRole

SCHEDULE: tuple[Operation, ...] = (
    op(
        "schedule", "GET /v1/schedule", "What nodes do by themselves: when each job last ran, and when it is due next.",
        schedule, (AccessRole.OPERATOR, AccessRole.AUDITOR), gives=ScheduleView, way=Way.READ,
        more="The times are those of the catalog's `schedule`; what was done is read from the books.",
    ),
)  # fmt: skip
