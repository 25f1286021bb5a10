"""A record of which some is in other currencies than its service: what each account moves in its own.

What crosses from one currency into another goes through the exchange accounts, one a currency: in the service's
currency such an account stands where the party's would; in the party's currency it is the other side of its leg. So
each entry balances in its own currency, and what lies on the exchange accounts is the sum of all conversions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from apportion.engine.funding.purse import PREPAID, Draw
from apportion.engine.legs import Legs
from apportion.engine.rating import Prepared, Rated
from apportion.engine.work import Work, encode
from apportion.ledger import proof
from apportion.ledger.booking import Movement, book, charge_movements, check_balances, merge
from apportion.model.account import Account, Role
from apportion.model.charge import Charge, Conversion, Portion, Share
from apportion.model.ids import key_id, read_number
from apportion.money import Asset, Exact, Money, allocate, residues
from apportion.money.exact import decimal_text
from apportion.money.exchange import Rate
from apportion.money.rounding import atoms_of
from apportion.ports import Key

Others = list[tuple[Asset, list[Movement]]]  # movements by currency
CONVERSION, OWNER = "conversion", "conversions"  # the kind of an entry, and whose the exchange accounts are
_SPACE = proof.blake3(b"apportion conversions").digest()


class Earned(NamedTuple):
    """A portion in its provider's own currency: its ``exact`` price, the ``atoms`` of it, what rounding ``kept``."""

    asset: Asset
    rate: Rate
    exact: Exact
    atoms: int
    kept: int

    @classmethod
    def of(cls, exact: Exact, asset: Asset, rate: Rate) -> Earned:
        """The price of a part, rounded once, in its own currency."""
        atoms = atoms_of(exact.num, exact.den, asset.unit)
        return cls(asset, rate, exact, atoms, residues([exact.num * asset.unit], exact.den, [atoms])[0])


