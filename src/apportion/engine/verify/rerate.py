"""Every charge rated again from its usage line and its catalog line, with running totals evolving in book order.

Payers are account ids here, so ties between equal remainders may have been broken the other way: shares must be
those of the recomputation but for atoms that went to a payer with the very same remainder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from apportion.engine.catalogs import catalog_id
from apportion.engine.funding.drawing import served
from apportion.engine.legs import tariffs_of
from apportion.engine.rating import Given, Prepared, Rated, prepare, rate
from apportion.engine.terms import Terms
from apportion.engine.verify.books import Books, Wrong
from apportion.engine.verify.charges import Amounts
from apportion.engine.verify.converted import Converting
from apportion.engine.verify.verdict import Findings, Row
from apportion.errors import Refused
from apportion.model.catalog import Catalog
from apportion.model.charge import Charge, PriceLine
from apportion.model.journal import CatalogLine, UsageLine
from apportion.model.plan import PlanLine
from apportion.model.usage import Usage
from apportion.money import GRID, Exact
from apportion.money.exact import decimal_text
from apportion.stages.rate import Priced

_TERMS_KEPT = 16


class _Totals(dict[str, Exact]):
    """Running totals of one payer under one prefix, zero where there is none yet."""

    def __init__(self, totals: dict[tuple[str, str], Exact], payer: str, prefix: str) -> None:
        super().__init__()
        self._totals, self._payer, self._prefix = totals, payer, prefix

    def get(self, key: str, default: Exact | None = None) -> Exact:  # type: ignore[override]
        return self._totals.get((self._payer, self._prefix + key), default or Exact(0))

    __getitem__ = get


class Rerating:
    """Rates charges again; keeps what that leaves behind: running ``totals`` and rounding ``residues``."""

    def __init__(self, findings: Findings, books: Books) -> None:
        self.findings = findings
        self.books = books
        self.totals: dict[tuple[str, str], Exact] = {}
        self.residues: dict[str, int] = {}
        self.catalogs: dict[str, bytes] = {}
        self.latest = ""
        self.plan: Callable[[str], PlanLine | None] = lambda id: None
        self._terms: dict[str, Terms] = {}

    def catalog(self, row: Row, index: int, line: CatalogLine) -> None:
        """A catalog version is named by the hash of its bytes."""
        body = bytes(line.body)
        if catalog_id(body) != line.id:
            self.findings.add("catalog", row.place(index), line.id, f"its content hashes to {catalog_id(body)}.")
        self.catalogs[line.id] = body
        self.latest = line.id

    def check(self, row: Row, index: int, usage: UsageLine, charge: Charge, sums: Amounts) -> Prepared:
        """Rate a charge again and compare every amount in it; the record as it was rated."""
        place = row.place(index)
        try:
            given = Given.of(charge, usage.period)
            prepared = prepare(_usage(usage), self.terms(charge.catalog), given)
            payer = usage.payers[0].payer
            rated = prepared.rated or rate(prepared, lambda prefix: _Totals(self.totals, payer, prefix))
        except Refused as error:
            raise Wrong("rating", f"rated again it is refused: {error.refusal.sentence()}") from None
        differing = _Comparison(charge, sums, prepared, rated).first()
        if differing:
            self.findings.add("rating", place, charge.id, differing)
        shares = self._shares(place, usage, charge, sums, prepared, rated)
        converting = None
        if prepared.rates or charge.conversions:
            converting = Converting(self.books, charge, sums, prepared, rated)
            for wrong in converting.wrong():
                self.findings.add("conversion", place, charge.id, wrong)
        self._move(prepared, rated, payer)
        self._keep(prepared, charge, sums, rated, shares, converting)
        return prepared

    def cap(self, provider: str, currency: str) -> str | None:
        """The net debit cap of a provider by the catalog in force."""
        known = self.terms(self.latest).catalog.providers.get(provider)
        return known.debit_caps.get(currency) if known is not None else None

    def terms(self, version: str) -> Terms:
        """A catalog version of the books, compiled; a few are kept."""
        found = self._terms.get(version)
        if found is None:
            body = self.catalogs.get(version)
            if body is None:
                raise Wrong("catalog", f"the catalog {version[:60]!r} is not in the books before this charge.")
            if len(self._terms) >= _TERMS_KEPT:
                self._terms.pop(next(iter(self._terms)))
            catalog = msgspec.json.decode(body, type=Catalog)
            found = self._terms[version] = Terms(catalog, version, self.books.scale, self.plan)
        return found

    def _shares(
        self, place: str, usage: UsageLine, charge: Charge, sums: Amounts, prepared: Prepared, rated: Rated
    ) -> list[tuple[str, int]]:
        """Hold the payers' shares against the recomputed ones; the residue that each stored share leaves."""
        self._served(place, charge, prepared, {payer.payer: i for i, payer in enumerate(usage.payers)})
        if rated.shares is None:
            if borne(charge, sums) != {usage.payers[0].payer: rated.total}:
                self.findings.add("shares", place, charge.id, "the only payer does not bear the total.")
            return []
        stored = borne(charge, sums)
        expected = zip(usage.payers, rated.shares.shares, rated.shares.kept, strict=True)
        kept: list[tuple[str, int]] = []
        moved: list[int] = []
        for payer, share, gone in expected:
            mine = stored.pop(payer.payer, None)
            if (mine is None) != (share is None):
                self.findings.add("shares", place, charge.id, f"{payer.payer} bears {mine}, rated again {share}.")
            elif mine is not None and share is not None:
                kept.append((payer.payer, gone + (share - mine) * GRID))
                if mine != share:
                    moved.append(gone % GRID)
                    if abs(mine - share) > 1:
                        moved.append(-GRID)
        # Atoms may have moved between equal remainders only; on the grid those differ by less than the count of payers.
        if stored or (moved and max(moved) - min(moved) > len(kept)):
            self.findings.add("shares", place, charge.id, "the shares are not those of the largest remainder.")
        return kept

    def _served(self, place: str, charge: Charge, prepared: Prepared, places: dict[str, int]) -> None:
        """What a charge says of each payer: under what it was served, what alone would have cost, what it weighs."""
        chosen = prepared.choice is not None
        if charge.held and not chosen:
            self.findings.add("shares", place, charge.id, "it names agreements, and least cost is not its rule.")
        for share in charge.shares:
            i = places.get(share.bearer)
            if i is None:
                continue  # that it bears anything is reported elsewhere
            weight = share.weight if not chosen else prepared.weights[i].text() if prepared.weights else ""
            again = (*served(prepared, i), weight)
            if (share.terms, share.alone, share.weight) != again:
                what = f"{share.bearer} was served by {share.terms}, alone {share.alone}, weight {share.weight}"
                self.findings.add("shares", place, charge.id, f"{what}; at least cost {again}.")

    def _move(self, prepared: Prepared, rated: Rated, payer: str) -> None:
        if not prepared.running:
            return
        priced = [rated.retail, *[p for p in rated.parts if p is not None]]
        for (_, prefix), one in zip(tariffs_of(prepared), priced, strict=True):
            for name, value in one.totals.items():
                self.totals[payer, prefix + name] = value.reduced()

    def _keep(
        self,
        prepared: Prepared,
        charge: Charge,
        sums: Amounts,
        rated: Rated,
        shares: list[tuple[str, int]],
        converting: Converting | None,
    ) -> None:
        kept = rated.split.kept
        owners = {(portion.part, portion.provider): portion.account for portion in charge.portions}
        parts = prepared.route.parts
        found = [(owners.get((p.part, p.provider), ""), gone) for p, gone in zip(parts, kept, strict=False)]
        if converting is not None:
            found, shares = converting.kept(found, shares)
        found.append((charge.platform_account, kept[-1]))
        if sums.sponsored:
            found.append((charge.sponsor, -sum(kept)))
        found += [(account, -gone) for account, gone in shares]
        for account, gone in found:
            self.keep(account, gone)

    def keep(self, account: str, gone: int) -> None:
        """Add to what rounding kept from an account (10^−9 atoms)."""
        if gone:
            self.residues[account] = self.residues.get(account, 0) + gone


