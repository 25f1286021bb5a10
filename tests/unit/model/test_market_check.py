"""The checks of a market: each rule bites, alone, at its place; a price is passed on only where it means the same."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from apportion.model.agreement import Agreement, Consequence, Part, Service, Targets
from apportion.model.band import Band
from apportion.model.catalog import Catalog
from apportion.model.findings import Findings
from apportion.model.market import (
    Breaker,
    Bundle,
    Interconnect,
    MarketTerms,
    Network,
    Offer,
    Placement,
    ProviderTerms,
    Quality,
    Weights,
)
from apportion.model.market_check import uncomposable, unextendable
from apportion.model.offer_check import check_offer
from apportion.model.party import Payer, Provider
from apportion.model.profile import Billing, Preference, Profile
from apportion.model.profile_check import check_profile
from apportion.model.references import check_catalog
from apportion.model.session import SessionTerms
from apportion.model.tariff import Demand, Flat, Percentage, RoundingRule, Tariff, Tier, Unit, Volume

TIME = Unit(name="time", measure="seconds", price="0.01")


def tariff(id: str, **changes: Any) -> Tariff:
    return replace(Tariff(id=id, currency="USD", components=(TIME,)), **changes)


MARKET = MarketTerms(
    "passed-on",
    "2.5",
    margin="0.01",
    links=(("leg", "exit"),),
    terms={"hosta": ProviderTerms("0.05", (Bundle({"leg": "cheap", "exit": "cheap"}),))},
    relax=("latency", "budget"),
)
SERVICE = Service(
    "call",
    "retail",
    {"leg": Part("hosta", {"hosta": "cost"}), "exit": Part()},
    measures={"seconds": "s"},
    attributes=("codec",),
    personal=("called",),
    evidence=("stalls",),
    market=MARKET,
)
OFFER = Offer(
    "exit-b",
    "call",
    "exit",
    "hostb",
    "cost",
    "south",
    quality=Quality(80, "0.99", "100"),
    capacity={"seconds": "600"},
    least={"seconds": "1"},
    most={"seconds": "60"},
    when={"called": ("45*",)},
    reaches=("north",),
    valid_from="2026-01-01T00:00:00Z",
    valid_until="2027-01-01T00:00:00+01:00",
)
PLACEMENT = Placement("shown", "call", "hostb", "5", "0.01", ("exit",), "2026-01-01T00:00:00Z")
PROFILE = Profile(
    "mine",
    Preference(("hostb", "hosta"), ("hosta", "hostb")),
    Preference(ignore=("north",)),
    premium="10",
    services=("call",),
    billing=Billing(currency="EUR", language="de-AT"),
)
SLA = Agreement(
    "sla",
    "call",
    "cheap",
    "alice",
    "hostb",
    targets=Targets(100, "0.99", "0.9", "5"),
    consequence=Consequence("10", "50"),
    billing=Billing(language="en"),
)
CATALOG = Catalog(
    providers={
        "hosta": Provider("hosta", network="north", address="http://127.0.0.1:9000/market", key="0A" * 32),
        "hostb": Provider("hostb"),
    },
    services={"call": SERVICE},
    tariffs={"retail": tariff("retail", taxes={"vat": "19"}), "cost": tariff("cost"), "cheap": tariff("cheap")},
    agreements={"sla": SLA, "price": Agreement("price", "call", "cheap", provider="hostb", part="exit")},
    payers={"alice": Payer("alice", "USD", profile="mine", approved=("hosta",))},
    networks={"south": Network("south")},
    offers={"exit-b": OFFER},
    interconnects=(Interconnect("north", "south", "0.002"), Interconnect("north", "south", "0.001", "call")),
    profiles={"mine": PROFILE},
    placements={"shown": PLACEMENT},
)


def market(**changes: Any) -> Catalog:
    return service(market=replace(MARKET, **changes))


def service(**changes: Any) -> Catalog:
    return replace(CATALOG, services={"call": replace(SERVICE, **changes)})


def offer(**changes: Any) -> Catalog:
    return replace(CATALOG, offers={"exit-b": replace(OFFER, **changes)})


def profile(**changes: Any) -> Catalog:
    return replace(CATALOG, profiles={"mine": replace(PROFILE, **changes)})


def placement(**changes: Any) -> Catalog:
    return replace(CATALOG, placements={"shown": replace(PLACEMENT, **changes)})


def line(*lines: Interconnect) -> Catalog:
    return replace(CATALOG, interconnects=lines)


def sla(**changes: Any) -> Catalog:
    return replace(CATALOG, agreements={"sla": replace(SLA, **changes)})


def hosta(**changes: Any) -> Catalog:
    changed = replace(CATALOG.providers["hosta"], **changes)
    return replace(CATALOG, providers=CATALOG.providers | {"hosta": changed})


def prices(**changes: Tariff) -> Catalog:
    return replace(CATALOG, tariffs=CATALOG.tariffs | changes)


def terms(**changes: Any) -> Catalog:
    return market(terms={"hosta": replace(MARKET.terms["hosta"], **changes)})


def test_a_good_market_has_no_findings() -> None:
    assert check_catalog(CATALOG) == []


MEASURED = {"leg": Part(measure="seconds"), "exit": Part(measure="seconds")}
FINDINGS: list[tuple[str, Catalog, str]] = [
    ("networks.south.id", replace(CATALOG, networks={"south": Network("x")}), "stands under"),
    ("networks.So", replace(CATALOG, networks=CATALOG.networks | {"So": Network("So")}), "can not be a name"),
    # offers
    ("offers.exit-b.id", offer(id="other"), "stands under"),
    ("offers.exit-b.service", offer(service="cal"), "no service 'cal'"),
    ("offers.exit-b.part", offer(part="exot"), "no part 'exot'"),
    ("offers.exit-b.provider", offer(provider="hostc"), "no provider 'hostc'"),
    ("offers.exit-b.tariff", offer(tariff="x"), "no tariff 'x'"),
    ("offers.exit-b.tariff", offer(tariff=""), "is missing"),
    ("offers.exit-b.tariff.components", offer(tariff=tariff("own", components=())), "there are none"),
    ("offers.exit-b.tariff", offer(tariff=tariff("own", currency="EUR")), "is in EUR"),
    ("offers.exit-b.tariff", offer(tariff=tariff("own", components=(replace(TIME, measure="bytes"),))), "no measure"),
    ("offers.exit-b.tariff", offer(tariff=tariff("own", minimum="1")), "it has a minimum"),
    ("offers.exit-b.retail", offer(retail=tariff("own", maximum="1")), "it has a maximum"),
    ("offers.exit-b.network", offer(network="sooth"), "no network 'sooth'"),
    ("offers.exit-b.reaches", offer(reaches=("moon",)), "no network 'moon'"),
    ("offers.exit-b.quality.latency", offer(quality=Quality(-1)), "ms"),
    ("offers.exit-b.quality.availability", offer(quality=Quality(0, "0")), "is zero"),
    ("offers.exit-b.quality.availability", offer(quality=Quality(0, "1.01")), "not 0 to 1"),
    ("offers.exit-b.quality.throughput", offer(quality=Quality(0, "1", "0")), "is zero"),
    ("offers.exit-b.capacity.seconds", offer(capacity={"seconds": "-1"}), "not 0 or more"),
    ("offers.exit-b.capacity.bytes", offer(capacity={"bytes": "1"}), "no measure 'bytes'"),
    ("offers.exit-b.least.seconds", offer(least={"seconds": "61"}), "more than most"),
    ("offers.exit-b.most.seconds", offer(most={"seconds": "x"}), "not a plain number"),
    ("offers.exit-b.when.cold", offer(when={"cold": ("x",)}), "no attribute 'cold'"),
    ("offers.exit-b.when.stalls", offer(when={"stalls": ("0",)}), "no attribute 'stalls'"),
    ("offers.exit-b.when.called", offer(when={"called": ()}), "no value"),
    ("offers.exit-b.valid_from", offer(valid_from="2026-01-01"), "not an RFC 3339 instant"),
    ("offers.exit-b.valid_from", offer(valid_from="2026-13-01T00:00:00Z"), "not an RFC 3339 instant"),
    ("offers.exit-b.valid_until", offer(valid_until="2026-01-01T01:00:00+01:00"), "after valid_from"),
    # the terms of the service
    ("services.call.market.markup", market(markup="-1"), "not 0 or more"),
    ("services.call.market.markup", market(markup="10000"), "10000 or more"),
    ("services.call.market.markup", market(retail="fixed"), "no effect"),
    ("services.call.market.margin", market(margin="-0.01"), "negative"),
    ("services.call.market.margin", market(margin="0.0000000001"), "decimals"),
    ("services.call.market.retail", service(apportion="quantity", parts=MEASURED), "no prices to pass on"),
    ("offers.exit-b.service", service(apportion="quantity", parts=MEASURED), "share the fee by 'quantity'"),
    ("services.call.market.links[0]", market(links=(("leg", "ext"),)), "no part 'ext'"),
    ("services.call.market.links[0]", market(links=(("leg", "leg"),)), "with itself"),
    ("services.call.market.links[1]", market(links=(("leg", "exit"), ("leg", "exit"))), "twice"),
    ("services.call.market.terms.hostc", market(terms={"hostc": ProviderTerms()}), "no provider"),
    ("services.call.market.terms.hosta.setup", terms(setup="-1"), "negative"),
    ("services.call.market.terms.hosta.bundles[0].parts", terms(bundles=(Bundle({"leg": "cheap"}),)), "less than two"),
    (
        "services.call.market.terms.hosta.bundles[0].parts.exit",
        terms(bundles=(Bundle({"leg": "cheap", "exit": "x"}),)),
        "no tariff 'x'",
    ),
    ("services.call.market.terms.hosta.bundles[1]", terms(bundles=MARKET.terms["hosta"].bundles * 2), "same parts"),
    ("services.call.market.weights.rating", market(weights=Weights(rating=-1)), "below zero"),
    ("services.call.market.weights", market(weights=Weights(0, 0)), "both zero"),
    ("services.call.market.weights", market(weights=Weights(1, 1, 0, 0, 0)), "all zero"),
    ("services.call.market.breaker.after", market(breaker=Breaker(-1)), "below zero"),
    ("services.call.market.validity", market(validity=0), "1 to 86400"),
    ("services.call.market.deadline", market(deadline=10_001), "1 to 10000"),
    ("services.call.market.relax", market(relax=("budget", "budget")), "twice"),
    ("services.call.parts.leg.wholesale.hosta", prices(cost=tariff("cost", taxes={"vat": "5"})), "taxes of its own"),
    ("services.call.market.retail", prices(retail=tariff("retail", minimum="1")), "it has a minimum"),
    ("services.call.market.retail", prices(retail=tariff("retail", tax_included=True)), "tax included"),
    ("services.call.parts.exit.wholesale", replace(hosta(address=""), offers={}), "is missing"),
    # interconnects
    ("interconnects[0].source", line(Interconnect("moon", "south")), "no network 'moon'"),
    ("interconnects[0].target", line(Interconnect("south", "south")), "reaches itself"),
    ("interconnects[1]", line(Interconnect("north", "south"), Interconnect("north", "south", "1")), "twice"),
    ("interconnects[0].service", line(Interconnect("north", "south", service="cal")), "no service"),
    ("interconnects[0].fee", line(Interconnect("north", "south", "-1")), "negative"),
    # profiles and placements
    ("profiles.mine.providers", profile(providers=Preference(only=("hostc",))), "no provider 'hostc'"),
    ("profiles.mine.networks", profile(networks=Preference(order=("moon",))), "no network 'moon'"),
    ("profiles.mine.providers.order", profile(providers=Preference(order=("hosta", "hosta"))), "twice"),
    ("profiles.mine.providers.ignore", profile(providers=Preference(("hosta",), (), ("hosta",))), "at once"),
    ("profiles.mine.providers.ignore", profile(providers=Preference((), ("hosta",), ("hosta",))), "at once"),
    ("profiles.mine.premium", profile(premium="-1"), "not 0 or more"),
    ("profiles.mine.services", profile(services=("cal",)), "no service"),
    ("profiles.mine.billing.currency", profile(billing=Billing(currency="EURO")), "not an"),
    ("profiles.mine.billing.language", profile(billing=Billing(language="German")), "no language tag"),
    ("placements.shown.service", placement(service="cal"), "no service"),
    ("placements.shown.provider", placement(provider="hostc"), "no provider"),
    ("placements.shown.bound", placement(bound="100.1"), "not 0 to 100"),
    ("placements.shown.fee", placement(fee="-1"), "negative"),
    ("placements.shown.parts", placement(parts=("ext",)), "no part"),
    ("placements.shown.valid_until", placement(valid_until="2025-01-01T00:00:00Z"), "after valid_from"),
    # parties
    ("providers.hosta.key", hosta(key="0a" * 31), "no Ed25519 key"),
    ("providers.hosta.key", hosta(key=""), "is missing"),
    ("providers.hosta.address", hosta(address="ftp://host"), "no plain address"),
    ("payers.alice.profile", replace(CATALOG, payers={"alice": Payer("alice", "USD", profile="x")}), "no profile"),
    (
        "payers.alice.approved",
        replace(CATALOG, payers={"alice": Payer("alice", "USD", approved=("x",))}),
        "no provider",
    ),
    # agreements of payer and provider
    ("agreements.sla.tariff", sla(provider="", tariff=""), "is missing"),
    ("agreements.sla.tariff", sla(payer="", part="exit", tariff=""), "is missing"),
    ("agreements.sla", sla(payer=""), "needs a part"),
    ("agreements.sla", sla(provider="", part="leg"), "nobody who delivers"),
    ("agreements.sla", sla(payer="", provider="", part=""), "a payer, a provider, or both"),
    ("agreements.sla.part", sla(part="ext"), "no part 'ext'"),
    ("agreements.sla.provider", sla(provider="hostc"), "no provider"),
    ("agreements.sla.targets.latency", sla(targets=Targets(-1)), "below zero"),
    ("agreements.sla.targets.availability", sla(targets=Targets(0, "0")), "is zero"),
    ("agreements.sla.targets.success", sla(targets=Targets(0, "", "1.1")), "not 0 to 1"),
    ("agreements.sla.targets.throughput", sla(targets=Targets(throughput="0")), "is zero"),
    ("agreements.sla.consequence.credit", sla(consequence=Consequence("101")), "not 0 to 100"),
    ("agreements.sla.consequence.most", sla(consequence=Consequence("1", "-1")), "not 0 to 100"),
    ("agreements.sla.billing.currency", sla(billing=Billing(currency="Euro")), "not an"),
]


@pytest.mark.parametrize(("where", "catalog", "words"), FINDINGS, ids=[f"{at} {words}" for at, _, words in FINDINGS])
def test_each_rule_bites_at_its_place(where: str, catalog: Catalog, words: str) -> None:
    every = check_catalog(catalog)
    found = [refusal for refusal in every if refusal.where == where]
    assert any(words in refusal.message for refusal in found), every
    assert all(refusal.field == where.rpartition(".")[2] for refusal in found)
    assert len(every) <= 4, every


def test_what_a_payer_and_a_provider_agreed_needs_no_price() -> None:
    assert check_catalog(sla(tariff="")) == []
    assert check_catalog(sla(tariff="", part="leg")) == []


def test_agreements_overlap_only_for_the_same_parties_and_part() -> None:
    def beside(**changes: Any) -> list[str]:
        other = replace(SLA, id="other", **changes)
        return [found.where for found in check_catalog(replace(CATALOG, agreements={"sla": SLA, "other": other}))]

    assert beside() == ["agreements.other"]
    assert beside(part="leg") == beside(provider="hosta") == beside(provider="") == []


def test_a_part_needs_a_price_or_somebody_who_offers_it() -> None:
    alone = replace(hosta(address=""), offers={})
    where = "services.call.parts.exit.wholesale"
    assert [found.where for found in check_catalog(alone)] == [where]
    for more in ({"offers": CATALOG.offers}, {"providers": CATALOG.providers}):
        assert check_catalog(replace(alone, **more)) == []


def test_an_offer_of_its_own_retail_price_may_cost_what_it_likes() -> None:
    bounded = tariff("own", minimum="1")
    assert check_catalog(offer(tariff=bounded, retail="cheap")) == []
    fixed = replace(offer(tariff=bounded), services={"call": replace(SERVICE, market=MarketTerms())})
    assert check_catalog(fixed) == []


def test_offers_of_a_service_that_runs_as_sessions_can_be_charged_slice_by_slice() -> None:
    volume = tariff("own", components=(Volume(name="v", measure="seconds", tiers=(Tier(price="1"),)),))
    running = service(session=SessionTerms(), market=MarketTerms())
    [found] = check_catalog(replace(running, offers={"exit-b": replace(OFFER, tariff=volume)}))
    assert (found.where, "more can cost less" in found.message) == ("offers.exit-b.tariff", True)


BAND = {"night": Band(times=("22:00-06:00",))}
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("it has a minimum", {"minimum": "1"}),
    ("it has a maximum", {"maximum": "1"}),
    ("it has a period minimum", {"period_minimum": "1"}),
    ("it has a period maximum", {"period_maximum": "1"}),
    ("its last increment", {"step_at_end": True}),
    ("it rounds each line", {"rounding": RoundingRule("line", decimals=4)}),
    ("taxes of its own", {"taxes": {"vat": "19"}}),
    ("'time' goes by the period", {"components": (replace(TIME, scope="period"),)}),
    ("'fee' goes by the period", {"components": (Flat(name="fee", price="1", scope="period"),)}),
    ("'peak' goes by the period", {"components": (Demand(name="peak", measure="seconds", price="1"),)}),
    ("'cut' goes by the period", {"components": (Percentage(name="cut", measure="seconds", rate="1", free_events=1),)}),
    (
        "'cut' goes by the period",
        {"components": (Percentage(name="cut", measure="seconds", rate="1", free_total="1"),)},
    ),
    ("its bands are in the zone UTC", {"bands": BAND}),
]
RETAIL = tariff("retail", zone="Europe/Berlin")


@pytest.mark.parametrize(("words", "changes"), REFUSED)
def test_prices_that_would_mean_another_thing_are_not_passed_on(words: str, changes: dict[str, Any]) -> None:
    assert words in uncomposable(tariff("cost", **changes), RETAIL)


def test_the_time_in_no_band_is_not_passed_on() -> None:
    rest = replace(TIME, name="rest", when=("other",))
    banded = {"zone": "Europe/Berlin", "bands": BAND}
    words = "it prices the time in no band, which is another time beside other bands"
    assert uncomposable(tariff("cost", components=(rest,), **banded), RETAIL) == words
    own = replace(RETAIL, components=(rest,), bands=BAND)
    assert uncomposable(tariff("cost", **banded), own) == words
    assert uncomposable(tariff("cost"), own) == ""


def test_plain_prices_are_passed_on() -> None:
    assert uncomposable(tariff("cost", zone="Asia/Tokyo"), RETAIL) == ""
    assert uncomposable(tariff("cost", zone="Europe/Berlin", bands=BAND), RETAIL) == ""
    fee = Percentage(name="cut", measure="seconds", rate="1", minimum="0.1")
    assert uncomposable(tariff("cost", components=(TIME, fee, Flat(name="open", price="1"))), RETAIL) == ""


def test_nothing_is_passed_on_beside_bounds_or_included_tax() -> None:
    assert unextendable(tariff("retail", taxes={"vat": "19"}, tax="vat")) == ""
    assert "tax included" in unextendable(tariff("retail", tax_included=True))
    assert "rounds each line" in unextendable(tariff("retail", rounding=RoundingRule("line", decimals=4)))
    assert "maximum" in unextendable(tariff("retail", maximum="5"))


def test_live_offers_and_profiles_of_requests_are_checked_the_same_way() -> None:
    found = Findings(CATALOG, ())
    check_offer(found, "offer", replace(OFFER, id="", capacity={"seconds": "-1"}))
    check_profile(found, "profile", Profile(premium="x"))
    assert [refusal.where for refusal in found.refusals] == ["offer.capacity.seconds", "profile.premium"]
