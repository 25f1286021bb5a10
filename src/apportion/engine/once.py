"""Once for ever: a request that names a key has its effect a single time, and its answer again whenever it comes.

The key is remembered in the transaction that has the effect. A refusal changes nothing and is not remembered, so the
same request may be tried again under the same key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from apportion.engine.blocks import BLOCK
from apportion.engine.charging import DONE
from apportion.engine.work import Work
from apportion.errors import Refusal, RefusalCode, Refused
from apportion.ledger import proof
from apportion.model.command import Outcome
from apportion.model.ids import key_id, read_key
from apportion.model.usage import UsageClass
from apportion.ports import Answered, Key

KEY_FIELD = "Idempotency-Key"
_KEYED = ("chg", "usg", "top", "gra", "buy")
REUSED = Refusal(
    RefusalCode.CONFLICT,
    "this key was used before with another request.",
    KEY_FIELD,
    "Use a fresh key for every new request, and the same one only to repeat a request as it was.",
)


class Once(msgspec.Struct, frozen=True, gc=False):
    """``command`` under ``key``; ``first`` is the key of the first command of the same request.

    ``at`` is the place of a usage record in a long request, whose key is that of its block; below zero it has its own.
    """

    command: object
    key: Key
    first: Key
    fingerprint: bytes
    at: int = -1


class Inner(Protocol):
    """A decision that may be made once."""

    def keys(self) -> tuple[Key, ...]: ...
    def people(self) -> list[str]: ...
    def charts(self) -> list[str]: ...
    def decide(self, work: Work) -> Outcome: ...


class OnceDecision:
    """A decision that is made unless its key says that it was."""

    def __init__(self, once: Once, inner: Any) -> None:
        self.once = once
        self._inner: Inner = inner
        self.keys, self.people, self.charts = inner.keys, inner.people, inner.charts
        self.courses: Callable[[], list[str]] = getattr(inner, "courses", list)

    def decide(self, work: Work) -> Outcome:
        """The answer that was given before, or the decision, remembered under its key."""
        once = self.once
        if once.at >= 0:
            return self._in_block(work)
        first, known = work.answered.get(once.first), work.answered.get(once.key)
        for row in (first, known):
            if row is not None and row.fingerprint != once.fingerprint:
                return Outcome(None, refusal=REUSED)
        if known is not None and known.id:
            state = UsageClass(known.state) if known.state else None
            return Outcome(state, known.id, n=known.n, replayed=True)
        outcome = self._inner.decide(work)
        if outcome.refusal is not None:
            return outcome
        n = outcome.n or row_of(work, outcome.id)
        if first is None and once.first != once.key:
            work.answer(Answered(once.first, once.fingerprint, "", "", 0))
        state_text = outcome.state.value if outcome.state is not None else ""
        work.answer(Answered(once.key, once.fingerprint, state_text, outcome.id, n))
        return msgspec.structs.replace(outcome, n=n)

    def _in_block(self, work: Work) -> Outcome:
        once, inner = self.once, self._inner
        block = work.block(once.key)
        first = block if once.key == once.first else work.block(once.first)
        for one in (first, block):
            if one.fingerprint and one.fingerprint != once.fingerprint:
                return Outcome(None, refusal=REUSED)
        run = block.run_of(once.at)
        if run is not None:
            key = inner.keys()[0]
            seen = work.seen.get(key)
            if seen is not None and run.after < seen.n <= run.upto and seen.state in DONE:
                return Outcome(UsageClass(seen.state), key_id("chg", key), replayed=True)
        before = work.head[0]
        outcome = inner.decide(work)
        if outcome.refusal is not None:
            return outcome
        if run is not None and outcome.state is UsageClass.DUPLICATE:
            return msgspec.structs.replace(outcome, replayed=True)
        block.take(once.at, before, work.head[0], again=run is not None)
        if not first.fingerprint or not block.fingerprint:
            first.fingerprint = block.fingerprint = once.fingerprint
            first.changed = True
        return outcome


def row_of(work: Work, id: str) -> int:
    """The journal row that holds a record which was just made or found."""
    if id[:3] in _KEYED:
        return work.seen[read_key(id)].n
    return work.head[0]


def request_keys(credential: str, key: str, count: int) -> list[Key]:
    """The key of each command of a request: digests of whose key it is, the key, and the place."""
    whose = f"{credential}\x00{key}"
    return [proof.record_key("once", f"{whose}\x00{at}" if at else whose) for at in range(count)]


def under_key(
    credential: str, key: str, commands: Sequence[object], fingerprint: bytes, *, usage: bool = False
) -> list[Once]:
    """The commands of a request under its key; those of a long one about ``usage`` in blocks."""
    if not usage or len(commands) == 1:
        keys = request_keys(credential, key, len(commands))
        return [Once(command, own, keys[0], fingerprint) for command, own in zip(commands, keys, strict=True)]
    keys = [request_keys(credential, key, 1)[0]]
    keys += [proof.record_key("once", f"{credential}\x00{key}\x00{at}") for at in range(BLOCK, len(commands), BLOCK)]
    return [Once(command, keys[at // BLOCK], keys[0], fingerprint, at) for at, command in enumerate(commands)]


def found(work_out: Callable[[], list[object]], key: str) -> list[object]:
    """Commands that are worked out before they are written.

    Under a key a refusal is a command too: what was done before is answered again, though it could not be done now.
    """
    try:
        return work_out()
    except Refused as refused:
        if not key:
            raise
        return [refused.refusal]


def check_reused(outcomes: list[Outcome]) -> None:
    """Refuse the whole request when its key belongs to another.

    Raises:
        Refused: CONFLICT.
    """
    for outcome in outcomes:
        if outcome.refusal is not None and outcome.refusal.field == KEY_FIELD:
            raise Refused(outcome.refusal)
