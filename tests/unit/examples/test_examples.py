"""The examples hold what their pages say: they load, every row reads, and the facts of the sources are still there."""

from __future__ import annotations

import csv
import functools
import gzip
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from apportion.adapters.catalog_file import load_catalog
from apportion.adapters.usage import read_usage
from apportion.model.catalog import Catalog
from apportion.model.tariff import Use
from apportion.model.usage import Usage
from apportion.money import Exact
from apportion.stages.rate import compile_tariff

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
LIMIT = 5_000_000
FILES = {
    "quickstart/usage.csv": 6,
    "model-gateway/usage.csv": 19_366,
    "model-gateway/usage-code.csv": 500,
    "telephone/usage-telecom.csv": 3_600,
    "telephone/usage-internet.csv": 3_600,
    "electricity/usage.csv": 12_648,
    "electricity/usage-building.jsonl": 31,
    "electricity/usage-gas-water.csv": 1_054,
    "video-on-demand/usage.csv": 5_243,
}
DOMAINS = sorted({name.partition("/")[0] for name in FILES})
REAL = [name for name in DOMAINS if name != "quickstart"]
ZERO = Exact(0)


@functools.cache
def catalog_of(domain: str) -> Catalog:
    return load_catalog(EXAMPLES / domain / "catalog.toml")


@functools.cache
def usage_of(name: str) -> tuple[Usage, ...]:
    """Every record of a usage file, which must hold no other lines."""
    catalog = catalog_of(name.partition("/")[0])
    found: list[Usage] = []
    for batch in read_usage(EXAMPLES / name, catalog.services, zone=catalog.zone):
        assert not batch.rejects, [reject.refusal.sentence() for reject in batch.rejects[:5]]
        found += batch.records
    return tuple(found)


def plain_rows(name: str) -> Iterator[dict[str, str]]:
    path = EXAMPLES / name
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def use_of(record: Usage) -> Use:
    quantities = {name: Exact.parse(text) for name, text in record.quantities.items()}
    return Use(record.start, record.end, quantities, record.attributes)


def total_of(domain: str, tariff: str, name: str) -> Exact:
    """What a tariff without running totals makes of a whole file."""
    pricer = compile_tariff(catalog_of(domain).tariffs[tariff])
    total = ZERO
    for record in usage_of(f"{domain}/{name}"):
        total += pricer.price(use_of(record)).exact
    return total.reduced()


def summed(name: str, measure: str) -> Exact:
    total = ZERO
    for record in usage_of(name):
        total += Exact.parse(record.quantities[measure])
    return total.reduced()


# ── all of them ──