class Abroad(Legs):
    """The legs of a record that is converted somewhere.

    ``shares`` are in the currency of each account; what the charge says of them is in the service's.
    """

    __slots__ = ("_away", "_earned", "_exchange", "_paid", "_work")
    abroad = True

    def __init__(
        self, work: Work, prepared: Prepared, rated: Rated, payers: list[Account], providers: list[Account]
    ) -> None:
        super().__init__(work, prepared.terms, rated, payers, providers)
        self._work = work
        self._exchange = exchange_account(work, self.asset)
        self._earned = earned(prepared, rated)
        self._away = self._converted_shares(prepared)
        self._paid: list[list[Draw]] | None = None
        self.shares = merge((account, atoms) for account, atoms in self.owed() if atoms)

    def _converted_shares(self, prepared: Prepared) -> list[tuple[Asset, Rate, int] | None]:
        """For each payer whose account is in another currency: that, the rate, and its share there."""
        terms, at = prepared.terms, prepared.usage.start
        found: list[tuple[Asset, Rate, int] | None] = []
        for account, share in self.indexed_shares():
            if account.asset == self._exchange.asset:
                found.append(None)
                continue
            other = self._work.asset_of(account)
            rate = terms.rates.find(self.asset.code, other.code, at)
            found.append((other, rate, rate.atoms(share or 0, self.asset, other)))
        return found

    def owed(self) -> list[tuple[Account, int | None]]:
        """Each payer with its share in the currency of its account."""
        pairs = zip(self.indexed_shares(), self._away, strict=True)
        return [(account, share if away is None or share is None else away[2]) for (account, share), away in pairs]

    def drawn(self, draws: list[list[Draw]]) -> None:
        """Let the shares come from where they were drawn, in the payers' own currencies."""
        super().drawn(draws)
        self._paid, self.draws = [], []
        for mine, away, (account, share) in zip(draws, self._away, self.indexed_shares(), strict=True):
            paid = mine or ([Draw(account, 0, PREPAID)] if away is not None and share else [])
            self._paid.append(paid)
            parts = parted(share or 0, [draw.atoms for draw in paid])
            self.draws.append(paid if away is None else [
                draw._replace(atoms=part) for draw, part in zip(paid, parts, strict=True)
            ])  # fmt: skip

    def movements(self) -> list[Movement]:
        """The legs of the record's entry in the service's currency."""
        shares: list[Movement] = []
        for place, ((account, share), away) in enumerate(zip(self.indexed_shares(), self._away, strict=True)):
            if away is not None or self.draws is None:
                shares.append((account if away is None else self._exchange, share or 0))
            else:
                shares += [(draw.account, draw.atoms) for draw in self.draws[place]]
        found = zip(self.providers, self.rated.split.portions, self._earned, strict=True)
        portions = [(account if own is None else self._exchange, atoms) for account, atoms, own in found]
        return charge_movements(shares, portions, (self.platform, self.rated.split.platform), self.taxes, self.sponsor)

    def others(self) -> list[tuple[Asset, list[Movement]]]:
        """The legs in each other currency, in the order of their codes; those that come to nothing are left out."""
        moved: dict[Asset, list[Movement]] = {}
        for place, (account, away) in enumerate(zip(self.payers, self._away, strict=True)):
            if away is not None and self.indexed_shares()[place][1] is not None:
                paid = [(account, away[2])] if self._paid is None else [d[:2] for d in self._paid[place]]
                moved.setdefault(away[0], []).extend((who, -atoms) for who, atoms in paid)
        for account, own in zip(self.providers, self._earned, strict=True):
            if own is not None:
                moved.setdefault(own.asset, []).append((account, own.atoms))
        return balanced(self._work, moved)

    def check(self, movements: list[Movement]) -> None:
        """Refuse entries of which one would not fit, before the first is booked.

        Raises:
            Refused: OVERFLOW.
        """
        for moved in (movements, *(legs for _, legs in self.others())):
            check_balances(moved)

    def residues(self) -> list[Movement]:
        """What rounding kept from each account (10^−9 atoms); together zero, in each currency by itself."""
        kept, home = self.rated.split.kept, self._exchange
        found: list[Movement] = [(self.platform, kept[-1])]
        for account, gone, own in zip(self.providers, kept[:-1], self._earned, strict=True):
            found.append((account if own is None else home, gone))
            if own is not None:
                found += [(account, own.kept), (exchange_account(self._work, own.asset), -own.kept)]
        if self.sponsor is not None:
            found.append((self.sponsor[0], -sum(kept)))
        if self.rated.shares is not None:
            whose = zip(self.payers, self.rated.shares.kept, self._away, strict=True)
            found += [(account if away is None else home, -gone) for account, gone, away in whose]
        return found

    def told(self, charge: Charge) -> Charge:
        """The charge with what was converted of it."""
        replace = msgspec.structs.replace
        portions = [
            portion if own is None else replace(portion, converted=said(own.rate, own.asset, own.atoms, own.exact))
            for portion, own in zip(charge.portions, self._earned, strict=True)
        ]
        paid: list[Conversion | None] = []
        for place, ((_, share), away) in enumerate(zip(self.indexed_shares(), self._away, strict=True)):
            if share is None:
                continue
            mine = [draw.atoms for draw in self._paid[place]] if self._paid is not None else [away[2] if away else 0]
            paid += [None if away is None else said(away[1], away[0], atoms) for atoms in mine or [0]]
        shares = [replace(share, converted=own) for share, own in zip(charge.shares, paid, strict=True)]
        return replace(charge, portions=tuple(portions), shares=tuple(shares))

    def lines(self, work: Work, charge: str) -> tuple[list[bytes], list[Key]]:
        """The entries in the other currencies as the books keep them, and the keys of each."""
        return conversion_entries(work, charge, self.others(), forced=False)


def conversion_key(charge: str, code: str) -> Key:
    """The key of a charge's entry in another currency; no usage record can come to the same."""
    return bytes.fromhex(proof.personal_mac(_SPACE, f"{charge} {code}"))


