"""Make the trimmed copies of real data that the examples run on.

    python examples/prepare.py DATA            # writes into the folders next to this script
    python examples/prepare.py DATA --out DIR

DATA is a folder with the originals, named in the README of each example. Nothing here is random: what the originals
do not say (who used, which provider delivered) is drawn from a hash of ids, so that every run writes the same bytes.
Catalogs and READMEs are written by hand and are not touched, but for the catalog of ``market`` that holds a price list.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

# ── for all ──


def draw(*key: object) -> int:
    """A number from 0 to 2^64 − 1 that depends on the key alone."""
    text = "/".join(map(str, key))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def pick(options: Sequence[str], weights: Sequence[int], *key: object) -> str:
    """One of the options, in proportion to whole weights."""
    mark = draw(*key) * sum(weights) >> 64
    for option, weight in zip(options, weights, strict=True):
        mark -= weight
        if mark < 0:
            return option
    raise AssertionError("the weights do not cover the draw")


def plain(text: str, places: int | None = None) -> str:
    """A decimal as plain digits: no exponent, no needless zeros."""
    value = Decimal(text)
    if places is not None:
        value = value.quantize(Decimal(1).scaleb(-places))
    shown = format(value, "f")
    shown = shown.rstrip("0").rstrip(".") if "." in shown else shown
    return shown or "0"


def rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a CSV file, packed or not."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def write(path: Path, header: Sequence[str], body: Iterable[Sequence[object]]) -> None:
    """A CSV file with Unix line ends; a name that ends in .gz is packed, always to the same bytes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(body)
    raw = text.getvalue().encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(raw, 9, mtime=0) if path.suffix == ".gz" else raw)
    print(f"{path.stat().st_size:>9,} bytes  {path}")


# ── model gateway ──

USERS = 200
CODE_REQUESTS = 500
HOSTS = {  # who sells it → entry of the price list
    "gpt-oss-120b": {
        "aiand": "aiand/openai/gpt-oss-120b",
        "azure": "azure_ai/gpt-oss-120b",
        "baseten": "baseten/openai/gpt-oss-120b",
        "bedrock": "bedrock_mantle/openai.gpt-oss-120b",
        "cerebras": "cerebras/gpt-oss-120b",
        "cloudflare": "cloudflare/@cf/openai/gpt-oss-120b",
        "crusoe": "crusoe/openai/gpt-oss-120b",
        "databricks": "databricks/databricks-gpt-oss-120b",
        "deepinfra": "deepinfra/openai/gpt-oss-120b",
        "fireworks": "fireworks_ai/accounts/fireworks/models/gpt-oss-120b",
        "groq": "groq/openai/gpt-oss-120b",
        "inferenceapis": "inferenceapis/openai/gpt-oss-120b",
        "kyma": "kyma/gpt-oss-120b",
        "nebius": "nebius/openai/gpt-oss-120b",
        "novita": "novita/openai/gpt-oss-120b",
        "oci": "oci/openai.gpt-oss-120b",
        "ovhcloud": "ovhcloud/gpt-oss-120b",
        "replicate": "replicate/openai/gpt-oss-120b",
        "sail": "sail/openai/gpt-oss-120b",
        "sambanova": "sambanova/gpt-oss-120b",
        "scaleway": "scaleway/openai/gpt-oss-120b",
        "tensormesh": "tensormesh/openai/gpt-oss-120b",
        "together": "together_ai/openai/gpt-oss-120b",
        "vertex": "vertex_ai/openai/gpt-oss-120b-maas",
        "wandb": "wandb/openai/gpt-oss-120b",
        "watsonx": "watsonx/openai/gpt-oss-120b",
        "zerogpu": "zerogpu/gpt-oss-120b",
    },
    "qwen3-coder-480b": {
        "bedrock": "bedrock_mantle/qwen.qwen3-coder-480b-a35b-instruct",
        "deepinfra": "deepinfra/Qwen/Qwen3-Coder-480B-A35B-Instruct",
        "fireworks": "fireworks_ai/accounts/fireworks/models/qwen3-coder-480b-a35b-instruct",
        "novita": "novita/qwen/qwen3-coder-480b-a35b-instruct",
        "tensormesh": "tensormesh/Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8",
        "together": "together_ai/Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8",
        "vertex": "vertex_ai/qwen/qwen3-coder-480b-a35b-instruct-maas",
    },
}


