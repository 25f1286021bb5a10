"""Whether what a provider node sent is a bid that counts: signed, dated, bound to the question, and sane.

Whoever asks is told a reason for every node; nothing that fails here is ever chosen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

import msgspec

from apportion.errors import Refused
from apportion.model.bid import (
    BID_BYTES,
    COMPONENTS_MAX,
    OFFERS_MAX,
    ROWS_MAX,
    SKEW,
    Agreed,
    Asked,
    Bid,
    SignedBid,
    bytes_of,
    digest_of,
)
from apportion.model.market import Offer
from apportion.model.tariff import Tariff
from apportion.model.tariff_check import check
from apportion.money import Exact

#: why a node's answer does not count
Reason = Literal[
    "late", "unreachable", "http", "oversized", "garbage", "no_key", "signature", "provider", "rfq", "round",
    "question", "date", "expired", "service", "currency", "tariff", "offer", "price", "declined",
]  # fmt: skip
#: (public key, message, signature, both in hexadecimal) → whether the signature is by that key
Holds = Callable[[str, bytes, str], bool]
Said = TypeVar("Said", Bid, Agreed)
_Any = TypeVar("_Any", bound=msgspec.Struct)

_NAME = re.compile(r"[^\s\x00-\x1f\x7f]{1,64}")
_SIZE = 40
_LATENCY_MAX = 86_400_000
_NEVER = datetime.max.replace(tzinfo=UTC)
_ONE = Exact(1)


class Unfit(msgspec.Struct, frozen=True):
    """Why something that a node sent does not count: a ``reason`` for programs, ``why`` for people."""

    reason: Reason
    why: str


class _Drop(Exception):
    """Carries an Unfit out of the checks."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(why)
        self.unfit = Unfit(reason, why)


class GoodBid(msgspec.Struct, frozen=True):
    """A bid that counts, as it was ``signed``; ``digest`` is the SHA-256 of its body.

    ``offers`` are its own with ids ``bid_…`` made of the digest and bounded by the bid's validity.
    """

    bid: Bid
    signed: SignedBid
    digest: str
    offers: tuple[Offer, ...]


def read_bid(raw: bytes, asked: Asked, who: tuple[str, str], now: datetime, holds: Holds) -> GoodBid | Unfit:
    """A signed bid by ``who`` (provider, public key) that answers ``asked``; why not, when it does not count."""
    provider, key = who
    try:
        signed = _signed(raw)
        bid = _said(signed, key, holds, Bid)
        _bound(bid, asked, provider)
        _dated(bid, now)
        if bid.answer == "decline":
            return Unfit("declined", "It does not offer this.")
        if bid.answer == "accept" and asked.counter is None:
            raise _Drop("round", "It accepts a counter-offer that nobody made.")
        _number(bid.setup, "setup")
        if not bid.offers or len(bid.offers) > OFFERS_MAX:
            raise _Drop("offer", f"It holds {len(bid.offers)} offers; 1 to {OFFERS_MAX} are read.")
        for offer in bid.offers:
            _offer(offer, asked, provider, now)
    except _Drop as drop:
        return drop.unfit
    digest = digest_of(signed.body.encode())
    return GoodBid(bid, signed, digest, tuple(_named(offer, at, bid, digest) for at, offer in enumerate(bid.offers)))


def read_agreed(
    raw: bytes, good: GoodBid, taken: tuple[int, ...], who: tuple[str, str], now: datetime, holds: Holds
) -> Agreed | Unfit:
    """The signed confirmation that the offers ``taken`` of a bid were accepted; why not, when it is none."""
    provider, key = who
    try:
        agreed = _said(_signed(raw), key, holds, Agreed)
        if agreed.provider != provider:
            raise _Drop("provider", f"It speaks for {agreed.provider[:60]!r}.")
        if agreed.rfq != good.bid.rfq:
            raise _Drop("rfq", "It is about another request.")
        if agreed.bid != good.digest or agreed.offers != taken:
            raise _Drop("price", "It confirms another bid than the one that was accepted.")
        _near(agreed.at, now)
    except _Drop as drop:
        return drop.unfit
    return agreed


def instant(text: str) -> datetime:
    """An RFC 3339 instant as UTC.

    Raises:
        ValueError: it is none, or has no zone.
    """
    at = datetime.fromisoformat(text)
    if at.tzinfo is None or len(text) > _SIZE:
        raise ValueError("no zone")
    return at.astimezone(UTC)


# ── step by step ──


def _signed(raw: bytes) -> SignedBid:
    if len(raw) > BID_BYTES:
        raise _Drop("oversized", f"It is larger than {BID_BYTES >> 10} KiB.")
    return _decoded(raw, SignedBid)


def _decoded(raw: bytes, kind: type[_Any]) -> _Any:
    """The record, with no key twice in an object: two readers could understand that in two ways."""
    try:
        found = msgspec.json.decode(raw, type=kind)
        json.loads(raw, object_pairs_hook=_once, parse_float=str, parse_int=str)
        return found
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        raise _Drop("garbage", f"It can not be read: {str(error)[:200]}.") from None


