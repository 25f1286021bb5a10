"""A field as a program for a solver, and the solver's answer as items."""

from __future__ import annotations

from collections.abc import Sequence

from apportion.stages.broker.choosing.field import Field, Item, Joint
from apportion.stages.broker.choosing.program import Product, Program, Row
from apportion.stages.broker.choosing.question import AVAILABILITY, Option
from apportion.stages.broker.choosing.route import Route


class _Writer:
    """Columns and rows as they come. ``at`` is the first column of each part, ``sums`` what each limit holds."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.costs: list[int] = []
        self.rows: list[Row] = []
        self.at: list[int] = []
        self.sums: list[list[tuple[int, int]]] = [[] for _ in field.limits]
        #: by provider and part: the columns of its items
        self.mine: dict[tuple[int, int], list[int]] = {}

    def column(self, cost: int, uses: Sequence[int]) -> int:
        """A new column: its cost, what it takes of each limit."""
        number = len(self.costs)
        self.costs.append(cost)
        for sums, use in zip(self.sums, uses, strict=True):
            if use:
                sums.append((number, use))
        return number

    def row(self, terms: list[tuple[int, int]], low: int | None = None, high: int | None = None) -> None:
        """A new row of (column, coefficient)."""
        columns = tuple(column for column, _ in terms)
        self.rows.append(Row(columns, tuple(coefficient for _, coefficient in terms), low, high))

    def items(self) -> None:
        """One column for each item; each part has exactly one."""
        for part, items in enumerate(self.field.parts):
            self.at.append(len(self.costs))
            for item in items:
                number = self.column(item.key, item.uses)
                if item.hot >= 0:
                    self.mine.setdefault((item.hot, part), []).append(number)
            self.row([(number, 1) for number in range(self.at[part], len(self.costs))], 1, 1)

    def providers(self) -> None:
        """A set-up is due exactly when its provider delivers something; a capped one delivers at most so much."""
        field = self.field
        for hot, setup in enumerate(field.setups):
            of = [columns for (who, _), columns in self.mine.items() if who == hot]
            every = [(number, 1) for columns in of for number in columns]
            if hot in field.capped:
                self.row(every, high=field.cap)
            if setup is None or not every:
                continue
            due = self.column(*setup)
            for columns in of:
                self.row([*((number, 1) for number in columns), (due, -1)], high=0)
            self.row([*every, (due, -1)], low=0)

    def bundles(self) -> None:
        """A bundle may be taken when its provider delivers all its parts; no part is in two."""
        covering: dict[int, list[int]] = {}
        for deal in self.field.deals:
            if not all((deal.hot, part) in self.mine for part in deal.parts):
                continue
            taken = self.column(-deal.saves[0], [-use for use in deal.saves[1]])
            for part in deal.parts:
                self.row([*((number, 1) for number in self.mine[deal.hot, part]), (taken, -1)], low=0)
                covering.setdefault(part, []).append(taken)
        for columns in covering.values():
            if len(columns) > 1:
                self.row([(number, 1) for number in columns], high=1)

    def crossings(self) -> None:
        """For each link exactly one pair of classes is crossed: that of the two items."""
        for number, joint in enumerate(self.field.joints):
            self._crossing(number, joint)

    def _crossing(self, number: int, joint: Joint) -> None:
        source, target = self._classes(number, joint.source), self._classes(number, joint.target)
        outward: dict[int, list[tuple[int, int]]] = {at: [] for at in source}
        inward: dict[int, list[tuple[int, int]]] = {at: [] for at in target}
        for at in source:
            for to, effect in joint.forth[at].items():
                if to in target:
                    pair = self.column(*effect)
                    outward[at].append((pair, -1))
                    inward[to].append((pair, -1))
        for sides, pairs in ((source, outward), (target, inward)):
            for at, columns in sides.items():
                self.row([*((column, 1) for column in columns), *pairs[at]], 0, 0)

    def _classes(self, number: int, part: int) -> dict[int, list[int]]:
        slot, found = self.field.links[part].index(number), dict[int, list[int]]()
        for place, item in enumerate(self.field.parts[part]):
            found.setdefault(item.at[slot], []).append(self.at[part] + place)
        return found


def program_of(field: Field, options: Sequence[Sequence[Option]]) -> tuple[Program, list[int]]:
    """The program of a field, and the first column of each part."""
    writer = _Writer(field)
    writer.items()
    choices = len(writer.costs)
    writer.providers()
    writer.bundles()
    writer.crossings()
    products: tuple[Product, ...] = ()
    for name, limit, terms in zip(field.names, field.limits, writer.sums, strict=True):
        if name != AVAILABILITY:
            writer.row(terms, high=limit)
    if field.least is not None and AVAILABILITY in field.names:
        fractions = [options[part][item.place].availability for part, items in enumerate(field.parts) for item in items]
        products = (Product(tuple(range(choices)), tuple(fractions), field.least),)
    return Program(choices, tuple(writer.costs), tuple(writer.rows), products), writer.at


def read(answer: Sequence[int], columns: Sequence[int], way: Route) -> list[Item] | None:
    """The items that a solver picked, by depth; None when it did not pick one for every part."""
    picked: list[Item] = []
    for stop in way.stops:
        start = columns[stop.part]
        ones = [item for at, item in enumerate(stop.items) if answer[start + at] == 1]
        if len(ones) != 1:
            return None
        picked.append(ones[0])
    return picked
