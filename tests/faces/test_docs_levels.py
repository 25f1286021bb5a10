"""The how-to about service levels as a test: its commands run, and print what it shows."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.faces.driving import Cli
from tests.faces.test_docs_commands import blocks, run_console


def test_service_levels(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for language, text in blocks("how-to/service-levels.md"):
        if language == "toml":
            Path("catalog.toml").write_text(text)
        elif language == "csv":
            Path("usage.csv").write_text(text)
        elif language == "console":
            run_console(cli, text)
    listed = cli("level", "list", "--store", "calls.db", "--csv").out
    rows = {row["target"]: row for row in csv.DictReader(io.StringIO(listed))}
    assert {name: row["measured"] for name, row in rows.items()} == {
        "availability": "1", "success": "0.75", "latency": "270",
    }  # fmt: skip
    assert {row["credit"] for row in rows.values()} == {"0.300000000"}
    (level,) = json.loads(cli("level", "list", "--store", "calls.db", "--json").out)
    shown = cli("level", "show", level["id"], "--store", "calls.db").out
    assert "success 75 % (promised 90 %): missed" in shown and "credited, a credit of 0.300000000 EUR" in shown
    assert cli("level", "approve", level["id"], "--store", "calls.db").code == 1
    assert cli("level", "waive", "lvl_nothing", "--store", "calls.db").code == 1
    words = ("level", "outage", "elm", "2026-04-07T10:00:00Z", "2026-04-07T11:30:00+00:00", "--store", "calls.db")
    assert cli(*words).out == cli(*words).out
    assert "2026-04-07T11:30:00.000000Z" in cli("level", "outages", "--store", "calls.db").out
    assert cli("level", "outage", "elm", "2026-04-07T10:00:00Z", "then", "--store", "calls.db").code == 1
    assert cli("level", "measure", "--store", "calls.db").out.endswith("0 measured now.\n")
