"""A session that runs and is to be taken over: what of a new plan it has begun, paid and set aside already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from apportion.engine.broker.board import Board
from apportion.engine.broker.wish import ZERO, Wish, rest_of
from apportion.engine.engine import Engine
from apportion.engine.market.naming import taken_id
from apportion.engine.sessions.contract import payable, whole
from apportion.engine.sessions.slice import line_total
from apportion.model.funding import AllowanceLine
from apportion.model.standing import TakenLine
from apportion.money import Exact
from apportion.stages.credit.funding import moved_out

if TYPE_CHECKING:
    from apportion.model.plan import PlanLine
    from apportion.model.session import SessionLine

replace = msgspec.structs.replace
_TAKEN = msgspec.json.Decoder(TakenLine)
_BOUGHT = msgspec.json.Decoder(AllowanceLine)


class Running(msgspec.Struct, frozen=True):
    """What counts of a ``session``: the (part, provider) pairs of its ``crew``, what was ``used`` by measure.

    Payers were charged ``paid`` atoms, of which the platform has ``kept`` so many. It has ``taken`` units of offers.
    ``plan`` is the one that it runs by, ``without`` are providers that its request never wanted.
    ``bought`` are allowances with the units of them that are set aside for it and not used.
    """

    session: str
    plan: str
    crew: frozenset[tuple[str, str]]
    used: Mapping[str, Exact]
    paid: int
    kept: int
    taken: Mapping[str, Mapping[str, Exact]]
    lost: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    bought: tuple[tuple[AllowanceLine, Exact], ...] = ()

    @property
    def providers(self) -> frozenset[str]:
        """Whoever delivers in it."""
        return frozenset(provider for _, provider in self.crew)

    def bound(self, wish: Wish) -> Wish:
        """The wish for what is still to come, within what is left of limits and of units that were bought."""
        limits, covered, drawn = wish.kept, dict(wish.covered), wish.drawn
        budget = None if limits.budget is None else max(0, limits.budget - self.paid)
        margin = None if limits.margin is None else limits.margin - self.kept
        for allowance, reserved in self.bought:
            had = covered.get(allowance.measure, ZERO)
            units = min(reserved, wish.use.quantities.get(allowance.measure, ZERO) - had)
            if units > ZERO:
                covered[allowance.measure] = had + units
                drawn += moved_out(allowance, units, wish.service.asset)
        return replace(
            wish, kept=replace(limits, budget=budget, margin=margin, kept=self.kept), covered=covered, drawn=drawn,
            rest=rest_of(wish.use, covered),
        )  # fmt: skip

    def freed(self, board: Board) -> Board:
        """The board as if the session had given back what it has: it needs it no more, or takes it again."""
        found = dict(board.taken)
        for offer, units in self.taken.items():
            if offer in found:
                found[offer] = {m: had - units.get(m, ZERO) for m, had in found[offer].items()}
        return replace(board, taken=found)

    def followed(self, line: PlanLine) -> PlanLine:
        """A plan as the next one of the session."""
        used = {measure: units.text() for measure, units in self.used.items() if units}
        return replace(line, replaces=self.session, before=self.plan, used=used, lost=self.lost)


def running(engine: Engine, line: SessionLine, before: PlanLine, lost: tuple[str, ...]) -> Running:
    """A session as it stands, whose providers ``lost`` deliver no more."""
    offers = {part.offer: None for one in before.scenarios if one.name == before.chosen for part in one.parts}
    ids = [taken_id(offer, line.id) for offer in offers if offer]
    taken = [_TAKEN.decode(course.line) for course in engine.store.courses(engine.tenant, ids).values()]
    spare = {one.allowance: Exact.parse(one.reserved) - Exact.parse(one.used) for one in line.covers}
    found = engine.store.courses(engine.tenant, [id for id, units in spare.items() if units > ZERO])
    return Running(
        line.id, line.plan, frozenset((meter.part, meter.provider) for meter in line.meters[1:] if not meter.ended),
        whole(line, payable), line_total(line), line.platform - line.sponsored,
        {one.offer: {m: Exact.parse(units) for m, units in one.units.items()} for one in taken}, lost,
        bought=tuple((_BOUGHT.decode(course.line), spare[id]) for id, course in sorted(found.items())),
    )  # fmt: skip
