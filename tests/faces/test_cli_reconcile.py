"""``reconcile`` on real calls: a carrier's own records with planted errors, on a file, on a node, by its own key."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import random
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import apportion
from apportion.errors import Refused
from apportion.faces.cli import main
from tests.faces.api.nodes import NodeProcess
from tests.faces.driving import ROOT, Cli

TELEPHONE = ROOT / "examples" / "telephone"
CALLS = 240
COLUMNS = ("id", "source", "service", "start", "leg_seconds", "amount", "currency", "trunk")


class Carrier:
    """The bridge of a telecom platform, and what it wrote down about the calls of the books."""

    def __init__(self, cli: Cli, books: Path, folder: Path) -> None:
        self.cli, self.folder, self.store = cli, folder, folder / "calls.db"
        for file in books.iterdir():
            shutil.copy(file, folder)
        lines = [json.loads(line) for line in (folder / "books.jsonl").read_text().splitlines()]
        used = {line["key"]: line for line in lines if line["type"] == "usage"}
        self.earned: dict[str, Decimal] = {}
        self.rows: list[dict[str, str]] = []
        for charge in (line for line in lines if line["type"] == "charge"):
            usage = used[charge["usage"]]
            amount = next(one["amount"] for one in charge["portions"] if one["provider"] == "telecom-platform")
            self.earned[usage["id"]] = Decimal(amount)
            cells = usage["id"], usage["source"], usage["service"], usage["start"], usage["quantities"]["leg_seconds"]
            self.rows.append(dict(zip(COLUMNS, (*cells, amount, "USD", "north"), strict=True)))

    def write(self, rows: list[dict[str, str]], name: str = "theirs.csv") -> Path:
        file = self.folder / name
        if ".jsonl" in name:
            text = "".join(json.dumps({key: cell for key, cell in row.items() if cell}) + "\n" for row in rows)
            file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
            return file
        with file.open("w", newline="") as out:
            writer = csv.DictWriter(out, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        return file

    def reconcile(self, file: Path, *words: object, store: object = "") -> Any:
        return self.cli("reconcile", file, "--provider", "telecom-platform", "--store", store or self.store, *words)

    def report(self, file: Path, *words: object, code: int = 1, store: object = "") -> Any:
        done = self.reconcile(file, "--json", *words, store=store)
        assert (done.code, done.err) == (code, "")
        return done.json


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first calls of the shipped study, charged; and their export."""
    folder = tmp_path_factory.mktemp("calls")
    head = (TELEPHONE / "usage-telecom.csv").read_text().splitlines(keepends=True)[: CALLS + 1]
    (folder / "usage.csv").write_text("".join(head))
    with contextlib.redirect_stdout(io.StringIO()):
        assert (
            main(["run", str(TELEPHONE / "catalog.toml"), str(folder / "usage.csv"), "--store", f"{folder}/calls.db"])
            == 0
        )
        assert main(["export", "--store", f"{folder}/calls.db", "--out", f"{folder}/books.jsonl"]) == 0
    return folder


@pytest.fixture
def carrier(cli: Cli, books: Path, tmp_path: Path) -> Carrier:
    return Carrier(cli, books, tmp_path)


def planted(rows: list[dict[str, str]]) -> tuple[list[dict[str, str]], dict[str, set[str]]]:
    """Their rows with errors, shuffled, and the ids that must come out in each verdict."""
    chance, theirs = random.Random(5), [dict(row) for row in rows if Decimal(row["amount"])]
    free = [dict(row) for row in rows if not Decimal(row["amount"])]
    for row in theirs[:5]:
        row["leg_seconds"] = str(int(row["leg_seconds"]) + 60)
    for row in theirs[5:9]:
        row["amount"] = str(Decimal(row["amount"]) + Decimal("0.0001"))
    gone = theirs[9:16]
    theirs = theirs[:9] + theirs[16:]
    twice = [dict(theirs[20]), dict(theirs[21])]
    strange = [{**theirs[30], "id": f"x{n}", "leg_seconds": "77777"} for n in range(3)]
    want = {
        "different": {row["id"] for row in theirs[:9]}, "missing": {row["id"] for row in gone},
        "extra": {row["id"] for row in (*twice, *strange)},
    }  # fmt: skip
    everything = [*theirs, *free, *twice, *strange]
    return chance.sample(everything, len(everything)), want


