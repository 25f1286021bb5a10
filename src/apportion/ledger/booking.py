"""Every business fact as its balanced entry; entries are written here and nowhere else.

Credits are positive: a payer's account rises by a top-up and falls by a charge; a provider's rises by a portion.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from apportion.errors import RefusalCode, refuse
from apportion.model.account import Account
from apportion.model.journal import Entry, Leg
from apportion.money import ATOMS_MAX
from apportion.money.exact import decimal_text

Movement = tuple[Account, int]


def merge(movements: Iterable[Movement]) -> list[Movement]:
    """One movement per account, zeros left out, in the order of first mention."""
    found = [movement for movement in movements if movement[1]]
    if len({account.id for account, _ in found}) == len(found):
        return found
    sums: dict[int, int] = {}
    accounts: dict[int, Account] = {}
    for account, atoms in found:
        sums[account.id] = sums.get(account.id, 0) + atoms
        accounts[account.id] = account
    return [(accounts[i], atoms) for i, atoms in sums.items() if atoms]


def book(
    key: str, cause: str, kind: str, at: str, asset: tuple[str, int], movements: Sequence[Movement], *, forced: bool = False
) -> Entry:
    """Apply ``movements`` to their accounts and write the entry that records them.

    Args:
        key: the entry's id.
        cause: id of the record that made it; every entry has one.
        asset: its text and its scale.
        movements: account and signed atoms; no account twice, no zero.

    Raises:
        Refused: OVERFLOW, before anything has changed, when a balance would not fit into 63 bits.
    """
    total = 0
    for account, atoms in movements:
        total += atoms
        if not -ATOMS_MAX <= account.posted + atoms <= ATOMS_MAX:
            raise refuse(RefusalCode.OVERFLOW, f"the balance of {account.public} would not fit into 63 bits.")
    assert total == 0, f"entry {key} of {cause} does not balance"
    name, scale = asset
    legs = []
    for account, atoms in movements:
        account.posted += atoms
        legs.append(Leg(account.public, decimal_text(atoms, scale)))
    return Entry(key, cause, kind, at, name, tuple(legs), forced)


def charge_movements(
    shares: Iterable[Movement],
    portions: Iterable[Movement],
    platform: Movement,
    taxes: Iterable[Movement] = (),
    sponsor: Movement | None = None,
) -> list[Movement]:
    """The legs of a charge: payers fall by their shares, the sponsor by what it adds; providers, platform and tax rise."""
    movements = [(account, -atoms) for account, atoms in shares]
    if sponsor is not None:
        movements.append((sponsor[0], -sponsor[1]))
    movements.extend(portions)
    movements.append(platform)
    movements.extend(taxes)
    return merge(movements)


def topup_movements(payer: Account, cash: Account, atoms: int) -> list[Movement]:
    """Value comes in from outside: cash falls, the payer's account rises."""
    return merge([(cash, -atoms), (payer, atoms)])
