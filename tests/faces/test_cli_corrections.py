"""``correct`` at the command line: what goes back, as a table, JSON and CSV, and what is refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from apportion.wiring import open_engine
from tests.book import catalog, ride
from tests.faces.driving import Cli


def charged(folder: Path) -> tuple[Path, str]:
    with open_engine(str(folder / "b.db")) as engine:
        engine.apply(catalog())
        return folder / "b.db", engine.charge([ride(1)])[0].id


def test_back_in_two_pieces_and_no_more(cli: Cli, tmp_path: Path) -> None:
    store, charge = charged(tmp_path)
    first = cli("correct", charge, "1.00", "--reference", "c-1", "--csv", "--store", store)
    rows = [line.split(",") for line in first.out.splitlines()]
    assert rows[0] == ["what", "who", "amount", "currency"] and rows[1][0::2] == ["pays", "-1.000000000"]
    assert sum(Decimal(row[2]) for row in rows[2:]) == -1
    rest = cli("correct", charge, "--json", "--store", store)
    refused = cli("correct", charge, "--json", "--store", store)
    assert refused.code == 1 and (refused.error["code"], refused.error["field"]) == ("bad_amount", "amount")
    with open_engine(str(store)) as engine:
        assert Decimal(engine.books.record(charge).charge.total) == 1 - Decimal(rest.json["total"])
        assert not any(Decimal(view.posted) for view in engine.books.accounts() if view.role in ("provider", "tax"))


def test_shared_anew(cli: Cli, tmp_path: Path) -> None:
    store, charge = charged(tmp_path)
    words = ("correct", charge, "0.25", "--to", "dora", "--part", "driver", "--against", "otto", "--json")
    made = cli(*words, "--store", store).json
    assert {one["provider"]: Decimal(one["amount"]) for one in made["portions"]} == {
        "dora": Decimal("0.25"), "otto": Decimal("-0.25"),
    }  # fmt: skip
    assert cli("correct", charge, "--to", "dora", "--store", store).code == 2
