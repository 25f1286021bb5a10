"""Conversions computed again: by the rates of the charge's catalog, in force at the use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from apportion.engine.converting import Earned, earned, parted, said
from apportion.engine.rating import Prepared, Rated
from apportion.engine.verify.books import Books
from apportion.engine.verify.charges import Amounts, exchange_of
from apportion.errors import Refused
from apportion.model.charge import Charge, Conversion, Share
from apportion.money import Asset, parse_asset

Gone = tuple[str, int]  # an account, and what rounding kept from it in 10^-9 atoms


class Converting:
    """One charge beside what its conversions must be."""

    def __init__(self, books: Books, charge: Charge, sums: Amounts, prepared: Prepared, rated: Rated) -> None:
        self._books, self._charge, self._sums, self._prepared = books, charge, sums, prepared
        self.earned = earned(prepared, rated)

    def wrong(self) -> Iterator[str]:
        """What is not as it must be, in words."""
        places = {(part.part, part.provider): i for i, part in enumerate(self._prepared.route.parts)}
        for portion in self._charge.portions:
            place = places.get((portion.part, portion.provider))
            own = self.earned[place] if place is not None else None
            again = None if own is None else said(own.rate, own.asset, own.atoms, own.exact)
            yield from _differing(f"the portion of {portion.provider}", portion.converted, again)
            yield from self._currency(portion.account, own)
        for bearer in dict.fromkeys(share.bearer for share in self._charge.shares):
            mine = [
                (share, home, paid)
                for share, home, paid in zip(self._charge.shares, self._sums.shares, self._sums.paid, strict=True)
                if share.bearer == bearer
            ]
            yield from self._shares(bearer, mine)

    def kept(self, portions: list[Gone], shares: list[Gone]) -> tuple[list[Gone], list[Gone]]:
        """What rounding kept, where it was kept: of what is converted, on the exchange accounts and in both currencies.

        ``portions`` follow the parts, with the accounts of their providers.
        """
        home = str(self._prepared.terms.asset)
        here = exchange_of(self._books, home)
        found: list[Gone] = []
        for (account, gone), own in zip(portions, self.earned, strict=True):
            found.append((account if own is None else here, gone))
            if own is not None:
                found += [(account, own.kept), (exchange_of(self._books, str(own.asset)), -own.kept)]
        away = [(here if str(self._asset(account)) != home else account, gone) for account, gone in shares]
        return found, away

    def _currency(self, account: str, own: Earned | None) -> Iterator[str]:
        asset = str(own.asset if own is not None else self._prepared.terms.asset)
        if account and self._books.standing(account).line.asset != asset:
            yield f"{account} earns in {self._books.standing(account).line.asset}, by its price in {asset}."

    def _shares(self, bearer: str, mine: Sequence[tuple[Share, int, int]]) -> Iterator[str]:
        """What a payer bears in the currency of its account, as a whole and source by source."""
        home, other = self._prepared.terms.asset, self._asset(bearer)
        if other == home:
            for share, _, _ in mine:
                yield from _differing(f"the share of {bearer}", share.converted, None)
            return
        try:
            rate = self._prepared.terms.rates.find(home.code, other.code, datetime.fromisoformat(self._charge.at))
        except Refused as refused:
            yield f"{bearer} pays in {other.code}: {refused.refusal.sentence()}"
            return
        whole = sum(atoms for _, atoms, _ in mine)
        again, paid = rate.atoms(whole, home, other), [atoms for _, _, atoms in mine]
        if sum(paid) != again:
            yield f"{bearer} pays {sum(paid)} atoms of {other}, converted again {again}."
        if [atoms for _, atoms, _ in mine] != parted(whole, paid):
            yield f"the share of {bearer} is not parted as it was drawn."
        for (share, _, _), atoms in zip(mine, paid, strict=True):
            yield from _differing(f"the share of {bearer}", share.converted, said(rate, other, atoms))

    def _asset(self, account: str) -> Asset:
        return parse_asset(self._books.standing(account).line.asset)


def _differing(whose: str, stored: Conversion | None, again: Conversion | None) -> Iterator[str]:
    if stored != again:
        yield f"{whose} is converted as {stored}, computed again {again}."
