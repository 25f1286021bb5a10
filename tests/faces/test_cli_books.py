"""Running usage through the books: run, close, topup, balance, catalog, init, forget, export, verify."""

from __future__ import annotations

import csv
import io
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.faces.driving import QUICKSTART, Cli

CATALOG, USAGE = QUICKSTART / "catalog.toml", QUICKSTART / "usage.csv"
HEADER = "source,id,service,start,duration,payer,km,minutes"


def amounts(found: list[dict[str, Any]]) -> dict[str, str]:
    return {one["owner"]: one["posted"].rstrip("0") for one in found}


def test_the_quickstart_adds_up(cli: Cli, rides: Path) -> None:
    found = cli("balance", "--store", rides, "--json").json
    assert amounts(found) == {
        "ada": "-61.62", "ben": "-27.27", "cleo": "-17.13", "dora": "49.95", "otto": "31.92", "fees": "24.15",
    }  # fmt: skip
    assert list(found[0]) == ["id", "role", "owner", "currency", "posted", "held", "credit", "available", "name"]


def test_a_run_says_what_became_of_every_record(cli: Cli, tmp_path: Path) -> None:
    usage = tmp_path / "usage.csv"
    rows = ["t,1,ride,2026-11-16T08:00:00,60,ada,6,18", "t,1,ride,2026-11-16T08:00:00,60,ada,6,18"]
    rows += ["t,2,ride,2026-11-16T08:00:00,60,ada,0,0", "t,3,ride,2026-11-16T08:00:00,60,ada,x,0"]
    rows += ["t,4,ride,2026-11-16T08:00:00,60,ben,1000,0"]
    usage.write_text("\n".join([HEADER, *rows]) + "\n")
    done = cli("run", CATALOG, usage, "--store", tmp_path / "b.db", "--json")
    found = done.json
    assert done.code == 0
    classes = ("received", "charged", "zero_rated", "duplicate", "rejected", "pending")
    assert [found[name] for name in classes] == [5, 2, 0, 1, 1, 1]
    assert [(one["id"], one["state"], one["error"]["code"]) for one in found["declined"]] == [
        ("3", "rejected", "bad_quantity"),
        ("4", "pending", "insufficient_funds"),
    ]
    assert found["payers"]["totals"] == {"EUR": "18.600000000"}
    assert found["payers"]["top"][0]["owner"] == "ada"
    assert found["providers"]["totals"] == {"EUR": "12.300000000"}
    assert found["platform"]["totals"] == {"EUR": "6.300000000"}
    assert found["closed"] is None
    strict = cli("run", CATALOG, usage, "--store", tmp_path / "b.db", "--strict")
    assert strict.code == 1
    assert "0 charged, 0 zero-rated, 3 duplicate, 1 rejected, 1 pending" in strict.out
    assert "Pending usage waits for value" in strict.out


def test_running_twice_charges_once(cli: Cli, rides: Path) -> None:
    again = cli("run", CATALOG, USAGE, "--store", rides, "--json").json
    assert (again["charged"], again["duplicate"], again["payers"]["count"]) == (0, 6, 0)


def test_a_person_is_told_what_to_do_next_and_it_works(cli: Cli, tmp_path: Path) -> None:
    done = cli("run", CATALOG, USAGE, "--store", tmp_path / "b.db", "--close")
    assert "6 records received: 6 charged" in done.out
    steps = done.out.partition("Next:\n")[2].splitlines()
    commands = [shlex.split(step) for step in steps if step.startswith("  apportion ")]
    assert [words[1] for words in commands] == ["balance", "explain", "trace", "verify"]
    for words in commands:
        assert cli(*words[1:]).code == 0, words


def test_usage_without_source_or_service_takes_those_given(cli: Cli, tmp_path: Path) -> None:
    usage = tmp_path / "u.csv"
    usage.write_text("id,start,payer,km,minutes\n1,2026-11-16T08:00:00Z,ada,1,1\n")
    bare = cli("run", CATALOG, usage, "--store", tmp_path / "a.db", "--json").json
    assert (bare["charged"], bare["rejected"]) == (0, 2)
    words = ("--source", "taxi", "--service", "ride", "--store", tmp_path / "b.db", "--json")
    assert cli("run", CATALOG, usage, *words).json["charged"] == 1


