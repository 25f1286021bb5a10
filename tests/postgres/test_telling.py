"""Events where two nodes share the books: each hears what the other did, and only one of them tells a webhook."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.faces.api.hearing import Receiver, Stream
from tests.faces.api.nodes import NodeProcess, catalog, ride
from tests.postgres.server import dsn_of


class Dsn(str):
    """The address of a store, and the folder in which its nodes run."""

    parent: Path


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[list[NodeProcess], str]]:
    """Two nodes on one database, the catalog in force, and the operator's key."""
    dsn = Dsn(dsn_of())
    dsn.parent = tmp_path
    flags = ("--allow-private-addresses", "--webhook-retry", "1")
    nodes = [NodeProcess(dsn, *flags)]  # type: ignore[arg-type]
    assert nodes[0].ask("PUT", "/v1/catalog", msgspec.json.encode(catalog())).status == 200
    key = nodes[0].first_key
    nodes.append(NodeProcess(dsn, *flags))  # type: ignore[arg-type]
    yield nodes, key
    for node in nodes:
        if node.process.poll() is None:
            assert node.stop() == 0, node.log[-5:]


def test_what_the_other_node_did_is_heard_here(two: tuple[list[NodeProcess], str]) -> None:
    (first, second), key = two
    with Stream(first, "/v1/events/stream", key) as here, Stream(second, "/v1/events/stream", key) as there:
        here.wait_for_cursor()
        there.wait_for_cursor()
        for i in range(10):
            assert (first, second)[i % 2].ask("POST", "/v1/usage", [ride(i)], key).status == 200
        for stream in (here, there):
            stream.wait(lambda events: [e["type"] for e in events].count("account.charged") >= 10, 20)
        assert [e["id"] for e in here.events] == [e["id"] for e in there.events]
        assert [e["data"]["record"] for e in here.events if e["type"] == "account.charged"] == [
            str(i) for i in range(10)
        ]
    with Stream(second, "/v1/events/stream", key, here.cursors[4]) as resumed:
        resumed.wait(lambda events: len(events) >= len(here.events) - 5)
        assert [e["id"] for e in resumed.events] == [e["id"] for e in here.events[5:]]


def test_one_node_tells_and_the_other_takes_over(two: tuple[list[NodeProcess], str]) -> None:
    (first, second), key = two
    receiver = Receiver()
    made = second.ask("POST", "/v1/webhooks", {"url": receiver.url, "types": ["account.charged"]}, key)
    assert made.status == 201
    for i in range(20):
        assert (first, second)[i % 2].ask("POST", "/v1/usage", [ride(i, "crowd")], key).status == 200
    receiver.wait(lambda events: len(events) >= 20, 30)
    time.sleep(0.5)
    assert [told.event["data"]["record"] for told in receiver.told] == [str(i) for i in range(20)]
    tellers = [b'apportion_webhook_tries_total{ended="accepted"} 20.0' in node.ask("GET", "/metrics", key=key).body
               for node in (first, second)]  # fmt: skip
    assert sorted(tellers) == [False, True], "one node told all of it"
    dead, alive = (first, second) if tellers[0] else (second, first)
    dead.stop(signal.SIGKILL)
    for i in range(20, 25):
        assert alive.ask("POST", "/v1/usage", [ride(i, "crowd")], key).status == 200
    receiver.wait(lambda events: bool(events) and events[-1]["data"]["record"] == "24", 40)
    assert [told.event["data"]["record"] for told in receiver.told] == [str(i) for i in range(25)]
    receiver.close()
