"""Reconciling: what a provider says it delivered against what we have, each row with its verdict.

A row is found by the id of its use; one whose id we do not know, or that has none, by what was delivered and when.
Each of ours stands behind one row at most. Ties go by content, never by the order of rows, so that a file shuffled
gives the same verdicts. Memory and time grow with the rows, never with the pairs of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

from apportion.model.reconciliation import Verdict
from apportion.money import Exact
from apportion.stages.meter.compare import (
    UNCHARGED,
    Found,
    Manner,
    Ours,
    Theirs,
    Unit,
    by_use,
    credited,
    measured,
    wrong,
)
from apportion.stages.meter.nearby import Nearby

_ZERO = Exact(0)
_NAMESAKES = 16  # so many uses under one id are looked at for a row
_SQUARE = 4096  # so many pairs are looked at where rows and uses differ by amounts alone
_ROUNDS = 8
_EVER = 1 << 62
_NAMES = frozenset({"source", "service", "part", "currency"})
DUPLICATE, UNKNOWN, ELSEWHERE = "duplicate", "not in our books", "another service or part"
Label = Callable[[int, str], str]  # the day, week or month (by name) that an instant lies in


def reconcile(theirs: Iterable[Theirs], ours: Iterable[Ours], manner: Manner, label: Label) -> list[Found]:
    """Every row of theirs and every wanted use of ours in exactly one verdict, theirs first in the order of rows."""
    single, summed = list[Theirs](), list[Theirs]()
    for row in sorted(theirs, key=attrgetter("digest", "row")):
        (summed if row.summed else single).append(row)
    holding = _Holding(ours, manner)
    rest = holding.by_id(single) if manner.by_id else single
    holding.by_time(rest)
    holding.sums(summed, label)
    holding.left(summed if not single else (), label)
    return sorted(holding.found, key=_order)


def _order(found: Found) -> tuple[int, int, int, str]:
    row, first = found.theirs, found.ours[0] if found.ours else None
    at = first.at if first is not None and first.at is not None else 0
    return (0, row.row, 0, "") if row is not None else (1, 0, at, first.key if first is not None else "")


class _Namesakes:
    """Uses by their id, and by source and id; of very many under one id those nearest to a row."""

    def __init__(self, ours: Iterable[Ours]) -> None:
        self._exactly: dict[tuple[str, str], list[Ours]] = defaultdict(list)
        self._under: dict[str, list[Ours]] = defaultdict(list)
        self._nearby: Nearby[Ours] = Nearby()
        for one in ours:
            self._exactly[one.source, one.id].append(one)
            self._under[one.id].append(one)
            if one.at is not None:
                self._nearby.add(one.id, one.at, one.key, one)
        self._nearby.ready()

    def many(self, row: Theirs) -> bool:
        """Whether its id alone says too little."""
        return not row.source and len(self._under.get(row.id, ())) > _NAMESAKES

    def of(self, row: Theirs) -> list[Ours]:
        """What may be meant by a row's id."""
        if row.source:
            return self._exactly.get((row.source, row.id), [])
        if row.at is not None and self.many(row):
            return self._nearby.around(row.id, row.at, _EVER)
        return self._under.get(row.id, [])[:_NAMESAKES]


