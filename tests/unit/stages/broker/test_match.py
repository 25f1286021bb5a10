"""Matching: each reason bites alone and in its order, and pairs are found as a plain double loop finds them."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from apportion.model.market import Interconnect, Offer, Quality
from apportion.model.profile import Preference, Profile
from apportion.money import Exact
from apportion.stages.broker.match import Off, Placed, Wanted, match, rank_of
from apportion.stages.broker.pairing import crossing_of, fees_of

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
OFFER = Offer(
    id="one",
    service="call",
    part="leg",
    provider="hosta",
    network="north",
    quality=Quality(80, "0.99", "50"),
    capacity={"seconds": "600"},
    least={"seconds": "60"},
    most={"seconds": "900"},
    when={"called": ("45*", "+46*", "112"), "codec": ("opus",)},
    valid_from="2026-11-20T12:00:00Z",
    valid_until="2026-11-21T00:00:00+02:00",
)
WANTED = Wanted(
    parts=("leg",),
    start=NOON,
    currency="USD",
    needs={"seconds": Exact(600)},
    attributes={"called": "4530303030", "codec": "opus"},
    latency=80,
    availability=Exact(99, 100),
    throughput=Exact(50),
)


def word_of(asked: Wanted = WANTED, **changes: Any) -> str:
    """The word for the one offer; empty when it fits."""
    offer_changes = {k: v for k, v in changes.items() if k in Offer.__struct_fields__}
    placed = Placed(
        replace(OFFER, **offer_changes), **{k: v for k, v in changes.items() if k in Placed.__struct_fields__}
    )
    found = match(asked, [placed])
    assert (found.fits == ((0,),)) == (not found.outs)
    return found.outs[0].word if found.outs else ""


def test_what_is_asked_to_the_last_unit_fits() -> None:
    assert word_of() == ""


def prefers(**providers: Any) -> Wanted:
    return replace(WANTED, profile=Profile(providers=Preference(**providers)))


NETWORKS = replace(WANTED, profile=Profile(networks=Preference(only=("south",))))
REASONS: list[tuple[str, Wanted, dict[str, Any]]] = [
    ("excluded", replace(WANTED, without=frozenset({"hosta"})), {}),
    ("ignored", prefers(ignore=("hosta",)), {}),
    ("only", prefers(only=("hostb",)), {}),
    ("only", NETWORKS, {}),
    ("currency", WANTED, {"currency": "EUR"}),
    ("tariff", WANTED, {"unfit": "it has a minimum"}),
    ("off", WANTED, {"off": Off("maintenance")}),
    ("off", WANTED, {"off": Off("maintenance", "2026-11-20T12:00:01Z")}),
    ("", WANTED, {"off": Off("maintenance", "2026-11-20T12:00:00Z")}),
    ("early", WANTED, {"valid_from": "2026-11-20T12:00:01Z"}),
    ("", replace(WANTED, start=NOON + timedelta(hours=9, minutes=59)), {}),
    ("expired", replace(WANTED, start=NOON + timedelta(hours=10)), {}),
    ("conditions", replace(WANTED, attributes={"codec": "opus"}), {}),
    ("conditions", replace(WANTED, attributes={"called": "4730", "codec": "opus"}), {}),
    ("conditions", replace(WANTED, attributes={"called": "1123", "codec": "opus"}), {}),
    ("", replace(WANTED, attributes={"called": "112", "codec": "opus"}), {}),
    ("", replace(WANTED, attributes={"called": "+4530", "codec": "opus"}), {}),
    ("", replace(WANTED, attributes={"called": "4670", "codec": "opus"}), {}),
    ("least", replace(WANTED, needs={"seconds": Exact(599, 10)}), {}),
    ("least", replace(WANTED, needs={}), {}),
    ("most", WANTED, {"most": {"seconds": "599.9"}}),
    ("capacity", replace(WANTED, needs={"seconds": Exact(6001, 10)}), {}),
    ("capacity", WANTED, {"taken": {"seconds": Exact(1, 10)}}),
    ("", WANTED, {"taken": {"seconds": Exact(0), "bytes": Exact(5)}}),
    ("latency", replace(WANTED, latency=79), {}),
    ("availability", replace(WANTED, availability=Exact(991, 1000)), {}),
    ("throughput", replace(WANTED, throughput=Exact(501, 10)), {}),
    ("", replace(WANTED, throughput=Exact(501, 10)), {"quality": Quality(80, "0.99")}),
    ("agreement", replace(WANTED, agreements_only=True), {}),
    ("", replace(WANTED, agreements_only=True), {"agreed": True}),
    ("approval", replace(WANTED, approval=True), {"approved": False}),
    ("", WANTED, {"approved": False}),
]


@pytest.mark.parametrize(("word", "asked", "changes"), REASONS)
def test_each_reason_bites_alone(word: str, asked: Wanted, changes: dict[str, Any]) -> None:
    assert word_of(asked, **changes) == word


def test_the_first_reason_is_told_and_approval_comes_last() -> None:
    asked = replace(WANTED, approval=True, without=frozenset({"hosta"}), latency=1)
    bad = Placed(OFFER, approved=False, currency="EUR")
    assert match(asked, [bad]).outs[0].word == "excluded"
    assert match(replace(asked, without=frozenset()), [bad]).outs[0].word == "currency"
    fair = replace(WANTED, approval=True)
    found = match(fair, [Placed(OFFER, approved=False), Placed(OFFER, approved=False, currency="EUR")])
    assert (found.approvable, found.fits) == ((0,), ((),))


def test_sentences_say_why_and_keep_what_is_personal() -> None:
    found = match(replace(WANTED, attributes={"called": "4712345678", "codec": "opus"}), [Placed(OFFER)])
    assert found.outs[0].why == "It does not serve this 'called'."
    taken = match(WANTED, [Placed(OFFER, {"seconds": Exact(700)})])
    assert taken.outs[0].why == "It has 0 seconds free, 600 are needed."
    off = match(WANTED, [Placed(OFFER, off=Off("maintenance", "2026-11-20T13:00:00Z"))])
    assert off.outs[0].why == "hosta is switched off until 2026-11-20T13:00:00Z: maintenance."


def test_rank_counts_providers_before_networks() -> None:
    profile = Profile(providers=Preference(order=("a", "b")), networks=Preference(order=("north", "south")))
    ranks = [rank_of(profile, p, n) for p in ("a", "b", "c") for n in ("north", "south", "west")]
    assert ranks == list(range(9))
    assert rank_of(Profile(), "a", "north") == 0


# ── pairs ──

PAIR = Wanted(parts=("from", "to"), start=NOON, currency="USD", links=(("from", "to"),), service="call")
LINES = (
    Interconnect("north", "south", "0.02"),
    Interconnect("north", "south", "0.03", "call"),
    Interconnect("north", "west", "0.01", "other"),
)


def over(part: str, network: str, provider: str = "p", reaches: tuple[str, ...] = ()) -> Placed:
    return Placed(Offer(id=f"{part}-{network}", part=part, provider=provider, network=network, reaches=reaches))


def test_how_networks_reach_one_another() -> None:
    fees = fees_of(LINES, "call")

    def by(source: Placed, target: Placed) -> tuple[str, str]:
        found = crossing_of(source.offer, target.offer, fees)
        return (found.by, found.fee.text()) if found else ("", "")

    assert by(over("from", "north"), over("to", "north")) == ("network", "0")
    assert by(over("from", "north"), over("to", "south")) == ("interconnect", "0.03")
    assert by(over("from", "north", reaches=("south",)), over("to", "south")) == ("reaches", "0")
    assert by(over("from", "north"), over("to", "west")) == ("", "")
    assert by(over("from", "south"), over("to", "north")) == ("", "")
    assert by(over("from", "", "p"), over("to", "", "p")) == ("network", "0")
    assert by(over("from", "", "p"), over("to", "", "q")) == ("", "")
    assert fees_of(LINES, "other")["north", "south"] == Exact(2, 100)


def test_who_fits_nobody_is_out() -> None:
    offers = [over("from", "north"), over("from", "east"), over("to", "south"), over("to", "west")]
    found = match(replace(PAIR, interconnects=LINES), offers)
    assert found.fits == ((0,), (2,))
    assert [(out.place, out.word) for out in found.outs] == [(1, "interconnect"), (3, "interconnect")]
    assert found.outs[0].why == "Its network east meets no offer for to that is left."
    assert [(one, other, crossing.fee.text()) for one, other, crossing in found.joints[0].pairs()] == [(0, 2, "0.03")]
    assert found.knots == ()


def test_a_contradiction_is_told() -> None:
    found = match(PAIR, [over("from", "north"), over("to", "south")])
    assert found.fits == ((), ())
    assert found.knots == ("No offer for from hands over to any offer for to.",)
    chain = replace(PAIR, parts=("a", "b", "c"), links=(("a", "b"), ("b", "c")))
    offers = [over("a", "north"), over("b", "north"), over("b", "south"), over("c", "south")]
    found = match(chain, offers)
    assert found.fits == ((), (), ())
    assert found.knots == ("Offers for a, b, c fit in pairs, but not all together.",)


def test_a_part_without_any_offer_takes_nothing_from_its_partner() -> None:
    found = match(PAIR, [over("from", "north")])
    assert found.fits == ((0,), ()) and found.outs == () and found.knots == ()


def test_links_of_parts_that_are_not_wanted_do_not_count() -> None:
    found = match(replace(PAIR, parts=("from",)), [over("from", "north"), over("to", "south")])
    assert found.fits == ((0,),) and found.outs == () and found.joints == ()


NAMES = ("north", "south", "west", "")
PARTS = ("a", "b", "c", "d")


def plain_fits(asked: Wanted, offers: list[Placed]) -> list[set[int]]:
    """The same once more, written as plainly as can be: one offer after another, one pair after another."""

    def serves(one: Placed) -> bool:
        o, q, p = one.offer, one.offer.quality, asked.profile
        return not (
            o.provider in asked.without
            or o.provider in p.providers.ignore
            or o.network in p.networks.ignore
            or (p.providers.only and o.provider not in p.providers.only)
            or any(asked.attributes.get(name) not in values for name, values in o.when.items())
            or any(asked.needs.get(m, Exact(0)) < Exact.parse(t) for m, t in o.least.items())
            or any(asked.needs.get(m, Exact(0)) > Exact.parse(t) for m, t in o.most.items())
            or any(
                asked.needs.get(m, Exact(0)) + one.taken.get(m, Exact(0)) > Exact.parse(t)
                for m, t in o.capacity.items()
            )
            or (asked.latency and q.latency > asked.latency)
            or (asked.approval and not one.approved)
            or (asked.agreements_only and not one.agreed)
            or one.off is not None
        )

    def meets(x: int, y: int) -> bool:
        one, other = offers[x].offer, offers[y].offer
        if one.network == other.network:
            return bool(one.network) or one.provider == other.provider
        wired = any((w.source, w.target) == (one.network, other.network) for w in asked.interconnects)
        return bool(other.network) and (other.network in one.reaches or (wired and bool(one.network)))

    fits = [{at for at, one in enumerate(offers) if one.offer.part == part and serves(one)} for part in asked.parts]
    links = [(asked.parts.index(a), asked.parts.index(b)) for a, b in asked.links]
    links = [(a, b) for a, b in links if fits[a] and fits[b]]
    while True:
        before = [set(part) for part in fits]
        for a, b in links:
            fits[a] = {x for x in fits[a] if any(meets(x, y) for y in fits[b])}
            fits[b] = {y for y in fits[b] if any(meets(x, y) for x in fits[a])}
        if fits == before:
            return fits


def random_offer(rng: random.Random, at: int) -> Placed:
    maybe = rng.random
    return Placed(
        Offer(
            id=f"o{at}",
            part=rng.choice(PARTS),
            provider=f"p{rng.randrange(6)}",
            network=rng.choice(NAMES),
            reaches=tuple(rng.sample(NAMES[:3], rng.randrange(2))),
            quality=Quality(rng.randrange(200)),
            capacity={"u": str(rng.randrange(20))} if maybe() < 0.3 else {},
            least={"u": str(rng.randrange(12))} if maybe() < 0.2 else {},
            most={"u": str(rng.randrange(8, 30))} if maybe() < 0.2 else {},
            when={"kind": tuple(rng.sample(("x", "y", "z"), 2))} if maybe() < 0.3 else {},
        ),
        taken={"u": Exact(rng.randrange(10))} if maybe() < 0.3 else {},
        off=Off("test") if maybe() < 0.1 else None,
        approved=maybe() < 0.8,
        agreed=maybe() < 0.8,
    )


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_matching_agrees_with_the_plain_one(seed: int) -> None:
    rng = random.Random(seed)
    offers = [random_offer(rng, at) for at in range(rng.randrange(30))]
    pairs = [pair for pair in itertools.permutations(PARTS, 2) if rng.random() < 0.25]
    wires = [pair for pair in itertools.permutations(NAMES[:3], 2) if rng.random() < 0.3]
    asked = Wanted(
        parts=PARTS,
        start=NOON,
        currency="USD",
        needs={"u": Exact(rng.randrange(15))},
        attributes={"kind": rng.choice("xyz")} if rng.random() < 0.8 else {},
        without=frozenset({"p0"} if rng.random() < 0.3 else ()),
        profile=Profile(
            providers=Preference(
                only=("p1", "p2", "p3", "p4") if rng.random() < 0.2 else (),
                ignore=("p5",) if rng.random() < 0.3 else (),
            ),
            networks=Preference(ignore=("west",) if rng.random() < 0.2 else ()),
        ),
        latency=rng.choice((0, 100, 180)),
        approval=rng.random() < 0.5,
        agreements_only=rng.random() < 0.3,
        links=tuple(pairs),
        interconnects=tuple(Interconnect(a, b, str(rng.randrange(3))) for a, b in wires),
    )
    found, plain = match(asked, offers), plain_fits(asked, offers)
    assert [set(part) for part in found.fits] == plain
    fitting = set().union(*plain)
    assert {out.place for out in found.outs} == set(range(len(offers))) - fitting
    assert len(found.outs) + len(fitting) == len(offers)
    for joint, (a, b) in zip(found.joints, pairs, strict=True):
        places = PARTS.index(a), PARTS.index(b)
        fees = fees_of(asked.interconnects, "")
        expected = {
            (x, y): crossing
            for x in plain[places[0]]
            for y in plain[places[1]]
            if (crossing := crossing_of(offers[x].offer, offers[y].offer, fees)) is not None
        }
        assert {(x, y): crossing for x, y, crossing in joint.pairs()} == expected
