"""The how-to about disputes as a test: its commands run, and print what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faces.driving import Cli
from tests.faces.test_docs_commands import blocks, run_console


def test_disputes(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for language, text in blocks("how-to/disputes.md"):
        if language == "console":
            run_console(cli, text)
        else:
            Path({"toml": "catalog.toml", "csv": "usage.csv"}[language]).write_text(text)
    assert cli("verify", "parcels.db", "--heads", "parcels.db.heads").code == 0
    posted = {one["owner"]: one["posted"] for one in cli("balance", "--store", "parcels.db", "--json").json}
    # of 12 EUR a quarter went back: from each its part; 0.25 of what road had earned is hand's
    assert posted["road"] == "3.363375000" and posted["hand"] == "3.437500000" and posted["disputes"] == "0.000000000"
