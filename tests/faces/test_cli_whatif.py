"""``whatif`` at the command line: options and files, for a person and for a program, and what is refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from apportion.wiring import open_engine
from tests.book import catalog, ride
from tests.faces.driving import QUICKSTART, Cli


def test_many_parties_are_folded_for_a_person_and_told_to_a_program(cli: Cli, tmp_path: Path) -> None:
    with open_engine(str(tmp_path / "b.db")) as engine:
        engine.apply(catalog())
        engine.charge([ride(number, f"p{number:02}", km=f"{number}") for number in range(30)])
    words = ("whatif", "--store", tmp_path / "b.db", "--tariff", "ride=car")
    shown = cli(*words).out
    payers = [line.split() for line in shown.splitlines() if line.startswith("payer")]
    assert len(payers) == 21 and payers[-1][1:3] == ["10", "others"]
    assert "Everybody by name: the same with --csv or --json." in shown
    table = [line.split(",") for line in cli(*words, "--csv").out.splitlines()]
    mine = [row for row in table if row[0] == "payer"]
    shown_sum = sum(Decimal(row[3]) for row in payers[:-1]) + Decimal(payers[-1][4])
    assert len(mine) == 30 and sum(Decimal(row[3]) for row in mine) == shown_sum
    assert [row[1] for row in mine[:2]] == ["p29", "p28"]  # whom it touches most stands first
    assert len(cli(*words, "--json").json["parties"]) == len(table) - 1


def test_a_file_and_options_that_change_it(cli: Cli, rides: Path, tmp_path: Path) -> None:
    text = (QUICKSTART / "catalog.toml").read_text()
    (tmp_path / "other.toml").write_text(text)
    same = cli("whatif", tmp_path / "other.toml", "--store", rides, "--json").json
    assert same["records"] == same["untouched"] + same["replayed"] == 6
    assert all(not Decimal(one["difference"]) for one in same["parties"])
    (tmp_path / "broken.toml").write_text(text.replace("retail =", "retale =", 1))
    assert cli("whatif", tmp_path / "broken.toml", "--store", rides).code == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--share", "no-equals"), 2, "WHAT=TO"),
        (("--json", "--csv"), 2, "Choose one"),
        (("--provider", "nobody=nobody"), 1, "there is no provider 'nobody'"),
        (("--period", "2031-01"), 1, "nothing was charged in 2031-01"),
        (("--service", "nothing"), 1, "no service 'nothing'"),
        (("gone.toml",), 1, "gone.toml"),
    ],
)
def test_what_is_wrong_is_named(cli: Cli, rides: Path, words: tuple[str, ...], code: int, said: str) -> None:
    done = cli("whatif", *words, "--store", rides)
    assert done.code == code and said in done.err
