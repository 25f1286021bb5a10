"""The agent of a user: bargains with many providers at once inside a private mandate, a pure step at a time.

    brief = brief_of(mandate, asset, seed, now)
    negotiation, moves = step(brief, opened(providers, now), first_offers, now)
    negotiation, moves = step(brief, negotiation, answers, now)   # until it is no longer open

The first step takes the answers to the request for quotes; each other one those to the counter-offers before. A step
says what to send to whom, or that an offer is accepted, or that the user walks away. It goes like this:

- In the first half of rounds and time, counter-offers are made of public things alone (see ``mandate``).
- Then they rise to the ceiling by the mandate's pace, later the more alternatives there are. Nobody is ever proposed
  more than would still be better than the best alternative, nor what it offers already.
- Before the last round best and final offers are called for. The best that fits is taken; if none does, the last round
  proposes the ceiling to everybody, and the best of what comes back is taken, or the user walks away.
- Who offers what the agent has asked of it is taken at once if nobody is better. So is the best offer that fits when it
  would be gone by the next round, or when nobody will move any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from apportion.model.negotiation import (
    Accept,
    Answer,
    Award,
    Brief,
    Counter,
    Mode,
    Move,
    Negotiation,
    NegotiationState,
    Proposal,
    Side,
    Walk,
)
from apportion.stages.broker.bargaining.auction import first_offer, second_price
from apportion.stages.broker.bargaining.mandate import ceiling, conceded, even, fits, needed, public, worth
from apportion.stages.broker.bargaining.moves import check, heard, is_live, moved
from apportion.stages.broker.bargaining.tactics import ONE

#: an offer, as the agent compares it: what it is worth, the cheaper one first, then by name
_Ranked = tuple[int, int, str, Proposal]


def step(
    brief: Brief, negotiation: Negotiation, answers: Mapping[str, Answer], now: int
) -> tuple[Negotiation, tuple[Move, ...]]:
    """Take in ``answers`` and say what the agent does: counter-offers, or one ``Accept``, or ``Walk``.

    Every step is a round, also when there is nothing to say; nothing is said once the negotiation has ended.
    """
    negotiation = heard(negotiation, answers, now)
    if negotiation.state is not NegotiationState.OPEN:
        return negotiation, ()
    round = negotiation.round + 1
    moves = tuple(move for move in decide(brief, negotiation, now) if check(negotiation, move, now) is None)
    for move in moves:
        negotiation = moved(negotiation, move, now)
    return replace(negotiation, round=round), moves


def decide(brief: Brief, negotiation: Negotiation, now: int) -> tuple[Move, ...]:
    """What the agent would do now; see the top of this file."""
    reference = reference_of(brief, negotiation)
    live = list(_live(brief, negotiation, reference, now))
    best = max((one for one in live if fits(brief, one[3])), default=None)
    if negotiation.round >= brief.rounds or now >= brief.ends:
        return _close(best, "the time is over")
    talking = {name: side for name, side in negotiation.sides.items() if not side.gone}
    if not talking:
        return _close(best, "nobody is left")
    if best is not None and (_is_ripe(negotiation, live, best, now) or all(s.final for s in talking.values())):
        return _close(best, "")
    return tuple(
        _counter(brief, negotiation, name, live, best, reference, now)
        for name, side in talking.items()
        if side.offer is not None
    )


def awarded(mode: Mode, brief: Brief, negotiation: Negotiation, now: int) -> Award | None:
    """Who gets it without bargaining, by the offers that stand ``now``; None when none fits, and in mode ``rounds``.

    In an auction the amount is that of the second best, so at least what the winner has asked.
    """
    sides = negotiation.sides.items()
    offers = {name: side.offer for name, side in sides if side.offer is not None and is_live(side.offer, now)}
    if mode == "rounds":
        return None
    return first_offer(brief, offers) if mode == "first-offer" else second_price(brief, offers)


def reference_of(brief: Brief, negotiation: Negotiation) -> int:
    """The cheapest first offer of those that give what is needed, else of all; at least one atom."""
    firsts = [side.first for side in negotiation.sides.values() if side.first is not None]
    good = [first.amount for first in firsts if needed(brief, first)]
    return max(1, min(good or [first.amount for first in firsts], default=1))


def passed(brief: Brief, negotiation: Negotiation, now: int) -> int:
    """How much of the rounds, or of the time if that is more, has passed with the coming round, in millionths."""
    rounds = (negotiation.round + 1) * ONE // brief.rounds
    return max(rounds, min(ONE, (now - brief.began) * ONE // max(1, brief.ends - brief.began)))


def _live(brief: Brief, negotiation: Negotiation, reference: int, now: int) -> Iterator[_Ranked]:
    """The offers that stand and give what is needed, whatever they cost."""
    for name, side in negotiation.sides.items():
        offer = side.offer
        if offer is not None and is_live(offer, now) and needed(brief, offer):
            yield worth(brief, offer, reference), -offer.amount, name, offer


def _close(best: _Ranked | None, reason: str) -> tuple[Move, ...]:
    return (Accept(best[2], best[3]),) if best is not None else (Walk(reason),)


def _interval(negotiation: Negotiation, now: int) -> int:
    """How long a round takes, by those so far."""
    return max(0, now - negotiation.began) // max(1, negotiation.round)


def _is_ripe(negotiation: Negotiation, live: list[_Ranked], best: _Ranked, now: int) -> bool:
    """Whether waiting can only harm: final offers are in, or the best offer is what was asked for or soon gone."""
    side = negotiation.sides[best[2]]
    if negotiation.last:
        return True
    if side.counter is not None and best[3].amount <= side.counter.terms.amount and best == max(live):
        return True
    stays = not best[3].until or now + _interval(negotiation, now) < best[3].until
    return not stays and (side.final or side.gone)


def _counter(
    brief: Brief,
    negotiation: Negotiation,
    name: str,
    live: list[_Ranked],
    best: _Ranked | None,
    reference: int,
    now: int,
) -> Counter:
    """The counter-offer to one provider: by how far it is, by what others offer, and by what it offers itself."""
    side = negotiation.sides[name]
    asked = _asked(brief, side)
    gone_by = passed(brief, negotiation, now)
    first_half = 2 * gone_by <= ONE
    others = [one for one in live if one[2] != name and (first_half or fits(brief, one[3]))]
    cap = min((even(brief, asked, one[0], reference) for one in others), default=brief.limit)
    if first_half:
        amount = min(public(brief, reference, 2 * gone_by), cap)
    else:
        start, end = public(brief, reference, ONE), min(ceiling(brief), cap)
        own = side.offer
        if own is not None and is_live(own, now) and needed(brief, own):
            end = min(end, own.amount * 49 // 50)
        part = ONE if negotiation.last else 2 * gone_by - ONE
        amount = conceded(brief, start, end, part, len(others))
    calls = bool(negotiation.last) or negotiation.round + 2 >= brief.rounds or _is_late(brief, negotiation, now)
    return Counter(name, replace(asked, amount=amount), calls)


def _is_late(brief: Brief, negotiation: Negotiation, now: int) -> bool:
    """Whether after two more rounds like those before the time would be over."""
    return negotiation.round > 0 and now + 2 * _interval(negotiation, now) >= brief.ends


def _asked(brief: Brief, side: Side) -> Proposal:
    """What is asked of a provider beside the price: what it offers, but at least what is needed."""
    offer = side.offer or Proposal(0)
    begin = min(offer.begin, brief.begin_by) if brief.begin_by else offer.begin
    return Proposal(0, max(offer.quality, brief.quality), max(offer.capacity, brief.capacity), begin)
