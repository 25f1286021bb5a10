"""Properties of usage files: one record reads the same from every format, and nothing in a file ever raises."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apportion.adapters.usage import Rejected, read_usage
from apportion.model.agreement import Part, Service
from apportion.model.usage import PartUse, PayerUse, Usage

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

SERVICE = Service(
    "call",
    "retail",
    {"origin": Part(provider="alpha"), "transit": Part()},
    measures={"seconds": "s", "messages": "1"},
    attributes=("called", "title"),
)
COLUMNS = (
    "source,id,service,start,end,payer,seconds,messages,called,title,provider.origin,provider.transit,"
    "transit.seconds,payer.bob.seconds"
).split(",")

names = st.text(st.characters(categories=["L", "N"], include_characters=" _@+.,\"'"), min_size=1, max_size=12).map(
    lambda text: unicodedata.normalize("NFC", f"n{text}n")
)
decimals = st.decimals(-(10**12), 10**12, places=6, allow_nan=False).map(
    lambda number: format(number.normalize(), "f") if number else "0"
)
instants = st.datetimes(datetime(1970, 1, 2), datetime(2999, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """A record that the columns above can carry."""
    start, end = sorted((draw(instants), draw(instants)))
    payers = [
        PayerUse(name, draw(st.sampled_from(("", "2", "0.5", "1/3"))), {}, draw(st.booleans()))
        for name in draw(st.lists(names, max_size=3, unique=True))
    ]
    if draw(st.booleans()):
        payers.append(PayerUse("bob", quantities={"seconds": draw(decimals)}))
    parts = [PartUse("origin", draw(names))] if draw(st.booleans()) else []
    if draw(st.booleans()):
        parts.append(PartUse("transit", draw(names), {"seconds": draw(decimals)} if draw(st.booleans()) else {}))
    return Usage(
        draw(names),
        draw(names),
        "call",
        start,
        end if draw(st.booleans()) else None,
        tuple(payers),
        tuple(parts),
        draw(st.dictionaries(st.sampled_from(("seconds", "messages")), decimals)),
        draw(st.dictionaries(st.sampled_from(("called", "title")), names)),
    )


def cells(usage: Usage) -> dict[str, str]:
    """The record as a flat row."""
    own = {payer.payer: payer.quantities for payer in usage.payers if payer.quantities}
    parts = {part.part: part for part in usage.parts}
    listed = [
        f"{'' if payer.pays else '-'}{payer.payer}{'=' * bool(payer.weight)}{payer.weight}" for payer in usage.payers
    ]
    row = {
        "source": usage.source,
        "id": usage.id,
        "service": usage.service,
        "start": usage.start.isoformat(),
        "end": usage.end.isoformat() if usage.end else "",
        "payer": ";".join(listed),
        "payer.bob.seconds": own.get("bob", {}).get("seconds", ""),
        **usage.quantities,
        **usage.attributes,
    }
    row |= {f"provider.{name}": part.provider for name, part in parts.items()}
    row |= {f"{name}.{measure}": text for name, part in parts.items() for measure, text in part.quantities.items()}
    return {column: row.get(column, "") for column in COLUMNS}


def read(path: Path) -> tuple[list[Usage], list[Rejected]]:
    records: list[Usage] = []
    rejects: list[Rejected] = []
    for batch in read_usage(path, {"call": SERVICE}, size=3):
        records += batch.records
        rejects += batch.rejects
    return records, rejects


@settings(deadline=None, max_examples=60)
@given(st.lists(usages(), min_size=1, max_size=8))
def test_one_record_reads_the_same_from_every_format(records: list[Usage]) -> None:
    rows = [cells(record) for record in records]
    with tempfile.TemporaryDirectory() as folder:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
        (Path(folder) / "u.csv").write_text(text.getvalue(), newline="")
        (Path(folder) / "u.csv.gz").write_bytes(gzip.compress(text.getvalue().encode()))
        (Path(folder) / "u.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, records)))
        columns: dict[str, object] = {
            column: [row[column] or None for row in rows] for column in COLUMNS if column not in ("start", "end")
        }
        for column in ("start", "end"):
            columns[column] = pa.array([getattr(record, column) for record in records], pa.timestamp("us", "UTC"))
        pq.write_table(pa.table(columns), Path(folder) / "u.parquet")
        for name in ("u.csv", "u.csv.gz", "u.jsonl", "u.parquet"):
            assert read(Path(folder) / name) == (records, []), name


@settings(deadline=None, max_examples=200)
@given(st.floats(0, 1e30, allow_nan=False))
def test_a_parquet_double_is_its_shortest_decimal(number: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "u.parquet"
        start = pa.array([datetime(2026, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))
        pq.write_table(
            pa.table({"source": ["s"], "id": ["1"], "service": ["call"], "start": start, "seconds": [number]}), path
        )
        records, rejects = read(path)
        if records:
            assert float(records[0].quantities["seconds"]) == number
            assert "e" not in records[0].quantities["seconds"]
        else:  # written out it has more than 40 digits
            assert len(rejects) == 1 and 0 < number < 1e-10


HEADER = b"source,id,service,start,end,payer,seconds,called,transit.seconds\n"
GOOD = b"s,good,call,2026-01-31T12:00:00Z,,alice,5,45,\n"


def survives(name: str, content: bytes) -> list[Usage]:
    """Read hostile content: it gives records and typed rejects, and never raises."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        records, rejects = read(path)
    for reject in rejects:
        assert reject.refusal.message and reject.refusal.where
        reject.refusal.sentence().encode()
        assert msgspec.json.encode(reject)
    for record in records:
        assert msgspec.json.decode(msgspec.json.encode(record), type=Usage) == record
    return records


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=400).map(lambda junk: junk.replace(b"\n", b"")))
@example(b'"' * 399)
@example(b",,,,,,,,")
@example(b"s,1,call,2026-01-31T12:00:00Z,,;=;-,1,,\x00")
def test_hostile_lines_leave_the_good_ones(junk: bytes) -> None:
    records = survives("u.csv", HEADER + GOOD + junk + b"\n" + GOOD)
    assert [record.id for record in records].count("good") == 2
    line = b'{"source":"s","id":"good","service":"call","start":"2026-01-31T12:00:00Z"}\n'
    records = survives("u.jsonl", line + junk + b"\n" + line)
    assert [record.id for record in records].count("good") == 2


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=600))
def test_hostile_files(junk: bytes) -> None:
    for name in ("u.csv", "u.jsonl", "u.csv.gz", "u.parquet"):
        survives(name, junk)
    survives("u.csv.gz", gzip.compress(junk))
    survives("u.parquet", b"PAR1" + junk + b"PAR1")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(("payer", "part", "provider", "weight", "quantities", "pays", "seconds", "x")),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=400)
@given(st.dictionaries(st.sampled_from((*Usage.__struct_fields__, "x")), json_values))
def test_hostile_json_shapes(tree: dict[str, object]) -> None:
    whole = {"source": "s", "id": "1", "service": "call", "start": "2026-01-31T12:00:00Z", **tree}
    survives("u.jsonl", json.dumps(whole).encode())


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_hostile_cells(data: st.DataObject) -> None:
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
        ["2026-01-31T12:00:00Z", "5", "-1", "a;b", "a=1;-b", "=;=", "1e99", "call", "NaN", "\x00"]
    )
    rows = data.draw(st.lists(st.lists(text, min_size=9, max_size=9), max_size=5))
    columns = HEADER.decode().strip().split(",")
    written = io.StringIO()
    csv.writer(written).writerows([columns, *rows])
    survives("u.csv", written.getvalue().encode())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "u.parquet"
        table = {column: pa.array([row[at] for row in rows], pa.string()) for at, column in enumerate(columns)}
        pq.write_table(pa.table(table), path)
        survives("u.parquet", path.read_bytes())
