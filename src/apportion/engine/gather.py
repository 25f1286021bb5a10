"""Gathering: many callers at once, one writer. What waits is taken as one group, made durable together, answered once.

The writer thread owns the engines. A long request is cut into pieces that take turns with the short ones. What was
accepted is finished, also when the node is told to stop; what can not be taken is refused before it is accepted.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from apportion.engine.commit import Decision, Flight
from apportion.engine.engine import Engine
from apportion.engine.tend import Tending
from apportion.engine.undecided import Salvaged, Undecided
from apportion.errors import StoreUnavailable
from apportion.model.command import Outcome

GROUP, PIECE = 1000, 250
_STOPPED = "The node is stopping. Send the request again, with the same Idempotency-Key, when it is ready."
_FAILED = (
    "The store failed while this was being written. Ask again, with the same Idempotency-Key, when the node is back."
)


_AWAY = "The store can not be reached. Send the request again, with the same Idempotency-Key, when the node is ready."
_ASK = 0.2  # seconds between two questions whether the store is back


class Full(Exception):
    """More waits than the node takes; ``mine`` says that it is this tenant's own doing."""

    def __init__(self, mine: bool) -> None:
        super().__init__("Too much is waiting. Send the request again in a second.")
        self.mine = mine


class Job:
    """One request on its way: ``commands`` for the next groups, or an ``act`` that needs the writer alone.

    ``tell`` makes the answer when everything is durable; ``waiter`` is the caller's own.
    """

    __slots__ = ("act", "answered", "commands", "error", "outcomes", "result", "taken", "tell", "tenant", "waiter")

    def __init__(
        self,
        tenant: str,
        commands: Sequence[object] = (),
        tell: Callable[[Engine, list[Outcome]], Any] | None = None,
        act: Callable[[Engine], Any] | None = None,
    ) -> None:
        self.tenant, self.commands, self.tell, self.act = tenant, commands, tell, act
        self.taken = 0  # how many of the commands are decided, or about to be
        self.outcomes: list[Outcome] = []
        self.answered = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.waiter: Any = None

    @property
    def weight(self) -> int:
        """How many records wait with it."""
        return max(1, len(self.commands))

    @property
    def done(self) -> bool:
        """Whether there is an answer."""
        return self.error is not None or self.act is not None or len(self.outcomes) == len(self.commands)


Pieces = list[tuple[Job, Sequence[object]]]


class Flying(NamedTuple):
    """A group that is decided, but not answered: its COMMIT may still run."""

    engine: Engine
    mine: Pieces
    commands: list[object]
    flight: Flight


