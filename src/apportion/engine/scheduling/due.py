"""What of a job is due, and when calendars next reach the end of a period."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from apportion.engine.engine import Engine
from apportion.model.calendar import Calendar, Period, period_of
from apportion.model.catalog import Catalog

#: work for the writer alone, between two groups
Act = Callable[[Engine], Any]
Stop = Callable[[], bool]


class Found(msgspec.Struct, frozen=True):
    """What is due of a ``job``: acts for the writer, one after another; since ``mark``, when it has turns."""

    job: str
    acts: tuple[Act, ...]
    mark: datetime | None = None


def calendars_of(catalog: Catalog) -> frozenset[Calendar]:
    """Every calendar that somebody is billed by; providers by months of the catalog's zone."""
    unknown = catalog.unknown_payers
    more = (Calendar(zone=catalog.zone), unknown.calendar if unknown is not None else Calendar())
    return frozenset((*(payer.calendar for payer in catalog.payers.values()), *more))


def turn_of(calendars: Iterable[Calendar], now: datetime, lag: timedelta) -> Period:
    """The time between two ends of periods, of whichever calendar, each ``lag`` later."""
    spans = [period_of(calendar, now - lag) for calendar in calendars]
    return Period("", max(span.start for span in spans) + lag, min(span.end for span in spans) + lag)
