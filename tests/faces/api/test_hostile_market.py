"""A hundred parts and ten thousand offers: every request ends in bounded time, with an answer that is clear."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from apportion.model.agreement import Part, Service
from apportion.model.catalog import Catalog
from apportion.model.market import Interconnect, MarketTerms, Network, Offer, ProviderTerms, Quality
from apportion.model.party import Payer, Provider
from apportion.model.session import SessionTerms
from apportion.model.tariff import Flat, Tariff, Unit
from tests.faces.api.nodes import NodeProcess

PARTS, EACH = 100, 100
HARD = 120  # seconds; a solver has ten of them, and a near miss some more


def catalog(links: bool = True, setups: bool = False) -> Catalog:
    """A chain of parts that every provider offers at a price of its own; by links, networks must meet all along it."""
    chance = Random(7)
    names, networks = [f"v{n}" for n in range(EACH)], [f"n{n}" for n in range(10)]
    tariffs = {
        f"t{n}": Tariff(id=f"t{n}", currency="EUR", components=(Unit(name="s", measure="s", price=f"0.000{100 + n}"),))
        for n in range(500)
    }
    tariffs["own"] = Tariff(id="own", currency="EUR", components=(Flat(name="connection", price="0.1"),))
    offers = {
        f"o{part}-{name}": Offer(
            id=f"o{part}-{name}", service="chain", part=f"p{part}", provider=name, tariff=f"t{chance.randrange(500)}",
            network=chance.choice(networks),
            quality=Quality(chance.randrange(1, 200), f"0.99{chance.randrange(100, 999)}"),
        )
        for part in range(PARTS) for name in names
    }  # fmt: skip
    market = MarketTerms(
        retail="passed-on", links=tuple((f"p{n}", f"p{n + 1}") for n in range(PARTS - 1)) if links else (),
        terms={name: ProviderTerms(f"0.0{chance.randrange(1, 9)}") for name in names} if setups else {},
    )  # fmt: skip
    service = Service(
        "chain", "own", {f"p{n}": Part() for n in range(PARTS)}, measures={"s": "s"}, market=market,
        session=SessionTerms({"s": "10"}),
    )  # fmt: skip
    return Catalog(
        providers={name: Provider(name) for name in names}, networks={name: Network(name) for name in networks},
        interconnects=tuple(
            Interconnect(one, other, fee=f"0.00{chance.randrange(10, 99)}")
            for one in networks for other in networks if one != other and chance.random() < 0.3
        ),
        offers=offers, tariffs=tariffs, services={"chain": service}, payers={"ada": Payer("ada", "EUR", opening="100")},
    )  # fmt: skip


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    node = NodeProcess(tmp_path_factory.mktemp("large") / "books.db", "--log", "warning")
    assert node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog())).status == 200
    yield node
    assert node.stop() == 0, node.log[-5:]


def asked(**limits: Any) -> dict[str, Any]:
    return {"service": "chain", "payers": [{"payer": "ada"}], "quantities": {"s": "60"}, "limits": limits}


def test_ten_thousand_offers_have_a_plan_and_others_are_answered_meanwhile(node: NodeProcess) -> None:
    waits: list[float] = []
    done = threading.Event()

    def others() -> None:
        while not done.is_set():
            began = time.monotonic()
            assert node.ask("GET", "/v1/accounts?limit=10").status == 200
            waits.append(time.monotonic() - began)

    thread = threading.Thread(target=others)
    thread.start()
    try:
        answer = node.ask("POST", "/v1/plans", asked())
    finally:
        done.set()
        thread.join()
    assert answer.status == 201, answer.body[:1000]
    plan = answer.json
    lowest, quality, value = (Decimal(one["total"]) for one in plan["scenarios"])
    assert lowest <= value <= quality and all(one.get("proven", True) for one in plan["scenarios"])
    assert len(plan["scenarios"][0]["parts"]) == PARTS and len(plan["candidates"]) == PARTS * EACH
    cheapest: dict[str, Decimal] = {}
    for one in plan["candidates"]:
        known = cheapest.setdefault(one["part"], Decimal(one["fee"]))
        cheapest[one["part"]] = min(known, Decimal(one["fee"]))
    assert lowest >= sum(cheapest.values()) + Decimal("0.1"), "handing over is not free"
    assert len(waits) > 3 and max(waits) < 5, waits


def test_what_nobody_can_serve_is_told_briefly(node: NodeProcess) -> None:
    answer = node.ask("POST", "/v1/plans", asked(latency=10))
    assert answer.status == 409 and answer.json["code"] == "no_plan"
    assert "the limit is 10 ms" in answer.json["detail"] and "more like these" in answer.json["detail"]
    assert len(answer.body) < 5000


def test_a_sum_that_can_not_be_kept_names_what_could(node: NodeProcess) -> None:
    answer = node.ask("POST", "/v1/plans", asked(latency=300))
    assert answer.status == 409 and answer.json["code"] == "no_plan"
    assert "the quickest that keeps the others takes" in answer.json["detail"] and len(answer.body) < 2000


@pytest.mark.torture
def test_the_hardest_limits_end_too(tmp_path: Path) -> None:
    """Every provider may deliver two parts, all ask set-up, networks must meet: nobody proves that in seconds."""
    node = NodeProcess(tmp_path / "books.db", "--log", "warning")
    assert node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog(setups=True))).status == 200
    line = node.line()
    line._http.timeout = HARD
    began = time.monotonic()
    answer = line.ask("POST", "/v1/plans", asked(per_provider=2, latency=6000, availability="0.93", budget="50"))
    assert time.monotonic() - began < HARD
    if answer.status == 201:
        scenarios = answer.json["scenarios"]
        for one in scenarios:
            names = [part["provider"] for part in one["parts"]]
            assert max(map(names.count, names)) <= 2 and one["latency"] <= 6000
    else:
        assert answer.json["code"] == "no_plan" and "fits all limits" in answer.json["detail"]
    assert node.stop() == 0
