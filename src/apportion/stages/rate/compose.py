"""Tariffs made of tariffs: what an offer comes to for one request, and one price for everything that payers get.

An agreed price is a tariff like any other, so that what is charged by it is priced, explained and proved like all else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from apportion.model.tariff import Component, Flat, Tariff, Use
from apportion.money import Exact
from apportion.stages.rate.price import Pricer

replace = msgspec.structs.replace
_AMOUNTS = ("price", "fixed", "rate", "minimum", "maximum")


class Passed(NamedTuple):
    """A part whose price is passed on to payers: its tariff as ``settled``, times ``factor``, and flat ``fees``."""

    part: str
    tariff: Tariff
    factor: Exact
    fees: Mapping[str, Exact]


def settled(pricer: Pricer, use: Use, id: str, fees: Mapping[str, Exact] | None = None) -> Tariff:
    """A tariff as it is in force for one use, for as long as that lasts: no deck, no validity; ``fees`` on top, once.

    Raises:
        Refused: NO_PRICE when nothing is in force, or the deck has no row.
    """
    tariff = pricer.tariff
    components = tuple(replace(c, valid_from="", valid_until="") for c in pricer.plans.components(use))
    more = tuple(_flat(name, amount) for name, amount in (fees or {}).items() if amount)
    return replace(tariff, id=id, components=(*components, *more), deck=None, valid_from="", valid_until="")


def composed(own: Tariff, parts: Sequence[Passed], id: str) -> Tariff:
    """One retail tariff of the platform's ``own`` (as ``settled``) and the parts that it passes on.

    Components are named after their part; those of parts are taxed as the own tariff says for components that name no
    tax. The parts' tariffs must be composable: see ``market_check``.
    """
    components, bands = list(own.components), dict(own.bands)
    for part, tariff, factor, fees in parts:
        names = {band: f"{part}.{band}" for band in tariff.bands if band != "other"}
        bands |= {names[band]: times for band, times in tariff.bands.items() if band in names}
        for component in tariff.components:
            when = tuple(names.get(band, band) for band in component.when)
            components.append(replace(times(component, factor), name=f"{part}: {component.name}", tax="", when=when))
        components += [_flat(f"{part}: {name}", amount * factor) for name, amount in fees.items() if amount]
    return replace(own, id=id, components=tuple(components), bands=bands)


def times(component: Component, factor: Exact) -> Component:
    """A component whose every amount is multiplied; what it measures and counts stays as it is."""
    changes: dict[str, object] = {}
    for field in _AMOUNTS:
        text = getattr(component, field, "")
        if text:
            changes[field] = _scaled(text, factor)
    tiers = getattr(component, "tiers", ())
    if tiers:
        changes["tiers"] = tuple(_tier(tier, factor) for tier in tiers)
    return replace(component, **changes)


def _tier(tier: msgspec.Struct, factor: Exact) -> msgspec.Struct:
    fields = [field for field in ("price", "rate", "flat") if hasattr(tier, field)]
    return replace(tier, **{field: _scaled(getattr(tier, field), factor) for field in fields})


def _scaled(text: str, factor: Exact) -> str:
    return (Exact.parse(text) * factor).text()


def _flat(name: str, amount: Exact) -> Flat:
    return Flat(name=name, price=amount.text())
