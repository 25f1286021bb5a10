"""Watching: who may follow which events, from which place, and what the operations of events do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from apportion.engine.cursor import Cursors
from apportion.engine.engine import Engine
from apportion.engine.events import telling as events
from apportion.engine.events import webhooks
from apportion.engine.exchange import Input
from apportion.engine.sessions.views import may_see, session_line
from apportion.engine.verbs import Call
from apportion.engine.visible import Sight, nothing
from apportion.errors import RefusalCode, refuse
from apportion.model.access import AccessRole, Credential
from apportion.model.event import Event
from apportion.model.webhook import NewWebhook, WebhookView

#: how many rows one look takes at most
PAGE = 1000
_KIND = "events"


class EventQuery(Input, frozen=True):
    """From where: ``after`` is a cursor (an ``id`` of an earlier stream), ``start``, or empty for from now on.

    ``types`` are the types wanted, with commas between them; ``session.*`` is all of a kind, empty is all.
    """

    after: Annotated[str, Meta(max_length=120)] = ""
    types: Annotated[str, Meta(max_length=1000)] = ""


class Watching(msgspec.Struct, frozen=True):
    """What a caller follows: of what it may see, all that is about ``id`` (everything, when empty) after ``place``."""

    caller: Credential
    place: int
    id: str = ""
    types: tuple[str, ...] = ()


class Heard(msgspec.Struct, frozen=True):
    """One event for one reader: its place, the ``cursor`` that continues after it, and its ``body`` as JSON."""

    place: int
    cursor: str
    id: str
    type: str
    body: bytes


# ── the operations ──


def watch_all(engine: Engine, call: Call) -> Watching:
    return _watching(engine, call)


def watch_account(engine: Engine, call: Call) -> Watching:
    Sight(engine, call.caller).account(call.id)
    return _watching(engine, call)


def watch_session(engine: Engine, call: Call) -> Watching:
    line = session_line(engine.store, engine.tenant, call.id)
    if not may_see(line, call.caller, frozenset(Sight(engine, call.caller).own)):
        raise nothing()
    return _watching(engine, call)


def create_webhook(engine: Engine, call: Call) -> NewWebhook:
    return webhooks.create(engine, call.caller, call.given, engine.private)


def list_webhooks(engine: Engine, call: Call) -> webhooks.WebhookPage:
    return webhooks.listed(engine, call.caller)


def delete_webhook(engine: Engine, call: Call) -> WebhookView:
    return webhooks.delete(engine, call.caller, call.id)


def resume_webhook(engine: Engine, call: Call) -> WebhookView:
    return webhooks.resume(engine, call.caller, call.id)


def _watching(engine: Engine, call: Call) -> Watching:
    query: EventQuery = call.query
    types = tuple(filter(None, query.types.split(",")))
    for type in types:
        if not events.known_type(type):
            raise refuse(RefusalCode.BAD_INPUT, f"{type[:60]!r} is never told.", field="types", fix=events.SEE)
    return Watching(call.caller, _from(engine, query.after), call.id, types)


def _from(engine: Engine, after: str) -> int:
    if after == "start":
        return events.WHOLE
    if after:
        return Cursors(engine).read(after, _KIND)
    return events.place_of(engine.store.head(engine.tenant, 0)[0])


def cursor_of(engine: Engine, place: int) -> str:
    """The cursor that continues after a place."""
    return Cursors(engine).write(place, _KIND)


# ── one look at the books for many readers ──


Sights = dict[tuple[AccessRole, str, tuple[str, ...]], Sight]


class Look:
    """What the rows after a place tell a group of readers who have all come as far.

    ``sights`` are kept from look to look, as what a caller owns seldom changes.
    """

    def __init__(self, engine: Engine, readers: Sequence[Watching], sights: Sights) -> None:
        self._engine, self._readers, self._sights = engine, readers, sights
        self._cursors: Cursors | None = None
        self._tags = frozenset().union(*(events.tags_of(reader.types) for reader in readers))
        self._needles = self._searched()

    def after(self, place: int, head: int, page: int = PAGE) -> tuple[int, list[list[Heard]]]:
        """Events after a place for each reader, and the place that was looked up to: ``head`` or a page further."""
        n, index = place >> events.SHIFT, place & events.WHOLE
        first = n if index == events.WHOLE else n - 1
        upto = min(head, first + page)
        heard: list[list[Heard]] = [[] for _ in self._readers]
        for row, body, link in self._engine.store.journal(self._engine.tenant, 0, first, upto):
            if b'{"type":"account"' in body or b'{"type":"forget"' in body:
                self._sights.clear()  # it may be one of theirs
                self._needles = self._searched()
            if self._needles is None or self._needles.search(body):
                for told in events.tell(row, body, link, self._tags):
                    if told.place > place:
                        self._hear(told, heard)
        return max(place, events.place_of(upto)), heard

    def _hear(self, told: events.Told, heard: list[list[Heard]]) -> None:
        made: dict[int, Heard | None] = {}
        for reader, mine in zip(self._readers, heard, strict=True):
            if reader.id and reader.id not in told.about and reader.id not in told.accounts:
                continue
            sight = self._sight(reader.caller)
            key = id(sight)
            if key not in made:
                made[key] = self._heard(told, told.seen_by(sight))
            found = made[key]
            if found is not None and events.fits(found.type, reader.types):
                mine.append(found)

    def _heard(self, told: events.Told, event: Event | None) -> Heard | None:
        if event is None:
            return None
        if self._cursors is None:
            self._cursors = Cursors(self._engine)
        cursor = self._cursors.write(told.place, _KIND)
        return Heard(told.place, cursor, event.id, event.type, msgspec.json.encode(event))

    def _sight(self, caller: Credential) -> Sight:
        key = (caller.role, caller.party, caller.sources)
        found = self._sights.get(key)
        if found is None:
            found = self._sights[key] = Sight(self._engine, caller)
        return found

    def _searched(self) -> re.Pattern[bytes] | None:
        """One of these stands in every row that concerns anybody; None when every row must be read."""
        wanted: set[str] = set()
        for reader in self._readers:
            sight = self._sight(reader.caller)
            if reader.id:
                wanted.add(reader.id)
            elif sight.all:
                return None
            else:
                wanted |= {*sight.own, *(msgspec.json.encode(name).decode() for name in _names(reader.caller))}
        return re.compile(b"|".join(re.escape(text.encode()) for text in sorted(wanted)) or b"(?!)")


def _names(caller: Credential) -> tuple[str, ...]:
    """By what the lines of the books call a provider and its sources; people are called by their accounts."""
    return (caller.party, *caller.sources) if caller.role is AccessRole.PROVIDER else ()
