"""Settling over real HTTP: who may ask for what, what each sees, and payouts by a processor that loses answers."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

import apportion
from apportion.errors import RefusalCode, Refused
from apportion.model.payee import Payee
from tests.faces.api.nodes import NodeProcess, catalog, proven, ride
from tests.faces.api.processor import PATIENT, Processor, until
from tests.faces.driving import Cli
from tests.settling import IBAN

RIDES = 3  # 3 × 1.7371 = 5.2113 for dora, 3 × 0.31415 = 0.94245 for otto


class Market:
    """A node that sold three rides."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.store = folder / "books.db"
        self.node = NodeProcess(self.store, *words)
        self.key = self.node.first_key
        assert self.node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog())).status == 200
        self.keys = {"dora": self.node.key("provider", "dora"), "ada": self.node.key("user", "ada"),
                     "auditor": self.node.key("auditor")}  # fmt: skip
        self.sell(RIDES)

    def sell(self, count: int, first: int = 0) -> None:
        answer = self.node.ask("POST", "/v1/usage", [ride(first + number) for number in range(count)])
        assert all("refusal" not in one or one["refusal"] is None for one in answer.json["records"]), answer.json

    def ask(self, who: str, method: str, path: str, body: Any = None, **more: str) -> Any:
        answer = self.node.ask(method, path, body, self.keys.get(who, ""), **more)
        return answer.status, answer.json

    def settle(self, mode: str = "net") -> Any:
        status, found = self.ask("operator", "POST", "/v1/settlements", {"mode": mode})
        assert status == 200, found
        return found

    def client(self, who: str = "operator") -> apportion.Client:
        return apportion.Client(self.node.url, key=self.keys.get(who, self.key))

    def pay(self, settlement: str, **body: Any) -> Any:
        return self.ask("operator", "POST", f"/v1/settlements/{settlement}/payout", body)

    def posted(self, role: str) -> dict[str, Decimal]:
        found = self.node.ask("GET", f"/v1/accounts?limit=200&role={role}").json["data"]
        return {one["owner"]: Decimal(one["posted"]) for one in found}


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    made = Market(tmp_path)
    yield made
    assert made.node.stop() == 0
    proven(made.store).close()


def test_it_is_settled_paid_and_confirmed_and_clearing_is_empty(market: Market) -> None:
    found = market.settle()
    line = found["settlements"][0]
    assert found["made"] and line["payable"] == "6.15" and line["after"] == 0
    pays = {(one["debtor"], one["creditor"]): one["amount"] for one in line["payments"]}
    assert pays == {("platform", "dora"): "5.21", ("platform", "otto"): "0.94"}
    again = market.settle("multilateral")
    assert not again["made"] and again["settlements"] == found["settlements"]
    status, waits = market.pay(line["id"])
    assert status == 201 and waits["payouts"] == [] and len(waits["waiting"]) == 2
    for name in ("dora", "otto", "platform"):
        body = {"name": f"{name} Ltd", "iban": IBAN[name]}
        assert market.ask("operator", "PUT", f"/v1/payees/{name}", body)[0] == 200
    status, paid = market.pay(line["number"])
    assert status == 201 and sorted(one["amount"] for one in paid["payouts"]) == ["0.94", "5.21"]
    assert market.posted("clearing") == {"payouts": Decimal("6.15")}
    pages = [market.ask("operator", "GET", "/v1/payouts?state=created&limit=1")[1]]
    pages.append(market.ask("operator", "GET", f"/v1/payouts?state=created&limit=1&after={pages[0]['next']}")[1])
    explained = [one for page in pages for one in page["data"]]
    assert sum(Decimal(one["amount"]) for one in explained) == Decimal("6.15") and pages[1]["next"] == ""
    assert [one["creditor"] for one in market.ask("dora", "GET", "/v1/payouts")[1]["data"]] == ["dora"]
    status, file = market.ask("operator", "GET", f"/v1/settlements/{line['id']}/payment-file?format=pain001")
    assert status == 200 and "<CtrlSum>6.15</CtrlSum>" in file["content"]
    for one in paid["payouts"]:
        status, ended = market.ask("operator", "POST", f"/v1/payouts/{one['id']}/confirm", {"reference": "bank 7"})
        assert (status, ended["state"], ended["reference"]) == (200, "succeeded", "bank 7")
    assert market.posted("clearing") == {"payouts": 0}
    assert market.posted("provider") == {"dora": Decimal("0.0013"), "otto": Decimal("0.00245")}
    kinds = {event["type"] for event in events(market)}
    assert {"settlement.closed", "payout.created", "payout.succeeded", "remittance.issued"} <= kinds


