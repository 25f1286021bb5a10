"""The same commands on a file and on a node: the same tables, the same JSON, the same sentences and exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.faces.api.nodes import NodeProcess, catalog
from tests.faces.driving import QUICKSTART, Cli

RIDES = QUICKSTART / "catalog.toml"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NodeProcess]:
    """A node on empty books, with its operator's key where commands look for it."""
    (tmp_path / "node").mkdir()
    node = NodeProcess(tmp_path / "node" / "books.db")
    monkeypatch.setenv("APPORTION_KEY", node.first_key)
    yield node
    assert node.stop() == 0, node.log[-5:]


def test_every_command_says_the_same_on_a_file_and_on_a_node(cli: Cli, served: NodeProcess, tmp_path: Path) -> None:
    file = tmp_path / "books.db"
    charge = "chg_1e01562b8d228b47869e21006ca389ea"
    cheaper = tmp_path / "cheaper.toml"
    cheaper.write_text(RIDES.read_text().replace("price = 3.00", "price = 2.00"))
    story: list[tuple[object, ...]] = [
        ("run", RIDES, QUICKSTART / "usage.csv", "--json"),
        ("run", RIDES, QUICKSTART / "usage.csv", "--json"),
        ("balance", "--csv"), ("balance", "ada", "--json"), ("balance", "acct_00001"),
        ("balance", "--role", "provider"),
        ("balance", "nobody"), ("balance", "nobody", "--json"),
        ("topup", "ada", "50.00", "EUR", "--reference", "bank-4711"),
        ("topup", "ada", "50.00", "EUR", "--reference", "bank-4711", "--json"),
        ("topup", "acct_00001", "1", "EUR", "--reference", "bank-4712", "--json"),
        ("topup", "ada", "51", "EUR", "--reference", "bank-4711"), ("topup", "nobody", "1", "EUR"),
        ("topup", "ada", "x", "EUR"),
        ("explain", charge), ("explain", charge, "--view", "provider=dora", "--json"), ("explain", f"{charge}/driver"),
        ("explain", "chg_" + "0" * 32), ("explain", f"{charge}/nothing"), ("explain", charge, "--view", "x"),
        ("catalog", "show"), ("catalog", "show", "fare"), ("catalog", "show", "cat_" + "0" * 32),
        ("catalog", "diff", cheaper), ("catalog", "apply", cheaper, "--json"), ("catalog", "diff", RIDES, "--csv"),
        ("close", "2099-01"), ("close", "2026-11", "--force", "--json"), ("close", "2026-11", "--force"),
        ("statement", "--period", "2026-11"), ("statement", "S-000001"), ("statement", "nobody"),
        ("key", "create", "provider", "--json"), ("key", "revoke", "0123456789abcdef"),
    ]  # fmt: skip
    for words in story:
        here = cli(*words, "--store", file)
        there = cli(*words, "--store", served.url)
        assert (here.code, plain(here.err)) == (there.code, plain(there.err)), words
        assert plain(here.out, file) == plain(there.out, served.url), words
    for place in (file, served.url):
        rows = json.loads(cli("balance", "--role", "payer", "--store", place, "--json").out)
        assert {row["owner"]: row["posted"] for row in rows} == {
            "ada": "-10.620000000", "ben": "-27.270000000", "cleo": "-17.130000000",
        }  # fmt: skip


def plain(text: str, place: object = "") -> object:
    """What may not differ: not the place, the time that it took, or what is drawn by lot."""
    if text.startswith("{"):
        value = json.loads(text)
        value.pop("seconds", None)
        return value
    text = text.replace(str(place), "PLACE") if place else text
    lines = [line for line in text.splitlines() if "records a second" not in line]
    return [line for line in lines if "opened with the books" not in line]


def test_an_export_of_a_node_is_proven_offline(cli: Cli, served: NodeProcess, tmp_path: Path) -> None:
    assert cli("run", RIDES, QUICKSTART / "usage.csv", "--close", "--store", served.url).code == 0
    out = tmp_path / "books.jsonl"
    wrote = cli("export", "--out", out, "--store", served.url, "--json").json
    assert wrote["lines"] == len(out.read_bytes().splitlines())
    proven = cli("verify", out, "--heads", f"{served.store}.heads", "--json")
    assert proven.code == 0 and proven.json["charges"] == 6
    streamed = cli("export", "--store", served.url).out.splitlines()
    assert streamed[0] == out.read_text().splitlines()[0] and streamed[-1].startswith('{"type":"end"')
    refused = cli("verify", "--store", served.url)
    assert refused.code == 1 and "apportion export --store" in refused.err


