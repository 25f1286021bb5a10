"""Which records of a long request were answered, in one small row for hundreds of them.

A row for every record under its own key would cost as much as the records: each lands on a page of its own. A block is
a stretch of a request; its row says which records were decided together, and between which rows of the journal. Of a
record whose row lies there the answer was that it was charged; any other had been charged before.
"""

from __future__ import annotations

import msgspec

from apportion.ports import Answered, Key

BLOCK = 250
STATE = "block"


class Run(msgspec.Struct, gc=False):
    """``count`` records from place ``at`` on, decided while the journal grew from row ``after`` to ``upto``."""

    at: int
    count: int
    after: int
    upto: int

    def text(self) -> str:
        return f"{self.at}+{self.count}@{self.after}-{self.upto}"

    @classmethod
    def parse(cls, text: str) -> Run:
        """Read what ``text`` made."""
        places, _, rows = text.partition("@")
        at, _, count = places.partition("+")
        after, _, upto = rows.partition("-")
        return cls(int(at), int(count), int(after), int(upto))


class Block:
    """The runs of one block; ``changed`` when there is something to keep."""

    def __init__(self, key: Key, row: Answered | None) -> None:
        self.key, self.fingerprint = key, row.fingerprint if row is not None else b""
        mine = row is not None and row.state == STATE  # else the key belongs to another kind of request
        self.runs = [Run.parse(text) for text in row.id.split()] if mine and row is not None else []
        self.changed = False
        self._current: Run | None = None

    def run_of(self, at: int) -> Run | None:
        """The run that a record was last decided in."""
        for run in reversed(self.runs):
            if run.at <= at < run.at + run.count:
                return run
        return None

    def take(self, at: int, after: int, upto: int, *, again: bool) -> None:
        """Note that the record at a place was accepted; one that was decided ``again`` has a run of its own."""
        self.changed = True
        run = None if again else self._current
        if run is None:
            run = Run(at, 1, after, upto)
            self.runs.append(run)
            if not again:
                self._current = run
        run.count, run.upto = at - run.at + 1, upto

    def row(self) -> Answered:
        """As it is stored."""
        return Answered(self.key, self.fingerprint, STATE, " ".join([run.text() for run in self.runs]), 0)