def per_million(price: Decimal) -> str:
    """A price per token as the price of a million tokens, exactly."""
    return plain(str(price * 1_000_000))


def price_list(data: Path) -> dict[str, dict[str, tuple[Decimal, Decimal]]]:
    """Model → host → (input, output) in USD per token, read from the JSON text without a float."""
    with gzip.open(data / "llm-gateway" / "litellm_model_prices.json.gz", "rt", encoding="utf-8") as file:
        entries = json.load(file, parse_float=Decimal)
    found = {}
    for model, hosts in HOSTS.items():
        found[model] = {
            host: (
                Decimal(entries[entry]["input_cost_per_token"]),
                Decimal(entries[entry]["output_cost_per_token"]),
            )
            for host, entry in hosts.items()
        }
    return found


def model_gateway(data: Path, out: Path) -> None:
    """An hour of requests, each sent to one of the hosts that sell its model."""
    prices = price_list(data)
    write(
        out / "hosts.csv",
        ("host", "model", "input_per_million", "output_per_million", "entry"),
        (
            (host, model, per_million(price[0]), per_million(price[1]), HOSTS[model][host])
            for model, hosts in prices.items()
            for host, price in hosts.items()
        ),
    )
    header = ("source", "id", "service", "start", "payer", "model", "input", "output", "provider.host")
    for name, file, model, limit in (
        ("conv", "usage.csv", "gpt-oss-120b", None),
        ("code", "usage-code.csv", "qwen3-coder-480b", CODE_REQUESTS),
    ):
        hosts = tuple(prices[model])
        # A gateway that seeks low prices and spreads its risk: weights fall with the square of the price of the
        # hour's average request, 1,155 tokens in and 211 out.
        costs = [prices[model][host][0] * 1155 + prices[model][host][1] * 211 for host in hosts]
        weights = [int((min(costs) / cost) ** 2 * 1_000_000) for cost in costs]
        body = []
        for n, row in enumerate(rows(data / "llm-gateway" / f"azure2023_{name}.csv"), start=1):
            if limit is not None and n > limit:
                break
            key = f"{name}{n:05}"
            moment = row["TIMESTAMP"].replace(" ", "T")
            if "." in moment:
                moment = moment.rstrip("0").rstrip(".")
            user = f"u{draw('user', key) % USERS + 1:03}"
            body.append(
                (
                    "azure-2023",
                    key,
                    "completion",
                    f"{moment}Z",
                    user,
                    model,
                    row["ContextTokens"],
                    row["GeneratedTokens"],
                    pick(hosts, weights, "host", key),
                )
            )
        write(out / file, header, body)


# ── telephone ──

STUDY_START = datetime(2011, 10, 10, tzinfo=ZoneInfo("Europe/Copenhagen")).astimezone(UTC)
ABROAD = ("1", "298", "299", "33", "34", "354", "39", "44", "46", "47", "48", "49", "52", "90", "92")
ABROAD_PERCENT = 14
NOT_SOLD_TO, NOT_SOLD = "466", "43820"  # one person has a premium number that the deck does not sell
CONFERENCE_EVERY = 25


def deck(data: Path) -> list[tuple[str, str, str, str, str, str]]:
    """The rate deck: prefix, destination, first and next interval, rate, and the derived 70 % of it.

    Nine prefixes have no rate: the carrier does not sell them.
    """
    return sorted(
        (
            row["Prefix"],
            row["Destination"],
            row["First Interval"],
            row["Sub Interval"],
            plain(row["Rate"]) if row["Rate"] else "",
            plain(str(Decimal(row["Rate"]) * Decimal("0.7"))) if row["Rate"] else "",
        )
        for row in rows(data / "telecom-calls" / "sdf_outbound_rates.csv.gz")
    )


