"""A report taken in: counters that never go down, each report once, what was used beyond a grant set apart."""

from __future__ import annotations

import enum

from apportion.engine.sessions.bill import advance, replace
from apportion.engine.sessions.contract import ZERO, minus, parsed, read, used, written
from apportion.engine.sessions.opening import read_instant
from apportion.engine.sessions.row import Row
from apportion.errors import RefusalCode, refuse
from apportion.model.session import Meter, SessionLine
from apportion.model.session_asked import Confirmed, Report, SessionAsked, Units
from apportion.money import Exact


class Taken(enum.Enum):
    """What became of a report: ``new`` counters, or nothing because it was ``seen``."""

    NEW = "new"
    SEEN = "seen"


def place_of(line: SessionLine, part: str, provider: str, speaker: str = "") -> int:
    """Where the meter of a part stands, the living one before those that ended; ``speaker`` may report its own alone.

    Raises:
        Refused: UNKNOWN_PART.
    """
    found = [
        (meter.ended, place)
        for place, meter in enumerate(line.meters)
        if meter.part == part and provider in ("", meter.provider) and speaker in ("", meter.provider)
    ]
    if not found:
        raise refuse(
            RefusalCode.UNKNOWN_PART,
            f"nobody delivers {part or 'the whole'!r} in this session under this name.",
            field="part",
            fix="Name a part of the session, and its provider.",
        )
    return min(found)[1]


def asked_first(line: SessionLine, given: SessionAsked) -> list[tuple[int, Units]]:
    """What is requested as a session opens, by meter.

    Raises:
        Refused: UNKNOWN_PART.
    """
    whole = bool(given.requested) or not any(part.requested for part in given.parts)
    parts = [(place_of(line, p.part, p.provider), p.requested) for p in given.parts if p.requested]
    return [(0, given.requested), *parts] if whole else parts


def take(row: Row, report: Report, speaker: str = "") -> Taken:
    """Bring a session's counters to those of a report.

    Raises:
        Refused: COUNTER_DECREASED, CONFLICT, BAD_TIME, UNKNOWN_PART, BAD_QUANTITY; nothing has changed.
    """
    place = place_of(row.line, report.part, report.provider, speaker)
    meter, counters = row.line.meters[place], _counters(row, report.used)
    before = used(meter)
    if report.number <= meter.number:
        same = all(units <= before.get(measure, ZERO) for measure, units in counters.items())
        if same and (report.number < meter.number or {**before, **counters} == before):
            return Taken.SEEN
        raise refuse(
            RefusalCode.CONFLICT, "a report of this number was taken with other counters.", field="number",
            fix="Number each report of a part one above the last.",
        )  # fmt: skip
    if meter.ended:
        raise refuse(
            RefusalCode.SESSION_CLOSED,
            "this part has ended.",
            field="part",
            fix="Send what it delivered before as a usage record.",
        )
    for measure, units in counters.items():
        if units < before.get(measure, ZERO):
            raise refuse(
                RefusalCode.COUNTER_DECREASED,
                f"{measure} was {meter.used[measure]} before; counters never go down.",
                field=f"used.{measure}",
                fix="Report all that was used since the part began.",
            )
    until = read_instant(report.at, "at", row.work.at, row.line.through)
    _move(row, place, counters, until)
    meters = list(row.line.meters)
    meters[place] = replace(meters[place], number=report.number, silent=False)
    row.line = replace(row.line, meters=tuple(meters))
    if report.payer:
        _credit_use(row, report.payer, minus(counters, before))
    return Taken.NEW


def confirm(row: Row, given: Confirmed) -> None:
    """What the receiver of a silent part confirms: of measures that are time, and within the grant.

    Raises:
        Refused: BAD_INPUT when the part is not silent; BAD_QUANTITY beyond the grant.
    """
    place = place_of(row.line, given.part, given.provider)
    meter, counters = row.line.meters[place], _counters(row, given.used)
    if not meter.silent:
        raise refuse(RefusalCode.BAD_INPUT, "the part has not fallen silent.", field="part", fix="Let it report.")
    upto = read(meter.granted)
    for measure, units in counters.items():
        if measure not in row.contract.session.receipt:
            raise refuse(
                RefusalCode.BAD_INPUT, f"{measure} is charged as it was reported alone.", field=f"used.{measure}"
            )
        if not used(meter).get(measure, ZERO) <= units <= upto.get(measure, ZERO):
            raise refuse(
                RefusalCode.BAD_QUANTITY,
                f"at most {meter.granted.get(measure, '0')} was granted.",
                field=f"used.{measure}",
                fix="Confirm what came after the last report, within one interval.",
            )
    _move(row, place, counters, parsed_at(row))


def parsed_at(row: Row) -> str:
    """The instant up to which use is priced now."""
    return max(row.work.at, row.line.through, key=parsed)


def _counters(row: Row, given: Units) -> dict[str, Exact]:
    known, found = row.contract.terms.measures, dict[str, Exact]()
    for measure, text in given.items():
        if measure not in known:
            raise refuse(
                RefusalCode.UNKNOWN_FIELD,
                f"service {row.line.service!r} measures no {measure[:60]!r}.",
                field=f"used.{measure}",
                fix="It measures " + ", ".join(sorted(known)) + ".",
            )
        found[measure] = Exact.parse(text, field=f"used.{measure}", exponent=False)
        if found[measure] < ZERO:
            raise refuse(RefusalCode.BAD_QUANTITY, "is below zero.", field=f"used.{measure}")
    return found


def _move(row: Row, place: int, counters: dict[str, Exact], until: str) -> None:
    """Advance one meter; what it used beyond its grant is lost to whoever bears it."""
    meter = row.line.meters[place]
    before, lost = used(meter), read(meter.lost)
    for measure, units in counters.items():
        bound = _granted(row, meter, measure)
        if bound is not None:
            paid = max(before.get(measure, ZERO), bound)
            if units > paid:
                lost[measure] = lost.get(measure, ZERO) + units - paid
    meters = list(row.line.meters)
    meters[place] = replace(meter, used=written({**before, **counters}), lost=written(lost))
    row.line = advance(row.contract, row.line, tuple(meters), parsed(until))


def _granted(row: Row, meter: Meter, measure: str) -> Exact | None:
    """Up to where a measure may be used: by the part's grant, else by that of the whole; None when it costs nothing."""
    for one in (meter, row.line.meters[0]):
        if measure in one.granted:
            return Exact.parse(one.granted[measure])
    return ZERO if measure in row.contract.retail.measures else None


def _credit_use(row: Row, payer: str, units: dict[str, Exact]) -> None:
    """Note whose units a report counted.

    Raises:
        Refused: UNKNOWN_PAYER.
    """
    account = row.payer(payer)
    payers = list(row.line.payers)
    for place, one in enumerate(payers):
        if account is not None and one.account == account.public:
            now = read(one.used)
            payers[place] = replace(one, used=written({**now, **{m: now.get(m, ZERO) + u for m, u in units.items()}}))
            row.line = replace(row.line, payers=tuple(payers))
            return
    raise refuse(RefusalCode.UNKNOWN_PAYER, "is no payer of this session.", field="payer")
