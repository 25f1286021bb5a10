"""C1: a user asks its home provider, which asks the platform; its own offers compete there like all others.

Three providers run nodes of their own. The user knows the node of ``north`` alone.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import subprocess
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.claims.conftest import Books, Json, Program
from tests.claims.serving import Served

TOKEN = "the token of ada's device"
CATALOG = """
[payers.ada]
currency = "EUR"
opening = "100"

[tariffs.fee]
currency = "EUR"
[[tariffs.fee.components]]
kind = "flat"
name = "setup"
price = "0.10"

[tariffs.listed]
currency = "EUR"
[[tariffs.listed.components]]
kind = "unit"
name = "talk"
measure = "seconds"
price = "0.05"

[services.call]
retail = "fee"
apportion = "wholesale"
measures = { seconds = "s" }

[services.call.parts.termination]
wholesale = { north = "listed", east = "listed", west = "listed" }

[services.call.market]
retail = "passed-on"
deadline = 2000

[services.call.session]
slice = { seconds = "60" }
"""
PROVIDER = """
[providers.NAME]
address = "ADDRESS"
key = "KEY"
"""
NODE = """
provider = "NAME"
[bargaining]
markup = 0
[[offers]]
service = "call"
part = "termination"
tariff = "voice"
[[users]]
name = "ada"
token = "HASH"
payers = ["ada"]
[tariffs.voice]
currency = "EUR"
[[tariffs.voice.components]]
kind = "unit"
name = "talk"
measure = "seconds"
price = PRICE
"""
PRICES = {"north": "0.03", "east": "0.02", "west": "0.025"}


class Home:
    """``apportion provider serve`` of one provider."""

    def __init__(self, program: Program, name: str, price: str, platform: str, key: str) -> None:
        folder = program.folder / name
        folder.mkdir()
        text = NODE.replace("NAME", name).replace("PRICE", price)
        (folder / "node.toml").write_text(text.replace("HASH", hashlib.sha256(TOKEN.encode()).hexdigest()))
        command = [*program.command, "provider", "serve", "node.toml", "--port", "0", "--platform", platform]
        command += [] if name == "west" else ["--quiet"]
        self.process = subprocess.Popen(
            command, cwd=folder, env={**program.env, "APPORTION_KEY": key}, stdout=subprocess.PIPE, text=True
        )
        self.public = self.address = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.public = found[1] if (found := re.search(r": ([0-9a-f]{64})", line)) else self.public
            if found := re.search(r"http://([\d.]+:\d+)", line):
                self.address = found[1]
                return
        raise AssertionError("the provider's node did not start")

    def ask(self, path: str, body: Any, status: int = 201) -> Json:
        """A request of the user's device; it knows no other address, and no key of the platform."""
        line = http.client.HTTPConnection(self.address, timeout=30)
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        line.request("POST", path, json.dumps(body), headers)
        answer = line.getresponse()
        text = answer.read()
        line.close()
        assert answer.status == status, text
        return json.loads(text)

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(20) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()


class Market:
    """A platform and the three nodes."""

    def __init__(self, folder: Path) -> None:
        self.program = Program(folder)
        names = "".join(f"[providers.{name}]\n" for name in PRICES)
        self.platform = Served(self.program, CATALOG + names, "--allow-private-addresses")
        self.homes: dict[str, Home] = {}
        known = CATALOG
        for name, price in PRICES.items():
            secret = self.platform.ask("POST", "/v1/keys", {"role": "provider", "party": name})["secret"]
            home = self.homes[name] = Home(self.program, name, price, f"http://{self.platform.address}", secret)
            filled = PROVIDER.replace("NAME", name).replace("ADDRESS", f"http://{home.address}")
            known += filled.replace("KEY", home.public)
        line = http.client.HTTPConnection(self.platform.address, timeout=30)
        headers = {"authorization": f"Bearer {self.platform.key}", "content-type": "application/toml"}
        line.request("PUT", "/v1/catalog", known, headers)
        answer = line.getresponse()
        assert answer.status == 200, answer.read()
        line.close()

    def stop(self) -> None:
        for home in self.homes.values():
            home.stop()


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """Shared by all; the last test ends the platform."""
    made = Market(tmp_path_factory.mktemp("market"))
    try:
        yield made
    finally:
        made.stop()
        made.platform.process.kill()
        made.platform.process.wait()


REQUEST = {"service": "call", "payers": [{"payer": "ada"}], "quantities": {"seconds": "60"}, "ask": 2000}


def test_a_plan_of_somebody_else_is_none_of_the_home(market: Market) -> None:
    plan = market.homes["west"].ask("/requests", REQUEST)
    market.homes["north"].ask(f"/requests/{plan['id']}/accept", {}, status=404)
    market.homes["north"].ask("/requests", {**REQUEST, "payers": [{"payer": "ben"}]}, status=422)


def test_the_own_offer_of_the_home_wins_when_it_is_the_best(market: Market) -> None:
    east = market.homes["east"]
    plan = east.ask("/requests", REQUEST)
    assert plan["home"] == "east"
    lowest = next(one for one in plan["scenarios"] if one["name"] == "lowest-cost")
    assert [part["provider"] for part in lowest["parts"]] == ["east"]
    others = east.ask("/requests", {**REQUEST, "without": ["east"]})
    lowest = next(one for one in others["scenarios"] if one["name"] == "lowest-cost")
    assert [part["provider"] for part in lowest["parts"]] == ["west"]


def test_what_a_node_announces_counts_when_nobody_is_asked(market: Market) -> None:
    end = time.monotonic() + 20
    while not (offers := [one for one in market.platform.ask("GET", "/v1/offers")["data"] if one["provider"] == "west"
                          and one["id"].startswith("ofr_")]) and time.monotonic() < end:  # fmt: skip
        time.sleep(0.1)
    assert offers, "its offers are on the platform"
    plan = market.homes["north"].ask("/requests", {**REQUEST, "ask": 0})
    lowest = next(one for one in plan["scenarios"] if one["name"] == "lowest-cost")
    assert [part["provider"] for part in lowest["parts"]] == ["west"]
    assert Decimal(lowest["total"]) == Decimal("1.6"), (
        "0.10 and 60 seconds at 0.025; the others' standing price is 0.05"
    )


def test_the_home_provider_asks_the_best_offer_delivers_and_is_paid_as_it_bid(market: Market) -> None:
    north = market.homes["north"]
    plan = north.ask("/requests", REQUEST)
    assert plan["home"] == "north"
    lowest = next(one for one in plan["scenarios"] if one["name"] == "lowest-cost")
    assert [part["provider"] for part in lowest["parts"]] == ["east"], "its own offer has no privilege"
    assert Decimal(lowest["total"]) == Decimal("1.3"), "0.10 and 60 seconds at 0.02"
    asked = {one["provider"]: one.get("fee") for one in plan["candidates"]}
    assert set(asked) == set(PRICES), "all three were asked"

    session = north.ask(f"/requests/{plan['id']}/accept", {"scenario": "lowest-cost"})
    market.platform.report(session["id"], 1, {"seconds": "30"}, part="termination", provider="east", final=True)
    market.platform.end(session["id"])
    books = Books(market.program, "books.db")
    market.platform.process.terminate()
    market.platform.process.wait(30)
    assert books.balances("payer")["ada"] == Decimal("100") - Decimal("0.7"), "0.10 and 30 seconds at 0.02"
    assert books.balances("provider")["east"] == Decimal("0.6")
    assert not books.balances("provider").get("north"), "being the home earns nothing by itself"
    books.add_up()
