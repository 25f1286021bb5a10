"""What closing a period adds up for one payer and service: what re-rating changed, and fees only a period has."""

from __future__ import annotations

from apportion.engine.legs import Legs, RunningTotals
from apportion.engine.query import Record
from apportion.engine.rating import Prepared, Rated
from apportion.engine.terms import PartRoute
from apportion.engine.work import Work
from apportion.ledger.booking import Movement
from apportion.model.account import Account
from apportion.model.charge import Charge, Portion, PriceLine, Share, TaxLine
from apportion.model.ids import read_number
from apportion.model.tariff import RoundingRule
from apportion.money import Exact, common, quantize, residues
from apportion.money.exact import decimal_text
from apportion.stages.rate import (
    Allocated,
    Apportioned,
    Priced,
    Pricer,
    by_cost_alone,
    by_weight,
    capped_dues,
    charge_amounts,
)


class Difference:
    """A payer's adjustment for one service: sums over its records of what they cost now less what was booked."""

    def __init__(self, prepared: Prepared, payer: Account, version: str) -> None:
        self.prepared = prepared
        self.version = version
        self.payer = payer
        self.count = 0
        self.exact = self.rerated = Exact(0)
        self.net = self.platform = self.sponsored = 0
        self.movements: list[Movement] = []
        self.residues: list[Movement] = []
        self.portions: dict[tuple[str, str], int] = {}
        self.shares: dict[str, int] = {}
        self.taxes: dict[tuple[str, str], tuple[int, int]] = {}
        self.lines: list[PriceLine] = []
        self.portion_lines: dict[tuple[str, str], list[PriceLine]] = {}
        self.routes: dict[tuple[str, str], tuple[PartRoute, Pricer | None, Account]] = {}
        self.retails: dict[str, Pricer] = {}
        self.rated: dict[str, tuple[Exact, int]] = {}
        self.weights: dict[tuple[str, str], Exact] = {}
        self.sponsor = ""
        self.platform_account = ""
        self.fees = False

    def add(self, work: Work, record: Record, prepared: Prepared, legs: Legs) -> None:
        """Count one record: its movements as rated now, less its entry as booked."""
        self.count += 1
        name = prepared.retail.tariff.id
        self.retails[name] = prepared.retail
        exact, net = self.rated.get(name, (Exact(0), 0))
        self.rated[name] = (exact + legs.rated.retail.exact, net + legs.rated.net)
        for place, part in enumerate(prepared.route.parts):
            key = (part.part, part.provider)
            self.routes[key] = (part, prepared.pricers[place], legs.providers[place])
            self.weights[key] = self.weights.get(key, Exact(0)) + _weight(prepared, legs.rated, place)
        self._movements(work, record, legs.movements())
        self._residues(work, record, legs)
        self._amounts(record, prepared, legs)

    def _movements(self, work: Work, record: Record, now: list[Movement]) -> None:
        scale = self.prepared.terms.asset.scale
        self.movements += now
        for leg in record.entry.legs if record.entry is not None else ():
            account = work.numbered(read_number(leg.account))
            self.movements.append((account, -_atoms(leg.amount, scale)))

    def _residues(self, work: Work, record: Record, legs: Legs) -> None:
        """Rounding kept other amounts when the record was booked: bring the residues to the new ones."""
        self.residues += legs.residues()
        for account, kept in booked_residues(record.charge, self.prepared.terms.asset.scale):
            self.residues.append((work.numbered(read_number(account)), -kept))

    def _amounts(self, record: Record, prepared: Prepared, legs: Legs) -> None:
        scale, rated, charge = self.prepared.terms.asset.scale, legs.rated, record.charge
        change = rated.retail.exact - Exact.parse(charge.exact)
        self.exact, self.rerated = self.exact + change, self.rerated + change
        self.net += rated.net - _atoms(charge.amount, scale)
        self.platform += rated.split.platform - _atoms(charge.platform, scale)
        self.sponsored += legs.sponsored - _atoms(charge.sponsored, scale)
        self.sponsor = legs.sponsor[0].public if legs.sponsor else charge.sponsor or self.sponsor
        self.platform_account = legs.platform.public
        for part, atoms in zip(prepared.route.parts, rated.split.portions, strict=True):
            self._portion((part.part, part.provider), atoms)
        for portion in charge.portions:
            self._portion((portion.part, portion.provider), -_atoms(portion.amount, scale))
        for account, share in legs.indexed_shares():
            if share is not None:
                self.shares[account.public] = self.shares.get(account.public, 0) + share
        for share_line in charge.shares:
            self.shares[share_line.bearer] = self.shares.get(share_line.bearer, 0) - _atoms(share_line.amount, scale)
        for name, rate, base, tax in rated.taxes:
            self._tax(name, rate, base, tax)
        for line in charge.taxes:
            self._tax(line.name, line.rate, -_atoms(line.base, scale), -_atoms(line.amount, scale))

    def _portion(self, key: tuple[str, str], atoms: int) -> None:
        self.portions[key] = self.portions.get(key, 0) + atoms

    def _tax(self, name: str, rate: str, base: int, tax: int) -> None:
        old = self.taxes.get((name, rate), (0, 0))
        self.taxes[(name, rate)] = (old[0] + base, old[1] + tax)

    def drift(self, pricer: Pricer, retail: Priced) -> int:
        """Atoms by which rounding each record alone left the period's total: a period is rounded as a whole.

        A contract that rounds each charge in its own way keeps what that gives.
        """
        if pricer.tariff.rounding != RoundingRule() or pricer.tax_included or not pricer.periodic:
            return 0
        asset = self.prepared.terms.asset
        exact, net = self.rated[pricer.tariff.id]
        whole = quantize(exact + retail.exact, asset).atoms
        return whole - net - quantize(retail.exact, asset).atoms

    def add_fee(self, work: Work, retail: Priced, pricer: Pricer, dues: dict[tuple[str, str], Priced]) -> None:
        """Count a fee of the period itself: split like any fee of this service, borne by this payer alone."""
        terms = self.prepared.terms
        money, taxed, owed = charge_amounts(retail, terms.asset, pricer.tariff.rounding)
        drift = self.drift(pricer, retail)
        net, total = money.atoms + drift, owed.atoms + drift
        taxes = [(name, rate, base.atoms, tax.atoms) for name, rate, base, tax in taxed]
        keys = sorted(self.routes)
        split = self._split(net, keys, dues)
        shares = Allocated((total,), (0,))
        rated = Rated(net, total, taxes, retail, [], split, shares)
        legs = Legs(work, terms, rated, [self.payer], [self.routes[key][2] for key in keys])
        self.movements += legs.movements()
        self.residues += legs.residues()
        self.fees = True
        self.exact = self.exact + retail.exact
        self.net += net
        self.platform += split.platform
        self.sponsored += legs.sponsored
        self.sponsor = legs.sponsor[0].public if legs.sponsor else self.sponsor
        self.platform_account = legs.platform.public
        self.shares[self.payer.public] = self.shares.get(self.payer.public, 0) + total
        self.lines += retail.lines
        for key, atoms in zip(keys, split.portions, strict=True):
            self._portion(key, atoms)
            if key in dues:
                self.portion_lines.setdefault(key, []).extend(dues[key].lines)
        for name, rate, base, tax in taxes:
            self._tax(name, rate, base, tax)

    def _split(self, net: int, keys: list[tuple[str, str]], dues: dict[tuple[str, str], Priced]) -> Apportioned:
        terms = self.prepared.terms
        order = list(range(len(keys) + 1))
        if terms.service.apportion == "wholesale":
            unit = terms.asset.unit
            zero = Exact(0)
            exacts = [dues[key].exact if key in dues else zero for key in keys]
            return by_cost_alone(net, [Exact(e.num * unit, e.den) for e in exacts], order)
        if terms.service.apportion == "shares":
            weights = [self.routes[key][0].share for key in keys]
            return by_weight(net, weights, terms.platform, order, fraction=False)
        return by_weight(net, [self.weights[key] for key in keys], terms.platform, order, fraction=True)

    def charge(self, id: str, period: str, at: str) -> Charge:
        """The adjustment as a charge of its own that names its origin."""
        terms, scale = self.prepared.terms, self.prepared.terms.asset.scale

        def text(atoms: int) -> str:
            return decimal_text(atoms, scale)

        taxes = sorted(self.taxes.items())
        tax = sum(amounts[1] for _, amounts in taxes)
        rerated = PriceLine("re-rated", "", str(self.count), "", self.rerated.text(), "what ordering by time changed")
        return Charge(
            id,
            "",
            terms.service.id,
            at,
            terms.asset.code,
            ", ".join(sorted(self.retails)),
            self.version,
            terms.service.apportion,
            self.exact.text(),
            text(self.net),
            text(self.net + tax),
            text(self.platform),
            self.platform_account,
            text(tax) if taxes else "0",
            text(self.sponsored) if self.sponsored else "0",
            self.sponsor if self.sponsored else "",
            "",
            (rerated, *self.lines) if self.rerated or not self.lines else tuple(self.lines),
            tuple(
                Portion(
                    part,
                    provider,
                    self.routes[(part, provider)][2].public,
                    "",
                    text(atoms),
                    "",
                    tuple(self.portion_lines.get((part, provider), ())),
                )
                for (part, provider), atoms in sorted(self.portions.items())
            ),
            tuple(Share(account, text(atoms)) for account, atoms in sorted(self.shares.items()) if atoms),
            tuple(TaxLine(name, rate, text(base), text(amount)) for (name, rate), (base, amount) in taxes),
            f"close {period}",
        )


