"""X4: Margin guard: never sell below what the providers cost, unless told to."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from tests.claims.conftest import ATOM, EXAMPLES, Book, Program, Write, rows
from tests.claims.market import Market, calls, crew, fee, one

# The user pays 1.00 for each; the host asks 0.80 or, the dear one, 1.30.
CATALOG = """
unknown_payers = { currency = "EUR", credit = "100" }
providers = { gate = {}, cheap = {}, dear = {} }
[services.answer]
retail = "retail"
measures = { n = "answer" }
parts.gate = { provider = "gate", wholesale = { gate = "gate" } }
parts.host = { wholesale = { cheap = "cheap", dear = "dear" } }
[tariffs]
retail = { currency = "EUR", components = [{ kind = "unit", name = "answer", measure = "n", price = 1.00 }] }
gate = { currency = "EUR", components = [{ kind = "flat", name = "request", price = 0.05 }] }
cheap = { currency = "EUR", components = [{ kind = "unit", name = "answer", measure = "n", price = 0.80 }] }
dear = { currency = "EUR", components = [{ kind = "unit", name = "answer", measure = "n", price = 1.30 }] }
"""
USAGE = """source,id,service,start,payer,n,provider.host
gw,good,answer,2026-03-02T10:00:00Z,ada,2,cheap
gw,loss,answer,2026-03-02T10:01:00Z,ada,2,dear
"""


@pytest.mark.parametrize("sponsor", ["", "spring-offer"])
def test_below_cost_the_providers_get_all_and_a_sponsor_is_named(book: Book, write: Write, sponsor: str) -> None:
    terms = f'retail = "retail"\nsponsor = "{sponsor}"' if sponsor else 'retail = "retail"'
    books = book(write("gate.toml", CATALOG.replace('retail = "retail"', terms, 1)), write("gate.csv", USAGE))
    # good: fee 2.00, cost 0.05 + 1.60. loss: fee 2.00, cost 0.05 + 2.60 = 2.65, 0.65 too much.
    assert books.summary["charged"] == 2 and books.summary["alerts"] == 1
    assert books.portions("loss") == {"gate": Decimal("0.05"), "dear": Decimal("2.60")}
    (name,) = books.balances("sponsor")
    assert name == (sponsor or name)
    assert dict(books.legs("loss")) == {
        "ada": Decimal(-2), name: Decimal("-0.65"), "gate": Decimal("0.05"), "dear": Decimal("2.60")
    }  # fmt: skip
    assert dict(books.legs("good"))["fees"] == Decimal("0.35")
    assert books.balances("platform") == {"fees": Decimal("0.35")}  # the loss does not eat other margins unseen
    assert books.balances("sponsor") == {name: Decimal("-0.65")}
    charge = books.charges["loss"]
    assert books.owners[charge["sponsor"]] == name and Decimal(charge["sponsored"]) == Decimal("0.65")
    assert "sponsored" not in books.charges["good"]


def test_the_alert_is_told_to_a_person_and_the_user_only_that_there_is_a_sponsor(
    apportion: Program, book: Book, write: Write
) -> None:
    catalog, usage = write("gate.toml", CATALOG), write("gate.csv", USAGE)
    assert re.search("1 charges? (was|were) less", apportion("run", catalog, usage, "--store", "told.db").out)
    books = book(catalog, usage)
    charge = books.charges["loss"]["id"]
    assert "0.65" in apportion("explain", charge, "--store", books.store).out
    seen = apportion("explain", charge, "--view", "user", "--store", books.store).out
    assert "sponsored" in seen and not any(figure in seen for figure in ("0.65", "2.65", "2.60", "1.30"))


def test_told_to_it_sells_below_cost_without_an_alert(book: Book, write: Write) -> None:
    told = CATALOG.replace('retail = "retail"', 'retail = "retail"\nguard = false\nsponsor = "launch"', 1)
    books = book(write("gate.toml", told), write("gate.csv", USAGE))
    assert books.summary["charged"] == 2 and books.summary["alerts"] == 0
    assert books.portions("loss") == {"gate": Decimal("0.05"), "dear": Decimal("2.60")}
    assert books.balances("sponsor") == {"launch": Decimal("-0.65")}


def test_answers_sold_below_cost_in_an_hour_of_a_model_gateway(book: Book, sample: Callable[..., Path]) -> None:
    """Crusoe asks 0.80 for a million tokens each way, users pay 0.35 and 0.75: most that it answers is below cost."""
    usage = sample("model-gateway/usage.csv", keep=lambda line: line.endswith((",crusoe\n", ",deepinfra\n")))
    books = book(EXAMPLES / "model-gateway/catalog.toml", usage, close=True)
    losses, gap = 0, Fraction(0)
    for request in rows(usage):
        if request["id"] not in books.charges:
            continue
        tokens = int(request["input"]), int(request["output"])
        prices = ("0.8", "0.8") if request["provider.host"] == "crusoe" else ("0.037", "0.17")
        fee, cost = (
            sum(n * Fraction(price) for n, price in zip(tokens, each, strict=True)) / 10**6
            for each in (("0.35", "0.75"), prices)
        )
        short = cost + Fraction("0.00001") - fee
        portions = {one["provider"]: Fraction(one["exact"]) for one in books.charges[request["id"]]["portions"]}
        assert portions == {"gateway": Fraction("0.00001"), request["provider.host"]: cost}
        sponsored = Fraction(books.charges[request["id"]].get("sponsored", "0"))
        assert abs(sponsored - max(short, Fraction(0))) <= Fraction(ATOM)
        losses, gap = losses + (sponsored > 0), gap + max(short, Fraction(0))
    assert losses > 10 and books.summary["alerts"] == losses
    assert abs(gap + sum(map(Fraction, books.balances("sponsor").values()))) < losses * Fraction(ATOM)


# Users pay 0.10 a call, whoever delivers; oak and elm cost 0.04 a minute together.
FIXED = """
[services.{name}]
retail = "own"
measures = {{ minutes = "min" }}
{more}
parts.near = {{ wholesale = {{ oak = "two", elm = "three", ash = "five" }} }}
parts.far = {{ wholesale = {{ oak = "five", elm = "two", ash = "three" }} }}
"""


def test_no_plan_is_below_cost_unless_the_operator_lets_it(apportion: Program) -> None:
    catalog = calls(
        FIXED.format(name="fixed", more="")
        + FIXED.format(name="margin", more='market = { margin = "0.05" }')
        + FIXED.format(name="let", more='guard = false\nsponsor = "launch"')
    )
    node = Market(apportion, catalog)
    good = node.plan("2", service="fixed")
    assert crew(good) == {"near": "oak", "far": "elm"} and fee(good) == Decimal("0.12")
    assert Decimal(one(good)["margin"]) == Decimal("0.02")  # 0.10 without tax, of which they cost 0.08
    refused = node.plan("10", service="fixed", status=409)
    assert refused["code"] == "no_plan"
    assert "the widest margin that keeps the others is -0.30 EUR" in refused["detail"]
    assert node.plan("10", service="fixed", relax=["margin"], status=409)["code"] == "no_plan"  # the guard stays
    # a margin that the operator asks for is kept too: 0.05 with one minute, not with two
    assert Decimal(one(node.plan("1", service="margin"))["margin"]) == Decimal("0.06")
    assert node.plan("2", service="margin", status=409)["code"] == "no_plan"
    given_up = {"service": "margin", "relax": ["margin"]}
    assert node.plan("2", key=node.key_of("ada"), status=422, **given_up)["field"] == "relax"  # it is not hers
    assert Decimal(one(node.plan("2", **given_up))["margin"]) == Decimal("0.02")  # the operator may, down to cost

    told = node.plan("10", service="let")
    assert Decimal(one(told)["margin"]) == Decimal("-0.30")
    for plan in (good, told):
        assert Decimal(node.deliver(plan)["charged"]) == Decimal("0.12")
    books = node.stop()
    assert books.balances("provider") == {"oak": Decimal("0.24"), "elm": Decimal("0.24")}
    assert books.balances("sponsor") == {"launch": Decimal("-0.30")}
    assert books.balances("platform") == {"fees": Decimal("0.02")}
