"""``apportion dispute``: opened, shown, decided and given up from the command line."""

from __future__ import annotations

from pathlib import Path

from tests.faces.driving import Cli


def test_a_dispute_from_the_command_line(cli: Cli, rides: Path, tmp_path: Path) -> None:
    where = ("--store", rides)
    charge = next(one for one in cli("export", *where).lines if one["type"] == "charge" and len(one["shares"]) == 1)
    made = cli(
        "dispute", "open", charge["id"], "0.5", "--reference", "t1", "--reason", "too far", *where, "--json"
    ).json
    note = tmp_path / "note.txt"
    note.write_text("the map says otherwise")
    assert "evidence 2" in cli("dispute", "evidence", made["id"], f"@{note}", "--title", "map", *where).out
    shown = cli("dispute", "show", made["id"], *where).out
    assert "open since" in shown and "too far" in shown and "the map says otherwise" in shown and "set aside" in shown
    assert "disputes" in cli("balance", "--role", "clearing", *where).out
    assert cli("explain", made["id"], *where).code == 0
    ended = cli("dispute", "decide", made["id"], "0.2", *where)
    assert ended.code == 0 and "decided, 0.20" in ended.out
    other = cli(
        "dispute", "open", charge["id"], "--reference", "t2", "--provider", charge["portions"][0]["provider"], *where
    )
    assert other.code == 0, other.err
    id = other.out.split()[0]
    assert cli("dispute", "withdraw", id, *where).out.startswith(f"{id}  withdrawn")
    table = cli("dispute", "list", "--charge", charge["id"], *where, "--csv").out.splitlines()
    assert table[0].startswith("id,charge,state") and len(table) == 3
    assert [one["state"] for one in cli("dispute", "list", *where, "--state", "decided", "--json").json] == ["decided"]
    assert cli("verify", rides, "--heads", f"{rides}.heads").code == 0


def test_what_is_refused_says_why(cli: Cli, rides: Path) -> None:
    where = ("--store", rides, "--json")
    assert cli("dispute", "open", "chg_" + "0" * 32, "--reference", "r", *where).error["code"] == "not_found"
    charge = next(one for one in cli("export", "--store", rides).lines if one["type"] == "charge" and one["shares"])
    refused = cli("dispute", "open", charge["id"], "99999", "--reference", "r", "--payer", "nobody", *where)
    assert refused.code == 1 and refused.error["code"] == "not_found"
    assert cli("dispute", "evidence", "dsp_1", "@/nowhere", *where).code == 2
