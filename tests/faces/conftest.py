"""Driving the real command line in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from apportion.faces.cli import main
from tests.faces.driving import QUICKSTART, Cli, Done


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run one command in this process."""

    def run(*words: object) -> Done:
        code = main([str(word) for word in words])
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def rides(cli: Cli, tmp_path: Path) -> Path:
    """A store with the six rides of the quickstart."""
    store = tmp_path / "rides.db"
    done = cli("run", QUICKSTART / "catalog.toml", QUICKSTART / "usage.csv", "--store", store)
    assert done.code == 0, done.err
    return store
