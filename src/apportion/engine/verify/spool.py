"""Rows of closed periods, kept on disk in case that their prices were corrected: there may be many, and few are asked
for again."""

from __future__ import annotations

import tempfile
from typing import IO

import msgspec

_IN_MEMORY = 16 << 20
Rows = list[tuple[int, bytes]]  # (row, packed)


class Spool:
    """Keeps rows under the name of a period and a payer, once; a file without a name, gone with the proof."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._places: dict[tuple[str, str], tuple[int, int]] = {}
        self._end = 0

    def put(self, key: tuple[str, str], rows: Rows) -> None:
        """Keep the rows of a period."""
        if not rows:
            return
        if self._file is None:
            self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)
        body = msgspec.msgpack.encode(rows)
        self._file.seek(self._end)
        self._file.write(body)
        self._places[key] = self._end, len(body)
        self._end += len(body)

    def get(self, key: tuple[str, str]) -> Rows:
        """The rows of a period; none when nothing was kept of it."""
        if self._file is None or key not in self._places:
            return []
        start, size = self._places[key]
        self._file.seek(start)
        return msgspec.msgpack.decode(self._file.read(size), type=Rows)
