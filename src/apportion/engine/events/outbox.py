"""The outbox: what is to be told to whom, how far that has come, and who may do the telling.

What there is to tell stands in the journal; kept here is one place in it per webhook, moved on after each event that
was accepted, so that whoever takes over after a crash sends again at most what was on its way. Where several nodes
share the books, one of them tells at a time: it holds a lease, which every note of progress checks and renews.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.work import Work
from apportion.model.webhook import Progress

#: the first wait after a failure in seconds, and the longest; a webhook that failed for so many days is disabled
FIRST, LONGEST, DAYS = 5, 86_400, 3
LEASE_SECONDS = 9
_GONE = 410
_FACT, _LEASE = "webhook:", "webhook lease"


class Lease(msgspec.Struct, frozen=True):
    """Who tells the outside of this tenant's events, and until when unless it says so again."""

    node: str
    until: str


class Told(msgspec.Struct, frozen=True):
    """How one try ended: the ``status`` of the answer, 0 when there was none."""

    place: int
    event: str
    status: int

    @property
    def accepted(self) -> bool:
        """Whether the receiver has it."""
        return 200 <= self.status < 300


def after(progress: Progress, told: Told, now: str, spread: int, first: int = FIRST) -> Progress:
    """How a webhook stands after a try; ``spread`` (0 to 999) is chance, so that many do not come back together.

    A failure is followed by a wait that doubles from ``first`` seconds up to a day, a quarter of it by chance.
    """
    if told.accepted:
        return Progress(told.place, told.event, now, resumed=progress.resumed)
    note = f"answered {told.status}" if told.status else "no answer"
    failing, failures = progress.failing or now, progress.failures + 1
    if told.status == _GONE or later(failing, DAYS * 86_400) <= now:
        why = "it is gone" if told.status == _GONE else f"nothing was accepted for {DAYS} days"
        return msgspec.structs.replace(
            progress, failing=failing, failures=failures, note=f"{note}; {why}", next="", disabled=now
        )
    wait = min(first << min(failures - 1, 20), LONGEST) * 1000
    wait += wait * (spread - 500) // 4000
    return msgspec.structs.replace(
        progress, failing=failing, failures=failures, note=note, next=later(now, 0, min(wait, LONGEST * 1000))
    )


def later(at: str, seconds: int, milliseconds: int = 0) -> str:
    """An instant so much after another one."""
    when = datetime.fromisoformat(at) + timedelta(seconds=seconds, milliseconds=milliseconds)
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z")


def seconds_until(at: str, now: str) -> int:
    """How many whole seconds there are to wait, at least 0."""
    left = datetime.fromisoformat(at) - datetime.fromisoformat(now) if at else timedelta()
    return max(0, -(-left // timedelta(seconds=1)))


# ── kept in the store, changed by the writer alone ──


def progress_of(engine: Engine, webhook: str) -> Progress | None:
    """How far a webhook has come; None when nothing was noted yet."""
    text = engine.store.fact(engine.tenant, _FACT + webhook)
    return msgspec.json.decode(text, type=Progress) if text else None


def save(engine: Engine, steps: Mapping[str, Progress], node: str) -> bool:
    """Note how far webhooks have come; False, and nothing is noted, when another node has the lease.

    What somebody resumed meanwhile stays as it was left, and no place ever moves back.
    """

    def fill(work: Work) -> bool:
        if not engine.store.alone:
            lease = _lease(engine)
            if lease is None or lease.node != node:
                return False
            work.writes.facts.append(_leased(node, later(engine.clock.now(), LEASE_SECONDS)))
        for webhook, progress in steps.items():
            stored = progress_of(engine, webhook)
            if stored is None or (stored.resumed <= progress.resumed and stored.place <= progress.place):
                work.writes.facts.append(noted(webhook, progress))
        return True

    return _book(engine, fill)


def take(engine: Engine, node: str) -> bool:
    """Take or renew the lease; False while another node has it. Who is alone needs none."""

    def fill(work: Work) -> bool:
        now = engine.clock.now()
        mine = free(engine, node, now)
        if mine:
            work.writes.facts.append(_leased(node, later(now, LEASE_SECONDS)))
        return mine

    return engine.store.alone or _book(engine, fill)


def give_up(engine: Engine, node: str) -> None:
    """Let another node take the lease at once."""

    def fill(work: Work) -> bool:
        lease = _lease(engine)
        if lease is not None and lease.node == node:
            work.writes.facts.append(_leased("", ""))
        return True

    if not engine.store.alone:
        _book(engine, fill)


def noted(webhook: str, progress: Progress) -> tuple[str, str]:
    """How far a webhook has come, as the fact that says so."""
    return _FACT + webhook, msgspec.json.encode(progress).decode()


def _book(engine: Engine, fill: Callable[[Work], bool]) -> bool:
    assert engine.committer is not None, "the books were opened for reading"
    return engine.committer.booked(fill)


def free(engine: Engine, node: str, now: str) -> bool:
    """Whether this node has the lease or could take it."""
    lease = _lease(engine)
    return lease is None or lease.node == node or lease.until <= now


def _lease(engine: Engine) -> Lease | None:
    text = engine.store.fact(engine.tenant, _LEASE)
    return msgspec.json.decode(text, type=Lease) if text else None


def _leased(node: str, until: str) -> tuple[str, str]:
    return _LEASE, msgspec.json.encode(Lease(node, until)).decode()
