"""Disputes: a user says that a charge is wrong, or a provider that it earned more of it; a case until it is decided.

What is disputed lies in clearing while a case is open. How it is decided is booked by a correction of the charge, so
the charge stays as it was and its standing shows what came of it.
"""

from __future__ import annotations

import enum

import msgspec

from apportion.model.journal import CourseLine, Leg

#: so many pieces of evidence a case takes, and so many characters one piece may have
EVIDENCE_MOST, WORDS_MOST = 30, 64_000
#: so many cases there may ever be about one charge
CASES_MOST = 100


class DisputeState(enum.Enum):
    """How a case stands; it leaves ``open`` once."""

    OPEN = "open"
    DECIDED = "decided"
    WITHDRAWN = "withdrawn"


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """One piece: who gave it (an account; nobody for the platform), when, and the digest of its document.

    The words may be about people, so they lie beside the chain as a document called after the case and the place of
    the piece, counted from 1; they can be forgotten. ``private`` ones are for the operator alone.
    """

    account: str
    at: str
    digest: str
    private: bool = False


class DisputeLine(CourseLine, frozen=True, tag="dispute", kw_only=True):
    """A case after its ``n``-th change, whole; ``id`` is ``dsp_`` and the key of its reference.

    ``account`` opened it: a payer's, which disputes ``amount`` of what it bears of ``charge``; or that of ``provider``,
    which says that it earned ``amount`` more of it for ``part``, out of what ``against`` (an account, or the platform
    when empty) earns. ``held`` is what was set aside, by the account that it was taken from: it lies in clearing while
    the case is ``open``, and has gone back since. ``granted`` of the amount was booked by the charge ``made``, at the
    expense of ``fault`` (a provider) alone when somebody is named.
    """

    n: int
    charge: str
    account: str
    asset: str
    amount: str
    state: str
    at: str
    opened: str
    provider: str = ""
    part: str = ""
    against: str = ""
    held: tuple[Leg, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    granted: str = "0"
    fault: str = ""
    made: str = ""


class DisputedLine(CourseLine, frozen=True, tag="disputed", kw_only=True):
    """All cases that there ever were about a charge, oldest first; ``id`` is ``dpc_`` and the charge's key."""

    charge: str
    cases: tuple[str, ...]


class Words(msgspec.Struct, frozen=True, omit_defaults=True):
    """The document of a piece of evidence: its text, and a ``salt`` so that nobody can guess it from its digest."""

    case: str
    text: str
    salt: str
    title: str = ""


class OpenDispute(msgspec.Struct, frozen=True, kw_only=True):
    """Open a case about a charge, once per ``reference``.

    Either ``payer`` disputes ``amount`` of what it bears (all of it, when empty), or ``provider`` says that it earned
    ``amount`` more for ``part``, out of what the provider ``against`` earns of the charge, or the platform. ``payer``
    and ``provider`` are names; with neither, whoever bears the charge alone is meant. ``outside`` permits a provider
    that has no portion of the charge. ``reason`` is the first piece of evidence.
    """

    charge: str
    reference: str
    payer: str = ""
    provider: str = ""
    amount: str = ""
    part: str = ""
    against: str = ""
    reason: str = ""
    outside: bool = False


class AddEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Add a text to an open case; ``payer`` or ``provider`` (a name) gave it, or the platform."""

    id: str
    text: str
    title: str = ""
    payer: str = ""
    provider: str = ""
    private: bool = False


class DecideDispute(msgspec.Struct, frozen=True, kw_only=True):
    """End a case: ``granted`` of its amount is given (all, when empty; nothing, when 0).

    What a payer is granted is taken from the provider at ``fault`` alone, when one is named.
    """

    id: str
    granted: str = ""
    fault: str = ""


class WithdrawDispute(msgspec.Struct, frozen=True, kw_only=True):
    """End a case as if it had not been opened; who opened it may, ``payer`` or ``provider``, or the platform."""

    id: str
    payer: str = ""
    provider: str = ""


DisputeCommand = OpenDispute | AddEvidence | DecideDispute | WithdrawDispute
