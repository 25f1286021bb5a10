"""The page on markets: every command is run, and its table of weights is that of the program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from apportion.stages.broker.rating import GIVEN, WEIGHTS
from tests.faces.driving import Cli
from tests.faces.test_docs_commands import DOCS, blocks, run_console

PAGE = "how-to/run-a-market.md"


def test_a_market_as_the_page_says(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = ["calls.toml", "offers.toml"]
    for language, text in blocks(PAGE):
        if language == "toml":
            Path(files.pop(0)).write_text(text)
        elif language == "console":
            run_console(cli, text)
    live = [one["provider"] for one in cli("offers", "--json").json if one.get("source") != "catalog"]
    assert sorted(live) == ["bridge-b", "telco"]
    assert cli("verify", "--store", "apportion.db").code == 0


def test_the_weights_are_those_of_the_program() -> None:
    rows = re.findall(r"^\| `?([a-z ]+)`? \| (\d) \|", (DOCS / PAGE).read_text(), re.MULTILINE)
    assert {name: int(weight) for name, weight in rows} == {"given by users": GIVEN, **WEIGHTS}