def test_all_examples_stay_under_five_megabytes() -> None:
    sizes = {
        path: path.stat().st_size for path in EXAMPLES.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert sum(sizes.values()) < LIMIT


@pytest.mark.parametrize("domain", DOMAINS)
def test_catalog_loads_and_says_what_is_invented(domain: str) -> None:
    text = (EXAMPLES / domain / "catalog.toml").read_text(encoding="utf-8")
    catalog = catalog_of(domain)
    assert "nvented" in text
    if domain in REAL:
        assert catalog.invented and catalog.attribution
    for provider in catalog.providers.values():
        # Only the hosts of the gateway are real companies; their part in the example is declared in words.
        assert provider.invented or domain == "model-gateway"
    assert all(payer.invented for payer in catalog.payers.values())


@pytest.mark.parametrize("domain", DOMAINS)
def test_page_has_the_command_and_the_origin(domain: str) -> None:
    page = (EXAMPLES / domain / "README.md").read_text(encoding="utf-8")
    assert f"apportion run examples/{domain}/catalog.toml examples/{domain}/usage" in page
    assert "nvented" in page
    if domain in REAL:
        assert "../ATTRIBUTION.md" in page
        assert f"`{domain}/" in (EXAMPLES / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for linked in re.findall(r"`([a-z-]+\.(?:csv|jsonl|csv\.gz))`", page):
        assert (EXAMPLES / domain / linked).is_file()


@pytest.mark.parametrize("name", FILES)
def test_every_row_reads(name: str) -> None:
    records = usage_of(name)
    assert len(records) == FILES[name]
    assert len({(record.source, record.id) for record in records}) == len(records)


@pytest.mark.parametrize("name", FILES)
def test_every_record_has_a_price_for_everybody(name: str) -> None:
    """Retail and each part's wholesale price compile and price each record; only the number that is not sold fails."""
    catalog = catalog_of(name.partition("/")[0])
    pricers = {key: compile_tariff(tariff) for key, tariff in catalog.tariffs.items()}
    for record in usage_of(name):
        service, use = catalog.services[record.service], use_of(record)
        if record.attributes.get("called", "").startswith("43820"):
            continue
        assert pricers[service.retail].price(use, {}, "2000-01").exact.num >= 0
        named = {part.part: part.provider for part in record.parts}
        for part, terms in service.parts.items():
            provider = named.get(part) or terms.provider
            assert provider in catalog.providers
            if service.apportion == "wholesale":
                assert pricers[terms.wholesale[provider]].price(use).exact.num >= 0


def test_prepare_explains_itself() -> None:
    shown = subprocess.run(
        [sys.executable, EXAMPLES / "prepare.py", "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "folder with the originals" in shown.stdout


@pytest.mark.skipif("APPORTION_ORIGINALS" not in os.environ, reason="APPORTION_ORIGINALS names no folder of originals")
def test_prepare_makes_the_same_bytes_again(tmp_path: Path) -> None:
    originals = os.environ["APPORTION_ORIGINALS"]
    subprocess.run([sys.executable, EXAMPLES / "prepare.py", originals, "--out", tmp_path], check=True, timeout=300)
    made = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(made) == 13
    for path in made:
        assert path.read_bytes() == (EXAMPLES / path.relative_to(tmp_path)).read_bytes(), path.name


# ── quickstart ──


def test_quickstart_is_25_lines_and_adds_up() -> None:
    lines = (EXAMPLES / "quickstart/catalog.toml").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 25 and max(map(len, lines)) <= 120
    shares = [total_of("quickstart", tariff, "usage.csv").text() for tariff in ("fare", "driving", "car")]
    assert shares == ["106.02", "49.95", "31.92"]


# ── model gateway ──


def test_gateway_has_the_whole_hour() -> None:
    name = "model-gateway/usage.csv"
    assert summed(name, "input") == Exact(22_361_870)
    assert summed(name, "output") == Exact(4_088_665)
    records = usage_of(name)
    assert records[-1].start - records[0].start < timedelta(hours=1)
    assert {record.attributes["model"] for record in records} == {"gpt-oss-120b"}
    assert len({record.payers[0].payer for record in records}) == 200


def test_gateway_prices_are_those_of_the_list() -> None:
    tariffs, seen = catalog_of("model-gateway").tariffs, 0
    for row in plain_rows("model-gateway/hosts.csv"):
        deck = tariffs[f"host-{row['host']}"].deck
        assert deck is not None
        prices = next(priced.prices for priced in deck.rows if priced.key == row["model"])
        assert prices == {"input": row["input_per_million"], "output": row["output_per_million"]}
        seen += 1
    assert seen == 34 == sum(len(t.deck.rows) for key, t in tariffs.items() if key.startswith("host-") and t.deck)


def test_gateway_hosts_differ_fifteenfold() -> None:
    catalog = catalog_of("model-gateway")
    hosts = [key for key in catalog.tariffs if key.startswith("host-")]
    costs = {key: total_of("model-gateway", key, "usage.csv") for key in hosts}
    assert len(costs) == 27
    low, high = min(costs, key=lambda key: costs[key]), max(costs, key=lambda key: costs[key])
    assert (low, costs[low].text()) == ("host-wandb", "1.36592915")
    assert (high, costs[high].text()) == ("host-crusoe", "21.160428")
    assert costs[low] * Exact(15) < costs[high] < costs[low] * Exact(16)
    assert total_of("model-gateway", "retail", "usage.csv").text() == "10.89315325"


def test_gateway_sells_a_few_requests_below_cost() -> None:
    catalog = catalog_of("model-gateway")
    pricers = {key: compile_tariff(tariff) for key, tariff in catalog.tariffs.items()}
    below, short = 0, ZERO
    for record in usage_of("model-gateway/usage.csv"):
        use = use_of(record)
        fee = pricers["retail"].price(use).exact
        cost = pricers["gateway-fee"].price(use).exact + pricers[f"host-{record.parts[0].provider}"].price(use).exact
        if fee < cost:
            below, short = below + 1, short + cost - fee
    assert (below, short.reduced().text()) == (171, "0.01062699")


# ── telephone ──


@pytest.mark.parametrize("bridge", ["telecom", "internet"])
def test_telephone_has_every_call(bridge: str) -> None:
    name = f"telephone/usage-{bridge}.csv"
    assert summed(name, "seconds") == Exact(204_813)
    records = usage_of(name)
    assert Counter(record.quantities["seconds"] == "0" for record in records) == {False: 2_654, True: 946}
    conferences = [record for record in records if len(record.payers) > 1]
    assert len(conferences) == 95
    assert sum(not all(payer.pays for payer in record.payers) for record in conferences) == 33
    assert {record.service for record in records} == {f"call-{bridge}-bridge"}


def test_telephone_tells_the_same_calls_twice() -> None:
    one, other = usage_of("telephone/usage-telecom.csv"), usage_of("telephone/usage-internet.csv")
    for a, b in zip(one, other, strict=True):
        assert (a.id, a.start, a.end, a.payers, a.quantities, a.attributes) == (
            b.id,
            b.start,
            b.end,
            b.payers,
            b.quantities,
            b.attributes,
        )


def test_telephone_deck_is_whole() -> None:
    deck = list(plain_rows("telephone/deck.csv.gz"))
    assert len({row["prefix"] for row in deck}) == len(deck) == 27_523
    steps = Counter((row["first"], row["next"]) for row in deck)
    assert steps == {("30", "6"): 23_422, ("60", "60"): 4_092, ("6", "6"): 9}
    assert sum(not row["rate"] for row in deck) == 9
    for row in deck:
        if row["rate"]:
            assert Exact.parse(row["derived_cost"]) == Exact.parse(row["rate"]) * Exact(7, 10)


def test_telephone_counts_as_the_deck_says() -> None:
    retail = compile_tariff(catalog_of("telephone").tariffs["retail"])
    record = next(r for r in usage_of("telephone/usage-telecom.csv") if r.quantities["seconds"] == "121")
    use = use_of(record)  # 121 s at night to 4526…: 126 s counted (30, then by 6)
    priced = retail.price(use).exact
    rate = next(
        Exact.parse(row["rate"])
        for row in sorted(plain_rows("telephone/deck.csv.gz"), key=lambda row: -len(row["prefix"]))
        if record.attributes["called"].startswith(row["prefix"])
    )
    night, bridge, connection = Exact.parse("0.006"), Exact.parse("0.003"), Exact.parse("0.005")
    expected = rate * Exact(126, 60) + night * Exact(121, 60) + bridge * Exact(242, 60) + connection
    assert priced == expected


def test_telephone_spans_the_end_of_summer_time() -> None:
    records = usage_of("telephone/usage-telecom.csv")
    assert f"{records[0].start:%Y-%m-%d}" <= "2011-10-30" <= f"{records[-1].start:%Y-%m-%d}"
    assert catalog_of("telephone").tariffs["retail"].zone == "Europe/Copenhagen"


# ── electricity, gas, water ──


def test_electricity_reproduces_the_price_of_every_hour() -> None:
    catalog = catalog_of("electricity")
    retail = compile_tariff(catalog.tariffs["electricity"])
    column = [row["usd_per_kwh"] for row in plain_rows("electricity/prices.csv")]
    assert len(column) == 744 and set(column) == {"0.22", "0.4", "0.54"}
    hours = sorted({(record.start, record.end) for record in usage_of("electricity/usage.csv")})
    assert len(hours) == 744
    for (start, end), price in zip(hours, column, strict=True):
        assert retail.price(Use(start, end, {"kwh": Exact(1)}, {})).exact.text() == price


def test_electricity_costs_use_times_price() -> None:
    column = {row["start"]: row["usd_per_kwh"] for row in plain_rows("electricity/prices.csv")}
    expected = ZERO
    for row in plain_rows("electricity/usage.csv"):
        expected += Exact.parse(row["kwh"]) * Exact.parse(column[row["start"]])
    assert total_of("electricity", "electricity", "usage.csv") == expected.reduced()
    assert expected.text() == "5482.17236793600690694"
    assert summed("electricity/usage.csv", "kwh").text() == "17840.447120315513167"


def test_building_uses_and_costs_the_same_as_its_homes() -> None:
    assert total_of("electricity", "building", "usage-building.jsonl").text() == "5482.17236793600690694"
    own: dict[str, Exact] = defaultdict(lambda: ZERO)
    for record in usage_of("electricity/usage-building.jsonl"):
        assert len(record.payers) == 17
        for measure, whole in record.quantities.items():
            parts = ZERO
            for payer in record.payers:
                parts += Exact.parse(payer.quantities[measure])
                own[payer.payer.removeprefix("flat-")] += Exact.parse(payer.quantities[measure])
            assert parts == Exact.parse(whole)
    homes: dict[str, Exact] = defaultdict(lambda: ZERO)
    for record in usage_of("electricity/usage.csv"):
        homes[record.payers[0].payer.removeprefix("home-")] += Exact.parse(record.quantities["kwh"])
    assert dict(own) == dict(homes)
    assert catalog_of("electricity").services["building-electricity"].exempt == ("flat-17",)


def test_electricity_leaves_a_margin_in_every_hour() -> None:
    catalog = catalog_of("electricity")
    pricers = [compile_tariff(catalog.tariffs[name]) for name in ("electricity", "source", "distribution")]
    for start, end in {(record.start, record.end) for record in usage_of("electricity/usage.csv")}:
        use = Use(start, end, {"kwh": Exact(1)}, {})
        fee, source, distribution = (pricer.price(use).exact for pricer in pricers)
        assert source + distribution < fee


def test_gas_and_water_cover_every_home_and_day() -> None:
    records = usage_of("electricity/usage-gas-water.csv")
    assert Counter(record.service for record in records) == {"gas": 527, "water": 527}
    assert all(record.source == "invented-meters" for record in records)


# ── video on demand ──


def test_video_has_the_whole_month() -> None:
    name = "video-on-demand/usage.csv"
    assert summed(name, "bytes") == Exact(139_041_747_747)
    assert sum(int(record.attributes["stalls"]) for record in usage_of(name)) == 8_157
    assert catalog_of("video-on-demand").services["viewing"].evidence == ("stalls",)
    assert len({record.attributes["title"] for record in usage_of(name)}) == 35
    for record in usage_of(name):
        assert {part.part for part in record.parts} == {"content", "delivery"}


def test_video_pays_studios_and_carriers() -> None:
    catalog = catalog_of("video-on-demand")
    service = catalog.services["viewing"]
    pricers = {key: compile_tariff(tariff) for key, tariff in catalog.tariffs.items()}
    earned: Counter[str] = Counter()
    for record in usage_of("video-on-demand/usage.csv"):
        use, cost = use_of(record), ZERO
        for part in record.parts:
            cost += pricers[service.parts[part.part].wholesale[part.provider]].price(use).exact
            earned[part.provider] += 1
        assert cost < pricers["retail"].price(use).exact
    assert set(earned) == set(catalog.providers)
    assert total_of("video-on-demand", "retail", "usage.csv").text().startswith("70.10")
