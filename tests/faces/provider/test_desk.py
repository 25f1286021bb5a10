"""The desk of a provider with a clock of ours: bounded memory, capacity that adds up, prices within their bounds."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.adapters.outside import KeyFile, signature_holds
from apportion.engine.broker.haggling import narrowed, net_price, over_target, rows_by_key, scaled
from apportion.errors import RefusalCode, Refused
from apportion.faces.provider import desk as desks
from apportion.faces.provider.desk import Desk
from apportion.model.bid import Acceptance, Asked, CounterOffer, bytes_of
from apportion.model.bid_check import GoodBid, instant, read_bid
from apportion.model.negotiation import TACTICS
from apportion.model.provider_node import Bargaining, NodeOffer, ProviderNode
from apportion.model.tariff import Deck, DeckRow, Flat, Graduated, Package, Percentage, Tariff, Tier, Unit
from apportion.money import Exact

KEY = KeyFile(None)
_IDS = itertools.count(10_000_000)
VOICE = Tariff(id="voice", currency="EUR", components=(Unit(name="talk", measure="seconds", price="0.01"),))


class Hours:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 20, 12, tzinfo=UTC)

    def now(self) -> str:
        return self.at.isoformat()

    def on(self, seconds: int) -> None:
        self.at += timedelta(seconds=seconds)


def opened(rule: Bargaining, tariff: Tariff = VOICE, **more: Any) -> tuple[Desk, Hours]:
    offer = NodeOffer("call", "termination", "voice", capacity={"seconds": "100"})
    hours = Hours()
    return Desk(ProviderNode("north", (offer,), {"voice": tariff}, bargaining=rule, **more), KEY, hours.now), hours


def asked(hours: Hours, **more: Any) -> Asked:
    plain: dict[str, Any] = {
        "id": f"rfq_{next(_IDS)}", "service": "call", "parts": ("termination",), "quantities": {"seconds": "60"},
        "currency": "EUR", "at": hours.now(), "deadline": (hours.at + timedelta(seconds=1)).isoformat(),
    }  # fmt: skip
    return Asked(**plain | more)


def bid(desk: Desk, question: Asked) -> GoodBid | None:
    """The bid for a question, checked as a platform does; None for a decline."""
    raw = bytes_of(question)
    signed = desk.quote(raw) if question.round == 1 else desk.round(question.id, raw)
    found = read_bid(
        msgspec.json.encode(signed), question, ("north", KEY.public()), instant(question.at), signature_holds
    )
    if isinstance(found, GoodBid):
        return found
    assert found.reason == "declined", found
    return None


def accept(desk: Desk, good: GoodBid) -> None:
    desk.accept(good.bid.rfq, msgspec.json.encode(Acceptance(good.signed)))


def test_memory_is_bounded_and_what_was_agreed_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "CASES_MAX", 5)
    desk, hours = opened(Bargaining())
    kept = bid(desk, asked(hours))
    assert kept is not None
    accept(desk, kept)
    for _ in range(20):
        bid(desk, asked(hours, quantities={"seconds": "1"}))
    assert len(desk._cases) == 5 and desk._size == sum(4 * len(case.signed.body) for case in desk._cases.values())
    accept(desk, kept)
    assert desk.stock.free(0) == {"seconds": "40"}
    hours.on(61)
    bid(desk, asked(hours, quantities={"seconds": "1"}))
    assert len(desk._cases) == 1, "those whose bids stand no longer are forgotten"
    hours.on(86_400)
    bid(desk, asked(hours, quantities={"seconds": "1"}))
    assert desk.stock.free(0) == {"seconds": "100"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["quote", "accept", "end", "wait"]), st.integers(0, 60)), max_size=40))
def test_no_capacity_is_sold_twice_or_lost(steps: list[tuple[str, int]]) -> None:
    desk, hours = opened(Bargaining(), hold=100)
    bids: list[GoodBid] = []
    held: dict[str, tuple[int, datetime]] = {}
    for what, number in steps:
        held = {rfq: one for rfq, one in held.items() if one[1] > hours.at}
        if what == "quote":
            good = bid(desk, asked(hours, quantities={"seconds": str(number)}))
            assert (good is not None) == (number <= 100 - sum(units for units, _ in held.values()))
            bids += [good] if good is not None else []
        elif what == "wait":
            hours.on(number)
        elif bids:
            good = bids[number % len(bids)]
            rfq, units = good.bid.rfq, int(good.bid.quantities["seconds"])
            if what == "end":
                desk.end(rfq, b"{}")
                held.pop(rfq, None)
                continue
            try:
                accept(desk, good)
                held.setdefault(rfq, (units, hours.at + timedelta(seconds=100)))
            except Refused as error:
                assert error.refusal.code is RefusalCode.PLAN_ENDED and rfq not in held
        held = {rfq: one for rfq, one in held.items() if one[1] > hours.at}
        desk.stock.expire(hours.at)
        assert desk.stock.free(0) == {"seconds": str(100 - sum(units for units, _ in held.values()))}


PRICES = st.decimals("0.000001", "50", places=6).map(str)
AMOUNTS = st.decimals("0", "20", places=4).map(str)


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(TACTICS), PRICES, st.integers(0, 30), st.integers(0, 90), st.integers(1, 10), st.integers(0, 100),
    st.lists(st.tuples(AMOUNTS, st.booleans()), max_size=12),
)  # fmt: skip
def test_no_price_is_below_the_margin_above_the_last_one_or_above_what_is_accepted(
    tactic: Any, price: str, margin: int, more: int, rounds: int, keep: int, counters: list[tuple[str, bool]]
) -> None:
    tariff = msgspec.structs.replace(VOICE, components=(Unit(name="talk", measure="seconds", price=price),))
    rule = Bargaining(tactic, str(margin), str(margin + more), rounds, "", keep)
    desk, hours = opened(rule, tariff)
    question = asked(hours)
    cost = Exact.parse(price) * Exact(60)
    floor, last = cost * Exact(100 + margin, 100), cost * Exact(100 + margin + more, 100)
    first = bid(desk, question)
    assert first is not None and net_price(first.offers[0].tariff, question) == last  # type: ignore[arg-type]
    for round, (amount, final) in enumerate(counters, 2):
        question = msgspec.structs.replace(
            question, round=round, counter=CounterOffer({"termination": amount}, last=final)
        )
        good = bid(desk, question)
        if good is None:
            continue
        now = net_price(good.offers[0].tariff, question)  # type: ignore[arg-type]
        assert now >= floor and not over_target(good.bid, question)
        if good.bid.answer == "accept":
            assert now <= Exact.parse(amount)
        elif tactic != "tit-for-tat":
            assert now <= last + Exact(1, 10**9)
            last = now


def test_a_scaled_tariff_costs_so_many_times_as_much_whatever_it_is_made_of() -> None:
    tariff = Tariff(
        id="all", currency="EUR", minimum="0.5", components=(
            Flat(name="start", price="0.1"), Unit(name="talk", measure="seconds", price="0.003", step="7"),
            Graduated(name="data", measure="mb", tiers=(Tier("10", price="0.2", flat="1"), Tier(price="0.1"))),
            Package(name="pack", measure="mb", size="8", price="0.37"),
            Percentage(name="share", measure="value", rate="2.5", fixed="0.3", minimum="0.01"),
        ),
    )  # fmt: skip
    hours = Hours()
    for quantities in (
        {},
        {"seconds": "61", "mb": "12.5", "value": "80"},
        {"seconds": "1", "mb": "3", "value": "0.01"},
    ):
        question = asked(hours, quantities=quantities)
        for factor in (Exact(7, 5), Exact(123_456_789, 10**9), Exact(1, 3)):
            assert net_price(scaled(tariff, factor), question) == net_price(tariff, question) * factor


def test_a_price_list_is_narrowed_to_the_rows_that_count_and_costs_the_same() -> None:
    rows = tuple(DeckRow(key, f"0.0{at + 1}") for at, key in enumerate(("", "4", "45", "452", "46", "1")))
    unit = Unit(name="talk", measure="seconds")
    for match in ("prefix", "exact"):
        tariff = Tariff(id="deck", currency="EUR", components=(unit,), deck=Deck("to", match, rows))  # type: ignore[arg-type]
        for value in ("4521", "45", "46", "7", ""):
            question = asked(Hours(), attributes={"to": value})
            less = narrowed(tariff, question.attributes, rows_by_key(tariff))
            assert less.deck is not None and len(less.deck.rows) < len(rows)
            assert net_price(less, question) == net_price(tariff, question)
    plain = {"to": "4521"}
    assert narrowed(VOICE, plain, rows_by_key(VOICE)) == VOICE and Decimal("0.01") == Decimal(VOICE.components[0].price)  # type: ignore[union-attr]
