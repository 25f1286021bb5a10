"""The pages on planning: every command is run and prints what is shown, every formula is that of the program."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from apportion.engine.broker.scenarios import quality_points
from apportion.model.market import Weights
from apportion.money import Exact
from apportion.stages.broker.choosing.choose import PROOF_STEPS, STEPS
from tests.faces.driving import ROOT, Cli
from tests.faces.test_docs_commands import DOCS, Terminals, blocks, missing

HOW_TO, CONCEPT = "how-to/plan-a-request.md", "concepts/choosing.md"


class WithIds(Terminals):
    """Commands in which an id is cut short mean the last one that was printed; what is refused prints why."""

    def __init__(self, cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(cli, folder, monkeypatch)
        self.ids: dict[str, str] = {}

    def here(self, text: str) -> str:
        wanted = self.ids if text.startswith("apportion session ") else {"pln": "pln_ID", "ses": "ses_ID"}
        return super().here(re.sub(r"(pln|ses)_…", lambda cut: wanted[cut[1]], text))

    def _until(self, words: list[str], shown: str) -> list[str]:
        done = self.cli(*words)
        assert done.code == (1 if shown.startswith("apportion: ") else 0), (words, done.err)
        self.ids |= {found[1]: found[0] for found in re.finditer(r"(pln|ses)_[0-9a-f]{32}", done.out)}
        return re.sub(r"(pln|ses)_[0-9a-f]{32}", r"\1_ID", done.out + done.err).splitlines()


def test_a_request_from_the_market_to_the_charge(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    two = WithIds(cli, tmp_path, monkeypatch)
    files = ["films.toml", "request.toml", "quick.toml", "relaxed.toml", "preferring.toml"]
    for language, text in blocks(HOW_TO):
        if language == "console":
            two.run(text)
        elif language == "toml":
            Path(files.pop(0)).write_text(text)
        else:
            Path("evening.py").write_text(two.here(text))
    assert not files and two.node is not None and two.node.stop() == 0
    assert not missing("films.db: proven. …", cli("verify", "films.db").out.splitlines())


def test_the_readme_plans_a_hundred_calls(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("examples").symlink_to(ROOT / "examples")
    section = (ROOT / "README.md").read_text().split("## The best providers for a request")[1]
    lines = section.split("```")[1].split("\n")
    commands = [shlex.split(line, comments=True) for line in lines if line]
    plan = ""
    for words in commands:
        if words[0] == "python":
            made = subprocess.run([sys.executable, *words[1 : words.index(">")]], capture_output=True, check=True)
            Path(words[-1]).write_bytes(made.stdout)
            continue
        done = cli(*(plan if word == "PLAN" else word for word in words[1:]))
        assert done.code == 0, (words, done.err)
        plan = next(iter(re.findall(r"pln_[0-9a-f]{32}", done.out)), plan)
    assert "Who could deliver" in done.out and "It costs payers" in done.out


def test_the_points_of_the_concept_are_those_of_the_program() -> None:
    page = (DOCS / CONCEPT).read_text()
    weights = {name: int(weight) for name, weight in re.findall(r"^\| `(\w+)` \| (\d) \| 1", page, re.MULTILINE)}
    weights["rating"] = int(re.findall(r"^\| `rating` \| (\d)", page, re.MULTILINE)[0])
    usual = Weights()
    assert weights == {"latency": usual.latency, "availability": usual.availability, "rating": usual.rating}
    latency, availability, rating = (Weights(1, 1, *(place == at for place in range(3))) for at in range(3))
    told = re.findall(r"(\d+) ms (\d+)", page)
    assert len(told) == 4
    for milliseconds, points in told:
        assert quality_points(int(milliseconds), Exact(1), 0, latency) == int(points)
    up = re.findall(r"(1|0\.\d+) is (\d+)", page)
    assert len(up) == 4
    for fraction, points in up:
        assert quality_points(0, Exact.parse(fraction), 0, availability) == int(points)
    assert [quality_points(0, Exact(1), stars, rating) for stars in (5000, 3000)] == [1000, 600]
    assert f"{STEPS:,} steps" in page and f"{PROOF_STEPS:,} more steps" in page
