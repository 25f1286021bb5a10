"""``apportion session …`` on a file and on a node: the same story, the same money."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faces.api.nodes import NodeProcess
from tests.faces.driving import Cli, Done, process

CALLS = """
name = "calls"
[services.call]
retail = "talk"
measures = { seconds = "s" }
session = { slice = { seconds = "60" }, validity = 600, offer = 600, receipt = ["seconds"] }
[services.call.parts]
model = { provider = "vera", wholesale = { vera = "model" } }
line = { provider = "nils", wholesale = { nils = "line", olga = "line" } }
[tariffs]
talk = { currency = "EUR", components = [{ kind = "unit", name = "talk", measure = "seconds", price = 0.01 }] }
model = { currency = "EUR", components = [{ kind = "unit", name = "model", measure = "seconds", price = 0.004 }] }
line = { currency = "EUR", components = [{ kind = "unit", name = "line", measure = "seconds", price = 0.002 }] }
[providers]
vera = {}
nils = {}
olga = {}
[payers]
ada = { currency = "EUR" }
ben = { currency = "EUR", opening = "1" }
"""
At = Callable[..., Done]


@pytest.fixture(params=["file", "node"])
def at(request: pytest.FixtureRequest, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[At]:
    """Commands on books with a catalog of calls and two euros of ada's."""
    (tmp_path / "calls.toml").write_text(CALLS)
    node = NodeProcess(tmp_path / "node.db") if request.param == "node" else None
    store = tmp_path / "books.db" if node is None else node.url
    if node is not None:
        monkeypatch.setenv("APPORTION_KEY", node.first_key)

    def run(*words: object) -> Done:
        return cli(*words, "--store", store)

    run.store = store  # type: ignore[attr-defined]
    assert run("catalog", "apply", tmp_path / "calls.toml").code == 0
    assert run("topup", "ada", "2.00", "EUR").code == 0
    yield run
    if node is not None:
        assert node.stop() == 0


def opened(at: At, *words: object) -> dict[str, Any]:
    done = at("session", "open", "call", "ada", *words, "--json")
    assert done.code == 0, done.err
    return dict(done.json)


def test_a_call_from_its_opening_to_its_end(at: At) -> None:
    call = opened(at, "--request", "seconds=50")
    assert call["state"] == "active" and call["parts"][0]["granted"] == {"seconds": "50"}
    assert at("balance", "ada", "--json").json[0]["held"] == "0.500000000"
    first = at("session", "report", call["id"], "seconds=40", "--request", "seconds=30")
    assert first.code == 0 and "The report is charged." in first.out and "0.40 EUR charged" in first.out
    again = at("session", "report", call["id"], "seconds=40", "--number", 1, "--json").json
    assert again["reports"][0]["state"] == "duplicate" and again["session"]["charged"] == "0.400000000"
    back = at("session", "report", call["id"], "seconds=30")
    assert back.code == 1 and "seconds" in back.out
    shown = at("session", "show", call["id"])
    assert f"{call['id']}: call, active" in shown.out and "40 seconds used" in shown.out
    assert [one["id"] for one in at("session", "list", "--json").json] == [call["id"]]
    assert at("session", "list", "--state", "closed", "--json").json == []
    ended = at("session", "end", call["id"], "--reason", "hung up", "--json").json
    assert ended["state"] == "closed" and ended["charged"] == "0.400000000" and ended["reason"] == "hung up"
    ada = at("balance", "ada", "--json").json[0]
    assert (ada["posted"], ada["held"]) == ("1.600000000", "0.000000000")
    earned = {row["owner"]: row["posted"] for row in at("balance", "--role", "provider", "--json").json}
    assert earned == {"vera": "0.160000000", "nils": "0.080000000"}
    late = at("session", "report", call["id"], "seconds=50")
    assert late.code == 1


def test_value_runs_out_and_the_same_session_goes_on(at: At) -> None:
    call = opened(at)
    id, granted = call["id"], call["parts"][0]["granted"]["seconds"]
    for _ in range(20):
        now = at("session", "report", id, f"seconds={granted}", "--json").json["session"]
        if now["state"] not in ("active", "low"):
            break
        granted = now["parts"][0]["granted"]["seconds"]
    assert (now["state"], now["charged"], granted) == ("suspended", "2.000000000", "200")
    assert "To go on, top up" in at("session", "show", id).out
    assert at("topup", "ada", "1.00", "EUR").code == 0
    more = at("session", "report", id, "seconds=200", "--request", "seconds=30", "--json").json["session"]
    assert more["state"] == "active" and more["charged"] == "2.000000000"
    assert at("session", "report", id, "seconds=210", "--json").json["session"]["charged"] == "2.100000000"
    assert at("session", "end", id).code == 0


