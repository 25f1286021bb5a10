"""What a slice takes out of accounts, and what of it crosses into other currencies."""

from __future__ import annotations

from typing import NamedTuple

from apportion.engine.converting import Others, balanced, exchange_account
from apportion.engine.sessions.contract import Contract
from apportion.engine.sessions.slice import Slice
from apportion.engine.work import Work
from apportion.ledger.booking import Movement, check_balances
from apportion.model.account import Account
from apportion.model.ids import read_number
from apportion.model.session import SessionLine, SessionPayer
from apportion.money import Asset


class Paid(NamedTuple):
    """``atoms`` of ``payer``'s share out of ``account``; ``share`` is that in the service's currency."""

    payer: SessionPayer
    account: Account
    atoms: int
    share: int


def together(paid: list[Paid]) -> list[Paid]:
    """One share for each payer and account."""
    found: dict[tuple[str, str], Paid] = {}
    for one in paid:
        key = (one.payer.account, one.account.public)
        more = found.get(key)
        found[key] = one if more is None else one._replace(atoms=one.atoms + more.atoms, share=one.share + more.share)
    return list(found.values())


def abroad(
    work: Work, contract: Contract, line: SessionLine, moved: tuple[Slice, list[Paid]]
) -> tuple[list[Movement], Others]:
    """The legs of those who deliver in the service's currency, and those of everybody in other currencies.

    Raises:
        Refused: OVERFLOW.
    """
    found, paid = moved
    away, portions = dict[Asset, list[Movement]](), list[Movement]()
    for meter, atoms, own in zip(line.meters[1:], found.portions, found.own, strict=True):
        account, asset = work.numbered(read_number(meter.account)), contract.own_asset(meter)
        if asset is not None and own is not None:
            away.setdefault(asset, []).append((account, own))
            account = exchange_account(work, contract.asset)
        portions.append((account, atoms))
    for one in paid:
        if one.payer.rate is not None:
            away.setdefault(contract.paid_asset(one.payer), []).append((one.account, -one.atoms))
    others = balanced(work, away)
    for _, legs in others:
        check_balances(legs)
    return portions, others
