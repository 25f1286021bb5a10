"""What contradicts itself in a tariff: every finding at once, with its field and the fix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from apportion.errors import Refusal, RefusalCode, Refused
from apportion.model.band import OTHER, band_rule, instant_of
from apportion.model.calendar import zone_of
from apportion.model.tariff import (
    Component,
    DeckRow,
    Demand,
    Flat,
    Graduated,
    GraduatedPercentage,
    Package,
    Percentage,
    RateTier,
    Tariff,
    Tier,
    Unit,
    Volume,
)
from apportion.money import Exact

_CURRENCY = re.compile(r"[A-Z][A-Z0-9_]{1,11}", re.ASCII)
_PLAIN = re.compile(r"[0-9]{1,20}(\.[0-9]{1,19})?", re.ASCII)
_NAME = re.compile(r"[^@/:\s]{1,60}")
_DAWN, _DUSK = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
Span = tuple[datetime, datetime]


class _Findings:
    """Refusals gathered for one tariff, with readers that note what they can not read."""

    def __init__(self, where: str) -> None:
        self.found: list[Refusal] = []
        self._where = where

    def add(self, field: str, message: str, fix: str = "") -> None:
        self.found.append(
            Refusal(code=RefusalCode.CATALOG_INVALID, message=message, field=field, fix=fix, where=self._where)
        )

    def number(self, field: str, text: str, *, positive: bool = False) -> Exact | None:
        """The number, noted when it is none, negative, or (``positive``) zero."""
        try:
            value = Exact.parse(text)
        except Refused as error:
            self.add(field, error.refusal.message, error.refusal.fix)
            return None
        if value.num < 0 or (positive and not value.num):
            least = "above zero" if positive else "zero or more"
            self.add(field, f"{text} must be {least}.", "A credit is a usage record with negative quantities.")
            return None
        return value

    def optional(self, field: str, text: str, *, positive: bool = False) -> Exact | None:
        """As ``number``, but a blank is fine."""
        return self.number(field, text, positive=positive) if text else None

    def bounds(self, prefix: str, low: tuple[str, str], high: tuple[str, str]) -> None:
        """A minimum and a maximum, given as (field, text)."""
        least, most = self.optional(prefix + low[0], low[1]), self.optional(prefix + high[0], high[1])
        if least is not None and most is not None and most < least:
            self.add(prefix + high[0], f"{high[1]} is less than {low[0]} {low[1]}.")

    def span(self, prefix: str, begin: str, end: str, zone: ZoneInfo) -> Span:
        """A validity as two instants; open ends are the ends of time."""
        ends = [_DAWN, _DUSK]
        for i, (name, text) in enumerate((("valid_from", begin), ("valid_until", end))):
            if text:
                try:
                    ends[i] = instant_of(text, zone)
                except (ValueError, OverflowError, Refused):
                    self.add(prefix + name, f"{text!r} is not a date or instant.", "Such as 2026-01-01.")
        if ends[1] <= ends[0]:
            self.add(prefix + "valid_until", "is not after valid_from.")
        return ends[0], ends[1]


def check(tariff: Tariff) -> list[Refusal]:
    """Everything that is wrong with a tariff; empty when it can be compiled and will price or refuse every use."""
    found = _Findings(f"tariff {tariff.id}")
    zone = _header(found, tariff)
    if not tariff.components:
        found.add("components", "there are none.", "Add at least one [[components]].")
    spans: dict[str, list[Span]] = {}
    for i, component in enumerate(tariff.components):
        prefix = f"components[{i}]."
        _common(found, prefix, component, tariff)
        span = found.span(prefix, component.valid_from, component.valid_until, zone)
        earlier = spans.setdefault(component.name, [])
        if any(span[0] < other[1] and other[0] < span[1] for other in earlier):
            found.add(prefix + "name", f"{component.name!r} is there twice at the same time.", "Rename one.")
        earlier.append(span)
        _by_kind(found, prefix, component, tariff)
    _check_deck(found, tariff, zone)
    return found.found


def _header(found: _Findings, tariff: Tariff) -> ZoneInfo:
    if not tariff.id or "@" in tariff.id:
        found.add("id", f"{tariff.id!r} is not an id.", "Use letters, digits, dots and dashes.")
    if not _CURRENCY.fullmatch(tariff.currency):
        found.add("currency", f"{tariff.currency!r} is not a currency code.", "Such as USD, without a scale.")
    try:
        zone = zone_of(tariff.zone)
    except Refused as error:
        found.add("zone", error.refusal.message, error.refusal.fix)
        zone = zone_of("UTC")
    for name, rate in tariff.taxes.items():
        if not _NAME.fullmatch(name):
            found.add(f"taxes.{name}", "is not a name.", "Use a word without spaces, '/', ':' and '@'.")
        found.number(f"taxes.{name}", rate)
    if tariff.tax and tariff.tax not in tariff.taxes:
        found.add("tax", f"{tariff.tax!r} is not among the taxes.", f'Add taxes.{tariff.tax} = "…" (percent).')
    for name, band in tariff.bands.items():
        if name == OTHER:
            found.add("bands.other", "is the name of the time in no band.", "Choose another name.")
        try:
            band_rule(band)
        except ValueError as error:
            found.add(f"bands.{name}", f"{error}.")
        if not (band.times or band.days or band.seasons or band.dates):
            found.add(f"bands.{name}", "says nothing.", "Give times, days, seasons or dates.")
    rule = tariff.rounding
    if rule.decimals is None and rule.at != "charge":
        found.add("rounding.decimals", f"is needed to round each {rule.at}.", "Such as decimals = 4.")
    elif rule.decimals is not None and not 0 <= rule.decimals <= 18:
        found.add("rounding.decimals", "must be 0 to 18.")
    found.bounds("", ("minimum", tariff.minimum), ("maximum", tariff.maximum))
    low, high = ("period_minimum", tariff.period_minimum), ("period_maximum", tariff.period_maximum)
    found.bounds("", low, high)
    found.span("", tariff.valid_from, tariff.valid_until, zone)
    return zone


def _common(found: _Findings, prefix: str, component: Component, tariff: Tariff) -> None:
    if not _NAME.fullmatch(component.name):
        found.add(prefix + "name", f"{component.name!r} is not a name.", "A word without spaces, '/', ':' and '@'.")
    if component.tax and component.tax not in tariff.taxes:
        found.add(prefix + "tax", f"{component.tax!r} is not among the taxes.", f"Add it to [taxes] of {tariff.id}.")
    for band in component.when:
        if band not in tariff.bands and not (band == OTHER and tariff.bands):
            found.add(prefix + "when", f"there is no band {band!r}.", f"Define it in [bands.{band}].")
    if not component.measure and not isinstance(component, Flat):
        found.add(prefix + "measure", "is empty.", "Name the quantity that is priced.")
    if isinstance(component, Flat | Unit | Package):
        found.optional(prefix + "price", component.price)
        if not component.price and tariff.deck is None:
            found.add(prefix + "price", "is missing.", "Give a price, or a deck that fills it.")
    if not isinstance(component, Flat):
        found.bounds(prefix, ("minimum", component.minimum), ("maximum", component.maximum))


def _by_kind(found: _Findings, prefix: str, component: Component, tariff: Tariff) -> None:
    if isinstance(component, Flat):
        if component.scope == "period" and (component.when or component.measure or not component.price):
            found.add(prefix + "scope", "a fee per period has a price and neither when nor measure.")
        return
    if isinstance(component, Percentage):
        found.number(prefix + "rate", component.rate)
        found.number(prefix + "fixed", component.fixed)
        found.optional(prefix + "free_total", component.free_total, positive=True)
        if component.free_events < 0:
            found.add(prefix + "free_events", "must be zero or more.")
        return
    found.number(prefix + "free", component.free)
    if isinstance(component, GraduatedPercentage):
        _tiers(found, prefix, component.tiers)
        return
    found.number(prefix + "convert", component.convert, positive=True)
    found.optional(prefix + "step", component.step, positive=True)
    if isinstance(component, Demand):
        _demand(found, prefix, component)
        return
    if component.first:
        found.number(prefix + "first", component.first, positive=True)
        if not component.step:
            found.add(prefix + "first", "needs a step for what follows it.", 'Such as step = "1".')
        if tariff.step_at_end:
            found.add(prefix + "first", "means nothing with step_at_end.", "Leave it out.")
    if isinstance(component, Package):
        found.number(prefix + "size", component.size, positive=True)
        return
    found.number(prefix + "per", component.per, positive=True)
    if isinstance(component, Graduated | Volume):
        _tiers(found, prefix, component.tiers)
        _slots(found, prefix, component)
    if tariff.rounding.at == "increment":
        stepped = component.step or (isinstance(component, Graduated) and all(t.step for t in component.tiers))
        if component.scope == "period" or isinstance(component, Volume) or not stepped:
            found.add(prefix + "step", "each increment is rounded, so the component needs one, per charge.")
        elif isinstance(component, Graduated) and component.step:
            found.add(prefix + "step", "each increment is rounded, so tiers need steps of their own.")


def _demand(found: _Findings, prefix: str, component: Demand) -> None:
    found.number(prefix + "per", component.per, positive=True)
    found.optional(prefix + "price", component.price)
    if bool(component.price) == bool(component.tiers):
        found.add(prefix + "price", "give either one price or tiers.")
    if component.tiers:
        _tiers(found, prefix, component.tiers)
        _no_slots(found, prefix, component.tiers)


def _tiers(found: _Findings, prefix: str, tiers: Sequence[Tier | RateTier]) -> None:
    if not tiers:
        found.add(prefix + "tiers", "there are none.", "The last tier has no up_to.")
    lower: Exact | None = None
    for i, tier in enumerate(tiers):
        place = f"{prefix}tiers[{i}]."
        price = ("rate", tier.rate) if isinstance(tier, RateTier) else ("price", tier.price)
        found.number(place + price[0], price[1])
        found.number(place + "flat", tier.flat)
        if i == len(tiers) - 1:
            if tier.up_to:
                found.add(place + "up_to", "the last tier must be open.", "Leave its up_to out.")
            continue
        upper = found.number(place + "up_to", tier.up_to, positive=True) if tier.up_to else None
        if not tier.up_to:
            found.add(place + "up_to", "only the last tier is open.")
        elif upper is not None and lower is not None and upper <= lower:
            found.add(place + "up_to", f"{tier.up_to} is not above the tier before.")
        lower = upper or lower


def _no_slots(found: _Findings, prefix: str, tiers: Sequence[Tier]) -> None:
    if any(tier.first or tier.step for tier in tiers):
        found.add(prefix + "tiers", "increments within tiers are for graduated components.")


def _slots(found: _Findings, prefix: str, component: Graduated | Volume) -> None:
    """Tiers with increments of their own: each must end where one of its increments does."""
    tiers = component.tiers
    if isinstance(component, Volume):
        _no_slots(found, prefix, tiers)
        return
    if not any(tier.first or tier.step for tier in tiers):
        return
    if component.first or component.step or component.free != "0" or component.when or component.scope != "charge":
        found.add(prefix + "tiers", "tiers with increments exclude first, step, free, when and a period's scope.")
    lower = Exact(0)
    for i, tier in enumerate(tiers):
        place = f"{prefix}tiers[{i}]."
        if not tier.step:
            found.add(place + "step", "every tier needs one if any has.")
            return
        step = found.number(place + "step", tier.step, positive=True)
        first = found.number(place + "first", tier.first or tier.step, positive=True)
        upper = _quiet(tier.up_to)
        if step is None or first is None or upper is None:
            continue
        rest = (upper - lower - first).over(step)
        if rest.num < 0 or rest.reduced().den != 1:
            found.add(place + "up_to", f"{tier.up_to} does not end a whole increment.", "Fit up_to to first and step.")
        lower = upper


def _quiet(text: str) -> Exact | None:
    try:
        return Exact.parse(text) if text else None
    except Refused:
        return None


def _check_deck(found: _Findings, tariff: Tariff, zone: ZoneInfo) -> None:
    deck = tariff.deck
    if deck is None:
        return
    if not deck.by:
        found.add("deck.by", "is empty.", "Name the attribute of the use, such as called.")
    if not deck.rows:
        fix = "Load the file first." if deck.file else "Give rows, or a file."
        found.add("deck.rows", "there are none.", fix)
    takers = [c for c in tariff.components if isinstance(c, Flat | Unit | Package)]
    sellable = {c.name for c in takers if not (isinstance(c, Flat) and c.scope == "period")}
    blank = {c.name for c in takers if not c.price}
    if not blank and not any(row.prices for row in deck.rows):
        found.add("deck", "fills no component.", "Leave out the price of the component that it prices.")
    stepped = not tariff.step_at_end and all(c.step for c in takers if isinstance(c, Unit) and not c.price)
    seen: set[tuple[str, str]] = set()
    for i, row in enumerate(deck.rows):
        prefix = f"deck.rows[{i}]."
        key = row.key.removeprefix("+")
        if (key, row.valid_from) in seen:
            found.add(prefix + "key", f"{row.key!r} is there twice from the same day.", "Keep one.")
        seen.add((key, row.valid_from))
        if deck.match == "prefix" and key and not key.isalnum():
            found.add(prefix + "key", f"{row.key!r} is not a prefix.", "Digits, with or without a leading +.")
        if row.valid_from or row.valid_until:
            found.span(prefix, row.valid_from, row.valid_until, zone)
        if row.price and len(blank) != 1:
            found.add(prefix + "price", "not exactly one component waits for a price.", "Name them in prices.")
        if row.first and not (row.step and not tariff.step_at_end) and not stepped:
            found.add(prefix + "first", "needs a step for what follows it, and means nothing with step_at_end.")
        _row(found, prefix, row, sellable)


def _row(found: _Findings, prefix: str, row: DeckRow, sellable: set[str]) -> None:
    for field, text in _row_numbers(row):
        increment = field in ("first", "step")
        if increment or not _PLAIN.fullmatch(text):  # the pattern is quick: decks have tens of thousands of rows
            found.number(prefix + field, text, positive=increment)
    for name in row.prices or ():
        if name not in sellable:
            found.add(f"{prefix}prices.{name}", "no component of this name takes a price.")


def _row_numbers(row: DeckRow) -> Iterable[tuple[str, str]]:
    for field, text in (("price", row.price), ("first", row.first), ("step", row.step)):
        if text:
            yield field, text
    for name, text in (row.prices or {}).items():
        if text:
            yield f"prices.{name}", text


__all__ = ["check"]
