"""Whose a plan or a negotiation is: what the node of a home provider must know again after a restart."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path

#: how many are remembered, the newest; the file holds twice as many lines at most
MOST = 10_000


class Whose:
    """Names of users by id, in the file at ``path`` (none: in memory alone). Used on one thread.

    A line is appended for each and not forced to the disk: what a power cut takes has to be asked for again, no more.
    A line that can not be read, such as the half of one, is as if it was not there.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path, self._known, self._lines = path, OrderedDict[str, str](), 0
        if path is not None and path.exists():
            text = path.read_text(encoding="utf-8", errors="replace")
            if text and not text.endswith("\n"):  # what comes next is a line of its own
                self._append("\n")
            for line in text.splitlines():
                self._lines += 1
                try:
                    id, name = json.loads(line)
                    self._remember(str(id), str(name))
                except ValueError:
                    continue
            self._shorten()

    def get(self, id: str) -> str | None:
        """Whose it is; None when nobody knows."""
        return self._known.get(id)

    def put(self, id: str, name: str) -> None:
        """Remember whose it is."""
        if self._known.get(id) == name:
            return
        self._remember(id, name)
        if self._path is not None:
            self._append(json.dumps([id, name]) + "\n")
            self._lines += 1
            self._shorten()

    def _append(self, text: str) -> None:
        assert self._path is not None
        with self._path.open("a", encoding="utf-8") as file:
            file.write(text)

    def _remember(self, id: str, name: str) -> None:
        self._known.pop(id, None)
        self._known[id] = name
        while len(self._known) > MOST:
            self._known.popitem(last=False)

    def _shorten(self) -> None:
        """Write the file anew, whole or not at all, once half of it is about what was forgotten."""
        if self._path is None or self._lines <= 2 * MOST:
            return
        fresh = self._path.with_name(self._path.name + ".new")
        fresh.write_text("".join(json.dumps(pair) + "\n" for pair in self._known.items()), encoding="utf-8")
        fresh.replace(self._path)
        self._lines = len(self._known)
