"""The page about the end of a month as a test: its commands run on the shipped example, and print what it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.books_hold import check_books
from tests.faces.driving import ROOT, Cli
from tests.faces.test_docs_commands import blocks, run_console


def test_a_month_is_closed_as_the_page_says(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("examples").symlink_to(ROOT / "examples")
    for _, text in blocks("how-to/close-a-month.md"):
        if "pyo_…" in text:  # for each that is open
            check_books(cli("export", "--store", "month.db").lines, paid=False)
            listed = cli("payouts", "--state", "created", "--store", "month.db").out
            for payout in re.findall(r"^pyo_\w+", listed, re.MULTILINE):
                run_console(cli, text.replace("pyo_…", payout))
        else:
            run_console(cli, text)
    check_books(cli("export", "--store", "month.db").lines)
    assert "<CtrlSum>4695.18</CtrlSum>" in Path("payout.xml").read_text()
