"""Whose a plan is, remembered in a file: after a restart, with half a line, and never more than so many."""

from __future__ import annotations

from pathlib import Path

import pytest

from apportion.adapters import whose
from apportion.adapters.whose import Whose


def test_it_is_known_again_and_half_a_line_is_none(tmp_path: Path) -> None:
    path = tmp_path / "users"
    known = Whose(path)
    known.put("pln_1", "ada")
    known.put("pln_2", "ben\n")
    known.put("pln_1", "ada")
    assert path.read_text().count("\n") == 2
    with path.open("a") as file:
        file.write('["pln_3", "a')
    again = Whose(path)
    assert (again.get("pln_1"), again.get("pln_2"), again.get("pln_3")) == ("ada", "ben\n", None)
    again.put("pln_4", "ada")
    assert Whose(path).get("pln_4") == "ada" and Whose().get("pln_1") is None


def test_the_newest_are_kept_and_the_file_stays_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whose, "MOST", 10)
    known = Whose(tmp_path / "users")
    for number in range(95):
        known.put(f"pln_{number}", "ada")
        assert (tmp_path / "users").read_text().count("\n") <= 20
    again = Whose(tmp_path / "users")
    assert [again.get(f"pln_{number}") for number in (84, 85, 94)] == [None, "ada", "ada"]
