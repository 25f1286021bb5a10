"""Telling webhooks: one task per webhook takes the next event, has it sent, notes that it was accepted, and goes on.

In order, at least once: the place is moved on after an event was accepted and before the next one is sent, so that a
restart sends again at most what was on its way. Sending is done on the outside thread, notes are made by the writer,
those of many webhooks together.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from apportion.adapters.waiting import Outside
from apportion.adapters.webhook import PATIENCE, Courier
from apportion.engine.engine import Engine
from apportion.engine.events import outbox, webhooks
from apportion.engine.events.watching import Heard, Watching
from apportion.engine.gather import Full, Gatherer, Job
from apportion.errors import StoreUnavailable
from apportion.faces.api.hub import Hub
from apportion.model.access import Credential
from apportion.model.webhook import Progress, Webhook

#: how often, in seconds, nodes that share the books look who tells; and how far a quiet webhook may fall behind
LOOK, BEHIND = 3, 5000 << 20


class House(Protocol):
    """What telling needs of the node that it belongs to."""

    engines: dict[str, Engine]
    gatherer: Gatherer
    hub: Hub
    outside: Outside
    note: Callable[..., None]
    crash: Callable[[str, BaseException], None]
    on_told: Callable[[bool], None]

    def now(self) -> str: ...

    async def write(self, job: Job) -> Any: ...


class Round:
    """One webhook on its round: its task, and what the task needs to know."""

    def __init__(self, hook: Webhook, secret: bytes, progress: Progress) -> None:
        self.hook, self.secret, self.progress = hook, secret, progress
        self.task: asyncio.Task[None] | None = None


class Deliveries:
    """The webhooks of a node. ``private`` lets them lead inside; ``first`` is the wait after a failure in seconds."""

    def __init__(self, node: House, *, private: bool, first: int) -> None:
        self._node, self._first = node, first
        self._courier = Courier(private=private)
        self._me = secrets.token_hex(8)
        self._rounds: dict[str, dict[str, Round]] = {name: {} for name in node.engines}
        self._leading: set[str] = set()
        self._known: dict[str, str] = {}
        self._notes: dict[str, dict[str, Progress]] = {}
        self._noting: dict[str, asyncio.Task[bool]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._alone = next(iter(node.engines.values())).store.alone
        self._turn = asyncio.Lock()
        self._stopped = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to tell; where other nodes share the books, to look now and then who does."""
        for tenant in self._node.engines:
            self._tasks.append(loop.create_task(self._lead(tenant)))

    async def stop(self) -> None:
        """Finish what is on its way, and let another node take over."""
        self._stopped = True
        running = [one.task for mine in self._rounds.values() for one in mine.values() if one.task is not None]
        for task in [*self._tasks, *running]:
            task.cancel()
        await asyncio.wait([*self._tasks, *running], timeout=PATIENCE)
        for tenant in self._leading if not self._alone else ():
            with suppress(Full, StoreUnavailable):
                await self._write(tenant, lambda engine: outbox.give_up(engine, self._me))

    async def changed(self, tenant: str) -> None:
        """A webhook was made, resumed or deleted."""
        if self._alone or tenant in self._leading:
            await self._load(tenant)

    # who tells

    async def _lead(self, tenant: str) -> None:
        """Tell while this node has the lease; look whether it can be had while another one has it."""
        while True:
            try:
                await self._look(tenant)
                if self._alone:
                    return
            except (Full, StoreUnavailable):
                pass  # it is asked again in a moment
            except Exception as error:
                self._node.crash("webhooks", error)
            await asyncio.sleep(LOOK)

    async def _look(self, tenant: str) -> None:
        node, me = self._node, self._me
        known, mine = await node.hub.ask(
            tenant, lambda engine: (engine.store.fact(engine.tenant, webhooks.CHANGED),
                                    outbox.free(engine, me, engine.clock.now()))
        )  # fmt: skip
        if not known or not mine or not await self._write(tenant, lambda engine: outbox.take(engine, me)):
            self._retire(tenant)
        elif tenant not in self._leading or known != self._known.get(tenant) or not secrets.randbelow(10):
            self._known[tenant] = known
            self._leading.add(tenant)
            await self._load(tenant)

    def _retire(self, tenant: str) -> None:
        """Another node tells now."""
        self._leading.discard(tenant)
        for one in self._rounds[tenant].values():
            if one.task is not None:
                one.task.cancel()
        self._rounds[tenant].clear()
        self._notes.get(tenant, {}).clear()  # another node knows better by the time this one tells again

    async def _load(self, tenant: str) -> None:
        """Begin the rounds that are new or were resumed, end those that are gone."""
        async with self._turn:
            stored = await self._node.hub.ask(
                tenant, lambda e: [(hook, outbox.progress_of(e, hook.id)) for hook in webhooks.all_webhooks(e)]
            )
            rounds, signer = self._rounds[tenant], self._node.engines[tenant].signer
            for gone in rounds.keys() - {hook.id for hook, _ in stored}:
                task = rounds.pop(gone).task
                if task is not None:
                    task.cancel()
            for hook, progress in stored:
                progress = progress or Progress(hook.start)
                running = rounds.get(hook.id)
                if running is not None and running.progress.resumed == progress.resumed:
                    continue
                if running is not None and running.task is not None:
                    running.task.cancel()
                secret = webhooks.unsealed(signer, hook)
                if not secret:
                    self._node.note("a webhook was sealed by another key", webhook=hook.id)
                    continue
                one = rounds[hook.id] = Round(hook, secret, progress)
                if not progress.disabled:
                    one.task = asyncio.get_running_loop().create_task(self._go_round(tenant, one))

    # one webhook

    async def _go_round(self, tenant: str, one: Round) -> None:
        hook = one.hook
        caller = Credential("", tenant, hook.role, "", hook.created, hook.party)
        listener = self._node.hub.listen(tenant, Watching(caller, one.progress.place, "", hook.types))
        try:
            while not one.progress.disabled and not self._stopped:
                heard = await listener.one(30)
                if heard is not None:
                    await self._deliver(tenant, one, heard)
                elif listener.ended:
                    return
                elif listener.place - one.progress.place > BEHIND:  # there was nothing for it for long
                    await self._note(tenant, one, msgspec.structs.replace(one.progress, place=listener.place))
        except StoreUnavailable:
            self._node.note("a webhook waits for the books", webhook=hook.id)
        except Exception as error:
            self._node.crash(f"webhook {hook.id}", error)
        finally:
            self._node.hub.leave(listener)

    async def _deliver(self, tenant: str, one: Round, heard: Heard) -> None:
        """Send one event until it is accepted, or until there is no point any more."""
        while not one.progress.disabled:
            await asyncio.sleep(outbox.seconds_until(one.progress.next, self._node.now()))
            trip = asyncio.ensure_future(self._send(tenant, one, heard))
            try:
                await asyncio.shield(trip)
            except asyncio.CancelledError:
                await trip  # what is on its way is not left half told
                raise
            if not one.progress.failures:
                return

    async def _send(self, tenant: str, one: Round, heard: Heard) -> None:
        status = await self._outside(lambda: self._courier.post(one.hook.url, signed(one.secret, heard), heard.body))
        told = outbox.Told(heard.place, heard.id, status)
        progress = outbox.after(one.progress, told, self._node.now(), secrets.randbelow(1000), self._first)
        self._node.on_told(told.accepted)
        if progress.disabled:
            self._node.note("a webhook was disabled", webhook=one.hook.id, why=progress.note)
        await self._note(tenant, one, progress)

    async def _outside(self, work: Callable[[], Coroutine[Any, Any, int]]) -> int:
        """What a call on the outside thread gave; 0 when it took too long."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[int] = loop.create_future()

        def set_result(status: int) -> None:
            if not waiter.done():
                waiter.set_result(status)

        def ended(status: Any, error: BaseException | None) -> None:
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(set_result, status if error is None else 0)

        self._node.outside.submit(work, 2 * PATIENCE, ended)
        return await waiter

    # notes

    async def _note(self, tenant: str, one: Round, progress: Progress) -> None:
        """Have it noted how far a webhook has come; notes that come together are written in one go."""
        one.progress = progress
        waiting = self._notes.setdefault(tenant, {})
        waiting[one.hook.id] = progress
        while waiting.get(one.hook.id) is progress:
            if tenant not in self._noting:
                self._noting[tenant] = asyncio.ensure_future(self._write_down(tenant))
            if not await asyncio.shield(self._noting[tenant]):
                raise asyncio.CancelledError("another node tells now")

    async def _write_down(self, tenant: str) -> bool:
        """Write down everything that waits to be; False when another node has the lease."""
        waiting = self._notes[tenant]
        notes = dict(waiting)
        waiting.clear()
        try:
            while True:
                try:
                    mine = bool(await self._write(tenant, lambda engine: outbox.save(engine, notes, self._me)))
                    break
                except (Full, StoreUnavailable):
                    if self._node.gatherer.failed or self._stopped:
                        raise
                    await asyncio.sleep(0.5)
        finally:
            del self._noting[tenant]
        if not mine:
            self._retire(tenant)
        return mine

    async def _write(self, tenant: str, act: Callable[[Any], Any]) -> Any:
        return await self._node.write(Job(tenant, act=act))


def signed(secret: bytes, heard: Heard) -> dict[str, str]:
    """The headers by which a receiver knows an event (Standard Webhooks)."""
    from standardwebhooks import Webhook as Signing

    now = datetime.now(UTC)
    return {
        "webhook-id": heard.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Signing(secret).sign(heard.id, now, heard.body.decode()),
    }
