"""Flat columns: what each column of a CSV or Parquet file means, by the catalog, and the record that a row gives.

    source, id, service, start, end, duration, payer     the record itself
    <measure>, <attribute>                               as the service names them
    provider.<part>, <part>.<measure>                    who delivered a part, and its own quantities
    payer.<payer>.<measure>                              what one payer alone used
    _anything                                            not read

A column that no service knows refuses the whole file: a misspelled measure left out would change what is charged.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, Generic, TypeVar

from apportion.adapters.lines import FileRefused
from apportion.adapters.usage.batch import ANY_SERVICE, Intake, shown
from apportion.adapters.usage.cells import Instants, ident, label, number, payers, seconds
from apportion.errors import Refusal, RefusalCode, Refused, refuse
from apportion.model.agreement import Service
from apportion.model.references import RECORD_COLUMNS, near
from apportion.model.usage import PartUse, PayerUse, Usage

COLUMNS_MAX = 1000
_LAYOUTS, _MEMO_ENTRIES, _MEMO_TEXT = 64, 8192, 512

Row = Sequence[Any]  # text, None where empty; instants may also be aware UTC datetimes
Made = TypeVar("Made")


def attributes_of(service: Service) -> tuple[str, ...]:
    """Every attribute that a record of this service may carry."""
    return (*service.attributes, *service.personal, *service.evidence)


def meaning(column: str, service: Service) -> tuple[str, ...]:
    """What a column means for a service: its kind and the names in it; empty when nothing.

    Kinds: ``record``, ``quantity``, ``attribute``, ``provider`` (part), ``part`` (part, measure), ``payer`` (payer,
    measure).
    """
    if column in RECORD_COLUMNS:
        return ("record", column)
    if column in service.measures:
        return ("quantity", column)
    if column in attributes_of(service):
        return ("attribute", column)
    if column.startswith("provider.") and (part := column.removeprefix("provider.")) in service.parts:
        return ("provider", part)
    owner, _, name = column.rpartition(".")
    if owner and name in service.measures:
        if owner in service.parts:
            return ("part", owner, name)
        if owner.startswith("payer.") and len(owner) > 6:
            return ("payer", owner.removeprefix("payer."), name)
    return ()


class Header:
    """The columns of one file, checked once; ``record`` makes a usage record of a row of cells.

    Cells are text, None where empty; instants may also come as aware UTC datetimes.

    Raises:
        FileRefused: columns are unknown, doubled or missing.
    """

    def __init__(self, names: Sequence[str], intake: Intake, instants: Instants) -> None:
        self._names, self._intake, self._instants = list(names), intake, instants
        self._place = {name: at for at, name in enumerate(names)}
        self._layouts: dict[str | None, Layout] = {}
        refusals = self._findings()
        if refusals:
            raise FileRefused(refusals, 1)
        self._service_at = self._place.get("service", -1)
        self._id_at = self._place["id"]

    def record(self, row: Row) -> Usage:
        """The usage record of a row; raises Refused naming the column at fault."""
        name = row[self._service_at] if self._service_at >= 0 else None
        layout = self._layouts.get(name)
        if layout is None:
            layout = self._layout(name)
        return layout.record(row)

    def id_of(self, row: Row) -> str:
        """The id in a row that was refused; empty when there is none that could be shown."""
        cell = row[self._id_at] if self._id_at < len(row) else None
        try:
            return ident(cell, "id") if isinstance(cell, str) else ""
        except Refused:
            return ""

    def _layout(self, name: str | None) -> Layout:
        service = self._intake.service_of(name)
        layout = Layout(self._names, service, name or self._intake.service, self._intake, self._instants)
        if len(self._layouts) >= _LAYOUTS:
            self._layouts.clear()
        self._layouts[name] = layout
        return layout

    def _services(self) -> Iterable[Service]:
        """The services that rows of this file may name."""
        given, services = self._intake.service, self._intake.services
        if "service" not in self._place and given:
            return [found] if (found := services.get(given) or services.get(ANY_SERVICE)) else []
        return services.values()

    def _findings(self) -> list[Refusal]:
        names, intake = self._names, self._intake
        if len(names) > COLUMNS_MAX:
            return [_finding(f"The file has more than {COLUMNS_MAX} columns.", fix="Split it.")]
        found = [
            _finding(
                f"The column {shown(name)} stands twice.", name[:80] if name.isprintable() else shown(name), "Keep one."
            )
            for name in sorted({name for name in names if names.count(name) > 1})
        ]
        stands_in = {"id": "", "start": "", "source": intake.source, "service": intake.service}
        for name, given in stands_in.items():
            if name not in self._place and not given:
                fix = "Add it." if name in ("id", "start") else f"Add it, or give one {name} for the whole file."
                found.append(_finding(f"The column {name!r} is missing.", name, fix))
        return found + self._unknown()

    def _unknown(self) -> list[Refusal]:
        services = list(self._services())
        if not services and self._intake.service:
            return [_stranger(self._intake)]
        known = [*RECORD_COLUMNS, *(name for s in services for name in _spellings(s))]
        return [
            _finding(
                f"The column {shown(name)} is none that the catalog knows." if name else "A column has no name.",
                name[:80] if name.isprintable() else shown(name),
                near(name, known)
                or "Add it to the service's measures or attributes, or begin it with _ to leave it out.",
                RefusalCode.UNKNOWN_FIELD,
            )
            for name in dict.fromkeys(self._names)
            if not name.startswith("_") and not any(meaning(name, service) for service in services)
        ]


class Layout:
    """How the columns of one file make a record of one service; equal small parts are made once and shared."""

    def __init__(self, names: list[str], service: Service, name: str, intake: Intake, instants: Instants) -> None:
        place = {column: at for at, column in enumerate(names)}
        self._service, self._name, self._source, self._instants = (
            service,
            ident(name, "service"),
            intake.source,
            instants,
        )
        self._id, self._start = place["id"], place["start"]
        self._end, self._duration = place.get("end", -1), place.get("duration", -1)
        self._source_at, self._payer = place.get("source", -1), place.get("payer", -1)
        kinds: dict[str, list[tuple[Any, ...]]] = {}
        for at, column in enumerate(names):
            if not column.startswith("_"):
                kind, *words = meaning(column, service) or ("",)
                kinds.setdefault(kind, []).append((at, column, *words))
        self._quantities = [(at, column) for at, column, _ in kinds.get("quantity", [])]
        self._attributes = [(at, column) for at, column, _ in kinds.get("attribute", [])]
        self._providers = {part: (at, column) for at, column, part in kinds.get("provider", [])}
        self._part_columns, self._payer_columns = kinds.get("part", []), kinds.get("payer", [])
        self._strangers = kinds.get("", [])
        self._source_memo: dict[Hashable, str] = {}
        no_attributes: dict[str, str] = {}
        no_parts: tuple[PartUse, ...] = ()
        no_payers: tuple[PayerUse, ...] = ()
        payer_columns = [*([(self._payer,)] if self._payer >= 0 else []), *self._payer_columns]
        self._attributes_made = _Shared(self._attributes, self._make_attributes, no_attributes)
        self._parts_made = _Shared([*self._providers.values(), *self._part_columns], self._make_parts, no_parts)
        self._payers_made = _Shared(payer_columns, self._make_payers, no_payers)

    def record(self, row: Row) -> Usage:
        """The record of a row; raises Refused."""
        for at, column in self._strangers:
            if row[at]:
                raise refuse(
                    RefusalCode.UNKNOWN_FIELD,
                    f"the service {self._service.id!r} has no such measure or attribute.",
                    field=column,
                    fix="Leave the cell empty.",
                )
        start = self._instants.read(row[self._start], "start")
        end = self._ending(row, start)
        quantities = {}
        for at, column in self._quantities:
            cell = row[at]
            if cell:
                quantities[column] = number(cell, column)
        return Usage(
            self._source_of(row),
            ident(row[self._id], "id"),
            self._name,
            start,
            end,
            self._payers_made.of(row),
            self._parts_made.of(row),
            quantities,
            self._attributes_made.of(row),
        )

    def _source_of(self, row: Row) -> str:
        cell = row[self._source_at] if self._source_at >= 0 else None
        found = self._source_memo.get(cell)
        if found is None:
            found = ident(cell or self._source, "source")
            if len(self._source_memo) < _MEMO_ENTRIES:
                self._source_memo[cell] = found
        return found

    def _ending(self, row: Row, start: datetime) -> datetime | None:
        end = row[self._end] if self._end >= 0 else None
        lasting = row[self._duration] if self._duration >= 0 else None
        if lasting:
            if end:
                raise refuse(
                    RefusalCode.BAD_TIME, "stands beside an end.", field="duration", fix="Give one of the two."
                )
            try:
                return self._instants.read(start + seconds(lasting, "duration"), "duration")
            except OverflowError:
                raise refuse(RefusalCode.BAD_TIME, "ends outside the calendar.", field="duration") from None
        if not end:
            return None
        end = self._instants.read(end, "end", start)
        if end < start:
            raise refuse(RefusalCode.BAD_TIME, "lies before the start.", field="end", fix="Correct the times.")
        return end

    def _make_attributes(self, row: Row) -> dict[str, str]:
        return {column: label(cell, column) for at, column in self._attributes if (cell := row[at])}

    def _make_parts(self, row: Row) -> tuple[PartUse, ...]:
        measured: dict[str, dict[str, str]] = {}
        for at, column, part, measure in self._part_columns:
            if cell := row[at]:
                measured.setdefault(part, {})[measure] = number(cell, column)
        made = []
        for part, terms in self._service.parts.items():
            at, column = self._providers.get(part, (-1, f"provider.{part}"))
            cell = row[at] if at >= 0 else None
            if cell:
                made.append(PartUse(part, ident(cell, column), measured.get(part, {})))
            elif part in measured:
                if not terms.provider:
                    raise refuse(
                        RefusalCode.UNKNOWN_PROVIDER,
                        f"nobody is named for the part {part!r}.",
                        field=column,
                        fix="Name its provider there, or in the catalog.",
                    )
                made.append(PartUse(part, terms.provider, measured[part]))
        return tuple(made)

    def _make_payers(self, row: Row) -> tuple[PayerUse, ...]:
        cell = row[self._payer] if self._payer >= 0 else None
        found = payers(cell) if cell else {}
        measured: dict[str, dict[str, str]] = {}
        for at, column, payer, measure in self._payer_columns:
            if cell := row[at]:
                measured.setdefault(ident(payer, column), {})[measure] = number(cell, column)
        for payer, quantities in measured.items():
            use = found.get(payer) or PayerUse(payer)
            found[payer] = PayerUse(payer, use.weight, quantities, use.pays)
        return tuple(found.values())


class _Shared(Generic[Made]):
    """What some cells of a row make, made once for equal cells; ``nothing`` where the file has no such columns.

    Long cells are not remembered, so that memory stays bounded whatever the file holds.
    """

    __slots__ = ("_key", "_made", "_make", "_nothing")

    def __init__(self, columns: Sequence[tuple[Any, ...]], make: Callable[[Row], Made], nothing: Made) -> None:
        self._key = itemgetter(*(column[0] for column in columns)) if columns else None
        self._make, self._nothing = make, nothing
        self._made: dict[Hashable, Made] = {}

    def of(self, row: Row) -> Made:
        if self._key is None:
            return self._nothing
        key = self._key(row)
        found = self._made.get(key)
        if found is None:
            found = self._make(row)
            if len(self._made) >= _MEMO_ENTRIES:
                self._made.clear()
            if sum(map(len, filter(None, key))) <= _MEMO_TEXT:
                self._made[key] = found
        return found


def _spellings(service: Service) -> Iterable[str]:
    """Columns that a service could have, for a hint when one is misspelled."""
    yield from service.measures
    yield from attributes_of(service)
    for part in service.parts:
        yield f"provider.{part}"
        yield from (f"{part}.{measure}" for measure in service.measures)


def _stranger(intake: Intake) -> Refusal:
    try:
        intake.service_of(None)
    except Refused as refused:
        return refused.refusal
    raise AssertionError("a service that is not in the catalog was found")


def _finding(message: str, field: str = "", fix: str = "", code: RefusalCode = RefusalCode.BAD_INPUT) -> Refusal:
    return Refusal(code, message, field=field, fix=fix)
