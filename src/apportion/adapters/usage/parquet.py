"""Parquet: flat columns, read a few thousand rows at a time; nothing of the file is kept between batches.

Integers and decimals are exact; a floating-point number becomes the shortest decimal that reads back as the same
number, which is what its writer meant. NaN and infinities refuse their row. Timestamps with a zone are instants;
without one they are local in the zone given for the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

from apportion.adapters.lines import FileRefused
from apportion.adapters.usage.batch import Batch, Gathering, Intake
from apportion.adapters.usage.cells import Instants
from apportion.adapters.usage.columns import Header
from apportion.errors import Misconfigured, Refusal, RefusalCode, Refused

_ROWS = 8192
_BATCH_BYTES_MAX = 256 << 20
_ROW_BYTES = 256  # what a row counts for when a batch is bounded by bytes
_TIMES = ("start", "end")
_TEXTS = ("source", "id", "service", "payer")


def read_parquet(path: str, intake: Intake, instants: Instants) -> Iterator[Batch]:
    """Every row as a record or a reject; ``line`` is the row's number, from 1.

    Raises:
        Misconfigured: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError:
        raise Misconfigured("Parquet needs pyarrow; install it with: pip install 'apportion[parquet]'") from None
    return _batches(path, intake, instants, pyarrow)


def _batches(path: str, intake: Intake, instants: Instants, pa: ModuleType) -> Iterator[Batch]:
    gathering, rows = Gathering(intake), 0
    try:
        with _opened(path, pa) as file:
            schema = file.schema_arrow
            names = [name for name in schema.names if not name.startswith("_")]
            header = Header(names, intake, instants)
            _check_kinds(schema, names, pa)
            for arrow in file.iter_batches(batch_size=_ROWS, columns=names, use_threads=False):
                columns = [_cells(column, pa) for column in arrow.columns]
                for row in zip(*columns, strict=True):
                    rows += 1
                    try:
                        record = header.record(row)
                    except Refused as refused:
                        raw = ascii(row).encode()
                        gathering.reject(rows, refused.refusal, raw, header.id_of(row))
                    else:
                        gathering.batch.records.append(record)
                        gathering.batch.lines.append(rows)
                    if gathering.full(_ROW_BYTES):
                        yield gathering.take()
    except FileRefused as stop:
        for refusal in stop.refusals:
            gathering.reject(stop.line, refusal)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        words = str(error).strip().split("\n")[0][:200]
        gathering.reject(rows + 1 if rows else 0, _refusal(f"The file can not be read as Parquet: {words}"))
    if len(gathering.batch):
        yield gathering.take()


def _opened(path: str, pa: ModuleType) -> Any:
    """The file, so that a row group is never in memory whole: small buffers, no read-ahead.

    Text comes as dictionaries, except ids, which seldom repeat: it is faster, and a long text that a hostile file
    repeats a million times is seen before it is written out.
    """
    with pa.parquet.ParquetFile(path) as file:
        metadata, schema = file.metadata, file.schema_arrow
    texts = [field.name for field in schema if _is_text(field.type, pa) and field.name != "id"]
    return pa.parquet.ParquetFile(path, metadata=metadata, read_dictionary=texts, pre_buffer=False, buffer_size=1 << 20)


def _check_kinds(schema: Any, names: Sequence[str], pa: ModuleType) -> None:
    """Refuse columns whose type can not hold what their name says."""
    findings = []
    for name in names:
        kind = schema.field(name).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if name in _TIMES:
            fits = _is_text(kind, pa) or pa.types.is_timestamp(kind)
            fix = "Store a timestamp, or RFC 3339 text; epoch numbers are not read, their unit can not be told."
        elif name in _TEXTS or name.startswith("provider."):
            fits, fix = _is_text(kind, pa) or pa.types.is_integer(kind), "Store text."
        else:
            fits = _is_text(kind, pa) or _is_number(kind, pa) or pa.types.is_boolean(kind)
            fix = "Store a number or text."
        if not (fits or pa.types.is_null(kind)):
            findings.append(Refusal(RefusalCode.BAD_INPUT, f"The column is of type {kind}.", field=name, fix=fix))
    if findings:
        raise FileRefused(findings)


def _is_text(kind: Any, pa: ModuleType) -> bool:
    types = pa.types
    return bool(
        types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind) or types.is_large_binary(kind)
    )


def _is_number(kind: Any, pa: ModuleType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _cells(column: Any, pa: ModuleType) -> list[Any]:
    """A column as cells: instants as datetimes, all else as text, None where null."""
    if pa.types.is_dictionary(column.type):
        _check_length(column, pa)
        column = column.dictionary_decode()
    if pa.types.is_timestamp(column.type):
        return _instants(column, pa)
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        column = column.cast(pa.binary() if _is_text(column.type, pa) else pa.string())
    if pa.types.is_binary(column.type):
        return _decoded(column)
    try:
        cells: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        return _decoded(column.cast(pa.large_binary()))
    return cells


def _check_length(column: Any, pa: ModuleType) -> None:
    """Stop before a dictionary is written out to far more than usage holds."""
    words = column.dictionary
    if words.nbytes * len(column) > _BATCH_BYTES_MAX and _is_text(words.type, pa):
        longest = pa.compute.max(pa.compute.binary_length(words)).as_py()
        if (longest or 0) * len(column) > _BATCH_BYTES_MAX:
            raise FileRefused([_refusal("The texts are far longer than usage has.")])


def _decoded(column: Any) -> list[Any]:
    """Bytes as text; what is not UTF-8 stays recognisable and is refused where its cell is read."""
    return [None if cell is None else cell.decode(errors="surrogateescape") for cell in column.to_pylist()]


def _instants(column: Any, pa: ModuleType) -> list[Any]:
    """Datetimes of a timestamp column, cut to microseconds; Arrow's own cast would wrap around far dates."""
    unit, epoch = column.type.unit, datetime(1970, 1, 1, tzinfo=UTC if column.type.tz else None)
    ticks = column.cast(pa.int64()).to_pylist()
    if unit == "ns":
        ticks = [None if tick is None else tick // 1000 for tick in ticks]
    elif unit != "us":
        scale = 1000 if unit == "ms" else 1_000_000
        ticks = [None if tick is None else tick * scale for tick in ticks]
    try:
        return [None if tick is None else epoch + timedelta(0, 0, tick) for tick in ticks]
    except OverflowError:
        return [None if tick is None else _instant(epoch, tick) for tick in ticks]


def _instant(epoch: datetime, tick: int) -> datetime | str:
    try:
        return epoch + timedelta(0, 0, tick)
    except OverflowError:
        return f"{tick} microseconds after 1970"


def _refusal(message: str) -> Refusal:
    return Refusal(RefusalCode.BAD_INPUT, message, fix="Write the file again.")
