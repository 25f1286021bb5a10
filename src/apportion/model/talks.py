"""Negotiations in the books: how one stands, what was said in it, and what is asked at the door.

A mandate is never part of any of these: it is used up within the one call that brings it.
"""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec
from msgspec import Meta

from apportion.model.bid import Asked as Question
from apportion.model.bid_check import GoodBid
from apportion.model.journal import CourseLine
from apportion.model.market import Quality
from apportion.model.negotiation import Mandate, Mode, Negotiation
from apportion.model.plan import PlanMade, PlanPayer
from apportion.model.request import Request
from apportion.model.session_asked import Asked, Name, Text
from apportion.model.usage import PayerUse

NEGOTIATION = "neg_"  # what ids of negotiations begin with
#: a negotiation that a user leads is open for so many seconds at most; an agent's ends within one call
OPEN_MAX, CALL_MAX = 3600, 50
Number = Annotated[str, Meta(min_length=1, max_length=42)]


class TalksState(enum.Enum):
    """How a negotiation stands."""

    OPEN = "open"
    AGREED = "agreed"  # a plan came of it
    WALKED = "walked-away"
    ENDED = "ended"  # its time was over


class NegotiationLine(CourseLine, frozen=True, tag="negotiation", kw_only=True):
    """A negotiation as it stands; it is open until it is ``due``.

    ``request`` is the hash of what was asked without what is personal, ``digest`` that of all that was said, which is
    kept beside the chain. Of ``asked`` provider nodes so many ``answered`` with a bid that counts. ``agent`` says that
    an agent led it, ``plan`` what came of it, ``home`` the provider that it came through. Of personal attributes the
    chain holds a MAC.
    """

    n: int
    state: TalksState
    at: str
    began: str
    service: str
    asset: str
    request: str
    digest: str = ""
    payers: tuple[PlanPayer, ...] = ()
    macs: dict[str, str] = {}
    mode: Mode = "rounds"
    agent: bool = False
    round: int = 0
    asked: int = 0
    answered: int = 0
    home: str = ""
    plan: str = ""


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was ``sent`` to a provider's node, and the signed bid that it ``said``, both as they went over the wire.

    ``missed`` is why what it said does not count.
    """

    provider: str
    sent: str
    said: str = ""
    missed: str = ""


class NodeTalk(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one node stands: the last question, its last bid that counts, and why it is ``out``, if it is."""

    asked: Question
    good: GoodBid | None = None
    final: bool = False
    out: str = ""


class Stood(msgspec.Struct, frozen=True, omit_defaults=True):
    """An offer as it stood last: what its provider earns (``price``), what payers pay for it (``fee``, with tax).

    ``total`` is what the whole plan would come to with the best of the others, ``name`` what it is called in the
    negotiation. One that is not ``open`` is no provider node's, or its price is settled by an agreement.
    """

    name: str
    part: str
    provider: str
    offer: str
    price: str
    fee: str
    total: str
    points: int = 0
    quality: Quality = Quality()
    until: str = ""
    open: bool = False
    final: bool = False
    out: str = ""


class Talks(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that was said in a negotiation; ``request`` is without who pays and what of it is personal."""

    id: str
    request: Request
    nodes: dict[str, NodeTalk] = {}
    offers: tuple[Stood, ...] = ()
    messages: tuple[Message, ...] = ()
    negotiation: Negotiation | None = None
    reason: str = ""


class NegotiationMove(msgspec.Struct, frozen=True, gc=False):
    """A negotiation as it stands after a call; ``line`` is whole but for what concerns people.

    ``payers`` are their names, ``personal`` attributes as they came, ``plan`` what was agreed.
    """

    line: NegotiationLine
    talks: Talks
    payers: tuple[PayerUse, ...]
    personal: dict[str, str] = {}
    plan: PlanMade | None = None


class LapseNegotiation(msgspec.Struct, frozen=True, gc=False):
    """The time of a negotiation is over."""

    id: str


# what is asked at the door


class NegotiationAsked(Asked, frozen=True):
    """Negotiate about a request: with a ``mandate`` an agent does, without one it stays open for ``seconds``.

    The ``mandate`` is private: it is used in this call and kept nowhere. Its ``limit`` is what payers pay in all, tax
    included. An agent may settle without rounds: ``mode`` first-offer, or an auction at the second-price.
    """

    request: Request
    mandate: Mandate | None = None
    seconds: Annotated[int, Meta(ge=1, le=OPEN_MAX)] = 300
    mode: Mode = "rounds"


class CounterAsked(Asked, frozen=True):
    """What the user would take: ``amount`` is what the provider would earn for a part, all quantities, without tax.

    It goes to ``provider``, to all that bargain when empty; ``part`` may be left out where there is one. ``quality`` is
    what it should keep, ``until`` how long it should stand (RFC 3339), ``last`` asks for the best and final offer.
    """

    amount: Number
    provider: Text = ""
    part: Text = ""
    quality: Quality | None = None
    until: Annotated[str, Meta(max_length=40)] = ""
    last: bool = False


class OfferTaken(Asked, frozen=True):
    """The offer of a ``provider`` that is taken; when ``price`` is named it must still be that."""

    provider: Name
    part: Text = ""
    price: Annotated[str, Meta(max_length=42)] = ""


class AgreeAsked(Asked, frozen=True):
    """Take ``offers`` as they stand; of the other parts, or when none is named of all, the best combination."""

    offers: Annotated[tuple[OfferTaken, ...], Meta(max_length=100)] = ()
