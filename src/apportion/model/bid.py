"""The protocol between platform and provider nodes: what is asked, what is bid, and what was agreed.

A question is sent as canonical JSON; what a provider says comes back as the raw text of a ``Bid`` or ``Agreed`` with an
Ed25519 signature over exactly these bytes. Amounts are decimal text of the currency asked for, instants RFC 3339.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from apportion.model.market import Offer, Quality
from apportion.model.session_asked import Name, Text, Units

#: bytes of a signed bid, offers in one bid, components of one tariff, rows of one price list
BID_BYTES, OFFERS_MAX, COMPONENTS_MAX, ROWS_MAX = 1 << 16, 50, 20, 400
#: rounds of one negotiation
ROUNDS_MAX = 100
#: seconds that two clocks may differ
SKEW = 5

Instant = Annotated[str, Meta(max_length=40)]
Hex = Annotated[str, Meta(pattern="^[0-9a-f]+$", max_length=128)]
QuoteId = Annotated[str, Meta(pattern="^rfq_[0-9a-z]{8,40}$")]


class _Said(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What all of them share: a field that is not known is refused."""


class CounterOffer(_Said, frozen=True):
    """What the asker would take: ``amounts`` by part, each the net price of all quantities, without tax.

    ``quality`` is what the parts should keep, ``capacity`` what is wanted by measure, ``until`` how long the offer
    should stand; what is left out is as the provider offered it. ``last`` asks for the best and final offer.
    """

    amounts: Annotated[dict[Name, Name], Meta(max_length=100)]
    quality: Quality | None = None
    capacity: Units = {}
    until: Instant = ""
    last: bool = False


class Asked(_Said, frozen=True):
    """A request for quotes ``rfq_…``: what ``parts`` of ``service`` would cost for ``quantities`` from ``start`` on.

    It was asked ``at`` an instant; an answer after ``deadline`` is dropped. Of ``attributes`` those that name a person
    are left out. ``round`` counts from 1; from the second on there is a ``counter``-offer to the last bid.
    """

    id: QuoteId
    service: Name
    parts: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=100)]
    quantities: Units
    currency: Annotated[str, Meta(min_length=2, max_length=12)]
    at: Instant
    deadline: Instant
    start: Instant = ""
    attributes: Annotated[dict[Name, Text], Meta(max_length=50)] = {}
    round: Annotated[int, Meta(ge=1, le=ROUNDS_MAX)] = 1
    counter: CounterOffer | None = None


class Bid(_Said, frozen=True, tag_field="kind", tag="bid"):
    """What a provider signs: its ``offers`` with whole tariffs, which bind it from ``at`` until ``valid_until``.

    ``question`` is the SHA-256 of the question's bytes as they came, so that a bid is for it and nothing else. The
    ``answer`` is an ``offer``, to ``accept`` the counter-offer (the offers then cost no more than it), or to
    ``decline``. ``quantities`` are those asked for, ``setup`` is asked once for the plan, however many parts. With
    ``final`` it will not move any more.
    """

    rfq: str
    round: int
    question: str
    provider: str
    at: str
    valid_until: str
    offers: tuple[Offer, ...] = ()
    quantities: Units = {}
    setup: str = "0"
    answer: Literal["offer", "accept", "decline"] = "offer"
    final: bool = False


class Agreed(_Said, frozen=True, tag_field="kind", tag="agreed"):
    """What a provider signs when a bid is accepted: ``bid`` is the SHA-256 of its body, ``offers`` what was taken."""

    rfq: str
    bid: str
    provider: str
    at: str
    offers: tuple[int, ...] = ()


class SignedBid(_Said, frozen=True):
    """A ``body`` as its signer wrote it, and the Ed25519 ``signature`` over its UTF-8 bytes, in hexadecimal."""

    body: Annotated[str, Meta(max_length=BID_BYTES)]
    signature: Annotated[str, Meta(pattern="^[0-9a-f]{128}$")]


class Acceptance(_Said, frozen=True):
    """Take a ``bid`` exactly as it was signed: the ``offers`` at these positions in it, all when none are named."""

    bid: SignedBid
    offers: Annotated[tuple[Annotated[int, Meta(ge=0, lt=OFFERS_MAX)], ...], Meta(max_length=OFFERS_MAX)] = ()


class Finished(_Said, frozen=True):
    """The end of a negotiation, or of what was agreed: the capacity is free again."""

    reason: Text = "ended"


def digest_of(content: bytes) -> str:
    """The SHA-256 by which questions and bids are named, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def bytes_of(asked: Asked) -> bytes:
    """A question as it is sent: the bytes that a bid is bound to."""
    return msgspec.json.encode(asked)
