"""Raw lines of a file, a compressed file or standard input, with bounds that no content can pass."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol, cast

from apportion.errors import Refusal, RefusalCode

LINE_MAX = 1 << 20
_BLOCK = 256 << 10
_SKIP_MAX = 64 << 20
_RATIO_MAX = 250
_BOM = b"\xef\xbb\xbf"


class FileRefused(Exception):
    """The whole file is at fault: ``refusals`` say why, ``line`` where; nothing after it is read."""

    def __init__(self, refusals: Iterable[Refusal], line: int = 0) -> None:
        super().__init__()
        self.refusals = tuple(refusals)
        self.line = line


class _Stream(Protocol):
    def read1(self, size: int, /) -> bytes: ...


def numbered_lines(path: str) -> Iterator[tuple[int, bytes]]:
    """Lines with their number, without line ends and empty lines; ``-`` is standard input, ``.gz`` is unpacked.

    A line longer than ``LINE_MAX`` comes cut to one byte more than that, so that it can be told and refused.

    Raises:
        FileRefused: the file can not be read, is damaged, or is a compression bomb.
    """
    number = 0
    try:
        with _opened(path) as (stream, packed):
            for number, line in enumerate(_lines(stream, packed), 1):
                if number == 1 and line.startswith(_BOM):
                    line = line[len(_BOM) :]
                if line.endswith(b"\r"):
                    line = line[:-1]
                if line:
                    yield number, line
    except (OSError, EOFError, zlib.error) as error:
        refusal = _damaged(error)
        raise FileRefused([refusal], number + 1 if number else 0) from None


@contextmanager
def _opened(path: str) -> Iterator[tuple[_Stream, IO[bytes] | None]]:
    """The stream of plain bytes, and the compressed file under it when there is one."""
    if path == "-":
        yield cast(_Stream, sys.stdin.buffer), None
        return
    with Path(path).open("rb", buffering=_BLOCK) as file:
        if path.lower().endswith(".gz"):
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield cast(_Stream, unpacked), file
        else:
            yield cast(_Stream, file), None


def _lines(stream: _Stream, packed: IO[bytes] | None) -> Iterator[bytes]:
    """Split blocks into lines; the rest of an overlong line is passed over without being kept."""
    tail, skipped, total = b"", 0, 0
    while block := stream.read1(_BLOCK):
        total += len(block)
        if packed is not None and total > _SKIP_MAX and total > _RATIO_MAX * packed.tell():
            raise _stop("unpacks to far more than usage does.", "Pack it again, or send it unpacked.")
        first, newline, rest = block.partition(b"\n")
        if not newline:
            skipped = skipped + len(block) if len(tail) > LINE_MAX else 0
            tail = (tail + block)[: LINE_MAX + 1]
            if skipped > _SKIP_MAX:
                raise _stop("has a line without end.", "End each record with a line feed.")
            continue
        yield (tail + first)[: LINE_MAX + 1]
        *whole, tail = rest.split(b"\n")
        yield from whole
    if tail:
        yield tail


def _stop(message: str, fix: str) -> FileRefused:
    return FileRefused([Refusal(RefusalCode.BAD_INPUT, f"The file {message}", fix=fix)])


def _damaged(error: Exception) -> Refusal:
    if isinstance(error, OSError) and error.errno:
        return Refusal(RefusalCode.BAD_INPUT, f"The file can not be read: {error.strerror}.", fix="Check the path.")
    return Refusal(
        RefusalCode.BAD_INPUT,
        "The compressed file ends too early or is damaged here.",
        fix="Send it again; records that were read before keep their place and are not charged twice.",
    )