def events(market: Market) -> list[dict[str, Any]]:
    import http.client
    import json

    line = http.client.HTTPConnection(*market.node.address, timeout=10)
    line.request("GET", "/v1/events/stream?after=start", headers={"authorization": f"Bearer {market.key}"})
    answer, found = line.getresponse(), []
    while len(found) < 500:
        text = answer.readline().decode()
        if text.startswith("data:"):
            found.append(json.loads(text[5:]))
            if found[-1]["type"] == "payout.succeeded" and sum(e["type"] == "payout.succeeded" for e in found) == 2:
                break
    line.close()
    return found


def test_each_sees_its_own(market: Market) -> None:
    line = market.settle()["settlements"][0]
    status, mine = market.ask("dora", "GET", f"/v1/settlements/{line['id']}")
    assert status == 200 and mine["payable"] == "5.21" and mine["providers"] == 1
    assert [one["provider"] for one in mine["positions"]] == ["dora"]
    assert [one["creditor"] for one in mine["payments"]] == ["dora"]
    status, listed = market.ask("dora", "GET", "/v1/settlements")
    assert [one["payable"] for one in listed["data"]] == ["5.21"]
    assert market.ask("auditor", "GET", "/v1/settlements")[1]["data"][0]["payable"] == "6.15"
    assert market.ask("dora", "PUT", "/v1/payees/dora", {"name": "Dora", "iban": IBAN["dora"]})[0] == 200
    for who, method, path, body, expected in (
        ("ada", "GET", "/v1/settlements", None, 403),
        ("dora", "POST", "/v1/settlements", {}, 403),
        ("dora", "PUT", "/v1/payees/otto", {"name": "Dora", "iban": IBAN["dora"]}, 404),
        ("dora", "GET", "/v1/payees/otto", None, 404),
        ("auditor", "GET", "/v1/payees/dora", None, 403),
        ("dora", "GET", f"/v1/settlements/{line['id']}/payment-file", None, 403),
    ):
        assert market.ask(who, method, path, body)[0] == expected, (who, method, path)
    made = market.pay(line["id"])[1]["payouts"]
    assert [one["creditor"] for one in made] == ["dora"]
    assert market.ask("dora", "GET", f"/v1/payouts/{made[0]['id']}")[1]["amount"] == "5.21"
    market.keys["otto"] = market.node.key("provider", "otto")
    assert market.ask("otto", "GET", f"/v1/payouts/{made[0]['id']}")[0] == 404


def test_what_is_wrong_is_refused_and_books_nothing(market: Market) -> None:
    line = market.settle()["settlements"][0]
    market.ask("operator", "PUT", "/v1/payees/dora", {"name": "Dora", "iban": IBAN["dora"]})
    before = market.node.ask("GET", "/v1/accounts?limit=200").json
    dora = {"debtor": "platform", "creditor": "dora"}
    for body, status, code in (
        ({"payments": [{**dora, "amount": "5.22"}]}, 422, "bad_amount"),
        ({"payments": [{**dora, "amount": "0"}]}, 422, "bad_amount"),
        ({"payments": [{**dora, "amount": "x"}]}, 422, "bad_amount"),
        ({"payments": [dora, dora]}, 422, "bad_input"),
        ({"payments": [{"debtor": "platform", "creditor": "otto"}]}, 422, "bad_input"),
        ({"payments": [{"debtor": "otto", "creditor": "dora"}]}, 404, "not_found"),
        ({"by": "pigeon"}, 422, "bad_input"),
    ):
        found = market.pay(line["id"], **body)
        assert (found[0], found[1]["code"]) == (status, code), body
    for method, path, given, status in (
        ("POST", "/v1/settlements/stl_00/payout", {}, 404),
        ("GET", "/v1/settlements/SET-000009", None, 404),
        ("GET", f"/v1/settlements/{line['id']}/payment-file", None, 404),
        ("POST", "/v1/payouts/pyo_00/confirm", {}, 404),
        ("POST", "/v1/settlements", {"mode": "barter"}, 422),
        ("PUT", "/v1/payees/dora", {"name": "Dora", "iban": "DE89370400440532013001"}, 422),
        ("PUT", "/v1/payees/nobody", {"name": "N", "iban": IBAN["dora"]}, 422),
    ):
        assert market.ask("operator", method, path, given)[0] == status, path
    assert market.node.ask("GET", "/v1/accounts?limit=200").json == before


