"""Which sessions have lost a provider, where their service wants them to go over to the next best crew unasked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from apportion.engine.broker.planning import terms_in_force
from apportion.engine.charging import instant
from apportion.engine.engine import Engine
from apportion.engine.market.standing import switched
from apportion.model.catalog import Catalog
from apportion.model.session import SessionLine, SessionState
from apportion.model.standing import SwitchLine

_LINE = msgspec.json.Decoder(SessionLine)
#: so many of those whose time comes within so many seconds are looked at, and after somebody was switched off so many
SOON, AHEAD, RUNNING = 500, 3, 50_000
_FOREVER = "9999"


class Broken(NamedTuple):
    """A running session, and the providers that are lost to it."""

    session: str
    lost: tuple[str, ...]


def wanted(catalog: Catalog) -> frozenset[str]:
    """The services whose sessions are to be mended."""
    return frozenset(name for name, service in catalog.services.items() if service.market.replace)


class Mending:
    """What one tenant's sessions are looked at for; it remembers what it has looked at.

    A part falls silent when a session's time has come, so those are looked at before and after that. All sessions that
    run are looked at once when somebody was switched off, and when a node begins.
    """

    def __init__(self) -> None:
        self._watched: set[str] = set()
        self._off: dict[str, int] = {}

    def look(self, engine: Engine, again: Iterable[str] = ()) -> list[Broken]:
        """Sessions that have lost somebody; those in ``again`` are looked at too, because they had before."""
        store, tenant, now = engine.store, engine.tenant, engine.clock.now()
        services = wanted(terms_in_force(engine).catalog)
        if not services:
            return []
        off = {name: line for name, line in switched(store, tenant, now).items() if _by_others(line, now)}
        fresh = any(self._off.get(name) != line.n for name, line in off.items())
        soon = set(store.due_courses(tenant, _later(now, AHEAD), SOON, "ses_"))
        ids = soon | self._watched | set(again)
        if fresh:
            ids |= set(store.due_courses(tenant, _FOREVER, RUNNING, "ses_"))
        found = [one for line in _lines(engine, sorted(ids)) if (one := _broken(line, services, off)) is not None]
        self._off, self._watched = {name: line.n for name, line in off.items()}, soon
        return found


def _by_others(line: SwitchLine, now: str) -> bool:
    """Whether the operator or the breaker keeps it off: who only takes nothing new goes on with what runs."""
    return any(mark.by != "provider" and (not mark.until or mark.until > now) for mark in line.marks)


def _lines(engine: Engine, ids: list[str]) -> Iterator[SessionLine]:
    for at in range(0, len(ids), SOON):
        for course in engine.store.courses(engine.tenant, ids[at : at + SOON]).values():
            yield _LINE.decode(course.line)


def _broken(line: SessionLine, services: frozenset[str], off: dict[str, SwitchLine]) -> Broken | None:
    if line.state is SessionState.CLOSED or not line.plan or line.service not in services:
        return None
    living = [meter for meter in line.meters[1:] if not meter.ended]
    lost = dict.fromkeys(meter.provider for meter in living if meter.silent or meter.provider in off)
    return Broken(line.id, tuple(lost)) if lost else None


def _later(now: str, seconds: int) -> str:
    return instant(datetime.fromisoformat(now) + timedelta(seconds=seconds))
