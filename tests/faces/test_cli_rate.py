"""``apportion rate``: prices without books, one line a record, then the total."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tests.faces.driving import QUICKSTART, Cli, process

FARE = f"{QUICKSTART}/catalog.toml#fare"
SIMPLE = """
currency = "USD"
components = [{ kind = "unit", name = "use", measure = "gb", price = "0.10" }]
"""
TAXED = """
currency = "EUR"
taxes = { vat = "25" }
tax = "vat"
components = [{ kind = "unit", name = "use", measure = "gb", price = "0.333" }]
"""
STEPS = """
currency = "USD"
[[components]]
kind = "graduated"
name = "use"
measure = "gb"
scope = "period"
tiers = [{ up_to = "10", price = "1.00" }, { price = "0.50" }]
"""
DECK = """
currency = "USD"
components = [{ kind = "unit", name = "call", measure = "seconds", per = "60" }]
[deck]
by = "called"
match = "prefix"
rows = [{ key = "45", price = "0.60" }, { key = "4526", price = "1.20" }]
"""


@pytest.fixture
def tariff(tmp_path: Path):  # type: ignore[no-untyped-def]
    def write(text: str) -> Path:
        (tmp_path / "tariff.toml").write_text(text)
        return tmp_path / "tariff.toml"

    return write


@pytest.fixture
def usage(tmp_path: Path):  # type: ignore[no-untyped-def]
    def write(*lines: str, name: str = "usage.csv") -> Path:
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        return tmp_path / name

    return write


def test_the_quickstart_line_by_line(cli: Cli) -> None:
    done = cli("rate", FARE, QUICKSTART / "usage.csv", "--json")
    *records, summary = done.lines
    assert (done.code, done.err) == (0, "")
    assert [one["amount"] for one in records] == ["16.08", "8.22", "24.06", "16.38", "34.26", "7.02"]
    first = records[0]
    assert list(first) == ["id", "exact", "amount", "currency", "lines"]
    assert [line["exact"] for line in first["lines"]] == ["3", "7.68", "5.4"]
    assert {**summary, "exact": ""} == {
        "records": 6, "rejected": 0, "amount": "106.02", "tax": "0.00", "total": "106.02", "currency": "EUR",
        "exact": "",
    }  # fmt: skip


def test_tax_is_shown_where_there_is_one(cli: Cli, tariff, usage) -> None:  # type: ignore[no-untyped-def]
    done = cli("rate", tariff(TAXED), usage("id,start,gb", "a,2026-11-01T00:00:00Z,10"), "--json")
    record, summary = done.lines
    assert (record["amount"], record["tax"], record["total"]) == ("3.33", "0.83", "4.16")
    assert (summary["amount"], summary["tax"], summary["total"]) == ("3.33", "0.83", "4.16")


def test_running_totals_per_payer_and_month(cli: Cli, tariff, usage) -> None:  # type: ignore[no-untyped-def]
    rows = [
        "id,start,payer,gb",
        "1,2026-11-01T00:00:00Z,ada,8",
        "2,2026-11-02T00:00:00Z,ben,8",
        "3,2026-11-03T00:00:00Z,ada,4",
        "4,2026-11-30T23:30:00Z,ada,1",
        "5,2026-12-01T00:30:00Z,ada,1",
    ]
    done = cli("rate", tariff(STEPS), usage(*rows), "--json")
    assert [one["amount"] for one in done.lines[:-1]] == ["8.00", "8.00", "3.00", "0.50", "1.00"]
    tokyo = cli("rate", tariff(STEPS), usage(*rows), "--json", "--calendar-zone", "Asia/Tokyo")
    assert [one["amount"] for one in tokyo.lines[:-1]] == ["8.00", "8.00", "3.00", "1.00", "1.00"]
    summed = cli("rate", tariff(STEPS), usage(*rows), "--json", "--summary")
    assert summed.lines == [done.lines[-1]]


def test_finer_assets(cli: Cli, tariff, usage) -> None:  # type: ignore[no-untyped-def]
    file = usage("id,start,gb", "a,2026-11-01T00:00:00Z,0.001")
    assert cli("rate", tariff(SIMPLE), file, "--json").lines[0]["amount"] == "0.00"
    assert cli("rate", tariff(SIMPLE), file, "--json", "--asset", "USD/9").lines[0]["amount"] == "0.000100000"
    assert cli("rate", tariff(SIMPLE), file, "--json", "--asset", "EUR/9").error["code"] == "asset_mismatch"
    assert "--asset USD/9" in cli("rate", tariff(SIMPLE), file).out


def test_rejected_records_are_listed_and_the_others_go_on(cli: Cli, tariff, usage) -> None:  # type: ignore[no-untyped-def]
    rows = [
        "id,start,gb",
        "a,2026-11-01T00:00:00Z,1",
        "b,not-a-time,1",
        "c,2026-11-01T00:00:00Z,",
        "d,2026-11-01T00:00:00Z,2",
    ]
    done = cli("rate", tariff(SIMPLE), usage(*rows), "--json")
    assert done.code == 1
    assert done.err == ""
    by_id = {one["id"]: one for one in done.lines[:-1]}
    assert by_id["b"]["error"]["code"] == "bad_time"
    assert by_id["c"]["error"]["code"] == "measure_missing"
    assert by_id["c"]["error"]["where"] == "usage.csv:4"
    assert (by_id["a"]["amount"], by_id["d"]["amount"]) == ("0.10", "0.20")
    assert (done.lines[-1]["records"], done.lines[-1]["rejected"]) == (2, 2)


def test_a_deck_and_json_lines_on_standard_input(tariff) -> None:  # type: ignore[no-untyped-def]
    use = {"start": "2026-11-01T00:00:00Z"}
    records = [
        {"id": "1", **use, "quantities": {"seconds": 60}, "attributes": {"called": "4526"}},
        {"id": "2", **use, "quantities": {"seconds": 30}, "attributes": {"called": "4599"}},
    ]
    lines = "".join(json.dumps(record) + "\n" for record in records).encode()
    done = process("rate", tariff(DECK), "-", stdin=lines)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines()[-1] == "2 records: 1.50 USD (exactly 1.5)"


def test_a_tariff_of_a_catalog_reads_the_usage_of_its_services(cli: Cli) -> None:
    done = cli("rate", f"{QUICKSTART}/catalog.toml#driving", QUICKSTART / "usage.csv", "--summary", "--json")
    assert done.lines[0]["amount"] == "49.95"


@pytest.mark.parametrize(
    "spec, code",
    [("nothing.toml", "misconfigured"), (f"{QUICKSTART}/catalog.toml#fair", "misconfigured"), ("x", "misconfigured")],
)
def test_a_tariff_that_is_not_there(cli: Cli, spec: str, code: str) -> None:
    done = cli("rate", spec, QUICKSTART / "usage.csv", "--json")
    assert done.code == 1
    assert done.error["code"] == code


def test_usage_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    for file in (tmp_path / "none.csv", tmp_path):
        assert cli("rate", FARE, file, "--json").error["field"] == "usage"
    (tmp_path / "usage.txt").write_text("")
    assert cli("rate", FARE, tmp_path / "usage.txt", "--json").error["code"] == "bad_input"


def test_what_only_a_period_has_is_said_not_priced(cli: Cli, tariff, usage) -> None:  # type: ignore[no-untyped-def]
    monthly = SIMPLE.replace(
        "components = [", 'components = [{ kind = "flat", name = "m", price = "5", scope = "period" },'
    )
    done = cli("rate", tariff(monthly), usage("id,start,gb", "a,2026-11-01T00:00:00Z,10"))
    assert "1 records: 1.00 USD" in done.out
    assert "booked at its close" in done.out


def test_the_sums_of_the_fast_way_are_those_of_the_slow_way(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    slow = cli("rate", FARE, QUICKSTART / "usage.csv", "--json").lines[-1]
    assert cli("rate", FARE, QUICKSTART / "usage.csv", "--json", "--summary").lines == [slow]
