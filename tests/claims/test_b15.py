"""B15: All of it in one program: it receives a device's request, finds the scenario of segments and paths, bills what
was delivered by it, is paid by card, and pays every provider and network.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.claims.chain import Chain, fee_of
from tests.claims.conftest import Json, Program
from tests.claims.test_b01 import CATALOG, MEGA, carried

TARIFF = """
[tariffs.{}]
currency = "EUR"
components = [{{ kind = "unit", name = "talk", measure = "minutes", price = 0.0{} }}]
"""
# A gigabyte costs users 2 EUR and a fifth of that as tax, whatever way it takes. Calls pass on what their parts cost.
PLATFORM = (
    'name = "paths"\n'
    + CATALOG.replace("ada = { currency", 'ada = { credit = "100", currency')
    .replace(
        'currency = "EUR", components = [{ kind = "unit", name = "data", measure = "gb", price = 2 }]',
        'currency = "EUR", tax = "vat", taxes = { vat = 20 }, components = ['
        '{ kind = "unit", name = "data", measure = "gb", price = 2 }]',
    )
    .replace('market = { retail = "passed-on", markup = 10 }\n', "market = {}\n")
    + """
[services.call]
retail = "own"
measures = { minutes = "min" }
parts.near = { wholesale = { north = "two", west = "three" } }
parts.far = { wholesale = { west = "five", orbit = "four" } }
market = { retail = "passed-on", markup = 10 }
[tariffs.own]
currency = "EUR"
tax = "vat"
taxes = { vat = 20 }
components = [{ kind = "flat", name = "connection", price = 0.10 }]
"""
    + "".join(TARIFF.format(name, price) for name, price in (("two", 2), ("three", 3), ("four", 4), ("five", 5)))
)


@pytest.fixture
def chain(apportion: Program) -> Iterator[Chain]:
    made = Chain(apportion, PLATFORM)
    yield made
    made.processor.stop()
    made.process.kill()


def transferred(chain: Chain) -> dict[str, Decimal]:
    """A gigabyte within 50 seconds, over paths that are found again when one is lost; bytes by provider, in GB."""
    asked = {
        "amount": 1000 * MEGA, "service": "transfer", "part": "carry", "measure": "gb", "unit": 10**9,
        "deadline": "50", "assemblage": {"size": MEGA},
    }  # fmt: skip
    plan = chain.ask("POST", "/v1/segmentations", asked)
    assert carried(plan) == {"fibre": 499 * MEGA, "mobile": 501 * MEGA}
    start = {path["id"]: path["stretches"][0]["offset"] for path in plan["paths"]}
    reports = [
        {"id": "fibre", "done": [{"offset": start["fibre"], "length": 199 * MEGA}]},
        {"id": "mobile", "done": [{"offset": start["mobile"], "length": 300 * MEGA}], "gone": True},
    ]
    again = chain.ask("POST", "/v1/segmentations/again", {"plan": plan, "elapsed": "20", "reports": reports})
    assert carried(again) == {"fibre": 499 * MEGA, "mobile": 300 * MEGA, "sky": 201 * MEGA}
    return {one["provider"]: Decimal(carried(again)[one["id"]]) / 10**9 for one in again["paths"]}


def called(chain: Chain, device: str) -> Json:
    """A call of ten minutes; who delivers its far part is lost after four. The session."""
    request = {"service": "call", "payers": [{"payer": "ada"}], "quantities": {"minutes": "10"}}
    plan = chain.ask("POST", "/v1/plans", request, key=device, status=201)
    best = next(one for one in plan["scenarios"] if one["name"] == "lowest-cost")
    assert {one["part"]: one["provider"] for one in best["parts"]} == {"near": "north", "far": "orbit"}
    assert Decimal(best["total"]) == Decimal("0.912")  # (0.10 + 10 × (0.02 + 0.04) × 1.1) × 1.2
    accepted = chain.ask("POST", f"/v1/plans/{plan['id']}/accept", {"scenario": "lowest-cost"}, key=device)
    chain.report(accepted["id"], 1, {"minutes": "4"})
    over = chain.ask("POST", f"/v1/sessions/{accepted['id']}/replacement", {"lost": ["orbit"]})
    assert {one["provider"] for one in over["parts"] if one.get("provider") and not one.get("ended")} == {
        "north",
        "west",
    }
    chain.report(accepted["id"], 2, {"minutes": "10"})
    return chain.ask("POST", f"/v1/sessions/{accepted['id']}/end", {}, key=device)


def test_one_program_from_the_request_to_the_bill_and_the_payout(chain: Chain) -> None:
    device = str(chain.ask("POST", "/v1/keys", {"role": "user", "party": "ada"})["secret"])

    # it finds the scenarios, and charges what was delivered by them
    took = transferred(chain)
    record = {
        "source": "device", "id": "1", "service": "transfer", "start": "2026-10-20T10:00:00Z",
        "payers": [{"payer": "ada"}], "quantities": {"gb": "1"},
        "parts": [{"part": "carry", "provider": name, "quantities": {"gb": str(gb)}} for name, gb in took.items()],
    }  # fmt: skip
    assert chain.ask("POST", "/v1/usage", [record])["records"][0]["state"] == "charged"
    # (0.10 + (10 × 0.02 + 4 × 0.04 + 6 × 0.05) × 1.1) × 1.2
    session = called(chain, device)
    assert Decimal(session["charged"]) == Decimal("0.9912")
    fee = Decimal("2.4") + Decimal("0.9912")
    assert chain.balance("ada") == -fee
    # 0.10 a GB; 0.50 and 0.02; 1 and 0.10; and what they earned by the call
    earned = {"north": Decimal("0.2499"), "west": Decimal("0.47"), "orbit": Decimal("0.461")}

    # it bills them, the month and the call; the user's own device reads and pays with the card that is kept
    chain.card("ada")
    bills, charges = [], []
    for what in ({"who": "ada", "period": "2026-10"}, {"session": session["id"]}):
        (made,) = chain.ask("POST", "/v1/statements", what)["data"]
        bill = chain.ask("GET", f"/v1/statements/{made['id']}", key=device)
        charges += [
            (one["provider"], section["service"]) for section in bill["sections"] for one in section["providers"]
        ]
        assert bill["issuer"] == "paths" and chain.pay_by_card(bill, device) == Decimal(bill["due"])
        bills.append((bill["total"], bill["due"], bill["residue_out"]))
    assert bills == [("2.40", "2.40", "0.000000000"), ("0.99", "0.99", "0.001200000")]
    assert set(charges) == {(name, "transfer") for name in earned} | {(name, "call") for name in earned}
    assert chain.balance("ada") == Decimal("3.39") - fee

    # every provider has its money, to the cent; the rest of a cent is on its account
    got = chain.pay_out("multilateral")
    assert got == {"north": Decimal("0.25"), "west": Decimal("0.47"), "orbit": Decimal("0.46")}
    chain.banked()
    books = chain.stop()
    # 2 − 0.5209, and 0.10 and a tenth of 0.66
    assert fee_of(books) == (fee, earned, Decimal("1.6451"), Decimal("0.5652"))
    assert {name: left for name, left in books.balances("provider").items() if left} == {
        name: amount - got[name] for name, amount in earned.items() if amount != got[name]
    }
    assert set(books.balances("transit").values()) == {0} == set(books.balances("clearing").values())
    assert sum(books.balances("cash").values()) == -(Decimal("3.39") - 2 * Decimal("0.25") - sum(got.values()))
