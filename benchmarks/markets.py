"""How many plans a second? The requests of the two market examples, with 125 hosts and with sixteen carriers.

*Priced*: every offer that serves a request is priced by its tariff and nothing else is done; there is no plan without
that. *Found*: the whole plan, three scenarios with their tariffs and every candidate with its reason. *Written*: found,
and put into a file through the commit loop in groups. All three in turn, group by group, medians of groups.
"""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path

import msgspec

from apportion.adapters.catalog_file import load_catalog
from apportion.adapters.outside import KeyFile, SystemClock, SystemRandom
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.broker.planning import found_plan
from apportion.engine.engine import Engine
from apportion.errors import RefusalCode, Refused
from apportion.model.catalog import Catalog
from apportion.model.market import Offer
from apportion.model.plan import PlanMade
from apportion.model.request import Request
from apportion.model.tariff import Tariff, Use
from apportion.money import Exact
from apportion.stages.broker.match import unmet_by
from apportion.stages.rate import Pricer, compile_tariff

MARKETS = Path(__file__).resolve().parents[1] / "examples" / "market"
GROUP = 64


def requests_of(name: str, count: int) -> list[Request]:
    """Requests of an example, spread over all of it; every one when ``count`` is 0."""
    spec = importlib.util.spec_from_file_location("make_requests", MARKETS / "make_requests.py")
    assert spec is not None and spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    made = list(maker.MARKETS[name]())
    step = max(1, len(made) // count) if count else 1
    return [msgspec.convert(one, Request) for one in islice(made, 0, None, step)]


def priced(requests: Sequence[Request], offers: Sequence[tuple[Offer, Pricer]]) -> int:
    """Price all offers that serve each request; how many there were."""
    found, at = 0, datetime.now(UTC)
    for request in requests:
        use = Use(at, at, {name: Exact.parse(text) for name, text in request.quantities.items()}, request.attributes)
        for offer, pricer in offers:
            if unmet_by(request.attributes, offer) is None:
                try:
                    pricer.price(use)
                    found += 1
                except Refused as refused:
                    assert refused.refusal.code is RefusalCode.NO_PRICE
    return found


def found(engine: Engine, requests: Sequence[Request]) -> list[PlanMade]:
    """A plan for each request that has one."""
    plans = []
    for request in requests:
        try:
            plans.append(found_plan(engine, request))
        except Refused as refused:
            assert refused.refusal.code is RefusalCode.NO_PLAN
    return plans


def market(name: str, count: int) -> dict[str, object]:
    """One example: its rates, and what its plans are and come to."""
    catalog, requests = load_catalog(MARKETS / f"{name}.toml"), requests_of(name, count)
    offers = [(one, compile_tariff(_tariff(catalog, one))) for one in catalog.offers.values()]
    rates: dict[str, list[float]] = {"priced": [], "found": [], "written": []}
    total, planned, prices = Decimal(), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "books.db"
        engine = Engine(
            SqliteStore(path), "main", (SystemClock(), SystemRandom(), KeyFile(f"{path}.key")), lambda line: None
        )
        engine.apply(catalog)
        for at in range(0, len(requests), GROUP):
            group = requests[at : at + GROUP]
            times = [time.perf_counter()]
            prices += priced(group, offers)
            times.append(time.perf_counter())
            plans = found(engine, group)
            times.append(time.perf_counter())
            engine.writer.commit(plans)
            times.append(time.perf_counter())
            rates["priced"].append(len(group) / (times[1] - times[0]))
            rates["found"].append(len(group) / (times[2] - times[1]))
            rates["written"].append(len(group) / (times[3] - times[1]))
            planned += len(plans)
            total += sum((Decimal(plan.line.scenarios[0].total) for plan in plans), Decimal())
        engine.close()
        size = path.stat().st_size
    median = {way: statistics.median(each) for way, each in rates.items()}
    return {
        "offers": len(offers),
        "requests": len(requests),
        "offers priced for a request": round(prices / len(requests), 1),
        "priced, requests/s": round(median["priced"]),
        "found, plans/s": round(median["found"]),
        "written, plans/s": round(median["written"]),
        "found ÷ priced": round(median["found"] / median["priced"], 3),
        "plans": planned,
        "lowest cost, all plans": str(total),
        "bytes in the file for a plan": round(size / planned),
    }


def _tariff(catalog: Catalog, offer: Offer) -> Tariff:
    return catalog.tariffs[offer.tariff] if isinstance(offer.tariff, str) else offer.tariff


def measure(count: int = 0) -> dict[str, object]:
    """Both markets; ``count`` requests of each, or all."""
    return {name: market(name, count) for name in ("telephone", "model-gateway")}
