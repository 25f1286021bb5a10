"""A node at work: the writer thread, the readers, the keys; what the event loop hands over and gets back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from apportion.adapters.waiting import Outside
from apportion.engine.access import Keyring, all_keys, new_key
from apportion.engine.broker.farewells import Farewells
from apportion.engine.cursor import make_secret
from apportion.engine.engine import Engine
from apportion.engine.events.outbox import FIRST
from apportion.engine.exchange import KeyInput
from apportion.engine.gather import Full, Gatherer, Job
from apportion.engine.payments.cashier import Cashier, Pace
from apportion.engine.payments.errands import Errands
from apportion.engine.settling.paymaster import Paymaster
from apportion.engine.statements.postman import Postman
from apportion.errors import NotFound, StoreUnavailable
from apportion.faces.api.deliveries import Deliveries
from apportion.faces.api.hub import Bounds, Hub
from apportion.faces.api.mender import Mender
from apportion.faces.api.others import Others
from apportion.faces.api.schedules import Schedules
from apportion.faces.mailing import letter_of
from apportion.faces.receiving import Receiving
from apportion.model.access import AccessRole, Credential
from apportion.ports import Notifier, PaymentPort, PayoutPort, ProviderPort

T = TypeVar("T")
Opener = Callable[[], dict[str, Engine]]
READERS, READS_WAITING, EXPORTS, PLANNERS = 2, 200, 2, 4


class Node:
    """Everything behind the routes. ``open_readers`` opens all tenants read-only, once per reading thread."""

    def __init__(self, engines: dict[str, Engine], open_readers: Opener) -> None:
        self.engines = engines
        for engine in engines.values():
            make_secret(engine)
            with suppress(NotFound):  # no catalog yet: the first one comes over HTTP
                _ = engine.writer
        self.keyring = Keyring(engines.values())
        self.gatherer = Gatherer(engines, self._wake, self._broken)
        self.others = Others(self.keyring, open_readers, self._moved)
        self.draining = False
        self.on_broken: Callable[[], None] = lambda: None
        self.on_late: Callable[[str], None] = lambda payment: None
        self.outside = Outside()
        self.note: Callable[..., None] = lambda what, **facts: None
        self.crash: Callable[[str, BaseException], None] = lambda what, error: None
        self.on_told: Callable[[bool], None] = lambda accepted: None
        self._open = open_readers
        self._clock = next(iter(engines.values())).clock
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        self._mine = threading.local()
        self._opened: list[dict[str, Engine]] = []
        self._planners = ThreadPoolExecutor(PLANNERS, thread_name_prefix="planner")
        self._reading = self._exporting = self._planning = 0
        self.providers: ProviderPort | None = None
        self.payments: PaymentPort | None = None
        self._pokes: dict[str, tuple[Callable[[str], None], ...]] = {}
        self._receiving: dict[str, Receiving] = {}
        self.mender = Mender(self)
        self.on_ran: Callable[[str, bool], None] = lambda job, done: None
        self.schedules: Schedules | None = Schedules(self)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.tell_by(Bounds(), private=False, first=FIRST)

    def tell_by(self, bounds: Bounds, *, private: bool, first: int) -> None:
        """Let so many listen, and wait ``first`` seconds after a webhook's first failure; before the start.

        ``private`` lets webhooks lead to addresses inside of networks.
        """
        for engine in self.engines.values():
            engine.private = private
        self.hub = Hub(self, self._open, bounds)
        self.deliveries = Deliveries(self, private=private, first=first)
        self.gatherer.turned = self.hub.committed

    def pay_by(self, port: PaymentPort, pace: Pace) -> None:
        """Fetch value by this processor from now on; before the start."""
        self.payments = port
        for name, engine in self.engines.items():
            till, alert = self._till(name), lambda payment: self.on_late(payment)
            cashier = Cashier(engine, port, self.outside, till, pace=pace, alert=alert)
            errands = Errands(engine, port, self.outside, till, pace=pace, alert=alert)
            self._pokes[name] = cashier.poke, errands.poke
            self._also(name, cashier.look)
            self._also(name, errands.look)

    def _also(self, tenant: str, look: Callable[[], None]) -> None:
        """Look after something between two groups; what breaks is told, and keeps nothing else from its turn."""
        committer = self.engines[tenant].committer
        assert committer is not None

        def looked() -> None:
            try:
                if not self.draining:
                    look()
            except (NotFound, StoreUnavailable):  # no catalog yet, or no store now: that concerns all of them
                raise
            except Exception as error:
                if committer.failed:
                    raise
                self.crash("looking after what is due", error)

        self.gatherer.also(tenant, looked)

    def poke(self, tenant: str, id: str) -> None:
        """Ask the processor about a payment, refund or card now; on the writer's thread."""
        for poke in self._pokes.get(tenant, ()):
            poke(id)

    async def abroad(self, work: Callable[[], Coroutine[Any, Any, T]], seconds: float) -> T:
        """Wait for something on the outside thread, for so long at most.

        Raises:
            TimeoutError: it took longer.
        """
        assert self._loop is not None
        loop, waiter = self._loop, self._loop.create_future()

        def ended(result: Any, error: BaseException | None) -> None:
            def set_() -> None:
                if not waiter.done():
                    waiter.set_exception(error) if error is not None else waiter.set_result(result)

            loop.call_soon_threadsafe(set_)

        self.outside.submit(work, seconds, ended)
        return await waiter

    def mail_by(self, port: Notifier) -> None:
        """Send statements to payers who want them by e-mail from now on; before the start."""
        for name, engine in self.engines.items():
            postman = Postman(
                engine, port, self.outside, self._box(name), letter_of,
                lambda statement: self.note("a statement could not be sent", statement=statement),
            )  # fmt: skip
            self._also(name, postman.look)

    def _box(self, tenant: str) -> Callable[[Callable[[Engine], None]], None]:
        """Where a postman hands in what became of a letter. What is not taken now is sent again."""
        return lambda note: self.gatherer.submit(Job(tenant, act=note))

    def broker_by(self, port: ProviderPort) -> None:
        """Ask provider nodes this way, and tell them when what they agreed to has ended; before the start."""
        self.providers = port
        for name, engine in self.engines.items():
            farewells = Farewells(engine, port, self.outside)
            self._also(name, farewells.look)

    def pay_out_by(self, port: PayoutPort, pace: Pace) -> None:
        """Make transfers to providers by this processor from now on; before the start."""
        for name, engine in self.engines.items():
            paymaster = Paymaster(
                engine, port, self.outside, self._till(name), pace=pace, alert=lambda payout: self.on_late(payout)
            )
            self._also(name, paymaster.look)

    def _till(self, tenant: str) -> Callable[[Any, Callable[[], None]], None]:
        """Where a cashier hands in what the processor said. What is not taken now is asked for again."""

        def hand_in(command: Any, done: Callable[[], None]) -> None:
            with suppress(Full, StoreUnavailable):
                self.gatherer.submit(Job(tenant, [command], lambda engine, outcomes: done()))

        return hand_in

    def first_key(self, tenant: str) -> str:
        """An operator's key when the tenant has none: its secret, to be shown once; else nothing."""
        engine = self.engines[tenant]
        if self.keyring.has_operator(tenant, engine.clock.now()):
            return ""
        made, credential = new_key(engine, KeyInput(AccessRole.OPERATOR, label="first"))
        self.keyring.put(credential)
        return made.secret

    def now(self) -> str:
        """The present instant."""
        return self._clock.now()

    async def refresh_keys(self, tenant: str) -> None:
        """Take note of keys that were made or revoked."""
        self.keyring.renew(tenant, await self.read(tenant, all_keys))

    async def find_key(self, token: str) -> Credential | None:
        """The living key that a token belongs to, also when another node has just made it."""
        found = self.keyring.find(token, self.now())
        if found is None and not self.keyring.knows(token) and await self.others.look():
            found = self.keyring.find(token, self.now())
        return found

    async def catch_up(self, tenant: str, door: Receiving | None) -> bool:
        """Know the catalog that another node has just put into force; whether there is another one than ``door``'s."""
        committer = self.engines[tenant].committer
        assert committer is not None
        if await self.others.look() and self.others.epoch(tenant) != committer.epoch:
            await self.write(Job(tenant, act=_look))
        return self.receiving(tenant) is not door

    def _moved(self, tenant: str) -> None:
        with suppress(Full, StoreUnavailable):
            self.gatherer.submit(Job(tenant, act=_look))

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to work."""
        self._loop = loop
        if not next(iter(self.engines.values())).store.alone:
            self.others.start()
        self.outside.start()
        self.gatherer.start()
        self.hub.start(loop)
        self.deliveries.start(loop)
        self.mender.start(loop)
        if self.schedules is not None:
            self.schedules.start(loop)

    @property
    def ready(self) -> bool:
        """Whether requests that write are taken."""
        return self._loop is not None and not self.draining and not self.gatherer.down

    def stop(self) -> None:
        """Finish what was accepted, seal the books, release the store."""
        self.draining = True
        self.others.stop()
        self.outside.stop()
        self.gatherer.stop()
        self._readers.shutdown()
        self._planners.shutdown()
        self.hub.stop()
        for opened in self._opened:
            next(iter(opened.values())).store.close()
        for engine in self.engines.values():
            assert engine.committer is not None
            engine.committer.close()
        next(iter(self.engines.values())).store.close()

    def receiving(self, tenant: str) -> Receiving | None:
        """The door for usage by the catalog in force; None when there is no catalog yet."""
        engine = self.engines[tenant]
        assert engine.committer is not None
        terms = engine.committer.terms
        if terms is None:
            return None
        known = self._receiving.get(tenant)
        if known is None or known.catalog is not terms.catalog:
            known = self._receiving[tenant] = Receiving(terms.catalog)
        return known

    # handing over

    async def write(self, job: Job) -> Any:
        """Give a job to the writer and wait for its answer."""
        assert self._loop is not None
        job.waiter = self._loop.create_future()
        self.gatherer.submit(job)
        return await job.waiter

    def _wake(self, jobs: list[Job]) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(_resolve, jobs)

    def _broken(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self.on_broken)

    async def read(self, tenant: str, ask: Callable[[Engine], T]) -> T:
        """Answer a question on a reading thread.

        Raises:
            Full: too many questions wait.
        """
        return await self.work(lambda: ask(self._engine(tenant)))

    async def work(self, run: Callable[[], T]) -> T:
        """Run something long on a reading thread, so that the event loop goes on."""
        assert self._loop is not None
        if self._reading >= READS_WAITING:
            raise Full(False)
        self._reading += 1
        try:
            return await self._loop.run_in_executor(self._readers, run)
        finally:
            self._reading -= 1

    async def plan(self, tenant: str, ask: Callable[[Engine], T]) -> T:
        """Work out something that may take a while and ask provider nodes, on a thread for that.

        Raises:
            Full: too many wait.
        """
        assert self._loop is not None
        if self._planning >= READS_WAITING:
            raise Full(False)
        self._planning += 1
        try:
            return await self._loop.run_in_executor(self._planners, lambda: ask(self._engine(tenant)))
        finally:
            self._planning -= 1

    def _engine(self, tenant: str) -> Engine:
        engines: dict[str, Engine] | None = getattr(self._mine, "engines", None)
        if engines is None:
            engines = self._mine.engines = self._open()
            self._opened.append(engines)
            for name, engine in engines.items():
                engine.providers, engine.payments = self.providers, self.payments
                engine.outside = self.outside
                engine.running = self.schedules.running.get(name) if self.schedules is not None else None
        return engines[tenant]

    async def lines(self, tenant: str, ask: Callable[[Engine], Iterator[bytes]]) -> Any:
        """A long answer in chunks, over a connection and a thread of its own.

        Raises:
            Full: as many long answers as may run are under way.
        """
        assert self._loop is not None
        if self._exporting >= EXPORTS:
            raise Full(False)
        self._exporting += 1
        pool = ThreadPoolExecutor(1, thread_name_prefix="export")
        engines: dict[str, Engine] = {}

        def begin() -> Iterator[bytes]:
            engines.update(self._open())
            return _chunks(ask(engines[tenant]))

        def end() -> None:
            if engines:
                next(iter(engines.values())).store.close()

        try:
            chunks = await self._loop.run_in_executor(pool, begin)
            while chunk := await self._loop.run_in_executor(pool, next, chunks, b""):
                yield chunk
        finally:
            self._exporting -= 1
            pool.submit(end)
            pool.shutdown(wait=False)


def _look(engine: Engine) -> None:
    """Take note of what other nodes wrote."""
    assert engine.committer is not None
    with suppress(NotFound):  # no catalog yet
        _ = engine.writer
    engine.committer.look()


def _chunks(lines: Iterator[bytes], size: int = 1 << 16) -> Iterator[bytes]:
    held, length = [], 0
    for line in lines:
        held.append(line)
        length += len(line)
        if length >= size:
            yield b"".join(held)
            held, length = [], 0
    if held:
        yield b"".join(held)


def _resolve(jobs: list[Job]) -> None:
    """On the event loop: hand every waiter its answer."""
    for job in jobs:
        if job.waiter is None or job.waiter.done():
            continue  # the caller has gone; what was accepted is done all the same
        if job.error is not None:
            job.waiter.set_exception(job.error)
        else:
            job.waiter.set_result(job.result)
