"""The two markets of the examples: real prices, competing offers for every request, and what is derived stays so."""

from __future__ import annotations

import csv
import functools
import gzip
import importlib.util
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from apportion.adapters.catalog_file import load_catalog
from apportion.errors import RefusalCode, Refused
from apportion.model.catalog import Catalog
from apportion.model.market import Offer
from apportion.model.request import Request
from apportion.model.tariff import Use
from apportion.money import Exact
from apportion.stages.broker.match import Matched, Placed, Wanted, match
from apportion.stages.rate import Pricer, compile_tariff

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
ZERO = Exact(0)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@functools.cache
def catalog_of(name: str) -> Catalog:
    return load_catalog(EXAMPLES / "market" / f"{name}.toml")


@functools.cache
def pricer(name: str, tariff: str) -> Pricer:
    return compile_tariff(catalog_of(name).tariffs[tariff])


@functools.cache
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_requests", EXAMPLES / "market" / "make_requests.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def requests(name: str, step: int = 1) -> Iterator[Request]:
    """Every ``step``-th request, read as the door reads it."""
    for made in islice(maker().MARKETS[name](), 0, None, step):
        yield msgspec.json.decode(msgspec.json.encode(made), type=Request)


@functools.cache
def placed(name: str) -> tuple[Placed, ...]:
    catalog = catalog_of(name)

    def over(offer: Offer) -> Placed:
        network = offer.network or catalog.providers[offer.provider].network
        return Placed(msgspec.structs.replace(offer, network=network))

    return tuple(over(offer) for offer in catalog.offers.values())


def matched(name: str, request: Request) -> Matched:
    catalog = catalog_of(name)
    service = catalog.services[request.service]
    needs = {measure: Exact.parse(text) for measure, text in request.quantities.items()}
    asked = Wanted(
        tuple(service.parts),
        NOON,
        "USD",
        needs,
        request.attributes,
        links=service.market.links,
        interconnects=catalog.interconnects,
        service=service.id,
    )
    return match(asked, placed(name))


def cost(name: str, place: int, request: Request) -> Exact | None:
    """What an offer comes to; None when its carrier does not sell the destination."""
    tariff = placed(name)[place].offer.tariff
    assert isinstance(tariff, str)
    needs = {measure: Exact.parse(text) for measure, text in request.quantities.items()}
    try:
        return pricer(name, tariff).price(Use(NOON, NOON, needs, request.attributes)).exact
    except Refused as refused:
        assert refused.refusal.code is RefusalCode.NO_PRICE
        return None


@pytest.mark.parametrize("name", ["model-gateway", "telephone"])
def test_markets_load_and_say_what_is_invented(name: str) -> None:
    catalog = catalog_of(name)
    assert "atency" in catalog.invented and catalog.attribution
    if name == "telephone":
        assert all(one.invented for one in (*catalog.providers.values(), *catalog.networks.values()))


def test_the_model_market_holds_the_lists() -> None:
    tariffs = catalog_of("model-gateway").tariffs
    decks = {name: tariff.deck.rows for name, tariff in tariffs.items() if tariff.deck is not None}
    assert (len(decks), sum(map(len, decks.values()))) == (125, 1321)
    assert len(catalog_of("model-gateway").offers) == 125
    for name, offer in catalog_of("model-gateway").offers.items():
        assert offer.when["model"] == tuple(row.key for row in decks[name])


def test_prices_of_the_model_market_are_those_of_the_other_example() -> None:
    """Both were taken from the same list, by different ways."""
    seen = 0
    tariffs = catalog_of("model-gateway").tariffs
    with (EXAMPLES / "model-gateway" / "hosts.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            tariff = tariffs.get(row["entry"].partition("/")[0])
            rows = tariff.deck.rows if tariff is not None and tariff.deck is not None else ()
            for told in rows:
                if told.key == row["model"]:
                    assert told.prices == {"input": row["input_per_million"], "output": row["output_per_million"]}
                    seen += 1
    assert seen == 26


def test_every_completion_has_competing_offers() -> None:
    fits: dict[str, tuple[int, ...]] = {}
    lowest = highest = ZERO
    for request in requests("model-gateway"):
        model = request.attributes["model"]
        if model not in fits:
            [fits[model]] = matched("model-gateway", request).fits
        costs = [priced for place in fits[model] if (priced := cost("model-gateway", place, request)) is not None]
        assert len(costs) == len(fits[model]) >= 10 and min(costs) < max(costs)
        lowest, highest = lowest + min(costs), highest + max(costs)
    assert len(fits) == 62
    assert (lowest.reduced().text(), highest.reduced().text()[:11]) == ("47.6024251456", "82.15723157")


def test_requests_are_all_there_and_always_the_same() -> None:
    assert sum(1 for _ in maker().MARKETS["model-gateway"]()) == 19_366
    assert sum(1 for _ in maker().MARKETS["telephone"]()) == 3_600
    first = next(requests("model-gateway"))
    assert first.payers[0].payer == "u114" and first.quantities == {"input": "374", "output": "44", "requests": "1"}


def test_every_call_can_be_ended_but_those_that_nobody_sells() -> None:
    """Pairs of carriers that reach one another, with what handing over costs."""
    unsold, lowest, highest = 0, ZERO, ZERO
    for request in requests("telephone"):
        found = matched("telephone", request)
        costs = {place: cost("telephone", place, request) for part in found.fits for place in part}
        whole = [
            one + other + crossing.fee
            for source, target, crossing in found.joints[0].pairs()
            if (one := costs[source]) is not None and (other := costs[target]) is not None
        ]
        assert bool(whole) != request.attributes["called"].startswith("43820")
        if whole:
            lowest, highest = lowest + min(whole), highest + max(whole)
        unsold += not whole
    assert (unsold, lowest.reduced().text(), highest.reduced().text()) == (3, "636.8319545", "1001.2336018")


def test_derived_prices_are_shares_of_the_real_rates() -> None:
    with gzip.open(EXAMPLES / "telephone" / "deck.csv.gz", "rt", encoding="utf-8", newline="") as file:
        real = {row["prefix"]: row for row in csv.DictReader(file)}
    with gzip.open(EXAMPLES / "market" / "carriers.csv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 310
    for row in rows:
        told = real[row["prefix"]]
        assert all(row[field] == told[field] for field in ("destination", "first", "next", "rate"))
        for carrier in list(row)[5:]:
            if row[carrier]:
                share = Exact.parse(row[carrier]).over(Exact.parse(row["rate"]))
                assert Exact(48, 100) <= share <= Exact(99, 100), (carrier, row["prefix"])


def test_no_price_of_a_part_is_bounded_and_all_can_be_passed_on() -> None:
    for name in ("model-gateway", "telephone"):
        service = next(iter(catalog_of(name).services.values()))
        assert service.market.retail == "passed-on" and service.session is not None
