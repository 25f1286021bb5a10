"""Refunds on the working set: money back to the card it came from, never more than was paid, each of them once.

The payer's account gives the amount in the row that wants the refund, so that it can not be spent meanwhile; it has it
again only when the processor says that the refund failed.
"""

from __future__ import annotations

from msgspec.structs import replace

from apportion.engine.payments import chargebacks
from apportion.engine.payments.clearing import REFUND, Sums, receipt_of, record_of, shift, transit
from apportion.engine.payments.decision import minor_unit, reference_cause
from apportion.engine.work import Work
from apportion.errors import RefusalCode, Refused, refuse
from apportion.ledger import proof
from apportion.ledger.chart import may_draw
from apportion.model.card import EndRefund, HearRefund, ReceiptLine, RefundLine, RequestRefund, SendRefund
from apportion.model.command import Outcome
from apportion.model.ids import key_id, read_key
from apportion.model.payment import LIVE, PaymentState, spoken
from apportion.money.asset import minor_digits

_SUCCEEDED, _FAILED = PaymentState.SUCCEEDED.value, PaymentState.FAILED.value


def request(work: Work, command: RequestRefund) -> Outcome:
    """Begin a refund, once per reference; its amount leaves the payer's account now.

    Raises:
        Refused: NOT_FOUND; BAD_AMOUNT when it is not above zero, no whole minor units, or more than is left of the
            payment; CONFLICT for a reference with another amount; INSUFFICIENT_FUNDS when the value is used up.
    """
    receipt = receipt_of(work, command.payment)
    sums = Sums(work, receipt)
    left = sums.atoms(receipt.amount) - sums.atoms(receipt.back)
    atoms = sums.atoms(command.amount) if command.amount else left
    cause = reference_cause(command.reference)
    id = key_id("rfd", proof.record_key("refund", f"{receipt.payment}\x00{cause}"))
    known = record_of(work, id)
    if isinstance(known, RefundLine):
        if command.amount and sums.atoms(known.amount) != atoms:
            raise refuse(
                RefusalCode.CONFLICT,
                "this reference was used before for another amount.",
                field="reference",
                fix="Every refund needs a reference of its own.",
            )
        return Outcome(None, id)
    if atoms <= 0 or atoms % minor_unit(sums.asset):
        digits = minor_digits(sums.asset.code)
        raise refuse(
            RefusalCode.BAD_AMOUNT,
            f"a refund is above zero and has at most {digits} decimals; {sums.text(left)} is left of this payment.",
            field="amount",
        )
    if atoms > left:
        raise refuse(
            RefusalCode.BAD_AMOUNT, f"only {sums.text(left)} is left of this payment.", field="amount",
            fix="Refund at most that.",
        )  # fmt: skip
    declined = may_draw(sums.account, atoms)
    if declined is not None:
        raise Refused(replace(declined, field="amount", fix="What was used can be refunded once it is credited."))
    line = RefundLine(
        id=id, due=work.at, n=1, payment=receipt.payment, account=receipt.account, asset=receipt.asset,
        processor=receipt.processor, amount=sums.text(atoms), state=PaymentState.CREATED.value, cause=cause,
        at=work.at, requested=work.at,
    )  # fmt: skip
    _give(work, line, receipt, atoms)
    work.names.soon = True
    return Outcome(None, id)


def _give(work: Work, line: RefundLine, receipt: ReceiptLine, atoms: int) -> None:
    """The payer's account gives it; the receipt knows."""
    sums = Sums(work, receipt)
    back = replace(
        receipt, at=work.at, back=sums.text(sums.atoms(receipt.back) + atoms), refunds=(*receipt.refunds, line.id)
    )
    movements = [(sums.account, -atoms), (transit(work, line.processor, sums.asset), atoms)]
    shift(
        work, read_key(line.id), "refund", line.id, movements,
        lambda: (work.move(line), work.move(back)), payer=sums.account,
    )  # fmt: skip


def _standing(work: Work, id: str) -> RefundLine:
    found = record_of(work, id) if id.startswith(REFUND) else None
    if not isinstance(found, RefundLine):
        raise refuse(RefusalCode.NOT_FOUND, "there is no such refund.", field="id")
    return found


