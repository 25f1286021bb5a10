"""S1: Identify every provider that takes part in serving a user; debit one fee from the user's account; apportion the
fee to those providers; credit each provider's account with its portion."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from tests.claims.conftest import EXAMPLES, Book, Books, Example, Program, Write, run_books
from tests.claims.serving import Served

CATALOG = EXAMPLES / "quickstart/catalog.toml"
USAGE = EXAMPLES / "quickstart/usage.csv"

# A parcel: whoever collects it, whoever carries it, whoever hands it over. The usage names the carrier only.
PARCEL = """
unknown_payers = { currency = "EUR", credit = "100" }
providers = { pick = {}, road = {}, rail = {}, hand = {} }
[services.parcel]
retail = "post"
measures = { kg = "kg", km = "km" }
parts.collect = { provider = "pick", wholesale = { pick = "each" } }
parts.carry = { wholesale = { road = "by-road", rail = "by-rail" } }
parts.deliver = { provider = "hand", wholesale = { hand = "by-weight" } }
[tariffs]
post = { currency = "EUR", components = [{ kind = "unit", name = "weight", measure = "kg", price = 4 }] }
each = { currency = "EUR", components = [{ kind = "flat", name = "stop", price = 1.10 }] }
by-road = { currency = "EUR", components = [{ kind = "unit", name = "way", measure = "km", price = 0.02 }] }
by-rail = { currency = "EUR", components = [{ kind = "unit", name = "way", measure = "km", price = 0.013 }] }
by-weight = { currency = "EUR", components = [{ kind = "unit", name = "weight", measure = "kg", price = 0.75 }] }
"""
PARCELS = """source,id,service,start,payer,kg,km,provider.carry
depot,p1,parcel,2026-03-02T08:00:00Z,ada,3,200,road
depot,p2,parcel,2026-03-02T09:00:00Z,ada,3,200,rail
"""


def test_one_debit_pays_every_provider_of_the_ride(example: Example) -> None:
    books = example("quickstart/usage.csv")
    # 6.4 km and 18 minutes: 3 + 6.4 × 1.20 + 18 × 0.30 = 16.08; driver 18 × 0.45 = 8.10, car 6.4 × 0.70 = 4.48.
    legs = dict(books.legs("1"))
    assert legs == {
        "ada": Decimal("-16.08"), "dora": Decimal("8.10"), "otto": Decimal("4.48"), "fees": Decimal("3.50")
    }  # fmt: skip
    assert [one for one, amount in books.legs("1") if amount < 0] == ["ada"]
    assert books.balances("provider") == {"dora": Decimal("49.95"), "otto": Decimal("31.92")}
    assert books.balances("platform") == {"fees": Decimal("24.15")}
    assert sum(books.balances("payer").values()) == Decimal("-106.02")


def test_providers_are_identified_from_the_usage_and_from_the_catalog(book: Book, write: Write) -> None:
    books = book(write("parcel.toml", PARCEL), write("parcels.csv", PARCELS))
    # Both cost 3 × 4 = 12. Collect 1.10, deliver 3 × 0.75 = 2.25; carry 200 × 0.02 = 4 by road, 2.60 by rail.
    assert books.portions("p1") == {"pick": Decimal("1.10"), "road": Decimal("4"), "hand": Decimal("2.25")}
    assert books.portions("p2") == {"pick": Decimal("1.10"), "rail": Decimal("2.60"), "hand": Decimal("2.25")}
    took_part = {
        line["id"]: {part["part"]: part["provider"] for part in line["parts"]} for line in books.of("usage")
    }  # fmt: skip
    for record, carrier in (("p1", "road"), ("p2", "rail")):
        assert took_part[record]["carry"] == carrier
        legs = books.legs(record)
        assert [leg for leg in legs if leg[1] < 0] == [("ada", Decimal("-12"))]
        assert {name: amount for name, amount in legs if name != "fees" and amount > 0} == books.portions(record)
    assert books.balances("provider") == {
        "pick": Decimal("2.20"), "road": Decimal("4"), "rail": Decimal("2.60"), "hand": Decimal("4.50")
    }  # fmt: skip
    assert books.balances("platform") == {"fees": Decimal("24") - Decimal("13.30")}


def test_the_same_delivery_is_never_debited_twice(book: Book) -> None:
    first = book(CATALOG, USAGE).accounts
    again = book(CATALOG, USAGE)
    assert again.summary["duplicate"] == 6 and again.summary["charged"] == 0
    assert again.accounts == first
    assert len(again.of("entry")) == 6


def test_a_provider_nobody_knows_gets_no_money(book: Book, write: Write) -> None:
    strange = PARCELS.replace("road", "pirate")
    books = book(write("parcel.toml", PARCEL), write("parcels.csv", strange))
    assert books.summary["rejected"] == 1 and books.summary["charged"] == 1
    assert "pirate" not in books.owners.values()
    assert books.balances("payer") == {"ada": Decimal("-12")}


def test_names_of_any_script_are_debited_and_proven(book: Book, write: Write) -> None:
    who, record = 'Зоя "O\\Neill" 李', 'n\u00ba "1"\\é{}%s,n:1'
    use = {"source": 'büro "x"\\', "id": record, "service": "parcel", "start": "2026-03-02T08:00:00Z"}
    use |= {"payers": [{"payer": who}], "quantities": {"kg": "3", "km": "200"}}
    use |= {"parts": [{"part": "carry", "provider": "rail"}]}
    books = book(write("parcel.toml", PARCEL), write("names.jsonl", json.dumps(use)))
    assert dict(books.legs(record))[who] == Decimal(-12)
    assert books.portions(record) == {"pick": Decimal("1.10"), "rail": Decimal("2.60"), "hand": Decimal("2.25")}
    books.program("verify", "--store", books.store)


IBAN = {"dora": "GB82WEST12345698765432", "otto": "CH9300762011623852957", "platform": "DE89370400440532013000"}


def test_what_was_credited_is_paid_out_to_each_provider(book: Book) -> None:
    books = book(CATALOG, USAGE)
    place, program = ("--store", books.store), books.program
    line = program("settle", *place, "--json").json()["settlements"][0]
    # dora earned 49.95 and otto 31.92, as the rides say; each portion is in this settlement
    assert {one["provider"]: one["payable"] for one in line["positions"]} == {"dora": "49.95", "otto": "31.92"}
    assert not program("settle", *place, "--json").json()["made"]
    for name, iban in IBAN.items():
        program("payee", name, "--holder", f"{name} Ltd", "--iban", iban, *place)
    out = program.folder / "payout.xml"
    paid = program("payout", "SET-000001", "--format", "pain001", "--out", out, *place, "--json").json()
    assert {one["creditor"]: one["amount"] for one in paid["payouts"]} == {"dora": "49.95", "otto": "31.92"}
    instructed = re.findall(r'<InstdAmt Ccy="EUR">([0-9.]+)</InstdAmt>.*?<IBAN>(\w+)</IBAN>', out.read_text())
    assert sorted(instructed) == [("31.92", IBAN["otto"]), ("49.95", IBAN["dora"])]
    for one in paid["payouts"]:
        assert program("payout", one["id"], "--confirm", *place, "--json").json()["state"] == "succeeded"
    after = Books(program, books.store)
    assert after.balances("provider") == {"dora": 0, "otto": 0}
    assert after.balances("clearing") == {"payouts": 0}
    assert after.balances("cash") == {"outside": Decimal("81.87")}
    after.add_up()
    program("verify", books.store, "--heads", f"{books.store}.heads")
    assert not any(iban in json.dumps(after.lines) for iban in IBAN.values())  # where money is kept is in no line


@pytest.mark.parametrize(
    ("usage", "mode"),
    [
        ("telephone/usage-telecom.csv", "net"),
        ("electricity/usage.csv", "multilateral"),
        ("model-gateway/usage.csv", "gross"),
        ("video-on-demand/usage.csv", "net"),
    ],
)
def test_a_month_of_each_domain_is_paid_to_the_cent(
    apportion: Program, sample: Callable[..., Path], usage: str, mode: str
) -> None:
    books = run_books(apportion, (EXAMPLES / usage).parent / "catalog.toml", sample(usage, 2000), close=True)
    earned = books.balances("provider")
    node = Served(apportion, "")
    settled = node.ask("POST", "/v1/settlements", {"mode": mode})["settlements"]
    payable = {one["provider"]: Decimal(one["payable"]) for line in settled for one in line["positions"]}
    assert payable.keys() == earned.keys()
    for provider, amount in earned.items():
        assert abs(payable[provider] - amount) <= Decimal("0.005"), provider
        node.ask("PUT", f"/v1/payees/{provider}", {"name": provider, "iban": IBAN["dora"]})
    paid = [one for line in settled for one in node.ask("POST", f"/v1/settlements/{line['id']}/payout", {})["payouts"]]
    assert sum(Decimal(one["amount"]) for one in paid) == sum(payable.values())
    for one in paid:
        assert node.ask("POST", f"/v1/payouts/{one['id']}/confirm", {})["state"] == "succeeded"
    assert not node.ask("POST", "/v1/settlements", {"mode": mode})["made"]
    after = node.stop()
    left = after.balances("provider")
    assert all(left[name] == earned[name] - payable[name] for name in earned)  # what rounding carries on
    assert set(after.balances("clearing").values()) == {0}
