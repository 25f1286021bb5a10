"""Corrections of charges: what was given back of one, or priced or shared anew; new entries that name their origin.

A charge that was booked never changes. What corrects it is a charge of its own whose ``origin`` names it, and the two
together are how it stands now.
"""

from __future__ import annotations

import enum

import msgspec

from apportion.model.charge import Charge
from apportion.model.journal import CourseLine, UsageLine


class Why(enum.Enum):
    """Why a charge was corrected."""

    REFUND = "refund"  # the operator gives back
    DISPUTE = "dispute"  # a case was decided
    PRICE = "price"  # the price was wrong
    SHARE = "share"  # the fee was right, and shared wrongly


class CorrectedLine(CourseLine, frozen=True, tag="corrected", kw_only=True):
    """How a charge stands after its ``n``-th correction; ``id`` is ``cor_`` and the charge's key.

    ``made`` is the charge that corrects, in the same row; ``standing`` the charge as it stands with all corrections so
    far. The first line also keeps ``was`` and ``usage``, the charge and its usage as they were booked. ``cause`` names
    the case or the catalog behind it; empty for a refund.
    """

    charge: str
    n: int
    at: str
    why: str
    made: str
    reference: str
    standing: Charge
    cause: str = ""
    payer: str = ""
    provider: str = ""
    was: Charge | None = None
    usage: UsageLine | None = None


class RepricedLine(CourseLine, frozen=True, tag="repriced", kw_only=True):
    """By which ``catalog`` a ``service`` of a payer's closed ``period`` was priced last, for the ``n``-th time.

    ``made`` is the charge in the same row that adds what the ``count`` uses come to now less what they came to before.
    ``tariffs`` are retail tariffs that stand for those which the uses were booked by, where these are others.
    """

    period: str
    account: str
    service: str
    n: int
    at: str
    catalog: str
    made: str
    count: int
    tariffs: dict[str, str] = {}


class Correct(msgspec.Struct, frozen=True, kw_only=True):
    """Give back ``amount`` of a charge (with its tax; all that stands, when empty), once per ``reference``.

    It goes to the ``payer`` (an account) named, else to all by what they bear. It is taken from the ``provider`` named
    alone, else from everybody by what they earn of it: providers, platform and taxes. Drawn is given back to where it
    was drawn from, out of buckets and allowances to the payer's own account.
    """

    charge: str
    reference: str
    amount: str = ""
    payer: str = ""
    provider: str = ""
    why: str = Why.REFUND.value
    cause: str = ""


class Resplit(msgspec.Struct, frozen=True, kw_only=True):
    """Let ``provider`` earn ``amount`` more of a charge for ``part``, out of what ``against`` earns of it.

    ``against`` is another provider of it, or the platform when empty. What payers bear does not change.
    """

    charge: str
    reference: str
    part: str
    provider: str
    amount: str
    against: str = ""
    why: str = Why.SHARE.value
    cause: str = ""


CorrectionCommand = Correct | Resplit
