"""The chart of accounts: which accounts a tenant has, named by role, owner and asset."""

from __future__ import annotations

from apportion.errors import Refusal, RefusalCode
from apportion.model.account import Account, Role

#: roles whose balance may fall below zero without a credit line
FREE = frozenset({
    Role.SPONSOR, Role.ROUNDING, Role.CASH, Role.PLATFORM, Role.TAX, Role.PROVIDER, Role.TRANSIT, Role.COST,
    Role.CLEARING, Role.EXCHANGE,
})  # fmt: skip


def account_key(role: Role, owner: str, asset: str) -> str:
    """The name of an account that is unique in a tenant: ``provider:acme:USD/9``."""
    return f"{role.value}:{owner}:{asset}"


def may_draw(account: Account, atoms: int) -> Refusal | None:
    """None when ``atoms`` may leave a payer's account now, else INSUFFICIENT_FUNDS; other roles have no bound."""
    if atoms <= account.available() or account.role in FREE:
        return None
    return Refusal(
        code=RefusalCode.INSUFFICIENT_FUNDS,
        message="the account does not have the value.",
        field="payers",
        fix=f"Top up {account.public} and run again.",
    )
