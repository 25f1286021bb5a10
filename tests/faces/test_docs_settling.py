"""The how-to about settling as a test: its commands run, and print what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.books_hold import check_books
from tests.faces.driving import Cli
from tests.faces.test_docs_commands import blocks, run_console


def test_settle_and_pay_out(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for language, text in blocks("how-to/settle-and-pay-out.md"):
        if language == "toml":
            Path("catalog.toml").write_text(text)
        elif language == "csv":
            Path("usage.csv").write_text(text)
        elif language == "console":
            run_console(cli, text)
    assert cli("verify", "parcels.db", "--heads", "parcels.db.heads").code == 0
    check_books(cli("export", "--store", "parcels.db").lines, billed=False, settled=False, paid=False)
    file = Path("payout.xml").read_text()
    assert "CH9300762011623852957" in file and "<CtrlSum>8.05</CtrlSum>" in file
