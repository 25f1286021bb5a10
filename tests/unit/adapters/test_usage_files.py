"""Usage files: what columns mean, what is refused and how, and that one bad line never stops a file."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from apportion.adapters.usage import Rejected, read_usage
from apportion.errors import Misconfigured, RefusalCode, Refused
from apportion.model.agreement import Part, Service
from apportion.model.usage import PartUse, PayerUse, Usage

CALL = Service(
    "call",
    "call-retail",
    {"origin": Part(provider="alpha"), "transit": Part(), "end.leg": Part(provider="omega")},
    measures={"seconds": "s", "messages": "1"},
    attributes=("called",),
    personal=("title",),
)
POWER = Service("power", "power-retail", {"grid": Part(provider="grid")}, measures={"kwh": "kWh"})
SERVICES = {"call": CALL, "power": POWER}
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def read(path: Path | str, **given: object) -> tuple[list[Usage], list[Rejected]]:
    records: list[Usage] = []
    rejects: list[Rejected] = []
    for batch in read_usage(path, SERVICES, **given):  # type: ignore[arg-type]
        assert len(batch.lines) == len(batch.records)
        records += batch.records
        rejects += batch.rejects
    return records, rejects


def csv_of(tmp_path: Path, text: str | bytes, **given: object) -> tuple[list[Usage], list[Rejected]]:
    path = tmp_path / "usage.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path, **given)


def json_of(tmp_path: Path, *lines: object, **given: object) -> tuple[list[Usage], list[Rejected]]:
    path = tmp_path / "usage.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n")
    return read(path, **given)


def line(**fields: object) -> dict[str, object]:
    return {"source": "s", "id": "1", "service": "call", "start": "2026-01-31T12:00:00Z", **fields}


def only(rejects: list[Rejected]) -> tuple[RefusalCode, str]:
    assert len(rejects) == 1, rejects
    return rejects[0].refusal.code, rejects[0].refusal.field


def test_every_column(tmp_path: Path) -> None:
    records, rejects = csv_of(
        tmp_path,
        "source,id,service,start,end,payer,seconds,called,title,provider.transit,transit.seconds,end.leg.seconds,"
        "payer.bob.seconds,payer.dora.seconds,_note\n"
        'node,c-1,call,2026-01-31T13:00:00+01:00,2026-01-31T12:01:00Z,alice=2;bob=1/2;-carol,60.0,4512,"Å, b",'
        "beta,60,0.50,20,5,whatever\n",
    )
    assert not rejects
    assert records == [
        Usage(
            "node",
            "c-1",
            "call",
            NOON,
            datetime(2026, 1, 31, 12, 1, tzinfo=UTC),
            (
                PayerUse("alice", "2"),
                PayerUse("bob", "0.5", {"seconds": "20"}),
                PayerUse("carol", "", {}, False),
                PayerUse("dora", "", {"seconds": "5"}),
            ),
            (PartUse("transit", "beta", {"seconds": "60"}), PartUse("end.leg", "omega", {"seconds": "0.5"})),
            {"seconds": "60"},
            {"called": "4512", "title": "Å, b"},
        )
    ]


def test_json_says_the_same(tmp_path: Path) -> None:
    text = (
        '{"id": "1", "start": "2026-01-31T12:00:00Z", "quantities": {"seconds": 0.10, "messages": 1e-7},'
        ' "parts": [{"part": "origin", "quantities": {"seconds": 12345678901234567890.123}}],'
        ' "payers": [{"payer": "alice", "weight": 2}, {"payer": "bob", "pays": false}], "end": null}'
    )
    records, rejects = json_of(tmp_path, text, service="call", source="s")
    assert not rejects
    assert records == [
        Usage(
            "s",
            "1",
            "call",
            NOON,
            payers=(PayerUse("alice", "2"), PayerUse("bob", pays=False)),
            parts=(PartUse("origin", "alpha", {"seconds": "12345678901234567890.123"}),),
            quantities={"seconds": "0.1", "messages": "0.0000001"},
        )
    ]


def test_a_bad_line_never_stops_the_file(tmp_path: Path) -> None:
    records, rejects = csv_of(
        tmp_path,
        b"id,start,seconds\n1,2026-01-31T12:00:00Z,5\n2,yesterday,5\n\xff\xfe,2026-01-31T12:00:00Z,5\n"
        b'"4,2026-01-31T12:00:00Z,5\n5,2026-01-31T12:00:00Z\n6,2026-01-31T12:00:00Z,x\n\n7,2026-01-31T12:00:00Z,5\n',
        service="call",
        source="s",
    )
    assert [record.id for record in records] == ["1", "7"]
    assert [(reject.line, reject.id, reject.refusal.code.value, reject.refusal.field) for reject in rejects] == [
        (3, "2", "bad_time", "start"),
        (4, "", "bad_input", ""),
        (5, "", "bad_input", ""),
        (6, "", "bad_input", ""),
        (7, "6", "bad_quantity", "seconds"),
    ]
    assert rejects[0].refusal.where == "usage.csv:3"
    assert rejects[0].refusal.fix and len(rejects[0].digest) == 64


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "١٠٠", "1e400", "1e31", "9" * 41, " 5", "5 ", "true", "1_000", "0x5", "+5",
             "1/2", ".5", "5.", "1e", "5\x00", "--5", "1e9" + "9" * 4000, "1,000"],
)  # fmt: skip
def test_hostile_quantities(tmp_path: Path, text: str) -> None:
    quoted = '"' + text + '"' if "," in text else text
    records, rejects = csv_of(
        tmp_path, f"id,start,seconds\n1,2026-01-31T12:00:00Z,{quoted}\n", service="call", source="s"
    )
    assert not records
    assert only(rejects) == (RefusalCode.BAD_QUANTITY, "seconds")
    records, rejects = json_of(tmp_path, line(quantities={"seconds": text}))
    assert not records
    assert only(rejects) == (RefusalCode.BAD_QUANTITY, "quantities.seconds")


@pytest.mark.parametrize(
    ("written", "plain"),
    [("0.50", "0.5"), ("007", "7"), ("1E3", "1000"), ("0", "0"), ("0.000", "0"), ("-0", "0"), ("-0.50", "-0.5"),
     ("-12", "-12"), ("10.5", "10.5"), ("100", "100"), ("1e-7", "0.0000001")],
)  # fmt: skip
def test_one_value_has_one_text(tmp_path: Path, written: str, plain: str) -> None:
    records, _ = csv_of(tmp_path, f"id,start,seconds\n1,2026-01-31T12:00:00Z,{written}\n", service="call", source="s")
    assert records[0].quantities == {"seconds": plain}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "bad_input"),
        ("[]", "bad_input"),
        ("[" * 100_000, "bad_input"),
        ('{"id": "1", "id": "2"}', "bad_input"),
        ('{"a": NaN}', "bad_quantity"),
        (json.dumps(line(colour="red")), "unknown_field"),
        (json.dumps(line(id=5)), "bad_input"),
        (json.dumps(line(id="")), "bad_input"),
        (json.dumps(line(id="x" * 256)), "bad_input"),
        (json.dumps(line(id="a\u0000b")), "bad_input"),
        (json.dumps(line(id="\ud800")), "bad_input"),
        (json.dumps(line(id="a\u200bb")), "bad_input"),
        (json.dumps(line(service="cal")), "unknown_service"),
        (json.dumps(line(service=7)), "bad_input"),
        (json.dumps(line(start=1769860800)), "bad_time"),
        (json.dumps(line(start="1769860800")), "bad_time"),
        (json.dumps(line(end="2026-01-30T12:00:00Z")), "bad_time"),
        (json.dumps(line(quantities={"secondss": "1"})), "unknown_field"),
        (json.dumps(line(quantities={"seconds": True})), "bad_input"),
        (json.dumps(line(quantities=[1])), "bad_input"),
        (json.dumps(line(attributes={"called": 45})), "bad_input"),
        (json.dumps(line(attributes={"called": "\ud800"})), "bad_input"),
        (json.dumps(line(attributes={"called": "x" * 2000})), "bad_input"),
        (json.dumps(line(parts=[{"part": "middle"}])), "unknown_part"),
        (json.dumps(line(parts=[{"part": "transit"}])), "bad_input"),
        (json.dumps(line(parts=[7])), "bad_input"),
        (json.dumps(line(payers=[{"payer": "a"}, {"payer": "a"}])), "bad_input"),
        (json.dumps(line(payers=[{"payer": "a", "weight": "-1"}])), "bad_weight"),
        (json.dumps(line(payers=[{"payer": "a", "wieght": "1"}])), "unknown_field"),
        (json.dumps(line(payers=[{"payer": "a"}] * 1001)), "bad_input"),
        (json.dumps(line(attributes={"called": "x" * (1 << 20)})), "bad_input"),
    ],
)
def test_hostile_json(tmp_path: Path, text: str, code: str) -> None:
    records, rejects = json_of(tmp_path, text, line(id="good"))
    assert [record.id for record in records] == ["good"]
    assert [reject.refusal.code.value for reject in rejects] == [code]
    assert rejects[0].refusal.where == "usage.jsonl:1"
    assert "_Number" not in rejects[0].refusal.sentence()


def test_a_path_and_a_hint(tmp_path: Path) -> None:
    _, rejects = json_of(tmp_path, line(payers=[{"payer": "a"}, {"payer": "b", "wieght": "1"}]))
    assert rejects[0].refusal.field == "payers[1]"
    assert rejects[0].refusal.fix == "Did you mean 'weight'?"


def test_ids_are_composed(tmp_path: Path) -> None:
    records, _ = json_of(tmp_path, line(id="Å"), line(id="Å"))
    assert [record.id for record in records] == ["Å", "Å"]


@pytest.mark.parametrize(
    ("header", "field", "hint"),
    [
        ("id,start,secondss", "secondss", "Did you mean 'seconds'?"),
        ("id,start,payer.bob.secondz", "payer.bob.secondz", ""),
        ("id,start,provider.trasit", "provider.trasit", "Did you mean 'provider.transit'?"),
        ("id,start,seconds,seconds", "seconds", "Keep one."),
        ("id,seconds", "start", "Add it."),
        ("start,seconds", "id", "Add it."),
        ("id,start,", "", ""),
        ("id;start;seconds", "", "Part cells by commas."),
    ],
)
def test_a_header_that_is_not_understood_refuses_the_file(tmp_path: Path, header: str, field: str, hint: str) -> None:
    records, rejects = csv_of(tmp_path, f"{header}\n1,2026-01-31T12:00:00Z,5\n", service="call", source="s")
    assert not records
    assert rejects[0].line == 1
    assert rejects[0].refusal.field == field
    assert hint in rejects[0].refusal.fix


def test_service_and_source_must_be_said_somewhere(tmp_path: Path) -> None:
    _, rejects = csv_of(tmp_path, "id,start\n1,2026-01-31T12:00:00Z\n")
    assert {reject.refusal.field for reject in rejects} == {"service", "source"}
    _, rejects = csv_of(tmp_path, "id,start\n1,2026-01-31T12:00:00Z\n", service="cal", source="s")
    assert only(rejects) == (RefusalCode.UNKNOWN_SERVICE, "service")
    _, rejects = json_of(tmp_path, {"id": "1", "start": "2026-01-31T12:00:00Z", "service": "call"})
    assert only(rejects) == (RefusalCode.BAD_INPUT, "source")


def test_columns_of_another_service_must_be_empty(tmp_path: Path) -> None:
    records, rejects = csv_of(
        tmp_path,
        "source,id,service,start,seconds,kwh\ns,1,call,2026-01-31T12:00:00Z,5,\ns,2,power,2026-01-31T12:00:00Z,,7\n"
        "s,3,power,2026-01-31T12:00:00Z,5,7\n",
    )
    assert [record.quantities for record in records] == [{"seconds": "5"}, {"kwh": "7"}]
    assert only(rejects) == (RefusalCode.UNKNOWN_FIELD, "seconds")


def test_any_service(tmp_path: Path) -> None:
    path = tmp_path / "u.csv"
    path.write_text("source,id,service,start,seconds\ns,1,whatever,2026-01-31T12:00:00Z,5\n")
    [batch] = read_usage(path, {"*": CALL})
    assert batch.records[0].service == "whatever"


def test_payers_of_one_cell(tmp_path: Path) -> None:
    head = "id,start,payer\n1,2026-01-31T12:00:00Z,"
    for cell, code in (("a;a", "bad_input"), ("a;", "bad_input"), ("a=x", "bad_weight"), ("a=-1", "bad_weight")):
        _, rejects = csv_of(tmp_path, f"{head}{cell}\n", service="call", source="s")
        assert [reject.refusal.code.value for reject in rejects] == [code], cell


def test_a_part_needs_a_provider(tmp_path: Path) -> None:
    _, rejects = csv_of(tmp_path, "id,start,transit.seconds\n1,2026-01-31T12:00:00Z,5\n", service="call", source="s")
    assert only(rejects) == (RefusalCode.UNKNOWN_PROVIDER, "provider.transit")


# ── time ──────────────────────────────────────────────────────────────────────────────────────────


def starts(tmp_path: Path, text: str, zone: str = "Europe/Copenhagen") -> datetime | str:
    records, rejects = csv_of(tmp_path, f"id,start\n1,{text}\n", service="call", source="s", zone=zone)
    return records[0].start if records else rejects[0].refusal.message


def test_local_times(tmp_path: Path) -> None:
    assert starts(tmp_path, "2026-07-01T12:00:00") == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert starts(tmp_path, "2026-01-01 12:00:00") == datetime(2026, 1, 1, 11, tzinfo=UTC)
    assert starts(tmp_path, "2026-07-01T12:00:00Z") == datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert starts(tmp_path, "2026-10-25T02:30:00") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert "does not exist" in str(starts(tmp_path, "2026-03-29T02:30:00"))
    assert starts(tmp_path, "2026-03-29T03:00:00") == datetime(2026, 3, 29, 1, tzinfo=UTC)
    # Lord Howe moves its clock by half an hour
    assert "does not exist" in str(starts(tmp_path, "2026-10-04T02:15:00", "Australia/Lord_Howe"))
    assert starts(tmp_path, "2026-10-04T02:30:00", "Australia/Lord_Howe") == datetime(2026, 10, 3, 15, 30, tzinfo=UTC)


def test_an_end_that_exists_twice_comes_after_its_start(tmp_path: Path) -> None:
    records, _ = csv_of(
        tmp_path,
        "id,start,end\n1,2026-10-25T02:50:00,2026-10-25T02:10:00\n2,2026-10-25T02:10:00,2026-10-25T02:50:00\n",
        service="call",
        source="s",
        zone="Europe/Copenhagen",
    )
    lasted = [int((record.end - record.start).total_seconds()) for record in records if record.end]
    assert lasted == [20 * 60, 40 * 60]


def test_fractions_of_seconds(tmp_path: Path) -> None:
    assert starts(tmp_path, "2026-01-31T12:00:00.9999999Z") == NOON.replace(microsecond=999999)
    assert starts(tmp_path, "2026-01-31T12:00:00.123456789+00:00") == NOON.replace(microsecond=123456)


@pytest.mark.parametrize(
    "text",
    ["", "1769860800", "2026-01-31", "31.01.2026 12:00:00", "2026-02-30T12:00:00Z", "2026-01-31T12:00:60Z",
     "٢026-01-31T12:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-12-31T23:59:59Z",
     "2026-01-31T12:00:00." + "9" * 500 + "Z"],
)  # fmt: skip
def test_no_times(tmp_path: Path, text: str) -> None:
    assert isinstance(starts(tmp_path, text), str)


def test_duration(tmp_path: Path) -> None:
    records, rejects = csv_of(
        tmp_path,
        "id,start,duration,end\n1,2026-01-31T12:00:00Z,60.5,\n2,2026-01-31T12:00:00Z,1e29,\n"
        "3,2026-01-31T12:00:00Z,60,2026-01-31T12:01:00Z\n4,2026-01-31T12:00:00Z,1e12,\n5,2026-01-31T12:00:00Z,-1,\n",
        service="call",
        source="s",
    )
    assert records[0].end == NOON.replace(minute=1, microsecond=500000)
    assert [reject.id for reject in rejects] == ["2", "3", "4", "5"]


# ── files ─────────────────────────────────────────────────────────────────────────────────────────


def test_batches_by_count(tmp_path: Path) -> None:
    path = tmp_path / "u.csv"
    path.write_text("id,start\n" + "".join(f"{i},2026-01-31T12:00:00Z\n" for i in range(25)))
    sizes = [len(batch) for batch in read_usage(path, SERVICES, service="call", source="s", size=10)]
    assert sizes == [10, 10, 5]


def test_packed_files(tmp_path: Path) -> None:
    text = b"id,start\r\n" + b"".join(b"%d,2026-01-31T12:00:00Z\r\n" % i for i in range(5000))
    whole = tmp_path / "u.csv.gz"
    whole.write_bytes(gzip.compress(b"\xef\xbb\xbf" + text))
    records, rejects = read(whole, service="call", source="s")
    assert len(records) == 5000 and not rejects
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(whole.read_bytes()[:-2000])
    records, rejects = read(cut, service="call", source="s")
    assert 0 < len(records) < 5000
    assert "damaged" in rejects[-1].refusal.message
    junk = tmp_path / "junk.csv.gz"
    junk.write_bytes(b"no gzip")
    assert not read(junk)[0]


def test_a_compression_bomb_is_left_early(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        for _ in range(100):
            file.write(b"x" * (1 << 20) + b"\n")
    _, rejects = read(path)
    assert "far more" in rejects[-1].refusal.message


def test_an_endless_line_is_cut_and_the_next_one_read(tmp_path: Path) -> None:
    good = json.dumps(line())
    path = tmp_path / "u.jsonl"
    path.write_text(good + "\n" + "x" * (3 << 20) + "\n" + good)
    records, rejects = read(path)
    assert len(records) == 2
    assert rejects[0].line == 2 and "1 MiB" in rejects[0].refusal.message
    path.write_bytes(b"x" * (70 << 20))
    _, rejects = read(path)
    assert "without end" in rejects[-1].refusal.message


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(line()).encode())))
    [batch] = read_usage("-", SERVICES)
    assert batch.file == "stdin" and len(batch.records) == 1


def test_what_can_not_be_opened(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no ending"):
        read(tmp_path / "usage.xlsx")
    with pytest.raises(Misconfigured, match="time zone"):
        read(tmp_path / "u.csv", zone="Mars/Olympus")
    for name in ("none.csv", "none.jsonl", "none.parquet"):
        assert len(read(tmp_path / name)[1]) == 1
    (tmp_path / "folder.csv").mkdir()
    assert len(read(tmp_path / "folder.csv")[1]) == 1
    (tmp_path / "empty.jsonl").write_text("")
    assert read(tmp_path / "empty.jsonl") == ([], [])


# ── Parquet ───────────────────────────────────────────────────────────────────────────────────────

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def parquet_of(tmp_path: Path, columns: dict[str, object], **given: object) -> tuple[list[Usage], list[Rejected]]:
    path = tmp_path / "usage.parquet"
    pq.write_table(pa.table(columns), path)
    return read(path, **{"service": "call", "source": "s", **given})


def one(values: list[object], kind: object = None) -> dict[str, object]:
    ids = [str(at) for at in range(len(values))]
    times = pa.array([NOON] * len(values), pa.timestamp("us", "UTC"))
    return {"id": ids, "start": times, "seconds": pa.array(values, kind)}


@pytest.mark.parametrize(
    ("values", "kind", "plain"),
    [
        ([0.1, 1e-7, 1e22, -5.0, -0.0, None], pa.float64(), ["0.1", "0.0000001", "1" + "0" * 22, "-5", "0", None]),
        ([0.1, 16777216.0], pa.float32(), ["0.1", "16777216"]),
        ([2**53 + 1, 0], pa.int64(), ["9007199254740993", "0"]),
        ([Decimal("0.50"), Decimal("123456789012345678.90")], pa.decimal128(38, 2), ["0.5", "123456789012345678.9"]),
        (["0.10", "7"], pa.dictionary(pa.int32(), pa.string()), ["0.1", "7"]),
        (["7"], pa.large_string(), ["7"]),
        ([b"7"], pa.binary(), ["7"]),
        ([None], pa.null(), [None]),
    ],
)
def test_parquet_numbers(tmp_path: Path, values: list[object], kind: object, plain: list[str | None]) -> None:
    records, rejects = parquet_of(tmp_path, one(values, kind))
    assert not rejects
    assert [record.quantities.get("seconds") for record in records] == plain


def test_parquet_rejects_single_rows(tmp_path: Path) -> None:
    records, rejects = parquet_of(tmp_path, one([1.0, float("nan"), float("inf"), -float("inf"), 2.0]))
    assert [record.id for record in records] == ["0", "4"]
    assert [reject.line for reject in rejects] == [2, 3, 4]
    assert {reject.refusal.code for reject in rejects} == {RefusalCode.BAD_QUANTITY}
    broken = one([1, 2, 3]) | {"called": pa.array([b"45", b"\xff\xfe", b"46"]).cast(pa.binary())}
    records, rejects = parquet_of(tmp_path, broken)
    assert [record.id for record in records] == ["0", "2"]
    assert only(rejects) == (RefusalCode.BAD_INPUT, "called")


def test_parquet_times(tmp_path: Path) -> None:
    naive = pa.array([datetime(2026, 7, 1, 12), datetime(2026, 3, 29, 2, 30)], pa.timestamp("ns"))
    records, rejects = parquet_of(tmp_path, {"id": ["0", "1"], "start": naive}, zone="Europe/Copenhagen")
    assert [record.start for record in records] == [datetime(2026, 7, 1, 10, tzinfo=UTC)]
    assert only(rejects) == (RefusalCode.BAD_TIME, "start")
    far = pa.array([2**62, 0, None], pa.timestamp("ms", "Europe/Copenhagen"))
    records, rejects = parquet_of(tmp_path, {"id": ["0", "1", "2"], "start": far})
    assert [record.start.year for record in records] == [1970]
    assert [reject.line for reject in rejects] == [1, 3]


def test_parquet_columns_of_a_wrong_kind(tmp_path: Path) -> None:
    _, rejects = parquet_of(tmp_path, {"id": ["1"], "start": [1769860800], "seconds": [[1]]})
    assert {reject.refusal.field for reject in rejects} == {"start", "seconds"}
    _, rejects = parquet_of(tmp_path, one([1]) | {"secondz": [1]})
    assert only(rejects) == (RefusalCode.UNKNOWN_FIELD, "secondz")
    records, _ = parquet_of(tmp_path, one([1]) | {"_raw": [[1]], "provider.transit": ["beta"], "payer": [45]})
    assert records[0].parts == (PartUse("transit", "beta"),)
    assert records[0].payers == (PayerUse("45"),)


def test_parquet_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "usage.parquet"
    path.write_bytes(b"PAR1 no parquet PAR1")
    records, rejects = read(path)
    assert not records and "Parquet" in rejects[0].refusal.message


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Misconfigured, match=r"pip install 'apportion\[parquet\]'"):
        read(tmp_path / "usage.parquet")


_MEASURE = """
import sys
from apportion.adapters.usage import read_usage
from apportion.model.agreement import Service
services = {"call": Service("call", "t", {}, measures={"seconds": "s"}, attributes=("called",))}
count = sum(len(batch.records) for batch in read_usage(sys.argv[1], services, service="call", source="s"))
status = open("/proc/self/status").read()  # its own high water; that of getrusage begins with the parent's
print(count, int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    rows, path = 400_000, tmp_path / "long.parquet"
    table = pa.table(
        {
            "id": [f"call-{at}" for at in range(rows)],
            "start": pa.array([1769860800_000000 + at for at in range(rows)], pa.timestamp("us", "UTC")),
            "seconds": [at / 7 for at in range(rows)],
            "called": [f"45{at}" for at in range(rows)],
        }
    )
    pq.write_table(table, path, row_group_size=rows)
    run = subprocess.run([sys.executable, "-c", _MEASURE, path], capture_output=True, text=True, check=True)
    count, megabytes = map(int, run.stdout.split())
    assert count == rows
    assert megabytes < 300


def test_the_record_reads_its_own_json(tmp_path: Path) -> None:
    usage = Usage("s", "1", "call", NOON, quantities={"seconds": "5"}, attributes={"called": "45"})
    records, _ = json_of(tmp_path, msgspec.json.encode(usage).decode())
    assert records == [usage]
