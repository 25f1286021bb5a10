"""Settlements and payouts as they stand: looked up, never changed."""

from __future__ import annotations

import msgspec

from apportion.engine.engine import Engine
from apportion.errors import RefusalCode, refuse
from apportion.ledger import proof
from apportion.model.ids import read_key
from apportion.model.settlement import PayoutLine, PositionLine, SettlementLine
from apportion.ports import Key, Store

LAST, NUMBER = "settlement", "number:settlement"  # facts: the id of the last settlement, and how many there are
_LINE, _POSITION = msgspec.json.Decoder(SettlementLine), msgspec.json.Decoder(PositionLine)
_PAYOUT = msgspec.json.Decoder(PayoutLine)


def last_settlement(engine: Engine) -> SettlementLine | None:
    """The newest settlement of any currency."""
    id = engine.store.fact(engine.tenant, LAST)
    return find_line(engine.store, engine.tenant, id) if id else None


def last_run(engine: Engine) -> list[SettlementLine]:
    """The settlements of the last run, one per currency."""
    found: list[SettlementLine] = []
    line = last_settlement(engine)
    while line is not None and (not found or line.upto == found[0].upto):
        found.append(line)
        line = find_line(engine.store, engine.tenant, line.previous) if line.previous else None
    return found[::-1]


def find_line(store: Store, tenant: int, id: str) -> SettlementLine | None:
    """A settlement by its id."""
    found = store.courses(tenant, [id]).get(id) if id.startswith("stl_") else None
    return _LINE.decode(found.line) if found is not None else None


def settlement_key(asset: str, head: str) -> Key:
    """The key of a settlement: what it covers, up to this head; no other books can come to the same."""
    return proof.record_key("settlement", f"{asset}\x00{head}")


def positions_of(store: Store, tenant: int, line: SettlementLine) -> list[PositionLine]:
    """The positions of a settlement, in the order of their accounts; they stand in its row."""
    key = read_key(line.id)
    seen = store.seen(tenant, [key])[key]
    rows = store.row(tenant, 0, seen.n).split(b"\n")
    return [_POSITION.decode(row) for row in rows if row.startswith(b'{"type":"position"')]


def find_settlement(engine: Engine, name: str) -> SettlementLine:
    """A settlement by its id or number.

    Raises:
        Refused: NOT_FOUND.
    """
    line = find_line(engine.store, engine.tenant, name)
    if line is None and name.startswith("SET-"):
        line = last_settlement(engine)
        while line is not None and line.number != name:
            line = find_line(engine.store, engine.tenant, line.previous) if line.previous else None
    if line is None:
        raise refuse(RefusalCode.NOT_FOUND, "there is no such record.", field="id")
    return line


def find_payout(engine: Engine, id: str) -> PayoutLine:
    """A payout as it stands.

    Raises:
        Refused: NOT_FOUND.
    """
    found = engine.store.courses(engine.tenant, [id]).get(id) if id.startswith("pyo_") else None
    if found is None:
        raise refuse(RefusalCode.NOT_FOUND, "there is no such record.", field="id")
    return _PAYOUT.decode(found.line)
