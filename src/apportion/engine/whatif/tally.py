"""Sums of a replay, party by party: what was booked beside what is replayed, in atoms, never record by record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from apportion.engine.rating import Prepared, Rated
from apportion.engine.sessions.slice import Slice
from apportion.engine.whatif.names import Owners
from apportion.errors import OUTCOMES, Refusal
from apportion.model.charge import Charge
from apportion.model.session import SessionLine
from apportion.model.whatif import Apart, PartyCompared, ServiceCompared, Side, TotalCompared
from apportion.money.exact import decimal_text
from apportion.money.rounding import nearest

BOOKED, REPLAYED = 0, 1
SIDES: tuple[Side, ...] = ("payer", "sponsor", "provider", "platform", "tax")


class Tally:
    """Two columns. ``scale`` tells the decimals of a currency, ``owners`` the names of accounts."""

    def __init__(self, owners: Owners, scale: Callable[[str], int]) -> None:
        self.owners, self._scale = owners, scale
        self._parties: dict[tuple[Side, str, str], list[int]] = {}
        self._services: dict[tuple[str, str], list[int]] = {}
        self._apart: dict[tuple[str, str], tuple[int, int, str, str]] = {}

    def charge(self, charge: Charge, column: int, times: int = 1) -> None:
        """Count a charge as it was booked."""
        code = charge.currency
        scale = self._scale(code)
        borne = 0
        for share in charge.shares:
            atoms = times * atoms_of(share.amount, scale)
            borne += atoms
            self._add("payer", self.owners.of(share.bearer), code, column, atoms)
        if charge.sponsored != "0":
            atoms = times * atoms_of(charge.sponsored, scale)
            borne += atoms
            self._add("sponsor", self._sponsor(charge.sponsor), code, column, atoms)
        for portion in charge.portions:
            self._add("provider", portion.provider, code, column, times * atoms_of(portion.amount, scale))
        self._add("platform", "platform", code, column, times * atoms_of(charge.platform, scale))
        for tax in charge.taxes:
            self._add("tax", f"{tax.name} {tax.rate} %", code, column, times * atoms_of(tax.amount, scale))
        self._served(charge.service, code, column, borne)

    def record(self, charge: Charge) -> None:
        """Count one more record of its service."""
        self._service(charge.service, charge.currency)[2] += 1

    def rated(self, accounts: Sequence[str], prepared: Prepared, rated: Rated) -> None:
        """Count a record as it was rated anew, for the payers who have these accounts."""
        terms, split = prepared.terms, rated.split
        code = terms.asset.code
        if rated.shares is None:
            paid = [(self.owners.of(accounts[0]), rated.total)]
        else:
            pairs = zip(accounts, rated.shares.shares, strict=True)
            paid = [(self.owners.of(account), atoms) for account, atoms in pairs if atoms is not None]
        parts = [(p.provider, atoms) for p, atoms in zip(prepared.route.parts, split.portions, strict=True)]
        taxes = [(f"{name} {rate} %", tax) for name, rate, _, tax in rated.taxes]
        self._told((terms.service.id, code, terms.sponsor), paid, parts, (split.platform, split.sponsored), taxes)

    def slice(self, service: tuple[str, str, str], line: SessionLine, found: Slice) -> None:
        """Count a slice of a session as it was made anew; ``service`` is its id, its currency and its sponsor."""
        paid = [(self.owners.of(p.account), atoms) for p, atoms in zip(line.payers, found.shares, strict=True)]
        parts = [(meter.provider, atoms) for meter, atoms in zip(line.meters[1:], found.portions, strict=True)]
        taxes = [(f"{tax.name} {tax.rate} %", tax.amount) for tax in found.taxes]
        self._told(service, paid, parts, (found.platform, found.sponsored), taxes)

    def _told(
        self,
        service: tuple[str, str, str],
        paid: Iterable[tuple[str, int]],
        parts: Iterable[tuple[str, int]],
        rest: tuple[int, int],
        taxes: Iterable[tuple[str, int]],
    ) -> None:
        """Both sides of a fee; what nobody pays is the sponsor's, with what the fee lacks."""
        id, code, sponsor = service
        platform, sponsored = rest
        borne = earned = 0
        for name, atoms in paid:
            borne += atoms
            self._add("payer", name, code, REPLAYED, atoms)
        for name, atoms in parts:
            earned += atoms
            self._add("provider", name, code, REPLAYED, atoms)
        for name, atoms in taxes:
            earned += atoms
            self._add("tax", name, code, REPLAYED, atoms)
        earned += platform
        self._add("platform", "platform", code, REPLAYED, platform)
        assert earned - borne == sponsored or not borne, "a replayed fee does not add up"
        if earned != borne:
            self._add("sponsor", sponsor, code, REPLAYED, earned - borne)
        self._served(id, code, REPLAYED, earned)

    def apart(self, charge: Charge, why: str | Refusal) -> None:
        """Note a charge that is told as it was booked, and why."""
        reason, message = (why, "") if isinstance(why, str) else (OUTCOMES[why.code][2].rstrip("."), why.sentence())
        count, atoms, example, said = self._apart.get((reason, charge.currency), (0, 0, charge.id, message))
        borne = sum(atoms_of(share.amount, self._scale(charge.currency)) for share in charge.shares)
        self._apart[reason, charge.currency] = count + 1, atoms + borne, example, said

    def _sponsor(self, account: str) -> str:
        return account.partition(":")[2] if account.startswith("sponsor:") else self.owners.of(account)

    def _add(self, side: Side, name: str, code: str, column: int, atoms: int) -> None:
        found = self._parties.get((side, name, code))
        if found is None:
            found = self._parties[side, name, code] = [0, 0]
        found[column] += atoms

    def _served(self, service: str, code: str, column: int, atoms: int) -> None:
        self._service(service, code)[column] += atoms

    def _service(self, service: str, code: str) -> list[int]:
        found = self._services.get((service, code))
        if found is None:
            found = self._services[service, code] = [0, 0, 0]
        return found

    # the answer

    def parties(self) -> tuple[PartyCompared, ...]:
        """Every party by currency and side, the largest difference first; those with nothing on either side are out."""
        rows = [(key, sums) for key, sums in self._parties.items() if any(sums)]
        rows.sort(key=lambda row: (row[0][2], SIDES.index(row[0][0]), -abs(row[1][1] - row[1][0]), row[0][1]))
        return tuple(
            PartyCompared(side, name, code, *self._columns(code, sums[0], sums[1])) for (side, name, code), sums in rows
        )

    def services(self) -> tuple[ServiceCompared, ...]:
        """Every service, the largest difference first."""
        rows = sorted(self._services.items(), key=lambda r: (r[0][1], -abs(r[1][1] - r[1][0]), r[0][0]))
        return tuple(
            ServiceCompared(service, code, sums[2], *self._columns(code, sums[0], sums[1]))
            for (service, code), sums in rows
        )

    def totals(self) -> tuple[TotalCompared, ...]:
        """The sums of each side, which are equal between those who bear and those who earn."""
        found: dict[tuple[str, Side], list[int]] = {}
        for (side, _, code), sums in self._parties.items():
            one = found.setdefault((code, side), [0, 0])
            one[0], one[1] = one[0] + sums[0], one[1] + sums[1]
        for code in {code for code, _ in found}:
            for column in (BOOKED, REPLAYED):
                borne, earned = (
                    sum(found.get((code, side), (0, 0))[column] for side in sides) for sides in (SIDES[:2], SIDES[2:])
                )
                assert borne == earned, f"the {code} of a replay do not add up"
        rows = sorted(found.items(), key=lambda row: (row[0][0], SIDES.index(row[0][1])))
        return tuple(
            TotalCompared(side, code, *self._columns(code, sums[0], sums[1]))
            for (code, side), sums in rows
            if any(sums)
        )

    def told_apart(self) -> tuple[Apart, ...]:
        """What is told as it was booked, by reason; the most first."""
        rows = sorted(self._apart.items(), key=lambda row: (-row[1][0], row[0]))
        return tuple(
            Apart(reason, code, count, decimal_text(atoms, self._scale(code)), example, message)
            for (reason, code), (count, atoms, example, message) in rows
        )

    def _columns(self, code: str, booked: int, replayed: int) -> tuple[str, str, str, str]:
        scale, more = self._scale(code), replayed - booked
        percent = decimal_text(nearest(1000 * more, abs(booked)), 1) if booked else ""
        return decimal_text(booked, scale), decimal_text(replayed, scale), decimal_text(more, scale), percent


def atoms_of(text: str, scale: int) -> int:
    """An amount of the books as atoms."""
    whole, _, part = text.partition(".")
    return int(whole + part.ljust(scale, "0"))