def balanced(work: Work, moved: dict[Asset, list[Movement]]) -> list[tuple[Asset, list[Movement]]]:
    """Legs by currency, each with the exchange account as the other side."""
    found = []
    for asset, legs in sorted(moved.items(), key=lambda item: item[0].code):
        legs.append((exchange_account(work, asset), -sum(atoms for _, atoms in legs)))
        if merged := merge(legs):
            found.append((asset, merged))
    return found


def exchanged(work: Work, made: Charge) -> list[tuple[Asset, list[Movement]]]:
    """The legs of a charge in each other currency than its own, as it says itself what was converted of it."""
    moved: dict[Asset, list[Movement]] = {}
    sides: list[tuple[int, tuple[Share, ...] | tuple[Portion, ...]]] = [(-1, made.shares), (1, made.portions)]
    for sign, some in sides if made.conversions else ():
        for one in some:
            if one.converted is not None:
                asset = next(asset for _, asset in work.names.assets.values() if asset.code == one.converted.currency)
                atoms = sign * Money.parse(one.converted.amount, asset).atoms
                moved.setdefault(asset, []).append((work.numbered(read_number(one.account)), atoms))
    return balanced(work, moved)


def conversion_entries(
    work: Work, charge: str, others: Iterable[tuple[Asset, list[Movement]]], *, forced: bool = True
) -> tuple[list[bytes], list[Key]]:
    """The entries of a charge in other currencies as the books keep them, and the keys of each."""
    lines, keys = list[bytes](), list[Key]()
    for asset, movements in others:
        key = conversion_key(charge, asset.code)
        keys.append(key)
        shown = str(asset), asset.scale
        lines.append(encode(book(key_id("ent", key), charge, CONVERSION, work.at, shown, movements, forced=forced)))
        work.touch_all(movements)
    return lines, keys


def exchange_account(work: Work, asset: Asset) -> Account:
    """What conversions brought in of a currency, or took of it."""
    return work.account(Role.EXCHANGE, OWNER, asset)


def earned(prepared: Prepared, rated: Rated) -> list[Earned | None]:
    """By part, what its provider earns in a currency of its own.

    A price in another currency is earned in it where each provider earns its own price; where a fee is shared out by
    such prices, it stays in the fee's.
    """
    found: list[Earned | None] = [None] * len(prepared.route.parts)
    if prepared.rates and prepared.terms.service.apportion == "wholesale":
        priced = zip(rated.parts, prepared.deal.abroad, prepared.rates, strict=True)
        for place, (one, asset, rate) in enumerate(priced):
            if one is not None and asset is not None and rate is not None:
                found[place] = Earned.of(one.exact, asset, rate)
    return found


def crew_of(work: Work, prepared: Prepared) -> list[Account]:
    """The accounts of those who delivered, each in the currency of its price; opened on first mention."""
    own = prepared.deal.abroad if prepared.terms.service.apportion == "wholesale" else ()
    assets: Sequence[Asset | None] = own or [None] * len(prepared.route.parts)
    return [
        work.account(Role.PROVIDER, part.provider, asset or prepared.terms.asset)
        for part, asset in zip(prepared.route.parts, assets, strict=True)
    ]


def parted(atoms: int, paid: Sequence[int]) -> list[int]:
    """A share in the service's currency among the draws that paid it in another, in proportion to these."""
    if len(paid) < 2:
        return [atoms] * len(paid)
    return list(allocate(atoms, [Exact(abs(one)) for one in paid]).shares)


def said(rate: Rate, asset: Asset, atoms: int, exact: Exact | None = None) -> Conversion:
    """A conversion as the charge tells it."""
    due = exact.text() if exact is not None else ""
    return Conversion(asset.code, decimal_text(atoms, asset.scale), rate.text, rate.base, rate.source, rate.at, due)
