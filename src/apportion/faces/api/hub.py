"""Who listens to the books, and the one look at them that serves all who do.

Nobody polls: the writer says when it committed, and one read of the new rows serves every listener that has come as
far; a slower one is served page by page until it has caught up. Where other nodes write too, the chain's head is asked
for now and then while somebody listens. A queue is bounded; who lets it stay full is cut off and may come back with
the last cursor.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol, TypeVar

import msgspec

from apportion.engine.access import Keyring
from apportion.engine.engine import Engine
from apportion.engine.events.telling import place_of
from apportion.engine.events.watching import Heard, Look, Sights, Watching, cursor_of
from apportion.engine.gather import Full
from apportion.errors import StoreUnavailable

T = TypeVar("T")
Opener = Callable[[], dict[str, Engine]]


class House(Protocol):
    """What the hub needs of the node that it belongs to."""

    engines: dict[str, Engine]
    keyring: Keyring
    crash: Callable[[str, BaseException], None]

    def now(self) -> str: ...


class Bounds(msgspec.Struct, frozen=True):
    """How much listening there may be, and the paces of it in seconds.

    ``queue`` and ``bytes`` bound what waits for one listener, who is cut off when that stays full for ``stall``.
    ``beat`` lies between two signs of life. ``others`` is how often the head is asked for where other nodes write.
    """

    of_tenant: int = 200
    of_node: int = 1000
    queue: int = 500
    bytes: int = 1 << 18
    stall: float = 10.0
    beat: float = 15.0
    others: float = 0.3


class Listener:
    """One who follows events: what it watches, how far it has come, what waits for it.

    ``patient`` ones may let their queue stay full; ``cut`` hangs up on the others.
    """

    def __init__(self, tenant: str, watching: Watching, bounds: Bounds, cut: Callable[[], None] | None) -> None:
        self.tenant, self.watching, self.place = tenant, watching, watching.place
        self.patient, self.ended = cut is None, False
        self._cut, self._bounds = cut, bounds
        self.queue: deque[Heard] = deque()
        self._size, self._full_since, self._short = 0, 0.0, False
        self._news = asyncio.Event()
        self.room: Callable[[], None] = lambda: None
        self.gone: asyncio.Future[None] | None = None  # ends with the connection

    def put(self, heard: list[Heard], upto: int) -> None:
        """Take what was heard up to a place, as far as there is room."""
        for one in heard:
            if len(self.queue) >= self._bounds.queue or self._size >= self._bounds.bytes:
                self._short = True
                break
            self.queue.append(one)
            self._size += len(one.body)
            self.place = one.place
        else:
            self.place = max(self.place, upto)
        if self.queue:
            self._news.set()

    @property
    def full(self) -> bool:
        """Whether it must be served no more for now."""
        return self._short

    async def next(self, seconds: float) -> list[Heard]:
        """All that waits, as soon as anything does; nothing when that takes longer, or when it has ended."""
        if not self.queue and not self.ended:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), seconds)
            except TimeoutError:
                return []
        return self._taken(len(self.queue))

    async def one(self, seconds: float) -> Heard | None:
        """The next one alone."""
        if not self.queue and not self.ended:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), seconds)
            except TimeoutError:
                return None
        taken = self._taken(min(1, len(self.queue)))
        return taken[0] if taken else None

    def _taken(self, count: int) -> list[Heard]:
        taken = [self.queue.popleft() for _ in range(count)]
        self._size -= sum(len(one.body) for one in taken)
        if taken:
            self._full_since = 0.0
        if self._short and len(self.queue) * 2 <= self._bounds.queue and self._size * 2 <= self._bounds.bytes:
            self._short = False
            self.room()
        return taken

    def end(self) -> None:
        """Let it hear no more; what waits may still be taken."""
        self.ended = True
        self._news.set()

    def check(self, now: float) -> None:
        """Hang up when it has been full for too long without taking anything."""
        if self.patient or not self._short:
            return
        self._full_since = self._full_since or now
        if now - self._full_since > self._bounds.stall:
            self.queue.clear()
            self.end()
            if self._cut is not None:
                self._cut()


class Hub:
    """The listeners of a node."""

    def __init__(self, node: House, open_readers: Opener, bounds: Bounds) -> None:
        self._node, self._open, self.bounds = node, open_readers, bounds
        self._listeners: dict[str, list[Listener]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="events")
        self._engines: dict[str, Engine] = {}
        self._sights: dict[str, Sights] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._alone = next(iter(node.engines.values())).store.alone

    # what the writer's thread calls

    def committed(self) -> None:
        """The writer has committed something."""
        if self._listeners and self._loop is not None:
            self._loop.call_soon_threadsafe(self._news.set)

    # on the event loop

    async def ask(self, tenant: str, question: Callable[[Engine], T]) -> T:
        """Answer a question on the thread that reads for listeners."""
        assert self._loop is not None

        def answer() -> T:
            if not self._engines:
                self._engines.update(self._open())
            return question(self._engines[tenant])

        return await self._loop.run_in_executor(self._thread, answer)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to serve listeners."""
        self._loop = loop
        self._tasks = [loop.create_task(self._serve()), loop.create_task(self._look_after())]

    def listen(self, tenant: str, watching: Watching, cut: Callable[[], None] | None = None) -> Listener:
        """Begin to follow events; without ``cut`` with all the patience there is.

        Raises:
            Full: as many listen as may.
        """
        mine = self._listeners.get(tenant, [])
        if cut is not None:
            if sum(not one.patient for one in mine) >= self.bounds.of_tenant:
                raise Full(True)
            if self.listening >= self.bounds.of_node:
                raise Full(False)
        made = Listener(tenant, watching, self.bounds, cut)
        made.room = self._news.set
        self._listeners.setdefault(tenant, []).append(made)
        self._sights[tenant] = {}  # what was remembered may be older than where this one begins
        self._news.set()
        return made

    def leave(self, listener: Listener) -> None:
        """Follow no more."""
        listener.end()
        mine = self._listeners.get(listener.tenant, [])
        if listener in mine:
            mine.remove(listener)
        if not mine:
            self._listeners.pop(listener.tenant, None)

    @property
    def listening(self) -> int:
        """How many follow events over a connection of their own."""
        return sum(not one.patient for mine in self._listeners.values() for one in mine)

    def drain(self) -> None:
        """Let everybody go: they come back to another node, or to this one when it is back, and miss nothing."""
        for mine in self._listeners.values():
            for listener in mine:
                listener.end()

    def stop(self) -> None:
        """Release the thread and its readers; the event loop has ended."""
        self._thread.shutdown()
        if self._engines:
            next(iter(self._engines.values())).store.close()

    async def _serve(self) -> None:
        """Serve whoever has not come as far as the books, whenever these may have grown."""
        while True:
            self._news.clear()
            behind = False
            for tenant in list(self._listeners):
                try:
                    behind |= await self._round(tenant)
                except StoreUnavailable:  # it is away: listeners wait for it like everybody else
                    await asyncio.sleep(1)
                except Exception as error:  # never silent, and never the end of all streams
                    self._node.crash("events", error)
                    await asyncio.sleep(1)
            if not behind:
                pause = self.bounds.others if self._listeners and not self._alone else None
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), pause)

    async def _round(self, tenant: str) -> bool:
        """One page for every place at which listeners stand; whether somebody is still behind the books."""
        groups: dict[int, list[Listener]] = {}
        for listener in self._listeners.get(tenant, ()):
            if not (listener.ended or listener.full):
                groups.setdefault(listener.place, []).append(listener)
        behind = False
        for place, group in groups.items():
            question = functools.partial(_look, [one.watching for one in group], place, self._sights[tenant])
            upto, heard, more = await self.ask(tenant, question)
            for listener, mine in zip(group, heard, strict=True):
                if listener.place == place:  # nobody else serves it; it may have been told to end meanwhile
                    listener.put(mine, upto)
                    behind |= more or (listener.place < upto and not listener.full)
        return behind

    async def _look_after(self) -> None:
        """Once a second: let go whose key has ended, and hang up on who does not read."""
        while True:
            await asyncio.sleep(1)
            now, tick = self._node.now(), time.monotonic()
            for mine in list(self._listeners.values()):
                for listener in mine:
                    if not listener.patient and not self._node.keyring.living(listener.watching.caller.id, now):
                        listener.end()
                    listener.check(tick)


