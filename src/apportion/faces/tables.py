"""Tables and records as a person or a program reads them: aligned text, JSON, CSV.

On a terminal a table has a styled head; anywhere else it is plain text whose columns are never cut, so that ids can be
copied and lines can be searched.
"""

from __future__ import annotations

import csv
import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

_DIGITS = frozenset("0123456789.,-")


class Table(msgspec.Struct):
    """Rows of text under ``columns``; ``footer`` is a last row that sums up and is left out of JSON and CSV."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    footer: tuple[str, ...] = ()

    @classmethod
    def of(cls, records: Iterable[msgspec.Struct], columns: Sequence[str]) -> Table:
        """A table of records, one column a field."""
        return cls(tuple(columns), [tuple(str(getattr(record, name)) for name in columns) for record in records])

    def objects(self) -> list[dict[str, str]]:
        """The rows as objects keyed by column."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def write_json(value: Any) -> None:
    """One JSON value on one line of standard output; records become objects."""
    sys.stdout.write(json_text(value) + "\n")


def json_text(value: Any) -> str:
    """A value as the command line writes JSON: ASCII, a space after comma and colon."""
    return json.dumps(msgspec.to_builtins(value))


def write_csv(table: Table) -> None:
    """The rows as CSV with a header; text that a spreadsheet would run as a formula is kept from doing so."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_tame(cell) for cell in row] for row in table.rows)


def _tame(cell: str) -> str:
    """Text that begins like a formula gets an apostrophe; numbers stay numbers."""
    return "'" + cell if cell[:1] in ("=", "+", "@", "-", "\t") and not set(cell) <= _DIGITS else cell


def trimmed(amounts: Sequence[str]) -> list[str]:
    """Decimals with the zeros cut that all of them end in; two decimals stay."""
    parts = [text.partition(".")[2] for text in amounts if "." in text]
    if not parts or len(set(map(len, parts))) > 1:
        return list(amounts)
    keep = max(2, *(len(part.rstrip("0")) for part in parts))
    gone = len(parts[0]) - keep
    return [text[:-gone] if "." in text else text for text in amounts] if gone > 0 else list(amounts)


def _readable(table: Table) -> Table:
    """The table with columns of amounts trimmed alike."""
    right = _right(table)
    rows = [*table.rows, *([table.footer] if table.footer else [])]
    columns = [[row[at] for row in rows] for at in range(len(right))]
    columns = [trimmed(column) if amounts else column for column, amounts in zip(columns, right, strict=True)]
    whole: list[tuple[str, ...]] = list(zip(*columns, strict=True))
    if table.footer:
        return Table(table.columns, whole[:-1], whole[-1])
    return Table(table.columns, whole)


def write_table(table: Table) -> None:
    """The rows as aligned text."""
    table = _readable(table)
    if sys.stdout.isatty():
        _write_styled(table)
        return
    rows = [table.columns, *table.rows, *([table.footer] if table.footer else [])]
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    right = _right(table)
    for row in rows:
        cells = [_pad(cell, width, to_right) for cell, width, to_right in zip(row, widths, right, strict=True)]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _write_styled(table: Table) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as Styled
    from rich.text import Text

    styled = Styled(box=box.SIMPLE_HEAD, show_footer=bool(table.footer), pad_edge=False, header_style="bold")
    footer = table.footer or ("",) * len(table.columns)
    for name, foot, to_right in zip(table.columns, footer, _right(table), strict=True):
        styled.add_column(name, foot, justify="right" if to_right else "left", overflow="fold")
    for row in table.rows:
        styled.add_row(*[Text(cell) for cell in row])
    Console(markup=False, highlight=False, emoji=False).print(styled)


def _right(table: Table) -> list[bool]:
    """Which columns hold numbers only, and so stand to the right."""
    return [
        any(cells) and all(set(cell) <= _DIGITS for cell in cells)
        for cells in ([row[at] for row in table.rows] for at in range(len(table.columns)))
    ]


def width_of(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


def _pad(text: str, width: int, to_right: bool) -> str:
    space = " " * (width - width_of(text))
    return space + text if to_right else text + space
