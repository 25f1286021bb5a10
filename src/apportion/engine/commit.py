"""The commit loop: the one way into the books, for one command and for a million.

A group of commands goes through *prepare* (catalog only), *prefetch* (one set-based read), *decide* (a pure fold:
each decision sees those before it, so check and effect can not be torn apart) and *commit* (one transaction, one
flush). Only then is anybody answered. COMMIT runs on a thread of its own; meanwhile the next group is prepared. Where
nobody else can write, that one is even read just before COMMIT, in the same transaction, and decided meanwhile: it sees
what COMMIT has yet to keep, and if that fails neither is written nor answered.

Where others write too, writers take turns (``turns.py``).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from apportion.engine.deciding import Decision, decision_of
from apportion.engine.prefetch import prefetch
from apportion.engine.terms import Terms
from apportion.engine.turns import Turns
from apportion.engine.undecided import Salvaged, Undecided, salvage
from apportion.engine.work import Work
from apportion.errors import NotFound, StoreUnavailable, Unwritten
from apportion.model.catalog import Catalog
from apportion.model.command import Outcome
from apportion.ports import Clock, Random, Signer, Store

T = TypeVar("T")
GROUP = 1000


Decided = tuple[Work, list[Outcome]]
#: whether there is anything to keep, the outcomes, and the checkpoint to announce
Staged = tuple[bool, list[Outcome], str]
Flight = tuple[Future[None], list[Outcome], str]


@contextmanager
def _no_collection() -> Iterator[None]:
    """Let the cycle collector wait until a group is done: it makes no cycles, and looking for them costs a fifth."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _landed_already() -> Future[None]:
    nothing: Future[None] = Future()
    nothing.set_result(None)
    return nothing


