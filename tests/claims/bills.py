"""Bills of the market of calls: a node, a call that was delivered, and its statements as a user's device gets them."""

from __future__ import annotations

import http.client
import json
import time
from decimal import Decimal
from typing import Any

from tests.claims.conftest import Json, Program
from tests.claims.market import Market, calls, fee

# Oak and elm deliver ten minutes for 0.648: 0.10 for the call and 0.22 for each of them, and a fifth of it as tax.
SETUP = 'terms = { elm = { setup = "0.05" } }'


class Bills(Market):
    """The node with what is asked of it about bills."""

    def __init__(self, program: Program, more: str = "", *words: str, profile: str = "", ada: str = "") -> None:
        """``ada`` are more fields of hers, such as her ``profile``."""
        hers = ada + (f'profile = "{profile}", ' if profile else "")
        catalog = calls(more, SETUP).replace("oak = { network", 'oak = { name = "Oak", network')
        super().__init__(program, catalog.replace("ada = { ", "ada = { " + hers), *words)

    def call(self, payer: str = "ada", home: str = "", **more: Any) -> tuple[str, Decimal]:
        """A call of ten minutes that was planned and delivered, through a home provider: its session and its fee."""
        plan = self.plan("10", payer, key=self.key_of(home, "provider") if home else "", **more)
        session = self.deliver(plan)
        assert Decimal(session["charged"]) == fee(plan)
        return session["id"], fee(plan)

    def issue(self, status: int = 0, **what: str) -> list[Json]:
        """Issue statements; the documents."""
        answer = self.ask("POST", "/v1/statements", what, status=status)
        return [self.ask("GET", f"/v1/statements/{one['id']}") for one in answer.get("data", ())]

    def fetch(self, path: str, *, key: str = "", status: int = 200) -> tuple[bytes, str]:
        """What a device downloads, and of which kind it is."""
        line = http.client.HTTPConnection(self.address, timeout=30)
        line.request("GET", path, headers={"authorization": f"Bearer {key or self.key}"})
        answer = line.getresponse()
        body = answer.read()
        line.close()
        assert answer.status == status, body
        return body, answer.headers["content-type"] or ""

    def apply(self, catalog: str) -> None:
        """Put another catalog into force."""
        line = http.client.HTTPConnection(self.address, timeout=30)
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/toml"}
        line.request("PUT", "/v1/catalog", catalog.encode(), headers)
        answer = line.getresponse()
        assert answer.status == 200, answer.read()
        line.close()

    def until_line(self, kind: str, state: str, seconds: float = 20) -> None:
        """Wait until the books say so; the node looks at what is due once a second."""
        end = time.monotonic() + seconds
        while f'"type":"{kind}"'.encode() not in (books := self.fetch("/v1/export")[0]) or (
            f'"state":"{state}"'.encode() not in books
        ):
            assert time.monotonic() < end, books[-3000:]
            time.sleep(0.1)

    def use(self, minutes: str, start: str, id: str, payer: str = "ada") -> Json:
        """A call that is charged by its record alone, at the service's own price."""
        record = {"source": "switch", "id": id, "service": "plain", "start": start, "payers": [{"payer": payer}]}
        answer = self.ask("POST", "/v1/usage", [{**record, "quantities": {"minutes": minutes}}])
        return answer["records"][0]


# A call at one price for the whole: 0.09 a minute and no tax, of which oak and elm earn 0.02 and 0.05.
PLAIN = """
[services.plain]
retail = "whole"
measures = { minutes = "min" }
parts.near = { provider = "oak", wholesale = { oak = "two" } }
parts.far = { provider = "elm", wholesale = { elm = "five" } }
[tariffs.whole]
currency = "EUR"
components = [{ kind = "unit", name = "talk", measure = "minutes", price = "0.09" }]
"""


def lines(statement: Json) -> dict[str, Decimal]:
    """The lines of a statement with their totals; together they are what it asks for."""
    items = [item for section in statement["sections"] for item in section["items"]]
    assert sum(Decimal(item["total"]) for item in items) == Decimal(statement["total"])
    assert sum(Decimal(item["tax"]) for item in items) == Decimal(statement["tax"])
    return {item["label"]: Decimal(item["total"]) for item in items}


def total(statements: list[Json]) -> Decimal:
    """What statements come to together."""
    return sum((Decimal(one["total"]) for one in statements), Decimal(0))


def in_ledger(statement: Json, fee: Decimal) -> None:
    """Statement + residue out − residue in is what the books charged."""
    said = (Decimal(statement[name]) for name in ("total", "residue_out", "residue_in"))
    out, after, before = said
    assert out + after - before == Decimal(statement["charges"]) == fee


def events(body: bytes) -> list[Json]:
    """The events of a stream."""
    return [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: {")]
