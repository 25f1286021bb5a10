"""A session that runs out, is topped up in part, goes on and runs out again: everybody was told each step once."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

from tests.faces.api.hearing import Receiver, Stream
from tests.faces.api.nodes import NodeProcess, balance

TOKENS = """
providers = { lab = {}, host = {} }
payers = { ada = { currency = "USD" }, ben = { currency = "USD" } }
[services.chat]
retail = "tokens"
measures = { tokens = "token" }
session = { slice = { tokens = 1000 }, validity = 60, offer = 2 }
parts.model = { provider = "lab", wholesale = { lab = "model" } }
parts.hosting = { provider = "host", wholesale = { host = "gpu" } }
[tariffs]
tokens = { currency = "USD", components = [{ kind = "unit", name = "t", measure = "tokens", price = 0.00002 }] }
model = { currency = "USD", components = [{ kind = "unit", name = "t", measure = "tokens", price = 0.0000103 }] }
gpu = { currency = "USD", components = [{ kind = "unit", name = "t", measure = "tokens", price = 0.0000041 }] }
"""
STEPS = ["opened", "low", "suspended", "resumed", "low", "suspended", "closed"]
_KEYS = itertools.count(1)


class Teller:
    """A node, and one session on it."""

    def __init__(self, node: NodeProcess) -> None:
        self.node = node
        self.ask("PUT", "/v1/catalog", TOKENS.encode(), content_type="application/toml")

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        answer = self.node.ask(method, path, body, idempotency_key=f"k{next(_KEYS)}", **headers)
        assert answer.status < 300, answer.body
        return answer.json

    def top_up(self, amount: str) -> None:
        given = {"payer": "ada", "amount": amount, "currency": "USD", "reference": f"bank {next(_KEYS)}"}
        self.ask("POST", "/v1/topups", given)

    def drain(self, session: Any) -> Any:
        """Use up what is granted until nothing more comes."""
        while session["state"] in ("active", "low"):
            part = session["parts"][0]
            report = {"number": part.get("number", 0) + 1, "used": part["granted"]}
            session = self.ask("POST", f"/v1/sessions/{session['id']}/reports", {"reports": [report]})["session"]
        return session


def steps(events: list[Any]) -> list[str]:
    return [e["type"].removeprefix("session.") for e in events if e["type"].startswith("session.")]


def plainly(events: list[Any]) -> list[str]:
    return [step for step in steps(events) if step != "reported"]


def test_each_step_of_a_session_is_told_once_to_all_whom_it_concerns(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "books.db", "--allow-private-addresses", "--webhook-retry", "1")
    teller, receiver, narrow = Teller(node), Receiver(), Receiver()
    receiver.answers = [500, 204, 503]
    made = teller.ask("POST", "/v1/webhooks", {"url": receiver.url, "types": ["session.*"]})
    ada, ben, lab = node.key("user", "ada"), node.key("user", "ben"), node.key("provider", "lab")
    hooked = node.ask("POST", "/v1/webhooks", {"url": narrow.url}, lab)
    assert hooked.status == 201
    teller.top_up("0.05")
    session = teller.ask("POST", "/v1/sessions", {"service": "chat", "payers": [{"payer": "ada"}]})
    path = f"/v1/sessions/{session['id']}/events"
    with Stream(node, path, ben) as stranger:
        assert stranger.status == 404
    with (
        Stream(node, path + "?after=start") as operator,
        Stream(node, path + "?after=start", ada) as user,
        Stream(node, path + "?after=start", lab) as provider,
        Stream(node, f"/v1/accounts/{balance(node, 'ada')['id']}/events?after=start", ada) as account,
    ):
        suspended = teller.drain(session)
        assert suspended["state"] == "suspended"
        teller.top_up("0.01")
        resumed = user.wait(lambda events: "resumed" in steps(events))[-1]["data"]
        teller.drain(resumed if "number" in resumed["parts"][0] else teller.ask("GET", f"/v1/sessions/{session['id']}"))
        for stream in (operator, user, provider):
            stream.wait(lambda events: steps(events)[-1:] == ["closed"], 15)
        account.wait(lambda events: steps(events)[-1:] == ["closed"], 15)
        heard = {"operator": operator.events, "user": user.events, "provider": provider.events}
        own = account.events
    for name, events in heard.items():
        assert plainly(events) == STEPS, name
        numbers = [e["data"]["n"] for e in events if e["type"].startswith("session.")]
        assert numbers == sorted(set(numbers)), name
    assert receiver.wait(lambda events: steps(events)[-1:] == ["closed"], 20)
    assert plainly(receiver.accepted) == STEPS
    told = [event["id"] for event in receiver.accepted]
    assert told == [event["id"] for event in heard["operator"] if event["type"].startswith("session.")]
    assert len(set(told)) == len(told)
    verifier = Webhook(made["secret"])
    assert all(verifier.verify(one.body, one.headers) for one in receiver.told)
    closed, offered = heard["user"][-1], next(e for e in heard["user"] if e["type"] == "session.suspended")
    assert closed["data"]["reason"] == "no_value" and offered["data"]["offer"]["needed"]
    assert "offer" not in json.dumps(heard["provider"])
    charged = [e for e in own if e["type"] == "account.charged"]
    assert sum(int(e["data"]["total"].replace(".", "")) for e in charged) == 60_000_000  # 0.06 USD in all
    assert [e["id"] for e in charged] == [e["id"] for e in heard["user"] if e["type"] == "account.charged"]
    text = json.dumps(heard["user"] + own)
    for canary in ("0.0000103", "0.0000041", "0.000010300", '"model"}', "0.030900", "0.012300"):
        assert canary not in text, canary
    narrow.wait(lambda events: steps(events)[-1:] == ["closed"])
    theirs = json.dumps(narrow.accepted + heard["provider"])
    assert "0.0000103" in theirs or "0.030900" in theirs
    for canary in ("0.0000041", "0.012300", '0.00002"', '"ada"', "acct_00001"):
        assert canary not in theirs, canary
    assert node.stop() == 0
    receiver.close()
    narrow.close()
