"""Prices in a negotiation: what a tariff costs for what was asked, and the tariff that costs so much."""

from __future__ import annotations

from typing import Any

import msgspec

from apportion.errors import Refused
from apportion.model.bid import Asked, Bid
from apportion.model.bid_check import instant
from apportion.model.tariff import Component, DeckRow, Tariff, Use
from apportion.money import Exact
from apportion.money.exact import ZERO
from apportion.stages.rate import compile_tariff

_AMOUNTS = ("price", "flat", "rate", "fixed", "minimum", "maximum")
_PERIODS = ("minimum", "maximum", "period_minimum", "period_maximum")


def net_price(tariff: Tariff, asked: Asked) -> Exact:
    """What all quantities of a question cost by a tariff, without tax and not rounded.

    Raises:
        Refused: it has no price for them.
    """
    start, pricer = instant(asked.start or asked.at), compile_tariff(tariff)
    quantities = dict.fromkeys(pricer.measures, ZERO)  # what is not expected to be used counts nothing
    quantities |= {measure: Exact.parse(text, field=measure) for measure, text in asked.quantities.items()}
    return pricer.price(Use(start, start, quantities, asked.attributes)).exact


def over_target(bid: Bid, asked: Asked) -> str:
    """A part of an accepted counter-offer that is offered for more than it, or not at all; empty when all is kept."""
    if bid.answer != "accept" or asked.counter is None:
        return ""
    for part, amount in asked.counter.amounts.items():
        target = Exact.parse(amount, field=part)
        if not any(offer.part == part and _costs(offer.tariff, asked, target) for offer in bid.offers):
            return part
    return ""


def _costs(tariff: str | Tariff, asked: Asked, target: Exact) -> bool:
    """Whether a tariff has a price for what was asked that is no more than ``target``."""
    try:
        return isinstance(tariff, Tariff) and net_price(tariff, asked) <= target
    except (Refused, ValueError, ArithmeticError):
        return False


def rows_by_key(tariff: Tariff) -> dict[str, tuple[DeckRow, ...]]:
    """The rows of a price list by their keys; empty without one."""
    found: dict[str, tuple[DeckRow, ...]] = {}
    for row in tariff.deck.rows if tariff.deck is not None else ():
        found[row.key] = (*found.get(row.key, ()), row)
    return found


def narrowed(tariff: Tariff, attributes: dict[str, str], rows: dict[str, tuple[DeckRow, ...]]) -> Tariff:
    """The tariff with those ``rows`` of its price list alone that these attributes can lead to; it costs the same."""
    deck = tariff.deck
    if deck is None:
        return tariff
    value = attributes.get(deck.by, "")
    keys = [value[:end] for end in range(len(value) + 1)] if deck.match == "prefix" else ["", value]
    kept = tuple(row for key in dict.fromkeys(keys) for row in rows.get(key, ()))
    return msgspec.structs.replace(tariff, deck=msgspec.structs.replace(deck, rows=kept))


def scaled(tariff: Tariff, factor: Exact) -> Tariff:
    """The tariff with every price multiplied: whatever is used costs ``factor`` times as much, rounding aside."""
    deck = tariff.deck
    if deck is not None:
        deck = msgspec.structs.replace(deck, rows=tuple(_row(row, factor) for row in deck.rows))
    components = tuple(_component(component, factor) for component in tariff.components)
    return msgspec.structs.replace(tariff, components=components, deck=deck, **_times(tariff, _PERIODS, factor))


def _component(component: Component, factor: Exact) -> Component:
    made: dict[str, Any] = _times(component, _AMOUNTS, factor)
    tiers = getattr(component, "tiers", ())
    if tiers:
        made["tiers"] = tuple(msgspec.structs.replace(tier, **_times(tier, _AMOUNTS, factor)) for tier in tiers)
    return msgspec.structs.replace(component, **made)


def _row(row: DeckRow, factor: Exact) -> DeckRow:
    prices = {name: _product(text, factor) for name, text in (row.prices or {}).items()} or None
    return msgspec.structs.replace(row, prices=prices, **_times(row, ("price",), factor))


def _times(record: msgspec.Struct, fields: tuple[str, ...], factor: Exact) -> dict[str, Any]:
    """The amounts of a record that it has, each multiplied."""
    found = {field: getattr(record, field, "") for field in fields}
    return {field: _product(text, factor) for field, text in found.items() if text}


def _product(text: str, factor: Exact) -> str:
    return (Exact.parse(text) * factor).text() if text else ""
