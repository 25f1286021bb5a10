"""What no settlement covers yet, counted in one pass; most of it may be counted ahead, while the writer goes on."""

from __future__ import annotations

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.settling.standing import last_settlement
from apportion.engine.settling.window import Legs, Moved
from apportion.engine.terms import Terms
from apportion.engine.unbilled import Unbilled
from apportion.model.ids import number_id
from apportion.model.journal import StatementLine
from apportion.model.settlement import PositionLine

_POSITION = msgspec.json.Decoder(PositionLine)


class Counted(msgspec.Struct):
    """The providers with all that the rows ``after`` < n ≤ ``upto`` say of them; ``previous`` is the last settlement.

    It serves one settlement: whose turn it is counts on in it.
    """

    previous: str
    after: int
    upto: int
    unbilled: Unbilled
    legs: Legs
    taken: bool = False


def count_ahead(engine: Engine) -> Counted:
    """Count until the head of the chain as a reader finds it."""
    return _count(engine, engine.terms())


def counted(engine: Engine, terms: Terms, upto: int, ahead: Counted | None) -> Counted:
    """Count until a row, going on from what was counted ``ahead`` when no settlement came in between."""
    last = last_settlement(engine)
    previous = last.id if last is not None else ""
    if ahead is None or ahead.taken or ahead.previous != previous or ahead.upto > upto:
        return _count(engine, terms, upto)
    ahead.taken = True
    ahead.unbilled.go_on_with(engine.store, terms, engine.books.assets)
    ahead.legs.moved |= {name: Moved() for name in ahead.unbilled.parties if name not in ahead.legs.moved}
    ahead.unbilled.read(ahead.upto, upto, ahead.legs.row)
    ahead.upto = upto
    return ahead


def _count(engine: Engine, terms: Terms, upto: int = -1) -> Counted:
    """Count until a row; until the head when none is named.

    The last settlement is read first and the accounts last: what is written meanwhile by others is either counted on
    from, or makes it another settlement's.
    """
    last = last_settlement(engine)
    previous, after = (last.id, last.upto) if last is not None else ("", 0)
    upto = engine.store.head(engine.tenant, 0)[0] if upto < 0 else upto
    unbilled = Unbilled(engine.store, engine.tenant, terms, engine.books.assets, payers=False)
    _recall(engine, unbilled)
    legs = Legs(set(unbilled.parties))
    unbilled.read(after, upto, legs.row)
    return Counted(previous, after, upto, unbilled, legs)


def _recall(engine: Engine, unbilled: Unbilled) -> None:
    """Where the last settlement left each account."""
    by_id = {number_id("pos", party.account.id): party for party in unbilled.parties.values()}
    for id, course in engine.store.courses(engine.tenant, sorted(by_id)).items():
        by_id[id].go_on(_as_last(_POSITION.decode(course.line), str(by_id[id].asset)))


def _as_last(line: PositionLine, asset: str) -> StatementLine:
    """The advice that a position ends in, as far as the next one goes on from it."""
    return StatementLine(
        line.advice, "", line.account, "", "remittance", "", line.at, asset, line.opening, line.credited, line.paid,
        line.closing, line.payable, line.residue_in, line.residue_out, "", end=line.end, settlement=line.settlement,
    )  # fmt: skip
