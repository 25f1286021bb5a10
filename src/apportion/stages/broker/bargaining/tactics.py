"""How a provider bargains: pure functions of its stance, of what it remembers, and of the counter-offer that came.

    talk, first = open_with(stance, now)                   # the answer to the request for quotes
    talk, answer = respond(stance, talk, counter, now)     # the answer to each counter-offer

``fixed`` stays at what it asks. ``linear``, ``boulware`` (late) and ``conceder`` (early) go from ``ask`` to ``reserve``
by the share of rounds or time that has passed, raised to 1, 4 and 1/4. ``tit-for-tat`` comes down by as much as the
user went up. Whoever is at its end goes to ``reserve``. Nobody ever goes below it, or asks for more than before.
"""

from __future__ import annotations

from apportion.errors import RefusalCode, refuse
from apportion.model.negotiation import Answer, Counter, Proposal, Stance, Talk
from apportion.money import Exact

#: exponents of the tactics that go by time, as a fraction
PACES = {"linear": (1, 1), "boulware": (4, 1), "conceder": (1, 4)}
ONE = 10**6


def open_with(stance: Stance, now: int) -> tuple[Talk, Answer]:
    """The first offer, at what the provider asks, and what it has to remember.

    Raises:
        Refused: BAD_AMOUNT, when the stance asks for less than its reserve.
    """
    check(stance)
    talk = Talk(since=now, price=stance.ask)
    return talk, Answer("offer", _terms(stance, stance.ask, stance.quality, now))


def respond(stance: Stance, talk: Talk, counter: Counter, now: int) -> tuple[Talk, Answer]:
    """Accept what is at or above what it would offer next, else make that offer; decline when it is through.

    Called for its best and final offer, it also accepts whatever is at or above its reserve. The surcharge for more
    quality than its own comes on top of both.
    """
    if talk.ended:
        return talk, Answer("decline", final=True)
    wanted = counter.terms
    price, ended = next_price(stance, talk, counter, now), passed_of(stance, talk, now) >= ONE
    talk = Talk(talk.round + 1, talk.since, price, wanted.amount, ended)
    quality = max(stance.quality, min(wanted.quality, stance.top))
    more = stance.per_point * (quality - stance.quality)
    least = stance.reserve if counter.last and stance.tactic != "fixed" else price
    deliverable = wanted.quality <= quality and wanted.capacity <= stance.capacity
    if deliverable and (not wanted.begin or stance.begin <= wanted.begin) and wanted.amount >= least + more:
        terms = Proposal(
            wanted.amount, quality, stance.capacity, max(wanted.begin, stance.begin), now + stance.validity
        )
        return talk, Answer("accept", terms, ended or counter.last)
    return talk, Answer("offer", _terms(stance, price + more, quality, now), ended or counter.last)


def next_price(stance: Stance, talk: Talk, counter: Counter, now: int) -> int:
    """What the provider asks for next, in atoms without surcharges: between ``reserve`` and its last price."""
    if stance.tactic == "fixed":
        return stance.ask
    room = stance.ask - stance.reserve
    passed = passed_of(stance, talk, now)
    if passed >= ONE:
        price = stance.reserve
    elif stance.tactic == "tit-for-tat" and not stance.pace:
        up = counter.terms.amount - talk.heard if talk.heard >= 0 else 0
        price = talk.price - max(up, 0)
    else:
        price = stance.ask - room * risen(passed, ONE, *exponent(stance)) // ONE
    if counter.last:
        price = min(price, stance.reserve + room * stance.keep // 100)
    return max(stance.reserve, min(price, talk.price))


def passed_of(stance: Stance, talk: Talk, now: int) -> int:
    """The share of the provider's rounds or of its time that has passed with this counter, in millionths."""
    passed = (talk.round + 1) * ONE // stance.rounds
    if stance.ends:
        passed = max(passed, (now - talk.since) * ONE // max(stance.ends - talk.since, 1))
    return max(0, min(ONE, passed))


def exponent(stance: Stance) -> tuple[int, int]:
    """The exponent by which the stance gives way, as a fraction."""
    return read_pace(stance.pace) if stance.pace else PACES.get(stance.tactic, (1, 1))


def read_pace(text: str, field: str = "pace") -> tuple[int, int]:
    """An exponent from 0.1 to 20 with at most one decimal, as a fraction.

    Raises:
        Refused: BAD_QUANTITY.
    """
    tenths = Exact.parse(text, field=field) * Exact(10)
    if tenths.num % tenths.den or not 1 <= tenths.floor() <= 200:
        raise refuse(
            RefusalCode.BAD_QUANTITY,
            f"{text[:40]!r} is not a pace.",
            field=field,
            fix="Write a number from 0.1 to 20 with at most one decimal, such as 3.",
        )
    pace = Exact(tenths.floor(), 10).reduced()
    return pace.num, pace.den


def risen(part: int, whole: int, power: int, root: int) -> int:
    """(``part``/``whole``) to the power of ``power``/``root`` in millionths, rounded down; 0 ≤ part ≤ whole."""
    if part >= whole:
        return ONE
    return root_of(part**power * ONE**root // whole**power, root)


def root_of(value: int, root: int) -> int:
    """The largest number up to a million whose ``root``-th power is not above ``value``."""
    low, high = 0, ONE
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**root <= value else (low, middle - 1)
    return low


def check(stance: Stance) -> None:
    """Refuse a stance that contradicts itself: BAD_AMOUNT, BAD_QUANTITY."""
    if not 0 <= stance.reserve <= stance.ask:
        raise refuse(
            RefusalCode.BAD_AMOUNT,
            "the reserve must be between 0 and what is asked.",
            field="reserve",
            fix="Raise what is asked or lower the reserve.",
        )
    if stance.rounds < 1 or not 0 <= stance.keep <= 100 or stance.per_point < 0 or stance.validity < 1:
        raise refuse(
            RefusalCode.BAD_QUANTITY,
            "rounds, keep, per_point or validity is out of bounds.",
            field="stance",
            fix="At least one round, 0 to 100 percent to keep, no price per point below 0, a validity above 0.",
        )
    exponent(stance)


def _terms(stance: Stance, amount: int, quality: int, now: int) -> Proposal:
    return Proposal(amount, quality, stance.capacity, stance.begin, now + stance.validity)
