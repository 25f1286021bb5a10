"""What crosses the way to a payment processor: orders to charge or give back, and what became of them.

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
