"""Service levels: ``level measure``, ``list``, ``show``, ``approve``, ``waive``, ``outage`` and ``outages``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from cyclopts import App

from apportion.faces.cli.options import ANSWER, PLACE, TABLE, Answer, Place, TableAnswer, read
from apportion.faces.cli.reach import changing, reading
from apportion.faces.tables import Table

if TYPE_CHECKING:
    from apportion.engine.levels.views import LevelView
    from apportion.faces.cli.reach import Reach
    from apportion.faces.levels import Levels

_COLUMNS = (
    "id", "period", "agreement", "payer", "provider", "uses", "target", "promised", "measured", "kept", "credit",
    "currency", "state",
)  # fmt: skip


def _levels(books: Reach) -> Levels:
    from apportion.faces.levels import Levels

    return Levels(books.ask, books.pages)


def _table(found: Sequence[LevelView]) -> Table:
    """A row for each target of each level."""
    rows = [
        (one.id, one.period, one.agreement, one.payer, one.provider, str(one.uses), target.target, target.promised,
         target.measured, "yes" if target.kept else "no", one.credit, one.currency, one.state)
        for one in sorted(found, key=lambda one: (one.period, one.agreement, one.id))
        for target in one.targets
    ]  # fmt: skip
    return Table(_COLUMNS, rows)


def measure(*, period: str = "", place: Place = PLACE, answer: TableAnswer = TABLE) -> None:
    """Measure the service levels of periods that have ended, and credit what was missed.

    Such as: apportion level measure --period 2026-11

    Each agreement is measured once for a period; run again it changes nothing. Close the period first where tariffs
    keep running totals.

    Args:
        period: A period of the payers' calendars; every one that has ended when not given.
    """
    with changing(place) as books:
        done = _levels(books).measure(period)
    if answer.give(_table(done.levels), done):
        print(f"\n{done.made} measured now." + "".join(f"\nwaits: {one}" for one in done.waiting))


def listed(
    *,
    period: str = "",
    state: Literal["", "kept", "missed", "credited", "review", "approved", "waived"] = "",
    place: Place = PLACE,
    answer: TableAnswer = TABLE,
) -> None:
    """Service levels that were measured, a line for each target.

    Args:
        period: Only those of this period.
        state: Only those kept, missed (at no cost), credited, in review, approved or waived.
    """
    with reading(place) as books:
        found = list(_levels(books).all(period, state))
    answer.give(_table(found), found)


def show(id: str, /, *, place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """One measured level in words.

    Args:
        id: The level, lvl_…
    """
    with reading(place) as books:
        found = _levels(books).one(id)
    answer.give(found, _words(found))


def approve(id: str, /, *, reason: str = "", place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """Approve a credit that waits for review: it is booked.

    Args:
        id: The level, lvl_…
        reason: Why.
    """
    with changing(place) as books:
        found = _levels(books).approve(id, reason)
    answer.give(found, _words(found))


def waive(id: str, /, *, reason: str = "", place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """Waive a credit that waits for review: nothing is booked.

    Args:
        id: The level, lvl_…
        reason: Why.
    """
    with changing(place) as books:
        found = _levels(books).waive(id, reason)
    answer.give(found, _words(found))


def outage(
    provider: str,
    start: str,
    end: str,
    /,
    *,
    service: str = "",
    reason: str = "",
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Say when a provider was down: availability is measured by it.

    Such as: apportion level outage ash 2026-11-03T10:00:00Z 2026-11-03T11:30:00Z

    Args:
        provider: Who was down.
        start: Since when.
        end: Until when; the same start again replaces what was said, its end at its start takes it back.
        service: In which service; in all when not given.
        reason: Why.
    """
    from apportion.engine.levels.door import OutageInput

    words = {"provider": provider, "start": start, "end": end, "service": service, "reason": reason}
    with changing(place) as books:
        found = _levels(books).outage(read(words, OutageInput))
    answer.give(found, f"{found.id}  {provider} was down from {found.start} until {found.end}.")


def outages(*, place: Place = PLACE, answer: TableAnswer = TABLE) -> None:
    """Outages that were reported."""
    with reading(place) as books:
        found = sorted(_levels(books).outages(), key=lambda one: one.start)
    answer.give(Table.of(found, ("id", "provider", "service", "start", "end", "by", "reason")), found)


def _words(one: LevelView) -> str:
    about = one.service + (f" ({one.part})" if one.part else "")
    said = [f"{one.id}  {one.agreement} in {one.period}: {one.provider} for {one.payer}, {about}, {one.uses} uses"]
    said += [f"  {target.in_words}{'' if target.kept else ': missed'}" for target in one.targets]
    credit = f", a credit of {one.credit} {one.currency}" if one.credit.strip("0.") else ""
    return "\n".join([*said, f"  {one.state}{credit}{f' ({one.reason})' if one.reason else ''}"])


COMMANDS: dict[str, Callable[..., Any]] = {
    "measure": measure, "list": listed, "show": show, "approve": approve, "waive": waive, "outage": outage,
    "outages": outages,
}  # fmt: skip


def commands(group: Any, default: Any) -> App:
    """``apportion level …`` for the program."""
    app = App(name="level", help="Service levels: measured, and made good.", group=group, default_parameter=default)
    for name, command in COMMANDS.items():
        app.command(command, name=name, help_format="markdown")
    return app
