"""The tutorial and the how-to as tests: every command is run, every line that is shown must be printed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faces.api.nodes import NodeProcess
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


class Terminals:
    """Two terminals: a node in one, everything else in the other; the page says 8080, the node takes a free port."""

    def __init__(self, cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cli, self.folder, self.monkeypatch = cli, folder, monkeypatch
        self.node: NodeProcess | None = None

    def here(self, text: str) -> str:
        return text.replace("127.0.0.1:8080", "{}:{}".format(*self.node.address)) if self.node is not None else text

    def run(self, text: str) -> None:
        """Every command of a block, with what it must print."""
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            words = shlex.split(self.here(command))
            if words[:2] == ["apportion", "serve"]:
                self.node = NodeProcess(self.folder / words[words.index("--store") + 1], *words[4:])
                printed = self.node.said.replace(str(self.folder) + "/", "").splitlines()
            elif words[0] == "export":
                assert self.node is not None and words[1] == "APPORTION_KEY=apk_…"
                self.monkeypatch.setenv("APPORTION_KEY", self.node.first_key)
                continue
            elif words[0] == "python":
                environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
                made = subprocess.run(
                    [sys.executable, *words[1:]], env=environment, capture_output=True, text=True, timeout=60
                )
                assert made.returncode == 0, made.stderr
                printed = made.stdout.splitlines()
            else:
                assert words[0] == "apportion"
                printed = self._until(words[1:], self.here(shown))
            assert not missing(self.here(shown), printed), (command, missing(self.here(shown), printed), printed)

    def _until(self, words: list[str], shown: str) -> list[str]:
        """What a command prints; asked again for some seconds, as a person does who waits for the node."""
        last = time.monotonic() + (15 if words[0] == "balance" else 0)
        while True:
            done = self.cli(*words)
            assert done.code == 0, (words, done.err)
            printed = [line.rstrip() for line in done.out.splitlines()]
            if not missing(shown, printed) or time.monotonic() > last:
                return printed
            time.sleep(0.1)


def missing(shown: str, printed: list[str]) -> list[str]:
    """Lines of a page that were not printed; what follows an ellipsis may be anything."""
    found = []
    for line in shown.splitlines():
        start, cut, _ = line.rstrip().partition("…")
        if not any(one.rstrip().startswith(start) if cut else one.rstrip() == start for one in printed):
            found.append(line)
    return found


def test_a_metered_service(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    two = Terminals(cli, tmp_path, monkeypatch)
    files = {"toml": ["calls/catalog.toml"], "python": ["meter.py", "finish.py"], "csv": ["december.csv"]}
    for language, text in blocks("tutorial/metered-service.md"):
        if language == "console":
            two.run(text)
        else:
            Path(files[language].pop(0)).write_text(two.here(text))
    assert two.node is not None and two.node.stop() == 0


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
