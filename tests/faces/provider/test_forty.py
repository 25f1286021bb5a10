"""Forty provider nodes and a deadline of 250 ms: who is dead, slow or lying neither blocks nor wins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from apportion.adapters.providers.http import HttpProviders
from apportion.adapters.waiting import Outside
from apportion.engine.broker.asking import Answers, Node, accept_bid, ask_all, ask_each, end_bid
from apportion.engine.broker.haggling import net_price
from apportion.model.bid import Agreed, Asked
from apportion.model.bid_check import Unfit
from apportion.model.tariff import Tariff
from tests.faces.provider.bidding import CONFIG, ProviderProcess, counter, fleet, later, question

DEADLINE, SLACK = 0.25, 0.25
#: manner → why it does not count; a machine under load may also find any of them late
WRONG = {
    "killed": "unreachable", "silent": "late", "slow": "late", "http": "http", "redirect": "http",
    "garbage": "garbage", "oversized": "oversized", "replayed": "rfq", "forged": "signature",
    "altered": "signature", "expired": "expired", "stale": "date", "rfq": "rfq", "question": "question",
    "impostor": "provider", "currency": "currency", "negative": "tariff",
}  # fmt: skip


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    thread = Outside()
    thread.start()
    yield thread
    thread.stop()


@pytest.fixture
def port() -> HttpProviders:
    return HttpProviders(private=True)


def prices(answers: Answers, asked: Asked) -> dict[str, Decimal]:
    """What each bid that counts costs."""
    found = {}
    for name, good in answers.bids.items():
        assert isinstance(good.offers[0].tariff, Tariff)
        found[name] = Decimal(net_price(good.offers[0].tariff, asked).text())
    return found


def test_forty_nodes_of_which_half_are_dead_slow_or_lying(
    outside: Outside, port: HttpProviders, tmp_path: Path
) -> None:
    bad = [*WRONG, "silent", "killed", "forged"]
    manners = [*["honest"] * 16, *bad]
    config = CONFIG.format(validity=30, hold=60, token="0" * 64, more="")
    real = []
    for at in range(4):  # real processes of `apportion provider serve`
        folder = tmp_path / f"real{at}"
        folder.mkdir()
        real.append(ProviderProcess(folder, config.replace('"north"', f'"r{at}"').replace("0.01", f"0.01{at}")))
    try:
        with fleet("127.1", *manners) as members:
            nodes = [Node(one["provider"], one["address"], one["key"]) for one in members]
            nodes += [process.node(f"r{at}") for at, process in enumerate(real)]
            assert len(nodes) == 40
            manner = {one["provider"]: one["manner"] for one in members}
            honest = {name for name, one in manner.items() if one == "honest"} | {f"r{at}" for at in range(4)}
            ask_all(outside, port, nodes, question(), 1.0)  # connections stand, as they do in a running platform
            complete = False
            for _ in range(8):
                asked = question()
                began = time.monotonic()
                answers = ask_all(outside, port, nodes, asked, DEADLINE)
                assert time.monotonic() - began < DEADLINE + SLACK
                assert set(answers.bids) <= honest, "nobody who lies counts"
                assert set(answers.bids) | set(answers.missed) == {node.provider for node in nodes}
                assert not set(answers.bids) & set(answers.missed)
                for name, unfit in answers.missed.items():
                    known = WRONG.get(manner.get(name, ""), "late")
                    assert unfit.reason in (known, "late"), (name, manner.get(name), unfit)
                complete = complete or set(answers.bids) == honest
            assert complete, answers.missed
            for name, unfit in answers.missed.items():
                assert unfit.reason == WRONG[manner[name]] or unfit.reason == "late"
            found = prices(answers, asked)
            best = min(found, key=lambda name: found[name])
            assert best == "r0" and found[best] == Decimal("0.9")  # 60 s at 0.010 and half of it on top
            assert all(offer.id.startswith("bid_") for offer in answers.offers)
    finally:
        for process in real:
            assert process.stop() == 0


def test_who_changes_the_price_after_it_was_accepted_is_left(outside: Outside, port: HttpProviders) -> None:
    with fleet("127.2", "honest", "turncoat") as members:
        nodes = {one["manner"]: Node(one["provider"], one["address"], one["key"]) for one in members}
        asked = question()
        answers = ask_all(outside, port, list(nodes.values()), asked, 5.0)
        assert set(answers.bids) == {"p000", "p001"}
        turned = accept_bid(outside, port, nodes["turncoat"], answers.bids["p001"], later(0), 5.0)
        assert isinstance(turned, Unfit) and turned.reason == "price"
        kept = accept_bid(outside, port, nodes["honest"], answers.bids["p000"], later(0), 5.0)
        assert isinstance(kept, Agreed) and kept.bid == answers.bids["p000"].digest
        again = accept_bid(outside, port, nodes["honest"], answers.bids["p000"], later(0), 5.0)
        assert isinstance(again, Agreed) and again.bid == kept.bid
        end_bid(outside, port, nodes["honest"], asked.id, "done", 5.0)


def test_who_accepts_a_counter_offer_and_asks_more_is_left(outside: Outside, port: HttpProviders) -> None:
    with fleet("127.3", "honest", "accepts") as members:
        nodes = [Node(one["provider"], one["address"], one["key"]) for one in members]
        first = question()
        assert set(ask_all(outside, port, nodes, first, 5.0).bids) == {"p000", "p001"}
        again = ask_each(outside, port, [(node, counter(first, "1.5")) for node in nodes], 5.0)
        assert again.missed["p001"].reason == "price"
        assert again.bids["p000"].bid.answer == "accept"  # it asks 60 × 0.02
        assert prices(again, first)["p000"] <= Decimal("1.5")


def test_who_is_called_under_another_key_or_none_is_left(outside: Outside, port: HttpProviders) -> None:
    with fleet("127.4", "honest", "honest", "honest") as members:
        first, second, third = members
        nodes = [
            Node(first["provider"], first["address"], second["key"]),
            Node(second["provider"], second["address"], ""),
            Node("somebody", third["address"], third["key"]),
        ]
        answers = ask_all(outside, port, nodes, question(), 5.0)
        assert not answers.bids
        reasons = {name: unfit.reason for name, unfit in answers.missed.items()}
        assert reasons == {first["provider"]: "signature", second["provider"]: "no_key", "somebody": "provider"}


def test_addresses_of_the_inside_are_not_called(outside: Outside) -> None:
    public = HttpProviders()
    nodes = [
        Node("plain", "http://127.0.0.1:9", "00"), Node("inside", "https://127.0.0.1:9000", "00"),
        Node("link", "https://169.254.169.254", "00"), Node("name", "https://localhost.localdomain:8000", "00"),
        Node("file", "file:///etc/passwd", "00"), Node("empty", "", "00"),
    ]  # fmt: skip
    answers = ask_all(outside, public, nodes, question(), 5.0)
    assert not answers.bids
    assert {unfit.reason for unfit in answers.missed.values()} == {"unreachable"}


@pytest.mark.torture
def test_five_hundred_nodes_within_the_deadline(outside: Outside, port: HttpProviders) -> None:
    with fleet("127.9", *["honest"] * 500) as members:
        nodes = [Node(one["provider"], one["address"], one["key"]) for one in members]
        answers = ask_all(outside, port, nodes, question(), 10.0)
        assert len(answers.bids) == 500, answers.missed
        for _ in range(3):
            began = time.monotonic()
            answers = ask_all(outside, port, nodes, question(), DEADLINE)
            took = time.monotonic() - began
            assert took < DEADLINE + SLACK
            assert len(answers.bids) + len(answers.missed) == 500
            assert {unfit.reason for unfit in answers.missed.values()} <= {"late"}
