"""Billing calendars: which period an instant belongs to, in the local time of the payer.

Periods run from local midnight to local midnight, so a day may have 23 or 25 hours. Nothing here reads a clock.
"""

from __future__ import annotations

import calendar as gregorian
import functools
import io
import re
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from apportion.errors import RefusalCode, refuse

_MONTH = re.compile(r"(\d{4})-(\d{2})", re.ASCII)
_WEEK = re.compile(r"(\d{4})-W(\d{2})", re.ASCII)
_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_SECOND = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)
_FIXES = {"month": "2026-11", "week": "2026-W47", "day": "2026-11-20", "custom": "2026-11-20"}
_FIXES["seconds"] = "2026-11-20T10:00:00Z"
_LONGEST = 86_400


class Calendar(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a payer is billed: ``zone`` (IANA), ``cycle``, and where a period begins.

    ``anchor_day`` is the day of the month (1–31; 31 means the last day of a shorter month) or of the week (1 Monday
    to 7 Sunday). A ``custom`` cycle lasts ``days`` days, counted from the date ``anchor``; one of ``seconds``, which is
    for trials, so many seconds, counted from the beginning of that date in UTC.
    """

    zone: str = "UTC"
    cycle: Literal["month", "week", "day", "custom", "seconds"] = "month"
    anchor_day: int = 1
    days: int = 0
    anchor: str = "2000-01-01"
    seconds: int = 0


class Period(msgspec.Struct, frozen=True):
    """One billing period: ``key`` names it, ``start`` (inclusive) and ``end`` (exclusive) are aware UTC."""

    key: str
    start: datetime
    end: datetime


@functools.lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """The IANA time zone of this name, from the pinned database and never from the machine's own.

    Raises:
        Refused: BAD_TIME, when there is none.
    """
    places = name.split("/")
    try:
        if not all(
            place.isascii() and place.replace("_", "").replace("-", "").replace("+", "").isalnum() for place in places
        ):
            raise ValueError(name)
        body = resources.files("tzdata.zoneinfo").joinpath(*places).read_bytes()
        return ZoneInfo.from_file(io.BytesIO(body), key=name)
    except (OSError, ValueError):
        raise refuse(
            RefusalCode.BAD_TIME, f"{name[:60]!r} is not a time zone.", field="zone", fix="Such as Europe/Copenhagen."
        ) from None


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """The first instant (UTC) of a local day, also where the clock skips midnight."""
    try:
        return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    except (OverflowError, ValueError):
        raise refuse(RefusalCode.BAD_TIME, f"{day} is outside the calendar.", field="start") from None


def check_calendar(calendar: Calendar) -> str:
    """What is wrong with a calendar, in words; empty when nothing is."""
    try:
        zone_of(calendar.zone)
        date.fromisoformat(calendar.anchor)
    except ValueError:
        return f"anchor {calendar.anchor!r} is not a date such as 2026-01-01."
    except Exception as error:  # zone_of's refusal, as words
        return str(error)
    limit = {"month": 31, "week": 7}.get(calendar.cycle, 1)
    if not 1 <= calendar.anchor_day <= limit:
        return f"anchor_day must be 1 to {limit} for a cycle of a {calendar.cycle}."
    if calendar.cycle == "custom" and not 1 <= calendar.days <= 3660:
        return "days must be 1 to 3660 for a custom cycle."
    if calendar.cycle == "seconds" and not 1 <= calendar.seconds <= _LONGEST:
        return f"seconds must be 1 to {_LONGEST} for a cycle of seconds."
    if calendar.cycle != "seconds" and calendar.seconds:
        return "seconds is for a cycle of seconds only."
    return "days is for a custom cycle only." if calendar.cycle != "custom" and calendar.days else ""


def _month_day(year: int, month: int, anchor_day: int) -> date:
    """The anchor day of a month, or its last day when the month is shorter."""
    return date(year, month, min(anchor_day, gregorian.monthrange(year, month)[1]))


def _next(calendar: Calendar, first: date) -> date:
    """The first day of the period after the one that begins on ``first``."""
    if calendar.cycle == "month":
        year, month = divmod(first.year * 12 + first.month, 12)
        return _month_day(year, month + 1, calendar.anchor_day)
    return first + timedelta(days={"week": 7, "day": 1}.get(calendar.cycle, calendar.days))


def _first_day(calendar: Calendar, day: date) -> date:
    """The first local day of the period that ``day`` falls into."""
    if calendar.cycle == "month":
        first = _month_day(day.year, day.month, calendar.anchor_day)
        if day >= first:
            return first
        year, month = divmod(day.year * 12 + day.month - 2, 12)
        return _month_day(year, month + 1, calendar.anchor_day)
    if calendar.cycle == "week":
        return day - timedelta(days=(day.isoweekday() - calendar.anchor_day) % 7)
    if calendar.cycle == "day":
        return day
    return day - timedelta(days=(day - date.fromisoformat(calendar.anchor)).days % calendar.days)


def _key(calendar: Calendar, first: date) -> str:
    if calendar.cycle == "month":
        return f"{first.year:04}-{first.month:02}"
    if calendar.cycle == "week":
        year, week, _ = first.isocalendar()
        return f"{year:04}-W{week:02}"
    return first.isoformat()


@functools.lru_cache(maxsize=4096)
def _period(calendar: Calendar, first: date) -> Period:
    zone = zone_of(calendar.zone)
    return Period(_key(calendar, first), day_start(first, zone), day_start(_next(calendar, first), zone))


@functools.lru_cache(maxsize=65536)
def _period_of_day(calendar: Calendar, day: date) -> Period:
    return _period(calendar, _first_day(calendar, day))


def _short_period(calendar: Calendar, instant: datetime) -> Period:
    """The period of some seconds that an instant falls into."""
    anchor, length = datetime.fromisoformat(calendar.anchor).replace(tzinfo=UTC), timedelta(seconds=calendar.seconds)
    start = anchor + (instant - anchor) // length * length
    return Period(start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), start, start + length)


def period_of(calendar: Calendar, instant: datetime) -> Period:
    """The billing period that an instant (aware) falls into.

    Raises:
        Refused: BAD_TIME, when the instant has no zone or lies at the edge of the calendar.
    """
    if instant.tzinfo is None:
        raise refuse(RefusalCode.BAD_TIME, "the instant has no time zone.", field="start", fix="Write it with Z.")
    try:
        if calendar.cycle == "seconds":
            return _short_period(calendar, instant.astimezone(UTC))
        return _period_of_day(calendar, instant.astimezone(zone_of(calendar.zone)).date())
    except (OverflowError, ValueError):
        raise refuse(RefusalCode.BAD_TIME, "the instant is outside the calendar.", field="start") from None


def period_named(calendar: Calendar, name: str) -> Period:
    """The period of a name: ``2026-11`` (the month it begins in), ``2026-W47`` (ISO week), or its first day (second).

    Raises:
        Refused: BAD_TIME, when the name does not fit the cycle or no period has it.
    """
    wrong = refuse(
        RefusalCode.BAD_TIME,
        f"{name[:40]!r} does not name a period of this calendar.",
        field="period",
        fix=f"Such as {_FIXES[calendar.cycle]}.",
    )
    try:
        if calendar.cycle == "seconds" and _SECOND.fullmatch(name):
            if (found := _short_period(calendar, datetime.fromisoformat(name))).key != name:
                raise wrong
            return found
        if calendar.cycle == "month" and (match := _MONTH.fullmatch(name)):
            first = _month_day(int(match[1]), int(match[2]), calendar.anchor_day)
        elif calendar.cycle == "week" and (match := _WEEK.fullmatch(name)):
            first = date.fromisocalendar(int(match[1]), int(match[2]), calendar.anchor_day)
        elif calendar.cycle in ("day", "custom") and _DAY.fullmatch(name):
            first = date.fromisoformat(name)
        else:
            raise wrong
        if _first_day(calendar, first) != first:
            raise wrong
        return _period(calendar, first)
    except (ValueError, OverflowError):
        raise wrong from None


__all__ = ["Calendar", "Period", "check_calendar", "day_start", "period_named", "period_of", "zone_of"]
