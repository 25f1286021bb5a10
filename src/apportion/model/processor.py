"""What crosses the way to a payment processor: orders, what became of them, payouts, and what it tells by itself.

Amounts are decimal text in minor units. No card number stands in any of these; tokens are refused when they are one.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from apportion.model.payment import check_method


class PaymentOrder(msgspec.Struct, frozen=True):
    """What a processor is to charge: ``amount`` (decimal text in minor units) of ``currency``, by ``method``.

    ``id`` is our own key: however often an order comes under it, it is charged once. ``method`` is the processor's
    token; a card number is refused.
    """

    id: str
    amount: str
    currency: str
    method: str
    description: str = ""

    def __post_init__(self) -> None:
        check_method(self.method)

    def __repr__(self) -> str:
        return f"PaymentOrder({self.id})"  # a token has no place in a log


class PaymentResult(msgspec.Struct, frozen=True):
    """What is known of a payment or refund: succeeded and failed are for ever.

    ``pending``: the processor has it and is not done. ``absent``: it has never heard of it, so nothing was charged.
    ``unknown``: nobody can say; it may have been charged. ``amount`` and ``currency`` are what was charged when it
    succeeded, ``reference`` the processor's own name for it, ``reason`` a word for why it failed or is not known.
    """

    state: Literal["succeeded", "failed", "pending", "absent", "unknown"]
    amount: str = ""
    currency: str = ""
    reference: str = ""
    reason: str = ""


class Known(msgspec.Struct, frozen=True):
    """What we know of what is asked for: its ``id``, the processor's ``reference`` if it told one, ``since`` when."""

    id: str
    reference: str = ""
    since: str = ""


class RefundOrder(msgspec.Struct, frozen=True):
    """What a processor is to give back: ``amount`` of ``payment``, which it calls ``reference``; once per ``id``."""

    id: str
    payment: str
    reference: str
    amount: str
    currency: str


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