def _once(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a key stands twice in one object")


def _said(signed: SignedBid, key: str, holds: Holds, kind: type[Said]) -> Said:
    """The body, once its signature holds: nothing unsigned is even decoded."""
    if not key:
        raise _Drop("no_key", "The catalog has no key of this provider.")
    body = signed.body.encode("utf-8", "surrogatepass")
    if not holds(key, body, signed.signature):
        raise _Drop("signature", "The signature is not by the provider's key.")
    return _decoded(body, kind)


def _bound(bid: Bid, asked: Asked, provider: str) -> None:
    if bid.provider != provider:
        raise _Drop("provider", f"It speaks for {bid.provider[:60]!r}.")
    if bid.rfq != asked.id:
        raise _Drop("rfq", "It answers another request.")
    if bid.round != asked.round:
        raise _Drop("round", f"It answers round {bid.round}, not {asked.round}.")
    if bid.question != digest_of(bytes_of(asked)) or bid.quantities != asked.quantities:
        raise _Drop("question", "It answers another question than the one that was asked.")


def _dated(bid: Bid, now: datetime) -> None:
    _near(bid.at, now)
    if _instant(bid.valid_until) <= now:
        raise _Drop("expired", f"It was valid until {bid.valid_until[:40]}.")


def _near(text: str, now: datetime) -> None:
    if abs(_instant(text) - now) > timedelta(seconds=SKEW):
        raise _Drop("date", f"It is dated {text[:40]}, more than {SKEW} s from our clock.")


def _instant(text: str) -> datetime:
    try:
        return instant(text)
    except (ValueError, OverflowError):
        raise _Drop("date", f"{text[:40]!r} is not an instant.") from None


def _offer(offer: Offer, asked: Asked, provider: str, now: datetime) -> None:
    if offer.provider != provider:
        raise _Drop("provider", f"An offer is made for {offer.provider[:60]!r}.")
    if offer.service != asked.service or offer.part not in asked.parts:
        raise _Drop("service", f"{offer.service[:60]}/{offer.part[:60]} was not asked for.")
    if not isinstance(offer.tariff, Tariff):
        raise _Drop("tariff", "A bid holds whole tariffs, not their names.")
    _tariff(offer.tariff, asked.currency)
    if isinstance(offer.retail, Tariff):
        _tariff(offer.retail, asked.currency)
    elif offer.retail:
        raise _Drop("tariff", "A bid holds whole tariffs, not their names.")
    for name in filter(None, (offer.network, *offer.reaches)):
        if not _NAME.fullmatch(name):
            raise _Drop("offer", f"{name[:60]!r} is not the name of a network.")
    if not 0 <= offer.quality.latency <= _LATENCY_MAX:
        raise _Drop("offer", f"A latency of {offer.quality.latency} ms is none.")
    if not Exact(0) < _number(offer.quality.availability, "availability") <= _ONE:
        raise _Drop("offer", f"An availability of {offer.quality.availability[:40]} is not above 0 and up to 1.")
    if offer.quality.throughput:
        _number(offer.quality.throughput, "throughput")
    for field in (offer.capacity, offer.least, offer.most):
        for measure, units in field.items():
            _number(units, measure)
    if offer.valid_until and _instant(offer.valid_until) <= now:
        raise _Drop("expired", f"An offer was valid until {offer.valid_until[:40]}.")
    if offer.valid_from:
        _instant(offer.valid_from)


def _tariff(tariff: Tariff, currency: str) -> None:
    """Bounds first, so that a hostile one costs no time; then what every tariff of a catalog must keep."""
    if tariff.currency != currency:
        raise _Drop("currency", f"It asks {tariff.currency[:20]}, the request is in {currency}.")
    deck = tariff.deck
    if len(tariff.components) > COMPONENTS_MAX or len(tariff.bands) > COMPONENTS_MAX:
        raise _Drop("tariff", f"It has more than {COMPONENTS_MAX} components or bands.")
    rows = [getattr(component, "tiers", ()) for component in tariff.components]
    if max(map(len, [*rows, deck.rows if deck is not None else ()])) > ROWS_MAX:
        raise _Drop("tariff", f"It has more than {ROWS_MAX} tiers or rows.")
    if deck is not None and (deck.file or deck.columns):
        raise _Drop("tariff", "Its price list names a file.")
    try:
        findings = check(tariff)
    except (Refused, ValueError, ArithmeticError) as error:
        raise _Drop("tariff", f"The tariff can not be read: {str(error)[:200]}.") from None
    if findings:
        raise _Drop("tariff", f"The tariff has errors: {findings[0].sentence()[:200]}")


def _number(text: str, field: str) -> Exact:
    try:
        value = Exact.parse(text, exponent=False)
    except Refused:
        value = None
    if value is None or value.num < 0:
        raise _Drop("offer", f"{field[:40]}: {text[:40]!r} is not a number of zero or more.")
    return value


def _named(offer: Offer, at: int, bid: Bid, digest: str) -> Offer:
    """An offer under its own id, standing no longer than the bid does."""
    ends = [text for text in (offer.valid_until, bid.valid_until) if text]
    until = min(ends, key=lambda text: min(_instant(text), _NEVER))
    id = f"bid_{digest[:24]}" + (f".{at + 1}" if len(bid.offers) > 1 else "")
    return msgspec.structs.replace(offer, id=id, valid_until=until)