def test_nothing_is_written_when_a_file_is_missing_or_the_catalog_is_wrong(cli: Cli, tmp_path: Path) -> None:
    store = tmp_path / "b.db"
    assert cli("run", CATALOG, USAGE, tmp_path / "none.csv", "--store", store, "--json").error["field"] == "usage"
    (tmp_path / "u.txt").write_text("")
    assert cli("run", CATALOG, tmp_path / "u.txt", "--store", store).code == 1
    (tmp_path / "c.toml").write_text(CATALOG.read_text().replace('retail = "fare"', 'retail = "fair"'))
    error = cli("run", tmp_path / "c.toml", USAGE, "--store", store, "--json").error
    assert error["code"] == "misconfigured"
    assert error["findings"][0]["fix"] == "Did you mean 'fare'?"
    assert not store.exists()


def test_close_needs_an_ended_period_or_force(cli: Cli, rides: Path) -> None:
    assert cli("close", "2999-01", "--store", rides, "--json").error["code"] == "period_open"
    done = cli("close", "2999-01", "--force", "--store", rides, "--json")
    assert done.code == 0
    assert done.json["accounts"] == 0
    assert cli("close", "2026-11", "--force", "--store", rides).code == 0


def test_topups_are_booked_once_per_reference(cli: Cli, rides: Path) -> None:
    words = ("topup", "ada", "20.00", "EUR", "--reference", "bank-1", "--store", rides, "--json")
    first = cli(*words).json
    assert list(first) == ["id", "payer", "amount", "currency", "reference"]
    assert cli(*words).json == first
    assert amounts(cli("balance", "ada", "--store", rides, "--json").json) == {"ada": "-41.62"}
    fresh = cli("topup", first["payer"], "1.00", "EUR", "--store", rides, "--json").json
    assert fresh["reference"].startswith("topup-")
    by_id = cli("balance", "ada", "--store", rides, "--json").json[0]["id"]
    assert cli("topup", by_id, "1.00", "EUR", "--store", rides, "--json").json["payer"] == "ada"


@pytest.mark.parametrize(
    "words, code",
    [
        (["ada", "-1", "EUR"], "bad_amount"),
        (["ada", "0", "EUR"], "bad_amount"),
        (["ada", "1,5", "EUR"], "bad_amount"),
        (["ada", "1.0000000001", "EUR"], "bad_amount"),
        (["nobody", "1", "EUR"], "unknown_payer"),
        (["ada", "1", "USD"], "unknown_payer"),
        (["ada", "1", "euro"], "unknown_asset"),
        (["ada", "99999999999", "EUR"], "overflow"),
        (["acct_zzz", "1", "EUR"], "not_found"),
    ],
)
def test_topups_that_make_no_sense(cli: Cli, rides: Path, words: list[str], code: str) -> None:
    done = cli("topup", *words, "--store", rides, "--json")
    assert done.code == 1
    assert done.error["code"] == code


def test_a_reference_can_not_mean_two_things(cli: Cli, rides: Path) -> None:
    assert cli("topup", "ada", "1", "EUR", "--reference", "r", "--store", rides).code == 0
    assert cli("topup", "ada", "2", "EUR", "--reference", "r", "--store", rides, "--json").error["code"] == "conflict"


def test_balances_as_table_csv_and_json(cli: Cli, rides: Path) -> None:
    assert cli("balance", "--role", "provider", "--store", rides).out.splitlines()[0].split() == [
        "id", "role", "owner", "currency", "posted", "held", "available",
    ]  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(cli("balance", "--csv", "--store", rides).out)))
    assert {row["owner"]: row["posted"] for row in rows}["dora"] == "49.950000000"
    assert cli("balance", "nobody", "--store", rides, "--json").error["code"] == "not_found"


