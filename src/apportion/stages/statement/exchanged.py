"""Charges of another currency on a statement: the whole charge as it is in the currency of the statement.

A converted share is what it is, to the atom; the rest of the charge follows it: taxes and net in proportion, and price
lines, which only weigh, by the rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from apportion.model.charge import Charge, PriceLine, Share, TaxLine
from apportion.money import GRID, Asset, Exact, allocate, parse_asset, quantize
from apportion.money.asset import minor_digits
from apportion.money.exact import decimal_text
from apportion.money.exchange import Rate

replace = msgspec.structs.replace


class Origin(NamedTuple):
    """The ``currency`` that a charge was made in, and the rate by which it is on a statement of another."""

    currency: str
    rate: str
    base: str
    source: str
    at: str

    def words(self, to: str) -> str:
        """The rate as a person reads it: ``1 USD = 0.92 EUR, ECB 2026-11-01``."""
        other = to if self.base == self.currency else self.currency
        return f"1 {self.base} = {self.rate} {other}, {self.source} {self.at[:10]}"

    def back(self, exact: Exact, to: str) -> Exact:
        """An amount of the statement in the currency of the charge."""
        return self.quoted(to).of(exact, to)

    def quoted(self, to: str) -> Rate:
        """The rate itself."""
        other = to if self.base == self.currency else self.currency
        return Rate(self.base, other, self.rate, self.source, self.at)


class Exchange(NamedTuple):
    """What one payer bears of a charge that was converted: ``amount`` as it was charged, and by which rate."""

    origin: Origin
    amount: str


def in_currency(charge: Charge, home: Asset, asset: Asset) -> tuple[Charge, Origin]:
    """A charge in ``home`` as it is on statements in ``asset``, in which some share of it was paid."""
    paid = next(s.converted for s in charge.shares if s.converted is not None and s.converted.currency == asset.code)
    origin = Origin(home.code, paid.rate, paid.base, paid.source, paid.at)
    rate = origin.quoted(asset.code)

    def text(atoms: int) -> str:
        return decimal_text(atoms, asset.scale)

    shares = tuple(_share(share, home, asset, rate) for share in charge.shares)
    total = sum(_atoms(share.amount) for share in shares)
    nets = [_atoms(tax.base) for tax in charge.taxes]
    taxes = [_atoms(tax.amount) for tax in charge.taxes]
    weights = [_atoms(charge.amount) - sum(nets), *nets, *taxes]
    parts = list(allocate(total, [Exact(abs(w)) for w in weights]).shares) if any(weights) else [0] * len(weights)
    bases, taxed = parts[1 : len(nets) + 1], parts[len(nets) + 1 :]
    told = replace(
        charge,
        currency=asset.code,
        amount=text(parts[0] + sum(bases)),
        tax=text(sum(taxed)),
        total=text(total),
        taxes=tuple(
            TaxLine(tax.name, tax.rate, text(base), text(amount))
            for tax, base, amount in zip(charge.taxes, bases, taxed, strict=True)
        ),
        lines=tuple(_line(line, origin, rate) for line in charge.lines),
        shares=shares,
    )
    return told, origin


def exchanged_words(origins: Mapping[Origin, int], asset: Asset) -> str:
    """What of a line was charged in other currencies: its net there, in minor units, and the rates.

    ``origins`` have, by rate, the weight of it in 10^−9 atoms of the statement's ``asset``.
    """
    words = []
    for code in dict.fromkeys(origin.currency for origin in origins):
        mine = [(origin, weight) for origin, weight in origins.items() if origin.currency == code]
        net = sum((o.back(Exact(weight, asset.unit * GRID), asset.code) for o, weight in mine), Exact(0))
        shown = quantize(net, parse_asset(code) if minor_digits(code) is not None else Asset(code, 2)).text()
        rates = list(dict.fromkeys(origin.words(asset.code) for origin, _ in mine))
        rest = len(rates) - 1
        more = f"; {rest} more rate{'s' * (rest > 1)}" if rest else ""
        words.append(f"{code} {shown} ({rates[0]}{more})")
    return ", ".join(words)


def _share(share: Share, home: Asset, asset: Asset, rate: Rate) -> Share:
    """A share in the currency of the statement: as it was paid, or where it was paid in another by the same rate."""
    own = share.converted
    if own is not None and own.currency == asset.code:
        return replace(share, amount=own.amount, converted=None)
    return replace(
        share, amount=decimal_text(rate.atoms(_atoms(share.amount), home, asset), asset.scale), converted=None
    )


def _line(line: PriceLine, origin: Origin, rate: Rate) -> PriceLine:
    exact = rate.of(Exact.parse(line.exact), origin.currency).text()
    return replace(line, price=f"{origin.currency} {line.price}" if line.price else "", exact=exact)


def _atoms(text: str) -> int:
    return int(text.replace(".", ""))
