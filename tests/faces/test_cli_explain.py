"""``apportion explain``: who may see what, the arithmetic, and that nobody can work out what is not theirs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.faces.driving import Cli

#: wholesale prices that can be told from anything else
GRID, SUN = "0.0731337", "0.0456789"
CATALOG = f"""
name = "canary"
unknown_payers = {{ currency = "EUR", credit = "1000" }}

[services.power]
retail = "home"
measures = {{ kwh = "kWh", moves = "moves" }}
attributes = ["meter"]
personal = ["address"]
allocate = "cost"
[services.power.parts]
grid = {{ provider = "wires", wholesale = {{ wires = "grid" }} }}
sun = {{ provider = "solar", wholesale = {{ solar = "sun" }} }}

[services.cheap]
retail = "gift"
measures = {{ kwh = "kWh" }}
guard = false
[services.cheap.parts]
grid = {{ provider = "wires", wholesale = {{ wires = "grid" }} }}

[services.song]
retail = "song"
measures = {{ plays = "plays" }}
apportion = "shares"
platform = "0.15"
[services.song.parts]
label = {{ provider = "label", share = "0.60" }}
writer = {{ provider = "writer", share = "0.25" }}

[tariffs.home]
currency = "EUR"
taxes = {{ vat = "19" }}
tax = "vat"
components = [
  {{ kind = "unit", name = "energy", measure = "kwh", price = "0.30" }},
  {{ kind = "graduated", name = "steps", measure = "moves", optional = true, tiers = [
    {{ up_to = "10", price = "1" }}, {{ price = "0.5" }} ] }},
]
[tariffs.gift]
currency = "EUR"
components = [{{ kind = "unit", name = "energy", measure = "kwh", price = "0.01" }}]
[tariffs.song]
currency = "EUR"
components = [{{ kind = "unit", name = "play", measure = "plays", price = "0.01" }}]
[tariffs.grid]
currency = "EUR"
components = [{{ kind = "unit", name = "wires-only", measure = "kwh", price = "{GRID}" }}]
[tariffs.sun]
currency = "EUR"
components = [{{ kind = "unit", name = "sun-only", measure = "kwh", price = "{SUN}" }}]
[providers]
wires = {{ name = "Wires" }}
solar = {{ name = "Solar" }}
label = {{ name = "Label" }}
writer = {{ name = "Writer" }}
"""
START = "2026-11-01T10:00:00Z"
USAGE: list[dict[str, Any]] = [
    {
        "id": "1", "service": "power", "start": START, "payers": [{"payer": "ada"}],
        "quantities": {"kwh": "13", "moves": "12"}, "attributes": {"meter": "m-1", "address": "Elm Street 4"},
    },
    {
        "id": "2", "service": "power", "start": START, "quantities": {},
        "payers": [{"payer": "ada", "quantities": {"kwh": "1"}}, {"payer": "ben", "quantities": {"kwh": "2"}}],
    },
    {"id": "3", "service": "cheap", "start": START, "payers": [{"payer": "ada"}], "quantities": {"kwh": "10"}},
    {"id": "4", "service": "song", "start": START, "payers": [{"payer": "ada"}], "quantities": {"plays": "7"}},
    {"id": "5", "service": "song", "start": START, "payers": [{"payer": "ada"}], "quantities": {"plays": "seven"}},
]  # fmt: skip


@pytest.fixture
def store(cli: Cli, tmp_path: Path) -> Path:
    (tmp_path / "catalog.toml").write_text(CATALOG)
    lines = [json.dumps({"source": "t", **one}) for one in USAGE]
    (tmp_path / "usage.jsonl").write_text("\n".join(lines) + "\n")
    done = cli("run", tmp_path / "catalog.toml", tmp_path / "usage.jsonl", "--store", tmp_path / "b.db", "--json")
    assert (done.code, done.json["charged"], done.json["alerts"]) == (0, 4, 0), done.out
    return tmp_path / "b.db"


@pytest.fixture
def charges(cli: Cli, store: Path) -> dict[str, str]:
    """Charge ids by the id of the usage record, from the export."""
    lines = [json.loads(line) for line in cli("export", "--store", store).out.splitlines()]
    keys = {line["key"]: line["id"] for line in lines if line["type"] == "usage"}
    return {keys[line["usage"]]: line["id"] for line in lines if line["type"] == "charge"}


def facts(found: dict[str, Any], title: str) -> dict[str, str]:
    return {
        fact["name"].strip(): fact["value"]
        for one in found["sections"]
        if one["title"] == title
        for fact in one["facts"]
    }


def test_the_operator_sees_all_and_it_adds_up(cli: Cli, store: Path, charges: dict[str, str]) -> None:
    found = cli("explain", charges["1"], "--store", store, "--json").json
    assert facts(found, "What was used") == {"service": "power", "at": START, "kwh": "13 kWh", "moves": "12 moves"}
    assert facts(found, "What it costs") == {
        "energy": "3.90 EUR", "steps": "11.00 EUR", "fee": "14.90 EUR", "tax vat": "2.831 EUR", "total": "17.731 EUR",
    }  # fmt: skip
    assert facts(found, "Who pays") == {"ada": "17.731 EUR"}
    earned = facts(found, "Who earns")
    assert (earned["wires (grid)"], earned["solar (sun)"]) == ("0.9507381 EUR", "0.5938257 EUR")
    assert earned["platform"] == "13.3554362 EUR"
    assert found["holds"] is True
    assert found["check"] == "paid 17.731 = portions 1.5445638 + platform 13.3554362 + tax 2.831"
    assert facts(found, "Terms and books")["catalog"].startswith("cat_")
    text = cli("explain", charges["1"], "--store", store).out
    assert "13 kWh at 0.0731337" in text
    assert "Adds up: paid 17.731 = " in text
    assert "Elm Street" not in text


def test_neither_user_nor_provider_sees_what_others_earn(cli: Cli, store: Path, charges: dict[str, str]) -> None:
    secrets = {
        "1": ["0.0731337", "0.0456789", "0.9507381", "0.5938257", "1.5445638", "13.3554362", "wires-only", "sun-only"],
        "2": ["0.0731337", "0.0456789", "0.2194011", "0.1370367", "0.5435622"],
        "3": ["0.0731337", "0.731337", "0.631337", "wires-only"],
        "4": ["0.042", "0.0175", "0.0105", "0.60", "0.25", "0.15"],
    }
    for record, words in secrets.items():
        for view in ("user", "user=ada"):
            for form in ([], ["--json"]):
                done = cli("explain", charges[record], "--view", view, "--store", store, *form)
                assert done.code == 0
                assert [word for word in words if word in done.out] == [], (record, view)
                assert "platform" not in done.out
    for form in ([], ["--json"]):
        wires = cli("explain", charges["1"], "--view", "provider=wires", "--store", store, *form).out
        assert GRID in wires and "0.9507381" in wires
        foreign = [SUN, "0.5938257", "sun-only", "solar", "17.731", "14.90", "13.3554362", "ada", "0.30", "vat"]
        assert [word for word in foreign if word in wires] == []


def test_the_user_sees_price_tax_parts_and_evidence(cli: Cli, store: Path, charges: dict[str, str]) -> None:
    found = cli("explain", charges["1"], "--view", "user", "--store", store, "--json").json
    assert facts(found, "Who delivered") == {"grid": "wires", "sun": "solar"}
    assert facts(found, "Evidence")["meter"] == "m-1"
    assert facts(found, "What it costs")["tax vat"] == "2.831 EUR"
    assert facts(found, "Who pays") == {"ada": "17.731 EUR"}
    assert found["check"] == "fee 14.90 + tax 2.831 = paid 17.731"


def test_payers_of_one_fee_do_not_see_each_others_names(cli: Cli, store: Path, charges: dict[str, str]) -> None:
    own = cli("explain", charges["2"], "--view", "user=ben", "--store", store, "--json").json
    assert facts(own, "Who pays") == {"payer 1": "0.357 EUR", "ben": "0.714 EUR"}
    anybody = cli("explain", charges["2"], "--view", "user", "--store", store).out
    words = re.findall(r"\w+", anybody)  # whole words: an id may spell a name by chance
    assert "ada" not in words and "ben" not in words
    assert "by the cost of serving each" in anybody
    stranger = cli("explain", charges["2"], "--view", "user=zoe", "--store", store, "--json")
    assert stranger.error["code"] == "not_found"


def test_a_sponsor_is_a_mark_for_the_user_and_an_amount_for_the_operator(
    cli: Cli, store: Path, charges: dict[str, str]
) -> None:
    user = cli("explain", charges["3"], "--view", "user", "--store", store, "--json").json
    assert facts(user, "Who pays") == {"ada": "0.10 EUR", "sponsored": "yes"}
    operator = cli("explain", charges["3"], "--store", store, "--json").json
    assert facts(operator, "Who pays")["sponsor marketing"] == "0.631337 EUR"
    assert operator["check"] == "paid 0.10 + sponsored 0.631337 = portions 0.731337 + platform 0.00"
    assert operator["holds"] is True


def test_under_fixed_shares_a_provider_sees_the_fee_that_is_shared(
    cli: Cli, store: Path, charges: dict[str, str]
) -> None:
    found = cli("explain", charges["4"], "--view", "provider=label", "--store", store, "--json").json
    assert facts(found, "What it earns") == {"label (label)": "0.042 EUR", "fee that is shared": "0.07 EUR"}
    assert "writer" not in json.dumps(found)


def test_one_portion_by_its_part(cli: Cli, store: Path, charges: dict[str, str]) -> None:
    found = cli("explain", f"{charges['1']}/sun", "--store", store, "--json").json
    assert found["view"] == "provider=solar"
    assert found["check"] == "sun: due 0.5938257, credited 0.5938257"
    missing = cli("explain", f"{charges['1']}/moon", "--store", store, "--json").error
    assert missing["fix"] == "One of grid, sun."
    for view in ("user", "provider=wires"):
        assert cli("explain", f"{charges['1']}/sun", "--view", view, "--store", store).code == 1


def test_any_other_id_says_what_it_is(cli: Cli, store: Path, charges: dict[str, str]) -> None:
    lines = [json.loads(line) for line in cli("export", "--store", store).out.splitlines()]
    top = cli("topup", "ada", "5", "EUR", "--store", store, "--json").json["id"]
    ids = {
        next(line["id"] for line in lines if line["type"] == "import"): "a run over usage files",
        next(line["id"] for line in lines if line["type"] == "catalog"): "a catalog version",
        top: "a top-up",
        "ent" + charges["1"][3:]: "17.731 EUR for power",
        "usg" + charges["1"][3:]: "17.731 EUR for power",
        cli("balance", "ada", "--store", store, "--json").json[0]["id"]: "the payer account of ada in EUR",
        next(line["key"] for line in lines if line["type"] == "usage" and line["state"] == "rejected"): "rejected",
    }
    for id, words in ids.items():
        done = cli("explain", id, "--store", store, "--json")
        assert done.code == 0, done.err
        assert words in done.json["title"]
    assert cli("explain", top, "--view", "user", "--store", store, "--json").error["code"] == "not_found"


@pytest.mark.parametrize(
    "id", ["", "chg_", "chg_aaaa", "chg_" + "a" * 26, "acct_zzz", "1", "x", "'; drop table", "chg_\x00", "../../etc"]
)
def test_ids_that_name_nothing(cli: Cli, store: Path, id: str) -> None:
    done = cli("explain", id, "--store", store, "--json")
    assert done.code == 1
    assert done.error["code"] == "not_found"


@pytest.mark.parametrize(
    "view", ["", "admin", "provider", "provider=", "provider=nobody", "operator=me", "user=nobody"]
)
def test_views_that_do_not_exist_show_nothing(cli: Cli, store: Path, charges: dict[str, str], view: str) -> None:
    done = cli("explain", charges["1"], f"--view={view}", "--store", store)
    assert done.code == 1
    assert done.out == ""