def period_fees(work: Work, difference: Difference, period: str, once: set[str]) -> None:
    """Add the fees that only a period has: flat fees, peaks, minimum, maximum; each tariff's ``once`` per payer."""
    dues: dict[tuple[str, str], Priced] = {}
    for (part, provider), (_, pricer, _) in sorted(difference.routes.items()):
        prefix = f"{provider}|{part}|"
        if pricer is not None and pricer.periodic and _first(once, prefix + pricer.tariff.id):
            totals = RunningTotals(work, difference.payer.id, prefix)
            due = pricer.period_charge(totals, period)
            if due.parts:
                dues[(part, provider)] = due
    for name, pricer in sorted(difference.retails.items()):
        retail = pricer.period_charge(RunningTotals(work, difference.payer.id, ""), period)
        if not _first(once, name):
            retail = Priced(Exact(0), {}, retail.version, [], {})
        if retail.parts or dues or difference.drift(pricer, retail):
            difference.add_fee(work, retail, pricer, dues)
            dues = {}


def _first(once: set[str], name: str) -> bool:
    new = name not in once
    once.add(name)
    return new


def booked_residues(charge: Charge, scale: int) -> list[tuple[str, int]]:
    """What rounding kept from each account (10^−9 atoms) when a charge was booked, out of the charge itself."""
    unit = 10**scale
    dues = [Exact.parse(portion.exact) for portion in charge.portions]
    shares = [_atoms(portion.amount, scale) for portion in charge.portions]
    accounts = [portion.account for portion in charge.portions]
    nums, den = common([*[Exact(due.num * unit, due.den) for due in dues], Exact(_atoms(charge.amount, scale))])
    fee, cost = nums[-1], sum(nums[:-1])
    nums[-1] -= cost
    platform = _atoms(charge.platform, scale)
    short = (0 <= fee < cost) or (cost < fee <= 0)  # a refund is the mirror image
    if charge.sponsored != "0" and short:
        kept = residues(nums[:-1], den, shares)
        found = [*zip(accounts, kept, strict=True), (charge.sponsor, -sum(kept))]
    else:
        found = list(zip([*accounts, charge.platform_account], residues(nums, den, [*shares, platform]), strict=True))
    if charge.allocation and charge.shares:
        borne = dict.fromkeys([share.bearer for share in charge.shares], 0)
        for share in charge.shares:
            borne[share.bearer] += _atoms(share.amount, scale)
        weighed = {share.bearer: Exact.parse(share.weight) for share in charge.shares}
        nums, den = _owed(charge, [weighed[bearer] for bearer in borne], list(borne), scale)
        if den:
            kept = residues(nums, den, list(borne.values()))
            found += [(bearer, -gone) for bearer, gone in zip(borne, kept, strict=True)]
    return found


def _owed(charge: Charge, weights: list[Exact], bearers: list[str], scale: int) -> tuple[list[int], int]:
    """The exact shares of those who bear a charge, as numerators over one denominator; 0 when nothing weighs."""
    total = _atoms(charge.total, scale)
    if charge.allocation != "least-cost":
        nums, _ = common(weights)
        return [total * num for num in nums], sum(nums)
    sign = -1 if total < 0 else 1
    alone = {share.bearer: abs(_atoms(share.alone, scale)) for share in charge.shares}
    nums, den = capped_dues(sign * total, weights, [alone[bearer] for bearer in bearers])
    return [sign * num for num in nums], den


def _weight(prepared: Prepared, rated: Rated, place: int) -> Exact:
    """What a part of one record weighs under the rules quantity and cost."""
    part, service = prepared.route.parts[place], prepared.terms.service
    if service.apportion == "quantity":
        return prepared.part_uses[place].quantities.get(service.parts[part.part].measure, Exact(0))
    priced = rated.parts[place]
    return priced.exact if priced is not None else Exact(0)


def _atoms(text: str, scale: int) -> int:
    whole, _, part = text.partition(".")
    return int(whole + part.ljust(scale, "0"))
