"""How a payer of the catalog is funded, put into the books: its alternates, guarantor and top-ups, as accounts."""

from __future__ import annotations

import msgspec

from apportion.engine.funding.purse import funding_of, move_funding
from apportion.engine.terms import Terms
from apportion.engine.work import Work
from apportion.errors import RefusalCode, refuse
from apportion.ledger import proof
from apportion.model.account import Account
from apportion.model.funding import FundingLine, Source
from apportion.model.ids import number_id
from apportion.model.party import Payer
from apportion.money import Asset, Money
from apportion.ports import Person

METHOD = "method"  # the personal row that holds a payer's token of a means of payment


def fund(work: Work, terms: Terms, account: Account, payer: Payer) -> None:
    """Write down from where a payer is funded, when it differs from what stands; the token stays out of the chain."""
    stands = funding_of(work, account.id)
    before = stands or FundingLine(id=number_id("fund", account.id), account=account.public, at=work.at)
    asset = work.asset_of(account)
    fetched, token = payer.auto_topup, payer.auto_topup.method if payer.auto_topup is not None else ""
    sources = tuple(
        Source(_alternate(work, terms, one.payer, asset).public, one.cap, one.per) for one in payer.alternates
    )
    wanted = msgspec.structs.replace(
        before,
        sources=sources,
        guarantor=payer.guarantor,
        topup=fetched.amount if fetched is not None else "",
        topup_limit=fetched.limit if fetched is not None else "",
        method=proof.personal_mac(work.salts_of(account.party), token) if token else "",
        zone=payer.calendar.zone if any(source.cap for source in sources) else "UTC",
    )
    if wanted == before:
        return
    if wanted.method != before.method:
        work.writes.people.append(Person(account.party, METHOD, token))
    work.append(move_funding(work, msgspec.structs.replace(wanted, at=work.at)))


def _alternate(work: Work, terms: Terms, name: str, asset: Asset) -> Account:
    """The account of another payer; opened on the catalog's terms when its own turn has not come yet."""
    account = work.payer(name, asset)
    if account is not None:
        return account
    known = terms.catalog.payers.get(name)
    if known is None:
        raise refuse(RefusalCode.UNKNOWN_PAYER, f"there is no payer {name[:80]!r}.", field="alternates")
    return work.open_payer(name, asset, Money.parse(known.credit, asset, field="credit").atoms)
