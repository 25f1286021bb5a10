"""The shares of a usage record, drawn from wherever their payers are funded: allowances in units, then the cascade.

Only a record that one payer bears alone draws allowances: who of several used which unit, nobody can say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from apportion.engine.funding.purse import ALLOWANCE, PREPAID, Draw, Purse, funding_of, stocks
from apportion.engine.legs import Legs
from apportion.engine.rating import Prepared, single
from apportion.engine.work import Work
from apportion.model.account import Account
from apportion.model.charge import Held, Share
from apportion.model.funding import AllowanceLine
from apportion.model.ids import read_number
from apportion.money import Money
from apportion.money.exact import decimal_text
from apportion.stages.credit.funding import cover, drawable


def covered(work: Work, prepared: Prepared, payer: Account) -> tuple[Prepared, list[AllowanceLine]]:
    """The record with what allowances cover of it, to be rated anew, and the allowances as they then stand."""
    line = funding_of(work, payer.id)
    if line is None or not line.allowances or not single(prepared):
        return prepared, []
    service, at = prepared.terms.service.id, work.at
    lines = [one for one in stocks(work, line.allowances) if isinstance(one, AllowanceLine)]
    found = cover(prepared.use.quantities, [one for one in lines if drawable(one, service, at)], prepared.terms.asset)
    if not found:
        return prepared, []
    drawn = msgspec.structs.replace(prepared, rated=None, covered=tuple(one for one, _ in found))
    return drawn, [msgspec.structs.replace(after, at=at) for _, after in found]


def draw_shares(work: Work, prepared: Prepared, legs: Legs, stock: list[AllowanceLine]) -> Callable[[], list[bytes]]:
    """Draw every payer's share, all or nothing; what comes back notes it, once it is booked, on caps and allowances.

    Raises:
        Refused: INSUFFICIENT_FUNDS.
    """
    service = prepared.terms.service.id
    taken: dict[int, int] = {}
    purses: list[Purse] = []
    draws: list[list[Draw]] = []
    for place, (account, share) in enumerate(legs.owed()):
        mine = [] if place else _bought(work, prepared)
        purse = Purse(work, account, service, taken)
        mine += purse.draw((share or 0) - sum([draw.atoms for draw in mine]))
        for draw in mine:
            taken[draw.account.id] = taken.get(draw.account.id, 0) + draw.atoms
        purses.append(purse)
        draws.append(mine)
    legs.drawn(draws)

    def noted() -> list[bytes]:
        caps = [line for purse, mine in zip(purses, draws, strict=True) for line in purse.counted(mine)]
        return [*caps, *[work.move(line) for line in stock]]

    return noted


def _bought(work: Work, prepared: Prepared) -> list[Draw]:
    """What allowances give of their price for what they cover."""
    asset = prepared.terms.asset
    found = [(work.numbered(read_number(c.allowance)), Money.parse(c.amount, asset).atoms) for c in prepared.covered]
    return [Draw(account, atoms, ALLOWANCE) for account, atoms in found if atoms]


def drawn_shares(prepared: Prepared, legs: Legs, draws: Sequence[list[Draw]]) -> tuple[Share, ...]:
    """The shares as the charge says them: one for each source that a payer's share came from."""
    scale, found = prepared.terms.asset.scale, list[Share]()
    for place, ((payer, share), mine) in enumerate(zip(legs.indexed_shares(), draws, strict=True)):
        weight, told = prepared.weights[place].text() if prepared.weights else "", served(prepared, place)
        if share is not None and not mine:
            found.append(Share(payer.public, decimal_text(0, scale), weight, "", "", *told))
        for draw in mine:
            source = "" if draw.source == PREPAID else draw.source
            whose = payer.public if draw.account is not payer else ""
            found.append(Share(draw.account.public, decimal_text(draw.atoms, scale), weight, source, whose, *told))
    return tuple(found)


def served(prepared: Prepared, place: int) -> tuple[tuple[str, ...], str]:
    """Under what a payer of several was served at least cost, and what it would have paid alone."""
    choice = prepared.choice
    if choice is None or not prepared.weights:
        return (), ""
    return choice.terms[place], decimal_text(choice.alone[place], prepared.terms.asset.scale)


def held_of(prepared: Prepared, payers: Sequence[Account]) -> tuple[Held, ...]:
    """The agreements among which least cost was found, by the accounts of those who hold them."""
    if prepared.choice is None:
        return ()
    names = {use.payer: account.public for use, account in zip(prepared.payers, payers, strict=True)}
    return tuple(msgspec.structs.replace(one, account=names[one.account]) for one in prepared.choice.held)
