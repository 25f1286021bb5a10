"""A charge that corrects, in the books: with its entry, the line behind it, and what it does to a payer's credit.

It is forced: what was delivered is delivered, whatever is left on the accounts.
"""

from __future__ import annotations

from apportion.engine.converting import conversion_entries, exchange_account, exchanged
from apportion.engine.credit.line import Credit, given_back
from apportion.engine.credit.trails import CORRECTION
from apportion.engine.sessions.waiters import wake
from apportion.engine.work import Work, encode
from apportion.ledger.booking import Movement, book, check_balances, merge
from apportion.model.account import Account, Role
from apportion.model.charge import Charge, Portion, Share
from apportion.model.ids import key_id, read_number
from apportion.model.journal import CourseLine
from apportion.money import Asset, Money
from apportion.ports import Key


def book_made(work: Work, key: Key, digest: bytes, made: Charge, asset: Asset, line: CourseLine) -> None:
    """Write a charge that corrects, its entry and ``line``, as one row; who gets value back may go on with it."""
    rows = [encode(made)]
    movements, others = movements_of(work, made, asset), exchanged(work, made)
    for legs in (movements, *(legs for _, legs in others)) if others else ():
        check_balances(legs)
    credits: list[Credit] = []
    more: list[bytes] = []
    if movements:
        shown = (str(asset), asset.scale)
        rows.append(encode(book(key_id("ent", key), made.id, CORRECTION, work.at, shown, movements, forced=True)))
        work.touch_all(movements)
    entries, keys = conversion_entries(work, made.id, others)
    for account, atoms in (*movements, *(leg for _, legs in others for leg in legs)):
        if account.role is Role.PAYER and atoms > 0:
            credit = given_back(work, account, atoms, key)
            if credit is not None:
                credits.append(credit)
                more += credit.lines
            more += wake(work, account)
    n = work.append(*rows, *entries, work.move(line), *more)
    work.remember(key, "done", digest, n)
    for one in keys:
        work.remember(one, "done", b"", n)
    for credit in credits:
        credit.noted()


def movements_of(work: Work, made: Charge, asset: Asset) -> list[Movement]:
    """The legs of a correction in the currency of its charge, one per account."""

    def atoms(text: str) -> int:
        return Money.parse(text, asset).atoms

    def known(id: str) -> Account:
        return work.numbered(read_number(id))

    def crossing(one: Share | Portion) -> Account:
        return known(one.account) if one.converted is None else exchange_account(work, asset)

    found = [(crossing(share), -atoms(share.amount)) for share in made.shares]
    found += [(crossing(portion), atoms(portion.amount)) for portion in made.portions]
    found += [(work.account(Role.TAX, f"{tax.name}@{tax.rate}", asset), atoms(tax.amount)) for tax in made.taxes]
    if made.sponsor:
        found.append((known(made.sponsor), -atoms(made.sponsored)))
    if made.platform.strip("-0."):
        found.append((known(made.platform_account), atoms(made.platform)))
    return merge(found)
