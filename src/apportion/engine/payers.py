"""A payer's account as usage names it: found, or opened on the catalog's terms."""

from __future__ import annotations

from apportion.engine.credit.policy import opened
from apportion.engine.terms import Terms
from apportion.engine.work import Work
from apportion.errors import RefusalCode, refuse
from apportion.model.account import Account
from apportion.money import Asset, Money


def payer_account(work: Work, terms: Terms, name: str, asset: Asset) -> Account:
    """The account of a payer in a currency; opened where the catalog says so.

    Raises:
        Refused: UNKNOWN_PAYER.
    """
    account = work.payer(name, asset)
    if account is not None:
        return account
    known = terms.catalog.payers.get(name) or terms.catalog.unknown_payers
    if known is None or known.currency != asset.code:
        raise refuse(
            RefusalCode.UNKNOWN_PAYER,
            f"no account in {asset.code} is open for this payer.",
            field="payers",
            fix="Add the payer to the catalog, or say under unknown_payers on which terms to open accounts.",
        )
    return opened(work, terms, name, work.open_payer(name, asset, Money.parse(known.credit, asset).atoms))