class Committer(Turns):
    """The writer of one tenant's books.

    ``announce`` is told of every checkpoint once it is durable (the outside head, ``<store>.heads``).
    """

    def __init__(
        self,
        store: Store,
        tenant: str,
        outside: tuple[Clock, Random, Signer],
        announce: Callable[[str], None] = lambda line: None,
    ) -> None:
        super().__init__(store, tenant, outside)
        self._announce = announce
        self._versions: dict[str, Terms] = {}
        self._idle = (0, b"")  # the head a second ago
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")

    # the loop

    def commit(self, commands: Sequence[object]) -> list[Outcome]:
        """Decide and make durable one group, then answer each command in order.

        Raises:
            StoreUnavailable: nothing is known to be written; the same commands with the same keys may be sent again.
            Undecided: a decision broke; nothing of the group is written, and the writer goes on.
        """
        if not commands:
            return []
        decisions = self.prepared(commands)
        return self.repeated(lambda: self._commit(commands, decisions))

    def launch(self, commands: Sequence[object], decisions: Sequence[Decision], *, aside: bool) -> Flight:
        """``commit`` in two steps, of what was ``prepared``: ``landed`` answers. ``aside`` puts COMMIT on the other
        thread, so that the next group may be prepared meanwhile; nothing else may be asked of the writer then.

        Raises:
            Undecided, StoreUnavailable: as ``commit``.
        """
        if not aside:
            return _landed_already(), self.repeated(lambda: self._commit(commands, decisions)), ""
        with _no_collection():
            staged = self.repeated(lambda: self._stage(self._decide(commands, decisions)))
        return self._take_off(staged)

    def _commit(self, commands: Sequence[object], decisions: Sequence[Decision]) -> list[Outcome]:
        with _no_collection():
            anything, outcomes, announced = self._stage(self._decide(commands, decisions))
        with self._unless_failed():  # nothing else is on its way: another thread would only cost the handing over
            if anything:
                self._store.commit()
        if announced:
            self._announce(announced)
        return outcomes

    def salvage(self, commands: Sequence[object]) -> Salvaged:
        """Commit all that can be decided; what broke a decision stands at the place of its command."""
        return salvage(self.commit, lambda: self._failed, commands)

    def booked(self, fill: Callable[[Work], T]) -> T:
        """Have ``fill`` book on an empty working set, and make that durable; again when nothing was written."""

        def once() -> T:
            work = self.work()
            try:
                found = fill(work)
            except BaseException:
                self.release()
                raise
            self.land(work)
            return found

        return self.repeated(once)

    def stream(self, groups: Iterable[Sequence[object]]) -> Iterator[list[Outcome]]:
        """Commit group after group; the outcomes of a group are yielded once it is durable.

        Up to three groups are on their way, and nothing else may write meanwhile. Who stops listening, or fails to say
        the next group, loses no more than the answers: what was decided is written.
        """
        if not self._store.alone:
            yield from self._stream_in_turns(groups)
            return
        flying: Flight | None = None
        decided: Decided | None = None
        try:
            for commands in groups:
                with _no_collection():
                    decisions = [self.prepare(command) for command in commands]
                if flying is not None:
                    outcomes, flying = self._landed(flying), None
                    yield outcomes
                with self._unless_failed(), _no_collection():
                    staged = self._stage(decided) if decided is not None else None
                    work, decided = prefetch(self.work(), self._store, decisions), None
                    flying = self._take_off(staged) if staged is not None else None
                    decided = work, [decision.decide(work) for decision in decisions]
            if flying is not None:
                outcomes, flying = self._landed(flying), None
                yield outcomes
            if decided is not None:
                flying, decided = self._take_off(self._stage(decided)), None
                outcomes, flying = self._landed(flying), None
                yield outcomes
        finally:
            if flying is not None:
                self._landed(flying)
            if decided is not None and not self._failed:
                self._landed(self._take_off(self._stage(decided)))

    def _stream_in_turns(self, groups: Iterable[Sequence[object]]) -> Iterator[list[Outcome]]:
        """The same with a turn for every group: while COMMIT runs the next one is said and prepared."""
        flying: tuple[Flight, Sequence[object]] | None = None
        try:
            for commands in groups:
                with _no_collection():
                    decisions = [self.prepare(command) for command in commands]
                if flying is not None:
                    landing, flying = flying, None
                    yield self.landed(*landing)
                with _no_collection():
                    staged = self.repeated(lambda: self._stage(self._decide(commands, decisions)))  # noqa: B023
                flying = self._take_off(staged), commands
            if flying is not None:
                landing, flying = flying, None
                yield self.landed(*landing)
        finally:
            if flying is not None:
                self.landed(*flying)

    def landed(self, flying: Flight, commands: Sequence[object]) -> list[Outcome]:
        """The outcomes of a group that took off; one that did not land is decided again."""
        try:
            return self._landed(flying)
        except Unwritten:
            return self.commit(commands)

    @property
    def failed(self) -> bool:
        """Whether a write broke, so that this writer writes no more; one that takes turns goes on with the next."""
        return self._failed

    def prepare(self, command: object) -> Decision:
        """The half of a decision that needs the catalog alone."""
        return decision_of(command, self.terms, self.version)

    def version(self, id: str) -> Terms:
        """A catalog version that was in force earlier, compiled; a few are kept.

        Raises:
            NotFound: nobody ever applied it.
        """
        found = self._versions.get(id)
        if found is None:
            body = self._store.document(self.tenant, id)
            if not body:
                raise NotFound(f"The books have no catalog {id[:60]!r}.")
            if len(self._versions) >= 16:
                self._versions.pop(next(iter(self._versions)))
            scale = {code: asset.scale for code, (_, asset) in self.names.assets.items()}.get
            found = self._versions[id] = Terms(msgspec.json.decode(body, type=Catalog), id, scale, self.plans)
        return found

    def land(self, work: Work) -> None:
        """Make a working set durable now."""
        self._landed(self._take_off(self._stage((work, []))))

    def _decide(self, commands: Sequence[object], decisions: Sequence[Decision]) -> Decided:
        """Read and decide a group; it is prepared again when the catalog is no longer the one it was prepared by."""
        terms = self.terms
        with self._unless_failed():
            work = self.work()
            if self.terms is not terms:
                decisions = [self.prepare(command) for command in commands]
            work = prefetch(work, self._store, decisions)
        return work, self._folded(work, decisions)

    def prepared(self, commands: Sequence[object]) -> list[Decision]:
        """``prepare`` for a group.

        Raises:
            Undecided: one of them can not be prepared.
        """
        made: list[Decision] = []
        try:
            with _no_collection():
                for command in commands:
                    made.append(self.prepare(command))
        except Exception as error:
            raise Undecided(len(made), error) from error
        return made

    def _folded(self, work: Work, decisions: Sequence[Decision]) -> list[Outcome]:
        """Decide one after another; when one breaks half-way, what all of them left in memory is dropped.

        Raises:
            Undecided: with the place of the one that broke.
        """
        outcomes: list[Outcome] = []
        try:
            for decision in decisions:
                outcomes.append(decision.decide(work))
        except BaseException as error:
            with self._unless_failed():
                if isinstance(error, StoreUnavailable) or not isinstance(error, Exception):
                    raise
                self.mistaken()
            raise Undecided(len(outcomes), error) from error
        return outcomes

    def _stage(self, decided: Decided) -> Staged:
        """Put a decided group into a transaction of its own."""
        work, outcomes = decided
        with self._unless_failed():
            rows = len(work.writes.journal)
            if rows:
                self._since += rows
                if self._clock.now()[:19] != self._checkpointed[:19]:
                    self.sign(work)
            announced, self._signed = "\n".join(self._signed), []
            writes = work.finish()
            anything = bool(writes.journal or writes.accounts or writes.facts or writes.answered)
            if not self._store.alone:
                self._end_turn(work, anything)
            if anything:
                self._store.stage(writes)
        return anything, outcomes, announced

    def _take_off(self, staged: Staged) -> Flight:
        """Let the other thread make it durable."""
        anything, outcomes, announced = staged
        return self._thread.submit(self._store.commit) if anything else _landed_already(), outcomes, announced

    def _landed(self, flying: Flight) -> list[Outcome]:
        future, outcomes, announced = flying
        with self._unless_failed():
            future.result()
        if announced:
            self._announce(announced)
        return outcomes

    # checkpoints

    def seal(self) -> None:
        """Write a checkpoint of whatever came since the last one."""
        announced = self.repeated(self._seal)
        if announced:
            self._announce(announced)

    def _seal(self) -> str:
        work = self.work()
        if self._others:
            self._since = self._unsigned()
        if not self._since and not work.writes.journal:
            if not self._store.alone:
                self._end_turn(work, False)
            return ""
        self.sign(work)
        with self._unless_failed():
            announced, self._signed = "\n".join(self._signed), []
            writes = work.finish()
            if not self._store.alone:
                self._end_turn(work, True)
            self._store.write(writes)
        return announced

    def tick(self) -> None:
        """Once a second: sign what is not signed, unless another node that goes on writing will."""
        if self._store.alone:
            self.seal()
            return
        found = self._store.peek(self.tenant)
        head, idle = (found.n, found.head), self._idle
        self._idle = head
        mine = self._left is not None and self._left[:2] == head
        if found.n and ((mine and self._since) or (not mine and head == idle)):
            self.seal()

    def close(self) -> None:
        """Seal and stop the writer; what a failed one wrote last stays unsigned until the next writer's checkpoint."""
        if not self._failed:
            self.seal()
        self._thread.shutdown()
