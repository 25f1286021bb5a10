"""Switching providers off and on, by the operator, by themselves or by the breaker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from apportion.engine.market.naming import switch_id
from apportion.engine.terms import Terms
from apportion.engine.work import Work
from apportion.errors import RefusalCode, refuse
from apportion.model.command import Outcome
from apportion.model.market import Breaker
from apportion.model.standing import By, Mark, SwitchLine, SwitchProvider

_SWITCH = msgspec.json.Decoder(SwitchLine)
LONGEST = 10 * 366 * 86_400  # seconds that anybody may be switched off for, unless it is for good


def instant(text: str, field: str) -> str:
    """An instant in the one form in which the books compare them; empty stays empty.

    Raises:
        Refused: BAD_TIME.
    """
    try:
        when = datetime.fromisoformat(text) if text else None
        if when is None:
            return ""
        if when.tzinfo is not None and 1970 <= when.year < 9000:
            return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except ValueError:
        pass
    raise refuse(RefusalCode.BAD_TIME, "is not an instant.", field=field, fix="Such as 2030-01-31T18:00:00Z.")


def after(at: str, seconds: int) -> str:
    """The instant so many seconds later."""
    return instant((datetime.fromisoformat(at) + timedelta(seconds=seconds)).isoformat(), "seconds")


def known_provider(terms: Terms, name: str, by: str) -> None:
    """The provider is in the catalog, and is ``by`` when a provider asks.

    Raises:
        Refused: UNKNOWN_PROVIDER; NOT_FOUND when it is another's.
    """
    if by and name != by:
        raise refuse(RefusalCode.NOT_FOUND, "there is no such record.", field="provider")
    if name not in terms.catalog.providers:
        fix = "One of " + ", ".join(list(terms.catalog.providers)[:8]) + "."
        raise refuse(RefusalCode.UNKNOWN_PROVIDER, f"there is no provider {name[:60]!r}.", field="provider", fix=fix)


def switch(work: Work, terms: Terms, command: SwitchProvider) -> Outcome:
    """Switch a provider off, or take back what keeps it off.

    Raises:
        Refused: UNKNOWN_PROVIDER, NOT_FOUND, BAD_TIME, BAD_INPUT; CONFLICT when somebody else keeps it off.
    """
    known_provider(terms, command.provider, command.by)
    by: By = "provider" if command.by else "operator"
    line = switch_of(work, command.provider)
    held = [mark for mark in line.marks if not mark.until or mark.until > work.at]
    if command.off:
        mark = Mark(by, work.at, _until(work, command), command.reason.strip())
        if not mark.reason:
            fix = "Say why, in a few words; users and the provider see it."
            raise refuse(RefusalCode.BAD_INPUT, "is missing.", field="reason", fix=fix)
        marks = (*(one for one in held if one.by != by), mark)
    else:
        marks = tuple(one for one in held if by == "provider" and one.by != by)
        if marks and len(marks) == len(held):
            raise refuse(
                RefusalCode.CONFLICT,
                f"the {marks[0].by} keeps it off: {marks[0].reason}",
                field="off",
                fix="Ask the operator." if marks[0].by == "operator" else f"It is on again at {marks[0].until}.",
            )
    if marks != line.marks:
        work.append(_moved(work, line, marks))
    return Outcome(None, line.id)


def _until(work: Work, command: SwitchProvider) -> str:
    if command.until and command.seconds:
        raise refuse(RefusalCode.BAD_INPUT, "stands beside until.", field="seconds", fix="Give one of the two.")
    if not 0 <= command.seconds <= LONGEST:
        fix = f"0 to {LONGEST}; 0 is for good."
        raise refuse(RefusalCode.BAD_INPUT, "is out of bounds.", field="seconds", fix=fix)
    until = after(work.at, command.seconds) if command.seconds else instant(command.until, "until")
    if until and until <= work.at:
        raise refuse(RefusalCode.BAD_TIME, "has passed.", field="until", fix="Name an instant to come.")
    return until


def switch_of(work: Work, provider: str) -> SwitchLine:
    """How a provider's switch stands; without marks when nobody ever touched it."""
    id = switch_id(provider)
    stored = work.course(id)
    return _SWITCH.decode(stored) if stored else SwitchLine(id=id, n=0, at="", provider=provider)


def trip(work: Work, provider: str, failures: int, breaker: Breaker) -> tuple[bytes, ...]:
    """What the breaker does after so many failures in a row; lines to be appended, none when it does nothing."""
    if not 0 < breaker.after <= failures or breaker.seconds <= 0:
        return ()
    line = switch_of(work, provider)
    held = [mark for mark in line.marks if not mark.until or mark.until > work.at]
    if any(mark.by == "breaker" for mark in held):
        return ()
    mark = Mark("breaker", work.at, after(work.at, breaker.seconds), f"breaker: {failures} failures in a row")
    return (_moved(work, line, (*held, mark)),)


def _moved(work: Work, line: SwitchLine, marks: tuple[Mark, ...]) -> bytes:
    return work.move(msgspec.structs.replace(line, n=line.n + 1, at=work.at, marks=marks))
