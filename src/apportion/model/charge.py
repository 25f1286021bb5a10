"""A charge: one fee, who pays it, who earns it, and the arithmetic behind every atom."""

from __future__ import annotations

import msgspec


class PriceLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One component of a price, as text: billed ``quantity``, ``price`` as the tariff says it, and ``exact``."""

    component: str
    measure: str
    quantity: str
    price: str
    exact: str
    note: str = ""


class Portion(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one provider earns of a fee: ``exact`` is its unrounded due, ``amount`` what was credited (X3)."""

    part: str
    provider: str
    account: str
    exact: str
    amount: str
    tariff: str = ""
    lines: tuple[PriceLine, ...] = ()


class Share(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one payer bears of a fee; ``weight`` is what it was allocated by."""

    account: str
    amount: str
    weight: str = ""


class TaxLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tax of one category on a charge, before and after rounding."""

    name: str
    rate: str
    base: str
    amount: str


class Charge(msgspec.Struct, frozen=True, omit_defaults=True, tag="charge", tag_field="type"):
    """The fee of one usage record.

    ``amount`` + ``tax`` = ``total`` = Σ ``shares`` = Σ ``portions`` + ``platform`` + Σ taxes − ``sponsored``, exactly,
    all as decimal text in ``currency``. ``exact`` is the price before rounding.
    """

    id: str
    usage: str
    service: str
    at: str
    currency: str
    tariff: str
    catalog: str
    rule: str
    exact: str
    amount: str
    total: str
    platform: str
    platform_account: str = ""
    tax: str = "0"
    sponsored: str = "0"
    sponsor: str = ""
    allocation: str = ""
    lines: tuple[PriceLine, ...] = ()
    portions: tuple[Portion, ...] = ()
    shares: tuple[Share, ...] = ()
    taxes: tuple[TaxLine, ...] = ()
    origin: str = ""
