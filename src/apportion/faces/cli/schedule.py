"""``schedule``: what nodes do by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apportion.faces.cli.options import PLACE, TABLE, BadUsage, Place, TableAnswer
from apportion.faces.cli.reach import reading
from apportion.faces.tables import Table

if TYPE_CHECKING:
    from apportion.engine.scheduling.standing import ScheduleView


def schedule(*, now: bool = False, place: Place = PLACE, answer: TableAnswer = TABLE) -> None:
    """What nodes do by themselves: when each job last ran, and when it is due next.

    Such as: apportion schedule --store http://127.0.0.1:8080

    The schedule stands in the catalog; `apportion serve` keeps it. What was done is read from the books.

    Args:
        now: Do what is due before, where no node has the books; such as each hour, if there is no node.
    """
    if now:
        _do(place)
    with reading(place) as books:
        found: ScheduleView = books.ask("schedule")
    columns = ("job", "state", "last", "since", "next", "how", "waits")
    rows = [(one.job, one.state, one.last, one.since, one.next, one.how, "; ".join(one.waits)) for one in found.jobs]
    answer.give(Table(columns, rows), found)


def _do(place: Place) -> None:
    """Do what is due, here."""
    from apportion.engine.scheduling.running import Running

    if place.remote:
        raise BadUsage("A node keeps its schedule by itself. Leave out --now.")
    broken: list[BaseException] = []
    with place.change() as engine:
        Running(crash=lambda job, error: broken.append(error)).run(engine)
    if broken:
        raise broken[0]
