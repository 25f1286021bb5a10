"""Whose turn it is to write, and what a writer remembers of the books between its turns.

Where nobody else can write, a turn is only where the chain ends. Where others write too, it begins before anything is
read and ends with COMMIT: the groups of all nodes come one after another, on one chain. What another node may have
changed meanwhile is looked up again when a turn begins, and what was not written is decided again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec
import tzdata

from apportion.engine.planned import plans_of
from apportion.engine.terms import Terms
from apportion.engine.work import Names, Work, encode
from apportion.errors import Misconfigured, StoreUnavailable, Unwritten
from apportion.ledger import proof
from apportion.model.journal import Checkpoint, Genesis, ZonesLine
from apportion.ports import Clock, Random, Signer, Store, Turn

T = TypeVar("T")
FORMAT = 1
ATTEMPTS = 20  # how often a group is decided at most, when each time nothing of it is written


def check_key(store: Store, tenant: int, signer: Signer) -> None:
    """Books that one key has signed must not go on under another: nobody could tell a forger from a lost file.

    Raises:
        Misconfigured: they were begun with another key.
    """
    first = store.row(tenant, 0, 1)
    if first and msgspec.json.decode(first.split(b"\n")[0], type=Genesis).key != signer.public():
        raise Misconfigured(
            "The signing key is not the one that these books were begun with. Put the .key file back beside the store, "
            "or name it with --key."
        )


class Turns:
    """The turns of one writer on the books of one tenant."""

    def __init__(self, store: Store, tenant: str, outside: tuple[Clock, Random, Signer]) -> None:
        self._store = store
        self._tenant_name = tenant
        self.tenant = store.tenant(tenant)
        self._clock, self._random, self._signer = outside
        self._epoch = store.peek(self.tenant).epoch  # before anything is remembered
        self.names = Names(store, self.tenant)
        self.plans = plans_of(store, self.tenant)
        self.terms: Terms | None = None
        self.reload: Callable[[], Terms] | None = None  # reads the catalog in force
        self._closed: set[tuple[str, int]] | None = None
        self._left: tuple[int, bytes, int] | None = None  # where this writer left the chain
        self._turning = False  # a working set waits to be landed
        self._others = False  # somebody else wrote since this writer's last checkpoint
        self._last_checkpoint = store.fact(self.tenant, "checkpoint")
        self._checkpointed = self._clock.now()
        self._since = self._unsigned()
        self._signed: list[str] = []  # checkpoints to be announced with the working set that holds them
        self._failed = False

        self._keyed = False

    # turns

    def work(self) -> Work:
        """An empty working set on the present head, for bookings that are no group of commands (close, catalog).

        Where writers take turns this begins one: ``land`` it, or ``release`` it. See ``booked``.

        Raises:
            StoreUnavailable: an earlier write failed, so that what is remembered here may not be what is stored.
        """
        if self._failed:
            raise StoreUnavailable("an earlier write failed. Open the store again; what was answered is in it.")
        self.release()
        turn = self._store.turn(self.tenant)
        if not self._store.alone:
            self._catch_up(turn)
        head = turn.n, turn.head
        work = Work(self._store, self.tenant, self.names, self._clock.now(), self._random.salt, head)
        if self._closed is None:
            self._closed = self._store.closed_periods(self.tenant)
        work.closed = self._closed
        if work.head[0] == 0:
            zones = tzdata.IANA_VERSION
            genesis = Genesis(self._tenant_name, FORMAT, self._signer.public())
            work.append(encode(genesis), encode(ZonesLine(zones, work.at)))
            work.writes.facts.append(("zones", zones))
        return work

    @contextmanager
    def applying(self, terms: Terms) -> Iterator[None]:
        """Prepare by ``terms``, which are about to be put into force, whatever others put into force meanwhile."""
        reload, self.reload = self.reload, None
        self.terms = terms
        try:
            yield
        except BaseException:
            self.terms = None  # the next command reads those in force
            raise
        finally:
            self.reload = reload

    def repeated(self, run: Callable[[], T]) -> T:
        """What ``run`` answers; it runs again while the store says that nothing of it was written.

        Raises:
            StoreUnavailable: not within the store's patience.
        """
        if self._store.alone:
            return run()
        began = time.monotonic()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return run()
            except Unwritten as error:
                self._forget()
                if attempt == ATTEMPTS or time.monotonic() - began > self._store.patience:
                    raise StoreUnavailable(str(error)) from error
        raise AssertionError("unreachable")

    @property
    def epoch(self) -> int:
        """The epoch of what is remembered here."""
        return self._left[2] if self._left is not None else self._epoch

    def look(self) -> None:
        """Take note of what others wrote, and write nothing."""
        if not self._store.alone:
            self._end_turn(self.work(), False)

    def release(self) -> None:
        """Give up a turn whose working set was not landed, and what was remembered with it."""
        if self._turning:
            self._forget()

    def _catch_up(self, turn: Turn) -> None:
        """Look again at whatever another node may have changed since this one wrote."""
        self._turning = True
        place = turn.n, turn.head, turn.epoch
        if turn.n and not self._keyed:
            check_key(self._store, self.tenant, self._signer)  # another node may have begun the books meanwhile
            self._keyed = True
        if self._left != place:
            self._others = True
            moved = turn.epoch != self._epoch
            self.names.renew(turn.free, whole=moved or self._left is None)
            if moved or self._left is None:
                self._closed = None
            if moved and self.terms is not None and self.reload is not None:
                self.terms = self.reload()
        self._left, self._epoch = place, turn.epoch

    def mistaken(self) -> None:
        """A decision broke half-way: drop what it left in memory, and look again at what is written."""
        self._forget()
        if self._store.alone:  # else that is done when the next turn begins
            self.names.renew(None, whole=True)
            self._closed = None

    def _forget(self) -> None:
        """Nothing that was remembered since the turn began is sure any more."""
        self._left, self._others, self._turning, self._signed = None, True, False, []
        self._store.drop()

    def note_closed(self, period: str, account: int) -> None:
        """Usage of a closed period waits from now on."""
        if self._closed is not None:
            self._closed.add((period, account))

    def _end_turn(self, work: Work, anything: bool) -> None:
        """From here on the turn is the store's to end; one that nothing is written in ends now."""
        if not self._turning:
            raise Unwritten("The turn was given up before its end. Try again.")
        self._turning = False
        self._left = *work.head, self._epoch + work.writes.epochal
        if not anything:
            self._store.drop()

    @contextmanager
    def _unless_failed(self) -> Iterator[None]:
        """Stop the writer for good when something breaks between reading the store and having written it.

        Where writers take turns it is enough to give the turn up and look again.
        """
        try:
            yield
        except BaseException:
            if self._store.alone:
                self._failed = True
            else:
                self._forget()
            raise

    # checkpoints

    def sign(self, work: Work) -> Checkpoint:
        """Sign the head and append the signature; once a second, when the writer closes, and whenever it is shown."""
        if self._others:
            self._last_checkpoint = self._store.fact(self.tenant, "checkpoint")
        n, head = work.head
        at, previous = self._clock.now(), self._last_checkpoint
        message = proof.checkpoint_message(self._tenant_name, 0, n, head.hex(), at, previous)
        made = Checkpoint(0, n, head.hex(), at, previous, self._signer.sign(message), self._tenant_name)
        line = encode(made)
        work.append(line)
        self._last_checkpoint = proof.blake3(line).hexdigest(16)
        work.writes.facts.append(("checkpoint", self._last_checkpoint))
        self._checkpointed, self._since, self._others = at, 0, False
        self._signed.append(line.decode())
        return made

    def _unsigned(self) -> int:
        """One when a writer that was killed left rows that nobody signed."""
        last = self._store.row(self.tenant, 0, self._store.head(self.tenant, 0)[0])
        return int(bool(last) and not last.startswith(b'{"type":"checkpoint"'))
