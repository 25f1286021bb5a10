"""Work for the writer alone, done once: its answer is kept under the key of the request, and given again."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.once import REUSED
from apportion.engine.work import Work
from apportion.errors import Refused
from apportion.ports import Answered, Key


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
            raise Refused(REUSED)
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
