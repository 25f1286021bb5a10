"""The commit loop: the one way into the books, for one command and for a million.

A group of commands goes through *prepare* (catalog only), *prefetch* (one set-based read), *decide* (a pure fold:
each decision sees those before it, so check and effect can not be torn apart) and *commit* (one transaction, one
flush). Only then is anybody answered. COMMIT runs on a thread of its own; meanwhile the next group is prepared. Where
nobody else can write, that one is even read just before COMMIT, in the same transaction, and decided meanwhile: it sees
what COMMIT has yet to keep, and if that fails neither is written nor answered.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import tzdata

from apportion.engine.charging import UsageDecision, rejected_line
from apportion.engine.once import Once, OnceDecision
from apportion.engine.terms import Terms
from apportion.engine.value import ValueDecision
from apportion.engine.work import Names, Work, encode
from apportion.errors import StoreUnavailable
from apportion.ledger import proof
from apportion.model.command import ChargeUsage, Outcome, RejectUsage
from apportion.model.ids import key_id
from apportion.model.journal import Checkpoint, Genesis, ZonesLine
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


Decision = UsageDecision | ValueDecision | RejectDecision | OnceDecision
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
        self._failed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")

    # the loop

    def commit(self, commands: Sequence[object]) -> list[Outcome]:
        """Decide and make durable one group, then answer each command in order."""
        with _no_collection():
            decisions = [self.prepare(command) for command in commands]
            with self._unless_failed():
                work = self._prefetch(decisions)
                decided = work, [decision.decide(work) for decision in decisions]
            anything, outcomes, announced = self._stage(decided)
        with self._unless_failed():  # nothing else is on its way: another thread would only cost the handing over
            if anything:
                self._store.commit()
        if announced:
            self._announce(announced)
        return outcomes

    def stream(self, groups: Iterable[Sequence[object]]) -> Iterator[list[Outcome]]:
        """Commit group after group; the outcomes of a group are yielded once it is durable.

        Up to three groups are on their way, and nothing else may write meanwhile. Who stops listening, or fails to say
        the next group, loses no more than the answers: what was decided is written.
        """
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
                    work, decided = self._prefetch(decisions), None
                    flying = self._take_off(staged) if staged is not None else None
                    decided = work, [decision.decide(work) for decision in decisions]
                    if not self._store.alone:
                        flying, decided = self._take_off(self._stage(decided)), None
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

    @property
    def failed(self) -> bool:
        """Whether a write broke, so that this writer writes no more."""
        return self._failed

    def prepare(self, command: object) -> Decision:
        """The half of a decision that needs the catalog alone."""
        if isinstance(command, RejectUsage):
            return RejectDecision(command)
        if isinstance(command, Once):
            return OnceDecision(command, self.prepare(command.command))
        assert self.terms is not None, "apply a catalog first"
        if isinstance(command, ChargeUsage):
            return UsageDecision(command.usage, self.terms)
        return ValueDecision(command, self.terms)  # type: ignore[arg-type]

    def work(self) -> Work:
        """An empty working set on the present head, for bookings that are no group of commands (close, catalog).

        Raises:
            StoreUnavailable: an earlier write failed, so that what is remembered here may not be what is stored.
        """
        if self._failed:
            raise StoreUnavailable("an earlier write failed. Open the store again; what was answered is in it.")
        work = Work(self._store, self.tenant, self.names, self._clock.now(), self._random.salt)
        if self._closed is None:
            self._closed = self._store.closed_periods(self.tenant)
        work.closed = self._closed
        if work.head[0] == 0:
            zones = tzdata.IANA_VERSION
            genesis = Genesis(self._tenant_name, FORMAT, self._signer.public())
            work.append(encode(genesis), encode(ZonesLine(zones, work.at)))
            work.writes.facts.append(("zones", zones))
        return work

    def land(self, work: Work) -> None:
        """Make a working set durable now."""
        self._landed(self._take_off(self._stage((work, []))))

    def note_closed(self, period: str, account: int) -> None:
        """Usage of a closed period waits from now on."""
        if self._closed is not None:
            self._closed.add((period, account))

    def _prefetch(self, decisions: Sequence[Decision]) -> Work:
        """One set-based read of every key, person, account and residue that the group is known to touch."""
        self.names.trim()
        work, names, tenant, store = self.work(), self.names, self.tenant, self._store
        keys: list[Key] = []
        people: set[str] = set()
        sharing: set[str] = set()  # those whose shares are rounded, so that they keep residues
        charts: set[str] = set()
        for decision in decisions:
            keys += decision.keys()
            charts.update(decision.charts())
            named = decision.people()
            people.update(named)
            if len(named) > 1:
                sharing.update(named)
        work.seen = store.seen(tenant, keys)
        once = [key for d in decisions if isinstance(d, OnceDecision) for key in {d.once.first, d.once.key}]
        if once:
            work.answered = store.answered(tenant, once)
        payers = self._payers(people)
        absent = sorted([key for key in charts if key not in names.accounts])
        if absent:
            names.accounts.update(store.account_keys(tenant, absent))
        numbers = [names.accounts[key] for key in charts if key in names.accounts]
        work.accounts = store.accounts(tenant, sorted({*numbers, *payers}))
        if sharing:
            numbers += self._payers(sharing)
        work.residues = dict.fromkeys(numbers, 0) | store.residues(tenant, sorted(numbers))
        return work

    def _payers(self, people: set[str]) -> list[int]:
        """Numbers of the accounts, in any currency, of people by name; those that are not known yet are looked up."""
        names, tenant, store = self.names, self.tenant, self._store
        unknown = sorted([name for name in people if name not in names.people])
        if unknown:
            names.people.update(store.handles(tenant, unknown))
        numbers, wanted = [], {}
        parties = [names.people[name] for name in people if name in names.people]
        for _, asset in names.assets.values():
            for party in parties:
                number = names.payers.get((party, asset.code))
                if number is not None:
                    numbers.append(number)
                else:
                    wanted[f"payer:{party}:{asset}"] = (party, asset.code)
        if wanted:
            found = store.account_keys(tenant, sorted(wanted))
            names.payers.update((wanted[key], number) for key, number in found.items())
            numbers += found.values()
        return numbers

    def _stage(self, decided: Decided) -> Staged:
        """Put a decided group into a transaction of its own."""
        work, outcomes = decided
        announced = ""
        with self._unless_failed():
            rows = len(work.writes.journal)
            if rows:
                self._since += rows
                if self._clock.now()[:19] != self._checkpointed[:19]:
                    announced = self._checkpoint(work)
            writes = work.finish()
            anything = bool(writes.journal or writes.accounts or writes.facts or writes.answered)
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

    @contextmanager
    def _unless_failed(self) -> Iterator[None]:
        """Stop the writer for good when something breaks between reading the store and having written it."""
        try:
            yield
        except BaseException:
            self._failed = True
            raise

    # checkpoints

    def _checkpoint(self, work: Work) -> str:
        """Sign the head and append the signature; once a second, and when the writer closes."""
        n, head = work.head
        at, previous = self._clock.now(), self._last_checkpoint
        message = proof.checkpoint_message(self._tenant_name, 0, n, head.hex(), at, previous)
        line = encode(Checkpoint(0, n, head.hex(), at, previous, self._signer.sign(message), self._tenant_name))
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
        """Seal and stop the writer; what a failed one wrote last stays unsigned until the next writer's checkpoint."""
        if not self._failed:
            self.seal()
        self._thread.shutdown()