class _Holding:
    """Ours that stand behind no row yet (``free``), and the verdicts so far."""

    def __init__(self, ours: Iterable[Ours], manner: Manner) -> None:
        self.manner = manner
        self.free = {one.key: one for one in sorted(ours, key=attrgetter("key"))}
        self.found: list[Found] = []
        self._seen: set[str] = set()

    def _take(self, row: Theirs, unit: Unit, by: str) -> None:
        for one in unit:
            self.free.pop(one.key, None)
        self._seen.add(row.digest)
        words = wrong(row, unit, self.manner)
        self.found.append(Found(Verdict.DIFFERENT if words else Verdict.MATCHED, row, unit, words, by))

    def _extra(self, row: Theirs, why: str, unit: Unit = (), by: str = "") -> None:
        self.found.append(Found(Verdict.EXTRA, row, unit, (why,), by))

    def _cost(self, row: Theirs, unit: Unit) -> tuple[object, ...]:
        """How far a row is from a use: what agrees comes first, then by time, quantities, amount; ties by content."""
        far = abs(row.at - unit[0].at) if row.at is not None and unit[0].at is not None else 0
        apart = [_size(said, measured([unit], measure)) for measure, said in sorted(row.quantities.items())]
        money = _size(row.amount, credited(unit)) if row.amount is not None else _ZERO
        return bool(wrong(row, unit, self.manner)), far, tuple(apart), money, row.digest, row.row, unit[0].key

    def _pair(self, pairs: list[tuple[tuple[object, ...], Theirs, Unit]], by: str) -> set[int]:
        """Take the nearest pair first, each side once; the rows that got one."""
        pairs.sort(key=lambda pair: pair[0])
        done: set[int] = set()
        for _, row, unit in pairs:
            if row.row not in done and all(one.key in self.free for one in unit):
                done.add(row.row)
                self._take(row, unit, by)
        return done

    # by id

    def by_id(self, rows: Sequence[Theirs]) -> list[Theirs]:
        """Find rows by the id of their use; those whose id we do not know are left."""
        ids = {row.id for row in rows if row.id}
        known = _Namesakes(one for one in self.free.values() if one.id in ids)
        done: set[int] = set()
        for named in (True, False):  # who names a part gets that one; who names none, what is left of the use
            pairs = [
                (self._cost(row, unit), row, unit)
                for row in rows
                if bool(row.part) is named and row.id
                for unit in _units([one for one in known.of(row) if one.key in self.free and _fits(row, one)], named)
            ]
            done |= self._pair(pairs, "id")
        rest = []
        for row in rows:
            if row.row in done:
                continue
            ours = known.of(row) if row.id else []
            if not ours or known.many(row):
                rest.append(row)
                continue
            same = _units([one for one in ours if _fits(row, one)], bool(row.part))
            self._extra(row, DUPLICATE if same else ELSEWHERE, same[0] if same else (), "id")
        return rest

    # by time

    def by_time(self, rows: Sequence[Theirs]) -> None:
        """Find rows by service, part, time and quantity; what is not found is not ours."""
        timed = [row for row in rows if row.at is not None and self._can_be_told(row)]
        done: set[int] = set()
        for named in (True, False):
            mine = [row for row in timed if bool(row.part) is named]
            done |= self._exactly(mine, named)
            for agreeing in (True, False):
                done |= self._nearly([row for row in mine if row.row not in done], named, agreeing=agreeing)
            done |= self._at_last([row for row in mine if row.row not in done], named)
        for row in rows:
            if row.row not in done:
                self._extra(row, DUPLICATE if row.digest in self._seen else UNKNOWN)

    def _strict(self, row: Theirs) -> bool:
        """An id that we do not know speaks against every use of ours, so all the rest must speak for it."""
        return bool(row.id) and self.manner.by_id

    def _can_be_told(self, row: Theirs) -> bool:
        return not self._strict(row) or bool(row.quantities)

    def _agree(self, row: Theirs, unit: Unit) -> bool:
        return all(
            self.manner.quantity.within(said, measured([unit], measure) or _ZERO)
            for measure, said in row.quantities.items()
        )

    def _units(self, named: bool) -> list[Unit]:
        return _units([one for one in self.free.values() if one.at is not None], named)

    def _exactly(self, rows: Sequence[Theirs], named: bool) -> set[int]:
        """Rows with the same service, start and quantities as so many uses: one each, in the order of amounts."""
        shapes: dict[tuple[object, ...], list[Theirs]] = defaultdict(list)
        for row in rows:
            shapes[bool(row.service), *sorted(row.quantities)].append(row)
        done: set[int] = set()
        for shape in sorted(shapes, key=lambda shape: (-len(shape), -len(shapes[shape]), str(shape)))[:_NAMESAKES]:
            alike: dict[tuple[object, ...], tuple[list[Theirs], list[Unit]]] = {}
            for row in shapes[shape]:
                said = [row.quantities[str(measure)] for measure in shape[1:]]
                alike.setdefault((row.service, row.part, row.at, *said), ([], []))[0].append(row)
            for unit in self._units(named):
                one = unit[0]
                have = [measured([unit], str(measure)) for measure in shape[1:]]
                place = (one.service if shape[0] else "", one.part if named else "", one.at, *have)
                if place in alike:
                    alike[place][1].append(unit)
            for mine, units in alike.values():
                done |= self._alike(mine, units)
        return done

    def _alike(self, rows: list[Theirs], units: list[Unit]) -> set[int]:
        """Pair what differs by amounts alone: the nearest first, or where there is very much of it in their order."""
        if len(rows) * len(units) <= _SQUARE and len(rows) != len(units):
            return self._pair([(self._cost(row, unit), row, unit) for row in rows for unit in units], "time")
        rows.sort(key=lambda row: (row.amount or _ZERO, row.digest, row.row))
        units.sort(key=lambda unit: (credited(unit), unit[0].key))
        pairs = list(zip(rows, units, strict=False))
        for row, unit in pairs:
            self._take(row, unit, "time")
        return {row.row for row, _ in pairs}

    def _nearby(self, named: bool) -> Nearby[Unit]:
        """Free units by what they are of: rows that name no service look at those of all."""
        nearby: Nearby[Unit] = Nearby()
        for unit in self._units(named):
            one, part = unit[0], unit[0].part if named else ""
            assert one.at is not None
            nearby.add((one.service, part), one.at, one.key, unit)
            nearby.add(("", part), one.at, one.key, unit)
        nearby.ready()
        return nearby

    def _nearly(self, rows: Sequence[Theirs], named: bool, *, agreeing: bool) -> set[int]:
        """The nearest pairs within the time tolerance, at first only those whose quantities agree.

        A row looks at a few uses alone, so this is repeated with what is left, as long as it finds anything.
        """
        done: set[int] = set()
        for _ in range(_ROUNDS if agreeing else 1):
            nearby = self._nearby(named) if rows else None
            pairs = []
            for row in rows:
                assert nearby is not None and row.at is not None
                for unit in nearby.around((row.service, row.part), row.at, self.manner.apart):
                    if self._agree(row, unit) if agreeing else not self._strict(row):
                        pairs.append((self._cost(row, unit), row, unit))
            more = self._pair(pairs, "time")
            done |= more
            rows = [row for row in rows if row.row not in more]
            if not more:
                break
        return done

    def _at_last(self, rows: Sequence[Theirs], named: bool) -> set[int]:
        """Where more uses lie together than a row looks at: each row, in order, the nearest that is left."""
        done: set[int] = set()
        nearby = self._nearby(named) if rows else None
        for row in sorted(rows, key=lambda row: (row.at or 0, row.digest, row.row)):
            assert nearby is not None and row.at is not None
            key = (row.service, row.part)
            unit = nearby.nearest(key, row.at, self.manner.apart, lambda unit: unit[0].key in self.free)
            if (
                unit is not None
                and all(one.key in self.free for one in unit)
                and (not self._strict(row) or self._agree(row, unit))
            ):
                self._take(row, unit, "time")
                done.add(row.row)
        return done

    # sums

    def sums(self, rows: Sequence[Theirs], label: Label) -> None:
        """Hold rows that are sums against the sums of what is free; ours go to the row that says most about them."""
        places: dict[tuple[str, ...], dict[tuple[str, ...], tuple[list[Theirs], list[Ours]]]] = {}
        for row in rows:
            shape = _shape(row)
            places.setdefault(shape, {}).setdefault(_place(row, shape), ([], []))[0].append(row)
        shapes = sorted(places, key=lambda shape: (-len(shape), shape))
        for one in [one for one in self.free.values() if one.wanted] if rows else ():
            for shape in shapes:
                group = places[shape].get(_where(one, shape, label))
                if group is not None:
                    group[1].append(one)
                    break
        for shape in shapes:
            for mine, ours in places[shape].values():
                unit = tuple(sorted(ours, key=_when))
                best = min(mine, key=lambda row: (bool(wrong(row, unit, self.manner)), row.digest, row.row))
                for row in mine:
                    if row is not best:
                        self._extra(row, DUPLICATE, unit, "sum")
                if unit:
                    self._take(best, unit, "sum")
                else:
                    self._extra(best, UNKNOWN, (), "sum")

    def left(self, rows: Sequence[Theirs], label: Label) -> None:
        """What no row stands for is missing: one by one, or as sums where ``rows`` are nothing but sums."""
        wanted = [one for one in self.free.values() if one.wanted]
        groups: dict[tuple[str, ...], list[Ours]] = defaultdict(list)
        shapes = sorted({_shape(row) for row in rows}, key=lambda shape: (-len(shape), shape))
        for one in wanted:
            place = _where(one, shapes[0], label) if shapes else (one.usage,)
            groups[one.currency, *place].append(one)
        for ours in groups.values():
            unit = tuple(sorted(ours, key=_when))
            why = tuple(sorted({UNCHARGED + one.reason for one in unit if one.reason}))
            self.found.append(Found(Verdict.MISSING, None, unit, why, "sum" if shapes else ""))
        self.free.clear()


