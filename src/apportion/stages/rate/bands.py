"""Bands of local time: which one an instant lies in, and how a long use is cut where they change.

The clock changes are part of the day: a day's stretches are found in UTC, so hours that the clock skips have no length
and hours that it repeats have twice theirs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from apportion.errors import RefusalCode, refuse
from apportion.model.band import OTHER, Band, band_rule
from apportion.model.calendar import day_start

LONGEST_DAYS = 3660
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_KEPT_DAYS = 4096

#: how long (microseconds) a use stays in which band, in order of time
Cut = list[tuple[str, int]]


def micros(instant: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (instant - _EPOCH) // _MICROSECOND


class Timetable:
    """The bands of a tariff in its zone; the first that matches wins, the rest of time is ``other``."""

    def __init__(self, bands: Mapping[str, Band], zone: ZoneInfo) -> None:
        self._rules = [(name, *band_rule(band)) for name, band in bands.items()]
        self._zone = zone
        self._minutes = sorted({m for _, _, times in self._rules for stretch in times for m in stretch if 0 < m < 1440})
        self._known: dict[date, tuple[list[int], list[str], int]] = {}

    def band_at(self, instant: datetime) -> str:
        """The band that an instant lies in."""
        starts, names, _ = self._stretches(self._local(instant).date())
        return names[bisect_right(starts, micros(instant)) - 1]

    def cut(self, start: datetime, end: datetime) -> Cut:
        """The time from start to end by bands, in order; one entry of one microsecond when there is none.

        Raises:
            Refused: BAD_TIME, when it ends before it starts, or lasts longer than ten years.
        """
        if end <= start:
            if end < start:
                raise refuse(RefusalCode.BAD_TIME, "the use ends before it starts.", field="end")
            return [(self.band_at(start), 1)]
        if (end - start).days > LONGEST_DAYS:
            raise refuse(RefusalCode.BAD_TIME, "a use by bands may last ten years.", field="end")
        here, last, day = micros(start), micros(end), self._local(start).date()
        pieces: Cut = []
        while here < last:
            starts, names, day_end = self._stretches(day)
            for i in range(bisect_right(starts, here) - 1, len(starts)):
                until = min(last, starts[i + 1] if i + 1 < len(starts) else day_end)
                if until <= here:
                    break
                if pieces and pieces[-1][0] == names[i]:
                    pieces[-1] = (names[i], pieces[-1][1] + until - here)
                else:
                    pieces.append((names[i], until - here))
                here = until
            day += timedelta(days=1)
        return pieces

    def ends(self, start: datetime, count: int) -> list[int]:
        """How long after ``start`` (microseconds) bands change, the first ``count`` times within a year."""
        pieces = self.cut(start, start + timedelta(days=366))
        lengths, passed = [], 0
        for _, length in pieces[:-1][:count]:
            passed += length
            lengths.append(passed)
        return lengths

    def _local(self, instant: datetime) -> datetime:
        try:
            return instant.astimezone(self._zone)
        except (OverflowError, ValueError):
            raise refuse(RefusalCode.BAD_TIME, "the time is outside the calendar.", field="start") from None

    def _stretches(self, day: date) -> tuple[list[int], list[str], int]:
        """Where bands begin on a local day, their names, and the end of the day, in microseconds UTC."""
        known = self._known.get(day)
        if known is None:
            if len(self._known) >= _KEPT_DAYS:
                self._known.clear()
            known = self._known[day] = self._find(day)
        return known

    def _find(self, day: date) -> tuple[list[int], list[str], int]:
        try:
            first, after = day_start(day, self._zone), day_start(day + timedelta(days=1), self._zone)
        except OverflowError:
            raise refuse(RefusalCode.BAD_TIME, "the time is outside the calendar.", field="start") from None
        edges = {first, *self._change(first, after)}
        for minute in self._minutes:
            for fold in (0, 1):
                local = datetime(day.year, day.month, day.day, *divmod(minute, 60), tzinfo=self._zone, fold=fold)
                edges.add(local.astimezone(UTC))
        rules = [(name, times) for name, holds, times in self._rules if holds(day)]
        starts: list[int] = []
        names: list[str] = []
        for edge in sorted(e for e in edges if first <= e < after):
            local = edge.astimezone(self._zone)
            minute = local.hour * 60 + local.minute
            name = next((n for n, times in rules if any(a <= minute < b for a, b in times)), OTHER)
            if not names or names[-1] != name:
                starts.append(micros(edge))
                names.append(name)
        return starts, names, micros(after)

    def _change(self, first: datetime, after: datetime) -> list[datetime]:
        """The instant within the day at which the clock changes, if it does."""
        low, high = 0, (after - first) // timedelta(seconds=1)
        before = first.astimezone(self._zone).utcoffset()
        if after.astimezone(self._zone).utcoffset() == before:
            return []
        while high - low > 1:
            middle = (low + high) // 2
            at = first + timedelta(seconds=middle)
            low, high = (middle, high) if at.astimezone(self._zone).utcoffset() == before else (low, middle)
        return [first + timedelta(seconds=high)]
