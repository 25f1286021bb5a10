"""Progress of long work on standard error: a live line on a terminal, a sparse plain line anywhere else."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

_FIRST_LINE = 5


class Progress:
    """Tells how many records of ``what`` are done; use it as a context manager around the work.

    ``live`` forces the live line. Without a terminal the first line comes after five seconds, each further one after
    twice as long, so that a log of hours stays short.
    """

    def __init__(self, what: str, *, live: bool = False) -> None:
        self._what = what
        self._status: Any = None
        self._live = live or sys.stderr.isatty()
        self._began = time.monotonic()
        self._next = self._began + _FIRST_LINE

    def __enter__(self) -> Progress:
        if self._live:
            from rich.console import Console

            console = Console(stderr=True, markup=False, highlight=False, force_terminal=True)
            self._status = console.status(self._what)
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    @property
    def seconds(self) -> float:
        """Time since the work began."""
        return time.monotonic() - self._began

    def update(self, done: int, note: str = "") -> None:
        """Say that ``done`` records are through; cheap enough for every batch."""
        now = time.monotonic()
        text = f"{self._what}: {done:,} records{f', {note}' if note else ''}, {now - self._began:.0f} s"
        if self._status is not None:
            self._status.update(text)
        elif now >= self._next:
            self._next = now + (now - self._began)
            print(text, file=sys.stderr, flush=True)
