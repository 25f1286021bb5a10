"""Looking after credit once a second: due dates that have come, whoever calls or not."""

from __future__ import annotations

from apportion.engine.credit.line import TRAIL
from apportion.engine.engine import Engine
from apportion.model.credit import ReviewCredit
from apportion.model.ids import read_number

_LOOKS = 500


def review(engine: Engine) -> int:
    """Look at every payer whose due date has come; how many."""
    due = engine.store.due_courses(engine.tenant, engine.clock.now(), _LOOKS, TRAIL + "_")
    if due:
        engine.writer.commit([ReviewCredit(read_number(id)) for id in due])
    return len(due)
