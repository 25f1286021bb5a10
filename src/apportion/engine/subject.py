"""What is explained: a charge with its price lines, and how its amounts are said in each currency."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from apportion.engine.query import Record
from apportion.model.charge import Charge, Conversion, Portion
from apportion.money import Exact
from apportion.money.asset import minor_digits


class Subject(msgspec.Struct):
    """What is explained: the record with its price lines, whose each account is, and the units of its measures."""

    record: Record
    owners: Mapping[str, str]
    units: Mapping[str, str]

    @property
    def charge(self) -> Charge:
        return self.record.charge

    def money(self, text: str) -> str:
        """An amount as a person reads it: needless zeros gone, the minor unit whole, the currency behind it."""
        return f"{self.number(text)} {self.charge.currency}"

    def number(self, text: str) -> str:
        """An amount without its currency; what is no plain decimal stays as it is."""
        if "/" in text:
            return text
        whole, _, part = text.partition(".")
        digits = minor_digits(self.charge.currency)
        part = part.rstrip("0").ljust(2 if digits is None else digits, "0")
        return f"{whole}.{part}" if part else whole

    def of(self, own: Conversion | None) -> Subject:
        """The same in the currency that something was converted to."""
        if own is None:
            return self
        charge = msgspec.structs.replace(self.charge, currency=own.currency)
        return Subject(msgspec.structs.replace(self.record, charge=charge), self.owners, self.units)

    def earned_by(self, provider: str) -> Subject:
        """The same as a provider earned of it: in its own currency, when it is one for all of its portions."""
        mine = [portion.converted for portion in self.charge.portions if portion.provider == provider]
        if None in mine or len({one.currency for one in mine if one is not None}) != 1:
            return self
        portions = tuple(_earned(portion) for portion in self.charge.portions if portion.provider == provider)
        charge = msgspec.structs.replace(self.charge, portions=portions)
        return Subject(msgspec.structs.replace(self.record, charge=charge), self.owners, self.units).of(mine[0])

    def owner(self, account: str) -> str:
        """Whose an account is."""
        return self.owners.get(account, account)

    def quantity(self, measure: str, text: str) -> str:
        """A quantity with its unit."""
        return f"{text} {self.units.get(measure, '')}".rstrip()


def _earned(portion: Portion) -> Portion:
    own = portion.converted
    assert own is not None
    return msgspec.structs.replace(portion, amount=own.amount, exact=own.exact, converted=None)


def exchanged(own: Conversion | None, home: str) -> str:
    """A conversion in words: ``399.30 JPY, 1 JPY = 0.0064 USD (BOJ, 2026-11-01)``; empty when there is none."""
    if own is None:
        return ""
    other = home if own.base == own.currency else own.currency
    amount = Exact.parse(own.amount).text()
    return f"{amount} {own.currency}, 1 {own.base} = {own.rate} {other} ({own.source}, {own.at[:10]})"
