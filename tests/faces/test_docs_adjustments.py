"""The how-to about adjustments as a test: its commands run and print what it shows; and other forms of ``rerate``."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.faces.driving import Cli
from tests.faces.test_docs_commands import blocks, run_console


@pytest.fixture
def laundry(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The how-to, done."""
    monkeypatch.chdir(tmp_path)
    files = {"toml": ["catalog.toml"], "csv": ["march.csv", "late.csv"]}
    for language, text in blocks("how-to/adjustments.md"):
        if language in files:
            Path(files[language].pop(0)).write_text(text)
            Path("corrected.toml").write_text(Path("catalog.toml").read_text().replace("2.40", "2.20"))
        elif language == "console":
            run_console(cli, text)
    return cli


def test_late_usage_and_a_price_error_of_a_laundry(laundry: Cli) -> None:
    assert laundry("verify", "laundry.db", "--heads", "laundry.db.heads").code == 0
    found = laundry("balance", "--role", "payer", "--store", "laundry.db", "--json").json
    assert {one["owner"]: one["posted"] for one in found} == {"ada": "-77.000000000", "ben": "-5.500000000"}
    words = ("rerate", "--service", "wash", "--catalog", "catalog.toml", "--store", "laundry.db")
    dearer = laundry(*words, "--only-credits", "--json").json
    assert dearer["corrected"] == 0 and [(one["reason"], one["count"]) for one in dearer["left"]] == [("dearer", 2)]
    table = list(csv.DictReader(laundry(*words, "--payer", "ben", "--csv").out.splitlines()))
    assert [(row["who"], row["change"]) for row in table if row["role"] == "payer"] == [("ben", "0.500000000")]
    assert "1 would be corrected" in laundry(*words, "--dry-run").out
    for more, code in (
        (["--catalog", "cat_0"], "not_found"),
        (["--from", "now"], "bad_time"),
        (["--payer", "x"], "not_found"),
    ):
        refused = laundry("rerate", "--service", "wash", *more, "--store", "laundry.db", "--json")
        assert refused.code == 1 and refused.error["code"] == code
    assert laundry("rerate", "--service", "was", "--store", "laundry.db", "--json").error["code"] == "unknown_service"
    assert laundry("verify", "laundry.db", "--heads", "laundry.db.heads").code == 0
