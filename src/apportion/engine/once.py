"""Once for ever: a request that names a key has its effect a single time, and its answer again whenever it comes.

The key is remembered in the transaction that has the effect. A refusal changes nothing and is not remembered, so the
same request may be tried again under the same key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

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

if TYPE_CHECKING:
    from apportion.engine.engine import Engine

KEY_FIELD = "Idempotency-Key"
_KEYED = ("chg", "usg", "top", "gra", "buy")
_REUSED = Refusal(
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

    def decide(self, work: Work) -> Outcome:
        """The answer that was given before, or the decision, remembered under its key."""
        once = self.once
        if once.at >= 0:
            return self._in_block(work)
        first, known = work.answered.get(once.first), work.answered.get(once.key)
        for row in (first, known):
            if row is not None and row.fingerprint != once.fingerprint:
                return Outcome(None, refusal=_REUSED)
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
                return Outcome(None, refusal=_REUSED)
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


def act_once(engine: Engine, key: Key, fingerprint: bytes, run: Callable[[], object]) -> tuple[bytes, bool]:
    """The answer of ``run``, encoded, and whether it was given before; for work that is safe to repeat by itself.

    The row that remembers it comes after the work. Who is killed in between does the work again under the same key and
    ends in the same books; the answer then tells of what was left to do.

    Raises:
        Refused: CONFLICT, when the key belongs to another request.
    """
    assert engine.committer is not None, "the books were opened for reading"
    name = f"answer_{key.hex()}"

    def given() -> bytes | None:
        known = engine.store.answered(engine.tenant, [key]).get(key)
        if known is not None and known.fingerprint != fingerprint:
            raise Refused(_REUSED)
        return engine.store.document(engine.tenant, name) if known is not None else None

    def keep(work: Work) -> bytes | None:
        before = given()  # by another node, while this one was at work
        if before is None:
            work.answer(Answered(key, fingerprint, "", "answer", 0))
            work.writes.documents.append((name, 0, body))
        return before

    known = given()
    if known is not None:
        return known, True
    body = msgspec.json.encode(run())
    before = engine.committer.booked(keep)
    return (body, False) if before is None else (before, True)


def check_reused(outcomes: list[Outcome]) -> None:
    """Refuse the whole request when its key belongs to another.

    Raises:
        Refused: CONFLICT.
    """
    for outcome in outcomes:
        if outcome.refusal is not None and outcome.refusal.field == KEY_FIELD:
            raise Refused(outcome.refusal)
