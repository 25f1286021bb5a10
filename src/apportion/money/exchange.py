"""Exchange: one amount in another currency, at a rate that is kept with it; exact until it becomes atoms, once."""

from __future__ import annotations

import msgspec

from apportion.money.asset import Asset
from apportion.money.exact import Exact
from apportion.money.money import checked
from apportion.money.rounding import nearest


class Rate(msgspec.Struct, frozen=True):
    """One unit of ``base`` is ``text`` units of ``quote``, as ``source`` said ``at`` an instant (RFC 3339).

    It converts both ways: from the quote to the base by the exact inverse, which is a fraction and never rounded.
    """

    base: str
    quote: str
    text: str
    source: str
    at: str

    def other(self, currency: str) -> str:
        """The one of the two that is not ``currency``."""
        return self.quote if currency == self.base else self.base

    def of(self, exact: Exact, currency: str) -> Exact:
        """``exact`` whole units of ``currency`` (one of the two) in the other one, not rounded."""
        rate = Exact.parse(self.text)
        return (exact * rate if currency == self.base else exact.over(rate)).reduced()

    def atoms(self, atoms: int, asset: Asset, other: Asset) -> int:
        """``atoms`` of ``asset`` in atoms of the ``other``, rounded once, half-even.

        Raises:
            Refused: OVERFLOW.
        """
        exact = self.of(Exact(atoms, asset.unit), asset.code)
        return checked(nearest(exact.num * other.unit, exact.den))
