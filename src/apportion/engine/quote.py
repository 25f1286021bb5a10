"""What usage would cost by one tariff, without books: nothing is charged, and running totals are kept here."""

from __future__ import annotations

import msgspec

from apportion.engine.rating import quantity
from apportion.errors import RefusalCode, refuse
from apportion.model.calendar import Calendar, period_of
from apportion.model.tariff import Demand, Flat, Tariff, Use
from apportion.model.usage import Usage
from apportion.money import Asset, Exact, Money, parse_asset
from apportion.money.exact import ZERO
from apportion.money.rounding import atoms_of
from apportion.stages.rate import Priced, charge_amounts, compile_tariff


class Quote(msgspec.Struct):
    """What one record would cost: ``exact`` before rounding, ``net``, ``tax`` and ``total`` after it."""

    priced: Priced
    net: Money
    tax: Money
    total: Money


class Quotes:
    """Prices records one after another by one tariff, with running totals per payer and period of ``calendar``.

    ``exact``, ``net`` and ``tax`` (atoms) are the sums so far. ``taxed`` tells whether the tariff has taxes at all,
    ``at_close`` whether it also has fees that only the close of a period books, and that are not in the sums.
    """

    def __init__(self, tariff: Tariff, asset: Asset, calendar: Calendar) -> None:
        self.asset = asset
        self.records = 0
        self.exact = ZERO
        self.net = self.tax = 0
        self.taxed = bool(tariff.taxes)
        self.at_close = bool(tariff.period_minimum or tariff.period_maximum) or any(
            isinstance(c, Demand) or (isinstance(c, Flat) and c.scope == "period") for c in tariff.components
        )
        self._calendar = calendar
        self._pricer = compile_tariff(tariff)
        self._plain = not self.taxed and tariff.rounding.decimals is None and tariff.rounding.mode == "half-even"
        self._totals: dict[str, dict[str, Exact]] = {}

    def add(self, usage: Usage) -> Quote:
        """Price a record and add it to the sums.

        Raises:
            Refused: why it has no price; the sums and running totals stay as they were.
        """
        priced, owner = self._price(usage)
        net, taxes, total = charge_amounts(priced, self.asset, self._pricer.tariff.rounding)
        self._keep(priced, owner, net.atoms, total.atoms - net.atoms)
        return Quote(priced, net, total - net, total)

    def count(self, usage: Usage) -> None:
        """Price a record for the sums alone: the fast way through a large file."""
        if not self._plain:
            self.add(usage)
            return
        priced, owner = self._price(usage)
        self._keep(priced, owner, atoms_of(priced.exact.num, priced.exact.den, self.asset.unit), 0)

    def _price(self, usage: Usage) -> tuple[Priced, str]:
        use = use_of(usage)
        if not self._pricer.running:
            return self._pricer.price(use), ""
        owner = usage.payers[0].payer if usage.payers else ""
        period = period_of(self._calendar, usage.start).key
        return self._pricer.price(use, self._totals.setdefault(owner, {}), period), owner

    def _keep(self, priced: Priced, owner: str, net: int, tax: int) -> None:
        if priced.totals:
            self._totals[owner].update(priced.totals)
        self.records += 1
        self.exact += priced.exact
        self.net += net
        self.tax += tax


def use_of(usage: Usage) -> Use:
    """A usage record as tariffs see it; a measure given for parts or payers only is their sum."""
    quantities = {measure: quantity(text, measure) for measure, text in usage.quantities.items()}
    pieces = [p.quantities for p in usage.parts if p.quantities] or [p.quantities for p in usage.payers if p.quantities]
    for piece in pieces:
        for measure, text in piece.items():
            if measure not in usage.quantities:
                quantities[measure] = quantities.get(measure, ZERO) + quantity(text, measure)
    return Use(usage.start, usage.end, quantities, usage.attributes)


def asset_for(tariff: Tariff, wanted: str = "") -> Asset:
    """In what a tariff is quoted: the asset asked for, else the minor unit of its currency, or what its rounding needs.

    Raises:
        Refused: UNKNOWN_ASSET; ASSET_MISMATCH when the tariff is in another currency.
    """
    own = parse_asset(tariff.currency)
    if not wanted:
        return Asset(own.code, max(own.scale, tariff.rounding.decimals or 0))
    asset = parse_asset(wanted)
    if asset.code != own.code:
        raise refuse(
            RefusalCode.ASSET_MISMATCH,
            f"the tariff {tariff.id!r} is in {own.code}, not in {asset.code}.",
            field="asset",
            fix=f"Such as {own.code}/{max(asset.scale, own.scale)}.",
        )
    return asset
