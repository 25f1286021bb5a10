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


def home_account(work: Work, terms: Terms, name: str, service: ServiceTerms, at: datetime) -> Account:
    """The account that a session is charged to while it runs: always one in the service's own currency.

    Raises:
        Refused: UNKNOWN_PAYER; ASSET_MISMATCH when the payer is billed in another currency.
    """
    asset = service.asset
    code = terms.billed_in(name, service.service.id, at) if terms.rates else ""
    known = terms.catalog.payers.get(name) or terms.catalog.unknown_payers
    if terms.rates and not code and known is not None and work.payer(name, asset) is None:
        code = known.currency.partition("/")[0]
    if code not in ("", asset.code):
        raise refuse(
            RefusalCode.ASSET_MISMATCH,
            f"a session of {service.service.id} is charged in {asset.code}, and this payer in {code}.",
            field="payers",
            fix=f"Send its use as usage records, or let the payer have an account in {asset.code} and be billed in it.",
        )
    return payer_account(work, terms, name, asset)


def billed_account(work: Work, terms: Terms, name: str, prepared: Prepared) -> Account:
    """The account that a record is charged to, where the catalog has exchange rates.

    It is the one in the currency that the payer is billed in (``billing.currency`` of its agreement or profile); else
    one in the service's currency; else one in the payer's own currency, by the catalog.

    Raises:
        Refused: UNKNOWN_PAYER, NO_RATE; ASSET_MISMATCH when a price that counts over a period would be converted.
    """
    asset, service = prepared.terms.asset, prepared.terms.service.id
    code = terms.billed_in(name, service, prepared.usage.start)
    account = work.payer(name, asset) if code in ("", asset.code) else None
    if account is not None:
        return account
    known = terms.catalog.payers.get(name) or terms.catalog.unknown_payers
    code = code or (known.currency.partition("/")[0] if known is not None else "")
    if known is None or code in ("", asset.code):
        return payer_account(work, terms, name, asset)
    terms.rates.find(asset.code, code, prepared.usage.start)
    if prepared.running:
        raise refuse(
            RefusalCode.ASSET_MISMATCH,
            f"{service} counts over a period, so it is charged in {asset.code} alone.",
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
