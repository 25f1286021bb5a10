"""Disputes over real HTTP: who may open what, what each sees of it, that it is decided once, and bad input."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import apportion
from apportion.engine.disputes.door import DisputeInput
from apportion.errors import RefusalCode, Refused
from tests.faces.api.nodes import CANARIES, MARGIN, NodeProcess, proven
from tests.faces.api.test_settling import Market


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    made = Market(tmp_path)
    node: NodeProcess = made.node
    made.keys |= {"otto": node.key("provider", "otto"), "ben": node.key("user", "ben")}
    yield made
    assert node.stop() == 0
    proven(made.store).close()


def charge_of(market: Market) -> str:
    charges = market.ask("operator", "GET", "/v1/charges")[1]["data"]
    id: str = charges[0]["id"]
    return id


def test_a_case_from_its_opening_to_its_end(market: Market) -> None:
    charge, before = charge_of(market), market.posted("provider")
    body = {"charge": charge, "reference": "t-1", "amount": "3.5", "reason": "the ride was cut short"}
    status, made = market.ask("ada", "POST", "/v1/disputes", body)
    assert status == 201 and (made["amount"], made["currency"], made["charge"]) == ("3.500000000", "EUR", charge)
    assert market.ask("ada", "POST", "/v1/disputes", body) == (201, made)
    assert market.posted("clearing") == {"disputes": Decimal("3.5")}
    path = f"/v1/disputes/{made['id']}"
    given = {"text": '{"km": "0.4"}', "title": "the meter"}
    status, piece = market.ask("otto", "POST", f"{path}/evidence", given, Idempotency_Key="k1")
    assert status == 201 and piece["place"] == 2 and len(piece["digest"]) == 64
    assert market.ask("otto", "POST", f"{path}/evidence", given, Idempotency_Key="k1") == (201, piece)
    seen = {who: market.ask(who, "GET", path)[1] for who in ("operator", "auditor", "ada", "otto", "dora")}
    assert [one.get("title", "") for one in seen["ada"]["evidence"]] == ["", "the meter"]
    assert seen["ada"]["books"]["charge"]["view"] == "user" and "held" not in seen["ada"]
    assert seen["otto"]["books"]["charge"]["view"] == "provider" and "amount" not in seen["otto"]
    assert seen["otto"]["held"][0]["amount"] == "0.157075000"  # half of what it earned, as half of the fee is disputed
    assert {one["owner"] for one in seen["operator"]["held"]} == {"dora", "otto", "fees"}
    for who, secrets in {
        "ada": [*CANARIES.values(), MARGIN, "0.157"],
        "otto": [CANARIES["dora"], MARGIN, "3.5"],
    }.items():
        assert not [secret for secret in secrets if secret in str(seen[who])], who
    assert market.ask("ben", "GET", path)[0] == 404 and market.ask("ben", "GET", "/v1/disputes")[1]["data"] == []
    assert [one["id"] for one in market.ask("dora", "GET", "/v1/disputes?state=open")[1]["data"]] == [made["id"]]
    assert market.ask("ada", "POST", f"{path}/decision", {"granted": "1"})[0] == 403
    status, ended = market.ask("operator", "POST", f"{path}/decision", {"granted": "1.75"}, Idempotency_Key="k2")
    assert status == 200 and (ended["state"], ended["granted"]) == ("decided", "1.750000000")
    assert market.ask("operator", "POST", f"{path}/decision", {"granted": "1.75"}) == (200, ended)
    assert market.ask("operator", "POST", f"{path}/decision", {"granted": "1.75"}, Idempotency_Key="k2") == (200, ended)
    assert market.ask("operator", "POST", f"{path}/decision", {})[0] == 409
    assert market.posted("clearing") == {"disputes": 0}
    gone = {name: before[name] - posted for name, posted in market.posted("provider").items()}
    assert gone == {"dora": Decimal("0.434275"), "otto": Decimal("0.0785375")}  # a quarter of each
    told = market.ask("ada", "GET", f"/v1/charges/{ended['made']}")[1]
    assert told["origin"] == charge and told["total"] == "-1.750000000"


def test_a_provider_claims_a_part_and_gives_it_up(market: Market) -> None:
    charge = charge_of(market)
    otto, operator = market.client("otto"), market.client()
    given = DisputeInput(charge, "claim-1", "0.5", against="dora")
    case = otto.disputes.open(given)
    assert otto.disputes.one(case.id).part == "car" and otto.disputes.open(given) == case
    with market.client("dora") as dora:
        assert [one.amount for one in dora.disputes.all()] == ["0.500000000"]
        assert dora.disputes.add(case.id, "I drove all the way", private=True).place == 1
        with pytest.raises(Refused):
            dora.disputes.withdraw(case.id)
    assert otto.disputes.one(case.id).evidence == ()
    ended = otto.disputes.withdraw(case.id)
    assert (ended.state, ended.made) == ("withdrawn", "") and otto.disputes.withdraw(case.id) == ended
    second = operator.disputes.open(DisputeInput(charge, "claim-2", provider="otto", against="dora"))
    assert second.amount == "1.737100000"
    operator.disputes.decide(second.id, "0.7371")
    posted = market.posted("provider")
    assert (posted["otto"], posted["dora"]) == (
        Decimal("0.94245") + Decimal("0.7371"),
        Decimal("5.2113") - Decimal("0.7371"),
    )
    assert [one.state for one in operator.disputes.all(charge=charge)] == ["withdrawn", "decided"]
    otto.close()
    operator.close()


@pytest.mark.parametrize(
    ("who", "body", "status"),
    [
        ("ben", {}, 404),
        ("ada", {"payer": "ben"}, 404),
        ("ada", {"provider": "dora"}, 404),
        ("otto", {"provider": "dora"}, 404),
        ("auditor", {}, 403),
        ("ada", {"amount": "7.01"}, 422),
        ("ada", {"amount": "nan"}, 422),
        ("ada", {"charge": "chg_1"}, 404),
        ("ada", {"charge": ""}, 422),
        ("ada", {"reference": ""}, 422),
        ("ada", {"reason": "x" * 64_001}, 422),
        ("ada", {"extra": "1"}, 422),
        ("otto", {"against": "sun"}, 422),
        ("otto", {"part": "driver-x"}, 422),
    ],
)
def test_bad_input_books_nothing(node: NodeProcess, who: str, body: dict[str, Any], status: int) -> None:
    charges = node.ask("GET", "/v1/charges").json["data"]
    if not charges:
        from tests.faces.api.nodes import ride

        assert node.ask("POST", "/v1/usage", [ride("d1")]).status == 200
        charges = node.ask("GET", "/v1/charges").json["data"]
    role = "auditor" if who == "auditor" else "provider" if who == "otto" else "user"
    key = node.key(role, "" if who == "auditor" else who)
    answer = node.ask("POST", "/v1/disputes", {"charge": charges[0]["id"], "reference": "r", **body}, key)
    assert answer.status == status, answer.body
    if status == 422:
        assert answer.json["field"], answer.json
    assert node.ask("GET", "/v1/disputes").json["data"] == []


def test_unknown_cases_are_not_there(node: NodeProcess) -> None:
    for path, body in {"": None, "/evidence": {"text": "x"}, "/decision": {}, "/withdraw": {}}.items():
        for id in ("dsp_" + "0" * 32, "dsp_", "chg_1", "dpc_1"):
            method = "POST" if path else "GET"
            assert node.ask(method, f"/v1/disputes/{id}{path}", body).status == 404, (id, path)
    with apportion.Client(node.url, key=node.first_key) as client, pytest.raises(Refused) as refused:
        client.disputes.decide("dsp_" + "0" * 32)
    assert refused.value.refusal.code is RefusalCode.NOT_FOUND
