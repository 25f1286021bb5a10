"""Rows of a file that others wrote: cells by column as text, whatever the columns are called."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec

from apportion.adapters.lines import FileRefused, numbered_lines
from apportion.adapters.usage.batch import shown
from apportion.adapters.usage.csv import cells_of
from apportion.adapters.usage.jsonl import parse
from apportion.errors import Refusal, RefusalCode, Refused, refuse

BYTES_MAX = 16 << 20
CELL_MAX = 255
_OBJECT = "quantities"


class Rows(msgspec.Struct):
    """Rows with their line in the file, each a mapping of column to text; and the lines that are none, with why.

    In JSON the members of an object ``quantities`` are columns too.
    """

    found: list[tuple[int, dict[str, str]]] = []
    bad: list[tuple[int, Refusal]] = []


def read_rows(path: str | os.PathLike[str], most: int) -> Rows:
    """Read a CSV or JSON Lines file (``.gz`` too; ``-`` is JSON Lines on standard input) of at most ``most`` rows.

    Raises:
        Refused: BAD_INPUT when it can not be read at all, is longer than that or than 16 MiB, or its ending names no
            format.
    """
    text = os.fspath(path)
    plain = text.lower().removesuffix(".gz")
    make: Callable[[bytes], dict[str, str] | None]
    if plain.endswith(".csv"):
        make = _Csv().row
    elif text == "-" or plain.endswith((".jsonl", ".ndjson")):
        make = _json_row
    else:
        raise refuse(
            RefusalCode.BAD_INPUT, f"{os.path.basename(text)!r} has no ending that names a format.", field="file",
            fix="Use .csv, .jsonl, .csv.gz or .jsonl.gz.",
        )  # fmt: skip
    rows, size = Rows(), 0
    try:
        for number, line in numbered_lines(text):
            size += len(line)
            if size > BYTES_MAX or len(rows.found) + len(rows.bad) > most:
                raise _too_long(most)
            try:
                row = make(line)
            except Refused as refused:
                rows.bad.append((number, refused.refusal))
            else:
                if row is not None:
                    rows.found.append((number, row))
    except FileRefused as stop:
        first = stop.refusals[0]
        raise Refused(msgspec.structs.replace(first, field=first.field or "file")) from None
    if len(rows.found) + len(rows.bad) > most:
        raise _too_long(most)
    return rows


def _too_long(most: int) -> Refused:
    return refuse(
        RefusalCode.BAD_INPUT, f"has more than {most:,} rows or {BYTES_MAX >> 20} MiB.", field="file",
        fix="Split it, such as by day or by service.",
    )  # fmt: skip


class _Csv:
    """Lines under a header."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def row(self, line: bytes) -> dict[str, str] | None:
        if not self._names:
            self._begin(line)
            return None
        cells = cells_of(line)
        if len(cells) != len(self._names):
            raise refuse(
                RefusalCode.BAD_INPUT, f"The line has {len(cells)} cells, the header {len(self._names)}.",
                fix="Quote cells that hold a comma.",
            )  # fmt: skip
        return {name: cell[:CELL_MAX].strip() for name, cell in zip(self._names, cells, strict=True) if cell}

    def _begin(self, line: bytes) -> None:
        try:
            names = [name.strip() for name in cells_of(line)]
        except Refused as refused:
            raise FileRefused([refused.refusal], 1) from None
        double = next((name for at, name in enumerate(names) if name in names[:at]), None)
        if double is not None or len(names) < 2:
            what = f"The column {shown(double)} stands twice." if double is not None else "The header has no comma."
            raise FileRefused([Refusal(RefusalCode.BAD_INPUT, what, fix="Part cells by commas, each column once.")], 1)
        self._names = [name[:CELL_MAX] for name in names]


def _json_row(line: bytes) -> dict[str, str]:
    tree: dict[str, Any] = parse(line)
    inner = tree.pop(_OBJECT, None)
    found = {name[:CELL_MAX]: text for name, value in tree.items() if (text := _cell(value))}
    if isinstance(inner, dict):
        for name, value in inner.items():
            if name in found:
                raise refuse(RefusalCode.BAD_INPUT, "stands twice in one row.", field=shown(name), fix="Keep one.")
            if text := _cell(value):
                found[name[:CELL_MAX]] = text
    elif inner is not None:
        raise refuse(RefusalCode.BAD_INPUT, "is no object.", field=_OBJECT, fix='Such as {"gb": "1.5"}.')
    return found


def _cell(value: Any) -> str:
    """A value as text: numbers as they were written; what is neither text nor number can only be named."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value[:CELL_MAX].strip()
    text = getattr(value, "text", None)
    return text[:CELL_MAX] if isinstance(text, str) else "…"
