"""Fitting on real histories: how well it ranks clients that it has not seen, and that it comes out the same."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from apportion.engine.credit.standing import default_model
from apportion.errors import Misconfigured, Refused
from apportion.faces.cli import trust
from apportion.model.credit import Example, History, Month
from apportion.money import Exact, round_to
from apportion.stages.credit import FACTORS, auc, fit, predict

np = pytest.importorskip("numpy")
HISTORY = Path(__file__).resolve().parents[4] / "examples" / "credit" / "history.csv.gz"


@pytest.fixture(scope="module")
def clients() -> list[Example]:
    return list(trust.examples(HISTORY))


def test_unseen_clients_are_ranked(clients: Sequence[Example]) -> None:
    model = fit(clients, HISTORY.name)
    assert Exact.parse(model.auc) >= Exact.parse("0.77")
    assert Exact.parse(model.auc_folds) >= Exact.parse("0.74")
    unseen = clients[len(clients) * 3 // 4 :]
    assert len(unseen) > 2500
    scores = [(predict(model, one.history) * Exact(10**12)).floor() for one in unseen]
    found = auc(scores, [one.kept for one in unseen])
    assert found is not None and round_to(found, 4).text() == model.auc
    assert model == default_model(), "fit it again: apportion trust fit examples/credit/history.csv.gz"


def test_no_factor_counts_the_wrong_way(clients: Sequence[Example]) -> None:
    signs = {factor.name: factor.sign for factor in FACTORS}
    upside_down = [msgspec.structs.replace(one, kept=not one.kept) for one in clients[:2000]]
    for examples in (clients[:2000], upside_down):
        for weight in fit(examples).weights:
            assert Exact.parse(weight.coefficient).num * signs[weight.factor] >= 0


def test_amounts_in_another_currency_give_the_same_model(clients: Sequence[Example]) -> None:
    def times(one: Example) -> Example:
        months = tuple(Month(m.billed * 7, m.paid * 7, m.limit * 7, 0, m.months_late) for m in one.history.months)
        return msgspec.structs.replace(one, history=History(months, one.history.overdue))

    assert fit([times(one) for one in clients[:1000]]) == fit(clients[:1000])


def test_the_shipped_history_says_nothing_about_persons() -> None:
    with gzip.open(HISTORY, "rt", encoding="utf-8", newline="") as file:
        assert tuple(next(csv.reader(file))) == trust.COLUMNS
    assert HISTORY.stat().st_size <= 250_000


def test_the_page_names_every_factor() -> None:
    page = (HISTORY.parents[2] / "docs" / "concepts" / "trust.md").read_text(encoding="utf-8")
    assert all(f"`{factor.name}`" in page for factor in FACTORS)
    assert all(f"`{column}`" in page for column in trust.COLUMNS)
    assert default_model().auc in page and default_model().auc_folds in page


def test_auc_by_hand() -> None:
    assert auc([1, 2, 3, 4], [False, False, True, True]) == Exact(1)
    assert auc([1, 2, 3, 4], [True, False, True, False]) == Exact(1, 4)
    assert auc([5, 5, 5], [True, False, True]) == Exact(1, 2)
    assert auc([1, 2], [True, True]) is None and auc([], []) is None


def test_what_can_not_be_fitted_is_refused(clients: Sequence[Example], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused):
        fit(clients[:99])
    with pytest.raises(Refused):
        fit([msgspec.structs.replace(one, kept=True) for one in clients[:200]])
    monkeypatch.setitem(__import__("sys").modules, "numpy", None)
    with pytest.raises(Misconfigured, match=r"apportion\[trust\]"):
        fit(clients)


# ── the command and its file ──


def test_the_command_writes_the_model_that_is_shipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trust.fit(str(HISTORY), out=str(tmp_path / "model.json"))
    said = capsys.readouterr().out
    assert "AUC 0.7" in said and "lowers the score" in said
    shipped = Path(trust.__file__).parents[2] / "stages" / "credit" / "model.json"
    assert (tmp_path / "model.json").read_bytes() == shipped.read_bytes()
    trust.show(model=str(tmp_path / "model.json"))
    assert default_model().version in capsys.readouterr().out


HEAD = ",".join(trust.COLUMNS) + "\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("client,limit\na,1\n", "lacks billed"),
        (HEAD + "a,1,1,1,0,perhaps\n", "line 2: outcome"),
        (HEAD + ",1,1,1,0,paid\n", "line 2: client"),
        (HEAD + "a,1,1,1,0,paid\n,,x,1,0,\n", "line 3: billed"),
        (HEAD + "a,1,1,1,-1,paid\n", "line 2: months_late"),
        (HEAD + "a,,1,1,0,paid\n", "line 2: limit"),
        (HEAD + "a\n", "line 2: outcome"),
        ("\0\0\0", "history"),
    ],
)
def test_a_bad_history_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "h.csv").write_text(text)
    with pytest.raises(Refused) as refused:
        list(trust.examples(tmp_path / "h.csv"))
    assert said in refused.value.refusal.sentence() or said == "history"


def test_a_broken_packed_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "h.csv.gz").write_bytes(HISTORY.read_bytes()[:5000])
    with pytest.raises(Refused):
        list(trust.examples(tmp_path / "h.csv.gz"))


def test_months_take_what_is_not_written_from_above(tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text(HEAD + "a,9,5,1,2,missed\n,,4,0,1,\n,8,3,3,0,\nb,7,1,1,0,paid\n")
    first, second = trust.examples(tmp_path / "h.csv")
    assert [month.limit // 10**9 for month in first.history.months] == [9, 9, 8]
    assert (first.kept, second.kept, first.history.overdue) == (False, True, 2)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    for text in (b"{}", b"\xff", b"[1"):
        (tmp_path / "m.json").write_bytes(text)
        with pytest.raises(Refused):
            trust.show(model=str(tmp_path / "m.json"))
