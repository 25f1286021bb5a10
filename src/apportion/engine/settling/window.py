"""What moved on the accounts of providers in a window of the books, leg by leg."""

from __future__ import annotations

import msgspec

from apportion.engine.unbilled import PAID_OUT
from apportion.model.journal import Leg

OBLIGATION = "obligation"  # the kind of an entry by which one provider comes to owe another
_ENTRY, _MARK = b'{"type":"entry"', b"\n"


class _Legs(msgspec.Struct, gc=False):
    """As much of an entry as counts here."""

    kind: str
    legs: list[Leg]


_DECODE = msgspec.json.Decoder(_Legs).decode


class Moved(msgspec.Struct):
    """What an account was credited and debited in atoms, what obligations brought it, and what was paid out of it."""

    credits: int = 0
    debits: int = 0
    obliged: int = 0
    paid: int = 0
    legs: int = 0
    payouts: int = 0  # of the legs, those that only paid out

    @property
    def credited(self) -> int:
        """What it earned less what it came to owe."""
        return self.credits - self.debits + self.obliged

    @property
    def earned(self) -> bool:
        """Whether anything but payouts moved, though it may have come to nothing."""
        return self.legs > self.payouts

    def take(self, kind: str, atoms: int) -> None:
        """Count one leg."""
        self.legs += 1
        if kind in PAID_OUT:
            self.paid -= atoms
            self.payouts += 1
        elif kind == OBLIGATION:
            self.obliged += atoms
        elif atoms > 0:
            self.credits += atoms
        else:
            self.debits -= atoms


class Legs:
    """The sums of a window by account, and by pair what obligations came to."""

    def __init__(self, accounts: set[str]) -> None:
        self.moved = {account: Moved() for account in sorted(accounts)}
        self.pairs: dict[tuple[str, str], int] = {}

    def row(self, body: bytes) -> None:
        """Count the entries of a row."""
        for line in body.split(_MARK):
            if line.startswith(_ENTRY):
                entry = _DECODE(line)
                self.entry(entry.kind, [(leg.account, _atoms(leg.amount)) for leg in entry.legs])

    def entry(self, kind: str, legs: list[tuple[str, int]]) -> None:
        """Count one entry."""
        for account, atoms in legs:
            found = self.moved.get(account)
            if found is not None:
                found.take(kind, atoms)
        if kind == OBLIGATION:
            (debtor, less), (creditor, more) = sorted(legs, key=lambda leg: leg[1])
            assert less == -more, "an obligation has two legs"
            self.pairs[debtor, creditor] = self.pairs.get((debtor, creditor), 0) + more


def _atoms(text: str) -> int:
    return int(text.replace(".", "", 1))  # all amounts of the books have the scale of their asset
