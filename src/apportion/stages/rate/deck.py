"""Rate decks: tens of thousands of keys, found by the longest prefix in at most one look-up per length."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from apportion.errors import RefusalCode, refuse
from apportion.model.band import instant_of
from apportion.model.tariff import Deck, DeckRow


class DeckIndex:
    """The rows of a deck by key, and their history by validity."""

    def __init__(self, deck: Deck, zone: ZoneInfo) -> None:
        self.by = deck.by
        self._prefix = deck.match == "prefix"
        self._zone = zone
        self._rows: dict[str, list[DeckRow]] = {}
        for row in deck.rows:
            key = row.key.removeprefix("+") if self._prefix else row.key
            self._rows.setdefault(key, []).append(row)
        self._lengths = sorted({len(key) for key in self._rows}, reverse=True)
        self._spans: dict[int, tuple[datetime | None, datetime | None]] = {}

    def find(self, value: str, start: datetime) -> DeckRow | None:
        """The row for a value at an instant: the longest prefix that has a row in force, or the exact key."""
        if not self._prefix:
            return self._valid(value, start) or self._valid("", start)
        number = value.removeprefix("+")
        size, rows = len(number), self._rows
        for length in self._lengths:
            if length <= size and number[:length] in rows:
                row = self._valid(number[:length], start)
                if row is not None:
                    return row
        return None

    def possible(self, cut: str) -> Iterator[str]:
        """Keys, but for the empty one, that may be those of a value of which the beginning alone is known.

        By prefix a key that is ``cut`` itself is surely one, and is left out.
        """
        if not self._prefix:
            return (key for key in self._rows if key and key.startswith(cut))
        number = cut.removeprefix("+")
        return (key for key in self._rows if len(key) > len(number) and key.startswith(number))

    @property
    def exact(self) -> bool:
        """Whether a value is looked for as a whole."""
        return not self._prefix

    def sells(self, key: str, start: datetime) -> bool:
        """Whether a key of its own is in force at an instant."""
        return self._valid(key, start) is not None

    def _valid(self, key: str, start: datetime) -> DeckRow | None:
        rows = self._rows.get(key)
        if rows is None:
            return None
        if len(rows) == 1 and not rows[0].valid_from and not rows[0].valid_until:
            return rows[0]
        best: tuple[datetime, DeckRow] | None = None
        for row in rows:
            begin, end = self._span(row)
            if (begin is None or begin <= start) and (end is None or start < end):
                since = begin or datetime.min.replace(tzinfo=UTC)
                if best is None or since >= best[0]:
                    best = (since, row)
        return best[1] if best else None

    def _span(self, row: DeckRow) -> tuple[datetime | None, datetime | None]:
        span = self._spans.get(id(row))
        if span is None:
            span = self._spans[id(row)] = (
                instant_of(row.valid_from, self._zone) if row.valid_from else None,
                instant_of(row.valid_until, self._zone) if row.valid_until else None,
            )
        return span


def not_sold(value: str, by: str) -> Exception:
    """The refusal for a key that no row in force sells."""
    return refuse(
        RefusalCode.NO_PRICE,
        f"no price is in force for {by} {value[:40]!r}.",
        field=f"attributes.{by}",
        fix="Add a row to the deck, or a row with an empty key for everything else.",
    )
