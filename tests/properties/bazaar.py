"""Small random catalogs of a market: of everything that there is in one, something now and then."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from apportion.model.agreement import Agreement, Part, Service
from apportion.model.catalog import Catalog
from apportion.model.market import (
    Bundle,
    Interconnect,
    MarketTerms,
    Network,
    Offer,
    Placement,
    ProviderTerms,
    Quality,
    Weights,
)  # fmt: skip
from apportion.model.party import Payer, Provider
from apportion.model.profile import Preference, Profile
from apportion.model.request import Limits, Request
from apportion.model.tariff import Deck, DeckRow, Flat, Graduated, Package, Tariff, Tier, Unit
from apportion.model.usage import PayerUse

PROVIDERS = ("ash", "elm", "fir", "oak")
MEASURES = {"minutes": "min", "gb": "GB"}


def price(rng: random.Random, most: int = 90) -> str:
    return f"0.{rng.randint(0, most):03d}"


def components(rng: random.Random, *, dear: bool = False) -> tuple[Any, ...]:
    """One to three components; of what they price, everything is exact at nine decimals."""
    more = 3 if dear else 1
    found: list[Any] = []
    if rng.random() < 0.4:
        found.append(Flat(name="start", price=price(rng, 400 * more)))
    kind = rng.random()
    if kind < 0.55:
        found.append(Unit(name="talk", measure="minutes", price=price(rng, 90 * more)))
    elif kind < 0.8:
        tiers = (
            Tier(up_to=str(rng.randint(1, 12)), price=price(rng), flat=rng.choice(("0", "0.05"))),
            Tier(price=price(rng, 60), flat=rng.choice(("0", "0.02"))),
        )
        found.append(Graduated(name="talk", measure="minutes", tiers=tiers))
    else:
        found.append(Package(name="talk", measure="minutes", size=str(rng.randint(2, 7)), price=price(rng, 200)))
    if rng.random() < 0.4:
        found.append(Unit(name="data", measure="gb", price=price(rng, 90 * more)))
    return tuple(found)


def tariff(rng: random.Random, id: str) -> Tariff:
    if rng.random() < 0.15:
        rows = tuple(DeckRow(key, price(rng)) for key in ("44", "449", "") if rng.random() < 0.7)
        only = (Unit(name="talk", measure="minutes"),)
        return Tariff(id=id, currency="EUR", components=only, deck=Deck("dest", rows=rows or (DeckRow("1", "1"),)))
    return Tariff(id=id, currency="EUR", components=components(rng))


class Bazaar(NamedTuple):
    """A catalog with a request for its one service."""

    catalog: Catalog
    request: Request

    @property
    def service(self) -> Service:
        return self.catalog.services["call"]


def bazaar(seed: int) -> Bazaar:
    """Two to four parts, two to four providers, and of everything else something now and then."""
    rng = random.Random(seed)
    parts = [f"part{at}" for at in range(rng.randint(2, 4))]
    providers = PROVIDERS[: rng.randint(2, 4)]
    tariffs: dict[str, Tariff] = {}
    offers: dict[str, Offer] = {}
    plain: dict[str, dict[str, str]] = {part: {} for part in parts}
    for part, provider in itertools.product(parts, providers):
        id = f"{part}-{provider}"
        if rng.random() < 0.15:
            continue
        tariffs[id] = tariff(rng, id)
        if rng.random() < 0.5:
            plain[part][provider] = id
        else:
            offers[id] = _offer(rng, id, part, provider, tariffs)
    passed = rng.random() < 0.7
    taxes = rng.choice(("0", "7", "20"))
    own = components(rng, dear=not passed) if rng.random() < 0.8 else ()
    own += (Flat(name="own", price="0.1" if passed else "2"),)
    tariffs["own"] = Tariff(id="own", currency="EUR", components=own, taxes={"vat": taxes}, tax="vat")
    bundles: dict[str, ProviderTerms] = {}
    for provider in providers:
        made = []
        for _ in range(rng.choice((0, 0, 1, 2))):
            some = rng.sample(parts, rng.randint(2, len(parts)))
            ids = {part: f"bundle-{provider}-{part}-{rng.randint(0, 999)}" for part in some}
            tariffs |= {id: Tariff(id=id, currency="EUR", components=components(rng)) for id in ids.values()}
            made.append(Bundle(ids))
        bundles[provider] = ProviderTerms(rng.choice(("0", "0", price(rng, 500))), tuple(made))
    pairs = tuple(pair for pair in itertools.pairwise(parts) if rng.random() < 0.4)
    market = MarketTerms(
        retail="passed-on" if passed else "fixed", markup=rng.choice(("0", "5", "25")), links=pairs, terms=bundles,
        minimise=rng.choice(("payers", "payers", "wholesale")), margin=rng.choice(("", "", "0.05")),
        weights=Weights(*(rng.randint(1, 4) for _ in range(5))),
        relax=tuple(rng.sample(("budget", "latency", "availability", "margin", "per_provider"), rng.choice((0, 0, 2)))),
    )  # fmt: skip
    service = Service(
        id="call", retail="own", measures=MEASURES, attributes=("dest",), guard=rng.random() < 0.4,
        sponsor="marketing", parts={part: Part(wholesale=plain[part]) for part in parts}, market=market,
    )  # fmt: skip
    crossings = tuple(
        Interconnect(f"n-{a}", f"n-{b}", price(rng, 100))
        for a, b in itertools.permutations(providers, 2) if rng.random() < 0.5
    )  # fmt: skip
    agreements, placements = _agreed(rng, parts, providers, tariffs)
    catalog = Catalog(
        providers={name: Provider(name, network=f"n-{name}") for name in PROVIDERS},
        networks={f"n-{name}": Network(f"n-{name}") for name in PROVIDERS},
        services={"call": service}, tariffs=tariffs, offers=offers, interconnects=crossings, agreements=agreements,
        placements=placements, payers={"ada": Payer("ada", "EUR", opening="1000")},
    )  # fmt: skip
    return Bazaar(catalog, _request(rng, providers))


def _offer(rng: random.Random, id: str, part: str, provider: str, tariffs: dict[str, Tariff]) -> Offer:
    retail = ""
    if rng.random() < 0.15:
        retail = f"{id}-retail"
        tariffs[retail] = Tariff(id=retail, currency="EUR", components=components(rng))
    return Offer(
        id, "call", part, provider, id, retail=retail, network=rng.choice(("", "", f"n-{rng.choice(PROVIDERS)}")),
        quality=Quality(rng.choice((0, 20, 80)), rng.choice(("1", "0.999", "0.9901"))),
        capacity=rng.choice(({}, {}, {"minutes": str(rng.randint(5, 60))})),
        most=rng.choice(({}, {}, {}, {"minutes": "15"})), when=rng.choice(({}, {}, {}, {"dest": ("44*",)})),
        reaches=rng.choice(((), (), (f"n-{rng.choice(PROVIDERS)}",))),
    )  # fmt: skip


def _agreed(
    rng: random.Random, parts: Sequence[str], providers: Sequence[str], tariffs: dict[str, Tariff]
) -> tuple[dict[str, Agreement], dict[str, Placement]]:
    agreements, placements = {}, {}
    for provider in providers:
        if rng.random() < 0.2:
            id = f"ada-{provider}"
            named = f"{id}-price" if rng.random() < 0.6 else ""
            if named:
                tariffs[named] = Tariff(id=named, currency="EUR", components=components(rng))
            part = rng.choice(("", rng.choice(parts)))
            agreements[id] = Agreement(id, "call", named, payer="ada", provider=provider, part=part)
        if rng.random() < 0.2:
            some = tuple(rng.sample(parts, rng.choice((0, 1, 2))))
            bound, fee = rng.choice(("3", "20", "100")), rng.choice(("0", "0.01"))
            placements[provider] = Placement(provider, "call", provider, bound, fee=fee, parts=some)
    return agreements, placements


def _request(rng: random.Random, providers: Sequence[str]) -> Request:
    limits = Limits(
        budget=rng.choice(("", "", "", f"{rng.randint(1, 6)}.5")), latency=rng.choice((0, 0, 0, 100, 150)),
        availability=rng.choice(("", "", "", "0.99", "0.998")), per_provider=rng.choice((0, 0, 0, 1, 2)),
        agreements_only=rng.random() < 0.03,
    )  # fmt: skip
    order = tuple(rng.sample(providers, rng.choice((0, 0, 0, 1, 2))))
    ignore = tuple(name for name in rng.sample(providers, rng.choice((0, 0, 0, 0, 1))) if name not in order)
    networks = Preference(order=tuple(f"n-{name}" for name in rng.sample(providers, rng.choice((0, 0, 0, 1)))))
    profile = Profile("p", Preference(order=order, ignore=ignore), networks, premium=rng.choice(("", "10", "40")))
    return Request(
        "call", (PayerUse("ada"),), {"minutes": str(rng.randint(1, 30)), "gb": str(rng.randint(0, 9))},
        attributes={"dest": rng.choice(("4479", "4498", "33"))}, limits=limits, profile=profile,
    )  # fmt: skip