def verdicts(report: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in report["rows"]:
        found.setdefault(row["verdict"], set()).add(row["id"])
    return found


def test_planted_errors_are_found_whatever_the_order_and_the_form(carrier: Carrier) -> None:
    clean = carrier.reconcile(carrier.write(carrier.rows))
    assert clean.code == 0 and "different" not in clean.out and "trunk" in clean.out
    rows, want = planted(carrier.rows)
    report = carrier.report(carrier.write(rows))
    assert verdicts(report) == want and report["unknown"] == ["trunk"]
    shuffled = carrier.report(carrier.write(rows[::-1], "theirs.jsonl.gz"))
    assert (shuffled["digest"], shuffled["records"]) == (report["digest"], report["records"])
    assert sum(one["rows"] for one in report["tallies"]) == len(rows) + len(want["missing"])
    (sums,) = [one for one in report["drift"] if one["of"] == "USD"]
    assert Decimal(sums["theirs"]) == sum(Decimal(row["amount"]) for row in rows)
    assert Decimal(sums["ours"]) == sum(carrier.earned.values())
    assert Decimal(sums["difference"]) == Decimal(sums["theirs"]) - Decimal(sums["ours"])
    for row in report["rows"]:
        if row["verdict"] != "extra":
            assert Decimal(row["standing"]) == carrier.earned[row["id"]] and row["charge"] == "chg_" + row["usage"][4:]
    tolerant = carrier.report(carrier.write(rows), "--amount", "0.0001", "--quantity", "60")
    assert "different" not in verdicts(tolerant)


def test_rows_without_ids_are_found_by_time_and_a_table_says_it_in_words(carrier: Carrier) -> None:
    rows, want = planted(carrier.rows)
    nameless = [{**row, "id": "", "source": ""} for row in rows]
    report = carrier.report(carrier.write(nameless), "--within", "0", "--all")
    tallies = {one["verdict"]: one["rows"] for one in report["tallies"]}
    strange = 3  # stand at the instant of a call that has a better row
    assert tallies == {"matched": len(carrier.rows) - 16, "different": 9, "missing": 7, "extra": 2 + strange}
    done = carrier.reconcile(carrier.write(rows))
    assert done.code == 1 and done.out.startswith("Records of telecom-platform from 2011-10-09T22:03:04Z until ")
    assert "Ready to be disputed: 4." in done.out
    assert "Not compared, as no service measures it: trunk." in done.out
    table = list(csv.DictReader(carrier.reconcile(carrier.write(rows), "--csv").out.splitlines()))
    assert {row["verdict"] for row in table} == set(want) and all(row["charge"] for row in table[:9] if row["usage"])


def test_disputes_are_opened_in_one_step_and_never_twice(carrier: Carrier) -> None:
    rows, _ = planted(carrier.rows)
    file = carrier.write(rows)
    opened = carrier.report(file, "--dispute")["disputes"]
    cases = {one["case"]["id"] for one in opened}
    assert len(cases) == 4 and {one["amount"] for one in opened} == {"0.000100000"}
    again = carrier.report(carrier.write(rows[::-1]), "--dispute")["disputes"]
    assert {one["case"]["id"] for one in again} == cases
    listed = carrier.cli("dispute", "list", "--store", carrier.store, "--json").json
    assert {one["id"] for one in listed} == cases
    case, charge = next((one["case"]["id"], one["charge"]) for one in opened)
    assert carrier.cli("dispute", "decide", case, "--store", carrier.store).code == 0
    after = carrier.report(file, "--all")
    (row,) = [one for one in after["rows"] if one.get("charge") == charge]
    assert row["verdict"] == "matched" and Decimal(row["standing"]) - Decimal(row["portion"]) == Decimal("0.0001")
    assert carrier.cli("verify", carrier.store, "--prefix-ok").code == 0


def test_an_invoice_by_day_and_rows_that_can_not_be_read(carrier: Carrier) -> None:
    days: dict[str, list[dict[str, str]]] = {}
    for row in carrier.rows:
        days.setdefault(row["start"][:10], []).append(row)
    file = carrier.folder / "invoice.csv"
    lines = ["day,service,uses,leg_seconds,amount,currency"]
    for day, members in sorted(days.items()):
        seconds, amount = (sum(Decimal(row[name]) for row in members) for name in ("leg_seconds", "amount"))
        lines.append(f"{day},call-telecom-bridge,{len(members)},{seconds},{amount},USD")
    file.write_text("\n".join(lines) + "\n")
    assert carrier.reconcile(file, "--zone", "UTC").code == 0
    file.write_text("\n".join([*lines[:2], lines[2].replace("USD", "usd"), "1,2", *lines[3:]]) + "\n")
    report = carrier.report(file, "--zone", "UTC")
    assert [one["row"] for one in report["bad"]] == [3, 4] and report["bad_rows"] == 2
    assert [(one["verdict"], one["uses"]) for one in report["rows"]] == [("missing", len(days[sorted(days)[1]]))]


def test_files_that_are_none_are_refused(carrier: Carrier) -> None:
    for name, text, said in (
        ("empty.csv", "", "has no rows"), ("head.csv", "id,amount\n", "has no rows"),
        ("one.csv", "id\n1\n", "no comma"), ("twice.csv", "id,id\n1,2\n", "stands twice"),
        ("list.jsonl", "[1]\n", "not a JSON object"), ("book.xlsx", "PK", "no ending that names a format"),
        ("long.csv", "id,amount\n" + "1,2\n" * 50_001, "more than 50,000 rows"),
    ):  # fmt: skip
        (carrier.folder / name).write_text(text)
        done = carrier.reconcile(carrier.folder / name)
        assert done.code == 1 and said in done.err and "Traceback" not in done.err
    assert "can not be read" in carrier.reconcile(carrier.folder / "none.csv").err
    assert "amount" in carrier.reconcile(carrier.write(carrier.rows), "--amount", "lots").err


def test_on_a_node_a_provider_reconciles_its_own(carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, want = planted(carrier.rows)
    here = carrier.report(carrier.write(rows))
    node = NodeProcess(carrier.store)
    key = node.first_key or node.key("operator")
    monkeypatch.setenv("APPORTION_KEY", key)
    there = carrier.report(carrier.write(rows), store=node.url)
    assert there == here
    client = apportion.Client(node.url, key=node.key("provider", "telecom-platform"))
    own = client.reconciling.file(carrier.write(rows))
    assert own.provider == "telecom-platform" and own.digest == here["digest"]
    with pytest.raises(Refused):
        client.reconciling.file(carrier.write(rows), provider="landline-dk")
    opened = client.reconciling.dispute(own)
    assert len([one for one in opened if one.case is not None]) == 4
    assert client.reconciling.dispute(client.reconciling.file(carrier.write(rows[::-1])))[0].case in [
        one.case for one in opened
    ]
    for role, status in (("user", 403), ("auditor", 200)):
        body = {"provider": "telecom-platform", "rows": [{"id": "0001"}]}
        party = "p300" if role == "user" else ""
        assert node.ask("POST", "/v1/reconciliations", body, node.key(role, party)).status == status
    long = {
        "provider": "telecom-platform",
        "rows": [{"id": f"{n:06}", "amount": "1." + "0" * 30} for n in range(20_000)],
    }
    answer = node.ask("POST", "/v1/reconciliations", long)
    assert answer.status == 200 and len(answer.json["rows"]) == 10_000 and answer.json["more"] > 9_000
    too_many = node.ask("POST", "/v1/reconciliations", {**long, "rows": [{"id": "1"}] * 50_001})
    assert too_many.status == 422 and too_many.json["field"] == "rows"
    stranger = node.ask("POST", "/v1/reconciliations", {"provider": "telecom-platform", "rows": [{"idd": "1"}]})
    assert stranger.status == 422 and stranger.json["code"] == "unknown_field"
    client.close()
    assert node.stop() == 0