def telephone(data: Path, out: Path) -> None:
    """Every call of the study, once over a telecom platform's bridge and once over an internet provider's."""
    prefixes = deck(data)
    write(
        out / "deck.csv.gz",
        ("prefix", "destination", "first", "next", "rate", "derived_cost"),
        prefixes,
    )
    names = [row[0] for row in prefixes if row[4]]
    home = [name for name in names if name.startswith("45")]
    abroad = {code: [name for name in names if name.startswith(code)] for code in ABROAD}

    def number(person: str) -> str:
        # The same person always has the same number: a real prefix, then zeros and the id of the study.
        if person == NOT_SOLD_TO:
            prefix, length = NOT_SOLD, 12
        elif draw("abroad", person) % 100 < ABROAD_PERCENT:
            code = ABROAD[draw("country", person) % len(ABROAD)]
            prefix, length = abroad[code][draw("prefix", person) % len(abroad[code])], 12
        else:
            prefix, length = home[draw("prefix", person) % len(home)], 10
        return prefix + person.zfill(length - len(prefix))

    calls = list(rows(data / "telecom-calls" / "copenhagen_calls.csv"))
    people = sorted({call["caller"] for call in calls} | {call["callee"] for call in calls}, key=int)
    header = (
        "source",
        "id",
        "service",
        "start",
        "duration",
        "payer",
        "called",
        "seconds",
        "leg_seconds",
        "answered",
        "provider.termination",
    )
    for bridge in ("telecom", "internet"):
        body = []
        for n, call in enumerate(calls, start=1):
            key = f"{n:04}"
            begin = STUDY_START + timedelta(seconds=int(call["timestamp"]))
            seconds = max(int(call["duration"]), 0)
            called = number(call["callee"])
            payers, legs = [f"p{call['caller'].zfill(3)}"], 2
            if seconds and draw("conference", key) % CONFERENCE_EVERY == 0:
                # A conference: the caller bears two parts, each other participant one, every third guest nothing.
                guest = people[draw("guest", key) % len(people)]
                if guest not in (call["caller"], call["callee"]):
                    legs = 3
                    free = "-" if draw("free", key) % 3 == 0 else ""
                    payers[0] += "=2"
                    payers += [f"p{call['callee'].zfill(3)}", f"{free}p{guest.zfill(3)}"]
            body.append(
                (
                    f"cns-{bridge}",
                    key,
                    f"call-{bridge}-bridge",
                    begin.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    seconds,
                    ";".join(payers),
                    called,
                    seconds,
                    legs * seconds,
                    1 if seconds else 0,
                    "landline-dk" if called.startswith("45") else "transit-world",
                )
            )
        write(out / f"usage-{bridge}.csv", header, body)


# ── electricity, gas, water ──

HOMES = 17
HOURS = 31 * 24
AUGUST = datetime(2016, 8, 1)  # wall clock of America/Los_Angeles: step 0 of the file begins at midnight


def hours(data: Path) -> list[dict[str, str]]:
    """The 744 hours of August 2016."""
    found = []
    for n, row in enumerate(rows(data / "electricity-homes" / "citylearn2022_hourly.csv.gz")):
        if n == HOURS:
            break
        begin = AUGUST + timedelta(hours=n)
        # An hour is named by the wall clock at which it begins, midnight as hour 24 of the day that ends.
        stamp = begin - timedelta(days=1) if begin.hour == 0 else begin
        assert (int(row["month"]), int(row["hour"]) % 24, int(row["day_type"])) == (
            stamp.month,
            begin.hour,
            stamp.isoweekday(),
        ), row
        found.append(row)
    return found


