"""Negotiation: rounds of offer and counter-offer of one user and many providers on price, quality, capacity, time.

At the door (``Mandate``) amounts and exponents are decimal text. Inside amounts are atoms of the currency asked for,
always for all quantities of the request, without tax; quality and capacity are points of 0 to 1000; instants are whole
milliseconds since 1970, 0 for none.
"""

from __future__ import annotations

import enum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from apportion.model.session_asked import Asked

#: what quality and capacity are counted in: the best there is, all that was asked for
POINTS = 1000
ROUNDS_MAX, SECONDS_MAX = 100, 86_400

Amount = Annotated[str, Meta(min_length=1, max_length=42)]
Points = Annotated[int, Meta(ge=0, le=POINTS)]
Part = Annotated[int, Meta(ge=0, le=1000)]
Tactic = Literal["fixed", "linear", "boulware", "conceder", "tit-for-tat"]
TACTICS: tuple[Tactic, ...] = ("fixed", "linear", "boulware", "conceder", "tit-for-tat")
Mode = Literal["rounds", "first-offer", "second-price"]


class Issues(Asked, frozen=True):
    """What counts how much. The whole scale of quality is worth ``quality``/``price`` times the cheapest first offer.

    So is beginning at once instead of at the last moment that would do, by ``time``.
    """

    price: Annotated[int, Meta(ge=1, le=1000)] = 1
    quality: Part = 0
    time: Part = 0


class Mandate(Asked, frozen=True):
    """What an agent may agree to for a user. It is private: nobody but the user and the agent sees any of it.

    ``limit`` is the most that may be paid, in the currency of the request. There are at most ``rounds`` of counter-
    offers within ``seconds``. ``pace`` is the exponent by which the agent gives way: 1 evenly, more late, less early.
    ``quality`` and ``capacity`` are the least that will do, in points; delivery must begin at ``begin_by`` (RFC 3339;
    whenever, when empty).
    """

    limit: Amount
    weights: Issues = Issues()
    rounds: Annotated[int, Meta(ge=1, le=ROUNDS_MAX)] = 8
    seconds: Annotated[int, Meta(ge=1, le=SECONDS_MAX)] = 30
    pace: Amount = "3"
    quality: Points = 0
    capacity: Points = POINTS
    begin_by: Annotated[str, Meta(max_length=40)] = ""


class Brief(msgspec.Struct, frozen=True):
    """A mandate as the agent works by it, for one request: ``limit`` in atoms, ``pace`` as a fraction.

    ``seed`` are at least 16 bytes that nobody else knows: all of the agent's chance is drawn from them.
    """

    limit: int
    seed: bytes
    began: int
    ends: int
    rounds: int = 8
    weights: Issues = Issues()
    pace: tuple[int, int] = (3, 1)
    quality: int = 0
    capacity: int = POINTS
    begin_by: int = 0


class Proposal(msgspec.Struct, frozen=True, omit_defaults=True):
    """Terms on all issues: ``amount`` atoms for everything, ``quality`` and ``capacity`` in points, when it begins.

    ``until`` is the instant up to which it stands, exclusive; an offer without one stands until it is replaced.
    """

    amount: int
    quality: int = 0
    capacity: int = POINTS
    begin: int = 0
    until: int = 0


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a provider says: an ``offer``, to ``accept`` the counter-offer, or to ``decline``.

    Who accepts makes an offer of exactly the terms of the counter-offer: nothing is bound before the user accepts it.
    With ``final`` the provider will not move any more. A decline takes back nothing that was offered before.
    """

    kind: Literal["offer", "accept", "decline"]
    terms: Proposal | None = None
    final: bool = False


class Counter(msgspec.Struct, frozen=True, omit_defaults=True):
    """The user would take these ``terms`` from ``provider``. ``last`` asks for its best and final offer."""

    provider: str
    terms: Proposal
    last: bool = False


class Accept(msgspec.Struct, frozen=True):
    """The user takes the live offer of ``provider``, exactly as it stands in ``terms``."""

    provider: str
    terms: Proposal


class Walk(msgspec.Struct, frozen=True):
    """The user walks away from all."""

    reason: str = "walked"


Move = Counter | Accept | Walk


class NegotiationState(enum.Enum):
    """How a negotiation stands."""

    OPEN = "open"
    AGREED = "agreed"
    WALKED = "walked"


class Side(msgspec.Struct, frozen=True, omit_defaults=True):
    """One provider in it: its ``first`` offer, the ``offer`` that stands, the user's last ``counter``, how many so far.

    ``fresh`` says that it has answered since that counter with something else than before. ``final``: it will not move
    any more; ``gone``: it has declined.
    """

    first: Proposal | None = None
    offer: Proposal | None = None
    counter: Counter | None = None
    counters: int = 0
    fresh: bool = True
    final: bool = False
    gone: bool = False


class Negotiation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A negotiation as it stands at ``now``: who said what, how often the user answered (``round``), how it ended.

    ``began`` is when it was opened, ``last`` the round in which best and final offers were called for.
    """

    began: int
    now: int
    sides: dict[str, Side] = {}
    round: int = 0
    last: int = 0
    state: NegotiationState = NegotiationState.OPEN
    provider: str = ""
    terms: Proposal | None = None


class Stance(msgspec.Struct, frozen=True, omit_defaults=True):
    """A provider's side for one request, private to it.

    It begins at ``ask`` and never goes below ``reserve`` (cost and least margin), both atoms for everything. ``tactic``
    says how it gives way over ``rounds`` counter-offers or until ``ends``, whichever comes first; ``pace`` overrides
    the tactic's exponent. When best and final offers are called for it goes to ``reserve`` plus ``keep`` percent of
    what lies between. It delivers ``quality`` points, up to ``top`` for ``per_point`` atoms each more, ``capacity``
    points from ``begin`` on. Its offers stand for ``validity`` milliseconds.
    """

    ask: int
    reserve: int
    tactic: Tactic = "linear"
    rounds: int = 8
    ends: int = 0
    pace: str = ""
    keep: int = 0
    quality: int = 0
    top: int = 0
    per_point: int = 0
    capacity: int = POINTS
    begin: int = 0
    validity: int = 60_000


class Talk(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a provider remembers of one negotiation: counters so far, its price then, the user's last amount.

    ``since`` is when it began, ``ended`` says that the provider has made its last offer of itself.
    """

    round: int = 0
    since: int = 0
    price: int = 0
    heard: int = -1
    ended: bool = False


class Award(msgspec.Struct, frozen=True):
    """Who wins an auction or by its first offer, and at which terms."""

    provider: str
    terms: Proposal