def test_a_run_that_can_not_be_read_in_part_counts_the_same(cli: Cli, served: NodeProcess, tmp_path: Path) -> None:
    text = (QUICKSTART / "usage.csv").read_text().splitlines()
    text[3] = text[3].replace("11.3", "many")
    text.append("taxi-meter,7,ride,2026-11-18T12:00:00,420,,1.6,7")
    file = tmp_path / "usage.csv"
    file.write_text("\n".join(text) + "\n")
    here, there = (cli("run", RIDES, file, "--strict", "--store", to) for to in (tmp_path / "books.db", served.url))
    assert here.code == there.code == 1
    assert here.out.partition("\n\n")[0] == there.out.partition("\n\n")[0]
    assert "7 records received: 5 charged, 0 zero-rated, 0 duplicate, 2 rejected" in there.out


def test_a_long_run_goes_in_batches_and_repeats(cli: Cli, served: NodeProcess, tmp_path: Path) -> None:
    file = tmp_path / "usage.csv"
    rows = [f"meter,{n},ride,2026-11-16T08:05:00Z,60,{'ada' if n % 2 else 'ben'},0.001,0.001" for n in range(2500)]
    file.write_text("source,id,service,start,duration,payer,km,minutes\n" + "\n".join(rows) + "\n")
    cheap = tmp_path / "cheap.toml"
    cheap.write_text(RIDES.read_text().replace("price = 3.00", "price = 0.01"))
    first = cli("run", cheap, file, "--store", served.url, "--json").json
    again = cli("run", cheap, file, "--store", served.url, "--json").json
    assert (first["charged"], again["charged"], again["duplicate"]) == (2500, 0, 2500)
    assert first["payers"]["totals"] == {"EUR": "28.750000000"} and not again["payers"]["totals"]


def test_keys_of_a_node(cli: Cli, served: NodeProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    put = served.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog()))
    assert put.status == 200
    at = ("--store", served.url)
    made = cli(
        "key", "create", "provider", "--party", "dora", "--source", "m", "--label", "her meter", *at, "--json"
    ).json
    listed = cli("key", "list", *at, "--json").json
    assert [(one["party"], one["label"]) for one in listed[1:]] == [("dora", "her meter")]
    user = cli("key", "create", "user", "--party", "ada", *at, "--json").json["secret"]
    monkeypatch.setenv("APPORTION_KEY", user)
    assert [row["owner"] for row in cli("balance", *at, "--json").json] == ["ada"]
    assert cli("statement", *at, "--json").json == []
    forbidden = cli("topup", "ada", "1", "EUR", *at)
    assert forbidden.code == 1 and "may not top_up" in forbidden.err and "role operator" in forbidden.err
    monkeypatch.setenv("APPORTION_KEY", served.first_key)
    assert made["key"]["id"] in cli("key", "revoke", made["key"]["id"], *at).out
    monkeypatch.setenv("APPORTION_KEY", made["secret"])
    ended = cli("balance", *at)
    assert ended.code == 1 and "revoked" in ended.err and "APPORTION_KEY" in ended.err


def test_errors_name_the_next_step(cli: Cli, served: NodeProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apportion.faces.cli.options.TRIES", 1)
    nobody = cli("balance", "--store", "http://127.0.0.1:9")
    assert nobody.code == 1 and "apportion serve" in nobody.err and "http://127.0.0.1:9" in nobody.err
    assert cli("balance", "--store", "http://127.0.0.1:9", "--json").error["code"] == "store_unavailable"
    traced = cli("trace", "ada", "--store", served.url)
    assert traced.code == 1 and "not asked of a node" in traced.err
    assert cli("balance", "--store", served.url, "--tenant", "other").code == 2
    monkeypatch.delenv("APPORTION_KEY")
    unnamed = cli("balance", "--store", served.url)
    assert unnamed.code == 1 and "Set APPORTION_KEY" in unnamed.err


def test_a_file_that_a_node_holds_is_read_and_says_where_to_write(
    cli: Cli, served: NodeProcess, tmp_path: Path
) -> None:
    assert cli("run", RIDES, QUICKSTART / "usage.csv", "--store", served.url).code == 0
    at = ("--store", served.store)
    assert cli("balance", "ada", *at).out == cli("balance", "ada", "--store", served.url).out
    assert cli("trace", "ada", *at).code == 0 and cli("catalog", "show", *at).code == 0
    assert cli("explain", "chg_1e01562b8d228b47869e21006ca389ea", *at).code == 0
    assert cli("verify", *at, "--prefix-ok").code == 0
    for words in (
        ("topup", "ada", "1", "EUR"), ("run", RIDES, QUICKSTART / "usage.csv"), ("close", "2026-11", "--force"),
        ("catalog", "apply", RIDES), ("key", "create", "auditor"), ("statement",), ("forget", "ada", "--yes"),
    ):  # fmt: skip
        held = cli(*words, *at)
        assert held.code == 1 and f"--store {served.url}" in held.err and "APPORTION_KEY" in held.err, words
    assert cli("serve", *at, "--port", 0).err.count(served.url) == 2
