"""The reference pages of usage files and catalogs are true: their examples are read, and fail as they say."""

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path

import pytest

from apportion.adapters.catalog_file import load_catalog, read_tariff
from apportion.adapters.usage import Batch, read_usage
from apportion.errors import Misconfigured
from apportion.model.references import RECORD_COLUMNS

DOCS = Path(__file__).parents[2] / "docs" / "reference"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for kind, text in BLOCK.findall((DOCS / page).read_text()):
        found.setdefault(kind, []).append(text)
    return found


USAGE, CATALOG = blocks("usage.md"), blocks("catalog.md")


def read(folder: Path, name: str, text: str) -> Batch:
    (folder / "catalog.toml").write_text(USAGE["toml"][0])
    (folder / name).write_text(text)
    catalog = load_catalog(folder / "catalog.toml")
    [batch] = read_usage(folder / name, catalog.services, zone=catalog.zone)
    return batch


def test_columns_and_json_are_the_same_records(tmp_path: Path) -> None:
    columns = read(tmp_path, "usage.csv", USAGE["csv"][0])
    lines = read(tmp_path, "usage.jsonl", USAGE["json"][0])
    assert columns.records == lines.records
    assert len(columns.records) == 3
    assert not columns.rejects and not lines.rejects


def test_refusals_read_as_the_page_says(tmp_path: Path) -> None:
    batch = read(tmp_path, "usage.csv", USAGE["csv"][1])
    assert [reject.refusal.sentence() for reject in batch.rejects] == USAGE["text"][0].splitlines()
    assert [record.id for record in batch.records] == ["c-8"]


def test_the_python_example_runs(tmp_path: Path) -> None:
    read(tmp_path, "usage.csv", USAGE["csv"][0])
    printed, before = io.StringIO(), os.getcwd()
    try:
        os.chdir(tmp_path)
        with contextlib.redirect_stdout(printed):
            exec(USAGE["python"][0], {})
    finally:
        os.chdir(before)
    assert printed.getvalue().splitlines()[0] == "c-1 {'seconds': '90'}"


def test_the_page_names_every_column() -> None:
    page = (DOCS / "usage.md").read_text()
    assert all(f"`{column}`" in page for column in RECORD_COLUMNS)


def test_the_catalog_example_is_read(tmp_path: Path) -> None:
    (tmp_path / "catalog.toml").write_text(CATALOG["toml"][0])
    catalog = load_catalog(tmp_path / "catalog.toml")
    assert catalog.payers["alice"].credit == "25"
    assert [getattr(tariff.components[0], "price", "") for tariff in catalog.tariffs.values()] == [
        "10",
        "0.000006",
        "0.000007",
    ]


def test_the_deck_example_is_read(tmp_path: Path) -> None:
    (tmp_path / "voice.toml").write_text(CATALOG["toml"][1])
    (tmp_path / "deck.csv").write_text(CATALOG["csv"][0])
    deck = read_tariff(tmp_path / "voice.toml").deck
    assert deck is not None
    assert [(row.key, row.price) for row in deck.rows] == [("45", "0.010"), ("4520", "0.045")]


def test_catalog_errors_read_as_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "catalog.toml").write_text(CATALOG["toml"][2])
    with pytest.raises(Misconfigured) as caught:
        load_catalog(tmp_path / "catalog.toml")
    assert str(caught.value).splitlines() == CATALOG["text"][0].splitlines()
