"""CSV: one record a line, UTF-8, comma, a header; quoted cells may hold commas and quotes but no line feeds.

A line feed inside quotes is refused on purpose: otherwise one missing quote would swallow the records after it.
"""

from __future__ import annotations

import csv

from apportion.adapters.lines import LINE_MAX, FileRefused
from apportion.adapters.usage.batch import Door, Intake
from apportion.adapters.usage.cells import Instants
from apportion.adapters.usage.columns import COLUMNS_MAX, Header
from apportion.errors import Refusal, RefusalCode, Refused, refuse
from apportion.model.usage import Usage


class CsvDoor(Door):
    """The first line is the header, every further one a record."""

    def __init__(self, intake: Intake, instants: Instants) -> None:
        self._intake, self._instants = intake, instants
        self._header: Header | None = None
        self._width = 0

    def record(self, line: bytes) -> Usage | None:
        """The record of a line; None for the header."""
        if self._header is None:
            self._read_header(line)
            return None
        cells = cells_of(line)
        if len(cells) != self._width:
            raise refuse(
                RefusalCode.BAD_INPUT,
                f"The line has {len(cells)} cells, the header {self._width}.",
                fix="Quote cells that hold a comma.",
            )
        return self._header.record(cells)

    def name(self, line: bytes) -> str:
        """The id in a refused line; empty when the line can not be split as the header is."""
        try:
            cells = cells_of(line)
        except Refused:
            return ""
        return self._header.id_of(cells) if self._header and len(cells) == self._width else ""

    def _read_header(self, line: bytes) -> None:
        try:
            names = cells_of(line)
        except Refused as refused:
            raise FileRefused([refused.refusal], 1) from None
        if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
            raise FileRefused(
                [Refusal(RefusalCode.BAD_INPUT, "The header has no comma.", fix="Part cells by commas.")], 1
            )
        self._header, self._width = Header(names, self._intake, self._instants), len(names)


def cells_of(line: bytes) -> list[str]:
    """The cells of one line; refused when it is too long, not UTF-8, or its quotes do not match."""
    if len(line) > LINE_MAX:
        raise refuse(RefusalCode.BAD_INPUT, "The line is longer than 1 MiB.", fix="Split the record.")
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise refuse(
            RefusalCode.BAD_INPUT, f"The line is not UTF-8 at byte {error.start + 1}.", fix="Save the file as UTF-8."
        ) from None
    if '"' not in text:
        return text.split(",", COLUMNS_MAX)
    try:
        return next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration) as error:
        raise refuse(
            RefusalCode.BAD_INPUT, f"The quotes of the line do not match ({error}).", fix='Write a quote as "".'
        ) from None