def _look(watching: list[Watching], place: int, sights: Sights, engine: Engine) -> tuple[int, list[list[Heard]], bool]:
    """What a group that has come to ``place`` hears next, up to where that goes, and whether there is more."""
    head = engine.store.head(engine.tenant, 0)[0]
    if place >= place_of(head):
        return place, [[] for _ in watching], False
    upto, heard = Look(engine, watching, sights).after(place, head)
    return upto, heard, upto < place_of(head)


async def frames(hub: Hub, listener: Listener) -> AsyncIterator[bytes]:
    """Server-sent events: every one with the cursor that continues after it, and signs of life in between."""
    try:
        yield b"retry: 2000\nid: %b\n\n" % await _cursor(hub, listener)
        while True:
            heard = await listener.next(hub.bounds.beat)
            if heard:
                yield b"".join(
                    b"id: %b\nevent: %b\ndata: %b\n\n" % (one.cursor.encode(), one.type.encode(), one.body)
                    for one in heard
                )
            elif listener.ended:
                return
            else:
                yield b": keep-alive\nid: %b\n\n" % await _cursor(hub, listener)
    finally:
        hub.leave(listener)


async def _cursor(hub: Hub, listener: Listener) -> bytes:
    """Where it stands; nothing waits for it."""
    place = listener.place
    return (await hub.ask(listener.tenant, lambda engine: cursor_of(engine, place))).encode()
