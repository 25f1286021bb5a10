"""Price decks beside a catalog: CSV files (also ``.gz``) whose rows become the rows of a tariff's deck."""

from __future__ import annotations

from array import array
from pathlib import Path

import msgspec

from apportion.adapters.catalog_file.shape import Shaper
from apportion.adapters.lines import FileRefused, numbered_lines
from apportion.adapters.usage.csv import cells_of
from apportion.errors import Refused
from apportion.model.references import near
from apportion.model.tariff import Deck, DeckRow

_ROWS_MAX, _FINDINGS_MAX = 2_000_000, 20
_FIELDS = tuple(name for name in DeckRow.__struct_fields__ if name != "prices")


def read_deck(deck: Deck, folder: Path, where: str, shaper: Shaper) -> Deck:
    """The deck with the rows of its ``file``; problems go to ``shaper``, placed at the deck file's own lines.

    The rows stand in for the file, so that a catalog is the same whether its prices are inline or beside it.
    """
    path = _inside(deck.file, folder)
    if path is None:
        shaper.add(
            f"{where}.file", f"{deck.file[:80]!r} lies outside the catalog's folder.", "Put it beside the catalog."
        )
        return deck
    if deck.rows:
        shaper.add(f"{where}.rows", "stand beside a file.", "Give one of the two.")
    rows: list[DeckRow] = []
    lines = array("Q")
    before = len(shaper.placed)
    columns: list[tuple[int, str]] | None = None
    try:
        for number, line in numbered_lines(str(path)):
            at = f"{deck.file}:{number}"
            try:
                cells = cells_of(line)
            except Refused as refused:
                shaper.add_at(at, refused.refusal.message, refused.refusal.fix)
                cells = []
            if columns is None:
                columns, width = _columns(cells, deck, at, shaper), len(cells)
                if not columns:
                    break
            elif cells and len(cells) != width:
                shaper.add_at(at, f"the line has {len(cells)} cells, the header {width}.", "Quote cells with commas.")
            elif cells:
                rows.append(_row(columns, cells))
                lines.append(number)
            if len(shaper.placed) - before >= _FINDINGS_MAX or len(rows) > _ROWS_MAX:
                shaper.add_at(at, "reading the deck stops here: too many errors or rows.", "Correct the lines above.")
                break
    except FileRefused as stop:
        for refusal in stop.refusals:
            shaper.add(f"{where}.file", refusal.message, refusal.fix)
    if columns is None and len(shaper.placed) == before:
        shaper.add(f"{where}.file", f"{deck.file!r} is empty.", "Write a header and rows.")
    shaper.decks[where] = (deck.file, lines)
    return msgspec.structs.replace(deck, rows=tuple(rows), file="", columns={})


def _inside(file: str, folder: Path) -> Path | None:
    """The deck's path when it stays in the catalog's folder, links followed."""
    try:
        path = (folder / file).resolve()
    except (OSError, ValueError):
        return None
    return path if path.is_relative_to(folder.resolve()) else None


def _columns(header: list[str], deck: Deck, at: str, shaper: Shaper) -> list[tuple[int, str]]:
    """Position and field of every column that is read; with a mapping, columns it does not name are left out."""
    ours = {theirs: name for name, theirs in deck.columns.items()}
    found: list[tuple[int, str]] = []
    for place, name in enumerate(header):
        field = ours.get(name, name)
        if field in _FIELDS or (field.startswith("prices.") and field != "prices."):
            found.append((place, field))
        elif not deck.columns and not name.startswith("_"):
            fix = near(name, _FIELDS) or "Map it in deck.columns, or begin it with _ to leave it out."
            shaper.add_at(at, f"the column {name[:60]!r} is not known in a deck.", fix)
    fields = [field for _, field in found]
    missing = [theirs for theirs in deck.columns.values() if theirs not in header]
    if "key" not in fields or missing:
        names = ", ".join(missing or ["key"])
        shaper.add_at(
            at, f"the header lacks {names}.", "Name the columns, or map them in deck.columns (ours = theirs)."
        )
        return []
    if len(set(fields)) < len(fields):
        shaper.add_at(at, "two columns mean the same field.", "Keep one.")
        return []
    return found


def _row(columns: list[tuple[int, str]], cells: list[str]) -> DeckRow:
    plain: dict[str, str] = {}
    prices: dict[str, str] = {}
    for place, field in columns:
        if field.startswith("prices."):
            if cells[place]:
                prices[field.removeprefix("prices.")] = cells[place]
        else:
            plain[field] = cells[place]
    return DeckRow(**plain, prices=prices or None)
