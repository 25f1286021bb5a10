"""The market examples by the command line: plans for real requests, and what they would cost by somebody else."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from apportion.engine.broker import door
from apportion.engine.verbs import Call
from apportion.model.request import Request, Requests
from apportion.model.tariff import Use
from apportion.money import Exact
from apportion.wiring import open_engine
from tests.faces.driving import ROOT, Cli
from tests.faces.test_docs_commands import DOCS
from tests.markets import OPERATOR
from tests.unit.examples.test_market_examples import NOON, catalog_of, cost, maker, matched, placed, pricer

MARKET = ROOT / "examples" / "market"
ATOM = Decimal("0.000000001")
AMOUNTS = ("lowest cost", "best quality", "best value", "usual", "dearest")


def planned(cli: Cli, name: str, step: int, count: int) -> tuple[list[Any], list[dict[str, str]], str]:
    """Requests of an example, the rows that ``apportion plan`` gives for them, and its last line for the first 25."""
    requests = list(maker().MARKETS[name]())[::step][:count]
    lines = [msgspec.json.encode(one) for one in requests]
    Path("requests.jsonl").write_bytes(b"\n".join(lines))
    Path("few.jsonl").write_bytes(b"\n".join(lines[:25]))
    cli("catalog", "apply", str(MARKET / f"{name}.toml"), "--store", f"{name}.db")
    rows = cli("plan", "requests.jsonl", "--compare", "--json", "--store", f"{name}.db").json
    told = cli("plan", "few.jsonl", "--compare", "--store", f"{name}.db")
    assert told.code == 0, told.err
    return requests, rows, told.out.splitlines()[-1]


def sums(rows: list[dict[str, str]]) -> list[Decimal]:
    return [sum((Decimal(row[name]) for row in rows if row["plan"]), Decimal()) for name in AMOUNTS]


def hosts() -> dict[str, list[dict[str, Any]]]:
    """For each model what its hosts ask for a million tokens, read from the file as it stands, in its order."""
    with (MARKET / "model-gateway.toml").open("rb") as file:
        found = tomllib.load(file, parse_float=Decimal)
    sold: dict[str, list[dict[str, Any]]] = {}
    for offer in found["offers"].values():
        for row in found["tariffs"][offer["tariff"]]["deck"]["rows"]:
            if row["key"] in offer["when"]["model"]:
                sold.setdefault(row["key"], []).append({"host": offer["provider"], **row["prices"]})
    return sold


def fees(request: dict[str, Any], sold: list[dict[str, Any]]) -> Iterator[Decimal]:
    """What each host's price comes to for users: 5 percent more, and the platform's fee, in whole atoms."""
    used = {name: Decimal(text) for name, text in request["quantities"].items()}
    for one in sold:
        cost = (used["input"] * one["input"] + used["output"] * one["output"]) / 1_000_000
        yield (cost * Decimal("1.05") + Decimal("0.00002")).quantize(ATOM, ROUND_HALF_EVEN)


def test_each_completion_goes_to_the_cheapest_of_its_hosts(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each amount is computed again here, from the prices in the file and by other means."""
    monkeypatch.chdir(tmp_path)
    requests, rows, last = planned(cli, "model-gateway", 97, 150)
    sold = hosts()
    for request, row in zip(requests, rows, strict=True):
        asked = list(fees(request, sold[request["attributes"]["model"]]))
        assert [Decimal(row[name]) for name in ("lowest cost", "usual", "dearest")] == [
            min(asked), asked[0], max(asked),
        ]  # fmt: skip
        chosen = [one["host"] for one in sold[request["attributes"]["model"]]].index(row["providers"])
        assert asked[chosen] == min(asked)
        assert all(min(asked) <= Decimal(row[name]) <= max(asked) for name in ("best quality", "best value"))
    assert last.split() == ["25", "plans", "USD", *map(str, sums(rows[:25]))]
    assert list(map(str, sums(rows))) == ["0.324917111", "0.440597608", "0.327690119", "0.402660051", "0.580157651"]


