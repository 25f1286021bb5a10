"""What documents cover, proved: a closing balance is the account's own but for what was used after the period's end.

What came in, or was paid out, is on the next document, whatever period that is of.

Charges that no document covers yet are summed by the quarter of an hour of their use, at which days begin everywhere.
Accounts that had documents about a session
or a correction alone, and departments, are left out: what their documents cover can not be told by time.
"""

from __future__ import annotations

from collections.abc import Mapping

from apportion.engine.credit.trails import RECEIPTS
from apportion.engine.unbilled import PAID_OUT
from apportion.engine.verify.books import Books, loose_atoms
from apportion.engine.verify.verdict import Findings, Row
from apportion.model.charge import Charge
from apportion.model.journal import Entry, StatementLine
from apportion.money.exact import decimal_text

_CLOSE, _KINDS = "close ", ("payer", "provider")
When = int | str  # a quarter of an hour, or the period that a close was of


class Covered:
    """Follows what was charged until a document covers it."""

    def __init__(self, findings: Findings, books: Books) -> None:
        self.findings, self.books = findings, books
        self._open: dict[str, dict[When, int]] = {}  # by account
        self._came: dict[str, int] = {}  # by account: what came in, or was paid out, since its last document
        self._ended: dict[str, set[str]] = {}  # periods that an account had its document of
        self._untold: set[str] = set()
        self._issued: list[tuple[int, StatementLine]] = []

    def charged(self, charge: Charge, legs: Mapping[str, int]) -> None:
        """Count what a charge moved on the accounts that get documents."""
        when = charge.origin if charge.origin.startswith(_CLOSE) else _quarter(charge.at)
        for account, atoms in legs.items():
            if account not in self._untold and self.books.standing(account).line.role in _KINDS:
                mine = self._open.setdefault(account, {})
                mine[when] = mine.get(when, 0) + atoms

    def entry(self, line: Entry, legs: Mapping[str, int]) -> None:
        """Count what an entry beside no charge brings a payer, or pays a provider."""
        sign = 1 if line.kind in RECEIPTS else -1 if line.kind in PAID_OUT else 0
        for account, atoms in legs.items() if sign else ():
            role = self.books.standing(account).line.role
            if role == ("payer" if sign > 0 else "provider"):
                self._came[account] = self._came.get(account, 0) + sign * atoms

    def issued(self, index: int, line: StatementLine) -> None:
        """A document was issued; it is looked at once its row is whole."""
        self._issued.append((index, line))

    def row_ends(self, row: Row) -> None:
        """Hold what the documents of a row leave against their accounts."""
        for index, line in self._issued:
            for account in (*line.children, *((line.account,) if line.covers else ())):
                self._untold.add(account)
                self._open.pop(account, None)
            if line.account not in self._untold:
                self._cover(row.place(index), line)
        self._issued.clear()

    def _cover(self, place: str, line: StatementLine) -> None:
        if not line.settlement and (line.end[17:19] != "00" or int(line.end[14:16]) % 15):
            self._untold.add(line.account)  # a period of seconds
            return
        scale = self.books.standing(line.account).scale
        came = loose_atoms(line.payments, scale) - loose_atoms(line.stocked, scale)
        if came != self._came.pop(line.account, 0):
            self.findings.add("statement", place, line.id, f"{line.payments} is not what came in, or was paid out.")
        mine, ended = self._open.setdefault(line.account, {}), self._ended.setdefault(line.account, set())
        ended.add(_CLOSE + line.period)
        for when in [when for when in mine if line.settlement or self._over(when, line, ended)]:
            del mine[when]
        if line.more:
            return
        standing = self.books.standing(line.account)
        left, closing = standing.posted - sum(mine.values()), loose_atoms(line.closing, standing.scale)
        if left != closing:
            self.findings.add(
                "statement", place, line.id,
                f"closes with {line.closing}, the books leave {decimal_text(left, standing.scale)} of what it covers.",
            )  # fmt: skip

    @staticmethod
    def _over(when: When, line: StatementLine, ended: set[str]) -> bool:
        return when in ended if isinstance(when, str) else when < _quarter(line.end)


def _quarter(at: str) -> int:
    """The quarter of an hour of an instant (RFC 3339, UTC), as a number that grows with it."""
    return 4 * int(at[:4] + at[5:7] + at[8:10] + at[11:13]) + int(at[14:16]) // 15
