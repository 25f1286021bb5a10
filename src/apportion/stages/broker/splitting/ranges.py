"""Ranges of bytes as sorted, disjoint pairs (from, until): joined, taken away, cut to length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Range = tuple[int, int]
Ranges = Sequence[Range]


def merged(ranges: Iterable[Range]) -> list[Range]:
    """Any ranges as sorted ones that neither overlap nor touch; empty ones vanish."""
    found: list[Range] = []
    for begin, end in sorted(one for one in ranges if one[0] < one[1]):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def minus(ranges: Ranges, gone: Ranges) -> list[Range]:
    """What is left of ``ranges`` without ``gone``; both merged."""
    left: list[Range] = []
    at = 0
    for begin, end in ranges:
        while at < len(gone) and gone[at][1] <= begin:
            at += 1
        place = at
        while place < len(gone) and gone[place][0] < end:
            if begin < gone[place][0]:
                left.append((begin, gone[place][0]))
            begin = max(begin, gone[place][1])
            place += 1
        if begin < end:
            left.append((begin, end))
    return left


def common(one: Ranges, other: Ranges) -> list[Range]:
    """What both have; both merged."""
    return minus(one, minus(one, other))


def size(ranges: Ranges) -> int:
    """How many bytes they are."""
    return sum(end - begin for begin, end in ranges)


def parted(ranges: Ranges, length: int) -> tuple[list[Range], list[Range]]:
    """The first ``length`` bytes of merged ranges, and the others."""
    first: list[Range] = []
    for place, (begin, end) in enumerate(ranges):
        if end - begin > length:
            head = [(begin, begin + length)] if length else []
            return [*first, *head], [(begin + length, end), *ranges[place + 1 :]]
        first.append((begin, end))
        length -= end - begin
    return first, []