def test_trace_follows_every_unit(cli: Cli, rides: Path) -> None:
    found = cli("trace", "ada", "--store", rides, "--json").json
    assert found["holds"] is True
    assert found["steps"][-1]["balance"] == "-61.620000000"
    out = {flow["owner"]: flow["out"] for flow in found["flows"]}
    assert out == {"dora": "29.700000000", "otto": "19.145000000", "fees": "12.775000000"}
    came = cli("trace", "dora", "--store", rides, "--json").json["flows"]
    assert {flow["owner"]: flow["into"] for flow in came}["ada"] == "29.700000000"
    assert {flow["service"] for flow in came} == {"ride"}
    rows = list(csv.DictReader(io.StringIO(cli("trace", "ada", "--csv", "--store", rides).out)))
    assert len(rows) == len(found["steps"]) == 4
    text = cli("trace", "ada", "--limit", "2", "--store", rides).out
    assert "The latest 2 of 4 entries" in text
    assert "29.700  to dora (provider), ride" in text
    assert cli("trace", "nobody", "--store", rides, "--json").error["code"] == "not_found"


def test_catalog_check_apply_show_and_diff(cli: Cli, tmp_path: Path) -> None:
    store, other = tmp_path / "b.db", tmp_path / "other.toml"
    other.write_text(CATALOG.read_text().replace("price = 1.20", "price = 1.25"))
    assert cli("catalog", "check", CATALOG, "--json").json["ok"] is True
    first = cli("catalog", "apply", CATALOG, "--store", store, "--json").json["catalog"]
    assert cli("catalog", "apply", CATALOG, "--store", store, "--json").json["catalog"] == first
    second = cli("catalog", "apply", other, "--store", store, "--json").json["catalog"]
    assert second != first
    assert cli("catalog", "show", "--store", store, "--json").json["catalog"] == second
    assert cli("catalog", "show", "fare", "--store", store, "--json").json["tariffs"]["id"] == "fare"
    assert cli("catalog", "show", "nothing", "--store", store, "--json").error["code"] == "not_found"
    changes = cli("catalog", "diff", first, second, "--store", store, "--json").json
    assert changes == [
        {"change": "changed", "where": "tariffs.fare.components.way.price", "before": "1.2", "after": "1.25"}
    ]
    assert cli("catalog", "diff", CATALOG, other, "--csv").out.count("\n") == 2
    assert cli("catalog", "diff", other, "--store", store).out == "Nothing differs.\n"


def test_catalog_check_lists_every_finding(cli: Cli, tmp_path: Path) -> None:
    wrong = tmp_path / "c.toml"
    wrong.write_text(
        CATALOG.read_text().replace('retail = "fare"', 'retail = "fair"').replace("price = 0.70", "price = -1")
    )
    done = cli("catalog", "check", wrong, "--json")
    assert done.code == 1
    assert done.json["ok"] is False
    assert len(done.json["findings"]) >= 2
    assert cli("catalog", "check", tmp_path / "none.toml").code == 1


