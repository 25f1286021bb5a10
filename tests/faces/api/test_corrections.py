"""Corrections over HTTP and on the command line: a fee of three providers goes back, and every portion to the atom.

Whatever rule they shared it by, in whatever odd pieces it goes back: what each earned, tax and what a sponsor added are
exactly zero at the end, in the books as they are exported.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.books_hold import Json, Ledger, check_books, check_document
from tests.faces.api.nodes import Answer, NodeProcess
from tests.faces.driving import process

RULES = ("wholesale", "cost", "shares", "quantity")
PARTS = {"near": "oak", "relay": "elm", "far": "ash"}
PRICES = {"near": "0.0213", "relay": "0.0071", "far": "0.0335"}
ATOM = "0.000000001"


def catalog() -> Json:
    """Calls of three parts at 0.0991 a minute and two sorts of tax, once for each rule and once below cost."""
    tariffs: Json = {
        part: {"id": part, "currency": "EUR", "components": [unit(part, price, part)]} for part, price in PRICES.items()
    }
    taxed = {"tax": "vat", "taxes": {"vat": "19", "city": "1.5"}}
    tariffs["fee"] = {
        "id": "fee", "currency": "EUR", **taxed,
        "components": [
            unit("talk", "0.0991", "minutes"), {"kind": "flat", "name": "city", "price": "0.03", "tax": "city"},
        ],
    }  # fmt: skip
    tariffs["cheap"] = {"id": "cheap", "currency": "EUR", **taxed, "components": [unit("talk", "0.01", "minutes")]}
    services = {rule: service(rule, rule, "fee") for rule in RULES}
    services["below"] = service("below", "wholesale", "cheap") | {"guard": False, "sponsor": "marketing"}
    payers = {name: {"id": name, "currency": "EUR", "credit": "1000"} for name in ("ada", "ben")}
    providers = {name: {"id": name} for name in PARTS.values()}
    return {"providers": providers, "payers": payers, "services": services, "tariffs": tariffs}


def unit(name: str, price: str, measure: str) -> Json:
    return {"kind": "unit", "name": name, "measure": measure, "price": price}


def service(id: str, rule: str, retail: str) -> Json:
    """A service whose parts count minutes of their own; under ``shares`` they get 3, 5 and 7, the platform 2."""
    found: Json = {"id": id, "retail": retail, "apportion": rule, "allocate": "shares"}
    found["measures"] = dict.fromkeys(("minutes", *PARTS), "min")
    if rule != "wholesale":
        found["platform"] = "2" if rule == "shares" else "0.1"
    shares = dict(zip(PARTS, ("3", "5", "7"), strict=True))
    found["parts"] = {
        part: {"provider": who}
        | ({"share": shares[part]} if rule == "shares" else {})
        | ({"measure": part} if rule == "quantity" else {})
        | ({"wholesale": {who: part}} if rule in ("wholesale", "cost") else {})
        for part, who in PARTS.items()
    }
    return found


class Calls:
    """The node with calls that were charged, and what is corrected of them."""

    def __init__(self, folder: Path) -> None:
        self.node = NodeProcess(folder / "books.db")
        put = self.node.ask("PUT", "/v1/catalog", catalog())
        assert put.status == 200, put.body
        self.accounts = {one["owner"]: one["id"] for one in self.get("/v1/accounts?limit=200")["data"]}

    def get(self, path: str) -> Any:
        said = self.node.ask("GET", path)
        assert said.status == 200, said.body
        return said.json

    def call(self, service: str, id: str) -> str:
        """A call of 33.337 minutes that two pay, two to one; its charge."""
        record = {
            "source": "switch", "id": f"{service} {id}", "service": service, "start": "2026-10-05T10:00:00Z",
            "payers": [{"payer": "ada", "weight": "2"}, {"payer": "ben", "weight": "1"}],
            "quantities": {"minutes": "33.337", "near": "33.337", "relay": "31.1", "far": "29.003"},
        }  # fmt: skip
        (said,) = self.node.ask("POST", "/v1/usage", [record]).json["records"]
        assert said["state"] == "charged", said
        return str(said["id"])

    def correct(self, charge: str, reference: str, amount: str = "", **more: str) -> Answer:
        given = {"reference": reference, "amount": amount, **more}
        return self.node.ask("POST", f"/v1/charges/{charge}/corrections", given)

    def lines(self) -> list[Json]:
        return [json.loads(line) for line in self.node.ask("GET", "/v1/export").body.splitlines()]

    def left(self, charge: str) -> dict[str, Decimal]:
        """What a charge and all that corrected it moved on each account, together."""
        lines = self.lines()
        names = {
            line["id"] for line in lines if line["type"] == "charge" and charge in (line["id"], line.get("origin"))
        }
        found: dict[str, Decimal] = defaultdict(Decimal)
        for line in lines:
            if line["type"] == "entry" and line["cause"] in names:
                for leg in line["legs"]:
                    found[leg["account"]] += Decimal(leg["amount"])
        return found

    def standing(self, charge: str) -> Json:
        return dict(self.get(f"/v1/charges/{charge}/standing"))


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calls]:
    """All tests share the books; they are checked as a whole in the end."""
    made = Calls(tmp_path_factory.mktemp("corrections"))
    yield made
    check_books(made.lines(), billed=False, settled=False, paid=False)
    assert made.node.stop() == 0
    proof = process("verify", made.node.store, "--heads", f"{made.node.store}.heads")
    assert proof.returncode == 0, proof.stdout


@pytest.mark.parametrize("service", [*RULES, "below"])
def test_given_back_in_odd_pieces_every_portion_ends_at_zero(calls: Calls, service: str) -> None:
    whole, pieces = calls.call(service, "whole"), calls.call(service, "pieces")
    total = Decimal(calls.get(f"/v1/charges/{pieces}")["total"])
    assert len(calls.get(f"/v1/charges/{pieces}")["portions"]) == 3
    back, number = Decimal(0), 0
    for amount in (ATOM, "0.233333333", "0.1", ATOM, ""):
        number += 1
        said = calls.correct(pieces, f"{service} {number}", amount)
        assert said.status == 201, said.body
        back -= Decimal(said.json["total"])
        assert said.json["origin"] == pieces and (not amount or -Decimal(said.json["total"]) == Decimal(amount))
        stands = calls.standing(pieces)
        assert stands["corrections"] == number and Decimal(stands["charge"]["total"]) == total - back
        parts = [stands["charge"]["platform"], *(one["amount"] for one in stands["charge"]["portions"])]
        assert all(Decimal(part) >= 0 for part in parts), "nobody gives back more than it earned"
    assert back == total
    said = calls.correct(whole, f"{service} at once")
    assert said.status == 201 and -Decimal(said.json["total"]) == total
    for charge in (whole, pieces):
        moved = calls.left(charge)
        assert moved and set(moved.values()) == {Decimal(0)}, moved
        stands = calls.standing(charge)["charge"]
        amounts = [one["amount"] for name in ("portions", "shares", "taxes") for one in stands.get(name, ())]
        amounts += [stands["total"], stands["platform"], stands.get("sponsored", "0")]
        assert {Decimal(amount) for amount in amounts} == {Decimal(0)}
        said = calls.correct(charge, f"{charge} too much", ATOM)
        assert (said.status, said.json["code"], said.json["field"]) == (422, "bad_amount", "amount")


def test_a_payer_alone_and_a_provider_alone(calls: Calls) -> None:
    charge = calls.call("wholesale", "alone")
    before = {one["provider"]: Decimal(one["amount"]) for one in calls.get(f"/v1/charges/{charge}")["portions"]}
    said = calls.correct(charge, "ben less", "0.1", payer=calls.accounts["ben"], provider="elm")
    assert said.status == 201, said.body
    assert {one["account"] for one in said.json["shares"]} == {calls.accounts["ben"]}
    assert {one["provider"] for one in said.json["portions"]} == {"elm"}
    now = {one["provider"]: Decimal(one["amount"]) for one in calls.standing(charge)["charge"]["portions"]}
    assert now["oak"] == before["oak"] and now["ash"] == before["ash"]
    assert before["elm"] - now["elm"] == -Decimal(said.json["amount"]) > 0


def test_a_repeated_reference_is_one_answer_and_what_is_refused_books_nothing(calls: Calls) -> None:
    charge = calls.call("shares", "once")
    first = calls.correct(charge, "once", "0.123456789")
    count = len(calls.lines())
    again = calls.correct(charge, "once", "0.123456789")
    assert (first.status, again.status) == (201, 201) and first.json == again.json
    total = Decimal(calls.standing(charge)["charge"]["total"])
    other = calls.call("cost", "other")
    known = len(calls.lines())
    user, provider = calls.node.key("user", "ada"), calls.node.key("provider", "oak")
    path = f"/v1/charges/{charge}/corrections"
    wrong: list[tuple[Answer, int, str]] = [
        (calls.correct(charge, "once", "0.2"), 409, "conflict"),
        (calls.correct(other, "once", "0.123456789"), 409, "conflict"),
        (calls.correct(charge, "more", str(total + Decimal(ATOM))), 422, "bad_amount"),
        (calls.correct(charge, "less", "-1"), 422, "bad_amount"),
        (calls.correct(charge, "zero", "0"), 422, "bad_amount"),
        (calls.correct(charge, "odd", "0.0000000001"), 422, "bad_amount"),
        (calls.correct(charge, "words", "all"), 422, "bad_amount"),
        (calls.correct(charge, "who", "0.1", payer="acct_99999"), 422, "unknown_payer"),
        (calls.correct(charge, "whom", "0.1", provider="nobody"), 422, "unknown_provider"),
        (calls.correct("chg_" + "0" * 32, "no", "0.1"), 404, "not_found"),
        (calls.correct(first.json["id"], "twice", "0.1"), 422, "bad_input"),
        (calls.node.ask("POST", path, {"reference": "a"}, key=user), 403, "forbidden"),
        (calls.node.ask("POST", path, {"reference": "a"}, key=provider), 403, "forbidden"),
    ]
    for said, status, code in wrong:
        assert (said.status, said.json["code"]) == (status, code), said.body
    assert len(calls.lines()) == known and known > count, "nothing was booked"
    calls.node.ask("POST", "/v1/topups", {"payer": "ada", "amount": "1", "currency": "EUR", "reference": "after"})


def test_statement_credit_note_and_advice_show_it(calls: Calls) -> None:
    first, second = calls.call("wholesale", "bill 1"), calls.call("shares", "bill 2")
    made = calls.node.ask("POST", "/v1/statements", {"period": "2026-10"}).json["data"]
    ada = next(one for one in made if one["account"] == calls.accounts["ada"])
    given = calls.correct(first, "bill", "1.001").json
    shown = {one["account"]: Decimal(one["amount"]) for one in given["shares"]}
    note = calls.node.ask("POST", f"/v1/statements/{ada['number']}/credit-notes", {"charges": [given["id"]]})
    assert note.status == 201, note.body
    check_document(note.json)
    assert (note.json["corrects"], Decimal(note.json["charges"])) == (ada["number"], shown[calls.accounts["ada"]])
    # what is given back and is on no note is on the payer's and the providers' next documents
    later = calls.correct(second, "later", "0.7").json
    ben = calls.accounts["ben"]
    (preview,) = calls.get(f"/v1/accounts/{ben}/preview")["data"]
    check_document(preview)
    both = sum(Decimal(one["amount"]) for made in (given, later) for one in made["shares"] if one["account"] == ben)
    assert Decimal(preview["charges"]) == both < 0 and "refund" in json.dumps(preview).lower()
    line = calls.node.ask("POST", "/v1/settlements", {}).json["settlements"][0]
    for one in line["positions"]:
        advice = calls.get(f"/v1/statements/{one['advice']}")
        check_document(advice)
        portions = [p for made in (given, later) for p in made["portions"] if p["provider"] == one["provider"]]
        assert sum(Decimal(p["amount"]) for p in portions) < 0
        assert Decimal(advice["closing"]) == Ledger(calls.lines()).posted(advice["account"])


def test_the_command_line_gives_back_too(calls: Calls) -> None:
    charge = calls.call("quantity", "command")
    words = ("correct", charge, "0.5", "--reference", "phone", "--store", calls.node.url, "--json")
    done = [process(*words, env={"APPORTION_KEY": calls.node.first_key}) for _ in range(2)]
    assert [one.returncode for one in done] == [0, 0] and done[0].stdout == done[1].stdout, done[0].stderr
    assert Decimal(json.loads(done[0].stdout)["total"]) == Decimal("-0.5")
