"""X3: Every portion explains itself: evidence, tariff version, rule, arithmetic."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tests.claims.conftest import Book, Books, Program, Write, run_books
from tests.claims.market import Market, calls

# Prices like no other number in the books.
CATALOG = """
unknown_payers = { currency = "EUR", credit = "1000" }
providers = { alpha = {}, beta = {} }
[services.call]
retail = "retail"
measures = { seconds = "s", legs = "leg" }
attributes = ["number"]
personal = ["number"]
parts.line = { provider = "alpha", wholesale = { alpha = "alpha-price" } }
parts.bridge = { provider = "beta", wholesale = { beta = "beta-price" } }
[tariffs.retail]
currency = "EUR"
components = [{ kind = "flat", name = "connection", price = 0.50 },
              { kind = "unit", name = "talk", measure = "seconds", per = 60, price = 0.25 }]
[tariffs.alpha-price]
currency = "EUR"
components = [{ kind = "flat", name = "alpha-setup", price = 0.0137137 },
              { kind = "unit", name = "alpha-time", measure = "seconds", per = 60, price = 0.0771177 }]
[tariffs.beta-price]
currency = "EUR"
components = [{ kind = "unit", name = "beta-legs", measure = "legs", price = 0.0299299 }]
"""
USAGE = """source,id,service,start,payer,seconds,legs,number
switch,c1,call,2026-03-02T10:00:00Z,uma;ben,600,3,4512345678
"""
# 600 s: fee 0.50 + 2.50 = 3.00; alpha 0.0137137 + 0.771177 = 0.7848907; beta 0.0897897; platform 2.1253196.
ALPHA, BETA = "0.7848907", "0.0897897"
OF_ALPHA = ("0137137", "0771177", "771177", "7848907", "alpha-setup", "alpha-time", "alpha-price")
OF_BETA = ("0299299", "0897897", "beta-legs", "beta-price")
MARGIN = ("2.1253196", "1253196", "8746804")  # what is left, and the cost of both


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Books:
    folder = tmp_path_factory.mktemp("calls")
    (folder / "calls.toml").write_text(CATALOG, encoding="utf-8")
    (folder / "calls.csv").write_text(USAGE, encoding="utf-8")
    return run_books(Program(folder), folder / "calls.toml", folder / "calls.csv")


def explain(books: Books, *options: str, id: str = "", code: int = 0) -> Any:
    about = [id or books.charges["c1"]["id"], "--store", books.store, *options]
    return books.program("explain", *about, "--json", code=code)


def facts(shown: Any, title: str) -> dict[str, dict[str, str]]:
    section = next(one for one in shown["sections"] if one["title"] == title)
    return {fact["name"].strip(): fact for fact in section["facts"]}


def test_the_operators_arithmetic_re_adds_to_each_portion(books: Books) -> None:
    shown = explain(books).json()
    earned, price = facts(shown, "Who earns"), facts(shown, "What it costs")
    amount = {name: Fraction(fact["value"].split()[0]) for name, fact in (earned | price).items()}
    assert shown["holds"] is True and amount["connection"] + amount["talk"] == amount["fee"] == 3
    assert amount["alpha-setup"] + amount["alpha-time"] == amount["alpha (line)"] == Fraction(ALPHA)
    assert amount["beta-legs"] == amount["beta (bridge)"] == Fraction(BETA)
    assert amount["alpha (line)"] + amount["beta (bridge)"] + amount["platform"] == amount["fee"]
    # Each line is a quantity times a price: 600 s at 0.0771177 per 60.
    note = earned["alpha-time"]["note"]
    quantity, per = (Fraction(one) for one in re.findall(r"\b(?:600|60)\b", note))
    assert "0.0771177" in note and quantity / per * Fraction("0.0771177") == amount["alpha-time"]
    assert facts(shown, "Evidence")["record"]["value"] == "switch c1"
    terms = facts(shown, "Terms and books")
    assert (terms["catalog"]["value"], terms["tariff"]["value"]) == (books.of("catalog")[0]["id"], "retail")
    assert "alpha-price" in earned["alpha (line)"]["note"]


@pytest.mark.parametrize(("view", "prefix"), [("user", "chg"), ("user=uma", "usg"), ("user=ben", "ent")])
def test_the_user_sees_no_wholesale_figure(books: Books, view: str, prefix: str) -> None:
    name = prefix + books.charges["c1"]["id"][3:]
    said = explain(books, "--view", view, id=name)
    text = books.program("explain", name, "--store", books.store, "--view", view).out
    assert [one for one in (*OF_ALPHA, *OF_BETA, *MARGIN, "4512345678") if one in said.out + said.err + text] == []
    amount = {name: fact["value"] for name, fact in facts(said.json(), "What it costs").items()}
    assert amount == {"connection": "0.50 EUR", "talk": "2.50 EUR", "fee": "3.00 EUR"}
    if view == "user=uma":
        assert "ben" not in text and facts(said.json(), "Who pays")["uma"]["value"] == "1.50 EUR"


@pytest.mark.parametrize(("name", "own", "others"), [("alpha", ALPHA, OF_BETA), ("beta", BETA, OF_ALPHA)])
def test_a_provider_sees_its_own_figures_only(books: Books, name: str, own: str, others: tuple[str, ...]) -> None:
    said = explain(books, "--view", f"provider={name}")
    text = books.program("explain", books.charges["c1"]["id"], "--store", books.store, "--view", f"provider={name}").out
    secrets = (*others, *MARGIN, "3.00", "1.50", "0.25", "uma", "ben", "4512345678")
    assert [one for one in secrets if one in said.out + text] == []
    assert f"{own} EUR" in [fact["value"] for fact in facts(said.json(), "What it earns").values()]


def test_a_view_opens_nothing_else(books: Books) -> None:
    charge = books.charges["c1"]["id"]
    tries = [("user=mallory", charge), ("user", f"{charge}/line"), ("provider=beta", f"{charge}/line")]
    for view, id in [*tries, ("user", books.charges["c1"]["platform_account"])]:
        refused = explain(books, "--view", view, id=id, code=1)
        assert refused.out == "" and not any(one in refused.err for one in (*OF_ALPHA, *OF_BETA, *MARGIN))


def test_the_fee_of_a_month_explains_itself_too(book: Book, write: Write) -> None:
    fee = 'components = [{ kind = "flat", name = "month", price = 7.00, scope = "period" },'
    catalog = write("calls.toml", CATALOG.replace("components = [", fee, 1))
    books = book(catalog, write("calls.csv", USAGE), close=True)
    (added,) = [charge["id"] for charge in books.of("charge") if "origin" in charge]
    price = facts(explain(books, id=added).json(), "What it costs")
    assert price.pop("fee")["value"] == "7.00 EUR"
    assert sum(Decimal(fact["value"].split()[0]) for fact in price.values()) == 7, price


def test_why_this_provider_is_stored_with_every_candidate_and_each_view_shows_its_own(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Ten minutes of oak and elm; ash is dearer for both parts, elm has too little left for the near one."""
    small = '{ service = "call", part = "near", provider = "elm", tariff = "three", capacity = { minutes = "5" } }'
    node = Market(Program(tmp_path_factory.mktemp("why")), calls(f"[offers]\nsmall = {small}\n"))
    plan = node.plan("10")
    told = {(c["part"], c["provider"]): c for c in plan["candidates"]}
    assert {who: Decimal(c["cost"]) for who, c in told.items()} == {
        ("near", "oak"): Decimal("0.2"), ("near", "elm"): Decimal("0.3"), ("near", "ash"): Decimal("0.5"),
        ("far", "oak"): Decimal("0.5"), ("far", "elm"): Decimal("0.2"), ("far", "ash"): Decimal("0.3"),
    }  # fmt: skip
    assert {who for who, c in told.items() if c.get("taken")} == {("near", "oak"), ("far", "elm")}
    assert told["far", "ash"]["why"] == "It costs payers 0.132 EUR more for this part than the cheapest."
    assert told["near", "elm"]["why"] == "It has 5 minutes free, 10 are needed."

    explained = f"/v1/plans/{plan['id']}/explanation"
    operator = str(node.ask("GET", explained))
    assert all(c["provider"] in operator and c.get("why", "") in operator for c in told.values())
    assert "0.54 + 0.108 = 0.648" in operator and "the platform keeps 0.14" in operator

    # the user sees the fee that was offered and the reason, and no cost, margin or offer
    key = node.key_of("ada")
    shown = node.ask("GET", f"/v1/plans/{plan['id']}", key=key)
    assert {(c["part"], c["provider"]): Decimal(c["fee"]) for c in shown["candidates"]} == {
        who: Decimal(c["cost"]) * Decimal("1.32") for who, c in told.items()
    }
    views = (*shown["candidates"], *shown["scenarios"], *shown["scenarios"][0]["parts"])
    assert not any(view.get(hidden) for view in views for hidden in ("cost", "margin", "offer"))
    users = str(node.ask("GET", explained, key=key))
    assert "earns" not in users and "platform keeps" not in users and "It costs payers 0.132 EUR more" in users
    # a provider sees its own part and its own reason, without what others ask
    elm = node.ask("GET", f"/v1/plans/{plan['id']}", key=node.key_of("elm", "provider"))
    assert {c["provider"] for c in elm["candidates"]} == {"elm"} and "0.132" not in str(elm)
    assert [part["cost"] for part in elm["scenarios"][0]["parts"]] == [told["far", "elm"]["cost"]]

    node.deliver(plan)
    books = node.stop()
    # the books hold the digest of the candidates, not the candidates; the charge names the plan
    [line] = [line for line in books.of("plan") if line["state"] == "accepted"]
    assert len(line["digest"]) == 32 and "small" not in str(books.of("plan"))
    assert {charge["tariff"] for charge in books.of("charge")} == {f"{plan['id']}.0.retail"}
