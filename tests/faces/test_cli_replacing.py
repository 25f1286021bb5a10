"""``apportion session replace`` on a file and on a node: the same crew takes over for the same money."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faces.api.nodes import NodeProcess
from tests.faces.driving import Cli
from tests.markets import CALLS


@pytest.mark.parametrize("where", ["file", "node"])
def test_a_lost_provider_is_replaced(where: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "calls.toml").write_text(CALLS)
    asked = {"service": "call", "payers": [{"payer": "ada"}], "quantities": {"minutes": "10"}}
    (tmp_path / "request.json").write_text(json.dumps(asked))
    node = NodeProcess(tmp_path / "node.db") if where == "node" else None
    store = tmp_path / "books.db" if node is None else node.url
    if node is not None:
        monkeypatch.setenv("APPORTION_KEY", node.first_key)
    assert cli("catalog", "apply", tmp_path / "calls.toml", "--store", store).code == 0
    made = cli("plan", tmp_path / "request.json", "--accept", "preferred", "--store", store, "--json").json
    id = made["session"]["id"]
    assert cli("session", "report", id, "minutes=4", "--store", store).code == 0
    nobody = cli("session", "replace", id, "elm", "ash", "oak", "--store", store)
    assert nobody.code == 1 and "no_plan" in nobody.err.lower().replace(" ", "_") or "none can serve" in nobody.err
    after = cli("session", "replace", id, "elm", "--store", store, "--json").json
    crew = {part["part"]: part["provider"] for part in after["parts"] if part["part"] and not part.get("ended")}
    assert (after["event"], crew) == ("altered", {"near": "oak", "far": "ash"})
    told = cli("explain", id, "--store", store)
    assert told.code == 0 and "elm was lost after 4 minutes" in told.out, told.out
    assert cli("session", "end", id, "--store", store).code == 0
    if node is not None:
        assert node.stop() == 0