def pairs(request: Request) -> Iterator[Exact]:
    """What users pay for each pair of carriers that meets, taxed, without the platform's own fee: all are tried."""
    terms = catalog_of("telephone").services["call"].market.terms
    both = terms["nordlink"].bundles[0].parts
    use = Use(NOON, NOON, {name: Exact.parse(text) for name, text in request.quantities.items()}, request.attributes)
    for one, other, crossing in matched("telephone", request).joints[0].pairs():
        costs = [cost("telephone", place, request) for place in (one, other)]
        if None in costs:
            continue
        whole = sum((each for each in costs if each is not None), Exact(0))
        carriers = [placed("telephone")[place].offer.provider for place in (one, other)]
        if carriers == ["nordlink", "nordlink"]:
            together = [pricer("telephone", tariff).price(use).exact for tariff in both.values()]
            whole = min(whole, together[0] + together[1])
        setups = sum((Exact.parse(terms[name].setup) for name in set(carriers) if name in terms), Exact(0))
        yield (whole + crossing.fee + setups) * Exact(108, 100) * Exact(125, 100)


def test_each_call_goes_over_the_cheapest_pair_that_meets(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every pair is tried here, with handing over, set-up and bundle."""
    monkeypatch.chdir(tmp_path)
    requests, rows, last = planned(cli, "telephone", 36, 100)
    unsold = 0
    for made, row in zip(requests, rows, strict=True):
        request = msgspec.convert(made, Request)
        every = list(pairs(request))
        unsold += not every
        assert bool(every) == bool(row["plan"]), row["refused"]
        if not every:
            continue
        low, _, value, usual, most = (Decimal(row[name]) for name in AMOUNTS)
        minutes, answered = (Decimal(request.quantities[name]) for name in ("seconds", "answered"))
        own = (minutes / 60 * Decimal("0.001") + answered * Decimal("0.002")) * Decimal("1.25")
        found = [own + Decimal(one.num) / one.den for one in (min(every), max(every))]
        assert abs(low - found[0]) <= ATOM and abs(most - found[1]) <= ATOM, (request, row)
        assert low <= min(value, usual) and max(value, usual) <= most
    assert list(map(str, sums(rows))) == [
        "26.151967051",
        "27.948857461",
        "26.581030171",
        "27.792540691",
        "41.117958016",
    ]
    assert unsold == 1 and last.split()[:2] == ["25", "plans"]


def test_a_file_of_requests_that_are_slow_is_planned_to_its_end(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One batch has a bounded time; each looks at one request here, and the rest is sent again."""
    monkeypatch.chdir(tmp_path)
    _, rows, _ = planned(cli, "telephone", 36, 6)
    monkeypatch.setattr(door, "_PATIENCE", 0.0)
    again = cli("plan", "requests.jsonl", "--compare", "--json", "--store", "telephone.db").json
    assert len(again) == 6 and [row["lowest cost"] for row in again] == [row["lowest cost"] for row in rows]
    with open_engine("telephone.db") as engine:
        asked = Requests(tuple(msgspec.json.decode(line, type=Request) for line in open("requests.jsonl", "rb")))
        made = door.plan_all(engine, Call(OPERATOR, given=asked))
    assert made[1:] == [door.NOT_LOOKED_AT] * 5 and made[0] != door.NOT_LOOKED_AT


def test_the_page_on_markets_shows_what_is_printed(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first call; what all requests come to takes a minute and is measured by the benchmark of markets."""
    monkeypatch.chdir(tmp_path)
    planned(cli, "telephone", 1, 1)
    page = (DOCS / "how-to" / "example-market.md").read_text()
    shown = re.search(r"plan call\.json.*?\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    Path("requests.jsonl").rename("call.json")
    printed = [
        line.rstrip() for line in cli("plan", "call.json", "--compare", "--store", "telephone.db").out.splitlines()
    ]
    assert set(shown[1].splitlines()) - {"…"} <= set(printed), printed
