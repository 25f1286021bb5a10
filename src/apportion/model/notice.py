"""What a payment processor tells besides: the cards that it keeps, its payouts to our bank, and notices of its own.

Amounts are decimal text in minor units. No card number stands in any of these.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class CardAsked(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a payer gives a card to the processor: a hosted page at ``url``, or a ``secret`` for its own script.

    ``session`` is the processor's name for it; ``fault`` a word for why there is none.
    """

    session: str = ""
    url: str = ""
    secret: str = ""
    fault: str = ""


class CardKept(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of it: with ``state`` saved the token (``method``), and what may be shown of it."""

    state: Literal["saved", "failed", "pending", "unknown"]
    method: str = ""
    brand: str = ""
    last4: str = ""
    expires: str = ""
    reason: str = ""


class DepositItem(msgspec.Struct, frozen=True):
    """One item of a payout: a payment, a refund (``gross`` below zero), a chargeback, or another booking of theirs.

    ``id`` is our own name for it where the processor knows that, ``reference`` theirs. ``net`` = ``gross`` − ``fee``.
    """

    kind: Literal["payment", "refund", "chargeback", "other"]
    gross: str
    fee: str = "0"
    id: str = ""
    reference: str = ""


class Deposit(msgspec.Struct, frozen=True):
    """A payout of the processor to our bank: ``amount`` of ``currency``, made of ``items``, or a ``fault``."""

    reference: str
    amount: str = ""
    currency: str = ""
    items: tuple[DepositItem, ...] = ()
    fault: str = ""


class Notice(msgspec.Struct, frozen=True):
    """What a processor tells by itself, its signature verified: about which of our records, or under which reference.

    ``state`` is open, won or lost of a chargeback. ``payment`` is our payment, where the processor knows its id.
    """

    event: str
    kind: Literal["payment", "refund", "chargeback", "payout", "card", "other"]
    id: str = ""
    reference: str = ""
    payment: str = ""
    state: str = ""
    amount: str = ""
    currency: str = ""
    fee: str = "0"
    reason: str = ""
    respond_by: str = ""
