"""S2: The apportionment follows changes in the service while it runs."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.conftest import Program
from tests.claims.serving import Served

CALLS = """
providers = { telco = {}, bridge = {}, other = {} }
payers = { ada = { currency = "EUR" }, ben = { currency = "EUR" } }
[services.call]
retail = "talk"
measures = { seconds = "s" }
attributes = ["quality"]
session = { slice = { seconds = 600 }, validity = 300 }
parts.access = { provider = "telco", wholesale = { telco = "line" } }
parts.bridge = { provider = "bridge", wholesale = { bridge = "mixing", other = "cheap" } }
[tariffs.talk]
currency = "EUR"
deck = { by = "quality", rows = [{ key = "sd", price = 0.01 }, { key = "hd", price = 0.03 }] }
components = [{ kind = "unit", name = "talk", measure = "seconds" }]
[tariffs]
line = { currency = "EUR", components = [{ kind = "unit", name = "line", measure = "seconds", price = 0.001 }] }
mixing = { currency = "EUR", components = [{ kind = "unit", name = "mix", measure = "seconds", price = 0.004 }] }
cheap = { currency = "EUR", components = [{ kind = "unit", name = "mix", measure = "seconds", price = 0.002 }] }
"""


def test_provider_quality_and_payers_change_while_the_call_runs(apportion: Program) -> None:
    node = Served(apportion, CALLS)
    for name in ("ada", "ben"):
        node.top_up(name, "100")
    id = node.open("call", "ada", attributes={"quality": "sd"})["id"]
    node.report(id, 1, {"seconds": "100"})
    node.change(id, providers={"bridge": "other"})
    node.report(id, 2, {"seconds": "250"})
    node.change(id, attributes={"quality": "hd"})
    node.report(id, 3, {"seconds": "350"})
    node.change(id, join=[{"payer": "ben"}])
    node.report(id, 4, {"seconds": "450"})
    node.change(id, leave=["ada"])
    node.report(id, 5, {"seconds": "500"})
    node.end(id)
    books = node.stop()
    # ada: 250 s at 0.01, 100 s at 0.03, half of 100 s at 0.03; ben the other half and 50 s at 0.03
    assert books.balances("payer") == {"ada": Decimal("93"), "ben": Decimal("97")}
    assert books.balances("provider") == {
        "telco": Decimal("0.5"), "bridge": Decimal("0.4"), "other": Decimal("0.8"),
    }  # fmt: skip
    charges = books.of("charge")
    assert len(charges) == 5 and sum(Decimal(charge["total"]) for charge in charges) == 10
    for charge in charges:
        assert all(Decimal(portion["amount"]) >= 0 for portion in charge["portions"])
    assert books.balances("platform") == {"fees": Decimal("8.3")}
