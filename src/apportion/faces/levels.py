"""Service levels at a node: the verbs of ``client.levels``.

done = client.levels.measure("2026-11")
print([level.state for level in done.levels])
client.levels.approve(done.levels[0].id)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from apportion.engine.levels.door import DecideInput, MeasureAnswer, MeasureInput, OutageInput
from apportion.engine.levels.views import LevelView, OutageView


class Levels:
    """Service levels that were measured, and what came of them, as the client's key sees them."""

    def __init__(self, ask: Callable[..., Any], pages: Callable[..., Iterator[Any]]) -> None:
        self._ask, self._pages = ask, pages

    def measure(self, period: str = "", *, idempotency_key: str = "") -> MeasureAnswer:
        """Measure the levels of a period, or of all that have ended; again, it changes nothing.

        Raises:
            Refused: BAD_TIME; PERIOD_OPEN before its end, or before running totals of it are closed.
        """
        return self._ask("measure_levels", given=MeasureInput(period), key=idempotency_key)

    def all(self, period: str = "", state: str = "") -> Iterator[LevelView]:
        """Measured levels, in the order of their ids; of one period or state if they are named."""
        return self._pages("levels", period=period, state=state)

    def one(self, level: str) -> LevelView:
        """One measured level.

        Raises:
            Refused: NOT_FOUND.
        """
        return self._ask("level", level)

    def approve(self, level: str, reason: str = "", *, idempotency_key: str = "") -> LevelView:
        """Book the credit of a level in review.

        Raises:
            Refused: NOT_FOUND; CONFLICT when it does not wait.
        """
        return self._ask("approve_level", level, given=DecideInput(reason), key=idempotency_key)

    def waive(self, level: str, reason: str = "", *, idempotency_key: str = "") -> LevelView:
        """Book nothing for a level in review.

        Raises:
            Refused: as ``approve``.
        """
        return self._ask("waive_level", level, given=DecideInput(reason), key=idempotency_key)

    def outage(self, given: OutageInput, *, idempotency_key: str = "") -> OutageView:
        """Say when a provider was down.

        Raises:
            Refused: BAD_TIME, UNKNOWN_PROVIDER, UNKNOWN_SERVICE, NOT_FOUND, CONFLICT.
        """
        return self._ask("report_outage", given=given, key=idempotency_key)

    def outages(self) -> Iterator[OutageView]:
        """Outages, in the order of their ids."""
        return self._pages("outages")
