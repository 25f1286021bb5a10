"""The page for providers as a test: its file is a node's, its program can be asked, its request is read."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from apportion.adapters.providers.http import HttpProviders
from apportion.adapters.waiting import Outside
from apportion.engine.broker.asking import Node, accept_bid, ask_all, ask_each
from apportion.model.bid import Agreed
from apportion.model.bid_check import Unfit
from apportion.model.request import Request
from apportion.wiring import open_provider_node
from tests.faces.provider.bidding import ROOT, counter, later, question

PAGE = (ROOT / "docs/how-to/be-a-provider.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def blocks(kind: str) -> list[str]:
    return [text for word, text in BLOCKS if word == kind]


def test_the_files_of_the_page_are_a_node(tmp_path: Path) -> None:
    whole, _, users = blocks("toml")
    (tmp_path / "node.toml").write_text(whole.replace("[bargaining]", users + "\n[bargaining]"))
    node, signer, _ = open_provider_node(str(tmp_path / "node.toml"))
    assert node.provider == "north" and node.bargaining.tactic == "boulware" and len(signer.public()) == 64
    assert node.users[0].token == hashlib.sha256(b"foo").hexdigest()


def test_the_request_of_the_page_is_read() -> None:
    sent = re.findall(r"-d '(\{.*?\})'$", PAGE, re.MULTILINE)[0]
    assert msgspec.json.decode(sent, type=Request).payers[0].payer == "ada"


@pytest.fixture
def tiny() -> Iterator[Node]:
    """The program of the page, on a free port."""
    (source,) = blocks("python")
    names: dict[str, Any] = {}
    exec(compile(source.replace("8071", "0").replace("server.serve_forever()", ""), "page", "exec"), names)
    names["Tiny"].log_message = lambda *words: None
    server = names["server"]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    key = names["KEY"].public_key().public_bytes_raw().hex()
    yield Node("tiny", f"http://127.0.0.1:{server.server_port}", key)
    server.shutdown()
    server.server_close()


def test_the_program_of_the_page_bids_and_keeps_its_word(tiny: Node) -> None:
    outside, port = Outside(), HttpProviders(private=True)
    outside.start()
    try:
        asked = question()
        good = ask_all(outside, port, [tiny], asked, 5.0).bids["tiny"]
        again = ask_each(outside, port, [(tiny, counter(asked, "0.5"))], 5.0).bids["tiny"]
        assert again.bid.answer == "offer" and again.bid.final
        agreed = accept_bid(outside, port, tiny, good, later(0), 5.0)
        assert isinstance(agreed, Agreed) and agreed.bid == good.digest
        other = ask_all(outside, port, [tiny], question(service="film"), 5.0)
        assert other.missed["tiny"].reason == "declined"
        changed = good.signed.body.replace('"0.02"', '"0.2"')
        forged = msgspec.structs.replace(good, signed=msgspec.structs.replace(good.signed, body=changed))
        refused = accept_bid(outside, port, tiny, forged, later(0), 5.0)
        assert isinstance(refused, Unfit) and refused.reason == "http"
    finally:
        outside.stop()


def test_what_the_page_shows_is_json_where_it_says_so() -> None:
    assert json.loads(re.findall(r"-d '(\{.*?\})'$", PAGE, re.MULTILINE)[1])["scenario"] == "lowest-cost"
