"""Bids are read strictly: what is not signed, dated, bound and sane is dropped with its reason, whatever it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.adapters.outside import KeyFile, signature_holds
from apportion.model.bid import (
    BID_BYTES,
    COMPONENTS_MAX,
    OFFERS_MAX,
    ROWS_MAX,
    SKEW,
    Agreed,
    Asked,
    Bid,
    CounterOffer,
    SignedBid,
    bytes_of,
    digest_of,
)
from apportion.model.bid_check import GoodBid, Unfit, read_agreed, read_bid
from apportion.model.market import Offer, Quality
from apportion.model.tariff import Deck, DeckRow, Tariff, Unit

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEY = KeyFile(None)
TARIFF = Tariff(id="voice", currency="EUR", components=(Unit(name="talk", measure="seconds", price="0.01"),))
OFFER = Offer(service="call", part="termination", provider="north", tariff=TARIFF)
ASKED = Asked(
    "rfq_12345678", "call", ("termination", "transit"), {"seconds": "60"}, "EUR", "2026-11-20T12:00:00Z",
    "2026-11-20T12:00:01Z",
)  # fmt: skip
BID = Bid(
    ASKED.id, 1, digest_of(bytes_of(ASKED)), "north", "2026-11-20T12:00:00.5Z", "2026-11-20T12:00:30Z", (OFFER,),
    ASKED.quantities,
)  # fmt: skip
LONG = tuple(DeckRow(str(n)) for n in range(ROWS_MAX + 1))
replace = msgspec.structs.replace


def signed(body: str | bytes, key: KeyFile = KEY) -> bytes:
    text = body if isinstance(body, str) else body.decode()
    return msgspec.json.encode(SignedBid(text, key.sign(text.encode())))


def read(bid: Bid, asked: Asked = ASKED) -> GoodBid | Unfit:
    return read_bid(signed(msgspec.json.encode(bid)), asked, ("north", KEY.public()), NOW, signature_holds)


def reason(found: object) -> str:
    assert isinstance(found, Unfit), found
    assert found.why
    return found.reason


def with_offer(**more: Any) -> Bid:
    return replace(BID, offers=(replace(OFFER, **more),))


def with_tariff(**more: Any) -> Bid:
    return with_offer(tariff=replace(TARIFF, **more))


def test_a_good_bid_has_offers_with_ids_of_its_own_that_end_with_it() -> None:
    good = read(BID)
    assert isinstance(good, GoodBid)
    assert good.digest == digest_of(good.signed.body.encode())
    assert good.offers == (replace(OFFER, id=f"bid_{good.digest[:24]}", valid_until="2026-11-20T12:00:30Z"),)


def test_offers_of_one_bid_have_different_ids_and_never_outlive_it() -> None:
    sooner = replace(OFFER, part="transit", valid_until="2026-11-20T12:00:10+00:00")
    good = read(replace(BID, offers=(OFFER, sooner, replace(OFFER, valid_until="2027-01-01T00:00:00Z"))))
    assert isinstance(good, GoodBid)
    assert [one.id[28:] for one in good.offers] == [".1", ".2", ".3"]
    assert [one.valid_until for one in good.offers] == [
        "2026-11-20T12:00:30Z", "2026-11-20T12:00:10+00:00", "2026-11-20T12:00:30Z",
    ]  # fmt: skip


CASES: dict[str, tuple[Bid, str]] = {
    "another provider": (replace(BID, provider="south"), "provider"),
    "an offer for another": (with_offer(provider="south"), "provider"),
    "another request": (replace(BID, rfq="rfq_87654321"), "rfq"),
    "another round": (replace(BID, round=2), "round"),
    "another question": (replace(BID, question=digest_of(b"{}")), "question"),
    "other quantities": (replace(BID, quantities={"seconds": "1"}), "question"),
    "from yesterday": (replace(BID, at="2026-11-19T12:00:00Z"), "date"),
    "from tomorrow": (replace(BID, at="2026-11-21T12:00:00Z"), "date"),
    "a clock too far ahead": (replace(BID, at=(NOW + timedelta(seconds=SKEW + 1)).isoformat()), "date"),
    "no date": (replace(BID, at="now"), "date"),
    "no zone": (replace(BID, at="2026-11-20T12:00:00"), "date"),
    "a year without end": (replace(BID, valid_until="9" * 50), "date"),
    "expired": (replace(BID, valid_until="2026-11-20T12:00:00Z"), "expired"),
    "an offer that expired": (with_offer(valid_until="2026-11-20T11:59:59Z"), "expired"),
    "a decline": (replace(BID, answer="decline", offers=()), "declined"),
    "accepting nothing": (replace(BID, answer="accept"), "round"),
    "no offers": (replace(BID, offers=()), "offer"),
    "too many offers": (replace(BID, offers=(OFFER,) * (OFFERS_MAX + 1)), "offer"),
    "another service": (with_offer(service="film"), "service"),
    "another part": (with_offer(part="routing"), "service"),
    "the name of a tariff": (with_offer(tariff="voice"), "tariff"),
    "the name of a retail tariff": (with_offer(retail="voice"), "tariff"),
    "another currency": (with_tariff(currency="USD"), "currency"),
    "retail in another currency": (with_offer(retail=replace(TARIFF, currency="USD")), "currency"),
    "no components": (with_tariff(components=()), "tariff"),
    "many components": (with_tariff(components=TARIFF.components * (COMPONENTS_MAX + 1)), "tariff"),
    "a price below zero": (with_tariff(components=(replace(TARIFF.components[0], price="-1"),)), "tariff"),
    "no price": (with_tariff(components=(replace(TARIFF.components[0], price="free"),)), "tariff"),
    "a price list in a file": (with_tariff(deck=Deck("destination", file="/etc/passwd")), "tariff"),
    "a long price list": (with_tariff(deck=Deck("d", rows=LONG)), "tariff"),
    "a zone that is none": (with_tariff(zone="../../etc/passwd"), "tariff"),
    "a latency below zero": (with_offer(quality=Quality(latency=-1)), "offer"),
    "up more than always": (with_offer(quality=Quality(availability="1.1")), "offer"),
    "never up": (with_offer(quality=Quality(availability="0")), "offer"),
    "a throughput that is none": (with_offer(quality=Quality(throughput="much")), "offer"),
    "capacity below zero": (with_offer(capacity={"seconds": "-1"}), "offer"),
    "a fraction of nothing": (with_offer(most={"seconds": "1/0"}), "offer"),
    "a power": (with_offer(least={"seconds": "1e40"}), "offer"),
    "a network with a line feed": (with_offer(network="a\nb"), "offer"),
    "a set-up fee below zero": (replace(BID, setup="-0.01"), "offer"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_has_its_reason(name: str) -> None:
    bid, wanted = CASES[name]
    assert reason(read(bid)) == wanted


def test_who_is_not_asked_or_has_no_key_is_not_read() -> None:
    raw, other = signed(msgspec.json.encode(BID)), KeyFile(None)
    assert reason(read_bid(raw, ASKED, ("south", KEY.public()), NOW, signature_holds)) == "provider"
    assert reason(read_bid(raw, ASKED, ("north", other.public()), NOW, signature_holds)) == "signature"
    assert reason(read_bid(raw, ASKED, ("north", ""), NOW, signature_holds)) == "no_key"
    assert reason(read_bid(raw, ASKED, ("north", "zz"), NOW, signature_holds)) == "signature"


@pytest.mark.parametrize("place", range(0, 900, 61))
def test_one_changed_byte_breaks_the_signature(place: int) -> None:
    body = msgspec.json.encode(BID).decode()
    at = place % len(body)
    changed = body[:at] + ("x" if body[at] != "x" else "y") + body[at + 1 :]
    raw = msgspec.json.encode(SignedBid(changed, KEY.sign(body.encode())))
    assert reason(read_bid(raw, ASKED, ("north", KEY.public()), NOW, signature_holds)) == "signature"


def test_any_form_of_the_json_will_do_but_no_key_twice() -> None:
    tree = json.loads(msgspec.json.encode(BID))
    spaced = json.dumps(dict(reversed(tree.items())), indent=2)
    good = read_bid(signed(spaced), ASKED, ("north", KEY.public()), NOW, signature_holds)
    assert isinstance(good, GoodBid) and good.signed.body == spaced
    double = (
        spaced.replace('"setup"', '"rfq"')
        if '"setup"' in spaced
        else spaced.replace("{", '{"setup":"0","setup":"9",', 1)
    )
    assert reason(read_bid(signed(double), ASKED, ("north", KEY.public()), NOW, signature_holds)) == "garbage"


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"null", b"[]", b"{}", b"\xff\xfe", b'{"body":1,"signature":""}', b"[" * 50_000, b'{"body":' * 5_000,
        signed("{}"), signed("null"), signed("[" * 40_000), signed('{"kind":"agreed"}'), signed("\x00"),
        signed(msgspec.json.encode(BID).replace(b'"kind":"bid"', b'"kind":"bid","extra":1')),
        signed(msgspec.json.encode(BID).replace(b'"round":1', b'"round":1e999')),
    ],
)  # fmt: skip
def test_garbage_is_dropped(raw: bytes) -> None:
    assert reason(read_bid(raw, ASKED, ("north", KEY.public()), NOW, signature_holds)) == "garbage"


def test_what_is_too_large_is_not_read() -> None:
    raw = signed(msgspec.json.encode(BID)) + b" " * BID_BYTES
    assert reason(read_bid(raw, ASKED, ("north", KEY.public()), NOW, signature_holds)) == "oversized"


def test_a_later_round_may_accept_the_counter_offer() -> None:
    second = replace(ASKED, round=2, counter=CounterOffer({"termination": "0.5"}))
    bid = replace(BID, round=2, question=digest_of(bytes_of(second)), answer="accept")
    assert isinstance(read(bid, second), GoodBid)
    assert reason(read(BID, second)) == "round"


def test_a_confirmation_is_of_this_bid_and_these_offers() -> None:
    good = read(BID)
    assert isinstance(good, GoodBid)
    agreed = Agreed(BID.rfq, good.digest, "north", "2026-11-20T12:00:02Z")

    def told(said: Agreed, key: KeyFile = KEY, taken: tuple[int, ...] = ()) -> Agreed | Unfit:
        raw = signed(msgspec.json.encode(said), key)
        return read_agreed(raw, good, taken, ("north", KEY.public()), NOW, signature_holds)

    assert told(agreed) == agreed
    assert reason(told(agreed, KeyFile(None))) == "signature"
    assert reason(told(replace(agreed, bid=digest_of(b"a dearer one")))) == "price"
    assert reason(told(agreed, taken=(0,))) == "price"
    assert reason(told(replace(agreed, rfq="rfq_87654321"))) == "rfq"
    assert reason(told(replace(agreed, provider="south"))) == "provider"
    assert reason(told(replace(agreed, at="2026-11-20T13:00:00Z"))) == "date"
    bid = read_agreed(signed(msgspec.json.encode(BID)), good, (), ("north", KEY.public()), NOW, signature_holds)
    assert reason(bid) == "garbage", "a bid is no confirmation"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_is_signed_is_read_or_dropped(data: st.DataObject) -> None:
    """No provider can raise anything in whoever reads it."""
    tree = json.loads(msgspec.json.encode(BID))
    spots: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            spots.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(tree)
    node, key = data.draw(st.sampled_from(spots))
    odd: Callable[[], st.SearchStrategy[Any]] = lambda: st.one_of(  # noqa: E731
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=50),
        st.sampled_from(["1e999", "0/0", "1/3", "-0", "٣", "9" * 60, "2026-02-30T00:00:00Z"]),
        st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]),
        st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    )  # fmt: skip
    node[key] = data.draw(odd())
    found = read_bid(signed(json.dumps(tree)), ASKED, ("north", KEY.public()), NOW, signature_holds)
    assert isinstance(found, GoodBid | Unfit)
