"""Schedules: twice a second a node looks what its tenants' schedules want done, and has the writer do it.

Looking happens on the threads that plan; the writer gets what is due piece by piece, between the groups of requests.
Nodes that share the books may find the same at the same time: the turn of the second one finds nothing left to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from apportion.engine.engine import Engine
from apportion.engine.gather import Full, Job
from apportion.engine.scheduling.due import Found
from apportion.engine.scheduling.running import Running
from apportion.errors import NotFound, StoreUnavailable

T = TypeVar("T")
LOOK = 0.5  # seconds between two looks


class House(Protocol):
    """What schedules need of the node that they belong to."""

    engines: dict[str, Engine]
    draining: bool
    crash: Callable[[str, BaseException], None]
    on_ran: Callable[[str, bool], None]

    async def plan(self, tenant: str, ask: Callable[[Engine], T]) -> T: ...
    async def write(self, job: Job) -> Any: ...


class Schedules:
    """The schedules of all tenants of a node."""

    def __init__(self, node: House) -> None:
        self._node = node
        self._tasks: list[asyncio.Task[None]] = []
        self.running = {
            tenant: Running(crash=self._crashed, stop=lambda: self._node.draining) for tenant in node.engines
        }

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to look."""
        self._tasks = [loop.create_task(self._run(tenant)) for tenant in self.running]

    async def stop(self) -> None:
        """Look no more. What was handed to the writer is done all the same."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LOOK)

    def _crashed(self, job: str, error: BaseException) -> None:
        self._node.crash(job, error)
        self._node.on_ran(job.rpartition(" ")[2], False)

    async def _run(self, tenant: str) -> None:
        running = self.running[tenant]
        while not self._node.draining:
            committer = self._node.engines[tenant].committer
            terms = committer.terms if committer is not None else None
            found: Found | None = None
            if terms is not None and terms.catalog.schedule is not None:
                try:
                    found = await self._node.plan(tenant, running.look)
                    if found is not None:
                        await self._do(tenant, found)
                except (Full, NotFound, StoreUnavailable):  # it is still due in a moment
                    found = None
                except Exception as error:
                    found = None
                    self._node.crash("schedule", error)
            await asyncio.sleep(LOOK if found is None else LOOK / 20)

    async def _do(self, tenant: str, found: Found) -> None:
        """Have the writer do what is due; requests take their turns in between."""
        broken: Exception | None = None
        for act in found.acts:
            try:
                await self._node.write(Job(tenant, act=act))
            except (Full, StoreUnavailable):
                raise
            except Exception as error:  # what comes after it is done all the same
                broken = broken or error
        self.running[tenant].ended(found, broken)
        if broken is None:
            self._node.on_ran(found.job, True)
