"""The accounts that one rated record moves, and by how much: the join between what was decided and the ledger."""

from __future__ import annotations

from collections.abc import Mapping

from apportion.engine.funding.purse import Draw
from apportion.engine.rating import Prepared, Rated
from apportion.engine.terms import ServiceTerms
from apportion.engine.work import Work
from apportion.ledger.booking import Movement, charge_movements, merge
from apportion.model.account import Account, Role
from apportion.model.charge import Charge
from apportion.model.ids import read_number
from apportion.money import Exact, Money
from apportion.ports import Key
from apportion.stages.rate import Priced, Pricer


class Legs:
    """Who pays (``shares``) and who earns a rated record; ``sponsor`` is the account that adds what nobody pays.

    ``draws`` say, payer by payer, from where a share comes; None when all come from the payers' own accounts.
    """

    __slots__ = ("asset", "draws", "payers", "platform", "providers", "rated", "shares", "sponsor", "taxes")
    abroad = False  # whether anything is converted: see Abroad

    def __init__(
        self, work: Work, terms: ServiceTerms, rated: Rated, payers: list[Account], providers: list[Account]
    ) -> None:
        self.asset = asset = terms.asset
        self.rated = rated
        self.payers = payers
        self.providers = providers
        self.draws: list[list[Draw]] | None = None
        if rated.shares is None:
            self.shares = [(payers[0], rated.total)] if rated.total else []
        else:
            self.shares = merge((account, atoms) for account, atoms in self.indexed_shares() if atoms)
        self.platform = work.keyed(terms.platform_key) or work.account(Role.PLATFORM, "fees", asset)
        self.taxes = [(work.account(Role.TAX, f"{name}@{rate}", asset), tax) for name, rate, _, tax in rated.taxes]
        unpaid = 0 if self.shares or not rated.total else rated.total
        self.sponsor: Movement | None = None
        if rated.split.sponsored or unpaid:
            self.sponsor = (work.account(Role.SPONSOR, terms.sponsor, asset), rated.split.sponsored + unpaid)

    @property
    def sponsored(self) -> int:
        """Atoms that the sponsor adds."""
        return self.sponsor[1] if self.sponsor is not None else 0

    def indexed_shares(self) -> list[tuple[Account, int | None]]:
        """Each payer with its share; None for those who pay nothing."""
        if self.rated.shares is None:
            return [(self.payers[0], self.rated.total)]
        return list(zip(self.payers, self.rated.shares.shares, strict=True))

    def owed(self) -> list[tuple[Account, int | None]]:
        """Each payer with its share in the currency of its account."""
        return self.indexed_shares()

    def told(self, charge: Charge) -> Charge:
        """The charge with what was converted of it."""
        return charge

    def check(self, movements: list[Movement]) -> None:
        """Refuse several entries of which one would not fit; a single one is refused as it is booked.

        Raises:
            Refused: OVERFLOW.
        """

    def lines(self, work: Work, charge: str) -> tuple[list[bytes], list[Key]]:
        """Entries in other currencies as the books keep them, and the keys of each."""
        return [], []

    def drawn(self, draws: list[list[Draw]]) -> None:
        """Let the shares come from where they were drawn."""
        self.draws = draws
        self.shares = merge((draw.account, draw.atoms) for mine in draws for draw in mine)

    def as_booked(self, work: Work, charge: Charge) -> None:
        """Leave the draws of a booked charge as they were: what a share differs by is on the payer's own account."""
        if not any(share.source or share.payer for share in charge.shares):
            return
        amounts = [Money.parse(share.amount, self.asset).atoms for share in charge.shares]
        pairs = list(zip(charge.shares, amounts, strict=True))
        booked = [(work.numbered(read_number(share.account)), atoms) for share, atoms in pairs]
        borne = [(work.numbered(read_number(share.bearer)), -atoms) for share, atoms in pairs]
        now = [(account, atoms) for account, atoms in self.indexed_shares() if atoms is not None]
        self.shares = merge([*booked, *now, *borne])

    def movements(self) -> list[Movement]:
        """The legs of the record's entry."""
        split = self.rated.split
        portions = list(zip(self.providers, split.portions, strict=True))
        return charge_movements(self.shares, portions, (self.platform, split.platform), self.taxes, self.sponsor)

    def residues(self) -> list[Movement]:
        """What rounding kept from each account (10^−9 atoms); together zero."""
        kept = self.rated.split.kept
        found = [*zip(self.providers, kept[:-1], strict=True), (self.platform, kept[-1])]
        if self.sponsor is not None:
            found.append((self.sponsor[0], -sum(kept)))
        if self.rated.shares is not None:
            found += [(account, -gone) for account, gone in zip(self.payers, self.rated.shares.kept, strict=True)]
        return found


def providers_of(work: Work, prepared: Prepared) -> list[Account]:
    """The accounts of those who delivered, in the order of the route; opened on first mention."""
    asset = prepared.terms.asset
    parts = prepared.route.parts
    return [work.keyed(part.key) or work.account(Role.PROVIDER, part.provider, asset) for part in parts]


class RunningTotals(Mapping[str, Exact]):
    """A payer's running totals under one tariff, read from the working set as the tariff asks for them."""

    def __init__(self, work: Work, payer: int, prefix: str) -> None:
        self._work, self._payer, self._prefix = work, payer, prefix

    def __getitem__(self, key: str) -> Exact:
        return self._work.total(self._payer, self._prefix + key)

    def get(self, key: str, default: object = None) -> Exact:
        return self._work.total(self._payer, self._prefix + key)

    def __iter__(self):
        raise TypeError("running totals are asked for by name")

    def __len__(self) -> int:
        return 1


def tariffs_of(prepared: Prepared) -> list[tuple[Pricer, str]]:
    """Every tariff of a record with the prefix of its running totals: retail has none, a provider's its name.

    Totals count per payer and period on both sides: a provider that sells by volume counts each payer by itself.
    """
    found: list[tuple[Pricer, str]] = [(prepared.retail, "")]
    for part, pricer in zip(prepared.route.parts, prepared.pricers, strict=True):
        if pricer is not None:
            found.append((pricer, f"{part.provider}|{part.part}|"))
    return found


def move_totals(work: Work, prepared: Prepared, rated: Rated, payer: Account) -> None:
    """Bring the running totals forward by what a rated record added."""
    priced: list[Priced] = [rated.retail, *[p for p in rated.parts if p is not None]]
    for (_, prefix), one in zip(tariffs_of(prepared), priced, strict=True):
        for name, value in one.totals.items():
            work.set_total(payer.id, prefix + name, value)
