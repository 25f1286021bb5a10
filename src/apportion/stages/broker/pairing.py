"""Which offers of linked parts fit: over which networks one hands over to the other, and at what fee."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from apportion.model.market import Interconnect, Offer
from apportion.money import Exact

ZERO = Exact(0)
By = Literal["network", "reaches", "interconnect"]
Reach = tuple[str, str, tuple[str, ...]]  # network, provider where there is no network, networks it hands over to
Fees = Mapping[tuple[str, str], Exact]


class Crossing(msgspec.Struct, frozen=True):
    """How one network hands over: within itself, to one that the offer reaches, or by an interconnect for its fee."""

    by: By
    fee: Exact = ZERO


class Joint(msgspec.Struct, frozen=True):
    """Which offers of two linked parts fit: ``source`` and ``target`` are places of parts.

    Offers over equal networks stand in one group (of places of offers); ``crossings`` says which groups fit, by their
    places here.
    """

    source: int
    target: int
    sources: tuple[tuple[int, ...], ...]
    targets: tuple[tuple[int, ...], ...]
    crossings: Mapping[tuple[int, int], Crossing]

    def pairs(self) -> Iterator[tuple[int, int, Crossing]]:
        """Every pair of offers that fits, by their places."""
        for (source, target), crossing in self.crossings.items():
            for one in self.sources[source]:
                for other in self.targets[target]:
                    yield one, other, crossing


def crossing_of(source: Offer, target: Offer, fees: Fees) -> Crossing | None:
    """How one offer hands over to another; None when it can not.

    Within one network, and to networks that the source reaches by itself, it costs nothing; the fee of an interconnect
    is owed only where neither holds. An offer without a network meets those of its own provider alone.
    """
    return _crossing(_reach(source), _reach(target), fees)


def _crossing(source: Reach, target: Reach, fees: Fees) -> Crossing | None:
    if source[:2] == target[:2]:
        return Crossing("network")
    if not target[0]:
        return None
    if target[0] in source[2]:
        return Crossing("reaches")
    fee = fees.get((source[0], target[0])) if source[0] else None
    return None if fee is None else Crossing("interconnect", fee)


def _reach(offer: Offer) -> Reach:
    return offer.network, "" if offer.network else offer.provider, offer.reaches


def fees_of(interconnects: Iterable[Interconnect], service: str) -> Fees:
    """What handing over costs by networks; what is for this service alone goes before what is for all."""
    found: dict[tuple[str, str], Exact] = {}
    for one in sorted(interconnects, key=lambda one: bool(one.service)):
        if not one.service or one.service == service:
            found[one.source, one.target] = Exact.parse(one.fee)
    return found


def joints_of(
    links: Sequence[tuple[int, int]], fits: Sequence[Sequence[int]], offers: Sequence[Offer], fees: Fees
) -> list[Joint]:
    """The joints of ``links`` (places of parts) over the offers that fit by themselves."""
    found = []
    for source, target in links:
        ones, others = _grouped(fits[source], offers), _grouped(fits[target], offers)
        crossings = {
            (i, j): crossing
            for i, one in enumerate(ones)
            for j, other in enumerate(others)
            if (crossing := _crossing(one, other, fees)) is not None
        }
        found.append(
            Joint(source, target, tuple(map(tuple, ones.values())), tuple(map(tuple, others.values())), crossings)
        )
    return found


def _grouped(places: Sequence[int], offers: Sequence[Offer]) -> dict[Reach, list[int]]:
    groups: dict[Reach, list[int]] = {}
    for place in places:
        groups.setdefault(_reach(offers[place]), []).append(place)
    return groups


def left_of(joints: Sequence[Joint], fits: Sequence[Sequence[int]]) -> set[int]:
    """What is left when every offer that fits no partner is taken out, and then those that only fitted these."""
    left = {place for part in fits for place in part}
    bound = [joint for joint in joints if fits[joint.source] and fits[joint.target]]
    while True:
        before = len(left)
        for joint in bound:
            sources = {i for i, group in enumerate(joint.sources) if not left.isdisjoint(group)}
            targets = {j for j, group in enumerate(joint.targets) if not left.isdisjoint(group)}
            pairs = [(i, j) for i, j in joint.crossings if i in sources and j in targets]
            for i in sources.difference(i for i, _ in pairs):
                left.difference_update(joint.sources[i])
            for j in targets.difference(j for _, j in pairs):
                left.difference_update(joint.targets[j])
        if len(left) == before:
            return left


def kept_of(joint: Joint, left: set[int]) -> Joint:
    """The joint without the offers that are out; groups keep their places."""
    sources = tuple(tuple(place for place in group if place in left) for group in joint.sources)
    targets = tuple(tuple(place for place in group if place in left) for group in joint.targets)
    crossings = {pair: crossing for pair, crossing in joint.crossings.items() if sources[pair[0]] and targets[pair[1]]}
    return Joint(joint.source, joint.target, sources, targets, crossings)


def knots_of(
    parts: Sequence[str], joints: Sequence[Joint], fits: Sequence[Sequence[int]], left: set[int]
) -> Iterator[str]:
    """The links that no pair of offers keeps; where each has pairs, but they exclude one another, all of them."""
    torn = [joint for joint in joints if fits[joint.source] and fits[joint.target]]
    torn = [joint for joint in torn if left.isdisjoint(fits[joint.source]) or left.isdisjoint(fits[joint.target])]
    alone = [joint for joint in torn if not joint.crossings]
    for joint in alone:
        yield f"No offer for {parts[joint.source]} hands over to any offer for {parts[joint.target]}."
    if torn and not alone:
        names = dict.fromkeys(parts[place] for joint in torn for place in (joint.source, joint.target))
        yield f"Offers for {', '.join(names)} fit in pairs, but not all together."
