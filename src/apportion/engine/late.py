"""Late usage: of a period that is closed for its payer, or older than its service takes.

What was billed is never changed. Late usage is charged all the same: it counts in the payer's first period that is not
closed, and the next statement shows it. Its time stays its own, and with it bands, days and prices.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from apportion.engine.terms import Terms
from apportion.engine.work import Work
from apportion.errors import Refusal, RefusalCode
from apportion.model.calendar import period_of
from apportion.model.usage import Usage

_DAY = timedelta(days=1)
_LONGEST = 3661  # days of a custom cycle, and one for the zone


def open_period(work: Work, terms: Terms, usage: Usage, account: int) -> str:
    """The first period of the payer's ``account`` that is not closed, from that of the use to the present one.

    Empty when all of them are closed: such usage waits until the next period begins.
    """
    calendar, now = terms.calendar(usage.payers[0].payer), datetime.fromisoformat(work.at)
    span = period_of(calendar, usage.start)
    while (span.key, account) in work.closed:
        if span.end > now:
            return ""
        span = period_of(calendar, span.end)
    return span.key


def too_late(work: Work, usage: Usage, days: int) -> Refusal | None:
    """Why a service that takes usage for so many days after it ended takes this no more; None when it does."""
    ended = usage.end or usage.start
    if datetime.fromisoformat(work.at) - ended <= days * _DAY:
        return None
    return Refusal(
        RefusalCode.BAD_TIME,
        f"it is too late: {usage.service!r} takes usage for {days} days after it.",
        "end" if usage.end else "start",
        "Agree on it with the operator, who can raise late_days in the catalog.",
    )


def possible_periods(key: str, start: datetime) -> Iterator[str]:
    """Periods that a use may belong to in any zone and by any anchor, of the cycle that ``key`` is a period of.

    One that is named by its first day may be of any length.
    """
    last = start.astimezone(UTC).date() + _DAY
    back, before = 32 if len(key) == 7 else 9 if "W" in key else _LONGEST, ""
    for ago in range(min(back, last.toordinal() - 1) + 1):
        day = last - ago * _DAY
        name = _week(day) if "W" in key else day.isoformat()[: len(key)]
        if name != before:
            yield name
        before = name


def period_before(key: str) -> str:
    """The month or week before one; empty where only a calendar knows."""
    if len(key) == 7:
        return (date.fromisoformat(f"{key}-01") - _DAY).isoformat()[:7]
    return _week(date.fromisocalendar(int(key[:4]), int(key[6:]), 1) - _DAY) if "W" in key else ""


def _week(day: date) -> str:
    year, week, _ = day.isocalendar()
    return f"{year:04}-W{week:02}"