def test_init_writes_what_the_next_command_runs(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    following = cli("init", "my rides", "--json").json["next"]
    words = shlex.split(following)
    assert words[0] == "apportion"
    assert cli(*words[1:], "--json").json["charged"] == 6
    before = (tmp_path / "my rides" / "catalog.toml").read_bytes()
    (tmp_path / "my rides" / "catalog.toml").write_bytes(before + b"# mine\n")
    assert cli("init", "my rides", "--json").error["code"] == "conflict"
    assert (tmp_path / "my rides" / "catalog.toml").read_bytes().endswith(b"# mine\n")
    assert cli("init").code == 0
    assert (tmp_path / "usage.csv").exists()


def test_forget_asks_and_leaves_books_that_verify(cli: Cli, rides: Path, tmp_path: Path) -> None:
    (tmp_path / "u.csv").write_text(f"{HEADER}\nt,w1,ride,2026-11-16T08:00:00,60,wilhelmina,6,18\n")
    assert cli("run", CATALOG, tmp_path / "u.csv", "--store", rides).code == 0
    assert cli("forget", "wilhelmina", "--store", rides).code == 2
    done = cli("forget", "wilhelmina", "--yes", "--store", rides, "--json")
    assert done.code == 0
    assert done.json["rows"] > 0
    assert b"wilhelmina" not in rides.read_bytes()
    assert cli("forget", "wilhelmina", "--yes", "--store", rides, "--json").error["code"] == "not_found"
    assert cli("verify", "--store", rides).code == 0


def test_export_and_verify(cli: Cli, rides: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.jsonl"
    lines = cli("export", "--out", out, "--store", rides, "--json").json["lines"]
    assert len(out.read_text().splitlines()) == lines
    assert cli("export", "--store", rides).out == out.read_text()
    assert json.loads(out.read_text().splitlines()[-1])["type"] == "end"
    heads = ("--heads", f"{rides}.heads")
    assert cli("verify", out, *heads, "--json").json["ok"] is True
    assert cli("verify", "--store", rides, "--json").json["charges"] == 6
    (tmp_path / "bad.jsonl").write_text(
        out.read_text().replace('"amount":"16.080000000"', '"amount":"16.090000000"', 1)
    )
    bad = cli("verify", tmp_path / "bad.jsonl", *heads, "--json")
    assert bad.code == 1
    assert bad.json["ok"] is False
    assert bad.json["findings"][0]["place"].startswith("line ")
    (tmp_path / "cut.jsonl").write_text("".join(out.read_text().splitlines(keepends=True)[:-1]))
    assert cli("verify", tmp_path / "cut.jsonl", *heads).code == 1


def test_a_copied_store_needs_a_head_from_outside(cli: Cli, rides: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(rides.read_bytes())
    assert cli("verify", copy).code == 1
    assert cli("verify", copy, "--prefix-ok").code == 0
    assert cli("verify", copy, "--heads", f"{rides}.heads").code == 0
    assert cli("verify", tmp_path / "none", "--json").error["code"] == "io"


def test_each_tenant_of_a_store_is_held_against_its_own_heads(cli: Cli, rides: Path) -> None:
    assert cli("run", CATALOG, USAGE, "--store", rides, "--tenant", "north").code == 0
    for tenant in ("main", "north"):
        assert cli("verify", "--store", rides, "--tenant", tenant, "--json").json["ok"] is True
    heads = Path(f"{rides}.heads")
    heads.write_text("")
    assert cli("verify", "--store", rides).code == 1


def test_a_damaged_store_is_a_finding(cli: Cli, rides: Path) -> None:
    body = bytearray(rides.read_bytes())
    body[4096:8192] = b"\x55" * 4096
    rides.write_bytes(body)
    done = cli("verify", rides, "--json")
    assert done.code == 1
    assert done.json["ok"] is False
    assert "damaged" in {one["code"] for one in done.json["findings"]}


def test_statements_wait_for_the_end_of_the_period(cli: Cli, tmp_path: Path) -> None:
    usage = tmp_path / "u.csv"
    usage.write_text(f"{HEADER}\nt,1,ride,2025-01-16T08:00:00,60,ada,6,18\n")
    store = tmp_path / "b.db"
    assert cli("run", CATALOG, usage, "--store", store, "--close").code == 0
    documents = cli("statement", "--store", store, "--json").json
    assert {one["name"] for one in documents} >= {"ada", "Dora, driver"}
    mine = cli("statement", "ada", "--period", "2025-01", "--store", store)
    assert "15.60" in mine.out
    files = cli("statement", "--store", store, "--format", "csv", "--out", tmp_path / "out", "--json").json["files"]
    assert len(files) == len(documents)
    assert all(Path(file).read_text() for file in files)
    pages = cli("statement", "ada", "--store", store, "--format", "html").out
    assert pages.lower().startswith("<!doctype html") and "15.60" in pages
    assert cli("statement", documents[0]["number"], "--store", store).code == 0
    assert cli("statement", "nobody", "--store", store, "--json").error["code"] == "not_found"
