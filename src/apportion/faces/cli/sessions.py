"""Charging sessions: ``session open``, ``report``, ``change``, ``end``, ``show``, ``watch`` and what else they need."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from apportion.faces.cli.options import ANSWER, PLACE, TABLE, Answer, BadUsage, Place, TableAnswer, Words, read
from apportion.faces.cli.reach import changing, reading
from apportion.faces.tables import Table, json_text, trimmed

if TYPE_CHECKING:
    from apportion.engine.sessions.views import PartView, ReportAnswer, SessionView

_LOOK_SECONDS = 0.5
_CLOSED = "closed"
Pairs = Annotated[tuple[str, ...], Parameter(negative=())]


def open(
    service: str,
    /,
    *payers: str,
    part: Pairs = (),
    request: Pairs = (),
    attribute: Pairs = (),
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Open a charging session: value is held, the first units are granted.

    Such as: apportion session open call ada --request seconds=60

    Args:
        service: The service, as the catalog names it; it says there how it runs as a session.
        payers: Who pays: names, with fixed shares as ada=2 ben=1.
        part: Who delivers a part, as PART=PROVIDER; the service's own providers when not given. May be repeated.
        request: Units wanted at first, as MEASURE=QUANTITY; the service's slice when not given. May be repeated.
        attribute: What else decides on the price, as NAME=VALUE. May be repeated.
    """
    from apportion.model.session_asked import SessionAsked

    if not payers:
        raise BadUsage("Name who pays, after the service. See apportion session open --help.")
    asked = {
        "service": service,
        "payers": [dict(zip(("payer", "weight"), _split(one), strict=False)) for one in payers],
        "parts": [{"part": name, "provider": provider} for name, provider in _pairs(part, "part").items()],
        "requested": _pairs(request, "request"),
        "attributes": _pairs(attribute, "attribute"),
    }
    with changing(place) as books:
        found = books.sessions.open(read(asked, SessionAsked))
    answer.give(found, _text(found))