def electricity(data: Path, out: Path) -> None:
    """Seventeen homes, hour by hour; the same homes as one building, day by day; gas and water made up."""
    month = hours(data)
    write(
        out / "usage.csv",
        ("source", "id", "service", "start", "duration", "payer", "kwh"),
        (
            (
                "meters",
                f"h{home:02}-{n + 1:03}",
                "electricity",
                (AUGUST + timedelta(hours=n)).strftime("%Y-%m-%dT%H:%M:%S"),
                3600,
                f"home-{home:02}",
                plain(row[f"load_kwh_{home}"]),
            )
            for n, row in enumerate(month)
            for home in range(1, HOMES + 1)
        ),
    )
    write(
        out / "prices.csv",
        ("start", "usd_per_kwh"),
        (
            ((AUGUST + timedelta(hours=n)).strftime("%Y-%m-%dT%H:%M:%S"), plain(row["price_usd_per_kwh"]))
            for n, row in enumerate(month)
        ),
    )
    zone = ZoneInfo("America/Los_Angeles")
    lines = []
    for day in range(31):
        begin = AUGUST + timedelta(days=day)
        own = {}
        for home in range(1, HOMES + 1):
            sums = {"peak_kwh": Decimal(0), "off_peak_kwh": Decimal(0)}
            for clock in range(24):
                kwh = Decimal(month[day * 24 + clock][f"load_kwh_{home}"])
                sums["peak_kwh" if 16 <= clock < 21 else "off_peak_kwh"] += kwh
            own[f"flat-{home:02}"] = sums
        total = {name: sum(sums[name] for sums in own.values()) for name in ("peak_kwh", "off_peak_kwh")}
        first, last = (
            moment.replace(tzinfo=zone).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            for moment in (begin, begin + timedelta(days=1))
        )
        record = {
            "source": "building",
            "id": begin.strftime("%Y-%m-%d"),
            "service": "building-electricity",
            "start": first,
            "end": last,
            "payers": [
                {
                    "payer": flat,
                    "quantities": {name: plain(str(value)) for name, value in sums.items()},
                }
                for flat, sums in own.items()
            ],
            "quantities": {name: plain(str(value)) for name, value in total.items()},
        }
        lines.append(json.dumps(record, separators=(",", ":")))
    path = out / "usage-building.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{path.stat().st_size:>9,} bytes  {path}")

    # Gas and water are made up: a base for each home, a little more or less each day.
    def reading(kind: str, home: int, day: int, low: int, high: int) -> str:
        base = low + draw(kind, home) % (high - low)
        return plain(str(Decimal(base * (80 + draw(kind, home, day) % 41)) / 100_000), 3)

    body = []
    for kind, low, high in (("gas", 400, 1600), ("water", 250, 900)):
        for home in range(1, HOMES + 1):
            for day in range(31):
                body.append(
                    (
                        "invented-meters",
                        f"{kind}-{home:02}-{day + 1:02}",
                        kind,
                        (AUGUST + timedelta(days=day)).strftime("%Y-%m-%dT%H:%M:%S"),
                        86400,
                        f"home-{home:02}",
                        reading(kind, home, day, low, high),
                    )
                )
    write(
        out / "usage-gas-water.csv",
        ("source", "id", "service", "start", "duration", "payer", "m3"),
        body,
    )


# ── video on demand ──

VIEWERS = 150
VIDEO_MONTH = "2015-09"
STUDIOS = {
    "minecraft": "blockhouse",
    "game": "arcade-nine",
    "music": "encore",
    "funny cats": "whisker",
    "gopro": "helmetcam",
}
CARRIERS = ("edge-north", "edge-south", "budget-cdn")
CARRIER_WEIGHTS = (5, 3, 2)
QUALITIES = {"160": "s144", "133": "s240", "134": "s360", "135": "s480", "136": "s720"}


