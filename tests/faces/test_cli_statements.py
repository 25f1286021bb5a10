"""``statement`` on the command line: previews, credit notes, sessions, and files in every form."""

from __future__ import annotations

import json
from pathlib import Path

from tests.faces.driving import Cli

CATALOG = """
name = "taxi"
providers = { dora = {}, otto = { network = "west" } }
networks = { west = { name = "West" } }
[payers]
finance = { currency = "EUR", credit = "100" }
lab = { currency = "EUR", credit = "100", parent = "finance" }
ada = { currency = "EUR", credit = "100", profile = "apart" }
[profiles.apart]
billing = { statements = "per-provider", language = "de" }
[tariffs]
fare = { currency = "EUR", components = [{ kind = "unit", name = "way", measure = "km", price = "2" }] }
half = { currency = "EUR", components = [{ kind = "unit", name = "way", measure = "km", price = "0.5" }] }
[services.ride]
retail = "fare"
measures = { km = "km" }
parts.driver = { provider = "dora", wholesale = { dora = "half" } }
parts.car = { provider = "otto", wholesale = { otto = "half" } }
"""
USAGE = "source,id,service,start,payer,km\n" + "".join(
    f"t,{n},ride,2025-01-0{n}T08:00:00Z,{who},{km}\n" for n, (who, km) in enumerate((("ada", 5), ("lab", 3)), 1)
)


def charged(cli: Cli, folder: Path) -> Path:
    (folder / "catalog.toml").write_text(CATALOG)
    (folder / "usage.csv").write_text(USAGE)
    assert cli("run", folder / "catalog.toml", folder / "usage.csv", "--store", folder / "b.db").code == 0
    return folder / "b.db"


def test_looked_at_beforehand_then_issued_in_every_form(cli: Cli, tmp_path: Path) -> None:
    store = charged(cli, tmp_path)
    seen = cli("statement", "ada", "--preview", "--period", "2025-01", "--store", store)
    assert seen.code == 0 and "preview" in seen.out and "Nothing is numbered" not in seen.out
    assert cli("statement", "--store", store, "--preview").code == 2
    assert cli("statement", "ada", "--store", store, "--preview", "--credit-note").code == 2
    made = cli("statement", "ada", "--store", store, "--json").json
    assert [(one["number"], one["provider"], one["total"]) for one in made] == [
        ("S-000001", "dora", "5.00"), ("S-000002", "otto", "5.00"),
    ]  # fmt: skip
    assert cli("statement", "ada", "--store", store, "--format", "pdf", "--out", tmp_path / "o").code == 0
    assert [file.read_bytes()[:5] for file in sorted((tmp_path / "o").glob("*.pdf"))] == [b"%PDF-", b"%PDF-"]
    page = cli("statement", "S-000002", "--store", store, "--format", "html").out
    assert '<html lang="de">' in page and "Eine von mehreren Abrechnungen" in page and "otto (West)" in page
    finance = cli("statement", "finance", "--store", store).out
    assert "Used by lab" in finance and "6.00" in finance
    refused = cli("statement", "lab", "--store", store, "--json")
    assert refused.code == 1 and refused.error["code"] == "conflict"
    assert cli("verify", store, "--heads", f"{store}.heads").code == 0


def test_given_back_by_a_document_of_its_own(cli: Cli, tmp_path: Path) -> None:
    store = charged(cli, tmp_path)
    (bill,) = cli("statement", "finance", "--store", store, "--json").json
    (tmp_path / "back.csv").write_text("source,id,service,start,payer,km\nt,9,ride,2025-01-05T08:00:00Z,finance,-1\n")
    cli("run", tmp_path / "catalog.toml", tmp_path / "back.csv", "--store", store)
    assert cli("statement", bill["number"], "--store", store, "--credit-note", "--json").error["code"] == "not_found"
    found = [json.loads(line) for line in cli("export", "--store", store).out.splitlines()]
    charge = [one["id"] for one in found if one["type"] == "charge"][-1]
    words = ("statement", bill["number"], "--store", store, "--credit-note", "--charge", charge)
    note = cli(*words)
    assert "CREDIT NOTE" in note.out and "C-000001" in note.out and "Given back of S-000001" in note.out
    assert cli(*words, "--json").json[0]["total"] == "-2.00"
    assert cli("statement", "C-000001", "--store", store, "--json").json[0]["total"] == "-2.00"
    assert cli("statement", "--store", store, "--charge", charge).code == 2
    assert cli("statement", "--session", "ses_x", "--store", store, "--json").error["code"] == "not_found"
