"""Buckets, allowances and alternates over HTTP: granted once, drawn in order, seen by those whose they are."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from apportion.engine.funding.door import AllowanceInput, GrantInput
from apportion.errors import RefusalCode, Refused
from apportion.faces.client import Client
from tests.faces.api.nodes import NodeProcess, proven, together
from tests.funds import catalog, payer, short


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    store: Path = tmp_path_factory.mktemp("funds") / "books.db"
    node = NodeProcess(store)
    members = [payer(f"m{i}", "0", "0", ("pool", "10", "month")) for i in range(2)]
    members += [payer(f"n{i}", "0", "0", ("kitty", "10", "month")) for i in range(4)]
    pools = (payer("family", "100"), payer("pool", "33"), payer("kitty", "26"))
    people = (payer("ada", "5", "2", ("family", "4", "ever")), *pools, *members)
    put = node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog(*people)))
    assert put.status == 200, put.body
    yield node
    assert node.stop() == 0, node.log[-5:]
    proven(store).close()


def call(id: str, minutes: str, who: str = "ada") -> dict[str, object]:
    return {
        "source": "switch", "id": id, "service": "call", "start": "2026-11-20T12:00:00Z",
        "payers": [{"payer": who}], "quantities": {"minutes": minutes},
    }  # fmt: skip


def test_a_grant_and_an_allowance_are_made_once_and_show_what_is_left(node: NodeProcess) -> None:
    given = {"payer": "ada", "amount": "2", "currency": "EUR", "reference": "w", "name": "welcome", "funded": "sponsor"}
    first = node.ask("POST", "/v1/grants", given)
    assert first.status == 201 and first.json["bucket"].startswith("bkt_") and first.json["amount"] == "2.000000000"
    assert node.ask("POST", "/v1/grants", given).json == first.json
    assert node.ask("POST", "/v1/grants", {**given, "amount": "3"}).status == 409
    units = {"payer": "ada", "currency": "EUR", "price": "1", "measure": "minutes", "units": "4", "reference": "u"}
    bought = node.ask("POST", "/v1/allowances", units, idempotency_key="k1")
    assert bought.status == 201 and bought.json["units"] == "4"
    assert node.ask("POST", "/v1/allowances", units, idempotency_key="k1").body == bought.body
    assert node.ask("POST", "/v1/allowances", units).json == bought.json
    assert node.ask("POST", "/v1/allowances", {**units, "reference": "v", "price": "999"}).status == 402
    records = node.ask("POST", "/v1/usage", [call("1", "3"), call("2", "9"), call("3", "9")]).json["records"]
    assert [one["state"] for one in records] == ["charged", "charged", "pending"]
    charge = node.ask("GET", f"/v1/charges/{records[1]['id']}").json
    assert [(s.get("source", ""), short(s["amount"])) for s in charge["shares"]] == [
        ("allowance", "0.25"), ("bucket", "1"), ("", "5"), ("alternate", "2"),
    ]  # fmt: skip
    shown = node.ask("GET", f"/v1/accounts/{bought.json['owner']}/funding").json
    assert [(b["name"], short(b["available"])) for b in shown["buckets"]] == [("welcome", "0")]
    assert "allowances" not in shown and [(a["cap"], short(a["drawn"])) for a in shown["alternates"]] == [("4", "2")]
    words = node.ask("GET", f"/v1/charges/{records[1]['id']}/explanation").json
    facts = {fact["name"]: fact for section in words["sections"] for fact in section["facts"]}
    assert facts["1 min covered"]["value"] == "0.25 EUR" and words["holds"]
    assert facts["family"]["note"].startswith("from an alternate account")


def test_the_member_sees_its_share_and_the_owner_of_the_account_the_draw_alone(node: NodeProcess) -> None:
    [done] = node.ask("POST", "/v1/usage", [call("m", "7", "m0")]).json["records"]
    path = f"/v1/charges/{done['id']}"
    member, owner, other = (node.key("user", name) for name in ("m0", "pool", "m1"))
    mine = node.ask("GET", path, key=member).json
    assert mine["shares"] == [{"amount": "7.000000000", "payer": "m0", "source": "alternate"}]
    assert mine["quantities"] == {"minutes": "7"}
    seen = node.ask("GET", path, key=owner)
    assert [(s["amount"], s["source"]) for s in seen.json["shares"]] == [("7.000000000", "alternate")]
    assert "quantities" not in seen.json and not {"m0", "2026-11-20T12:00:00Z", "switch"} & set(
        seen.body.decode().split('"')
    )
    told = node.ask("GET", f"{path}/explanation", key=owner)
    assert "7.00 EUR drawn" in told.json["title"] and b"m0" not in told.body and b"minutes" not in told.body
    assert node.ask("GET", path, key=other).status == 404
    own = next(a["id"] for a in node.ask("GET", "/v1/accounts", key=member).json["data"])
    alternates = node.ask("GET", f"/v1/accounts/{own}/funding", key=member).json["alternates"]
    assert alternates == [{"cap": "10", "per": "month", "drawn": "7.000000000"}]
    assert node.ask("GET", f"/v1/accounts/{own}/funding", key=other).status == 404


def test_parallel_members_never_pass_their_caps_nor_the_pool(node: NodeProcess) -> None:
    def spend(number: int) -> list[str]:
        line, states = node.line(), []
        for i in range(4):
            answer = line.ask("POST", "/v1/usage", [call(f"p{number}-{i}", "3", f"n{number % 4}")])
            states.append(answer.json["records"][0]["state"])
        line.close()
        return states

    states = [state for found in together(16, spend) for state in found]
    # three times 3 for each of four would be within their caps, but the 26 pay for eight
    assert states.count("charged") == 8
    accounts = {a["owner"]: a for a in node.ask("GET", "/v1/accounts").json["data"] if a["role"] == "payer"}
    assert Decimal(accounts["kitty"]["posted"]) == 2
    for i in range(4):
        shown = node.ask("GET", f"/v1/accounts/{accounts[f'n{i}']['id']}/funding").json["alternates"][0]
        assert Decimal(shown["drawn"]) <= 10


def test_the_client_has_the_same_verbs(node: NodeProcess) -> None:
    with Client(node.url, key=node.first_key) as client:
        made = client.stocks.grant(GrantInput("family", "3", "EUR", "c1", priority=7, name="extra"))
        assert client.stocks.grant(GrantInput("family", "3", "EUR", "c1", priority=7, name="extra")) == made
        bought = client.stocks.buy(AllowanceInput("family", "EUR", "2", "minutes", "10", "c2", services=("call",)))
        shown = client.stocks.of(made.owner)
        assert (shown.buckets[0].priority, shown.allowances[0].left) == (7, "10")
        assert bought.services == ("call",)
        with pytest.raises(Refused) as caught:
            client.stocks.grant(GrantInput("family", "1", "EUR", "c3", services=("nothing",)))
        assert caught.value.refusal.code is RefusalCode.UNKNOWN_SERVICE
