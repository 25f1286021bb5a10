"""Every business fact as its balanced entry; entries are written here and nowhere else.

Credits are positive: a payer's account rises by a top-up and falls by a charge; a provider's rises by a portion.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

from apportion.errors import RefusalCode, Refused, refuse
from apportion.ledger.lines import Form
from apportion.model.account import Account
from apportion.model.journal import Entry, Leg
from apportion.money import ATOMS_MAX
from apportion.money.exact import decimal_text

Movement = tuple[Account, int]


def merge(movements: Iterable[Movement]) -> list[Movement]:
    """One movement per account, zeros left out, in the order of first mention."""
    found: dict[int, Movement] = {}
    for movement in movements:
        account, atoms = movement
        if atoms:
            number = account.id
            found[number] = movement if number not in found else (account, atoms + found[number][1])
    return [movement for movement in found.values() if movement[1]]


def book(
    key: str,
    cause: str,
    kind: str,
    at: str,
    asset: tuple[str, int],
    movements: Sequence[Movement],
    *,
    forced: bool = False,
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
    name, scale = asset
    return _entry(kind, name, forced, [key, cause, at, *_apply(key, cause, movements, scale)])


def book_line(key: str, cause: str, kind: str, at: str, asset: tuple[str, int], movements: Sequence[Movement]) -> bytes:
    """``book``, and the entry as the line that the books keep of it."""
    name, scale = asset
    return _form(kind, name, len(movements)).fill([key, cause, at, *_apply(key, cause, movements, scale)])


def check_balances(movements: Iterable[Movement]) -> None:
    """Refuse what would not fit, before the first of several entries that stand or fall together.

    Raises:
        Refused: OVERFLOW.
    """
    for account, atoms in movements:
        if not -ATOMS_MAX <= account.posted + atoms <= ATOMS_MAX:
            raise _too_much(account)


def _too_much(account: Account) -> Refused:
    return refuse(RefusalCode.OVERFLOW, f"the balance of {account.public} would not fit into 63 bits.")


def _apply(key: str, cause: str, movements: Sequence[Movement], scale: int) -> list[str]:
    """Move the balances; account and amount of every leg as text."""
    total = 0
    for account, atoms in movements:
        total += atoms
        if not -ATOMS_MAX <= account.posted + atoms <= ATOMS_MAX:
            raise _too_much(account)
    assert total == 0, f"entry {key} of {cause} does not balance"
    texts: list[str] = []
    for account, atoms in movements:
        account.posted += atoms
        texts += (account.public, decimal_text(atoms, scale))
    return texts


def _entry(kind: str, asset: str, forced: bool, texts: Sequence[str]) -> Entry:
    """An entry of its texts: id, cause, instant, and then account and amount of every leg."""
    key, cause, at, *legs = texts
    pairs = zip(legs[::2], legs[1::2], strict=True)
    return Entry(key, cause, kind, at, asset, tuple([Leg(account, amount) for account, amount in pairs]), forced)


@functools.lru_cache(maxsize=256)
def _form(kind: str, asset: str, legs: int) -> Form:
    return Form(lambda texts: _entry(kind, asset, False, texts), 3 + 2 * legs)


def charge_movements(
    shares: Iterable[Movement],
    portions: Iterable[Movement],
    platform: Movement,
    taxes: Iterable[Movement] = (),
    sponsor: Movement | None = None,
) -> list[Movement]:
    """The legs of a charge: payers fall by their shares, the sponsor by what it adds; all others rise."""
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
