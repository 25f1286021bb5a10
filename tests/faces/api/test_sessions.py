"""A session over real HTTP that runs out, and everybody who was told of it; and the page that says how it is done."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import apportion
from apportion.model.funding import Alternate
from apportion.model.party import Payer
from tests.faces.api.hearing import Receiver, Stream
from tests.faces.api.nodes import NodeProcess, balance, proven, together
from tests.faces.driving import ROOT
from tests.sessions import catalog

FLAGS = ("--allow-private-addresses", "--webhook-retry", "1")
PAGE = ROOT / "docs/how-to/charge-while-it-runs.md"


def node_with(folder: Path, **terms: Any) -> NodeProcess:
    """A node that sells calls; ada's alternate is bob."""
    given = catalog(**terms)
    ada = Payer("ada", "EUR", alternates=(Alternate("bob"),))
    node = NodeProcess(folder / "books.db", *FLAGS)
    body = msgspec.json.encode(msgspec.structs.replace(given, payers={**given.payers, "ada": ada}))
    assert node.ask("PUT", "/v1/catalog", body).status == 200
    return node


def top_up(node: NodeProcess, payer: str, amount: str, reference: str, key: str = "") -> None:
    given = {"payer": payer, "amount": amount, "currency": "EUR", "reference": reference}
    assert node.ask("POST", "/v1/topups", given, key).status == 201


def opened(node: NodeProcess, payer: str = "ada", **more: Any) -> Any:
    given = {"service": "call", "payers": [{"payer": payer}], **more}
    made = node.ask("POST", "/v1/sessions", given, idempotency_key=f"open {payer}")
    assert made.status == 201, made.body
    return made.json


def drained(node: NodeProcess, session: Any, key: str = "") -> Any:
    """Use up what is granted until nothing more comes."""
    while session["state"] in ("active", "low"):
        part = session["parts"][0]
        report = {"number": part.get("number", 0) + 1, "used": part["granted"]}
        answer = node.ask("POST", f"/v1/sessions/{session['id']}/reports", {"reports": [report]}, key)
        assert answer.status == 200 and answer.json["reports"] == [{"state": "charged"}], answer.body
        session = answer.json["session"]
    return session


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def test_a_session_that_runs_out_twice_and_everybody_who_was_told(tmp_path: Path, receiver: Receiver) -> None:
    """Low, the alternate drawn, the offer, a partial top-up, on again, short again, ended with a reason: each once."""
    node = node_with(tmp_path, offer=2)
    hook = node.ask("POST", "/v1/webhooks", {"url": receiver.url, "types": [], "label": "all"})
    assert hook.status == 201, hook.body
    top_up(node, "ada", "0.35", "first")
    top_up(node, "bob", "0.30", "alternate")
    session = opened(node)
    ada = node.key("user", "ada")
    with Stream(node, f"/v1/sessions/{session['id']}/events?after=start", ada) as stream:
        session = drained(node, session)
        assert (session["state"], session["reason"], session["charged"]) == ("suspended", "no_value", "0.650000000")
        assert balance(node, "ada")["posted"] == balance(node, "bob")["posted"] == "0.000000000"
        assert session["offer"]["needed"] == "0.600000000"
        top_up(node, "ada", "0.20", "second")
        stream.wait(lambda events: any(event["type"] == "session.resumed" for event in events))
        session = drained(node, node.ask("GET", f"/v1/sessions/{session['id']}").json)
        assert session["state"] == "suspended" and session["parts"][0]["used"] == {"seconds": "80"}
        stream.wait(lambda events: events[-1]["type"] == "session.closed")
        told = [event["type"] for event in stream.events if event["type"].startswith("session.")]
        ids = [event["id"] for event in stream.events]
    ended = node.ask("GET", f"/v1/sessions/{session['id']}").json
    assert (ended["state"], ended["reason"], ended["charged"]) == ("closed", "no_value", "0.850000000")
    steps = [step for step in told if step != "session.reported"]
    assert steps == [
        "session.opened", "session.low", "session.suspended", "session.resumed", "session.low", "session.suspended",
        "session.closed",
    ]  # fmt: skip
    assert len(set(ids)) == len(ids)
    receiver.wait(lambda events: any(event["type"] == "session.closed" for event in events))
    heard = [event["type"] for event in receiver.accepted if event["type"].startswith("session.")]
    assert heard == told and len({event["id"] for event in receiver.accepted}) == len(receiver.accepted)
    assert node.stop() == 0
    proven(tmp_path / "books.db").close()


