"""Payments: value that is fetched from a payer's means of payment, and how far each of them has come."""

from __future__ import annotations

import enum
from typing import Literal

import msgspec

from apportion.errors import RefusalCode, refuse
from apportion.model.journal import CourseLine


class PaymentState(enum.Enum):
    """How far a payment has come; it only moves downward in this list."""

    CREATED = "created"  # it is wanted; nobody outside has heard of it
    SENT = "sent"  # the processor may have heard of it: from here on only the processor knows
    UNKNOWN = "unknown"  # it was sent and no answer tells how it ended: neither paid nor failed, so it is asked again
    SUCCEEDED = "succeeded"  # paid, and the value is in
    FAILED = "failed"  # not paid, for ever


#: what is under way: at most one payment of an account
LIVE = frozenset({PaymentState.CREATED.value, PaymentState.SENT.value, PaymentState.UNKNOWN.value})


class PaymentLine(CourseLine, frozen=True, tag="payment", kw_only=True):
    """A payment after a change; ``n`` counts them. ``id`` is ``pay_…``, made of account and cause.

    ``amount`` (decimal text of ``asset``) is to come into ``account`` because of ``cause`` (an offer, a session,
    ``auto``, ``ref_…`` for a caller's reference). ``state`` is a PaymentState value, ``requested`` when it was created.
    ``tries`` is how often it was sent, always under its own id; ``asked`` how often its outcome was asked for.
    ``reference`` is the processor's name for it, ``reason`` what it said last; ``late`` when it had gone without an
    outcome for too long. ``previous`` is the payment of this account before it.
    """

    n: int
    account: str
    asset: str
    amount: str
    state: str
    cause: str
    at: str
    requested: str
    previous: str = ""
    tries: int = 0
    asked: int = 0
    reference: str = ""
    reason: str = ""
    late: str = ""


class PaidLine(CourseLine, frozen=True, tag="paid", kw_only=True):
    """What payments come to for an account: ``id`` is ``paid_`` and the account's number.

    ``last`` is its newest payment; ``paid`` (decimal text) what those that were requested in ``month`` (2026-11, UTC)
    bring together, those that failed left out.
    """

    account: str
    at: str
    last: str
    month: str
    paid: str


class RequestPayment(msgspec.Struct, frozen=True):
    """Fetch ``amount`` for ``payer`` now, once per ``reference``; by ``method`` when it is not the stored one."""

    payer: str
    amount: str
    currency: str
    reference: str
    method: str = ""

    def __repr__(self) -> str:
        return f"RequestPayment({self.amount} {self.currency})"  # a token has no place in a log


class SendPayment(msgspec.Struct, frozen=True):
    """Note that a payment, still as its line ``n`` says, is sent now; without an outcome it is due at ``due``."""

    id: str
    n: int
    due: str


class EndPayment(msgspec.Struct, frozen=True):
    """What the processor said of a payment: ``outcome`` is succeeded, failed, pending or unknown.

    One that succeeded says what was charged: ``amount`` of ``currency``. Without an outcome it is due again at ``due``;
    ``late`` notes that this has lasted too long.
    """

    id: str
    n: int
    outcome: str
    amount: str = ""
    currency: str = ""
    reference: str = ""
    reason: str = ""
    due: str = ""
    late: bool = False


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
    """What is known of a payment: succeeded and failed are for ever.

    ``pending``: the processor has it and is not done. ``absent``: it has never heard of it, so nothing was charged.
    ``unknown``: nobody can say; it may have been charged. ``amount`` and ``currency`` are what was charged when it
    succeeded, ``reference`` the processor's own name for it, ``reason`` a word for why it failed or is not known.
    """

    state: Literal["succeeded", "failed", "pending", "absent", "unknown"]
    amount: str = ""
    currency: str = ""
    reference: str = ""
    reason: str = ""


def check_method(token: str, field: str = "method") -> str:
    """A processor's token of a means of payment, as it is.

    Raises:
        Refused: BAD_INPUT, when it is empty, no plain text of at most 255 characters, or a card number.
    """
    if not 0 < len(token) <= 255 or not token.isascii() or not token.isprintable() or " " in token.strip("0123456789 "):
        raise refuse(RefusalCode.BAD_INPUT, "is no token of a means of payment.", field=field)
    digits = "".join(c for c in token if c not in " -.")
    if digits.isdecimal() and 12 <= len(digits) <= 19 and _luhn(digits):
        raise refuse(
            RefusalCode.BAD_INPUT,
            "is a card number, which must never come here.",
            field=field,
            fix="Let the payment processor keep the card, and name the token that it gives for it.",
        )
    return token


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) << (place & 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