class _Comparison:
    """One charge beside its recomputation."""

    def __init__(self, charge: Charge, sums: Amounts, prepared: Prepared, rated: Rated) -> None:
        self.charge, self.sums, self.prepared, self.rated = charge, sums, prepared, rated

    def first(self) -> str:
        """The first thing that differs, in words; empty when nothing does."""
        charge, sums, rated, split = self.charge, self.sums, self.rated, self.rated.split
        if charge.exact != rated.retail.exact.text():
            return f"the price is {charge.exact}, rated again {rated.retail.exact.text()}."
        pairs = (
            ("amount", sums.amount, rated.net),
            ("total", sums.total, rated.total),
            ("platform", sums.platform, split.platform),
            ("sponsored", sums.sponsored, split.sponsored + (0 if charge.shares or not rated.total else rated.total)),
        )
        for name, stored, again in pairs:
            if stored != again:
                return self._amounts(name, stored, again)
        lines = _lines("", charge.lines, rated.retail) if charge.lines else ""
        return self._taxes() or self._portions() or self._terms() or lines

    def _amounts(self, name: str, stored: int, again: int) -> str:
        scale = self.sums.scale
        return f"{name} is {decimal_text(stored, scale)}, rated again {decimal_text(again, scale)}."

    def _taxes(self) -> str:
        if not self.charge.taxes and not self.rated.taxes:
            return ""
        scale = self.sums.scale
        stored = [(tax.name, tax.rate, tax.base, tax.amount) for tax in self.charge.taxes]
        again = [(n, r, decimal_text(b, scale), decimal_text(a, scale)) for n, r, b, a in self.rated.taxes]
        return "" if stored == again else f"the taxes are {stored}, rated again {again}."

    def _portions(self) -> str:
        """Portions by part and provider: their order is that of the catalog as its author wrote it."""
        charge, split, prepared = self.charge, self.rated.split, self.prepared
        parts = prepared.route.parts
        places = {(part.part, part.provider): i for i, part in enumerate(parts)}
        if len(charge.portions) != len(parts):
            return f"{len(charge.portions)} portions, rated again {len(parts)}."
        unit = prepared.terms.asset.unit
        for portion, stored in zip(charge.portions, self.sums.portions, strict=True):
            i = places.pop((portion.part, portion.provider), None)
            if i is None:
                return f"the portion of {portion.provider} for {portion.part} has no place, or its second."
            if stored != split.portions[i]:
                return self._amounts(f"the portion of {portion.provider}", stored, split.portions[i])
            due = split.dues[i]
            exact = Exact(due.num, due.den * unit).text()
            if portion.exact != exact:
                return f"{portion.provider} is due {portion.exact}, rated again {exact}."
            pricer, priced = prepared.pricers[i], self.rated.parts[i]
            if portion.tariff != (pricer.tariff.id if pricer is not None else ""):
                return f"the portion of {portion.provider} is by the tariff {portion.tariff!r}."
            if portion.lines and priced is not None and (wrong := _lines(portion.provider, portion.lines, priced)):
                return wrong
        return ""

    def _terms(self) -> str:
        charge, terms = self.charge, self.prepared.terms
        if charge.rule != terms.service.apportion:
            return f"the rule is {charge.rule!r}, in the catalog {terms.service.apportion!r}."
        if charge.currency != terms.asset.code:
            return f"the currency is {charge.currency}, in the catalog {terms.asset.code}."
        choice = self.prepared.choice
        if choice is not None and charge.tariff != choice.retail.tariff.id:
            return f"the tariff is {charge.tariff!r}, at least cost {choice.retail.tariff.id!r}."
        allocation = terms.service.allocate if len(self.prepared.payers) > 1 else ""
        if charge.allocation != allocation:
            return f"the allocation is {charge.allocation!r}, in the catalog {allocation!r}."
        return ""


