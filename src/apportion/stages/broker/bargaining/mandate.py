"""What an agent makes of a private mandate: what fits it, what is worth more, how far it may go, and when.

In the first half of the rounds and of the time everything that is said is made of public things: first offers and
chance. Only in the second half the agent goes from there towards its ceiling: the limit less a reserve of 2 to 8
percent that the seed draws. It proposes nothing above the ceiling, though it may accept up to the limit.

What leaks of the limit in the first half. What is proposed there is at most ``HIGHEST``, a fifth of the cheapest first
offer, and at most a threshold, which chance spreads over a factor of twelve. Only where the threshold might lie above
the ceiling, all is cut to a sixteenth. So with a limit of ``CLEAR`` of the cheapest first offer or more, which is 65
percent, no proposal depends on it at all. Below that, two limits that differ by 5 percent lead to the same proposals in
97 of 100 negotiations or more: whoever guesses which of both it was is right in at most 51 to 52 of 100. What is left
to see: whether an offer was taken that nobody would have bettered any more, or that was soon gone, and that then ended
all. In the second half the concessions tell more with each round, and the last one, when there is no better
alternative, tells the limit to within those 6 percent of chance. Least quality and capacity, and the latest instant,
are asked for openly: they are no secret.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from apportion.errors import RefusalCode, refuse
from apportion.model.negotiation import POINTS, Brief, Mandate, Proposal
from apportion.money import Asset
from apportion.money.money import Money
from apportion.stages.broker.bargaining.tactics import ONE, read_pace, risen, root_of

#: the reserve that the seed draws, in millionths of the limit
RESERVE_LEAST, RESERVE_MOST = 20_000, 80_000
#: What is proposed in the first half lies below a threshold out of this range, in millionths of the cheapest first
#: offer: to be up to twice as high is equally likely everywhere. The curve has so many straight pieces.
THRESHOLD_LEAST, SPREAD, STEPS = 50_000, 12, 32
THRESHOLD_MOST = THRESHOLD_LEAST * SPREAD
_CURVE = tuple(root_of(THRESHOLD_LEAST**STEPS * SPREAD**at, STEPS) for at in range(STEPS + 1))
#: what is proposed in the middle is at most that, the first is this part of it; by how much it is cut if it is too much
HIGHEST, FIRST, CUT = 200_000, 750_000, 16
#: with a limit of so many millionths of the cheapest first offer the first half does not depend on it at all
CLEAR = THRESHOLD_MOST * ONE // (ONE - RESERVE_MOST) + 1


def brief_of(mandate: Mandate, asset: Asset, seed: bytes, now: int) -> Brief:
    """The mandate in atoms of ``asset`` and instants, for a negotiation that begins ``now`` (milliseconds).

    Raises:
        Refused: BAD_AMOUNT, BAD_QUANTITY, BAD_TIME, OVERFLOW.
    """
    limit = Money.parse(mandate.limit, asset, field="limit").atoms
    if limit <= 0:
        raise refuse(RefusalCode.BAD_AMOUNT, "must be above 0.", field="limit", fix="Write the most that may be paid.")
    if len(seed) < 16:
        raise refuse(RefusalCode.BAD_QUANTITY, "is too short.", field="seed", fix="Give at least 16 random bytes.")
    begin_by = _instant(mandate.begin_by) if mandate.begin_by else 0
    if begin_by and begin_by <= now:
        raise refuse(RefusalCode.BAD_TIME, "lies in the past.", field="begin_by", fix="Name a later instant.")
    return Brief(
        limit,
        seed,
        now,
        now + 1000 * mandate.seconds,
        mandate.rounds,
        mandate.weights,
        read_pace(mandate.pace),
        mandate.quality,
        mandate.capacity,
        begin_by,
    )


def _instant(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise refuse(RefusalCode.BAD_TIME, "is no instant.", field="begin_by", fix="Write it as 2026-11-20T12:00:00Z.")
    since = at - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def draw(seed: bytes, what: str, count: int) -> int:
    """A number from 0 to ``count`` − 1 out of the seed; another word draws another one."""
    return int.from_bytes(hashlib.blake2b(what.encode(), key=seed[:64], digest_size=32).digest()) % count


def ceiling(brief: Brief) -> int:
    """The most that is ever proposed: the limit less 2 to 8 percent, in atoms."""
    reserve = RESERVE_LEAST + draw(brief.seed, "reserve", RESERVE_MOST - RESERVE_LEAST + 1)
    return brief.limit * (ONE - reserve) // ONE


def needed(brief: Brief, terms: Proposal) -> bool:
    """Whether ``terms`` give what is openly asked for: quality, capacity, and when it begins."""
    good = terms.quality >= brief.quality and terms.capacity >= brief.capacity
    return good and (not brief.begin_by or terms.begin <= brief.begin_by)


def fits(brief: Brief, terms: Proposal) -> bool:
    """Whether ``terms`` may be accepted."""
    return terms.amount <= brief.limit and needed(brief, terms)


def worth(brief: Brief, terms: Proposal, reference: int) -> int:
    """What ``terms`` are worth, to compare: more is better. It does not depend on the limit.

    It is quality and punctuality, by their weights, in parts of ``reference`` (the cheapest first offer), less the
    price by its weight; all times 1,000.
    """
    return merits(brief, terms) * reference - brief.weights.price * POINTS * terms.amount


def merits(brief: Brief, terms: Proposal) -> int:
    """Quality and punctuality of ``terms`` in points, times their weights."""
    total = brief.weights.quality * terms.quality
    if brief.weights.time:
        room = brief.begin_by - brief.began
        early = max(0, brief.begin_by - max(terms.begin, brief.began)) * POINTS // room if room > 0 else POINTS
        total += brief.weights.time * early
    return total


def even(brief: Brief, terms: Proposal, value: int, reference: int) -> int:
    """The highest amount at which ``terms`` are worth more than ``value``; below 0 when there is none."""
    return -(-(merits(brief, terms) * reference - value) // (brief.weights.price * POINTS)) - 1


def public(brief: Brief, reference: int, part: int) -> int:
    """What is proposed in the first half when ``part`` (millionths) of it has passed, in atoms.

    It is cut until the threshold is surely not above the ceiling. That the threshold is chance hides the limit: one
    that is 5 percent higher is on the other side of it in 2 of 100 negotiations.
    """
    threshold = _threshold(draw(brief.seed, "threshold", ONE))
    middle = min(HIGHEST, threshold)
    room = brief.limit * (ONE - RESERVE_MOST)
    divisor = 1
    while reference * threshold > room * divisor:
        divisor *= CUT
    return reference * middle * (FIRST + (ONE - FIRST) * part // ONE) // (ONE * ONE * divisor)


def _threshold(chance: int) -> int:
    """THRESHOLD_LEAST × SPREAD to the power of ``chance`` (millionths), in straight pieces."""
    step, rest = divmod(chance * STEPS, ONE)
    low, high = _CURVE[step : step + 2]
    return low + (high - low) * rest // ONE


def conceded(brief: Brief, start: int, end: int, part: int, alternatives: int) -> int:
    """Where the second half stands between ``start`` and ``end`` when ``part`` (millionths) of it has passed.

    Each alternative makes the agent harder: it gives way later.
    """
    if end <= start:
        return end
    power, root = brief.pace
    return start + (end - start) * risen(part, ONE, power + root * min(alternatives, 8), root) // ONE
