"""The how-to about what-if as a test: its commands run, and print what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faces.driving import Cli
from tests.faces.test_docs_commands import blocks, run_console


def test_what_if(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for language, text in blocks("how-to/what-if.md"):
        if language in ("toml", "csv"):
            Path("catalog.toml" if language == "toml" else "usage.csv").write_text(text)
        elif language == "console":
            run_console(cli, text)
    assert cli("verify", "parcels.db", "--heads", "parcels.db.heads").code == 0