def borne(charge: Charge, sums: Amounts) -> dict[str, int]:
    """What each payer bears, from wherever it was drawn, by its own account."""
    found: dict[str, int] = {}
    for share, amount in zip(charge.shares, sums.shares, strict=True):
        found[share.bearer] = found.get(share.bearer, 0) + amount
    return found


def _lines(whose: str, stored: Sequence[PriceLine], priced: Priced) -> str:
    """The arithmetic lines of a price; words beside the numbers may change with versions of this program."""
    again = priced.lines
    for i, line in enumerate(again):
        other = stored[i] if i < len(stored) else None
        if other is None or (other.component, other.measure, other.quantity, other.exact) != (
            line.component, line.measure, line.quantity, line.exact
        ):  # fmt: skip
            return f"line {i + 1} of the price {whose} is {other}, rated again {line}."
    return "" if len(stored) == len(again) else f"{len(stored)} price lines {whose}, rated again {len(again)}."


def _usage(line: UsageLine) -> Usage:
    """The usage record as the books keep it; payers are account ids."""
    return Usage(
        line.source,
        line.id,
        line.service,
        datetime.fromisoformat(line.start),
        datetime.fromisoformat(line.end) if line.end else None,
        line.payers,
        line.parts,
        line.quantities,
        line.attributes,
    )


def plain(totals: Mapping[tuple[str, str], Exact]) -> dict[tuple[str, str], tuple[int, int]]:
    """Running totals as a store keeps them."""
    return {key: (value.num, value.den) for key, value in totals.items()}
