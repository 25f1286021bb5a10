"""How far the telling has come: waits that double up to a day, and an end after three days or at 410."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from apportion.engine.events.outbox import LONGEST, Told, after, later, seconds_until
from apportion.model.webhook import Progress

NOW = "2026-11-20T08:00:00.000000Z"


def test_what_is_accepted_moves_the_place_and_forgets_the_failures() -> None:
    failing = Progress(7, "evt_a", NOW, NOW, 3, "answered 500", later(NOW, 9), resumed=2)
    done = after(failing, Told(9, "evt_b", 204), later(NOW, 60), 500)
    assert done == Progress(9, "evt_b", later(NOW, 60), resumed=2)


@pytest.mark.parametrize("status, note", [(0, "no answer"), (500, "answered 500"), (302, "answered 302")])
def test_everything_else_is_a_failure(status: int, note: str) -> None:
    failed = after(Progress(7), Told(9, "evt_b", status), NOW, 500, 4)
    assert (failed.place, failed.failures, failed.failing, failed.note) == (7, 1, NOW, note)
    assert failed.next == later(NOW, 4) and not failed.disabled


def test_waits_double_up_to_a_day_with_a_spread_and_end_after_three() -> None:
    progress, now, waits = Progress(7), NOW, []
    while not progress.disabled:
        progress = after(progress, Told(9, "evt_b", 503), now, 500, 5)
        if not progress.disabled:
            waits.append(seconds_until(progress.next, now))
            now = progress.next
    assert waits[:5] == [5, 10, 20, 40, 80] and max(waits) <= LONGEST
    lasted = datetime.fromisoformat(progress.disabled) - datetime.fromisoformat(progress.failing)
    assert timedelta(days=3) <= lasted < timedelta(days=5)
    assert progress.place == 7 and "3 days" in progress.note and not progress.next
    first = [seconds_until(after(Progress(7), Told(9, "e", 0), NOW, spread, 80).next, NOW) for spread in (0, 500, 999)]
    assert first == [70, 80, 90]


def test_gone_is_gone() -> None:
    gone = after(Progress(7), Told(9, "evt_b", 410), NOW, 500)
    assert gone.disabled == NOW and "gone" in gone.note


def test_a_wait_is_never_cut_short() -> None:
    assert seconds_until("", NOW) == seconds_until(NOW, later(NOW, 5)) == 0
    assert seconds_until(later(NOW, 0, 1), NOW) == 1
