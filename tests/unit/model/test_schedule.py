"""Schedules: lengths of time, when a settlement is due, and what contradicts itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apportion.model.schedule import Schedule, check_schedule, slot_of, span_of


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_lengths_of_time() -> None:
    found = [span_of(text) for text in ("0s", "90s", "30m", "6h", "366d")]
    assert found == [timedelta(seconds=n) for n in (0, 90, 1800, 21_600, 31_622_400)]
    assert {span_of(text) for text in ("", "1", "d", "-1d", "1.5h", "1w", "367d", "1d ", "١d", "9999999s")} == {None}


def test_settlements_by_the_calendar_follow_the_zone_and_those_by_a_length_of_time_a_monday() -> None:
    monthly = Schedule(settle="month", settle_after="2d")
    found = slot_of(monthly, "Europe/Copenhagen", at("2026-11-02T22:59:59Z"))
    assert (found.start, found.end) == (at("2026-10-02T22:00:00Z"), at("2026-11-02T23:00:00Z")), "summer time ended"
    assert slot_of(monthly, "Europe/Copenhagen", found.end).start == found.end
    weekly = slot_of(Schedule(settle="7d", settle_after="6h"), "Europe/Copenhagen", at("2026-11-20T10:00:00Z"))
    assert (weekly.start, weekly.end) == (at("2026-11-16T06:00:00Z"), at("2026-11-23T06:00:00Z"))


@given(
    st.sampled_from(("1s", "90s", "7m", "5h", "3d", "day", "week", "month")),
    st.sampled_from(("0s", "1s", "36h", "40d")),
    st.datetimes(datetime(2001, 1, 1), datetime(2199, 1, 1)),
)
def test_every_instant_is_between_two_settlements_that_others_agree_on(every: str, after: str, naive: datetime) -> None:
    schedule, instant = Schedule(settle=every, settle_after=after), naive.replace(tzinfo=at("2026-01-01T00:00Z").tzinfo)
    slot = slot_of(schedule, "America/New_York", instant)
    assert slot.start <= instant < slot.end
    for other in (slot.start, slot.end - timedelta(microseconds=1)):
        found = slot_of(schedule, "America/New_York", other)
        assert (found.start, found.end) == (slot.start, slot.end)
    assert slot_of(schedule, "America/New_York", slot.end).start == slot.end


@pytest.mark.parametrize(
    "given, field",
    [
        ({"close": "soon"}, "close"),
        ({"close": "2d", "statements": "1d"}, "statements"),
        ({"close": "2d", "levels": "1d", "statements": "3d"}, "levels"),
        ({"levels": "2d", "statements": "1d"}, "statements"),
        ({"settle": "0s"}, "settle"),
        ({"settle": "fortnight"}, "settle"),
        ({"settle": "day", "settle_after": ""}, "settle_after"),
        ({"payout": "file"}, "payout"),
        ({"charge": ("1d", "x")}, "charge"),
        ({"charge": ("1d", "24h")}, "charge"),
        ({"charge": tuple(f"{n}d" for n in range(11))}, "charge"),
    ],
)
def test_what_contradicts_itself_is_told(given: dict[str, Any], field: str) -> None:
    assert [one[0] for one in check_schedule(Schedule(**given))] == [field]


def test_what_makes_sense_is_taken() -> None:
    assert not list(check_schedule(Schedule()))
    whole = Schedule("1d", "1d", "2d", ("0d", "3d", "7d"), "month", "3d", "multilateral", "transfer")
    assert not list(check_schedule(whole))
