"""Cases as the store has them: one, all about a charge, or all there are, with the words of their evidence."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from blake3 import blake3

from apportion.engine.disputes.decision import DISPUTE, cases_id, document_name
from apportion.engine.engine import Engine
from apportion.errors import RefusalCode, refuse
from apportion.model.dispute import DisputedLine, DisputeLine, Words

_CASE, _CASES = msgspec.json.Decoder(DisputeLine), msgspec.json.Decoder(DisputedLine)
_WORDS = msgspec.json.Decoder(Words)


def find_dispute(engine: Engine, id: str) -> DisputeLine:
    """A case as it stands.

    Raises:
        Refused: NOT_FOUND.
    """
    found = engine.store.courses(engine.tenant, [id]).get(id) if id.startswith(DISPUTE) else None
    if found is None:
        raise refuse(RefusalCode.NOT_FOUND, "there is no such record.", field="id")
    return _CASE.decode(found.line)


def disputes_of(engine: Engine, charge: str) -> list[DisputeLine]:
    """All cases that there ever were about a charge, oldest first."""
    name = cases_id(charge)
    found = engine.store.courses(engine.tenant, [name]).get(name)
    if found is None:
        return []
    cases = _CASES.decode(found.line).cases
    lines = engine.store.courses(engine.tenant, list(cases))
    return [_CASE.decode(lines[id].line) for id in cases]


def all_disputes(engine: Engine, after: str = "") -> Iterator[DisputeLine]:
    """Every case, in the order of their ids, those behind one."""
    for course in engine.store.all_courses(engine.tenant, after or DISPUTE):
        if not course.id.startswith(DISPUTE):
            return
        yield _CASE.decode(course.line)


def words_of(engine: Engine, line: DisputeLine, place: int) -> Words | None:
    """The words of a piece of evidence, counted from 1; None once the person whom they are about was forgotten."""
    body = engine.store.document(engine.tenant, document_name(line.id, place))
    if not body:
        return None
    digest = line.evidence[place - 1].digest
    assert blake3(body).hexdigest() == digest, f"evidence {place} of {line.id} is not the one given"
    return _WORDS.decode(body)
