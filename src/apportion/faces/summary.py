"""What a run moved: who paid, who earned, per currency, from the balances before it and after it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from apportion.engine.query import AccountView
from apportion.faces.tables import Table
from apportion.money.exact import decimal_text

TOP = 20


class Moved(msgspec.Struct, frozen=True):
    """By how much one account moved: ``amount`` is what a payer or sponsor gave, or what anybody else earned."""

    id: str
    role: str
    owner: str
    currency: str
    amount: str


def atoms_of(text: str) -> int:
    """Decimal text as a whole number of its last decimals."""
    return int(text.replace(".", ""))


def moved(before: Iterable[AccountView], after: Iterable[AccountView]) -> list[Moved]:
    """Every account that moved, the largest amounts first."""
    was = {view.id: atoms_of(view.posted) for view in before}
    found: list[tuple[int, Moved]] = []
    for view in after:
        gone = atoms_of(view.posted) - was.get(view.id, 0)
        if gone:
            gone = -gone if view.role in ("payer", "sponsor") else gone
            found.append((gone, Moved(view.id, view.role, view.owner, view.currency, text_like(view.posted, gone))))
    return [one for _, one in sorted(found, key=lambda pair: (-pair[0], pair[1].id))]


def text_like(pattern: str, atoms: int) -> str:
    """Atoms as decimal text with as many decimals as ``pattern`` has."""
    return decimal_text(atoms, len(pattern.partition(".")[2]))


def totals(rows: Iterable[Moved]) -> dict[str, str]:
    """The sums of moved amounts by currency."""
    sums: dict[str, int] = {}
    shape: dict[str, str] = {}
    for row in rows:
        sums[row.currency] = sums.get(row.currency, 0) + atoms_of(row.amount)
        shape[row.currency] = row.amount
    return {code: text_like(shape[code], atoms) for code, atoms in sorted(sums.items())}


def paid(rows: list[Moved]) -> Table:
    """Who paid: the largest twenty, the others as one row, the total of each currency."""
    return _table(("payer", "paid", ""), [row for row in rows if row.role == "payer"])


def earned(rows: list[Moved]) -> Table:
    """Who earned: providers, the platform, taxes; and what a sponsor carried, below zero."""
    found = [row for row in rows if row.role in ("provider", "platform", "tax", "rounding")]
    found += [
        msgspec.structs.replace(row, amount=text_like(row.amount, -atoms_of(row.amount)))
        for row in rows
        if row.role == "sponsor"
    ]
    return _table(("earned by", "amount", ""), found)


def _table(columns: tuple[str, str, str], rows: list[Moved]) -> Table:
    shown = [(_name(row), row.amount, row.currency) for row in rows[:TOP]]
    shown += [(f"{len(rows) - TOP} more", text, code) for code, text in totals(rows[TOP:]).items()]
    sums = list(totals(rows).items())
    if len(sums) == 1:
        return Table(columns, shown, ("total", sums[0][1], sums[0][0]))
    return Table(columns, shown + [(f"total {code}", text, code) for code, text in sums])


def _name(row: Moved) -> str:
    return row.owner if row.role in ("payer", "provider") else f"{row.owner} ({row.role})"
