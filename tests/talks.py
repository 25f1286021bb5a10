"""A market of calls whose providers bargain through nodes of their own, for tests of negotiation."""

from __future__ import annotations

from typing import Any

CALLS = """
[tariffs.own]
currency = "EUR"
taxes = { vat = "20" }
tax = "vat"
components = [{ kind = "flat", name = "connection", price = "0.10" }]
[tariffs.list]
currency = "EUR"
components = [{ kind = "unit", name = "talk", measure = "minutes", price = "1" }]

[services.call]
retail = "own"
measures = { minutes = "min" }
attributes = ["title", "called"]
personal = ["called"]
session = { slice = { minutes = "5" } }
[services.call.market]
retail = "passed-on"
markup = "10"
deadline = 1000

[payers.ada]
currency = "EUR"
opening = "50"
[payers.ben]
currency = "EUR"
opening = "50"
"""


def market(nodes: dict[str, dict[str, str]], parts: tuple[str, ...] = ("near",), more: str = "") -> str:
    """The catalog text: for every part a list price of 1 EUR a minute by ``telco``, and these nodes."""
    text = CALLS + "[providers.telco]\n"
    for part in parts:
        text += f'[services.call.parts.{part}.wholesale]\ntelco = "list"\n'
    for name, node in nodes.items():
        text += f'[providers.{name}]\naddress = "{node["address"]}"\nkey = "{node["key"]}"\n'
    return text + more


def bargainer(provider: str, price: str, **more: Any) -> dict[str, Any]:
    """A node whose minutes cost ``price``: it asks half as much again, and keeps ten percent."""
    return {"provider": provider, "price": price, **more}
