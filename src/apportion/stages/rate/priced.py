"""The outcome of pricing: an exact amount with the lines and taxes that explain it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from apportion.model.charge import PriceLine
from apportion.money import Exact
from apportion.money.exact import ZERO
from apportion.stages.rate.terms import HUNDRED, Term

#: a priced component: term, measured (num, den), billed (num, den), amount (num, den), what else there is to say
Part = tuple[Term, int, int, int, int, int, int, str]
#: percentages by tax name
Rates = dict[str, Exact]


class Tax(msgspec.Struct, frozen=True):
    """One tax of a charge: ``rate`` in percent as text, exact ``base`` and ``amount``."""

    name: str
    rate: str
    base: Exact
    amount: Exact


class Priced(msgspec.Struct, gc=False):
    """A price before rounding: ``exact`` is net of tax, in whole units of the currency.

    ``totals`` are the new running totals to store (empty when none); ``version`` tells the tariff's content.
    ``lines`` and ``taxes`` are worked out when asked for.
    """

    exact: Exact
    totals: dict[str, Exact]
    version: str
    parts: list[Part]
    rates: Rates
    tax_included: bool = False

    @property
    def lines(self) -> tuple[PriceLine, ...]:
        """What each component contributed, in the order of the tariff."""
        return tuple(_line(part) for part in self.parts)

    @property
    def taxes(self) -> tuple[Tax, ...]:
        """One entry per tax that the priced components name."""
        found = []
        for name, amount in self.bases().items():
            if name:
                rate = self.rates[name]
                base = net_of(amount, rate) if self.tax_included else amount
                tax = amount - base if self.tax_included else (base * rate).over(HUNDRED)
                found.append(Tax(name, rate.text(), base.reduced(), tax.reduced()))
        return tuple(found)

    def bases(self) -> dict[str, Exact]:
        """The amounts as the tariff states them (net, or with tax included) by tax; untaxed under the empty name."""
        return bases_of(self.parts)


def bases_of(parts: Sequence[Part]) -> dict[str, Exact]:
    """Amounts of parts summed by the name of their tax."""
    sums: dict[str, Exact] = {}
    for part in parts:
        name = part[0].tax
        sums[name] = sums.get(name, ZERO) + Exact(part[5], part[6])
    return sums


def net_of(gross: Exact, rate: Exact) -> Exact:
    """The amount before a tax of ``rate`` percent that is contained in ``gross``."""
    return (gross * HUNDRED).over(HUNDRED + rate)


def _ladder_note(term: Term, num: int, den: int) -> str:
    """Which slice of the quantity met which tier: ``10 × 5, 5 × 4``; only where every unit counts from the first."""
    if term.running or term.free or len(term.curve.ladder) < 2 or num <= 0:
        return ""
    units, lower, words = Exact(num, den), ZERO, []
    for upper, slope, flat in term.curve.ladder:
        piece = (units if upper is None or units <= upper else upper) - lower
        words.append(f"{piece.text()} × {slope.text()}" + (f" + {flat.text()}" if flat else ""))
        if upper is None or units <= upper:
            break
        lower = upper
    return ", ".join(words)


def _line(part: Part) -> PriceLine:
    term, measured, over, units, unit, num, den, extra = part
    quantity = Exact(units, unit)
    notes = [extra] if extra else []
    if term.measure and measured and (term.increments or term.convert or term.peak):
        before = Exact(measured, over)
        if before != quantity:
            notes.append(f"measured {before.text()}")
    if term.when:
        notes.append("in " + ", ".join(sorted(term.when)))
    if term.free and not term.event:
        notes.append(f"{Exact(*term.free).text()} free")
    if term.price and (ladder := _ladder_note(term, abs(units), unit)):
        notes.append(ladder)
    return PriceLine(term.name, term.measure, quantity.text(), term.price, Exact(num, den).text(), "; ".join(notes))
