"""Rows in an order of their own, however many there are: sorted in pieces, in files that have no name.

A file without a name is gone as soon as nobody has it open: also after Ctrl-C, and after a kill.
"""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO

import msgspec

Key = tuple[str, str, bool, str, str, str]  # period, payer's account, then the order within
_PIECE = 32 << 20  # bytes that are sorted at a time
_DECODE = msgspec.msgpack.Decoder(tuple[Key, bytes]).decode


class Spool:
    """Add rows, then go over them once; use it as a context manager."""

    def __init__(self, piece: int = _PIECE) -> None:
        self._piece = piece
        self._rows: list[tuple[Key, bytes]] = []
        self._size = 0
        self._files: list[IO[bytes]] = []
        self._open = ExitStack()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def add(self, key: Key, body: bytes) -> None:
        """Keep a row."""
        self._rows.append((key, body))
        self._size += len(body) + 200
        if self._size >= self._piece:
            self._put_away()

    def __iter__(self) -> Iterator[tuple[Key, bytes]]:
        """All rows in the order of their keys."""
        self._rows.sort()
        return heapq.merge(*[_read(file) for file in self._files], self._rows)

    def _put_away(self) -> None:
        """Sort what is in memory into a file."""
        file = self._open.enter_context(tempfile.TemporaryFile(prefix="apportion-whatif-"))
        self._rows.sort()
        for row in self._rows:
            packed = msgspec.msgpack.encode(row)
            file.write(len(packed).to_bytes(4, "big") + packed)
        file.seek(0)
        self._files.append(file)
        self._rows, self._size = [], 0


def _read(file: IO[bytes]) -> Iterator[tuple[Key, bytes]]:
    while size := file.read(4):
        yield _DECODE(file.read(int.from_bytes(size, "big")))
