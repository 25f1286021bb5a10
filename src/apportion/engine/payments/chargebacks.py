"""Chargebacks on the working set: the bank of a card's holder took a payment back, whether we like it or not.

The payer's account is debited by force and the fee is the platform's; what providers earned stays theirs. What had gone
back already (a refund is under way) the payer does not give twice: the platform bears it until it is won or lost, and
takes it from the payer when that refund fails.
"""

from __future__ import annotations

from msgspec.structs import replace

from apportion.engine.payments.clearing import Sums, cost, receipt_of, record_of, shift, transit
from apportion.engine.work import Work
from apportion.errors import RefusalCode, refuse
from apportion.ledger import proof
from apportion.model.card import ChargebackLine, HearChargeback, ReceiptLine
from apportion.model.command import Outcome
from apportion.model.ids import key_id, read_key
from apportion.model.payment import spoken

OPEN, WON, LOST = "open", "won", "lost"


def chargeback_id(processor: str, reference: str) -> str:
    """``chb_…`` of what a processor calls a chargeback."""
    return key_id("chb", proof.record_key("chargeback", f"{processor}\x00{reference}"))


def hear(work: Work, command: HearChargeback) -> Outcome:
    """Apply what the processor says: it opens once, ends once, and never goes back, in whatever order it is told.

    Raises:
        Refused: NOT_FOUND when the payment is not in; BAD_INPUT without a reference; BAD_AMOUNT when it is more than
            the payment, or in another currency.
    """
    receipt = receipt_of(work, command.payment)
    if not spoken(command.reference):
        raise refuse(RefusalCode.BAD_INPUT, "is no name of a chargeback.", field="reference")
    id = chargeback_id(receipt.processor, command.reference)
    found = record_of(work, id)
    line = found if isinstance(found, ChargebackLine) else _open(work, command, receipt, id)
    if line.state == OPEN and command.state == WON:
        _win(work, line)
    elif line.state == OPEN and command.state == LOST:
        work.append(work.move(replace(line, n=line.n + 1, at=work.at, state=LOST)))
    return Outcome(None, id)


def _open(work: Work, command: HearChargeback, receipt: ReceiptLine, id: str) -> ChargebackLine:
    """The payer gives what has not gone back yet, the platform the rest and the fee; the processor has it already."""
    sums = Sums(work, receipt)
    atoms, fee = sums.atoms(command.amount), sums.atoms(command.fee or "0")
    if not 0 < atoms <= sums.atoms(receipt.amount) or fee < 0 or command.currency != sums.asset.code:
        raise refuse(
            RefusalCode.BAD_AMOUNT, f"{command.amount} {command.currency} can not be charged back.", field="amount"
        )
    taken = min(atoms, sums.atoms(receipt.amount) - sums.atoms(receipt.back))
    line = ChargebackLine(
        id=id, n=1, payment=receipt.payment, account=receipt.account, asset=receipt.asset,
        processor=receipt.processor, amount=sums.text(atoms), taken=sums.text(taken), fee=sums.text(fee), state=OPEN,
        at=work.at, opened=work.at, reference=command.reference, reason=spoken(command.reason),
        respond_by=spoken(command.respond_by),
    )  # fmt: skip
    back = replace(
        receipt, at=work.at, back=sums.text(sums.atoms(receipt.back) + taken), chargebacks=(*receipt.chargebacks, id)
    )
    movements = [
        (sums.account, -taken), (cost(work, line.processor, sums.asset), -(atoms - taken + fee)),
        (transit(work, line.processor, sums.asset), atoms + fee),
    ]  # fmt: skip
    shift(
        work, read_key(id), "chargeback", id, movements, lambda: (work.move(line), work.move(back)), payer=sums.account
    )
    return line


def _win(work: Work, line: ChargebackLine) -> None:
    """Everybody has again what they gave, but for the fee."""
    receipt = receipt_of(work, line.payment)
    sums = Sums(work, receipt)
    atoms, taken = sums.atoms(line.amount), sums.atoms(line.taken)
    won = replace(line, n=line.n + 1, at=work.at, state=WON)
    kept = replace(receipt, at=work.at, back=sums.text(sums.atoms(receipt.back) - taken))
    movements = [
        (sums.account, taken), (cost(work, line.processor, sums.asset), atoms - taken),
        (transit(work, line.processor, sums.asset), -atoms),
    ]  # fmt: skip
    key = proof.record_key("chargeback-won", line.id)
    shift(work, key, "chargeback", line.id, movements, lambda: (work.move(won), work.move(kept)), payer=sums.account)


def catch_up(work: Work, payment: str) -> None:
    """Less has gone back than it seemed: the payer gives what the platform bore of chargebacks in the meantime."""
    for id in receipt_of(work, payment).chargebacks:
        line, receipt = record_of(work, id), receipt_of(work, payment)
        if not isinstance(line, ChargebackLine) or line.state == WON:
            continue
        sums = Sums(work, receipt)
        left = sums.atoms(receipt.amount) - sums.atoms(receipt.back)
        atoms = min(left, sums.atoms(line.amount) - sums.atoms(line.taken))
        if not atoms:
            continue
        more = replace(line, n=line.n + 1, at=work.at, taken=sums.text(sums.atoms(line.taken) + atoms))
        back = replace(receipt, at=work.at, back=sums.text(sums.atoms(receipt.back) + atoms))
        movements = [(sums.account, -atoms), (cost(work, line.processor, sums.asset), atoms)]
        key = proof.record_key("chargeback-more", f"{line.id}\x00{more.n}")
        shift(
            work, key, "chargeback", line.id, movements,
            lambda more=more, back=back: (work.move(more), work.move(back)), payer=sums.account,  # type: ignore[misc]
        )  # fmt: skip
