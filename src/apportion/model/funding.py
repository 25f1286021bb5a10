"""Funding: from which accounts a payer's share is drawn, in which order, and who stands for a credit line."""

from __future__ import annotations

import msgspec

from apportion.model.journal import CourseLine


class Alternate(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Another account that a payer may draw on once its own value is used up: that of ``payer``, such as a pool.

    ``cap`` bounds what this member draws (decimal text, "" is no bound), per calendar ``month`` of the member, per
    ``day``, or altogether (``ever``).
    """

    payer: str
    cap: str = ""
    per: str = "month"


class AutoTopUp(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Value to be fetched by a payment when it runs short: ``amount`` at a time, at most ``limit`` per month.

    ``method`` is the processor's token of the payer's means of payment, never a card number; empty is the card that
    the payer has saved.
    """

    amount: str
    method: str = ""
    limit: str = ""


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """One account that may be drawn, as the books know it; ``cap`` is decimal text, "" no bound."""

    account: str
    cap: str = ""
    per: str = "month"


class FundingLine(CourseLine, frozen=True, tag="funding", kw_only=True):
    """From where a payer's shares are drawn after its own value: ``id`` is ``fund_`` and the account's number.

    ``guarantor`` is the provider that stands for the credit line; empty is the platform. ``topup`` is how much a
    payment fetches when value runs short and ``topup_limit`` how much at most per month; the token of the means of
    payment is a personal row (field ``method``), ``method`` its MAC. A cap's day and month are those of ``zone``. All
    this holds since ``at``; ``buckets`` and ``allowances`` are the ids of those that may be drawn, which come and go.
    ``card`` (``crd_…``) is the card that the payer saved, which goes before the catalog's ``method``.
    """

    account: str
    at: str
    sources: tuple[Source, ...] = ()
    guarantor: str = ""
    topup: str = ""
    topup_limit: str = ""
    method: str = ""
    buckets: tuple[str, ...] = ()
    allowances: tuple[str, ...] = ()
    zone: str = "UTC"
    card: str = ""


class CapLine(CourseLine, frozen=True, tag="cap", kw_only=True):
    """How much ``member`` has ``drawn`` on ``account`` in ``period``, where a cap bounds it.

    ``id`` is ``cap_`` and the numbers of both accounts. What is reserved counts, until it is given back.
    """

    account: str
    member: str
    at: str
    period: str
    drawn: str


class BucketLine(CourseLine, frozen=True, tag="bucket", kw_only=True):
    """Value of ``payer`` on an account of its own, drawn before the rest: the lowest ``priority`` first.

    ``id`` is ``bkt_`` and the account's number. It is drawn for ``services`` (all, when empty) and before ``expires``
    ("" never); what is left then goes to the platform, or back to the ``sponsor`` that gave it (empty: it was paid
    for). ``state`` is open or ended; ``amount`` is what was granted, by the record ``cause``.
    """

    account: str
    payer: str
    at: str
    asset: str
    name: str
    amount: str
    state: str = "open"
    priority: int = 500
    expires: str = ""
    services: tuple[str, ...] = ()
    sponsor: str = ""
    cause: str = ""


class AllowanceLine(CourseLine, frozen=True, tag="allowance", kw_only=True):
    """``units`` of ``measure`` that ``payer`` bought for ``price``, and how many are ``left``.

    ``id`` is ``alw_`` and the number of the deferred account, which holds ``deferred``: the price of what is left or
    ``reserved`` for sessions that run. units = used + ``left`` + ``reserved`` + ``lapsed``. ``state`` is open, used or
    ended. Units are exact text. ``cause`` is the record that bought it.
    """

    account: str
    payer: str
    at: str
    asset: str
    name: str
    measure: str
    units: str
    left: str
    price: str
    deferred: str
    lapsed: str = "0"
    reserved: str = "0"
    state: str = "open"
    expires: str = ""
    services: tuple[str, ...] = ()
    cause: str = ""
