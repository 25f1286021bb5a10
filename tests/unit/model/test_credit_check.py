"""What a catalog may say of trust and dunning, and every way in which it can contradict itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from apportion.adapters.catalog_file import load_catalog
from apportion.errors import Misconfigured
from apportion.model.credit import Dunning, TrustPolicy

GOOD = """
payers.ada = { currency = "EUR", trust = true }
dunning = { due_days = 14, reminders = [3, 10], write_off = 60 }
[[trust]]
currency = "EUR"
cap = 1000
starting = 20.5
share = 0.25
minimum_score = 0.7
minimum_months = 3
months = 12
"""


def test_numbers_may_be_numbers(tmp_path: Path) -> None:
    (tmp_path / "catalog.toml").write_text(GOOD)
    found = load_catalog(tmp_path / "catalog.toml")
    assert found.trust == (TrustPolicy("EUR", "1000", "20.5", "0.25", "0.7", 3, 12),)
    assert found.dunning == Dunning(14, (3, 10), 60) and found.payers["ada"].trust


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('currency = "EUR"\ncap', 'currency = "USD"\ncap', "payers.ada.trust"),
        ('currency = "EUR"\ncap', 'currency = "EUR/2"\ncap', "trust[0].currency"),
        ('currency = "EUR"\ncap', 'currency = "euro"\ncap', "trust[0].currency"),
        ("cap = 1000", 'cap = "x"', "trust[0].cap"),
        ("cap = 1000", "cap = -1", "trust[0].cap"),
        ("cap = 1000", "cap = 20", "trust[0].starting"),
        ("share = 0.25", "share = 1.5", "trust[0].share"),
        ("minimum_score = 0.7", "minimum_score = -0.1", "trust[0].minimum_score"),
        ("minimum_months = 3", "minimum_months = 13", "trust[0].months"),
        ("months = 12", "months = 61", "trust[0].months"),
        ("months = 12", 'months = 12\n[[trust]]\ncurrency = "EUR"\ncap = 1', "trust[1].currency"),
        ("due_days = 14", "due_days = -1", "dunning.due_days"),
        ("[3, 10]", "[10, 3]", "dunning.reminders"),
        ("write_off = 60", "write_off = 10", "dunning.write_off"),
        ("write_off = 60", "write_off = 60, day = 0", "dunning.day"),
        ("dunning = {", 'trust_model = { intercept = "1", weights = [] }\ndunning = {', ""),
    ],
)
def test_what_contradicts_itself_is_named_with_its_place(tmp_path: Path, old: str, new: str, where: str) -> None:
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    (tmp_path / "catalog.toml").write_text(text)
    if not where:  # the model is held against its own hash when the catalog is applied
        assert load_catalog(tmp_path / "catalog.toml").trust_model is not None
        return
    with pytest.raises(Misconfigured) as wrong:
        load_catalog(tmp_path / "catalog.toml")
    assert where in {refusal.field for refusal in wrong.value.refusals}
    assert all(refusal.fix for refusal in wrong.value.refusals)


def test_a_model_without_a_policy_serves_nothing(tmp_path: Path) -> None:
    (tmp_path / "catalog.toml").write_text('trust_model = { intercept = "1", weights = [] }')
    with pytest.raises(Misconfigured, match="no policy to serve"):
        load_catalog(tmp_path / "catalog.toml")
