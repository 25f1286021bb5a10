"""The rules of a negotiation: who may say what when. The same for a user and for the agent of one.

    negotiation = opened(providers, now)
    negotiation = heard(negotiation, {"north": answer}, now)     # what came in
    negotiation = moved(negotiation, Counter("north", terms), now)

A user may counter as it likes, also with less than before. Refused are: anything after the end, a counter-offer that
repeats the last one while the provider has not moved either, one that asks for no more than what is on the table, and
accepting what is not on the table exactly so. Only accepting binds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from apportion.errors import Refusal, RefusalCode, Refused
from apportion.model.negotiation import (
    POINTS,
    ROUNDS_MAX,
    Accept,
    Answer,
    Counter,
    Move,
    Negotiation,
    NegotiationState,
    Proposal,
    Side,
    Walk,
)
from apportion.money import ATOMS_MAX


def opened(providers: Iterable[str], now: int) -> Negotiation:
    """A negotiation with ``providers`` that nobody has said anything in."""
    return Negotiation(now, now, {name: Side() for name in sorted(providers)})


def is_live(offer: Proposal | None, now: int) -> bool:
    """Whether an offer can be accepted: one was made, and it has not run out."""
    return offer is not None and (not offer.until or now < offer.until)


def heard(negotiation: Negotiation, answers: Mapping[str, Answer], now: int) -> Negotiation:
    """Take in what providers say. What makes no sense is dropped: it neither wins nor harms.

    That is: who was not asked or has declined, amounts and points out of bounds, accepting without a counter-offer.
    Who accepts for more than the counter-offer says has made an offer of that. A new offer replaces the one before,
    unless it is in nothing better than one that still binds.
    """
    if negotiation.state is not NegotiationState.OPEN:
        return negotiation
    sides = dict(negotiation.sides)
    for provider in sorted(answers):
        side = sides.get(provider)
        if side is not None and not side.gone:
            sides[provider] = _answered(side, answers[provider], now)
    return replace(negotiation, sides=sides, now=max(now, negotiation.now))


def _answered(side: Side, answer: Answer, now: int) -> Side:
    if answer.kind == "decline":
        return replace(side, gone=True, final=True, fresh=True)
    terms = answer.terms
    if answer.kind == "accept":
        if side.counter is None:
            return side
        terms = terms or side.counter.terms
    if terms is None or fault(terms) is not None:
        return side
    before = side.offer
    if before is None:
        return replace(side, first=terms, offer=terms, final=answer.final)
    if is_live(before, now) and before.amount < terms.amount and _asks_no_more(replace(terms, until=0), before):
        return replace(side, final=answer.final)
    fresh = side.fresh or replace(before, until=0) != replace(terms, until=0)
    return replace(side, offer=terms, fresh=fresh, final=answer.final)


def moved(negotiation: Negotiation, move: Move, now: int) -> Negotiation:
    """The negotiation after ``move``.

    Raises:
        Refused: as ``check`` says.
    """
    refusal = check(negotiation, move, now)
    if refusal is not None:
        raise Refused(refusal)
    if isinstance(move, Walk):
        return replace(negotiation, state=NegotiationState.WALKED, now=max(now, negotiation.now))
    if isinstance(move, Accept):
        return replace(
            negotiation,
            state=NegotiationState.AGREED,
            provider=move.provider,
            terms=move.terms,
            now=max(now, negotiation.now),
        )
    side = negotiation.sides[move.provider]
    side = replace(side, counter=move, counters=side.counters + 1, fresh=False)
    round = max(negotiation.round, side.counters)
    return replace(
        negotiation,
        sides={**negotiation.sides, move.provider: side},
        round=round,
        last=negotiation.last or (round if move.last else 0),
        now=max(now, negotiation.now),
    )


def check(negotiation: Negotiation, move: Move, now: int) -> Refusal | None:
    """Why ``move`` is not legal; None when it is.

    Codes: PLAN_ENDED (it has ended, the provider has declined, the offer ran out), UNKNOWN_PROVIDER, CONFLICT (stale,
    or not as it stands), BAD_AMOUNT, BAD_QUANTITY, BAD_TIME.
    """
    if negotiation.state is not NegotiationState.OPEN:
        return Refusal(
            RefusalCode.PLAN_ENDED, f"The negotiation has ended: {negotiation.state.value}.", fix="Begin another one."
        )
    if isinstance(move, Walk):
        return None
    side = negotiation.sides.get(move.provider)
    if side is None:
        return Refusal(
            RefusalCode.UNKNOWN_PROVIDER,
            f"{move.provider[:60]!r} takes no part in this negotiation.",
            field="provider",
            fix=f"Those who do: {', '.join(negotiation.sides)[:200]}.",
        )
    return _check_accept(side, move, now) if isinstance(move, Accept) else _check_counter(side, move, now)


def _check_accept(side: Side, move: Accept, now: int) -> Refusal | None:
    if side.offer is None or not is_live(side.offer, now):
        return Refusal(
            RefusalCode.PLAN_ENDED,
            f"{move.provider} has no offer that stands now.",
            field="provider",
            fix="Make a counter-offer, or take the offer of another.",
        )
    if move.terms != side.offer:
        return Refusal(
            RefusalCode.CONFLICT,
            f"The offer of {move.provider} is another one by now.",
            field="terms",
            fix="Look at what stands, and accept exactly that.",
        )
    return None


def _check_counter(side: Side, move: Counter, now: int) -> Refusal | None:
    if side.gone:
        return Refusal(
            RefusalCode.PLAN_ENDED,
            f"{move.provider} has declined.",
            field="provider",
            fix="Accept an offer of it that stands, or go on with another.",
        )
    if side.offer is None:
        return Refusal(
            RefusalCode.CONFLICT, f"{move.provider} has offered nothing yet.", field="provider", fix="Wait for it."
        )
    wrong = fault(move.terms)
    if wrong is not None:
        return wrong
    terms, offer = move.terms, side.offer
    if terms.until and terms.until <= now:
        return Refusal(RefusalCode.BAD_TIME, "lies in the past.", field="until", fix="Name a later instant, or none.")
    if is_live(offer, now) and terms.amount >= offer.amount and _asks_no_more(terms, offer):
        return Refusal(
            RefusalCode.CONFLICT,
            f"{move.provider} offers that already, or better.",
            field="terms",
            fix="Accept its offer, or ask for more.",
        )
    if side.counter == move and not side.fresh:
        return Refusal(
            RefusalCode.CONFLICT,
            f"{move.provider} knows this counter-offer and has not moved.",
            field="terms",
            fix="Change it, accept, or walk away.",
        )
    if side.counters >= ROUNDS_MAX:
        return Refusal(
            RefusalCode.CONFLICT, f"There are at most {ROUNDS_MAX} rounds.", fix="Accept an offer or walk away."
        )
    return None


def _asks_no_more(terms: Proposal, offer: Proposal) -> bool:
    """Whether ``offer`` gives all that ``terms`` ask for, apart from the price."""
    good = terms.quality <= offer.quality and terms.capacity <= offer.capacity
    soon = not terms.begin or offer.begin <= terms.begin
    return good and soon and (not offer.until or terms.until <= offer.until)


def fault(terms: Proposal) -> Refusal | None:
    """What is out of bounds in a proposal; None when nothing is."""
    if not 0 <= terms.amount <= ATOMS_MAX:
        return Refusal(
            RefusalCode.BAD_AMOUNT,
            "must be 0 or more and fit into 63 bits of atoms.",
            field="amount",
            fix="Write what all quantities together may cost.",
        )
    for field, points in (("quality", terms.quality), ("capacity", terms.capacity)):
        if not 0 <= points <= POINTS:
            return Refusal(RefusalCode.BAD_QUANTITY, "is out of bounds.", field=field, fix=f"Write 0 to {POINTS}.")
    for field, instant in (("begin", terms.begin), ("until", terms.until)):
        if not 0 <= instant < 1 << 53:
            return Refusal(RefusalCode.BAD_TIME, "is no instant.", field=field, fix="Write an RFC 3339 instant.")
    return None
