"""Negotiations as callers may see them: users and operators every offer, a home provider no other's price."""

from __future__ import annotations

import msgspec

from apportion.engine.bargaining.stands import Stands, millis
from apportion.engine.bargaining.talking import Table
from apportion.engine.broker.keeping import unpacked_talks
from apportion.engine.broker.views import PlanView, plan_line
from apportion.engine.broker.views import view as plan_view
from apportion.engine.engine import Engine
from apportion.engine.visible import Sight, nothing
from apportion.model.access import AccessRole, Credential
from apportion.model.market import Quality
from apportion.model.negotiation import Mode, Negotiation
from apportion.model.talks import NEGOTIATION, NegotiationLine, Stood, Talks, TalksState
from apportion.money import Exact, quantize
from apportion.money.exact import decimal_text
from apportion.stages.broker.bargaining.moves import is_live

_LINE = msgspec.json.Decoder(NegotiationLine)
_ALL = frozenset({AccessRole.OPERATOR, AccessRole.AUDITOR})


class OfferStands(msgspec.Struct, frozen=True, omit_defaults=True):
    """One offer as it stands: its provider earns ``price`` for the part, payers pay ``fee`` for it, tax included.

    ``total`` is what payers would pay for everything, with the best of the other parts. It may be taken until it is no
    longer ``live``, and bargained about while it is ``open``, also for a while after it ran out. With ``final`` its
    provider has said that it will not move any more; ``rounds`` are the counter-offers to it so far. ``out`` is
    why nothing more comes of its provider.
    """

    provider: str
    part: str
    price: str = ""
    fee: str = ""
    total: str = ""
    points: int = 0
    quality: Quality = Quality()
    until: str = ""
    live: bool = False
    open: bool = False
    final: bool = False
    rounds: int = 0
    out: str = ""


class NegotiationView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A negotiation as it stands: what is offered, the cheapest first, and what came of it.

    It is open until ``due``. ``plan`` is what was agreed, to be accepted like any plan; ``reason`` is why there is
    none. Of ``asked`` nodes so many ``answered`` with a bid that counts.
    """

    id: str
    state: TalksState
    at: str
    service: str
    currency: str
    due: str = ""
    round: int = 0
    mode: Mode = "rounds"
    agent: bool = False
    asked: int = 0
    answered: int = 0
    home: str = ""
    offers: tuple[OfferStands, ...] = ()
    agreed: str = ""
    plan: PlanView | None = None
    reason: str = ""


class NegotiationPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A page of negotiations without their offers; ``next`` continues."""

    data: tuple[NegotiationView, ...]
    next: str = ""


def negotiation_line(engine: Engine, id: str) -> NegotiationLine:
    """A negotiation as it stands.

    Raises:
        Refused: NOT_FOUND.
    """
    found = engine.store.courses(engine.tenant, [id]).get(id) if id.startswith(NEGOTIATION) else None
    if found is None:
        raise nothing()
    return _LINE.decode(found.line)


def talks_of(engine: Engine, id: str) -> Talks | None:
    """All that was said; None when it was deleted with the payer."""
    body = engine.store.document(engine.tenant, id)
    return unpacked_talks(body) if body else None


def may_see(line: NegotiationLine, caller: Credential, own: frozenset[str]) -> bool:
    """Whether it concerns the caller: all, those it would pay for, those that came through it."""
    if caller.role in _ALL:
        return True
    if caller.role is AccessRole.PROVIDER:
        return bool(line.home) and line.home == caller.party
    return any(payer.account in own for payer in line.payers)


def seen(engine: Engine, caller: Credential, id: str) -> NegotiationLine:
    """A negotiation that the caller may see.

    Raises:
        Refused: NOT_FOUND.
    """
    line = negotiation_line(engine, id)
    if not may_see(line, caller, frozenset(Sight(engine, caller).own)):
        raise nothing()
    return line


def view(engine: Engine, line: NegotiationLine, caller: Credential, *, whole: bool = True) -> NegotiationView:
    """A negotiation as the caller may see it; ``whole`` with its offers and the plan."""
    talks = talks_of(engine, line.id) if whole else None
    now = millis(engine.clock.now())
    offers = tuple(_shown(one, talks, line, caller, now) for one in talks.offers) if talks is not None else ()
    plan = plan_view(engine, plan_line(engine, line.plan), caller) if whole and line.plan else None
    late = line.state is TalksState.OPEN and millis(line.due) <= now
    return NegotiationView(
        line.id, TalksState.ENDED if late else line.state, line.at, line.service, line.asset.partition("/")[0],
        line.due, line.round, line.mode, line.agent, line.asked, line.answered, line.home, offers, line.plan, plan,
        talks.reason if talks is not None else "",
    )  # fmt: skip


def _shown(one: Stood, talks: Talks, line: NegotiationLine, caller: Credential, now: int) -> OfferStands:
    side = talks.negotiation.sides.get(one.name) if talks.negotiation is not None else None
    live = line.state is TalksState.OPEN and side is not None and is_live(side.offer, now)
    bargains = line.state is TalksState.OPEN and one.open and not one.out
    earns = caller.role is not AccessRole.PROVIDER or one.provider == caller.party
    return OfferStands(
        one.provider, one.part, one.price if earns else "", one.fee, one.total, one.points, one.quality, one.until,
        live, bargains, one.final, side.counters if side is not None else 0, one.out,
    )  # fmt: skip


def stood(table: Table, stands: Stands, negotiation: Negotiation) -> tuple[Stood, ...]:
    """All offers as they stand at a table, the cheapest first, and those who offer nothing with the reason."""
    asset, pricing = table.wish.service.asset, stands.pricing
    own, found = pricing.own()[1], list[tuple[int, Stood]]()

    def text(amount: Exact) -> str:
        return decimal_text(quantize(amount, asset).atoms, asset.scale)

    for name, stand in stands.found.items():
        offer = stand.quoted.offer
        side, out = negotiation.sides.get(name), table.out.get(offer.provider, "")
        found.append((stand.terms.amount, Stood(
            name, offer.part, offer.provider, offer.id, text(stand.quoted.cost), text(stand.fee),
            text(own + stand.others + stand.fee), stand.terms.quality, offer.quality, offer.valid_until, stand.open,
            side is not None and side.final, out,
        )))  # fmt: skip
    offering = {stand.quoted.offer.provider for stand in stands.found.values()}
    unfit = {
        stands.judged.offers[out.place].provider: out.why for out in stands.judged.matched.outs
        if stands.judged.offers[out.place].provider in table.nodes
    }  # fmt: skip
    silent = [
        Stood(name, "", name, "", "", "", "", final=True, out=table.out.get(name, "") or unfit.get(name, ""))
        for name in sorted(table.nodes) if name not in offering
    ]  # fmt: skip
    return (*(one for _, one in sorted(found, key=lambda pair: (pair[0], pair[1].name))), *silent)
