"""An agent at the table: it bargains with all nodes at once, inside a private mandate, until it agrees or walks away.

The mandate lives in the memory of this one call. Nodes learn counter-offers, and that an offer is taken or not; the
books learn what they said and what they were sent.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from threading import BoundedSemaphore
from typing import NamedTuple

import msgspec

from apportion.engine.bargaining.stands import Stands, bounded, millis, taken_in
from apportion.engine.bargaining.talking import Table
from apportion.engine.broker.bidding import Heard
from apportion.engine.broker.planning import planned
from apportion.engine.engine import Engine
from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.bid import CounterOffer
from apportion.model.negotiation import Accept, Brief, Counter, Mandate, Mode, Move, Negotiation, NegotiationState, Walk
from apportion.model.plan import PlanMade
from apportion.model.talks import CALL_MAX
from apportion.money import Asset, Money
from apportion.money.exact import decimal_text
from apportion.stages.broker.bargaining.mandate import brief_of, fits, worth
from apportion.stages.broker.bargaining.moves import is_live, opened
from apportion.stages.broker.bargaining.negotiate import awarded, reference_of, step

#: agents that may be at work at once: each waits on a thread that plans are found on too
AGENTS = 3
_SHORTEST = 0.05  # seconds of a round
_SEATS = BoundedSemaphore(AGENTS)
replace = msgspec.structs.replace


class Bargained(NamedTuple):
    """How it ended: the offers as they stood, the ``plan`` that came of it, or the ``reason`` why none did."""

    negotiation: Negotiation
    stands: Stands
    plan: PlanMade | None = None
    reason: str = ""


def bargain(table: Table, mandate: Mandate, mode: Mode, whose: tuple[str, str]) -> Bargained:
    """Ask, bargain and agree for a user; the nodes of those who are not taken are told.

    Raises:
        Refused: what is wrong with the mandate; NO_PLAN when nobody can be asked, or a part is offered by nobody;
            CONFLICT when too many agents are at work.
    """
    brief, limit = read_mandate(table, mandate)
    if not _SEATS.acquire(blocking=False):
        raise refuse(
            RefusalCode.CONFLICT, f"{AGENTS} agents are at work at once here.", field="mandate",
            fix="Ask again in a moment, or make counter-offers yourself.",
        )  # fmt: skip
    try:
        table.ask(min(table.patience, mandate.seconds))
        check_offered(table, table.stands(brief))
        return _closed(table, brief, limit, whose, *_talked(table, brief, mode))
    finally:
        _SEATS.release()


def read_mandate(table: Table, mandate: Mandate) -> tuple[Brief, int]:
    """The mandate as the agent works by it, its limit less what the service itself costs; and that limit in atoms.

    Raises:
        Refused: BAD_AMOUNT, BAD_QUANTITY, BAD_TIME, OVERFLOW; NO_PLAN when the limit leaves nothing for providers.
    """
    wish = table.wish
    if mandate.seconds > CALL_MAX:
        raise refuse(
            RefusalCode.BAD_QUANTITY, f"an agent has {CALL_MAX} s at most: it ends within one call.",
            field="mandate.seconds", fix=f"Write 1 to {CALL_MAX}.",
        )  # fmt: skip
    try:
        brief = brief_of(mandate, wish.service.asset, secrets.token_bytes(32), clock(table.engine))
    except Refused as refused:
        raise Refused(replace(refused.refusal, field=f"mandate.{refused.refusal.field}")) from None
    limit = brief.limit if wish.kept.budget is None else min(brief.limit, wish.kept.budget)
    return replace(brief, limit=bounded(wish, limit)), limit


def _talked(table: Table, brief: Brief, mode: Mode) -> tuple[Negotiation, Stands, tuple[str, ...], str]:
    """Round after round until the agent accepts or walks away: whom it would take, the best first, or why nobody."""
    negotiation, stands, engine = opened((), brief.began), table.stands(brief), table.engine
    if mode != "rounds":
        return _awarded(table, brief, mode, negotiation, stands)
    while True:
        negotiation = taken_in(negotiation, stands, table.out, table.final)
        negotiation, moves = step(brief, negotiation, {}, clock(engine))
        if negotiation.state is not NegotiationState.OPEN:
            break
        table.counter(counters(moves, stands, table.wish.service.asset), _round(table, brief, negotiation))
        stands = table.stands(brief)
    last = moves[-1]
    if isinstance(last, Accept):
        return negotiation, stands, (last.provider, *_fitting(brief, negotiation, clock(engine), last.provider)), ""
    return negotiation, stands, (), last.reason if isinstance(last, Walk) else ""


def _awarded(
    table: Table, brief: Brief, mode: Mode, negotiation: Negotiation, stands: Stands
) -> tuple[Negotiation, Stands, tuple[str, ...], str]:
    """Settle by the first offers. Who wins an auction of several is asked for a bid at the price of the second."""
    now = clock(table.engine)
    negotiation = taken_in(negotiation, stands, table.out, table.final)
    award = awarded(mode, brief, negotiation, now)
    if award is None:
        return negotiation, stands, (), "no offer keeps the mandate"
    others, stand = _fitting(brief, negotiation, now, award.provider), stands.found[award.provider]
    if mode == "second-price" and others and stand.open and award.terms.amount > stand.terms.amount:
        raised = Counter(award.provider, award.terms, last=True)
        table.counter(counters((raised,), stands, table.wish.service.asset), _round(table, brief, negotiation))
        stands = table.stands(brief)
        negotiation = taken_in(negotiation, stands, table.out, table.final)
    return negotiation, stands, (award.provider, *others), ""


def _fitting(brief: Brief, negotiation: Negotiation, now: int, but: str) -> tuple[str, ...]:
    """All others that could be accepted, the best first: who does not stand by its bid is no end."""
    reference = reference_of(brief, negotiation)
    found = [
        (-worth(brief, side.offer, reference), side.offer.amount, name)
        for name, side in negotiation.sides.items()
        if name != but and side.offer is not None and is_live(side.offer, now) and fits(brief, side.offer)
    ]
    return tuple(name for *_, name in sorted(found))


def _closed(table: Table, brief: Brief, limit: int, whose: tuple[str, str], negotiation: Negotiation, stands: Stands,
            names: tuple[str, ...], reason: str) -> Bargained:  # fmt: skip
    """The plan with the first of those who would be taken that keeps the limit to the last atom."""
    for name in names:
        if name not in stands.found:
            continue
        try:
            made = plan_with(table, stands, (name,), whose)
        except Refused as refused:
            reason = refused.refusal.sentence()
            continue
        plan = _within(made, brief, limit, table.wish.service.asset)
        if plan is not None:
            end_others(table, plan)
            return Bargained(replace(negotiation, state=NegotiationState.AGREED, provider=name), stands, plan)
        reason = "what lies between the parts makes every plan dearer than the mandate allows"
    table.end()
    return Bargained(replace(negotiation, state=NegotiationState.WALKED), stands, None, reason)


def _within(made: PlanMade, brief: Brief, limit: int, asset: Asset) -> PlanMade | None:
    """The plan with one scenario, which is what was agreed: the preferred one, or the cheapest, within the limit."""
    line = made.line
    for name in (line.preferred, "lowest-cost"):
        for one in line.scenarios:
            kept = one.name == name and Money.parse(one.total, asset).atoms <= limit
            if kept and (one.points >= brief.quality or len(one.parts) == 1):
                return replace(made, line=replace(line, scenarios=(one,), preferred=name))
    return None


# what a user at the table needs too


def clock(engine: Engine) -> int:
    """Now, as whole milliseconds since 1970."""
    return millis(engine.clock.now())


def check_offered(table: Table, stands: Stands) -> None:
    """Go on only when every part is offered by somebody.

    Raises:
        Refused: NO_PLAN; the nodes are told that nothing comes of it.
    """
    if stands.missing:
        table.end()
        silent = "".join(f" {name}: {why}" for name, why in sorted(table.out.items())[:5])
        raise refuse(
            RefusalCode.NO_PLAN, f"nobody offers {', '.join(stands.missing)} within the limits of the request.{silent}",
            field="request", fix="Ask for less, give the nodes more time (ask), or ask again later.",
        )  # fmt: skip


def counters(moves: Iterable[Move], stands: Stands, asset: Asset) -> dict[str, CounterOffer]:
    """Counter-offers as they are sent: by provider, for each part the net price that it would earn."""
    found: dict[str, CounterOffer] = {}
    for move in moves:
        stand = stands.found.get(move.provider) if isinstance(move, Counter) else None
        if stand is None or not stand.open or not isinstance(move, Counter):
            continue
        offer = stand.quoted.offer
        price = decimal_text(stand.price_of(move.terms.amount, asset.unit), asset.scale)
        before = found.get(offer.provider, CounterOffer({}))
        found[offer.provider] = replace(
            before, amounts={**before.amounts, offer.part: price}, last=before.last or move.last
        )
    return found


def plan_with(table: Table, stands: Stands, names: Iterable[str], whose: tuple[str, str]) -> PlanMade:
    """The plan that takes the named offers, and of the other parts the best that is good enough.

    Raises:
        Refused: NO_PLAN.
    """
    board, bids = table.heard()
    taken = {stands.found[name].quoted.offer.part: stands.found[name].quoted.offer.id for name in names}
    offers = tuple(
        one for one in board.offers if one.id in stands.good and taken.get(one.part, one.id) == one.id
    )  # fmt: skip
    heard = Heard(replace(board, offers=offers), bids, len(table.nodes))
    return planned(table.engine, table.wish, heard, table.parts, whose)


def end_others(table: Table, plan: PlanMade) -> None:
    """Tell the nodes that are in no scenario of a plan."""
    table.end(frozenset(_providers(plan)))


def _providers(plan: PlanMade) -> Iterator[str]:
    for one in plan.line.scenarios:
        for part in one.parts:
            if part.bid:
                yield part.provider


def _round(table: Table, brief: Brief, negotiation: Negotiation) -> float:
    """Seconds that nodes have in this round, so that the rounds that are left still have some."""
    left = (brief.ends - clock(table.engine)) / 1000
    rounds = max(1, brief.rounds - negotiation.round + 2)
    return max(_SHORTEST, min(table.patience, left / rounds))