def video(data: Path, out: Path) -> None:
    """The viewing sessions of one month: seconds by quality for the content, bytes for the delivery."""
    body = []
    for row in rows(data / "video-on-demand" / "yt_sessions.csv.gz"):
        if not row["run_date"].startswith(VIDEO_MONTH):
            continue
        whole, _, part = row["run_start"].partition(".")
        begin = datetime.fromtimestamp(int(whole), UTC).strftime("%Y-%m-%dT%H:%M:%S")
        part = part.rstrip("0")
        body.append(
            (
                "tum-2015",
                row["run_id"],
                "viewing",
                f"{begin}.{part}Z" if part else f"{begin}Z",
                plain(row["run_length"], 2),
                f"v{draw('viewer', row['run_id']) % VIEWERS + 1:03}",
                row["yt_id"],
                *(plain(row[f"pl_time_spent_itag{tag}"], 3) for tag in QUALITIES),
                row["net_dl_total"],
                row["pl_buffering_events"],
                STUDIOS[row["vid_category"]],
                pick(CARRIERS, CARRIER_WEIGHTS, "carrier", row["run_id"]),
            )
        )
    write(
        out / "usage.csv",
        (
            "source",
            "id",
            "service",
            "start",
            "duration",
            "payer",
            "title",
            *QUALITIES.values(),
            "bytes",
            "stalls",
            "provider.content",
            "provider.delivery",
        ),
        body,
    )


# ── market ──

SHARED_BY = 6  # a model is on the market when so many sell it; of who sells none of these, one model is kept
MODES = ("chat", "completion", "responses")
ALSO = ("avian", "doubleword", "openrouter")  # of the second list: who is not on the first, and resellers of others
REGION = re.compile(r"(us|eu|apac|global|au|jp|ca)\.")
MAKER = re.compile(
    r"(openai|qwen|anthropic|meta|mistral|deepseek|amazon|google|cohere|ai21|moonshotai?|minimax|zai|nvidia|writer)\."
)
ENDING = re.compile(r"(-maas|-fp8|-turbo-free|-v[0-9]+:[0-9]+|:free|@.*)$")
PLACE = re.compile(r"(?:bedrock|azure)/(us|eu|(?:us|eu|ap|sa|ca|us-gov)-[a-z]+-[0-9])/")
UPTIME = ("0.95", "0.98", "0.99", "0.995", "0.998", "0.999", "0.9995", "0.9999")
MARKET_HEAD = '''\
# Who runs a language model for whom: {hosts} hosts of two real price lists, {pairs} prices of {models} models.
#
# Made by prepare.py. Real: who sells which model at what price for a million tokens. Invented: latency, availability
# and throughput, and what the platform earns.

name = "model market"
invented = """\\
Latency, availability and throughput of every host, and the platform's fee; that the companies named here take part \\
in anything. The prices are those of the lists."""
attribution = "Prices: the price list of LiteLLM 1.109.1 (MIT), and that of pydantic/genai-prices (MIT)."
unknown_payers = {{ currency = "USD", credit = 5 }}

# A request says which model it wants and how many tokens it expects. Users pay the host's own price, 5 percent more,
# and a fee for each request.
[services.completion]
name = "completion"
retail = "platform"
measures = {{ input = "token", output = "token", requests = "request" }}
attributes = ["model"]
parts.host = {{}}
session = {{ slice = {{ input = 4096, output = 1024, requests = 1 }} }}

[services.completion.market]
retail = "passed-on"
markup = 5
relax = ["throughput", "latency"]
weights = {{ price = 2, quality = 1 }}

[tariffs.platform]
currency = "USD"
components = [{{ kind = "flat", name = "request", measure = "requests", price = 0.00002, optional = true }}]

[profiles]
thrifty = {{ objective = "lowest-cost" }}
swift = {{ objective = "best-quality", premium = 50 }}
european = {{ providers = {{ order = ["nebius", "scaleway", "ovhcloud", "mistral"] }}, premium = 25 }}
'''
MARKET_HOST = """
[providers]
{providers}
"""
MARKET_OFFER = """
[offers.{host}]
service = "completion"
part = "host"
provider = "{host}"
tariff = "{host}"
when.model = [{models}]
quality = {{ latency = {latency}, availability = {uptime}, throughput = {throughput} }} # invented
[tariffs.{host}]
currency = "USD"
components = [
{{ kind = "unit", name = "input", measure = "input", per = 1000000 }},
{{ kind = "unit", name = "output", measure = "output", per = 1000000 }},
]
[tariffs.{host}.deck]
by = "model"
match = "exact"
rows = [
{rows}
]
"""


