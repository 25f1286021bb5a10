"""C2: Trust-based credit from the user's payment, usage and credit history."""

from __future__ import annotations

import tomllib
from decimal import Decimal

from tests.claims.conftest import Json, Program
from tests.claims.serving import Served

MONTHS = [f"2026-0{month}" for month in range(1, 9)]
CATALOG = """
providers = { dora = {} }
dunning = { due_days = 14 }
payers.ada = { currency = "EUR", credit = 0, trust = true }
payers.ben = { currency = "USD", credit = 0, trust = true }
payers.cleo = { currency = "EUR", credit = 0 }
[[trust]]
currency = "EUR"
cap = 5000
starting = 400
share = 0.5
minimum_months = 3
[[trust]]
currency = "USD"
cap = 500000
starting = 40000
share = 0.5
minimum_months = 3
[services.ride]
retail = "fare"
measures = { km = "km" }
session = { slice = { km = 20 }, validity = 60, offer = 60 }
parts.car = { provider = "dora", wholesale = { dora = "car" } }
[services.trip]
retail = "price"
measures = { km = "km" }
parts.car = { provider = "dora", wholesale = { dora = "cost" } }
[tariffs]
fare = { currency = "EUR", components = [{ kind = "unit", name = "way", measure = "km", price = 2 }] }
car = { currency = "EUR", components = [{ kind = "unit", name = "way", measure = "km", price = 1 }] }
price = { currency = "USD", components = [{ kind = "unit", name = "way", measure = "km", price = 200 }] }
cost = { currency = "USD", components = [{ kind = "unit", name = "way", measure = "km", price = 100 }] }
"""
DUE_AT_ONCE = CATALOG.replace("due_days = 14", "due_days = 0")


def charge(node: Served, payer: str, km: int, month: str, service: str = "ride") -> Json:
    """Use in the middle of a month."""
    record = {
        "source": "meter", "id": f"{payer} {month} {km}", "service": service, "start": f"{month}-10T08:00:00Z",
        "payers": [{"payer": payer}], "quantities": {"km": str(km)},
    }  # fmt: skip
    return node.ask("POST", "/v1/usage", [record])["records"][0]


def trust(node: Served, owner: str) -> Json:
    """What the books say of somebody's credit."""
    accounts = node.ask("GET", f"/v1/accounts?owner={owner}")["data"]
    return node.ask("GET", f"/v1/accounts/{accounts[0]['id']}/trust")


def live(node: Served, payer: str, currency: str, months: list[str], *, pays: bool = True) -> Decimal:
    """Use and pay month by month; the credit line after it. Ada pays 200 EUR, Ben a hundred times that in dollars."""
    for month in months:
        assert charge(node, payer, 100, month, "ride" if currency == "EUR" else "trip")["state"] == "charged"
        node.ask("POST", "/v1/statements", {"period": month, "who": payer})
        if pays:
            node.top_up(payer, "200" if currency == "EUR" else "20000", currency)
    return Decimal(trust(node, payer)["credit"])


def test_six_billed_months_earn_a_line_that_paying_raises_and_missing_lowers(apportion: Program) -> None:
    node = Served(apportion, CATALOG)
    assert Decimal(trust(node, "ada")["credit"]) == 400  # nobody knows her yet: the policy's start
    six = live(node, "ada", "EUR", MONTHS[:6])
    found = trust(node, "ada")
    score = Decimal(found["decision"]["score"])
    assert six == (1200 * score / 2).quantize(Decimal("1.000000000"), "ROUND_FLOOR") > 400
    seven = live(node, "ada", "EUR", MONTHS[6:7])
    assert seven > six
    node.program.folder.joinpath("later.toml").write_text(DUE_AT_ONCE)
    assert charge(node, "ada", 100, MONTHS[7])["state"] == "charged"
    node.stop()
    apportion("catalog", "apply", "later.toml", "--store", "books.db")
    apportion("statement", "ada", "--period", MONTHS[7], "--store", "books.db")
    shown = apportion("trust", "show", "ada", "--store", "books.db", "--json").json()
    lowered = Decimal(shown["credit"])
    assert lowered < seven and Decimal(shown["decision"]["limit"]) == lowered
    assert any("overdue now: lowers the score" in word for word in shown["words"])
    apportion("topup", "ada", "200", "EUR", "--store", "books.db")
    paid = Decimal(apportion("trust", "show", "ada", "--store", "books.db", "--json").json()["credit"])
    assert lowered < paid
    apportion("verify", "books.db", "--heads", "books.db.heads")


