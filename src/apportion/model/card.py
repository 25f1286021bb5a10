"""Cards and what becomes of what they paid: receipts, refunds, chargebacks, payouts. No card number, ever.

A receipt is a payment that succeeded, as the processor holds it: what went back of it, and which payout brought it.
"""

from __future__ import annotations

import msgspec

from apportion.model.journal import CourseLine


class ReceiptLine(CourseLine, frozen=True, tag="receipt", kw_only=True):
    """What a processor took for us: ``id`` is ``rcp_…``, as the payment's.

    ``amount`` is what was paid; ``back`` what of it went back to the payer, by refunds (those under way included) and
    chargebacks, never more. ``reference`` is the processor's name for the payment. ``payout`` is the payout of the
    processor that brought it to the bank, empty while it is in transit.
    """

    payment: str
    account: str
    asset: str
    processor: str
    at: str
    amount: str
    reference: str = ""
    back: str = "0"
    refunds: tuple[str, ...] = ()
    chargebacks: tuple[str, ...] = ()
    payout: str = ""


class RefundLine(CourseLine, frozen=True, tag="card-refund", kw_only=True):
    """Money on its way back to the card of ``payment``: ``id`` is ``rfd_…``; ``n`` counts its lines.

    ``state`` is a PaymentState value. The payer's account gives ``amount`` in the row that creates it, and has it again
    in the row in which it fails. ``foreign`` was begun at the processor, not here. ``payout`` is the processor's payout
    from which it was taken, ``returned`` the one that brought it again after it failed.
    """

    n: int
    payment: str
    account: str
    asset: str
    processor: str
    amount: str
    state: str
    cause: str
    at: str
    requested: str
    tries: int = 0
    asked: int = 0
    reference: str = ""
    reason: str = ""
    late: str = ""
    foreign: bool = False
    payout: str = ""
    returned: str = ""


class ChargebackLine(CourseLine, frozen=True, tag="chargeback", kw_only=True):
    """The card's holder took a payment back through the bank: ``id`` is ``chb_…`` of the processor's ``reference``.

    ``state`` is open, won or lost. Of ``amount`` the payer's account gave ``taken`` (forced), and the platform bears
    the rest, which had gone back already, with the processor's ``fee``. When it is won all but the fee is reversed.
    ``respond_by`` is until when evidence is taken. ``payout`` took it, ``returned`` brought it again.
    """

    n: int
    payment: str
    account: str
    asset: str
    processor: str
    amount: str
    taken: str
    fee: str
    state: str
    at: str
    opened: str
    reference: str
    reason: str = ""
    respond_by: str = ""
    payout: str = ""
    returned: str = ""


class PayoutItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One item of a processor's payout: ``id`` is our record (empty: we know none), ``gross`` − ``fee`` reached us."""

    reference: str
    gross: str
    fee: str
    id: str = ""


class ProcessorPayoutLine(CourseLine, frozen=True, tag="processor-payout", kw_only=True):
    """A processor sent ``amount`` to the bank: ``id`` is ``ppo_…`` of its ``reference``.

    Matched two ways: of ``items`` those with an id are records of these books, by the same amount. ``unmatched`` is
    what the others come to; it stays on the clearing account until somebody explains it.
    """

    processor: str
    reference: str
    asset: str
    amount: str
    at: str
    fees: str
    unmatched: str
    items: tuple[PayoutItem, ...] = ()


class CardLine(CourseLine, frozen=True, tag="card", kw_only=True):
    """A card that a payer saves at a processor: ``id`` is ``crd_…``; ``state`` is asked, saved, failed or removed.

    The token, the brand and the last four digits are personal rows; ``mac`` is the keyed hash of the token.
    """

    n: int
    account: str
    processor: str
    state: str
    at: str
    requested: str
    asked: int = 0
    reason: str = ""
    mac: str = ""


# ── commands ──


class RequestRefund(msgspec.Struct, frozen=True):
    """Give ``amount`` (decimal text; all that is left, when empty) of a payment back, once per ``reference``."""

    payment: str
    reference: str
    amount: str = ""


class SendRefund(msgspec.Struct, frozen=True):
    """Note that a refund, still as its line ``n`` says, is sent now; without an outcome it is due at ``due``."""

    id: str
    n: int
    due: str


class EndRefund(msgspec.Struct, frozen=True):
    """What the processor said of a refund: ``outcome`` is succeeded, failed, pending or unknown."""

    id: str
    n: int
    outcome: str
    reference: str = ""
    reason: str = ""
    due: str = ""
    late: bool = False


class HearRefund(msgspec.Struct, frozen=True):
    """The processor gave ``amount`` of a payment back because somebody told it so, not we."""

    payment: str
    reference: str
    amount: str
    currency: str


class HearChargeback(msgspec.Struct, frozen=True):
    """What the processor says of a chargeback: ``state`` is open, won or lost."""

    payment: str
    reference: str
    state: str
    amount: str
    currency: str
    fee: str = "0"
    reason: str = ""
    respond_by: str = ""


class HearPayout(msgspec.Struct, frozen=True):
    """A payout of a processor with its items; ``items`` name our records where the processor knows their ids."""

    processor: str
    reference: str
    currency: str
    items: tuple[PayoutItem, ...]


class AskCard(msgspec.Struct, frozen=True):
    """A payer was asked for a card; ``details`` (JSON, personal) is where and how, ``due`` when to look again."""

    id: str
    account: int
    processor: str
    details: str
    due: str

    def __repr__(self) -> str:
        return f"AskCard({self.id})"  # a secret has no place in a log


class EndCard(msgspec.Struct, frozen=True):
    """What became of it: ``outcome`` is saved (with its ``token`` and ``details``), failed, pending or removed."""

    id: str
    n: int
    outcome: str
    token: str = ""
    details: str = ""
    reason: str = ""
    due: str = ""

    def __repr__(self) -> str:
        return f"EndCard({self.id}, {self.outcome})"  # a token has no place in a log


class PayStatement(msgspec.Struct, frozen=True):
    """Charge what is open of a statement: ``due`` less what ``came`` in (atoms) until row ``upto``, and since.

    What was paid for those issued ``beside`` it (their ids) is theirs. With an ``attempt`` it is refused when that one
    was made already.
    """

    statement: str
    account: str
    due: str
    came: int
    upto: int
    method: str = ""
    beside: tuple[str, ...] = ()
    attempt: int = 0

    def __repr__(self) -> str:
        return f"PayStatement({self.statement})"  # a token has no place in a log


CardCommand = (
    RequestRefund | SendRefund | EndRefund | HearRefund | HearChargeback | HearPayout | AskCard | EndCard | PayStatement
)