def test_a_session_is_watched_until_it_is_closed(at: At) -> None:
    call = opened(at)["id"]
    store = at.store  # type: ignore[attr-defined]
    seen: list[Any] = []
    watcher = threading.Thread(
        target=lambda: seen.append(process("session", "watch", call, "--store", store, "--json"))
    )
    watcher.start()
    for seconds in (10, 20):
        assert at("session", "report", call, f"seconds={seconds}").code == 0
    assert at("session", "end", call).code == 0
    watcher.join(30)
    lines = [json.loads(line) for line in seen[0].stdout.splitlines()]
    assert seen[0].returncode == 0 and lines[-1]["state"] == "closed" and lines[-1]["charged"] == "0.200000000"
    assert [one["n"] for one in lines] == sorted({one["n"] for one in lines})
    still = opened(at)["id"]
    brief = at("session", "watch", still, "--seconds", 1)
    assert brief.code == 0 and "opened" in brief.out


def test_what_can_not_be_read_is_said_with_its_fix(at: At) -> None:
    assert at("session", "open", "call").code == 2
    assert at("session", "open", "call", "ada", "--request", "60").code == 2
    assert "UNKNOWN" not in at("session", "open", "walk", "ada").err
    unknown = at("session", "open", "walk", "ada", "--json").error
    assert unknown["code"] == "unknown_service"
    for words in (("show", "ses_0"), ("end", "ses_0"), ("report", "ses_0", "seconds=1"), ("watch", "ses_0")):
        assert at("session", *words, "--json").error["code"] == "not_found", words


def test_a_key_opens_only_sessions_that_it_is_bounded_to(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    if not str(at.store).startswith("http"):  # type: ignore[attr-defined]
        return  # a file has no keys to ask
    made = at("key", "create", "provider", "--party", "vera", "--payer", "bob", "--service", "call", "--json").json
    monkeypatch.setenv("APPORTION_KEY", made["secret"])
    refused = at("session", "open", "call", "ada", "--part", "model=vera")
    assert refused.code == 1 and "may not charge the payer 'ada'" in refused.err


def test_a_call_is_changed_while_it_runs(at: At) -> None:
    call = opened(at)
    at("session", "report", call["id"], "seconds=20")
    changed = at("session", "change", call["id"], "--part", "line=olga", "--join", "ben")
    assert changed.code == 0 and "line by olga" in changed.out
    assert at("session", "report", call["id"], "seconds=40", "--final").code == 0
    assert {p["charged"] for p in at("session", "show", call["id"], "--json").json["payers"]} == {
        "0.300000000", "0.100000000",
    }  # fmt: skip
    unknown = at("session", "change", call["id"], "--part", "line=nobody")
    assert unknown.code == 1
    early = opened(at)
    assert at("session", "confirm", early["id"], "seconds=10").code == 1
    none = at("session", "accept", early["id"])
    assert none.code == 1 and "no offer" in none.err


def test_value_with_a_purpose_is_granted_and_bought(at: At) -> None:
    words = ("grant", "ada", "0.30", "EUR", "--funded", "sponsor", "--service", "call", "--reference", "gift")
    given = at(*words)
    assert given.code == 0 and given.out.startswith("0.300000000 EUR for ada in bkt_")
    assert (
        at("grant", "ada", "0.30", "EUR", "--funded", "sponsor", "--service", "call", "--reference", "gift").out
        == given.out
    )
    bought = at("allowance", "ada", "100", "seconds", "0.50", "EUR")
    assert bought.code == 0 and bought.out.startswith("100 seconds for ada at 0.500000000 EUR, in alw_")
    rows = {(one["role"], one["posted"]) for one in at("balance", "ada", "--json").json}
    assert ("bucket", "0.300000000") in rows or ("payer", "1.800000000") in rows
    assert at("grant", "nobody", "1", "EUR").code == 1
    assert at("allowance", "ada", "100", "apples", "1", "EUR").code == 1


def test_a_call_begins_by_a_plan_and_the_next_best_crew_takes_over(at: At, tmp_path: Path) -> None:
    request = {"service": "call", "payers": [{"payer": "ada"}], "quantities": {"seconds": "100"}}
    (tmp_path / "request.json").write_text(json.dumps(request))
    plan = at("plan", tmp_path / "request.json", "--json").json["id"]
    begun = at("session", "begin", plan, "--scenario", "lowest-cost", "--request", "seconds=60")
    assert begun.code == 0 and "line by nils" in begun.out and "granted up to 60 seconds" in begun.out
    call = begun.out.partition(":")[0]
    assert at("session", "report", call, "seconds=40").code == 0
    over = at("session", "replace", call, "nils")
    assert over.code == 0 and "line by olga: nothing used; 0.00 earned" in over.out
    assert at("session", "report", call, "seconds=60").code == 0
    assert at("session", "end", call, "--json").json["charged"] == "0.600000000"
    earned = {row["owner"]: row["posted"] for row in at("balance", "--role", "provider", "--json").json}
    assert earned == {"vera": "0.240000000", "nils": "0.080000000", "olga": "0.040000000"}
    assert at("session", "begin", plan, "--json").error["code"] == "plan_ended"
    assert at("session", "begin", "pln_0", "--json").error["code"] == "not_found"
    assert at("session", "replace", call).code == 2
