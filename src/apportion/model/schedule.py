"""The schedule: what the nodes of a tenant do by themselves, and when.

It stands in the catalog, so that all nodes of a store work by the same one, and the books say since when.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal

import msgspec

from apportion.model.calendar import Calendar, Period, period_of

_TIME = re.compile(r"([0-9]{1,6})(s|m|h|d)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST, _CHARGES = 366 * 86_400, 10
#: what one may settle by besides a length of time
CYCLES: dict[str, Literal["month", "week", "day"]] = {"day": "day", "week": "week", "month": "month"}
#: settlements by a length of time are counted from a Monday
_MONDAY = datetime(2000, 1, 3, tzinfo=UTC)


class Schedule(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What ``serve`` does by itself. Lengths of time are text such as ``2s``, ``30m``, ``6h`` or ``3d``; "" is never.

    ``close``, ``levels`` (service levels are measured) and ``statements`` count from the end of a payer's period.
    ``charge``: so long after its issue, each time, a statement that is open is charged to the payer's saved card.
    ``settle`` is how often providers are settled with, in ``mode``: each ``day``, ``week`` or ``month`` of the
    catalog's zone, ``settle_after`` it began, or each such length of time. ``payout`` orders what a settlement leaves
    to be paid, by a file for the bank or by transfers.
    """

    close: str = ""
    levels: str = ""
    statements: str = ""
    charge: tuple[str, ...] = ()
    settle: str = ""
    settle_after: str = "0s"
    mode: Literal["gross", "net", "multilateral"] = "net"
    payout: Literal["", "file", "transfer"] = ""


def span_of(text: str) -> timedelta | None:
    """A length of time; None when the text is none, or longer than a year."""
    match = _TIME.fullmatch(text)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else _LONGEST + 1
    return timedelta(seconds=seconds) if seconds <= _LONGEST else None


def lasting(text: str) -> timedelta:
    """A length of time that was checked."""
    span = span_of(text)
    assert span is not None, "check_schedule comes first"
    return span


def slot_of(schedule: Schedule, zone: str, instant: datetime) -> Period:
    """The time between two settlements that an instant falls into: one is due at its ``start``, and one at its end."""
    after = lasting(schedule.settle_after)
    if schedule.settle in CYCLES:
        slot = period_of(Calendar(zone=zone, cycle=CYCLES[schedule.settle]), instant - after)
        return Period(slot.key, slot.start + after, slot.end + after)
    every = lasting(schedule.settle)
    start = _MONDAY + after + (instant - after - _MONDAY) // every * every
    return Period("", start, start + every)


def check_schedule(schedule: Schedule) -> Iterator[tuple[str, str, str]]:
    """Everything that contradicts itself: the field, what is wrong, how to mend it."""
    spans: dict[str, timedelta] = {}
    for field in ("close", "levels", "statements", "settle_after"):
        text = getattr(schedule, field)
        span = span_of(text)
        if span is not None:
            spans[field] = span
        elif text or field == "settle_after":
            yield field, f"{text[:40]!r} is no length of time.", "Such as 2s, 30m, 6h or 3d; a year at most."
    for early, late in pairwise([field for field in ("close", "levels", "statements") if field in spans]):
        if spans[late] < spans[early]:
            yield late, f"comes before {early}.", f"Let it come at least {getattr(schedule, early)} after the end."
    yield from _charges(schedule)
    every = span_of(schedule.settle)
    if schedule.settle and schedule.settle not in CYCLES and not every:
        yield "settle", f"{schedule.settle[:40]!r} is no length of time.", "Such as month, week, day, 7d or 1s."
    if schedule.payout and not schedule.settle:
        yield "payout", "there is nothing to pay out.", 'Add settle, such as settle = "month".'


def _charges(schedule: Schedule) -> Iterator[tuple[str, str, str]]:
    spans = [span_of(text) for text in schedule.charge]
    known = [span for span in spans if span is not None]
    if len(known) < len(spans):
        yield "charge", "holds what is no length of time.", 'Such as charge = ["0d", "3d", "7d"].'
    elif any(late <= early for early, late in pairwise(known)) or len(known) > _CHARGES:
        yield "charge", "must rise, and have 10 times at most.", 'Such as charge = ["0d", "3d", "7d"].'


__all__ = ["CYCLES", "Schedule", "check_schedule", "lasting", "slot_of", "span_of"]
