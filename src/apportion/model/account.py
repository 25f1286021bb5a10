"""Accounts as the commit loop holds them: integers inside, public ids at the door."""

from __future__ import annotations

import enum
from typing import Literal

import msgspec

#: a role by its name as callers say it; none is any
RoleName = Literal[
    "", "payer", "provider", "platform", "tax", "bucket", "deferred", "sponsor", "rounding", "cash", "transit", "cost",
    "clearing", "exchange",
]  # fmt: skip


class Role(enum.Enum):
    """What an account is for. Credits are positive: what a balance above zero means stands beside each."""

    PAYER = "payer"  # value that a user has put in (below zero: drawn on the credit line)
    PROVIDER = "provider"  # what the platform owes a provider
    PLATFORM = "platform"  # fees earned
    TAX = "tax"  # tax payable of one category
    BUCKET = "bucket"  # value of a payer with a priority and an expiry, drawn before the rest
    DEFERRED = "deferred"  # the price of a bought allowance that is not used up yet
    SPONSOR = "sponsor"  # below zero: what was given away
    ROUNDING = "rounding"  # what statements and payouts rounded
    CASH = "cash"  # below zero: money that came in from outside
    TRANSIT = "transit"  # below zero: what a payment processor has taken for us and not paid out yet
    COST = "cost"  # below zero: what processors kept for their work, and chargebacks took from the platform
    CLEARING = "clearing"  # what was sent out and has not been confirmed yet
    EXCHANGE = "exchange"  # what conversions brought in of a currency; below zero: what they took


#: roles that are never drawn further than they go
BOUNDED = frozenset({Role.PAYER, Role.BUCKET, Role.DEFERRED})


class Account(msgspec.Struct, gc=False):
    """One account of a tenant, as read for a group and changed by it.

    ``posted`` and ``held`` are atoms; ``credit`` is how far below zero it may go (None: no bound, not a payer).
    """

    id: int
    public: str
    role: Role
    asset: int
    posted: int = 0
    held: int = 0
    credit: int | None = None
    party: int = 0

    def available(self) -> int:
        """Atoms that may still be drawn: posted − open holds + credit line."""
        return self.posted - self.held + (self.credit or 0)
