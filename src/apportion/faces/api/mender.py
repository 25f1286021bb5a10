"""Mending: once a second a node looks which sessions have lost a provider, and lets the next best crew take them over.

Finding a crew happens on the threads that plan, a few at a time. Nodes that share the books may find one at the same
time: the session goes over to the first that is written, and the other plan is refused. After a refusal it is tried
again later and later, for as long as the session runs and the provider is lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TypeVar

from apportion.engine.broker.mending import Broken, Mending, wanted
from apportion.engine.broker.replacing import Replace, replacement
from apportion.engine.engine import Engine
from apportion.engine.gather import Full, Job
from apportion.errors import NotFound, Refused, StoreUnavailable

T = TypeVar("T")
#: seconds between two looks; for so many a crew is found at a time, and so many wait for that at most
LOOK, AT_ONCE, WAITING = 1.0, 2, 2000
#: seconds of the first and the longest pause after a refusal
FIRST, LONGEST = 2.0, 300.0


class House(Protocol):
    """What mending needs of the node that it belongs to."""

    engines: dict[str, Engine]
    draining: bool
    note: Callable[..., None]
    crash: Callable[[str, BaseException], None]

    async def plan(self, tenant: str, ask: Callable[[Engine], T]) -> T: ...
    async def write(self, job: Job) -> Any: ...


class Mender:
    """The sessions of all tenants of a node."""

    def __init__(self, node: House) -> None:
        self._node = node
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._refused: dict[str, tuple[float, float]] = {}  # when it may be tried again, and the pause before that
        self._tasks: list[asyncio.Task[None]] = []
        self._room = asyncio.Semaphore(AT_ONCE)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to look."""
        self._tasks = [loop.create_task(self._run(tenant)) for tenant in self._node.engines]

    async def stop(self) -> None:
        """Look no more. What was handed to the writer is done all the same."""
        tasks = [*self._tasks, *self._busy.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=LOOK)

    async def _run(self, tenant: str) -> None:
        mending, known = Mending(), set[str]()
        while not self._node.draining:
            await asyncio.sleep(LOOK)
            committer = self._node.engines[tenant].committer
            terms = committer.terms if committer is not None else None
            if terms is None or not wanted(terms.catalog):
                continue
            now = time.monotonic()
            again = {id for id in known if id not in self._busy and self._refused.get(id, (0.0, 0.0))[0] <= now}
            try:
                found = await self._node.plan(tenant, partial(mending.look, again=again))
            except (Full, NotFound, StoreUnavailable):
                continue
            except Exception as error:
                self._node.crash("mending", error)
                continue
            lost = {one.session for one in found}
            for whole in again - lost:  # it was mended, or has lost nobody any more
                self._refused.pop(whole, None)
            known = (known - again) | lost
            self._begin(tenant, found)

    def _begin(self, tenant: str, found: list[Broken]) -> None:
        now = time.monotonic()
        for one in found:
            if len(self._busy) >= WAITING:
                return
            due, _ = self._refused.get(one.session, (0.0, 0.0))
            if one.session not in self._busy and due <= now:
                task = asyncio.get_running_loop().create_task(self._mend(tenant, one))
                self._busy[one.session] = task

    async def _mend(self, tenant: str, one: Broken) -> None:
        """One attempt."""
        node, given = self._node, Replace(one.lost, None)
        try:
            with suppress(Full, StoreUnavailable):  # it is looked at again in a moment
                async with self._room:  # those who ask for plans need the threads too
                    found = await node.plan(tenant, partial(replacement, session=one.session, given=given))
                outcome = await node.write(Job(tenant, [found], lambda engine, outcomes: outcomes[0]))
                if outcome.refusal is not None:
                    raise Refused(outcome.refusal)
                self._refused.pop(one.session, None)
                node.note("a session went over to the next best crew", session=one.session, plan=found.made.line.id)
        except Refused as refused:
            pause = min(LONGEST, 2 * self._refused.get(one.session, (0.0, FIRST / 2))[1])
            self._refused[one.session] = time.monotonic() + pause, pause
            why = refused.refusal.code.value
            node.note("no other crew takes a session over", session=one.session, why=why, again=pause)
        except Exception as error:
            self._refused[one.session] = time.monotonic() + LONGEST, LONGEST
            node.crash(f"session {one.session}", error)
        finally:
            self._busy.pop(one.session, None)
