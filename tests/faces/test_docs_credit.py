"""The how-to about credit as a test: its commands run, and print what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from apportion.adapters.catalog_file import load_catalog
from tests.faces.driving import Cli
from tests.faces.test_docs_commands import blocks, run_console


def test_credit_and_dunning(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for language, text in blocks("how-to/credit-and-dunning.md"):
        if language == "console":
            run_console(cli, text)
        else:
            Path({"toml": "catalog.toml", "csv": "usage.csv"}[language]).write_text(text)


def test_the_catalog_of_the_concept_is_in_order(tmp_path: Path) -> None:
    [text] = [text for language, text in blocks("concepts/trust.md") if language == "toml"]
    (tmp_path / "catalog.toml").write_text("providers = { home = {} }\n" + text)
    assert load_catalog(tmp_path / "catalog.toml").payers["ada"].trust