def model_of(entry: str) -> str:
    """The model that an entry of a price list is about, however its seller writes it."""
    name = entry.rsplit("/", 1)[-1].lower()
    return ENDING.sub("", MAKER.sub("", REGION.sub("", name, 1) if REGION.match(name) else name, 1))


def host_of(entry: str, provider: str) -> str:
    """Who sells an entry; two of the clouds sell at other prices in other regions, each of which is a host."""
    host = "vertex_ai" if provider.startswith("vertex_ai") else provider.removesuffix("_converse")
    if host not in ("azure", "bedrock"):
        return host
    place = PLACE.match(entry) or REGION.match(entry.rsplit("/", 1)[-1])
    return f"{host}-{place[1]}" if place else host


def sellers(data: Path) -> dict[str, dict[str, tuple[str, str]]]:
    """Model → host → (input, output) in USD per million tokens, of both lists; the shorter entry wins a tie."""
    folder = data / "llm-gateway"
    with gzip.open(folder / "litellm_model_prices.json.gz", "rt", encoding="utf-8") as file:
        entries = json.load(file, parse_float=Decimal)
    with gzip.open(folder / "genai_prices_data.json.gz", "rt", encoding="utf-8") as file:
        others = json.load(file, parse_float=Decimal)
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for entry, told in sorted(entries.items(), key=lambda item: (len(item[0]), item[0])):
        price = told.get("input_cost_per_token"), told.get("output_cost_per_token")
        if told.get("mode") in MODES and all(price) and told.get("litellm_provider") and ":" not in entry[:3]:
            host = host_of(entry, told["litellm_provider"])
            pair = tuple(per_million(Decimal(one)) for one in price)
            found.setdefault(model_of(entry), {}).setdefault(host, pair)
    for seller in others:
        if seller["id"] not in ALSO and not seller["id"].startswith("huggingface_"):
            continue
        for model in seller["models"]:
            prices = model["prices"] if isinstance(model["prices"], dict) else {}
            price = prices.get("input_mtok"), prices.get("output_mtok")
            if ":" not in model["id"] and all(price) and not any(isinstance(one, dict) for one in price):
                pair = tuple(plain(str(one)) for one in price)
                found.setdefault(model_of(model["id"]), {}).setdefault(seller["id"], pair)
    return found


def on_market(data: Path) -> dict[str, dict[str, tuple[str, str]]]:
    """Host → model → prices: models that several companies sell, and one model of everybody who sells none of those."""
    every = sellers(data)
    hosts: dict[str, dict[str, tuple[str, str]]] = {}
    for model, prices in every.items():
        if len({re.sub("^(azure|bedrock)-.*", r"\1", host) for host in prices}) >= SHARED_BY:
            for host, pair in prices.items():
                hosts.setdefault(host, {})[model] = pair
    for model in sorted(every):
        for host, pair in every[model].items():
            hosts.setdefault(host, {model: pair})
    return {host: dict(sorted(hosts[host].items())) for host in sorted(hosts)}


def quoted(names: Iterable[str]) -> str:
    return ",".join(f'"{name}"' for name in names)


