"""A payer's account as usage names it: found, or opened on the catalog's terms."""

from __future__ import annotations

from datetime import datetime

from apportion.engine.credit.policy import opened
from apportion.engine.rating import Prepared
from apportion.engine.terms import ServiceTerms, Terms
from apportion.engine.work import Work
from apportion.errors import RefusalCode, refuse
from apportion.model.account import Account
from apportion.money import Asset, Money
from apportion.money.exchange import Rate


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


def charged_accounts(work: Work, terms: Terms, prepared: Prepared) -> list[Account]:
    """The accounts that a record is charged to, payer by payer.

    Raises:
        Refused: as ``payer_account`` and ``billed_account``.
    """
    service = prepared.terms
    if not terms.rates:
        return [payer_account(work, terms, one.payer, service.asset) for one in prepared.payers]
    at, running = prepared.usage.start, prepared.running
    return [billed_account(work, terms, one.payer, service, at, running=running) for one in prepared.payers]


def session_account(work: Work, terms: Terms, name: str, service: ServiceTerms) -> tuple[Account, Rate | None]:
    """The account that a session is charged to, and the rate by which, when it is in another currency.

    Raises:
        Refused: UNKNOWN_PAYER, NO_RATE.
    """
    if not terms.rates:
        return payer_account(work, terms, name, service.asset), None
    at = datetime.fromisoformat(work.at)
    account = billed_account(work, terms, name, service, at)
    other = work.asset_of(account)
    return account, None if other == service.asset else terms.rates.find(service.asset.code, other.code, at)


def billed_account(
    work: Work, terms: Terms, name: str, service: ServiceTerms, at: datetime, *, running: bool = False
) -> Account:
    """The account that a use is charged to, where the catalog has exchange rates; ``running`` prices are not converted.

    It is the one in the currency that the payer is billed in (``billing.currency`` of its agreement or profile); else
    one in the service's currency; else one in the payer's own currency, by the catalog.

    Raises:
        Refused: UNKNOWN_PAYER, NO_RATE; ASSET_MISMATCH when a price that counts over a period would be converted.
    """
    asset = service.asset
    code = terms.billed_in(name, service.service.id, at)
    account = work.payer(name, asset) if code in ("", asset.code) else None
    if account is not None:
        return account
    known = terms.catalog.payers.get(name) or terms.catalog.unknown_payers
    code = code or (known.currency.partition("/")[0] if known is not None else "")
    if known is None or code in ("", asset.code):
        return payer_account(work, terms, name, asset)
    terms.rates.find(asset.code, code, at)
    if running:
        raise refuse(
            RefusalCode.ASSET_MISMATCH,
            f"{service.service.id} counts over a period, so it is charged in {asset.code} alone.",
            field="payers",
            fix=f"Let this payer be billed in {asset.code} for it: billing.currency of an agreement.",
        )
    other = terms.asset(code)
    account = work.payer(name, other)
    if account is not None:
        return account
    if known.currency == code:
        return payer_account(work, terms, name, other)
    return work.open_payer(name, other, 0)
