"""What of a tariff is in force for a use: by validity and by the deck, compiled once and kept."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from apportion.errors import RefusalCode, refuse
from apportion.model.band import instant_of
from apportion.model.calendar import zone_of
from apportion.model.tariff import Component, DeckRow, Flat, Package, Tariff, Unit, Use
from apportion.stages.rate.cut import Chain, chains_of
from apportion.stages.rate.deck import DeckIndex, not_sold
from apportion.stages.rate.terms import Term, compile_term
from apportion.stages.rate.tiers import Pair

_KEPT_PLANS = 65536
_DAWN = datetime.min.replace(tzinfo=UTC)


class Plan(msgspec.Struct):
    """Components in force: ``terms`` price a use, ``closing`` what only a period has.

    ``plain`` plans need no clock, no running total and no bounds; ``note`` tells the deck's key. ``steps`` are the
    terms with their measure and, for those that are only a price per unit, that price.
    """

    terms: tuple[Term, ...]
    closing: tuple[Term, ...]
    chains: list[Chain]
    plain: bool
    banded: bool
    steps: tuple[tuple[Term, str, Pair | None], ...]
    note: str = ""

    def stems(self) -> list[str]:
        """Key stems of the running totals that its components keep."""
        found = []
        for term in (*self.terms, *self.closing):
            if term.event:
                found += [f"{term.running}:events", f"{term.running}:value"]
            elif term.peak:
                found.append(f"{term.running}:peak")
            elif term.running:
                found.append(term.running)
        return found


def priced_by_deck(component: Component) -> bool:
    """Whether the deck has to fill this component's price."""
    return isinstance(component, Flat | Unit | Package) and not component.price


def _filled(component: Component, row: DeckRow | None) -> Component | None:
    """The component with the prices and increments of a deck row; None when the row does not sell it."""
    if row is None or not isinstance(component, Flat | Unit | Package):
        return component
    own = (row.prices or {}).get(component.name, "") or (row.price if priced_by_deck(component) else "")
    if not own:
        return None if priced_by_deck(component) else component
    changes = {"price": own}
    if isinstance(component, Unit):
        changes |= {name: text for name, text in (("first", row.first), ("step", row.step)) if text}
    return msgspec.structs.replace(component, **changes)


class Plans:
    """All plans of a tariff, found by the start of the use and the deck's attribute."""

    def __init__(self, tariff: Tariff) -> None:
        self._tariff = tariff
        zone = zone_of(tariff.zone)
        self._window = _span(tariff.valid_from, tariff.valid_until, zone)
        spans = [_span(c.valid_from, c.valid_until, zone) for c in tariff.components]
        self._starts = sorted({_DAWN, *(edge for span in spans for edge in span if edge is not None)})
        self._segments = [
            [c for c, (begin, end) in zip(tariff.components, spans, strict=True) if _holds(begin, end, start)]
            for start in self._starts
        ]
        self.deck = DeckIndex(tariff.deck, zone) if tariff.deck else None
        self._by_row: dict[tuple[int, int], Plan] = {}
        self._by_price: dict[tuple[object, ...], Plan] = {}
        self._whole = [] if self.deck else [self._compile(parts, None) for parts in self._segments]
        timeless = self._window == (None, None) and len(self._starts) == 1
        self.only = self._whole[0] if timeless and self._whole else None

    def of(self, use: Use) -> Plan:
        """The plan for a use.

        Raises:
            Refused: NO_PRICE when nothing is in force, BAD_TIME when the start has no time zone.
        """
        if self.only is not None:
            return self.only
        segment = self._segment(use.start)
        if self.deck is None:
            return self._whole[segment]
        value = use.attributes.get(self.deck.by)
        if value is None:
            raise refuse(
                RefusalCode.NO_PRICE,
                f"the use does not say {self.deck.by!r}, by which the deck finds the price.",
                field=f"attributes.{self.deck.by}",
                fix="Add the attribute to the usage record.",
            )
        row = self.deck.find(value, use.start)
        if row is None:
            raise not_sold(value, self.deck.by)
        return self._by_row.get((segment, id(row))) or self._of_row(segment, row)

    def components(self, use: Use) -> list[Component]:
        """The components in force for a use, the prices of the deck filled in.

        Raises:
            Refused: as ``of``.
        """
        segment = self._segment(use.start)
        self.of(use)
        row = self.deck.find(use.attributes[self.deck.by], use.start) if self.deck is not None else None
        return [filled for c in self._segments[segment] if (filled := _filled(c, row)) is not None]

    def _of_row(self, segment: int, row: DeckRow) -> Plan:
        """The plan of a deck row; rows of equal prices and increments share their compiled components."""
        if len(self._by_row) >= _KEPT_PLANS:
            self._by_row.clear()
            self._by_price.clear()
        terms = (segment, row.price, row.first, row.step, tuple((row.prices or {}).items()))
        plan = self._by_price.get(terms)
        if plan is None:
            plan = self._by_price[terms] = self._compile(self._segments[segment], row)
        plan = self._by_row[segment, id(row)] = msgspec.structs.replace(plan, note=f"{row.key} {row.name}".strip())
        return plan

    def at_close(self, at: datetime | None) -> Plan:
        """The plan for what only a period has: prices at the instant ``at``, or the latest known."""
        segment = self._segment(at) if at is not None else len(self._starts) - 1
        if self._whole:
            return self._whole[segment]
        return self._compile([c for c in self._segments[segment] if not priced_by_deck(c)], None)

    def _segment(self, start: datetime) -> int:
        if start.tzinfo is None:
            raise refuse(RefusalCode.BAD_TIME, "the start has no time zone.", field="start", fix="Write it with Z.")
        segment = bisect_right(self._starts, start) - 1
        if not _holds(*self._window, start) or not self._segments[segment]:
            raise refuse(
                RefusalCode.NO_PRICE,
                f"tariff {self._tariff.id!r} has no price in force at {start.isoformat()}.",
                field="start",
                fix="Add components that are valid then.",
            )
        return segment

    def _compile(self, components: Sequence[Component], row: DeckRow | None) -> Plan:
        tariff = self._tariff
        terms: list[Term] = []
        closing: list[Term] = []
        for component in components:
            filled = _filled(component, row)
            if filled is None:
                by = tariff.deck.by if tariff.deck else ""
                raise not_sold(row.key if row else "", by)
            term = compile_term(filled, tariff)
            (closing if term.at_close else terms).append(term)
        banded = any(term.when for term in (*terms, *closing))
        chains = chains_of(terms, tariff.step_at_end)
        plain = not (
            banded
            or chains
            or any(term.running for term in (*terms, *closing))
            or tariff.tax_included
            or tariff.rounding.at == "line"
            or tariff.minimum
            or tariff.maximum
            or tariff.period_minimum
            or tariff.period_maximum
        )
        steps = tuple((term, term.measure, term.simple) for term in terms)
        return Plan(tuple(terms), tuple(closing), chains, plain, banded, steps)


def _span(begin: str, end: str, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    return instant_of(begin, zone) if begin else None, instant_of(end, zone) if end else None


def _holds(begin: datetime | None, end: datetime | None, at: datetime) -> bool:
    return (begin is None or begin <= at) and (end is None or at < end)
