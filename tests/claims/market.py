"""A market that claims plan on, served by a node: calls of two parts, three carriers, prices passed on to the users."""

from __future__ import annotations

import atexit
from decimal import Decimal
from typing import Any

from tests.claims.conftest import Json, Program
from tests.claims.serving import Served

# A minute of `near` costs 0.02 (oak), 0.03 (elm) or 0.05 (ash), one of `far` 0.05, 0.02 or 0.03. Users pay that and a
# tenth more, 0.10 a call, and a fifth of all of it as tax: ten minutes of oak and elm are
# (0.10 + 10 × (0.02 + 0.02) × 1.1) × 1.2 = 0.648, of which the two earn 0.20 each and the platform 0.14.
CALLS = """
name = "calls"
networks = { west = {}, east = {}, south = {} }
providers = { oak = { network = "west" }, elm = { network = "east" }, ash = { network = "south" } }
[payers]
ada = { currency = "EUR", opening = "50" }
ben = { currency = "EUR", opening = "50" }
[tariffs]
own = { currency = "EUR", tax = "vat", taxes = { vat = "20" }, components = [
    { kind = "flat", name = "connection", price = "0.10" }] }
two = { currency = "EUR", components = [{ kind = "unit", name = "talk", measure = "minutes", price = "0.02" }] }
three = { currency = "EUR", components = [{ kind = "unit", name = "talk", measure = "minutes", price = "0.03" }] }
five = { currency = "EUR", components = [{ kind = "unit", name = "talk", measure = "minutes", price = "0.05" }] }
[services.call]
retail = "own"
measures = { minutes = "min" }
attributes = ["title", "called"]
personal = ["called"]
parts.near = { wholesale = { oak = "two", elm = "three", ash = "five" } }
parts.far = { wholesale = { oak = "five", elm = "two", ash = "three" } }
market = { retail = "passed-on", markup = "10"#MORE }
"""


def calls(more: str = "", market: str = "") -> str:
    """The catalog with ``more`` tables, and with ``market`` terms of the service besides."""
    return CALLS.replace("#MORE", f", {market}" if market else "") + more


class Market(Served):
    """The node with what a user of plans does at it; it ends with the tests at the latest."""

    def __init__(self, program: Program, catalog: str, *words: str) -> None:
        super().__init__(program, catalog, *words)
        atexit.register(self.process.kill)

    def plan(self, minutes: str, *payers: str, status: int = 0, key: str = "", **more: Any) -> Json:
        """Ask for a plan, by ada unless others are named."""
        asked = {"service": "call", "payers": [{"payer": one} for one in payers or ("ada",)]}
        asked |= {"quantities": {"minutes": minutes}, **more}
        return self.ask("POST", "/v1/plans", asked, key=key, status=status)

    def accept(self, plan: Json, scenario: str = "", *, key: str = "", status: int = 0) -> Json:
        """Open a session by a plan."""
        return self.ask("POST", f"/v1/plans/{plan['id']}/accept", {"scenario": scenario}, key=key, status=status)

    def deliver(self, plan: Json, scenario: str = "") -> Json:
        """Accept a plan, use exactly what was asked for, and end; the session."""
        session = self.accept(plan, scenario)
        self.report(session["id"], 1, plan["quantities"])
        return self.end(session["id"])

    def key_of(self, party: str, role: str = "user") -> str:
        """A key of somebody's own."""
        return self.ask("POST", "/v1/keys", {"role": role, "party": party})["secret"]


def one(plan: Json, name: str = "lowest-cost") -> Json:
    """A scenario of a plan."""
    return next(scenario for scenario in plan["scenarios"] if scenario["name"] == name)


def crew(plan: Json, name: str = "lowest-cost") -> dict[str, str]:
    """Who delivers which part in a scenario."""
    return {part["part"]: part["provider"] for part in one(plan, name)["parts"]}


def fee(plan: Json, name: str = "lowest-cost") -> Decimal:
    """What users pay in a scenario."""
    return Decimal(one(plan, name)["total"])


def why(plan: Json, part: str, provider: str) -> tuple[str, str]:
    """What kept somebody from being chosen for a part: in a word and in a sentence; both empty when nothing did."""
    found = next(c for c in plan["candidates"] if (c["part"], c["provider"]) == (part, provider))
    return found.get("out", ""), found.get("why", "")
