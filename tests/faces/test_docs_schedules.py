"""The how-to about schedules as a test: its commands run, and print what it shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faces.driving import Cli
from tests.faces.test_docs_commands import blocks, run_console


def test_schedules(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for language, text in blocks("how-to/schedules.md"):
        if language == "toml":
            Path("catalog.toml").write_text(text)
        elif language == "csv":
            Path("usage.csv").write_text(text)
        elif language == "console":
            run_console(cli, text)
    again = cli("schedule", "--now", "--json", "--store", "power.db")
    jobs = {one["job"]: one for one in json.loads(again.out)["jobs"]}
    assert (jobs["close"]["state"], jobs["payout"]["state"]) == ("done", "off") and jobs["settle"]["last"] == ""
    assert cli("verify", "power.db", "--heads", "power.db.heads").code == 0
    refused = cli("schedule", "--now", "--store", "http://127.0.0.1:1")
    assert refused.code == 2 and "by itself" in refused.err
