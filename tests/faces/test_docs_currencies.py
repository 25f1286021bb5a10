"""The how-to about currencies as a test: its commands run, and print what it shows; then everybody is paid."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faces.driving import Cli
from tests.faces.test_docs_commands import blocks, run_console


def test_currencies(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for language, text in blocks("how-to/currencies.md"):
        if language == "toml":
            Path("catalog.toml").write_text(text)
        elif language == "csv":
            Path("usage.csv").write_text(text)
        elif language == "console":
            run_console(cli, text)
    found = cli("exchange", "USD", "--store", "films.db", "--json").json
    assert [(one["currency"], one["worth"], one["explained"]) for one in found["data"]] == [
        ("USD", "-4.76", True), ("EUR", "11.38", True), ("JPY", "-6.80", True),
    ]  # fmt: skip
    ibans = {"platform": "DE89370400440532013000", "studio": "GB82WEST12345698765432", "wire": "CH9300762011623852957"}
    for name, iban in ibans.items():
        assert cli("payee", name, "--holder", f"{name} Ltd", "--iban", iban, "--store", "films.db").code == 0
    for number, form, mark in (("SET-000001", "pain001", 'Ccy="EUR"'), ("SET-000002", "csv", "JPY")):
        words = ("--format", form, "--out", number, "--store", "films.db")
        assert cli("payout", number, *words).code == 0
        assert mark in Path(number).read_text()
    for one in cli("payouts", "--store", "films.db", "--json").json:
        assert cli("payout", one["id"], "--confirm", "--store", "films.db").code == 0
    left = {(one["owner"], one["role"]): one["posted"] for one in cli("balance", "--store", "films.db", "--json").json}
    assert left["wire", "provider"] == "0.004000000" and left["studio", "provider"] == "-0.400000"
    assert cli("verify", "films.db", "--heads", "films.db.heads").code == 0


@pytest.mark.parametrize(
    ("rate", "where"),
    [
        ('from = "usd", to = "EUR", rate = 1, source = "me", at = 2026-03-01T00:00:00Z', "rates.0.from"),
        ('from = "USD", to = "USD", rate = 1, source = "me", at = 2026-03-01T00:00:00Z', "rates.0.to"),
        ('from = "USD/2", to = "EUR", rate = 1, source = "me", at = 2026-03-01T00:00:00Z', "rates.0.from"),
        ('from = "USD", to = "XXQ", rate = 1, source = "me", at = 2026-03-01T00:00:00Z', "rates.0.to"),
        ('from = "USD", to = "EUR", rate = 0, source = "me", at = 2026-03-01T00:00:00Z', "rates.0.rate"),
        ('from = "USD", to = "EUR", rate = -1, source = "me", at = 2026-03-01T00:00:00Z', "rates.0.rate"),
        ('from = "USD", to = "EUR", rate = "1/3", source = "me", at = 2026-03-01T00:00:00Z', "rates.0.rate"),
        ('from = "USD", to = "EUR", rate = 1, source = "", at = 2026-03-01T00:00:00Z', "rates.0.source"),
        ('from = "USD", to = "EUR", rate = 1, source = "me"', "rates[0].at"),
    ],
)
def test_a_rate_that_means_nothing_is_refused(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: str, where: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("catalog.toml").write_text(f"rates = [{{ {rate} }}]\n")
    done = cli("catalog", "check", "catalog.toml", "--json")
    assert done.code == 1 and [one["field"] for one in done.json["findings"]] == [where]


def test_prices_without_a_rate_are_refused(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = next(text for language, text in blocks("how-to/currencies.md") if language == "toml")
    without = text.replace('{ from = "JPY", to = "USD"', '{ from = "JPY", to = "GBP"')
    period = text.replace("[tariffs.cinema]", '[tariffs.cinema]\nperiod_minimum = "5"')
    passed = text.replace("measures = {", 'market = { retail = "passed-on" }\nmeasures = {')
    twice = text.replace("2026-03-09", "2026-03-01")
    for changed, code in (
        (period, "asset_mismatch"),
        (without, "no_rate"),
        (passed, "asset_mismatch"),
        (twice, "catalog_invalid"),
    ):
        Path("catalog.toml").write_text(changed)
        done = cli("catalog", "check", "catalog.toml", "--json")
        assert done.code == 1 and code in {one["code"] for one in done.json["findings"]}, done.out
