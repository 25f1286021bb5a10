"""Which offers can serve a request, why the others can not, and which of them reach one another.

Every offer is judged by itself first, in a fixed order: the first thing that speaks against it is what is told. Then
pairs: parts that are linked must be delivered over networks that reach one another, and an offer that reaches none of
its partners is out. Nothing here knows of prices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

import msgspec

from apportion.model.market import Interconnect, Offer
from apportion.model.profile import Preference, Profile
from apportion.money import Exact
from apportion.stages.broker.pairing import Joint, fees_of, joints_of, kept_of, knots_of, left_of

ZERO = Exact(0)
#: what keeps an offer out, in the order in which it is looked for
Word = Literal[
    "excluded", "ignored", "only", "currency", "tariff", "off", "early", "expired", "conditions", "least", "most",
    "capacity", "latency", "availability", "throughput", "agreement", "approval", "interconnect",
]  # fmt: skip
Verdict = tuple[Word, str]


class Off(msgspec.Struct, frozen=True):
    """A provider is switched off, for a reason, until an instant (RFC 3339; until it is switched on, when empty)."""

    reason: str = ""
    until: str = ""


class Placed(msgspec.Struct, frozen=True):
    """An offer as it stands: over its network (its provider's own filled in, if it has one), less what is ``taken``.

    ``approved`` says that all payers approve of its provider, ``agreed`` that one of them has an agreement with it.
    ``currency`` is its tariff's, the request's when empty; ``unfit`` says why its price can not be had here at all.
    """

    offer: Offer
    taken: Mapping[str, Exact] = {}
    off: Off | None = None
    approved: bool = True
    agreed: bool = False
    currency: str = ""
    unfit: str = ""


class Wanted(msgspec.Struct, frozen=True):
    """What is asked of every offer: the ``parts`` that are wanted, from ``start`` (aware) on, so much of each measure.

    A measure that ``needs`` does not name is not needed at all. ``latency`` is milliseconds, 0 no limit. ``links`` are
    pairs of parts whose networks must reach one another; those of other parts do not count.
    """

    parts: tuple[str, ...]
    start: datetime
    currency: str
    needs: Mapping[str, Exact] = {}
    attributes: Mapping[str, str] = {}
    without: frozenset[str] = frozenset()
    profile: Profile = Profile()
    latency: int = 0
    availability: Exact | None = None
    throughput: Exact | None = None
    approval: bool = False
    agreements_only: bool = False
    links: tuple[tuple[str, str], ...] = ()
    interconnects: tuple[Interconnect, ...] = ()
    service: str = ""


class Out(msgspec.Struct, frozen=True):
    """An offer (by its place) that can not serve: in a ``word``, and ``why`` in a sentence."""

    place: int
    word: Word
    why: str


class Matched(msgspec.Struct, frozen=True):
    """What can be chosen from: ``fits`` are places of offers for each part, in the order in which they came.

    ``outs`` are all others for these parts. ``joints`` are the links, over what fits alone. ``knots`` say, for people,
    which links no pair of offers can keep; nothing fits their parts then.
    """

    fits: tuple[tuple[int, ...], ...]
    outs: tuple[Out, ...]
    joints: tuple[Joint, ...] = ()
    knots: tuple[str, ...] = ()

    @property
    def approvable(self) -> tuple[int, ...]:
        """Places of offers that nothing keeps out but that their provider is not approved."""
        return tuple(out.place for out in self.outs if out.word == "approval")


def match(asked: Wanted, offers: Sequence[Placed]) -> Matched:
    """The offers that can serve each part, and why each of the others can not.

    A provider that is not approved is told apart (``approvable``), so that approval can be asked for and matching done
    again. Over a link offers are out when no partner is left that they fit, and so on until all that is left fits;
    a part for which nothing was there to begin with takes nothing from its partners.
    """
    places = {part: place for place, part in enumerate(asked.parts)}
    fits: list[list[int]] = [[] for _ in asked.parts]
    outs: list[Out] = []
    for place, one in enumerate(offers):
        part = places.get(one.offer.part)
        if part is None:
            continue
        verdict = judged(asked, one)
        if verdict is None:
            fits[part].append(place)
        else:
            outs.append(Out(place, *verdict))
    links = [
        (places[source], places[target]) for source, target in asked.links if source in places and target in places
    ]
    if not links:
        return Matched(tuple(map(tuple, fits)), tuple(outs))
    joints = joints_of(links, fits, [one.offer for one in offers], fees_of(asked.interconnects, asked.service))
    left = left_of(joints, fits)
    outs += [_unreached(asked, offers, place) for part in fits for place in part if place not in left]
    knots = tuple(knots_of(asked.parts, joints, fits, left))
    kept = tuple(tuple(place for place in part if place in left) for part in fits)
    outs.sort(key=lambda out: out.place)
    return Matched(kept, tuple(outs), tuple(kept_of(joint, left) for joint in joints), knots)


def rank_of(profile: Profile, provider: str, network: str) -> int:
    """How far an offer is from what is preferred: 0 is the most.

    Providers count before networks: it is the place in ``providers.order``, times one more than there are networks in
    ``networks.order``, plus the place in that. Who is not in an order comes after all who are.
    """
    networks = profile.networks.order
    return _place(provider, profile.providers.order) * (len(networks) + 1) + _place(network, networks)


def _place(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)


# ── one offer ──


def judged(asked: Wanted, one: Placed) -> Verdict | None:
    """What keeps an offer out by itself, as a word and a sentence; None when it can serve."""
    offer = one.offer
    return (
        _unwanted(asked, offer)
        or _unpriced(asked, one)
        or _untimely(asked, one)
        or _unserved(asked, one)
        or _below(asked, offer)
        or _unknown(asked, one)
    )


def _unwanted(asked: Wanted, offer: Offer) -> Verdict | None:
    if offer.provider in asked.without:
        return "excluded", f"The request does without {offer.provider}."
    profile = asked.profile
    return _disliked(profile.providers, offer.provider, "provider") or _disliked(
        profile.networks, offer.network, "network"
    )


def _disliked(preference: Preference, name: str, kind: str) -> Verdict | None:
    if name in preference.ignore:
        return "ignored", f"The profile ignores the {kind} {name}."
    if preference.only and name not in preference.only:
        return "only", f"The profile takes only other {kind}s."
    return None


def _unpriced(asked: Wanted, one: Placed) -> Verdict | None:
    if one.currency and one.currency != asked.currency:
        return "currency", f"Its price is in {one.currency}, the request is in {asked.currency}."
    return ("tariff", f"Its price can not be had here: {one.unfit}.") if one.unfit else None


def _untimely(asked: Wanted, one: Placed) -> Verdict | None:
    offer, off = one.offer, one.off
    if off is not None and not (off.until and _instant(off.until) <= asked.start):
        until = f" until {off.until}" if off.until else ""
        return "off", f"{offer.provider} is switched off{until}{': ' + off.reason if off.reason else ''}."
    if offer.valid_from and asked.start < _instant(offer.valid_from):
        return "early", f"It is valid from {offer.valid_from} on."
    if offer.valid_until and _instant(offer.valid_until) <= asked.start:
        return "expired", f"It was valid until {offer.valid_until}."
    return None


def _unserved(asked: Wanted, one: Placed) -> Verdict | None:
    offer, needs = one.offer, asked.needs
    unmet = unmet_by(asked.attributes, offer)
    if unmet is not None:
        return unmet
    for measure, text in offer.least.items():
        if needs.get(measure, ZERO) < _number(text):
            return "least", f"It serves no less than {text} {measure}."
    for measure, text in offer.most.items():
        if needs.get(measure, ZERO) > _number(text):
            return "most", f"It serves no more than {text} {measure}."
    for measure, text in offer.capacity.items():
        need, free = needs.get(measure, ZERO), _number(text)
        if one.taken:
            free = free - one.taken.get(measure, ZERO)
        if need > free:
            left = free.text() if free > ZERO else "0"
            return "capacity", f"It has {left} {measure} free, {need.text()} are needed."
    return None


def unmet_by(attributes: Mapping[str, str], offer: Offer) -> Verdict | None:
    """Which condition of an offer is not met. What an attribute holds may be personal, so no sentence tells it."""
    for attribute, values in offer.when.items():
        value = attributes.get(attribute)
        if value is None:
            return "conditions", f"It depends on {attribute!r}, which the request does not say."
        if not _holds(values, value):
            return "conditions", f"It does not serve this {attribute!r}."
    return None


def _below(asked: Wanted, offer: Offer) -> Verdict | None:
    """What alone is too slow or too often down: whatever the other parts are, the whole would be too."""
    quality = offer.quality
    if asked.latency and quality.latency > asked.latency:
        return "latency", f"It alone adds {quality.latency} ms, the limit is {asked.latency} ms."
    if asked.availability is not None and _number(quality.availability) < asked.availability:
        return "availability", f"It is up {quality.availability} of the time, {asked.availability.text()} is asked for."
    if asked.throughput is not None and quality.throughput and _number(quality.throughput) < asked.throughput:
        return "throughput", f"It carries {quality.throughput} a second, {asked.throughput.text()} are asked for."
    return None


def _unknown(asked: Wanted, one: Placed) -> Verdict | None:
    if asked.agreements_only and not one.agreed:
        return "agreement", f"No payer has an agreement with {one.offer.provider}."
    if asked.approval and not one.approved:
        return "approval", f"Not all payers have approved {one.offer.provider}."
    return None


def _holds(values: tuple[str, ...], value: str) -> bool:
    exact, prefixes = _read(values)
    return value in exact or (bool(prefixes) and value.removeprefix("+").startswith(prefixes))


@lru_cache(maxsize=16_384)
def _read(values: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Exact values, and prefixes; a leading + says nothing in a prefix, as in a price deck."""
    stars = [value for value in values if value.endswith("*")]
    return frozenset(values) - frozenset(stars), tuple(value[:-1].removeprefix("+") for value in stars)


@lru_cache(maxsize=65_536)
def _number(text: str) -> Exact:
    return Exact.parse(text)


@lru_cache(maxsize=16_384)
def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


# ── pairs ──


def _unreached(asked: Wanted, offers: Sequence[Placed], place: int) -> Out:
    offer = offers[place].offer
    others = [
        other for link in asked.links for other in link if offer.part in link and other != offer.part
        if other in asked.parts
    ]  # fmt: skip
    network = f"Its network {offer.network}" if offer.network else "It has no network, and"
    return Out(place, "interconnect", f"{network} meets no offer for {', '.join(dict.fromkeys(others))} that is left.")