def test_another_currency_and_a_hundred_times_as_much_give_the_same_score(apportion: Program) -> None:
    node = Served(apportion, CATALOG)
    euros, dollars = live(node, "ada", "EUR", MONTHS[:4]), live(node, "ben", "USD", MONTHS[:4])
    one, other = (trust(node, name)["decision"] for name in ("ada", "ben"))
    assert one["score"] == other["score"] and one["factors"] == other["factors"]
    assert euros * 100 == dollars.quantize(Decimal("1.0000000")) or abs(euros * 100 - dollars) < Decimal("0.0000001")
    node.stop()


def test_who_does_not_opt_in_has_a_fixed_line_and_nobody_sees_anothers(apportion: Program) -> None:
    node = Served(apportion, CATALOG)
    fixed = trust(node, "cleo")
    assert Decimal(fixed["credit"]) == 0 and "decision" not in fixed
    keys = {
        role: node.ask("POST", "/v1/keys", {"role": role, "party": party})["secret"]
        for role, party in (("user", "ada"), ("provider", "dora"), ("auditor", ""))
    }
    ada, cleo = (node.ask("GET", f"/v1/accounts?owner={name}")["data"][0]["id"] for name in ("ada", "cleo"))
    assert node.ask("GET", f"/v1/accounts/{ada}/trust", key=keys["user"])["decision"]["limit"] == "400.000000000"
    node.ask("GET", f"/v1/accounts/{cleo}/trust", key=keys["user"], status=404)
    node.ask("GET", f"/v1/accounts/{ada}/trust", key=keys["provider"], status=403)
    assert node.ask("GET", f"/v1/accounts/{ada}/trust", key=keys["auditor"])["credit"] == "400.000000000"
    for key in keys.values():
        node.ask("POST", f"/v1/accounts/{ada}/credit", {}, key=key, status=403)
        node.ask("POST", f"/v1/accounts/{ada}/write-off", {}, key=key, status=403)
    made = node.ask("POST", f"/v1/accounts/{ada}/credit", {})
    assert made["credit"] == made["decision"]["limit"] == "400.000000000" and made["id"].startswith("trd_")
    node.ask("POST", f"/v1/accounts/{cleo}/credit", {}, status=409)
    node.ask("POST", "/v1/accounts/acct_99999/credit", {}, status=404)
    books = node.stop()
    assert "'ada'" not in str(books.of("trust")) + str(books.of("trail"))  # quoted: a hash may spell it by chance


def test_all_that_a_user_does_at_once_shares_the_one_line(apportion: Program) -> None:
    node = Served(apportion, CATALOG)
    held = [
        node.ask("POST", "/v1/holds", {
            "payer": "ada", "amount": "150", "currency": "EUR", "owner": f"session {i}",
            "expires": "2099-01-01T00:00:00Z",
        }, status=status)
        for i, status in enumerate((201, 201, 402))
    ]  # fmt: skip
    assert [one.get("amount") for one in held] == ["150.000000000", "150.000000000", None]
    assert charge(node, "ada", 60, "2026-10")["state"] == "pending"
    assert charge(node, "ada", 50, "2026-10")["state"] == "charged"
    assert node.balance("ada", "available") == 0
    node.stop()


def test_a_lowered_line_ends_a_session_but_what_was_held_is_still_charged(apportion: Program) -> None:
    """A session runs on credit alone and the line goes while it runs: what was held is paid, no more is given."""
    node = Served(apportion, CATALOG)
    session = node.open("ride", "ada")
    session = node.report(session["id"], 1, {"km": "20"})
    assert node.balance("ada") == -40 and node.balance("ada", "held") == 40
    node.ask("PUT", "/v1/catalog", tomllib.loads(CATALOG.replace("starting = 400\n", "starting = 0\n")))
    assert (node.balance("ada", "credit"), node.balance("ada", "held")) == (0, 40)
    session = node.report(session["id"], 2, {"km": "40"})
    assert (session["state"], session["reason"]) == ("suspended", "no_value")
    assert (node.balance("ada"), node.balance("ada", "held"), node.balance("dora")) == (-80, 0, 40)
    node.ask("PUT", "/v1/catalog", tomllib.loads(CATALOG))
    session = node.until(session["id"], lambda one: one["state"] == "active")
    node.end(session["id"])
    assert node.balance("ada", "held") == 0
    node.stop()
