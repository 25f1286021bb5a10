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

    ``method`` is the processor's token of the payer's means of payment, never a card number.
    """

    amount: str
    method: str
    limit: str = ""


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """One account that may be drawn, as the books know it; ``cap`` is decimal text, "" no bound."""

    account: str
    cap: str = ""
    per: str = "month"


class FundingLine(CourseLine, frozen=True, tag="funding", kw_only=True):
    """From where a payer's shares are drawn after its own value: ``id`` is ``fund_`` and the account's number.

    ``guarantor`` is the provider that stands for the credit line; empty is the platform. ``topup`` is how much a payment
    fetches when value runs short and ``topup_limit`` how much at most per month; the token of the means of payment is
    a personal row (field ``method``).
    """

    account: str
    at: str
    sources: tuple[Source, ...] = ()
    guarantor: str = ""
    topup: str = ""
    topup_limit: str = ""