def send(work: Work, command: SendRefund) -> Outcome:
    """Note one more try; of several nodes that mean to send the same, the first one does."""
    line = _standing(work, command.id)
    if line.n != command.n or line.state not in LIVE:
        raise refuse(RefusalCode.CONFLICT, f"{line.id} has moved on.", field="n")
    state = PaymentState.SENT.value if line.state == PaymentState.CREATED.value else line.state
    sent = replace(line, n=line.n + 1, state=state, at=work.at, tries=line.tries + 1, due=command.due, reason="")
    work.append(work.move(sent))
    return Outcome(None, sent.id, n=sent.n)


def end(work: Work, command: EndRefund) -> Outcome:
    """Note what the processor said. It may say of one that succeeded that it failed after all: banks do that."""
    line = _standing(work, command.id)
    if line.state == _FAILED or (line.state == _SUCCEEDED and command.outcome != _FAILED):
        raise refuse(RefusalCode.CONFLICT, f"{line.id} is not under way.", field="id")
    told = replace(
        line, n=line.n + 1, at=work.at, reference=spoken(command.reference) or line.reference,
        reason=spoken(command.reason), due="",
    )  # fmt: skip
    if command.outcome == _FAILED:
        _keep(work, replace(told, state=_FAILED))
        return Outcome(None, line.id)
    if line.state == PaymentState.CREATED.value:
        raise refuse(RefusalCode.CONFLICT, f"{line.id} was never sent.", field="id")
    if command.outcome == _SUCCEEDED:
        work.append(work.move(replace(told, state=_SUCCEEDED)))
        return Outcome(None, line.id)
    if line.n != command.n:
        raise refuse(RefusalCode.CONFLICT, f"{line.id} has moved on.", field="n")
    state = line.state if command.outcome == "pending" else PaymentState.UNKNOWN.value
    late = line.late or (work.at if command.late else "")
    work.append(work.move(replace(told, state=state, asked=line.asked + 1, due=command.due, late=late)))
    return Outcome(None, line.id)


def _keep(work: Work, line: RefundLine) -> None:
    """The card's holder did not get it: the payer has it again, and bears what was charged back meanwhile."""
    receipt = receipt_of(work, line.payment)
    sums = Sums(work, receipt)
    atoms = sums.atoms(line.amount)
    kept = replace(receipt, at=work.at, back=sums.text(sums.atoms(receipt.back) - atoms))
    movements = [(sums.account, atoms), (transit(work, line.processor, sums.asset), -atoms)]
    key = proof.record_key("refund-failed", line.id)
    shift(work, key, "refund", line.id, movements, lambda: (work.move(line), work.move(kept)), payer=sums.account)
    chargebacks.catch_up(work, line.payment)


def hear(work: Work, command: HearRefund) -> Outcome:
    """A refund that somebody made at the processor: it is booked as it is, once per reference, forced if need be.

    Raises:
        Refused: NOT_FOUND; BAD_AMOUNT when more would go back than was paid.
    """
    receipt = receipt_of(work, command.payment)
    sums = Sums(work, receipt)
    id = key_id("rfd", proof.record_key("foreign refund", f"{receipt.processor}\x00{command.reference}"))
    if record_of(work, id) is not None or any(
        isinstance(one := record_of(work, name), RefundLine) and one.reference == command.reference
        for name in receipt.refunds
    ):
        return Outcome(None, id)
    atoms = sums.atoms(command.amount)
    if (
        atoms <= 0
        or command.currency != sums.asset.code
        or atoms > sums.atoms(receipt.amount) - sums.atoms(receipt.back)
    ):
        raise refuse(RefusalCode.BAD_AMOUNT, "more went back than is left of this payment.", field="amount")
    line = RefundLine(
        id=id, n=1, payment=receipt.payment, account=receipt.account, asset=receipt.asset,
        processor=receipt.processor, amount=sums.text(atoms), state=_SUCCEEDED, cause="processor", at=work.at,
        requested=work.at, reference=spoken(command.reference), foreign=True,
    )  # fmt: skip
    _give(work, line, receipt, atoms)
    return Outcome(None, id)
