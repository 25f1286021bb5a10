"""Who may deliver to whom, where a service asks for that: said once, in force until it is taken back."""

from __future__ import annotations

import msgspec

from apportion.engine.market.naming import approval_id
from apportion.engine.market.switching import known_provider
from apportion.engine.terms import Terms
from apportion.engine.work import Work
from apportion.errors import RefusalCode, refuse
from apportion.model.account import Account
from apportion.model.command import Outcome
from apportion.model.standing import ApprovalLine, Approve

_APPROVAL = msgspec.json.Decoder(ApprovalLine)


def accounts_of(work: Work, payer: str) -> list[Account]:
    """All accounts of a payer, in every currency.

    Raises:
        Refused: UNKNOWN_PAYER.
    """
    found = [account for _, asset in work.names.assets.values() if (account := work.payer(payer, asset)) is not None]
    if not found:
        raise refuse(RefusalCode.UNKNOWN_PAYER, f"there is no payer {payer[:60]!r}.", field="payer")
    return found


def decide_approval(work: Work, terms: Terms, command: Approve) -> Outcome:
    """Approve a provider for all accounts of a payer, or take that back.

    Raises:
        Refused: UNKNOWN_PROVIDER, UNKNOWN_PAYER.
    """
    known_provider(terms, command.provider, "")
    accounts = accounts_of(work, command.payer)
    by = "user" if command.user else "operator"
    lines = [
        line
        for account in accounts
        for line in approve(work, account.public, command.provider, by, approved=command.approved)
    ]
    if lines:
        work.append(*lines)
    return Outcome(None, approval_id(accounts[0].public, command.provider))


def approve(work: Work, account: str, provider: str, by: str, *, approved: bool = True) -> tuple[bytes, ...]:
    """Say that a provider may deliver to the payer of an account; lines to be appended, none when that stands."""
    id = approval_id(account, provider)
    stored = work.course(id)
    before = _APPROVAL.decode(stored) if stored else None
    if before is not None and before.approved == approved:
        return ()
    n = before.n + 1 if before is not None else 1
    line = ApprovalLine(id=id, n=n, at=work.at, account=account, provider=provider, approved=approved, by=by)
    return (work.move(line),)
