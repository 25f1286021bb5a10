"""Settlements: windows of the books in which what providers earned and owe is netted, and how each payout stands.

Amounts are decimal text of ``asset``; those that are paid are whole minor units. A party is named by its account; the
platform, which is the counterparty of everybody, by no name at all.
"""

from __future__ import annotations

import enum

import msgspec

from apportion.model.journal import CourseLine


class Mode(enum.Enum):
    """How obligations become payments; in every mode each party ends up with the same."""

    GROSS = "gross"  # every obligation is a payment of its own
    NET = "net"  # one payment between two parties, of what is left when theirs are set off
    MULTILATERAL = "multilateral"  # one payment per party, from or to the platform


class Transfer(msgspec.Struct, frozen=True):
    """What ``debtor`` is to pay to ``creditor``: the accounts of providers, or nothing for the platform."""

    debtor: str
    creditor: str
    amount: str


class SettlementLine(CourseLine, frozen=True, tag="settlement", kw_only=True):
    """A settlement of one currency: it covers all that was booked in the rows ``after`` < n ≤ ``upto``, for ever.

    ``head`` is the chain's at ``upto``. Its PositionLines stand in the same row: ``credited`` is what they come to and
    ``payable`` what is to be paid of it. ``payments`` follow from the ``mode``. ``over`` are the accounts that owe more
    than their net debit cap allows.
    ``previous`` is the settlement before it, of any currency.
    """

    number: str
    at: str
    asset: str
    mode: str
    after: int
    upto: int
    head: str
    providers: int
    credited: str
    payable: str
    payments: tuple[Transfer, ...] = ()
    over: tuple[str, ...] = ()
    previous: str = ""


class PositionLine(CourseLine, frozen=True, tag="position", kw_only=True):
    """How an account stands after its last settlement; ``id`` is ``pos_`` and the account's number.

    ``closing`` = ``opening`` + ``credited`` − ``paid`` is the balance of the account at the row ``upto`` of its
    settlement. ``credited`` = ``credits`` − ``debits`` + ``obliged``, the last one by obligations among providers.
    ``payable`` + ``residue_out`` − ``residue_in`` = ``credited``: it is the sum of the remittance advices since then,
    of which ``advice`` is the last. What that covers was booked before ``end``.
    """

    settlement: str
    account: str
    at: str
    opening: str
    credits: str
    debits: str
    obliged: str
    credited: str
    paid: str
    closing: str
    payable: str
    residue_in: str
    residue_out: str
    advice: str
    end: str


class PayoutLine(CourseLine, frozen=True, tag="payout", kw_only=True):
    """A payment of a settlement after a change; ``n`` counts them. ``state`` is a PaymentState value.

    It goes ``by`` a ``file`` for the bank, a ``transfer`` that a processor makes, as a ``collection`` from a provider
    that owes, or ``direct`` between two of them. ``amount`` of a file or transfer lies in clearing from the first line
    on until it ends; the others move nothing before they are confirmed. ``tries`` is how often it was sent, always
    under its own id; ``asked`` how often its outcome was asked for. ``reference`` is the bank's or processor's name for
    it, ``reason`` what was said last; ``late`` when it had gone without an outcome for too long. What was ordered of a
    settlement at one time is a ``batch``, counted from 1: a file for the bank holds one of them.
    """

    n: int
    settlement: str
    debtor: str
    creditor: str
    asset: str
    amount: str
    by: str
    state: str
    at: str
    requested: str
    tries: int = 0
    asked: int = 0
    reference: str = ""
    reason: str = ""
    late: str = ""
    batch: int = 1


class Wanted(msgspec.Struct, frozen=True):
    """One payment to make: ``amount`` of what ``debtor`` still has to pay to ``creditor``; all of it, when empty."""

    debtor: str
    creditor: str
    amount: str = ""


class OrderPayouts(msgspec.Struct, frozen=True):
    """Pay what a settlement leaves to be paid, by ``by``; of it only ``wanted``, if any are given.

    ``unable`` are accounts that can not be paid so, for want of an address. They are left out.
    """

    settlement: str
    by: str = "file"
    wanted: tuple[Wanted, ...] = ()
    unable: tuple[str, ...] = ()


class SendPayout(msgspec.Struct, frozen=True):
    """Note that a payout, still as its line ``n`` says, is sent now; without an outcome it is due at ``due``."""

    id: str
    n: int
    due: str


class EndPayout(msgspec.Struct, frozen=True):
    """What became of a payout: ``outcome`` is succeeded, failed, pending or unknown.

    ``word`` says whose word it is: the processor's, or the operator's for what goes by file, collection or directly.
    The other fields are those of EndPayment.
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
    word: str = "processor"


class Oblige(msgspec.Struct, frozen=True):
    """``debtor`` owes ``creditor``, both providers, an amount in whole minor units; once per ``reference``."""

    debtor: str
    creditor: str
    amount: str
    currency: str
    reference: str


class Collect(msgspec.Struct, frozen=True):
    """``provider``, as a user's face, took ``amount`` of what ``payer`` owes; once per ``reference``.

    The payer has paid with that, and the provider owes it to the platform, which pays everybody who delivered.
    ``capped`` is said when only a provider with a net debit cap may: it says so of itself.
    """

    provider: str
    payer: str
    amount: str
    currency: str
    reference: str
    capped: bool = False


SettlingCommand = OrderPayouts | SendPayout | EndPayout | Oblige | Collect
