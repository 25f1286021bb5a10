"""What lies near an instant: items sorted by time, looked up in a bounded number of steps."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")
_EACH_SIDE = 8


class Nearby(Generic[Item]):
    """Items by key and instant; those of one instant in the order of their names."""

    def __init__(self) -> None:
        self._rows: dict[Hashable, list[tuple[int, str, Item]]] = defaultdict(list)
        self._times: dict[Hashable, list[int]] = {}
        self._skips: dict[Hashable, tuple[list[int], list[int]]] = {}

    def add(self, key: Hashable, at: int, name: str, item: Item) -> None:
        """Put an item in; ``ready`` must follow before anything is looked up."""
        self._rows[key].append((at, name, item))

    def ready(self) -> None:
        """Everything is in."""
        for key, rows in self._rows.items():
            rows.sort(key=lambda row: row[:2])
            self._times[key] = [at for at, _, _ in rows]

    def around(self, key: Hashable, at: int, apart: int) -> list[Item]:
        """The nearest items not more than ``apart`` away: at most eight before the instant and eight from it on."""
        times = self._times.get(key)
        if times is None:
            return []
        rows, place = self._rows[key], bisect_left(times, at)
        low, high = max(0, place - _EACH_SIDE), min(len(rows), place + _EACH_SIDE)
        return [item for when, _, item in rows[low:high] if abs(when - at) <= apart]

    def nearest(self, key: Hashable, at: int, apart: int, free: Callable[[Item], bool]) -> Item | None:
        """The nearest item that is still free; what is found taken is never looked at again."""
        times = self._times.get(key)
        if times is None:
            return None
        rows, count = self._rows[key], len(times)
        if key not in self._skips:
            self._skips[key] = list(range(count + 1)), list(range(count + 1))
        later, earlier = self._skips[key]  # the second counts from the end
        place = bisect_left(times, at)
        after = _first(later, place, lambda i: free(rows[i][2]))
        before = count - 1 - _first(earlier, count - place, lambda i: free(rows[count - 1 - i][2]))
        found = [rows[i] for i in (before, after) if 0 <= i < count and abs(rows[i][0] - at) <= apart]
        return min(found, key=lambda row: (abs(row[0] - at), row[1]))[2] if found else None


def _first(links: list[int], place: int, free: Callable[[int], bool]) -> int:
    """The first free place from one on: each place links to itself, or to one behind it once it was found taken."""
    last = len(links) - 1
    while True:
        while links[place] != place:
            links[place] = place = links[links[place]]
        if place == last or free(place):
            return place
        links[place] = place + 1
