"""A charge: one fee, who pays it, who earns it, and the arithmetic behind every atom."""

from __future__ import annotations

import msgspec


class PriceLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One component of a price, as text: billed ``quantity``, ``price`` as the tariff says it, and ``exact``.

    ``tariff`` names the tariff where a charge has several.
    """

    component: str
    measure: str
    quantity: str
    price: str
    exact: str
    note: str = ""
    tariff: str = ""


class Conversion(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an amount of a charge is in the ``currency`` of the account that it is booked on.

    One unit of ``base`` is ``rate`` of the other currency of the two, as ``source`` said ``at`` an instant. ``exact``
    is what a provider is due in its own currency before rounding.
    """

    currency: str
    amount: str
    rate: str
    base: str
    source: str
    at: str
    exact: str = ""


class Portion(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one provider earns of a fee: ``exact`` is its unrounded due, ``amount`` what was credited (X3).

    Where its ``account`` has another currency than the charge, ``converted`` is what was credited there.
    """

    part: str
    provider: str
    account: str
    exact: str
    amount: str
    tariff: str = ""
    lines: tuple[PriceLine, ...] = ()
    converted: Conversion | None = None


class Share(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one payer bears of a fee, as far as ``account`` was drawn for it; ``weight`` is what it was allocated by.

    A payer with funding of its own may have several. ``source`` is what was drawn: "" its own account, or bucket,
    allowance, alternate, credit; ``payer`` is the account that it was drawn for, when another. At least cost ``terms``
    are the tariffs that the payer was served by (of the service, then of each part that is passed on), and ``alone``
    is what the payer would have paid without the others. Where ``account`` has another currency than the charge,
    ``converted`` is what was taken there.
    """

    account: str
    amount: str
    weight: str = ""
    source: str = ""
    payer: str = ""
    terms: tuple[str, ...] = ()
    alone: str = ""
    converted: Conversion | None = None

    @property
    def bearer(self) -> str:
        """The account of the payer whose share this is."""
        return self.payer or self.account


class Held(msgspec.Struct, frozen=True, omit_defaults=True):
    """Terms that a payer (its account) had agreed on when it took part: a ``tariff`` for the service.

    Or for a ``part`` (any, when empty) of what ``provider`` delivers.
    """

    account: str
    tariff: str
    provider: str = ""
    part: str = ""


class Covered(msgspec.Struct, frozen=True, omit_defaults=True):
    """``units`` of ``measure`` that a bought ``allowance`` covers; ``amount`` of its price moves out for them."""

    allowance: str
    measure: str
    units: str
    amount: str


class TaxLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tax of one category on a charge, before and after rounding."""

    name: str
    rate: str
    base: str
    amount: str


class Charge(msgspec.Struct, frozen=True, omit_defaults=True, tag="charge", tag_field="type"):
    """The fee of one usage record.

    ``amount`` + ``tax`` = ``total`` = Σ ``shares`` = Σ ``portions`` + ``platform`` + Σ taxes − ``sponsored``, exactly,
    all as decimal text in ``currency``. ``exact`` is the price before rounding. What ``allowances`` cover is not priced
    again: their part of what was paid for them is in ``exact`` and ``amount`` instead. ``held`` are the agreements
    among which least cost was found, beside the service's own terms.
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
    allowances: tuple[Covered, ...] = ()
    held: tuple[Held, ...] = ()

    @property
    def conversions(self) -> tuple[Conversion, ...]:
        """What was converted of it, portions before shares."""
        found = [*(one.converted for one in self.portions), *(one.converted for one in self.shares)]
        return tuple([one for one in found if one is not None])
