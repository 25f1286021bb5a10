"""A small market that tests plan on: calls of two linked parts, prices passed on, three carriers and their networks."""

from __future__ import annotations

from apportion.adapters.catalog_file import parse_catalog
from apportion.engine.broker.planning import found_plan
from apportion.engine.broker.views import PlanView, plan_line, view
from apportion.engine.engine import Engine
from apportion.model.access import AccessRole, Credential
from apportion.model.catalog import Catalog
from apportion.model.request import Request
from apportion.model.usage import PayerUse

OPERATOR = Credential("", "main", AccessRole.OPERATOR, "", "")

CALLS = """
[providers.oak]
network = "west"
[providers.elm]
network = "east"
[providers.ash]
network = "south"

[networks.west]
[networks.east]
[networks.south]

[tariffs.own]
currency = "EUR"
taxes = { vat = "20" }
tax = "vat"
components = [{ kind = "flat", name = "connection", price = "0.10" }]
[tariffs.cheap]
currency = "EUR"
components = [{ kind = "unit", name = "talk", measure = "minutes", price = "0.02" }]
[tariffs.middle]
currency = "EUR"
components = [{ kind = "unit", name = "talk", measure = "minutes", price = "0.03" }]
[tariffs.dear]
currency = "EUR"
components = [{ kind = "unit", name = "talk", measure = "minutes", price = "0.05" }]

[services.call]
retail = "own"
measures = { minutes = "min" }
attributes = ["title"]
personal = ["called"]
session = { slice = { minutes = "5" } }
[services.call.market]
retail = "passed-on"
markup = "10"
[services.call.parts.near.wholesale]
oak = "cheap"
elm = "middle"
ash = "dear"
[services.call.parts.far.wholesale]
oak = "dear"
elm = "cheap"
ash = "middle"

[payers.ada]
currency = "EUR"
opening = "50"
[payers.ben]
currency = "EUR"
opening = "50"
"""


def catalog(text: str = CALLS, more: str = "") -> Catalog:
    """The catalog of calls, with ``more`` tables."""
    return parse_catalog(text + more, is_json=False)


def request(minutes: str = "10", *payers: str, service: str = "call", **more: object) -> Request:
    """A request for so many minutes, by ada unless others are named."""
    named = tuple(PayerUse(name) for name in payers or ("ada",))
    return Request(service, named, {"minutes": minutes}, **more)  # type: ignore[arg-type]


def planned(engine: Engine, wanted: Request, **more: str) -> PlanView:
    """The plan for a request, in the books, as the operator sees it."""
    outcome = engine.writer.commit([found_plan(engine, wanted, **more)])[0]
    assert outcome.refusal is None, outcome.refusal
    return view(engine, plan_line(engine, outcome.id), OPERATOR)


def crew(shown: PlanView, name: str = "lowest-cost") -> dict[str, str]:
    """Who delivers which part in a scenario."""
    return {part.part: part.provider for one in shown.scenarios if one.name == name for part in one.parts}


def fee(shown: PlanView, name: str = "lowest-cost") -> str:
    """What payers pay in a scenario."""
    return next(one.total for one in shown.scenarios if one.name == name)
