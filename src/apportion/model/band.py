"""Bands: named parts of local time, as a price list writes them, and the dates from which prices hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import msgspec

from apportion.model.calendar import day_start

#: the band of all time that no band of the tariff names
OTHER = "other"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Minutes = tuple[tuple[int, int], ...]
#: whether a day belongs to a band, and the minutes of such days
Rule = tuple[Callable[[date], bool], Minutes]


class Band(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A named part of local time; every list that is not empty must match.

    ``times`` ``"08:00-20:00"`` (end exclusive, may run over midnight, ``24:00`` allowed); ``days`` ``"mon"``,
    ``"mon-fri"``; ``seasons`` ``"11-01..03-31"`` (month-day, both inclusive, may run over new year); ``dates``
    ``"2026-12-24"`` or ``"2026-12-24..2026-12-26"`` (both inclusive).
    """

    times: tuple[str, ...] = ()
    days: tuple[str, ...] = ()
    seasons: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()


def instant_of(text: str, zone: ZoneInfo) -> datetime:
    """A validity date, local time or RFC 3339 instant as UTC; ValueError when it is none of these."""
    if len(text) == 10:
        return day_start(date.fromisoformat(text), zone)
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)


def _minute(text: str) -> int:
    hour, _, minute = text.partition(":")
    if not (len(hour) == len(minute) == 2 and (hour + minute).isascii() and (hour + minute).isdigit()):
        raise ValueError(f"{text!r} is not a time of day such as 08:00")
    value = int(hour) * 60 + int(minute)
    if int(minute) > 59 or value > 1440:
        raise ValueError(f"{text!r} is not a time of day such as 08:00")
    return value


def _times(band: Band) -> Minutes:
    """The band's minutes of the day as stretches that do not wrap; no times mean the whole day."""
    stretches: list[tuple[int, int]] = []
    for text in band.times:
        start, dash, end = text.partition("-")
        first, last = _minute(start), _minute(end) if dash else -1
        if first == last or not dash:
            raise ValueError(f"{text!r} is not a stretch such as 08:00-20:00")
        stretches += [(first, last)] if first < last else [(first, 1440), (0, last)]
    return tuple(stretches) or ((0, 1440),)


def _days(band: Band) -> frozenset[int]:
    """Numbers of the days of the week, Monday 0; ``fri-mon`` runs over the weekend."""
    chosen: set[int] = set()
    for text in band.days:
        first, dash, last = text.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ValueError(f"{text!r} is not a day such as mon or mon-fri")
        start = DAYS.index(first)
        chosen |= {(start + i) % 7 for i in range((DAYS.index(last or first) - start) % 7 + 1)}
    return frozenset(chosen)


def _seasons(band: Band) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    found = []
    for text in band.seasons:
        first, dots, last = text.partition("..")
        ends = [date.fromisoformat(f"2000-{part}") for part in (first, last if dots else first)]
        found.append(((ends[0].month, ends[0].day), (ends[1].month, ends[1].day)))
    return found


def _dates(band: Band) -> list[tuple[date, date]]:
    found = []
    for text in band.dates:
        first, dots, last = text.partition("..")
        start, end = date.fromisoformat(first), date.fromisoformat(last if dots else first)
        if end < start:
            raise ValueError(f"{text!r} ends before it begins")
        found.append((start, end))
    return found


def band_rule(band: Band) -> Rule:
    """A band as a test of the day and stretches of minutes; ValueError says what can not be read."""
    days, seasons, dates = _days(band), _seasons(band), _dates(band)

    def holds(day: date) -> bool:
        if days and day.weekday() not in days:
            return False
        if dates and not any(start <= day <= end for start, end in dates):
            return False
        here = (day.month, day.day)
        return not seasons or any(
            (first <= here <= last) if first <= last else (here >= first or here <= last) for first, last in seasons
        )

    return holds, _times(band)