class Gatherer:
    """The writer thread of a node, and the queue before it.

    ``wake`` is called once per group with the jobs that are done; ``broken`` when the store failed and no more can be
    written. ``waiting`` records are taken at most.
    """

    def __init__(
        self,
        engines: dict[str, Engine],
        wake: Callable[[list[Job]], None],
        broken: Callable[[], None] = lambda: None,
        waiting: int = 20_000,
        pause: float = 1.0,
    ) -> None:
        self._engines, self._wake, self._broken, self._pause = engines, wake, broken, pause
        self._limit = waiting
        self._jobs: deque[Job] = deque()
        self._waiting: dict[str, int] = dict.fromkeys(engines, 0)
        self._total = 0
        self._flying: Flying | None = None
        self._turn = threading.Condition()
        self._stopping = self.failed = self._away = False
        self.reason = ""
        self.turned: Callable[[], None] = lambda: None  # told after every round: something may have been committed
        self._tending = {name: Tending(engine) for name, engine in engines.items()}
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        """Begin to take jobs."""
        self._thread.start()

    def also(self, tenant: str, look: Callable[[], None]) -> None:
        """Let the writer look after something else too, about once a second; before it starts."""
        self._tending[tenant].also.append(look)

    def submit(self, job: Job) -> None:
        """Accept a job; it will be answered.

        Raises:
            Full: the queue has no room.
            StoreUnavailable: the node is stopping or has failed.
        """
        with self._turn:
            if self._stopping or self.failed or self._away:
                raise StoreUnavailable(_FAILED if self.failed else _STOPPED if self._stopping else _AWAY)
            mine = self._waiting[job.tenant]
            if self._total and self._total + job.weight > self._limit:
                raise Full(mine * 2 > self._limit)
            if mine and len(self._waiting) > 1 and (mine + job.weight) * 2 > self._limit:
                raise Full(True)
            self._count(job, job.weight)
            self._jobs.append(job)
            if len(self._jobs) == 1:
                self._turn.notify()

    @property
    def down(self) -> bool:
        """Whether nothing can be written now."""
        return self.failed or self._away or any(engine.store.away for engine in self._engines.values())

    @property
    def waiting(self) -> int:
        """How many records wait."""
        return self._total

    def stop(self) -> None:
        """Take no more, finish what was accepted, and come back when that is done."""
        with self._turn:
            self._stopping = True
            self._turn.notify()
        self._thread.join()

    def _count(self, job: Job, weight: int) -> None:
        self._waiting[job.tenant] += weight
        self._total += weight

    # the writer

    def _run(self) -> None:
        tended = time.monotonic()
        while True:
            with self._turn:
                if not self._jobs and not self._stopping:
                    self._turn.wait(self._pause)
                if not self._jobs and self._stopping:
                    return
                taken = self._take()
            try:
                self._work(taken)
                due = time.monotonic() - tended > self._pause or any(t.soon for t in self._tending.values())
                if due or self._away:
                    self._land()
                if due:
                    self._tend()
                    tended = time.monotonic()
            except BaseException as error:
                self._fail(taken, error)
                return
            self.turned()
            if self._away:
                self._await_store()

    def _take(self) -> Pieces:
        """The next group: pieces of the jobs in turn, or one job that needs the writer alone."""
        taken: Pieces = []
        room, again = GROUP, deque[Job]()
        while self._jobs and room > 0:
            job = self._jobs[0]
            if job.act is not None:
                if taken:
                    break
                self._jobs.popleft()
                taken.append((job, ()))
                break
            self._jobs.popleft()
            piece = job.commands[job.taken : job.taken + min(PIECE, room)]
            taken.append((job, piece))
            room -= max(1, len(piece))
            job.taken += len(piece)
            if job.taken < len(job.commands):
                again.append(job)
        self._jobs.extend(again)
        return taken

    def _work(self, taken: Pieces) -> None:
        """Carry out a group, tenant by tenant."""
        for tenant in dict.fromkeys(job.tenant for job, _ in taken):
            mine = [(job, piece) for job, piece in taken if job.tenant == tenant]
            engine = self._engines[tenant]
            if mine[0][0].act is not None:
                self._land()
                self._act(engine, mine[0][0])
                self._finish(engine, mine)
            else:
                self._group(engine, mine)

    def _group(self, engine: Engine, mine: Pieces) -> None:
        """One group through the commit loop. While its COMMIT runs the next group is prepared, if there is a whole one.

        For a few small requests, handing COMMIT to the other thread takes longer than what is gained.
        """
        assert engine.committer is not None
        commands = [command for _, piece in mine for command in piece]
        if engine.committer.terms is None:  # the first catalog may be read and noted now, so nothing else may fly
            self._land()
        made: Sequence[Decision] | Exception
        try:
            made = engine.writer.prepared(commands)
        except Exception as error:
            made = error
        self._land()
        whole = [(job, piece) for job, piece in mine if job.error is None]
        if len(whole) < len(mine):  # an earlier piece of a request failed just now, and the request with it
            if whole:
                self._group(engine, whole)
            return
        try:
            if isinstance(made, Exception):
                raise made
            flight = engine.writer.launch(commands, made, aside=bool(self._jobs) and self._total > GROUP)
        except Exception as error:
            self._settle(engine, mine, error)
            self._finish(engine, mine)
            return
        self._flying = Flying(engine, mine, commands, flight)
        if flight[0].done():
            self._land()

    def _land(self) -> None:
        """Wait for the COMMIT that is under way, and answer."""
        if self._flying is None:
            return
        engine, mine, commands, flight = self._flying
        try:
            self._note(mine, (engine.writer.landed(flight, commands), {}))
        except Exception as error:
            self._settle(engine, mine, error)
        self._flying = None
        self._finish(engine, mine)

    def _settle(self, engine: Engine, mine: Pieces, error: Exception) -> None:
        """A group could not be written as a whole: a job of which no decision can be made fails alone."""
        if engine.committer is None or engine.committer.failed:
            raise error
        if isinstance(error, Undecided):
            try:
                self._note(mine, engine.writer.salvage([command for _, piece in mine for command in piece]))
            except Exception as worse:
                self._settle(engine, mine, worse)
            return
        if self._lost(engine, error) or len(mine) == 1:
            for job, _ in mine:
                job.error = error
            return
        for one in mine:
            try:
                self._note([one], engine.writer.salvage(one[1]))
            except Exception as own:
                self._settle(engine, [one], own)

    def _note(self, mine: Pieces, salvaged: Salvaged) -> None:
        """Give every job the outcomes of its piece."""
        outcomes, broken = salvaged
        at = 0
        for job, piece in mine:
            job.outcomes += outcomes[at : at + len(piece)]
            if broken:
                job.error = next((broken[place] for place in range(at, at + len(piece)) if place in broken), None)
            at += len(piece)

    def _finish(self, engine: Engine, mine: Pieces) -> None:
        """Answer the jobs that are done with a group."""
        self._tending[engine.tenant_name].noted(mine)
        done = [job for job, _ in mine if job.done]
        for job in done:
            if job.error is None and job.tell is not None:
                try:
                    job.result = job.tell(engine, job.outcomes)
                except Exception as error:
                    job.error = error
        self._answer(done)

    def _act(self, engine: Engine, job: Job) -> None:
        act, committer = job.act, engine.committer
        assert act is not None and committer is not None
        try:
            job.result = committer.repeated(lambda: act(engine))
        except Exception as error:
            if committer.failed:
                raise
            job.error = error
            self._lost(engine, error)
        finally:
            committer.release()

    def _lost(self, engine: Engine, error: Exception) -> bool:
        """Whether a store that others write too was away for too long; it is waited for then."""
        lost = isinstance(error, StoreUnavailable) and not engine.store.alone
        self._away = self._away or lost
        return lost

    def _await_store(self) -> None:
        """Refuse whatever waits, and ask until the store is back."""
        with self._turn:
            left = list(self._jobs)
            self._jobs.clear()
        for job in left:
            job.error, job.result = StoreUnavailable(_AWAY), None
        self._answer(left)
        while self._away:
            try:
                for engine in self._engines.values():
                    engine.store.peek(engine.tenant)
                self._away = False
            except StoreUnavailable:
                if self._stopping:
                    return
                time.sleep(_ASK)

    def _tend(self) -> None:
        for name, tending in self._tending.items():
            try:
                tending.tend()
            except Exception as error:
                if not self._lost(self._engines[name], error):
                    raise

    def _answer(self, done: list[Job]) -> None:
        if done:
            with self._turn:
                for job in done:
                    job.answered = True
                    self._count(job, -job.weight)
                    if job.error is not None and job in self._jobs:
                        self._jobs.remove(job)
            self._wake(done)

    def _fail(self, taken: Pieces, error: BaseException) -> None:
        """The store broke: nobody who waits is told that anything was written, and nobody waits in vain."""
        with self._turn:
            self.failed = True
            flying = self._flying.mine if self._flying is not None else []
            left = [
                job for job in dict.fromkeys([*(job for job, _ in [*flying, *taken]), *self._jobs]) if not job.answered
            ]
            self._jobs.clear()
        for job in left:
            job.error, job.result = StoreUnavailable(_FAILED), None
        self.reason = f"{type(error).__name__}: {error}"
        self._wake(left)
        self._broken()
