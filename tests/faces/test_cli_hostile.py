"""Whatever stands on the command line: an exit code of 0, 1 or 2, a clean standard output, never a traceback."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest

from tests.faces.driving import QUICKSTART, Cli

#: serve is not among them: it serves
COMMANDS = (
    "rate,allocate,run,close,topup,balance,statement,explain,trace,export,verify,forget,init,"
    "catalog check,catalog apply,catalog show,catalog diff"
).split(",")
WORDS = (
    "", "-", "--", "-1", "--json", "--csv", "ada", "acct_00001", "chg_1e01562b8d228b47869e21006ca389ea", "EUR", "1.00",
    "catalog.toml", "usage.csv", "/", "/dev/null", "x\ny", "\x1b[31m", "[red]", "ü" * 300, "--view", "--role",
    "--period",
    "2026-11", "2026-13", "--out", "--heads", "--limit", "-5", "@none", "1/0", "9" * 400, "--store", "--tenant", "../x",
    "cat_", "cat_x", "nan", "\ud800",
)  # fmt: skip
TALKS_ON_FAILURE = {"verify", "rate", "catalog", "run", "trace", "export"}  # what they found stands on standard output


@pytest.mark.parametrize("seed", range(4))
def test_hostile_words(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("catalog.toml", "usage.csv"):
        Path(name).write_bytes((QUICKSTART / name).read_bytes())
    assert cli("run", "catalog.toml", "usage.csv").code == 0
    dice = random.Random(seed)
    for _ in range(100):
        words = [*dice.choice(COMMANDS).split(), *(dice.choice(WORDS) for _ in range(dice.randint(0, 4)))]
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
        done = cli(*words)
        assert done.code in (0, 1, 2), words
        assert "should not have happened" not in done.err, (words, done.err)
        assert "Traceback" not in done.err, words
        assert done.err or not done.code or words[0] in TALKS_ON_FAILURE, words
        assert not (done.code and done.out) or words[0] in TALKS_ON_FAILURE, (words, done.out)