def test_sessions_go_on_after_the_node_was_killed(tmp_path: Path) -> None:
    """A hundred running sessions, kill -9, restart: what was charged is what was reported, and all of them end."""
    node = node_with(tmp_path)
    key = node.first_key
    top_up(node, "cleo", "1000", "cleo")
    given = {"service": "call", "payers": [{"payer": "cleo"}]}

    def run(number: int) -> str:
        line = node.line(key)
        ids = [line.ask("POST", "/v1/sessions", given, idempotency_key=f"{number}/{i}").json["id"] for i in range(10)]
        for id in ids:
            body = {"reports": [{"number": 1, "used": {"seconds": "30"}}]}
            assert line.ask("POST", f"/v1/sessions/{id}/reports", body).status == 200
        return " ".join(ids)

    ids = " ".join(together(10, run)).split()
    node.stop(signal.SIGKILL)
    node = NodeProcess(tmp_path / "books.db", *FLAGS)
    node.first_key = key
    assert balance(node, "cleo")["posted"] == "965.000000000" and len(set(ids)) == 100
    for id in ids:
        body = {"reports": [{"number": 1, "used": {"seconds": "30"}}, {"number": 2, "used": {"seconds": "50"}}]}
        answer = node.ask("POST", f"/v1/sessions/{id}/reports", body, key).json
        assert [one["state"] for one in answer["reports"]] == ["duplicate", "charged"]
        assert node.ask("POST", f"/v1/sessions/{id}/end", {}, key).json["state"] == "closed"
    owners = node.ask("GET", "/v1/accounts?owner=cleo", key=key).json["data"]
    assert [(one["posted"], one["held"]) for one in owners] == [("945.000000000", "0.000000000")]
    assert node.stop() == 0
    proven(tmp_path / "books.db").close()


def test_sixty_four_clients_end_one_session_once(tmp_path: Path) -> None:
    node = node_with(tmp_path)
    top_up(node, "cleo", "10", "cleo")
    id = opened(node, "cleo")["id"]
    report = {"reports": [{"number": 1, "used": {"seconds": "30"}}]}

    def run(number: int) -> tuple[int, int]:
        line = node.line()
        reported = line.ask("POST", f"/v1/sessions/{id}/reports", report)
        return reported.status, line.ask("POST", f"/v1/sessions/{id}/end", {}).status

    found = together(64, run)
    assert {status for pair in found for status in pair} == {200}
    assert balance(node, "cleo")["posted"] == "9.650000000" and balance(node, "cleo")["held"] == "0.000000000"
    assert node.stop() == 0
    proven(tmp_path / "books.db").close()


def test_the_same_key_opens_one_session_and_another_body_is_refused(tmp_path: Path) -> None:
    node = node_with(tmp_path)
    top_up(node, "cleo", "10", "cleo")
    given = {"service": "call", "payers": [{"payer": "cleo"}]}
    answers = together(16, lambda _: node.ask("POST", "/v1/sessions", given, idempotency_key="one"))
    assert {(answer.status, answer.body) for answer in answers} == {(201, answers[0].body)}
    assert balance(node, "cleo")["held"] == "0.650000000"
    other = node.ask("POST", "/v1/sessions", {**given, "requested": {"seconds": "5"}}, idempotency_key="one")
    assert other.status == 409
    assert node.stop() == 0


def test_the_page_on_charging_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python of the how-to, run as it stands there against a node with its catalog."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    terms = next(text for kind, text in blocks if kind == "toml")
    assert apportion.load_catalog  # the door that the page uses
    node = node_with(tmp_path)
    rest = """
    [tariffs.talk]
    currency = "EUR"
    components = [{ kind = "unit", name = "talk", measure = "seconds", price = 0.01 }]
    [providers]
    telco = {}
    [payers]
    ada = { currency = "EUR", opening = "5" }
    [services.call.parts.line]
    provider = "telco"
    share = "1"
    """
    text = terms.replace("session =", 'apportion = "shares"\nplatform = "1"\nsession =') + rest
    put = node.ask("PUT", "/v1/catalog", text.encode(), content_type="application/toml")
    assert put.status == 200, put.body
    monkeypatch.setenv("APPORTION_URL", node.url)
    monkeypatch.setenv("APPORTION_KEY", node.first_key)
    said: list[str] = []
    source = next(text for kind, text in blocks if kind == "python")
    exec(source, {"print": lambda *words: said.append(" ".join(map(str, words)))})
    assert said == ["closed 2.000000000 EUR"]
    assert node.stop() == 0
