"""What callers ask of service levels: measure a period, approve or waive a credit, report an outage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from apportion.engine.engine import Engine
from apportion.engine.exchange import Input, Instant, Name, Text
from apportion.engine.levels.measuring import measure
from apportion.engine.levels.views import LevelView, OutageView, Showing, find_level, find_outage
from apportion.engine.verbs import Call
from apportion.engine.visible import nothing
from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.access import AccessRole
from apportion.model.command import Outcome
from apportion.model.level import DecideLevel, ReportOutage


class MeasureInput(Input, frozen=True):
    """Measure the levels of a ``period`` of the payers' calendars; of every period that has ended, when empty."""

    period: Annotated[str, Meta(max_length=40)] = ""


class MeasureAnswer(msgspec.Struct, frozen=True):
    """The levels of the period (those made now, when none was named), how many were ``made``, what waits and why."""

    levels: tuple[LevelView, ...]
    made: int
    waiting: tuple[str, ...] = ()


class DecideInput(Input, frozen=True):
    """Why it is approved or waived."""

    reason: Text = ""


class OutageInput(Input, frozen=True):
    """A provider was down from ``start`` until ``end`` (RFC 3339), in one ``service`` or, when empty, in all."""

    provider: Name
    start: Instant
    end: Instant
    service: Text = ""
    reason: Text = ""


def run(engine: Engine, call: Call) -> MeasureAnswer:
    """Measure what has ended."""
    given: MeasureInput = call.given
    done = measure(engine, given.period)
    showing = Showing(engine, call)
    return MeasureAnswer(tuple(showing.level(line) for line in done.levels), done.made, done.waiting)


def approve(call: Call) -> list[object]:
    """Approve a credit that waits."""
    given: DecideInput = call.given
    return [DecideLevel(id=call.id, approve=True, reason=given.reason)]


def waive(call: Call) -> list[object]:
    """Waive a credit that waits."""
    given: DecideInput = call.given
    return [DecideLevel(id=call.id, approve=False, reason=given.reason)]


def level_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> LevelView:
    """The level, which was decided for ever."""
    return Showing(engine, call).level(find_level(engine, _done(outcomes)))


def report(call: Call) -> list[object]:
    """Report an outage; a provider its own.

    Raises:
        Refused: BAD_TIME; NOT_FOUND for another provider's.
    """
    given: OutageInput = call.given
    by = call.caller.party if call.caller.role is AccessRole.PROVIDER else ""
    if by and given.provider != by:
        raise nothing()
    start, end = _instant("start", given.start), _instant("end", given.end)
    if end < start:
        raise refuse(RefusalCode.BAD_TIME, "does not lie after the start.", field="end", fix="Correct the instants.")
    return [ReportOutage(provider=given.provider, start=start, end=end, service=given.service, by=by,
                         reason=given.reason)]  # fmt: skip


def report_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> OutageView:
    """The outage as it stands."""
    return Showing(engine, call).outage(find_outage(engine, _done(outcomes)))


def _done(outcomes: Sequence[Outcome]) -> str:
    if outcomes[0].refusal is not None:
        raise Refused(outcomes[0].refusal)
    return outcomes[0].id


def _instant(field: str, text: str) -> str:
    """An instant in the one form in which instants are compared."""
    try:
        when = datetime.fromisoformat(text)
        if when.tzinfo is not None and 1970 <= when.year < 9000:
            return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except ValueError:
        pass
    raise refuse(RefusalCode.BAD_TIME, "is not an instant.", field=field, fix="Such as 2026-11-20T18:00:00Z.")
