"""The requests of the examples' users, one line of JSON each: what they used is taken for what they ask for.

    python examples/market/make_requests.py model-gateway > requests.jsonl      # 19,366 of the sample hour
    python examples/market/make_requests.py telephone --limit 100               # of 3,600 calls

Users, times and quantities are those of the usage files of the same names. Which model a request of the gateway wants
is drawn from a hash of its id, in proportion to how many hosts sell it; a call asks for at least a second.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import tomllib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import accumulate, islice
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOLD_BY = 10  # models that so many hosts sell are asked for


def used(name: str) -> Iterator[dict[str, str]]:
    """The rows of a usage file of another example."""
    with (HERE.parent / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def model_gateway() -> Iterator[dict[str, object]]:
    """A request for each of the hour's completions."""
    with (HERE / "model-gateway.toml").open("rb") as file:
        offers = tomllib.load(file)["offers"].values()
    hosts = Counter(model for offer in offers for model in offer["when"]["model"])
    models = sorted(model for model, count in hosts.items() if count >= SOLD_BY)
    ends = list(accumulate(hosts[model] for model in models))
    for row in used("model-gateway/usage.csv"):
        digest = hashlib.sha256(f"market/{row['id']}".encode()).digest()
        mark = int.from_bytes(digest[:8], "big") * ends[-1] >> 64
        yield {
            "service": "completion",
            "payers": [{"payer": row["payer"]}],
            "quantities": {"input": row["input"], "output": row["output"], "requests": "1"},
            "attributes": {"model": models[bisect_right(ends, mark)]},
        }


def telephone() -> Iterator[dict[str, object]]:
    """A request for each call; those who talk pay by the shares that the usage states."""
    for row in used("telephone/usage-telecom.csv"):
        payers = []
        for text in row["payer"].split(";"):
            name, _, weight = text.removeprefix("-").partition("=")
            payers.append(
                {"payer": name}
                | ({"weight": weight} if weight else {})
                | ({"pays": False} if text.startswith("-") else {})
            )
        yield {
            "service": "call",
            "payers": payers,
            "quantities": {"seconds": str(max(int(row["seconds"]), 1)), "answered": row["answered"]},
            "attributes": {"called": row["called"]},
        }


MARKETS: dict[str, Callable[[], Iterator[dict[str, object]]]] = {
    "model-gateway": model_gateway,
    "telephone": telephone,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("market", choices=MARKETS)
    parser.add_argument("--limit", type=int, help="no more than so many")
    given = parser.parse_args()
    for request in islice(MARKETS[given.market](), given.limit):
        print(json.dumps(request, separators=(",", ":")))


if __name__ == "__main__":
    main()
