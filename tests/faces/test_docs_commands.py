"""The tutorial and the how-to as tests: every command is run, every line that is shown must be printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faces.driving import ROOT, Cli

DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> Iterator[tuple[str, str]]:
    for match in BLOCK.finditer((DOCS / page).read_text()):
        yield match[1], match[2]


def run_console(cli: Cli, text: str) -> None:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        words = shlex.split(command)
        assert words[0] == "apportion"
        if words[1] == "demo":
            continue  # has tests of its own
        done = cli(*words[1:])
        assert done.code == 0, (command, done.err)
        printed = [line.rstrip() for line in done.out.splitlines()]
        for line in shown.splitlines():
            start, cut, _ = line.rstrip().partition("…")
            assert any(one.startswith(start) if cut else one == start for one in printed), (command, line, done.out)


def test_first_ten_minutes(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for language, text in blocks("tutorial/first-ten-minutes.md"):
        if language == "console":
            run_console(cli, text)


def test_a_domain_of_your_own(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for language, text in blocks("how-to/your-own-domain.md"):
        if language == "toml":
            with Path("charging.toml").open("a") as file:
                file.write(text)
        elif language == "csv":
            Path("sessions.csv").write_text(text)
        elif language == "console":
            run_console(cli, text)
    shares = Path("charging.toml").read_text().replace("attributes = [", 'allocate = "shares"\nattributes = [')
    Path("shares.toml").write_text(shares)
    assert cli("run", "shares.toml", "sessions.csv", "--store", "shares.db").code == 0
    paid = {
        one["owner"]: one["posted"] for one in cli("balance", "--role", "payer", "--store", "shares.db", "--json").json
    }
    assert round(float(paid["gorm"]) / float(paid["holger"]), 6) == 2


def test_the_reference_of_commands_is_fresh() -> None:
    import runpy

    assert "reference/cli.md" not in runpy.run_path(str(DOCS / "generate.py"))["stale_pages"]()
