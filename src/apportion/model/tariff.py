"""Tariffs as data: what a use costs, in components that each turn one measured quantity into money.

A tariff file (TOML or JSON) holds one ``Tariff`` with its fields at the top level. Numbers are kept as the text in
which they were written; nothing here computes. ``check`` in ``tariff_check`` reports everything that contradicts
itself; ``stages/rate`` compiles a tariff and prices with it.

The way of a quantity through a component, always in this order::

    measured × convert → first/step → free → price, tiers or rate → minimum/maximum
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from apportion.model.band import Band
from apportion.money import Exact

Scope = Literal["charge", "period"]


class Tier(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One step of a price ladder, up to and including ``up_to`` units; the last tier has no ``up_to``.

    ``price`` is for each ``per`` units of the component, ``flat`` is owed once when the tier is reached. ``first``
    and ``step`` are increments of this tier alone (rate slots of a call: the first minute whole, then by second).
    """

    up_to: str = ""
    price: str = "0"
    flat: str = "0"
    first: str = ""
    step: str = ""


class RateTier(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One step of a percentage ladder: ``rate`` percent of the value up to ``up_to`` inclusive, and a ``flat`` part."""

    up_to: str = ""
    rate: str = "0"
    flat: str = "0"


class _Part(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="kind"
):
    """What every component has.

    ``name`` is unique among components valid at the same time; ``tax`` names one of the tariff's taxes; ``when``
    lists bands (``other`` is the time in no band), empty means always; validity picks the price by the start of
    the use and is a date in the tariff's zone or an RFC 3339 instant, ``valid_until`` exclusive.
    """

    name: str
    tax: str = ""
    when: tuple[str, ...] = ()
    valid_from: str = ""
    valid_until: str = ""


class Flat(_Part, frozen=True, kw_only=True, tag="flat"):
    """A fixed fee: connection fee per charge, or subscription per billing period.

    With ``measure`` it is owed only by a use that has some of that quantity; with ``when`` by one that starts then.
    A blank ``price`` is filled by the deck.
    """

    price: str = ""
    scope: Scope = "charge"
    measure: str = ""
    optional: bool = False


class _Measured(_Part, frozen=True, kw_only=True):
    """A component that prices a quantity of the use.

    ``measure`` names the quantity; ``optional`` takes a missing one as zero; ``time`` says it is in seconds and, when
    the use does not state it, runs from start to end. ``convert`` multiplies it into the unit of all that follows
    (bytes to GB: ``1/1000000000``). ``step`` rounds up to whole increments, ``first`` is the least that counts, so
    30/6 is ``first = "30"``, ``step = "6"``. ``free`` units cost nothing. ``scope`` ``period`` prices the running
    total of payer and billing period: a record then costs what it adds. ``minimum`` and ``maximum`` bound the
    amount at the scope, once there is any quantity.
    """

    measure: str
    optional: bool = False
    time: bool = False
    convert: str = "1"
    first: str = ""
    step: str = ""
    free: str = "0"
    scope: Scope = "charge"
    minimum: str = ""
    maximum: str = ""


class Unit(_Measured, frozen=True, kw_only=True, tag="unit"):
    """``price`` for each ``per`` units, in proportion; a blank ``price`` is filled by the deck."""

    price: str = ""
    per: str = "1"


class Graduated(_Measured, frozen=True, kw_only=True, tag="graduated"):
    """Each tier prices its own slice of the quantity; also rate slots, when tiers carry their own increments."""

    tiers: tuple[Tier, ...]
    per: str = "1"


class Volume(_Measured, frozen=True, kw_only=True, tag="volume"):
    """The tier that the whole quantity falls into prices all of it."""

    tiers: tuple[Tier, ...]
    per: str = "1"


class Package(_Measured, frozen=True, kw_only=True, tag="package"):
    """``price`` for each started block of ``size`` units; a blank ``price`` is filled by the deck."""

    size: str
    price: str = ""


class Percentage(_Part, frozen=True, kw_only=True, tag="percentage"):
    """``rate`` percent of a value plus ``fixed``, per use that has any value.

    The first ``free_events`` of a billing period, and the first ``free_total`` of its value, cost nothing; with both,
    the freedom ends where the first of them does. ``minimum`` and ``maximum`` bound each event that is not free.
    """

    measure: str
    rate: str
    optional: bool = False
    fixed: str = "0"
    free_events: int = 0
    free_total: str = ""
    minimum: str = ""
    maximum: str = ""


class GraduatedPercentage(_Part, frozen=True, kw_only=True, tag="graduated-percentage"):
    """A value priced by slices, each with its own percentage and flat part."""

    measure: str
    tiers: tuple[RateTier, ...]
    optional: bool = False
    free: str = "0"
    scope: Scope = "charge"
    minimum: str = ""
    maximum: str = ""


class Demand(_Part, frozen=True, kw_only=True, tag="demand"):
    """The peak of a billing period, charged when it closes, by graduated ``tiers`` or by ``price`` for each ``per``.

    ``measure`` is the power itself, or with ``averaged`` an energy that is divided by the hours from start to end.
    """

    measure: str
    optional: bool = False
    averaged: bool = False
    convert: str = "1"
    step: str = ""
    free: str = "0"
    price: str = ""
    per: str = "1"
    tiers: tuple[Tier, ...] = ()
    minimum: str = ""
    maximum: str = ""


Component = Flat | Unit | Graduated | Volume | Package | Percentage | GraduatedPercentage | Demand


class RoundingRule(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where and how amounts round: ``at`` the charge (default), each line, or each increment.

    ``decimals`` are required below the charge; at the charge they default to the scale of the asset.
    """

    at: Literal["charge", "line", "increment"] = "charge"
    mode: Literal["half-even", "half-up", "half-down", "up", "down"] = "half-even"
    decimals: int | None = None


class DeckRow(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """What one key costs: fills the blank prices of the components, and their increments where given.

    ``key`` is the prefix or value (empty: everything else); ``price`` is for the only component that the deck fills,
    blank means not sold; ``name`` is for people, such as the destination.
    """

    key: str
    price: str = ""
    first: str = ""
    step: str = ""
    valid_from: str = ""
    valid_until: str = ""
    name: str = ""
    prices: dict[str, str] | None = None


class Deck(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A price list by an attribute of the use (``by``): the longest matching prefix, or the exact value.

    ``rows`` are given here or loaded from the CSV ``file``, whose headers ``columns`` maps (ours = theirs). A row with
    several component prices names them in ``prices``. Several rows of a key form its price history: of those valid
    at the start of the use, the one with the latest ``valid_from`` holds.
    """

    by: str
    match: Literal["prefix", "exact"] = "prefix"
    rows: tuple[DeckRow, ...] = ()
    file: str = ""
    columns: dict[str, str] = {}


class Tariff(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A price list: components added up, in one ``currency``, with local time in ``zone``.

    ``taxes`` are percentages by name and ``tax`` the one for components that name none; with ``tax_included`` every
    amount in the tariff contains its tax. ``minimum``/``maximum`` bound each charge that used anything, ``period_…``
    the billing period. ``step_at_end``: the increment of the last period used rounds the whole, earlier ones are
    billed as measured (OCPI). Wholesale and retail are two tariffs; agreements say which is which.
    """

    id: str
    currency: str
    components: tuple[Component, ...]
    title: str = ""
    zone: str = "UTC"
    taxes: dict[str, str] = {}
    tax: str = ""
    tax_included: bool = False
    bands: dict[str, Band] = {}
    rounding: RoundingRule = RoundingRule()
    minimum: str = ""
    maximum: str = ""
    period_minimum: str = ""
    period_maximum: str = ""
    step_at_end: bool = False
    deck: Deck | None = None
    valid_from: str = ""
    valid_until: str = ""


class Use(msgspec.Struct, gc=False):
    """What is priced: an instant or a stretch of time (aware UTC), quantities by measure, attributes by name."""

    start: datetime
    end: datetime | None
    quantities: dict[str, Exact]
    attributes: dict[str, str]


__all__ = [
    "Band",
    "Component",
    "Deck",
    "DeckRow",
    "Demand",
    "Flat",
    "Graduated",
    "GraduatedPercentage",
    "Package",
    "Percentage",
    "RateTier",
    "RoundingRule",
    "Scope",
    "Tariff",
    "Tier",
    "Unit",
    "Use",
    "Volume",
]