def market_models(hosts: dict[str, dict[str, tuple[str, str]]]) -> str:
    """The catalog of the model market."""
    pairs = sum(map(len, hosts.values()))
    models = len({model for prices in hosts.values() for model in prices})
    text = [MARKET_HEAD.format(hosts=len(hosts), pairs=pairs, models=models)]
    text.append(MARKET_HOST.format(providers="\n".join(f"{host} = {{}}" for host in hosts)))
    for host, prices in hosts.items():
        body = (f'{{key="{model}",prices={{input={a},output={b}}}}},' for model, (a, b) in prices.items())
        text.append(
            MARKET_OFFER.format(
                host=host,
                models=quoted(prices),
                latency=120 + draw("latency", host) % 900,
                uptime=UPTIME[draw("uptime", host) % len(UPTIME)],
                throughput=20 + draw("throughput", host) % 400,
                rows="\n".join(body),
            )
        )
    return "".join(text)


CARRIERS_ABROAD = {  # invented carriers: what share of the deck's rate they ask (percent, from … to …), and for whom
    "nordlink": (72, 84, ("home", "nordic")),
    "nordlink-bundle": (66, 78, ("home", "nordic")),
    "fjordtel": (60, 95, ("home", "nordic", "europe")),
    "copenconnect": (55, 70, ("home",)),
    "eurovox": (62, 88, ("nordic", "europe")),
    "alpenlinie": (58, 92, ("europe",)),
    "atlantica": (64, 90, ("america", "europe")),
    "pan-america": (52, 80, ("america",)),
    "silkroute": (55, 93, ("asia", "europe")),
    "indus-voice": (50, 75, ("asia",)),
    "world-transit": (85, 97, ("home", "nordic", "europe", "america", "asia")),
    "budget-route": (48, 99, ("nordic", "europe", "america", "asia")),
    "premium-global": (92, 99, ("home", "nordic", "europe", "america", "asia")),
}
REGIONS = (("45", "home"), ("46", "nordic"), ("47", "nordic"), ("298", "nordic"), ("299", "nordic"), ("354", "nordic"),
           ("1", "america"), ("52", "america"), ("90", "asia"), ("92", "asia"))  # fmt: skip


def region_of(prefix: str) -> str:
    return next((region for code, region in REGIONS if prefix.startswith(code)), "europe")


def market_calls(data: Path, out: Path) -> None:
    """The rates of the deck for every number that is called in the sample, and what each invented carrier asks."""
    prefixes = {row[0]: row for row in deck(data)}
    used = set()
    for row in rows(out.parent / "telephone" / "usage-telecom.csv"):
        called = row["called"]
        used.add(next(called[:end] for end in range(len(called), 0, -1) if called[:end] in prefixes))

    def asked(carrier: str, row: Sequence[str]) -> str:
        low, high, regions = CARRIERS_ABROAD[carrier]
        if not row[4] or region_of(row[0]) not in regions:
            return ""
        percent = low + draw("carrier", carrier, row[1]) % (high - low + 1)
        return plain(str(Decimal(row[4]) * percent / 100))

    write(
        out / "carriers.csv.gz",
        ("prefix", "destination", "first", "next", "rate", *CARRIERS_ABROAD),
        (
            (*prefixes[name][:5], *(asked(carrier, prefixes[name]) for carrier in CARRIERS_ABROAD))
            for name in sorted(used)
        ),
    )


def market(data: Path, out: Path) -> None:
    """Two markets: hosts that run models, and carriers that end calls. The calls must have been written before."""
    path = out / "model-gateway.toml"
    path.write_text(market_models(on_market(data)), encoding="utf-8")
    print(f"{path.stat().st_size:>9,} bytes  {path}")
    market_calls(data, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with the originals")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="where to write")
    given = parser.parse_args()
    for name, make in (
        ("model-gateway", model_gateway),
        ("telephone", telephone),
        ("electricity", electricity),
        ("video-on-demand", video),
        ("market", market),
    ):
        (given.out / name).mkdir(parents=True, exist_ok=True)
        make(given.data, given.out / name)


if __name__ == "__main__":
    main()