def begin(
    plan: str,
    /,
    *,
    scenario: str = "",
    request: Pairs = (),
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Begin a session by a plan, at exactly its terms: the providers of one scenario, at the prices that it names.

    Such as: apportion session begin pln_4cn2… --scenario best-quality

    Args:
        plan: The plan, which must not be too old.
        scenario: lowest-cost, best-quality or best-value; the preferred one when not given.
        request: Units wanted at first, as MEASURE=QUANTITY; may be repeated.
    """
    with changing(place) as books:
        found = books.plans.accept(plan, scenario, _pairs(request, "request"))
    answer.give(found, _text(found))


def report(
    id: str,
    /,
    *used: Words,
    part: str = "",
    provider: str = "",
    request: Pairs = (),
    number: int = 0,
    at: str = "",
    payer: str = "",
    final: bool = False,
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> int:
    """Report what was used so far: counters since the session began, which never go down.

    Such as: apportion session report ses_4cn2… seconds=42

    It is charged, and more is granted while there is value. Exit code 1 when the report was refused.

    Args:
        id: The session.
        used: What was used until now, as MEASURE=QUANTITY.
        part: The part that it was used of; the whole service when not given.
        provider: Who delivered it, when the part was handed from one provider to another.
        request: Units wanted next, as MEASURE=QUANTITY; may be repeated.
        number: The number of this report of the part, so that one sent twice counts once; the next when not given.
        at: When the counters were read, such as 2026-11-16T08:05:00Z; now when not given.
        payer: Whose units they are, where payers share by cost.
        final: The part needs no more.
    """
    from apportion.model.session_asked import Report

    counters = {
        "used": _pairs(used, "used"), "part": part, "provider": provider, "requested": _pairs(request, "request"),
        "at": at, "payer": payer, "final": final,
    }  # fmt: skip
    with changing(place) as books:
        if not number:
            parts = books.sessions.get(id).parts
            number = 1 + max((one.number for one in parts if one.part == part), default=0)
        found = books.sessions.report(id, [read(counters | {"number": number}, Report)])
    said = found.reports[0]
    answer.give(found, f"{_said(said)}\n{_text(found.session)}")
    return 1 if said.refusal is not None else 0


def change(
    id: str,
    /,
    *,
    part: Pairs = (),
    attribute: Pairs = (),
    reprice: bool = False,
    join: Pairs = (),
    leave: Pairs = (),
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Change a session while it runs, all at once or not at all.

    Such as: apportion session change ses_4cn2… --part bridge=other --join ben

    What was used so far is charged on the old terms. What the payers could not fund changes nothing.

    Args:
        id: The session.
        part: Who delivers a part from now on, as PART=PROVIDER. May be repeated.
        attribute: What decides on the price and changes, as NAME=VALUE. May be repeated.
        reprice: Take the catalog now in force.
        join: A payer who joins, with a fixed share as ben=1. May be repeated.
        leave: A payer who leaves. May be repeated.
    """
    from apportion.model.session_asked import Change

    asked = {
        "providers": _pairs(part, "part"),
        "attributes": _pairs(attribute, "attribute"),
        "reprice": reprice,
        "join": [dict(zip(("payer", "weight"), _split(one), strict=False)) for one in join],
        "leave": leave,
    }
    with changing(place) as books:
        found = books.sessions.change(id, read(asked, Change))
    answer.give(found, _text(found))


def replace(id: str, /, *lost: str, ask: int = 0, place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """Let the next best providers take a session over that was begun by a plan, when one of them is lost.

    Such as: apportion session replace ses_4cn2… north

    What was used so far is charged on the old terms. Without a plan that fits, nothing changes.

    Args:
        id: The session.
        lost: The providers that deliver no more.
        ask: How many milliseconds provider nodes have to answer; the standing offers only when not given.
    """
    from apportion.engine.broker.replacing import Replace

    if not lost:
        raise BadUsage("Name the providers that are lost, after the session. See apportion session replace --help.")
    with changing(place) as books:
        if ask:
            books.ask_providers(private=False)
        found = books.plans.replace(id, read({"lost": lost, "ask": ask}, Replace))
    answer.give(found, _text(found))


def confirm(
    id: str,
    /,
    *used: Words,
    part: str = "",
    provider: str = "",
    place: Place = PLACE,
    answer: Answer = ANSWER,
) -> None:
    """Confirm what a part still delivered before it fell silent, within its last grant.

    Such as: apportion session confirm ses_4cn2… seconds=90

    Args:
        id: The session.
        used: What was used until then, as MEASURE=QUANTITY.
        part: The part that fell silent; the whole service when not given.
        provider: Who delivered it, when the part was handed from one provider to another.
    """
    from apportion.model.session_asked import Confirmed

    asked = {"used": _pairs(used, "used"), "part": part, "provider": provider}
    with changing(place) as books:
        found = books.sessions.confirm(id, read(asked, Confirmed))
    answer.give(found, _text(found))


def accept(id: str, /, *, amount: str = "", payer: str = "", place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """Accept the offer of a session that is short of value: it is fetched by the payer's means of payment, once.

    Args:
        id: The session.
        amount: How much; what the offer needs when not given.
        payer: Who pays; the session's first payer when not given.
    """
    from apportion.errors import RefusalCode, refuse
    from apportion.model.session_asked import Accepted

    with changing(place) as books:
        offer = books.sessions.get(id).offer
        if offer is None:
            raise refuse(RefusalCode.NOT_FOUND, "the session has no offer now.", field="offer", fix="It needs none.")
        found = books.sessions.accept(id, Accepted(offer.id, amount, payer))
    answer.give(found, _text(found))


def end(id: str, /, *, reason: str = "ended", place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """End a session; what is held and not charged goes back.

    Such as: apportion session end ses_4cn2… --reason "the caller hung up"

    Args:
        id: The session; what was used up to now is reported before.
        reason: Why, in a few words.
    """
    with changing(place) as books:
        found = books.sessions.end(id, reason)
    answer.give(found, _text(found))


def show(id: str, /, *, place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """A session as it stands: what was used, what is granted, what it cost.

    Args:
        id: The session.
    """
    with reading(place) as books:
        found = books.sessions.get(id)
    answer.give(found, _text(found))


def listed(*, state: str = "", place: Place = PLACE, answer: TableAnswer = TABLE) -> None:
    """Sessions as they stand.

    Args:
        state: Only those that are active, low, grace, suspended or closed.
    """
    with reading(place) as books:
        found = [one for one in books.sessions.list() if state in ("", one.state.value)]
    columns = ("id", "service", "state", "charged", "currency", "at", "reason")
    rows = [(o.id, o.service, o.state.value, o.charged, o.currency, o.at, o.reason) for o in found]
    answer.give(Table(columns, rows), found)


def watch(id: str, /, *, seconds: int = 0, place: Place = PLACE, answer: Answer = ANSWER) -> None:
    """Follow a session: a line whenever it changes, until it is closed. JSON is a line a change.

    Args:
        id: The session.
        seconds: For how long at most; until it is closed when not given.
    """
    begun = time.monotonic()
    known = 0
    with reading(place) as books:
        while True:
            found = books.sessions.get(id)
            if found.n != known:
                known = found.n
                print(json_text(found) if answer.json else _line(found), flush=True)
            if found.state.value == _CLOSED or (seconds and time.monotonic() - begun > seconds):
                return
            time.sleep(_LOOK_SECONDS)


COMMANDS: tuple[Callable[..., Any], ...] = (
    open, begin, report, change, replace, confirm, accept, end, show, listed, watch,
)  # fmt: skip


def commands(group: Any, default_parameter: Parameter | None) -> App:
    """``apportion session …`` for the program."""
    app = App(
        name="session",
        help="Charging sessions: a service that runs against a balance.",
        group=group,
        default_parameter=default_parameter,
    )
    for command in COMMANDS:
        app.command(command, name="list" if command is listed else command.__name__, help_format="markdown")
    return app


def _split(word: str) -> list[str]:
    name, mark, value = word.partition("=")
    return [name, value] if mark else [name]


def _pairs(words: tuple[str, ...], name: str) -> dict[str, str]:
    """NAME=VALUE words as a table."""
    found: dict[str, str] = {}
    for word in words:
        key, mark, value = word.partition("=")
        if not mark or not key or key in found:
            raise BadUsage(f"{name}: write NAME=VALUE, each name once, not {word[:40]!r}.")
        found[key] = value
    return found


def _said(one: ReportAnswer) -> str:
    return one.refusal.sentence() if one.refusal is not None else f"The report is {one.state.value}."


def _line(found: SessionView) -> str:
    """A session on one line."""
    reason = f" ({found.reason})" if found.reason else ""
    used = ", ".join(f"{part.part or found.service} {_units(part.used)}" for part in found.parts if part.used)
    return f"{found.at}  {found.event}{reason}, {found.state.value}: {_charged(found)}{'; ' if used else ''}{used}"


def _charged(found: SessionView) -> str:
    return f"{trimmed([found.charged])[0]} {found.currency} charged" if found.charged else "charged to others"


def _text(found: SessionView) -> str:
    """A session as a person reads it."""
    reason = f" ({found.reason})" if found.reason else ""
    lines = [f"{found.id}: {found.service}, {found.state.value}{reason}. {_charged(found)} in {found.slices} slices."]
    for part in found.parts:
        lines.append("  " + _part(found.service, part))
    if found.offer is not None:
        offer = found.offer
        lines.append(f"To go on, top up {offer.needed} {offer.currency}, at least {offer.least}, until {offer.until}.")
    if found.final is not None:
        where = found.final.redirect or ", ".join(found.final.restrict)
        lines.append(f"After the last units: {found.final.action}{' to ' + where if where else ''}.")
    return "\n".join(lines)


def _part(service: str, part: PartView) -> str:
    name = f"{part.part} by {part.provider}" if part.part else f"the whole {service}"
    told = [f"{name}: {_units(part.used) or 'nothing'} used"]
    if part.granted:
        told.append(f"granted up to {_units(part.granted)}{', the last' if part.final else ''}")
    if part.until and not part.ended:
        told.append(f"report until {part.until}")
    if part.lost:
        told.append(f"{_units(part.lost)} beyond the grant")
    if part.earned:
        told.append(f"{trimmed([part.earned])[0]} earned")
    told += [word for word, is_so in (("silent", part.silent), ("ended", part.ended)) if is_so]
    return "; ".join(told)


def _units(quantities: dict[str, str]) -> str:
    return ", ".join(f"{quantity} {measure}" for measure, quantity in quantities.items())
