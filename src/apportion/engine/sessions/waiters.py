"""Who waits for value on an account: what brings value in wakes them, and the next look at what is due tries them."""

from __future__ import annotations

import msgspec

from apportion.engine.work import Work
from apportion.model.account import Account
from apportion.model.ids import number_id
from apportion.model.session import WaitLine

_WAITING = msgspec.json.Decoder(WaitLine)
replace = msgspec.structs.replace


def wake(work: Work, account: Account) -> list[bytes]:
    """Value came in: the sessions that wait on this account are due now. Lines for the row that brought it."""
    line = work.course(number_id("wait", account.id))
    if not line:
        return []
    waiting = _WAITING.decode(line)
    return [work.move(replace(waiting, at=work.at, due=work.at))] if waiting.sessions else []


def waiting_on(line: bytes) -> WaitLine:
    """Who waits, as its line says."""
    return _WAITING.decode(line)


def calm(id: str, work: Work) -> None:
    """Those who waited were looked at: nothing is due until more value comes in."""
    line = work.course(id)
    if line and (waiting := _WAITING.decode(line)).due:
        work.append(work.move(replace(waiting, at=work.at, due="")))