def _units(ours: list[Ours], named: bool) -> list[Unit]:
    """Each part for itself where rows name parts, else those of one use together."""
    return [(one,) for one in ours] if named else by_use(ours)


def _fits(row: Theirs, one: Ours) -> bool:
    """Whether a use of that id may be the one; of what was refused neither service nor part may be known."""
    if row.source not in ("", one.source):
        return False
    return all(own in ("", said) or not said for said, own in ((row.service, one.service), (row.part, one.part)))


def _size(theirs: Exact, ours: Exact | None) -> Exact:
    apart = theirs - (ours or _ZERO)
    return apart if apart >= _ZERO else -apart


def _when(one: Ours) -> tuple[int, str]:
    return one.at or 0, one.key


def _shape(row: Theirs) -> tuple[str, ...]:
    """What a sum is of: the columns that it names, a time by its cycle."""
    named = [name for name in ("source", "service", "part", "currency") if getattr(row, name)]
    return (*named, *([row.cycle] if row.cycle else []))


def _place(row: Theirs, shape: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(row.period if name == row.cycle else getattr(row, name) for name in shape)


def _where(one: Ours, shape: tuple[str, ...], label: Label) -> tuple[str, ...]:
    return tuple(
        getattr(one, name) if name in _NAMES else label(one.at, name) if one.at is not None else "" for name in shape
    )
