"""The how-to about reconciling as a test: its commands run, and print what it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.faces.driving import Cli
from tests.faces.test_docs_commands import blocks


def test_reconcile(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = iter(("usage.csv", "road.csv", "invoice.csv"))
    codes = iter((0, 1, 0, 1))  # 1 as long as anything is not matched
    for language, text in blocks("how-to/reconcile.md"):
        if language == "toml":
            Path("catalog.toml").write_text(text)
        elif language == "csv":
            Path(next(files)).write_text(text)
        for part in re.split(r"^\$ apportion ", text, flags=re.MULTILINE)[1:] if language == "console" else ():
            command, _, shown = part.partition("\n")
            done = cli(*shlex.split(command))
            assert (done.code, done.err) == (next(codes), ""), (command, done.err)
            printed = [line.rstrip() for line in done.out.splitlines()]
            for line in shown.splitlines():
                start, cut, _ = line.rstrip().partition("…")
                assert any(one.startswith(start.rstrip()) if cut else one == start for one in printed), (line, done.out)
    assert cli("verify", "parcels.db", "--heads", "parcels.db.heads").code == 0
