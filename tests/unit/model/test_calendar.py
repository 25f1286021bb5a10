"""Billing periods: month ends, weeks, custom cycles, and days of 23 and 25 hours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apportion.errors import Refused
from apportion.model.calendar import Calendar, check_calendar, day_start, period_named, period_of, zone_of

COPENHAGEN = "Europe/Copenhagen"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("instant", "key", "start", "end"),
    [
        ("2026-01-30T12:00:00Z", "2025-12", "2025-12-31", "2026-01-31"),
        ("2026-01-31T12:00:00Z", "2026-01", "2026-01-31", "2026-02-28"),
        ("2026-02-28T12:00:00Z", "2026-02", "2026-02-28", "2026-03-31"),
        ("2028-02-29T12:00:00Z", "2028-02", "2028-02-29", "2028-03-31"),
        ("2026-04-29T12:00:00Z", "2026-03", "2026-03-31", "2026-04-30"),
        ("2026-12-31T12:00:00Z", "2026-12", "2026-12-31", "2027-01-31"),
    ],
)
def test_anchor_31_is_the_last_day_of_a_short_month(instant: str, key: str, start: str, end: str) -> None:
    period = period_of(Calendar(anchor_day=31), at(instant))
    assert (period.key, period.start.date().isoformat(), period.end.date().isoformat()) == (key, start, end)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (COPENHAGEN, "2026-03-29", 23),
        (COPENHAGEN, "2026-10-25", 25),
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("America/New_York", "2026-11-02", 24),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
    ],
)
def test_days_have_the_hours_of_the_clock(zone: str, day: str, hours: float) -> None:
    period = period_named(Calendar(zone, "day"), day)
    assert period.end - period.start == timedelta(hours=hours)
    assert period_of(Calendar(zone, "day"), period.end - timedelta(microseconds=1)) == period
    assert period_of(Calendar(zone, "day"), period.end).key > day


def test_a_day_whose_midnight_the_clock_skips_begins_at_one() -> None:
    start = day_start(date(2025, 9, 7), zone_of("America/Santiago"))
    assert start == datetime(2025, 9, 7, 4, tzinfo=UTC)
    assert start.astimezone(zone_of("America/Santiago")).hour == 1


def test_weeks_are_named_by_iso() -> None:
    period = period_named(Calendar(COPENHAGEN, "week"), "2026-W01")
    assert (period.start, period.end) == (at("2025-12-29T00:00:00+01:00"), at("2026-01-05T00:00:00+01:00"))
    sunday = period_of(Calendar("UTC", "week", anchor_day=7), at("2026-11-20T00:00:00Z"))
    assert sunday.start.date() == date(2026, 11, 15)
    assert period_named(Calendar("UTC", "week", anchor_day=7), sunday.key) == sunday


def test_custom_cycles_count_from_their_anchor() -> None:
    fortnight = Calendar("UTC", "custom", days=14, anchor="2026-01-05")
    assert period_of(fortnight, at("2026-01-18T23:59:59Z")).key == "2026-01-05"
    assert period_of(fortnight, at("2026-01-19T00:00:00Z")).key == "2026-01-19"
    assert period_of(fortnight, at("2026-01-04T00:00:00Z")).key == "2025-12-22"
    with pytest.raises(Refused):
        period_named(fortnight, "2026-01-06")


def test_cycles_of_seconds_are_for_trials() -> None:
    short = Calendar(cycle="seconds", seconds=2, anchor="2026-01-01")
    period = period_of(short, at("2026-11-20T10:00:05.999999+01:00"))
    assert (period.key, period.end) == ("2026-11-20T09:00:04Z", at("2026-11-20T09:00:06Z"))
    assert period_named(short, period.key) == period and not check_calendar(short)
    assert period_of(short, at("2025-12-31T23:59:59Z")).key == "2025-12-31T23:59:58Z"
    for name in ("2026-11-20T09:00:05Z", "2026-11", "2026-11-20T09:00:04", "2026-11-20T25:00:04Z", "x"):
        with pytest.raises(Refused):
            period_named(short, name)


@pytest.mark.parametrize("name", ["", "2026", "2026-13", "2026-1", "2026-W47", "2026-11-20", "x" * 500, "２０２６-11"])
def test_names_of_no_month_are_refused(name: str) -> None:
    with pytest.raises(Refused) as error:
        period_named(Calendar(), name)
    assert error.value.refusal.field == "period"


def test_instants_without_zone_or_at_the_end_of_time_are_refused() -> None:
    for instant in (datetime(2026, 1, 1), datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)):
        with pytest.raises(Refused):
            period_of(Calendar(COPENHAGEN), instant)


def test_calendars_that_say_nonsense_are_told() -> None:
    wrong = [
        Calendar("Mars/Olympus"),
        Calendar("../../etc/passwd"),
        Calendar(anchor_day=32),
        Calendar(cycle="week", anchor_day=8),
        Calendar(cycle="custom"),
        Calendar(days=5),
        Calendar(cycle="custom", days=5, anchor="soon"),
        Calendar(cycle="seconds"),
        Calendar(cycle="seconds", seconds=86_401),
        Calendar(seconds=1),
    ]
    assert all(check_calendar(calendar) for calendar in wrong)
    assert check_calendar(Calendar(COPENHAGEN, anchor_day=31)) == ""


CALENDARS = st.one_of(
    st.builds(Calendar, zone=st.sampled_from(["UTC", COPENHAGEN, "America/New_York"]), anchor_day=st.integers(1, 31)),
    st.builds(Calendar, zone=st.just(COPENHAGEN), cycle=st.just("week"), anchor_day=st.integers(1, 7)),
    st.builds(Calendar, zone=st.just("America/New_York"), cycle=st.just("custom"), days=st.integers(1, 400)),
)


@given(CALENDARS, st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_periods_tile_time(calendar: Calendar, instant: datetime) -> None:
    period = period_of(calendar, instant)
    assert period.start <= instant < period.end
    assert period_of(calendar, period.end).start == period.end
    assert period_named(calendar, period.key) == period