def test_a_repeated_request_has_one_effect(market: Market) -> None:
    first = market.node.ask("POST", "/v1/settlements", {}, idempotency_key="s")
    market.sell(1, 50)
    again = market.node.ask("POST", "/v1/settlements", {}, idempotency_key="s")
    assert again.body == first.body and again.headers["idempotency-replayed"] == "true"
    id = first.json["settlements"][0]["id"]
    market.ask("operator", "PUT", "/v1/payees/dora", {"name": "Dora", "iban": IBAN["dora"]})
    answers = [market.node.ask("POST", f"/v1/settlements/{id}/payout", {}, idempotency_key="p") for _ in range(2)]
    assert answers[0].body == answers[1].body and len(answers[0].json["payouts"]) == 1
    payout = answers[0].json["payouts"][0]["id"]
    ended = [market.node.ask("POST", f"/v1/payouts/{payout}/fail", {}, idempotency_key="f") for _ in range(2)]
    assert ended[0].body == ended[1].body and ended[0].json["state"] == "failed"
    assert market.node.ask("POST", f"/v1/payouts/{payout}/confirm", {}).status == 409


def test_the_client_nets_a_cycle(market: Market) -> None:
    from apportion.engine.settling.door import ObligationInput, PayoutInput

    with market.client() as client:
        for debtor, creditor, amount in (("dora", "otto", "4.00"), ("otto", "dora", "3.00")):
            made = client.settling.oblige(ObligationInput(debtor, creditor, amount, "EUR", f"{debtor} {creditor}"))
            assert (made.debtor, made.creditor, made.amount) == (debtor, creditor, f"{amount}0000000")
        done = client.settling.settle("multilateral")
        pays = {(one.debtor, one.creditor): one.amount for one in done.settlements[0].payments}
        assert pays == {("platform", "dora"): "4.21", ("platform", "otto"): "1.94"}
        assert [one.number for one in client.settling.all()] == ["SET-000001"]
        client.settling.put_payee("dora", Payee("Dora", IBAN["dora"]))
        assert client.settling.payee("dora").iban == IBAN["dora"]
        paid = client.settling.pay_out("SET-000001", PayoutInput())
        assert client.settling.fail(paid.payouts[0].id, "no such account").reason == "no such account"
        assert client.settling.payout(paid.payouts[0].id).state == "failed"
        with pytest.raises(Refused) as refused:
            client.settling.confirm(paid.payouts[0].id)
        assert refused.value.refusal.code is RefusalCode.CONFLICT
        still = {one.creditor: one.open for one in client.settling.one("SET-000001").payments}
        assert still == {"dora": "4.21", "otto": "1.94"}


def test_the_commands_reach_a_node(market: Market, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPORTION_KEY", market.key)
    place = ("--store", market.node.url)
    said = cli("settle", "--mode", "gross", *place)
    assert said.code == 0 and "platform pays dora 5.21 EUR" in said.out, said
    for name in ("dora", "otto", "platform"):
        assert cli("payee", name, "--holder", name, "--iban", IBAN[name], *place).code == 0
    out = tmp_path / "payout.xml"
    said = cli("payout", "SET-000001", "--format", "pain001", "--out", str(out), *place)
    assert said.code == 0 and "Wrote 2 payouts" in said.out and IBAN["otto"] in out.read_text()
    first = out.read_bytes()
    assert cli("payout", "SET-000001", "--format", "pain001", "--out", str(out), *place).code == 0
    assert out.read_bytes() == first
    listed = cli("payouts", "--state", "created", *place)
    assert listed.code == 0 and listed.out.count("platform") == 2
    assert cli("payouts", "--state", "failed", *place, "--json").json == []


def test_transfers_are_made_once_though_answers_are_lost(tmp_path: Path) -> None:
    processor = Processor("--pending", "1", "--unknown", "2")
    market = Market(tmp_path, "--payouts", processor.url, *PATIENT)
    for name, token in (("dora", "tok_timeout_after_charge"), ("otto", "tok_declined")):
        assert market.ask("operator", "PUT", f"/v1/payees/{name}", {"destination": token})[0] == 200
    line = market.settle()["settlements"][0]
    paid = market.pay(line["id"], by="transfer")[1]["payouts"]
    ids = {one["creditor"]: one["id"] for one in paid}

    def state(name: str) -> str:
        return str(market.ask("operator", "GET", f"/v1/payouts/{ids[name]}")[1]["state"])

    until(lambda: state("dora") == "succeeded" and state("otto") == "failed")
    made = processor.charges("/transfers")
    assert {id: one["taken"] for id, one in made.items()} == {ids["dora"]: 1, ids["otto"]: 0}
    assert made[ids["dora"]]["amount"] == "5.21"
    assert market.posted("provider") == {"dora": Decimal("0.0013"), "otto": Decimal("0.94245")}
    assert market.posted("clearing") == {"payouts": 0}
    assert market.ask("operator", "POST", f"/v1/payouts/{ids['dora']}/fail", {})[0] == 409
    processor.stop()
    assert market.node.stop() == 0
    proven(market.store).close()
