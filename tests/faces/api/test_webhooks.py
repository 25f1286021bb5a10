"""Webhooks: signed, in order, each event once however often the receiver or the node fails; nothing to the inside."""

from __future__ import annotations

import json
import signal
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

import apportion
from tests.faces.api.hearing import Receiver, Stream
from tests.faces.api.nodes import CANARIES, MARGIN, NodeProcess, catalog, proven, ride

FLAGS = ("--allow-private-addresses", "--webhook-retry", "1")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def open_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node that may call addresses on this machine."""
    node = NodeProcess(tmp_path_factory.mktemp("hooks") / "books.db", *FLAGS)
    assert node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog())).status == 200
    node.ask("POST", "/v1/usage", [ride("first", "ada"), ride("first too", "ben")])
    yield node
    assert node.stop() == 0, node.log[-5:]


def hook(node: NodeProcess, url: str, *types: str, key: str = "") -> Any:
    made = node.ask("POST", "/v1/webhooks", {"url": url, "types": types, "label": "test"}, key)
    assert made.status == 201, made.body
    return made.json


def state(node: NodeProcess, id: str, key: str = "") -> Any:
    return next(one for one in node.ask("GET", "/v1/webhooks", key=key).json["data"] if one["id"] == id)


def until(what: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def test_each_step_once_in_order_though_everything_fails(tmp_path: Path, receiver: Receiver) -> None:
    """The receiver fails three times, the node is killed twice: what is accepted is the stream, once and in order."""
    node = NodeProcess(tmp_path / "books.db", *FLAGS)
    node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog()))
    key = node.first_key
    receiver.answers = [204, 500, 503, 404]
    made = hook(node, receiver.url)
    following = Stream(node, "/v1/events/stream", key)
    cursor = following.wait_for_cursor()
    node.ask("POST", "/v1/usage", [ride(i) for i in range(6)], key)
    until(lambda: len(receiver.told) == 2)
    failing = state(node, made["webhook"]["id"])
    assert (failing["state"], failing["failures"], failing["note"]) == ("failing", 1, "answered 500")
    assert failing["next"] and failing["delivered"] == receiver.told[0].event["id"]
    node.stop(signal.SIGKILL)
    node = NodeProcess(tmp_path / "books.db", *FLAGS)
    assert node.ask("POST", "/v1/usage", [ride("after")], key).status == 200
    until(lambda: [told.status for told in receiver.told].count(204) >= 3, 20)
    node.stop(signal.SIGKILL)
    node = NodeProcess(tmp_path / "books.db", *FLAGS)
    with Stream(node, "/v1/events/stream", key, cursor) as whole:
        whole.wait(lambda events: any(e["data"].get("record") == "after" for e in events))
        told = [event["id"] for event in whole.events]
    receiver.wait(lambda events: bool(events) and events[-1]["data"].get("record") == "after")
    waits = [b.at - a.at for a, b in zip(receiver.told, receiver.told[1:], strict=False) if a.status >= 400]
    assert [t.status for t in receiver.told if t.status != 204] == [500, 503, 404] and waits[2] > waits[1] > 1
    accepted = [event["id"] for event in receiver.accepted]
    assert list(dict.fromkeys(accepted)) == told, "in order, none lost"
    assert len(accepted) <= len(told) + 1, "the second kill may have come between an answer and the note of it"
    assert [t.headers["webhook-id"] for t in receiver.told] == [t.event["id"] for t in receiver.told]
    until(lambda: node.ask("GET", "/v1/webhooks", key=key).json["data"][0].get("delivered") == told[-1])
    assert node.stop() == 0
    proven(tmp_path / "books.db").close()


def test_a_restart_with_nothing_on_its_way_sends_nothing_again(tmp_path: Path, receiver: Receiver) -> None:
    node = NodeProcess(tmp_path / "books.db", *FLAGS)
    node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog()))
    key = node.first_key
    made = hook(node, receiver.url, "account.charged")
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        count = len(receiver.told)
        node.ask("POST", "/v1/usage", [ride(f"{count}/{i}") for i in range(3)], key)
        receiver.wait(lambda events, count=count: len(events) >= count + 3)  # type: ignore[misc]
        last = receiver.accepted[-1]["id"]
        until(lambda last=last, node=node: state(node, made["webhook"]["id"], key)["delivered"] == last)  # type: ignore[misc]
        node.stop(number)
        node = NodeProcess(tmp_path / "books.db", *FLAGS)
    node.ask("POST", "/v1/usage", [ride("end")], key)
    receiver.wait(lambda events: events[-1]["data"]["record"] == "end")
    assert len(receiver.told) == 10
    assert node.stop() == 0


def test_what_is_on_its_way_is_finished_before_the_node_ends(tmp_path: Path, receiver: Receiver) -> None:
    node = NodeProcess(tmp_path / "books.db", *FLAGS)
    node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog()))
    receiver.slow = 0.5
    hook(node, receiver.url, "account.charged")
    node.ask("POST", "/v1/usage", [ride(1), ride(2)])
    time.sleep(0.2)
    assert node.stop() == 0
    receiver.slow = 0.0
    node = NodeProcess(tmp_path / "books.db", *FLAGS)
    receiver.wait(lambda events: events[-1]["data"]["record"] == "2")
    assert [told.event["data"]["record"] for told in receiver.told] == ["1", "2"]
    assert node.stop() == 0


def test_the_library_verifies_and_refuses_what_was_touched(open_node: NodeProcess, receiver: Receiver) -> None:
    secret = hook(open_node, receiver.url, "account.charged")["secret"]
    open_node.ask("POST", "/v1/usage", [ride("signed")])
    receiver.wait(lambda events: bool(events))
    told = receiver.told[0]
    verifier = Webhook(secret)
    event = verifier.verify(told.body, told.headers)
    assert event["id"] == told.headers["webhook-id"] and event["data"]["record"] == "signed"
    assert told.headers["content-type"] == "application/json"
    later = str(int(told.headers["webhook-timestamp"]) + 1)
    for body, headers in (
        (told.body.replace(b"7.00", b"9.00"), {}), (told.body + b" ", {}), (told.body, {"webhook-timestamp": later}),
        (told.body, {"webhook-id": "evt_other"}), (told.body, {"webhook-signature": "v1,AAAA"}),
    ):  # fmt: skip
        with pytest.raises(WebhookVerificationError):
            verifier.verify(body, told.headers | headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 43 + "=").verify(told.body, told.headers)


def test_gone_is_disabled_and_resumed_from_where_it_stopped(open_node: NodeProcess, receiver: Receiver) -> None:
    receiver.answers = [204, 410]
    id = hook(open_node, receiver.url, "account.charged")["webhook"]["id"]
    open_node.ask("POST", "/v1/usage", [ride(f"gone {i}") for i in range(3)])
    until(lambda: state(open_node, id)["state"] == "disabled")
    assert "410" in state(open_node, id)["note"]
    open_node.ask("POST", "/v1/usage", [ride("gone 3")])
    assert len(receiver.told) == 2
    assert open_node.ask("POST", f"/v1/webhooks/{id}/resume", {}).json["state"] == "active"
    receiver.wait(lambda events: len(events) == 4)
    assert [event["data"]["record"] for event in receiver.accepted] == [f"gone {i}" for i in range(4)]
    assert any('"a webhook was disabled"' in line for line in open_node.log)
    receiver.answers = [302]
    open_node.ask("POST", "/v1/usage", [ride("moved")])
    receiver.wait(lambda events: len(events) == 5)
    assert [told.status for told in receiver.told[-2:]] == [302, 204]


def test_resumed_while_it_waits_it_does_not_wait(open_node: NodeProcess, receiver: Receiver) -> None:
    receiver.answers = [500, 500, 500]
    id = hook(open_node, receiver.url, "account.charged")["webhook"]["id"]
    open_node.ask("POST", "/v1/usage", [ride("waits")])
    until(lambda: state(open_node, id).get("failures") == 3, 15)
    began = time.monotonic()
    open_node.ask("POST", f"/v1/webhooks/{id}/resume", {})
    receiver.wait(lambda events: len(events) == 1)
    assert time.monotonic() - began < 2.5 and len(receiver.told) == 4


def test_everybody_is_told_their_own_and_no_secret(open_node: NodeProcess) -> None:
    parties = (("user", "ada"), ("user", "ben"), ("provider", "dora"), ("provider", "otto"))
    receivers = {party: Receiver() for _, party in parties}
    keys = {party: open_node.key(role, party) for role, party in parties}
    hooks = {party: hook(open_node, receivers[party].url, key=keys[party])["webhook"]["id"] for _, party in parties}
    open_node.ask("POST", "/v1/usage", [ride("own 1", "ada"), ride("own 2", "ben")])
    open_node.ask("POST", "/v1/topups", {"payer": "ada", "amount": "3", "currency": "EUR", "reference": "own"})
    for role, party in parties:
        count = 2 if party in ("ada", "dora", "otto") else 1
        heard = receivers[party].wait(lambda events, count=count: len(events) >= count)  # type: ignore[misc]
        text = json.dumps(heard)
        for owner, canary in CANARIES.items():
            assert (canary in text) == (party == owner), (party, owner)
        assert MARGIN not in text and "acct_00002" not in text
        if role == "provider":
            assert "7.00" not in text and {event["type"] for event in heard} == {"account.credited"}
    assert [event["type"] for event in receivers["ada"].accepted] == ["account.charged", "account.topped_up"]
    assert [event["data"]["record"] for event in receivers["ben"].accepted] == ["own 2"]
    for party, key in keys.items():
        assert [one["id"] for one in open_node.ask("GET", "/v1/webhooks", key=key).json["data"]] == [hooks[party]]
    for method, path in (("DELETE", "/v1/webhooks/{}"), ("POST", "/v1/webhooks/{}/resume")):
        body = {} if method == "POST" else None
        theirs = open_node.ask(method, path.format(hooks["ben"]), body, keys["ada"])
        never = open_node.ask(method, path.format("whk_" + "0" * 24), body, keys["ada"])
        assert theirs.status == never.status == 404 and theirs.json["detail"] == never.json["detail"]
    for party, id in hooks.items():
        assert open_node.ask("DELETE", f"/v1/webhooks/{id}", key=keys[party]).status == 200
    open_node.ask("POST", "/v1/usage", [ride("own 3", "ben")])
    time.sleep(0.3)
    assert [len(one.told) for one in receivers.values()] == [2, 1, 2, 2]
    for one in receivers.values():
        one.close()


def test_addresses_of_the_inside_are_refused(node: NodeProcess) -> None:
    for url in (
        "http://example.com/", "https://127.0.0.1/", "https://[::ffff:127.0.0.1]/", "https://2130706433/",
        "https://169.254.169.254/latest", "https://u:p@example.com/", "https://example.com:25/", "file:///etc/passwd",
        "https://localhost/", node.url,
    ):  # fmt: skip
        refused = node.ask("POST", "/v1/webhooks", {"url": url})
        assert (refused.status, refused.json["field"]) == (422, "url"), url
    unknown = node.ask("POST", "/v1/webhooks", {"url": "https://example.com/", "types": ["no.such"]})
    assert (unknown.status, unknown.json["field"]) == (422, "types")
    assert node.ask("POST", "/v1/webhooks", {"url": "https://example.com/"}, node.key("auditor")).status == 403


def test_there_are_only_so_many_of_a_party(open_node: NodeProcess, receiver: Receiver) -> None:
    key = open_node.key("user", "zoe")
    made = [hook(open_node, receiver.url, "hold.*", key=key)["webhook"]["id"] for _ in range(10)]
    assert open_node.ask("POST", "/v1/webhooks", {"url": receiver.url}, key).status == 409
    assert open_node.ask("DELETE", f"/v1/webhooks/{made[0]}", key=key).status == 200
    hook(open_node, receiver.url, key=key)


def test_the_secret_is_shown_once_and_kept_sealed(open_node: NodeProcess, receiver: Receiver) -> None:
    made = hook(open_node, receiver.url)
    secret = b64decode(made["secret"].removeprefix("whsec_"))
    assert len(secret) == 32
    stored = b"".join(path.read_bytes() for path in open_node.store.parent.glob("books.db*"))
    shown = b"".join(
        open_node.ask("GET", path).body for path in ("/v1/webhooks", "/v1/export", "/metrics", "/openapi.json")
    ) + "".join(open_node.log).encode()  # fmt: skip
    for place in (stored, shown):
        assert secret not in place and made["secret"][6:].encode() not in place
    assert receiver.url.encode() not in "".join(open_node.log).encode()


def test_the_client_has_the_same_verbs(open_node: NodeProcess, receiver: Receiver) -> None:
    with apportion.Client(open_node.url, key=open_node.first_key) as client:
        made = client.create_webhook(receiver.url, ["account.*"], "mine")
        assert made.webhook.label == "mine" and made.webhook.types == ("account.*",)
        assert made.webhook.id in {one.id for one in client.webhooks()}
        assert client.resume_webhook(made.webhook.id).state == "active"
        client.delete_webhook(made.webhook.id)
        assert made.webhook.id not in {one.id for one in client.webhooks()}
