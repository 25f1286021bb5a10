"""Commands about one payer's credit: decide it anew, look after it when a due date has come, write a debt off."""

from __future__ import annotations

from apportion.engine.credit.line import Credit
from apportion.engine.credit.policy import note_followed
from apportion.engine.unforeseen import Unforeseen
from apportion.engine.work import Work
from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.account import Account, Role
from apportion.model.command import Outcome
from apportion.model.credit import CreditCommand, ReviewCredit, SetCredit
from apportion.model.ids import number_id
from apportion.money import Money


class CreditDecision(Unforeseen):
    """A command about credit; ``decide`` answers with the id of the decision (``trd_…``) or write-off (``wof_…``)."""

    def __init__(self, command: CreditCommand) -> None:
        self.command = command

    def decide(self, work: Work) -> Outcome:
        """Apply the command, or refuse it and change nothing."""
        try:
            account = _payer(work, self.command.account)
            if isinstance(self.command, SetCredit):
                return _set(work, account)
            if isinstance(self.command, ReviewCredit):
                return _review(work, account)
            return _write_off(work, account, self.command.amount)
        except Refused as error:
            return Outcome(None, refusal=error.refusal)


def _payer(work: Work, number: int) -> Account:
    """The payer's account of this number.

    Raises:
        Refused: NOT_FOUND.
    """
    if 0 < number < work.names.next_account:
        account = work.numbered(number)
        if account.role is Role.PAYER:
            return account
    raise refuse(
        RefusalCode.NOT_FOUND, f"there is no payer's account {number_id('acct', number)}.", field="id", fix="List them."
    )


def _set(work: Work, account: Account) -> Outcome:
    credit = Credit(work, account)
    if credit.line is None or credit.line.policy is None:
        raise refuse(
            RefusalCode.CONFLICT,
            f"the credit line of {account.public} is fixed.",
            field="id",
            fix="Give the payer trust = true in the catalog, and the catalog a [[trust]] policy of its currency.",
        )
    credit.settle("trust", always=True)
    credit.append()
    return Outcome(None, number_id("trd", work.head[0]), n=work.head[0])


def _review(work: Work, account: Account) -> Outcome:
    """The look at a due date; of several nodes that mean to look, the first one does, for the others none is due."""
    credit = Credit(work, account)
    if credit.line is not None and credit.line.due and credit.line.due <= work.at:
        before = credit.outstanding
        credit.review()
        credit.settle("write-off" if credit.outstanding > before else "trust")
        credit.append()
    return Outcome(None, account.public)


def _write_off(work: Work, account: Account, amount: str) -> Outcome:
    credit = Credit(work, account)
    atoms = Money.parse(amount, credit.asset).atoms if amount else max(0, -account.posted)
    id = credit.write_off(atoms)
    note_followed(work)
    credit.settle("write-off")
    credit.append()
    return Outcome(None, id, total=atoms, n=work.head[0])
