"""What the books say of accounts: ``balance``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apportion.faces.cli.options import PLACE, TABLE, Place, TableAnswer
from apportion.faces.cli.reach import Reach, reading
from apportion.faces.tables import Table
from apportion.model.account import RoleName

if TYPE_CHECKING:
    from apportion.engine.query import AccountView

COLUMNS = ("id", "role", "owner", "currency", "posted", "held", "available")


def balance(
    account: str = "",
    /,
    *,
    role: RoleName = "",
    place: Place = PLACE,
    answer: TableAnswer = TABLE,
) -> None:
    """Balances as they stand: of everybody, of one party, or of one account.

    Credits are positive: above zero a payer has value left, a provider is owed. Available is what a payer may still
    use: posted less held, plus the credit line. A payer's buckets, and what it paid for allowances that are not used
    up, are accounts of their own with a name.

    Args:
        account: An account id or the name of a party; all accounts when not given.
        role: Only accounts of this role: payer, provider, platform, tax, sponsor, rounding, cash, bucket,
            deferred, clearing or exchange.
    """
    with reading(place) as books:
        views = known(books, account, role) if account else books.accounts(role=role)
    columns = (*COLUMNS, "name") if any(view.name for view in views) else COLUMNS
    answer.give(Table.of(views, columns), views)


def known(books: Reach, name: str, role: str = "") -> list[AccountView]:
    """The accounts of a party or id.

    Raises:
        Refused: NOT_FOUND.
    """
    from apportion.errors import RefusalCode, refuse

    found = books.accounts(name, role)
    if not found:
        raise refuse(
            RefusalCode.NOT_FOUND,
            f"there is no account or party {name[:60]!r}.",
            field="account",
            fix="List them with apportion balance.",
        )
    return found
