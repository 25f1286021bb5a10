"""C15: All of it in one program: a device's request at its home provider, negotiated there with providers of other
networks, delivered, charged, on one bill from the home provider, paid by card; and every provider has its money.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal

import pytest

from tests.claims.chain import Chain, Node, fee_of
from tests.claims.conftest import Json, Program

# A film of 100 minutes and 2 GB: users pay 0.10 for it, and for its parts what providers earn and a tenth more; a fifth
# of all of it is tax.
CATALOG = """
name = "films"
networks = { west = {}, east = {}, south = {} }
profiles = { business = { billing = { language = "en" } } }
payers = { ada = { currency = "EUR", credit = "100", profile = "business" } }
[tariffs]
own = { currency = "EUR", tax = "vat", taxes = { vat = "20" }, components = [
    { kind = "flat", name = "film", price = "0.10" }] }
list = { currency = "EUR", components = [{ kind = "unit", name = "show", measure = "minutes", price = "0.5" }] }
line = { currency = "EUR", components = [{ kind = "unit", name = "data", measure = "gb", price = "5" }] }
[services.film]
retail = "own"
measures = { minutes = "min", gb = "GB" }
market = { retail = "passed-on", markup = "10", deadline = 2000 }
session = { slice = { minutes = "30", gb = "0.6" } }
[services.film.parts]
carry = { wholesale = { ash = "line" } }
show = { wholesale = { oak = "list", elm = "list" } }
[providers]
ash = { network = "south"#ash }
oak = { network = "west"#oak }
elm = { network = "east"#elm }
"""
#: provider → its part, what it measures, what one of it costs it, how it bargains
CREW = {
    "ash": ("carry", "gb", "1", "fixed"), "oak": ("show", "minutes", "0.10", "linear"),
    "elm": ("show", "minutes", "0.12", "conceder"),
}  # fmt: skip
#: what they report, step by step
USED = {"minutes": ("30", "60", "90", "100"), "gb": ("0.6", "1.2", "1.8", "2")}
#: and what ada owes then: (0.10 + (1.50 × 0.6 + 0.12 × 30) × 1.1) × 1.2, and so on
DUE = (Decimal("6.06"), Decimal(12), Decimal("17.94"), Decimal("19.92"))


@pytest.fixture
def chain(apportion: Program) -> Iterator[tuple[Chain, dict[str, Node]]]:
    """The platform, and the nodes of three providers; ``ash`` is at home for ada's device."""
    names = CATALOG
    for name in CREW:
        names = names.replace(f"#{name}", "")
    with ExitStack() as ends:
        platform = Chain(apportion, names)
        ends.callback(platform.process.kill)
        ends.callback(platform.processor.stop)
        keys = {name: platform.ask("POST", "/v1/keys", {"role": "provider", "party": name})["secret"] for name in CREW}
        nodes = {}
        for name in CREW:
            there = f"http://{platform.address}" if name == "ash" else ""
            nodes[name] = Node(apportion, name, CREW[name], there, keys[name])
            ends.callback(nodes[name].stop)
        known = CATALOG
        for name, node in nodes.items():
            known = known.replace(f"#{name}", f', address = "http://{node.up().address}", key = "{node.public}"')
        platform.apply(known)
        yield platform, nodes


def negotiated(home: Node, limit: Decimal) -> Json:
    """What the device agrees to for a film: its limit stays in its own memory, and it never agrees above it."""
    request = {"service": "film", "payers": [{"payer": "ada"}]}
    request |= {"quantities": {"minutes": "100", "gb": "2"}}
    refused = home.ask("POST", "/negotiations", {"request": request, "mandate": {"limit": "17"}}, status=422)
    assert refused["field"] == "mandate", "no provider may know it, not even the home"
    stranger = {**request, "payers": [{"payer": "ben"}]}
    assert home.ask("POST", "/negotiations", {"request": stranger}, status=422)["field"] == "request.payers[0]"
    home.ask("POST", "/negotiations", {"request": request}, status=401, token="another device")
    shown = home.ask("POST", "/negotiations", {"request": request}, status=201)
    first = {one["provider"]: Decimal(one["total"]) for one in shown["offers"]}
    # 1.50 for a GB, 0.15 or 0.18 for a minute: (0.10 + 18 × 1.1) × 1.2, (0.10 + 21 × 1.1) × 1.2
    assert first == {"ash": Decimal("23.88"), "oak": Decimal("23.88"), "elm": Decimal("27.84")}
    assert {one["provider"] for one in shown["offers"] if one.get("price")} == {"ash"}, "only what it earns itself"
    for amount in (9, 10, 11):
        shown = home.ask("POST", f"/negotiations/{shown['id']}/counter", {"amount": str(amount), "part": "show"})
    assert home.ask("GET", f"/negotiations/{shown['id']}")["offers"] == shown["offers"]
    best = min((one for one in shown["offers"] if one["part"] == "show"), key=lambda one: Decimal(one["total"]))
    assert (best["provider"], Decimal(best["total"])) == ("oak", Decimal("19.92"))
    assert Decimal(best["total"]) <= limit
    taken = {"offers": [{"provider": "oak", "part": "show"}]}
    return home.ask("POST", f"/negotiations/{shown['id']}/accept", taken, status=201)


def test_from_a_request_at_home_to_the_paid_bill_and_the_payout(chain: tuple[Chain, dict[str, Node]]) -> None:
    platform, nodes = chain
    home, fee = nodes["ash"], DUE[-1]

    # the request is negotiated, and becomes a plan: 1.50 a GB for ash, 0.12 a minute for oak
    agreed = negotiated(home, Decimal(20))
    plan = agreed["plan"]
    assert (agreed["state"], agreed["home"], plan["id"]) == ("agreed", "ash", agreed["agreed"])
    scenario = next(one for one in plan["scenarios"] if one["name"] == plan["preferred"])
    assert {one["part"]: (one["provider"], one["network"]) for one in scenario["parts"]} == {
        "carry": ("ash", "south"), "show": ("oak", "west"),
    }  # fmt: skip
    assert Decimal(scenario["total"]) == fee

    # the plan opens a session; those who deliver meter it, and it is charged while it runs
    nodes["oak"].ask("POST", f"/requests/{plan['id']}/accept", {}, status=404)  # that node is at home for nobody
    session = home.ask("POST", f"/requests/{plan['id']}/accept", {"scenario": scenario["name"]}, status=201)["id"]
    path = f"/v1/sessions/{session}"
    for number in range(4):
        for name in ("ash", "oak"):
            part, measure, *_ = CREW[name]
            report = {"part": part, "number": number + 1, "used": {measure: USED[measure][number]}}
            report |= {"final": True} if number == 3 else {}
            answer = platform.ask("POST", f"{path}/reports", {"reports": [report]}, key=nodes[name].key)
            assert answer["reports"] == [{"state": "charged"}] and "charged" not in answer["session"]
        assert -platform.balance("ada") == DUE[number]
    assert platform.session(session)["state"] == "closed" and platform.balance("ada") == -fee
    assert (platform.balance("ash"), platform.balance("oak")) == (3, 12)

    # one bill from the home provider, everybody's charges on it; the device reads it there
    platform.ask("POST", "/v1/statements", {"session": session})
    bill = home.ask("GET", "/statements/S-000001")
    assert (bill["provider"], bill["issuer"], bill["name"], bill["due"]) == ("ash", "ash", "ada", "19.92")
    assert {took["provider"] for took in bill["sections"][0]["providers"]} == {"ash", "oak"}
    items = [item for section in bill["sections"] for item in section["items"]]
    assert sum(Decimal(item["total"]) for item in items) == Decimal(bill["total"]) == fee
    page, kind = home.fetch("GET", f"/statements/{bill['id']}?format=html")
    assert kind.startswith("text/html") and "19.92" in page

    # paid by card once, and paid out; portions, platform and tax are what the user paid
    platform.card("ada")
    assert platform.pay_by_card(bill) == fee and platform.balance("ada") == 0
    assert platform.pay_out() == {"ash": Decimal("3.00"), "oak": Decimal("12.00")}
    platform.banked()
    books = platform.stop()
    assert fee_of(books) == (fee, {"ash": Decimal(3), "oak": Decimal(12)}, Decimal("1.6"), Decimal("3.32"))
    assert set(books.balances("provider").values()) == {0}
    assert books.balances("platform")["fees"] == Decimal("1.6")
    assert books.balances("tax") == {"vat@20": Decimal("3.32")}
    assert set(books.balances("transit").values()) == {0} == set(books.balances("clearing").values())
    # 19.92 came from the card less 0.25 for the processor, 15.00 went out
    assert sum(books.balances("cash").values()) == -(fee - Decimal("0.25") - 15)
    assert [one["home"] for one in books.of("plan")][-1] == "ash"
