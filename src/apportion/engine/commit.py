"""The commit loop: the one way into the books, for one command and for a million.

A group of commands goes through *prepare* (catalog only), *prefetch* (one set-based read), *decide* (a pure fold:
each decision sees those before it, so check and effect can not be torn apart) and *commit* (one transaction, one
flush). Only then is anybody answered. COMMIT runs on a thread of its own, so the next group is prepared meanwhile.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from apportion.engine.charging import UsageDecision, rejected_line
from apportion.engine.terms import Terms
from apportion.engine.value import ValueDecision
from apportion.engine.work import Names, Work, encode
from apportion.ledger import proof
from apportion.model.command import ChargeUsage, Outcome, RejectUsage
from apportion.model.ids import key_id
from apportion.model.journal import Checkpoint, Genesis
from apportion.model.usage import UsageClass
from apportion.ports import Clock, Key, Random, Signer, Store

GROUP = 1000
FORMAT = 1


class RejectDecision:
    """A record that could not even be read, written down once."""

    def __init__(self, command: RejectUsage) -> None:
        self.command = command
        self.key = proof.record_key(command.source, command.id or command.digest.hex())

    def keys(self) -> tuple[Key, ...]:
        return (self.key,)

    def people(self) -> list[str]:
        return []

    def charts(self) -> list[str]:
        return []

    def decide(self, work: Work) -> Outcome:
        command, digest = self.command, self.command.digest[:8]
        if self.key not in work.seen:
            line = rejected_line(self.key, command.source, command.id, "", digest, command.refusal)
            work.record(self.key, UsageClass.REJECTED.value, digest, line)
        return Outcome(UsageClass.REJECTED, key_id("usg", self.key), command.refusal)


Decision = UsageDecision | ValueDecision | RejectDecision


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


class Committer:
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
        self._store = store
        self._tenant_name = tenant
        self.tenant = store.tenant(tenant)
        self._clock, self._random, self._signer = outside
        self._announce = announce
        self.names = Names(store, self.tenant)
        self.terms: Terms | None = None
        self._closed: set[tuple[str, int]] | None = None
        self._last_checkpoint = store.fact(self.tenant, "checkpoint") or ""
        self._checkpointed = self._clock.now()
        self._since = self._unsigned()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")

    # the loop

    def commit(self, commands: Sequence[object]) -> list[Outcome]:
        """Decide and make durable one group, then answer each command in order."""
        return next(iter(self.stream([commands])), [])

    def stream(self, groups: Iterable[Sequence[object]]) -> Iterator[list[Outcome]]:
        """Commit group after group; the outcomes of a group are yielded once it is durable."""
        flying: tuple[Future[None], list[Outcome], str] | None = None
        for commands in groups:
            with _no_collection():
                decisions = [self.prepare(command) for command in commands]
            if flying is not None:
                yield self._landed(flying)
            with _no_collection():
                work = self._prefetch(decisions)
                outcomes = [decision.decide(work) for decision in decisions]
                flying = self._take_off(work, outcomes)
        if flying is not None:
            yield self._landed(flying)

    def prepare(self, command: object) -> Decision:
        """The half of a decision that needs the catalog alone."""
        if isinstance(command, RejectUsage):
            return RejectDecision(command)
        assert self.terms is not None, "apply a catalog first"
        if isinstance(command, ChargeUsage):
            return UsageDecision(command.usage, self.terms)
        return ValueDecision(command, self.terms)  # type: ignore[arg-type]

    def work(self) -> Work:
        """An empty working set on the present head, for bookings that are no group of commands (close, catalog)."""
        work = Work(self._store, self.tenant, self.names, self._clock.now(), self._random.salt)
        if self._closed is None:
            self._closed = self._store.closed_periods(self.tenant)
        work.closed = self._closed
        if work.head[0] == 0:
            work.append(encode(Genesis(self._tenant_name, FORMAT, self._signer.public())))
        return work

    def land(self, work: Work) -> None:
        """Make a working set durable now."""
        self._landed(self._take_off(work, []))

    def note_closed(self, period: str, account: int) -> None:
        """Usage of a closed period waits from now on."""
        if self._closed is not None:
            self._closed.add((period, account))

    def _prefetch(self, decisions: Sequence[Decision]) -> Work:
        """One set-based read of every key, person, account and residue that the group is known to touch."""
        self.names.trim()
        work, names, tenant, store = self.work(), self.names, self.tenant, self._store
        work.seen = store.seen(tenant, [key for decision in decisions for key in decision.keys()])
        people = {name for decision in decisions for name in decision.people()}
        unknown = sorted(people - names.people.keys())
        if unknown:
            names.people.update(store.handles(tenant, unknown))
        charts = {key for decision in decisions for key in decision.charts()}
        assets = [asset for _, asset in names.assets.values()]
        charts.update(f"payer:{names.people[name]}:{asset}" for name in people & names.people.keys() for asset in assets)
        absent = sorted(charts - names.accounts.keys())
        if absent:
            names.accounts.update(store.account_keys(tenant, absent))
        numbers = sorted(names.accounts[key] for key in charts & names.accounts.keys())
        work.accounts = store.accounts(tenant, numbers)
        work.residues = dict.fromkeys(numbers, 0) | store.residues(tenant, numbers)
        return work

    def _take_off(self, work: Work, outcomes: list[Outcome]) -> tuple[Future[None], list[Outcome], str]:
        announced = ""
        rows = len(work.writes.journal)
        if rows:
            self._since += rows
            if self._clock.now()[:19] != self._checkpointed[:19]:
                announced = self._checkpoint(work)
        writes = work.finish()
        if not (writes.journal or writes.accounts or writes.facts):
            return _landed_already(), outcomes, announced
        self._store.stage(writes)
        return self._thread.submit(self._store.commit), outcomes, announced

    def _landed(self, flying: tuple[Future[None], list[Outcome], str]) -> list[Outcome]:
        future, outcomes, announced = flying
        future.result()
        if announced:
            self._announce(announced)
        return outcomes

    # checkpoints

    def _checkpoint(self, work: Work) -> str:
        """Sign the head and append the signature; once a second, and when the writer closes."""
        n, head = work.head
        at, previous = self._clock.now(), self._last_checkpoint
        message = proof.checkpoint_message(self._tenant_name, 0, n, head.hex(), at, previous)
        line = encode(Checkpoint(0, n, head.hex(), at, previous, self._signer.sign(message)))
        work.append(line)
        self._last_checkpoint = proof.blake3(line).hexdigest(16)
        work.writes.facts.append(("checkpoint", self._last_checkpoint))
        self._checkpointed, self._since = at, 0
        return line.decode()

    def _unsigned(self) -> int:
        """One when a writer that was killed left rows that nobody signed."""
        last = self._store.row(self.tenant, 0, self._store.head(self.tenant, 0)[0])
        return int(bool(last) and not last.startswith(b'{"type":"checkpoint"'))

    def seal(self) -> None:
        """Write a checkpoint of whatever came since the last one."""
        work = self.work()
        if self._since or work.writes.journal:
            announced = self._checkpoint(work)
            self._store.write(work.finish())
            self._announce(announced)

    def close(self) -> None:
        """Seal and stop the writer."""
        self.seal()
        self._thread.shutdown()
