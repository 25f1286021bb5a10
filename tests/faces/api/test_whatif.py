"""What-if at a node: by the client, by the command line, with a whole catalog; for operators and auditors alone."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

import apportion
from apportion.errors import RefusalCode, Refused
from apportion.model.whatif import Change, WhatIf
from tests.faces.api.nodes import CANARIES, NodeProcess, catalog, ride
from tests.faces.driving import Cli


def replayed(found: WhatIf, name: str) -> Decimal:
    return next(Decimal(one.replayed) for one in found.parties if one.name == name)


def test_the_client_and_the_command_ask_the_same(node: NodeProcess, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = node.ask("POST", "/v1/usage", [ride(f"w{number}") for number in range(4)])
    assert answer.status == 200
    before = node.ask("GET", "/v1/accounts?limit=200").json
    with apportion.Client(node.url, key=node.first_key) as client:
        control = client.whatif.replay("2026-10")
        assert control.records == control.replayed == 4
        assert all(not Decimal(one.difference) for one in control.parties)
        words = client.whatif.replay("2026-10", Change("tariff", "ride.driver.dora", "car"))
        assert replayed(words, "dora") == 4 * Decimal(CANARIES["otto"])
        dearer = client.whatif.replay(catalog=catalog(price="8"), service="ride")
        assert replayed(dearer, "ada") == 32 and dearer.terms == ("the catalog given",)
        with pytest.raises(Refused) as refused:
            client.whatif.replay("2026-09")
        assert refused.value.refusal.code is RefusalCode.NOT_FOUND and refused.value.refusal.field == "period"
    monkeypatch.setenv("APPORTION_KEY", node.first_key)
    said = cli("whatif", "--store", node.url, "--period", "2026-10", "--tariff", "ride.driver.dora=car", "--json")
    assert msgspec.convert(said.json, WhatIf) == words
    assert node.ask("GET", "/v1/accounts?limit=200").json == before


def test_who_may_not_and_what_is_wrong(node: NodeProcess) -> None:
    given = {"changes": [{"kind": "share", "what": "ride.wheel", "to": "2"}]}
    for role, name in (("user", "ada"), ("provider", "dora")):
        assert node.ask("POST", "/v1/whatif", {}, node.key(role, name)).status == 403
    wrong = node.ask("POST", "/v1/whatif", given, node.key("auditor"))
    assert (wrong.status, wrong.json["code"], wrong.json["field"]) == (422, "unknown_part", "share")
    for body in ({"changes": [{"kind": "price", "what": "a", "to": "b"}]}, {"weird": 1}, {"catalog": {"services": 3}}):
        assert node.ask("POST", "/v1/whatif", body).status == 422
    broken = msgspec.to_builtins(msgspec.structs.replace(catalog(), tariffs={}))
    problem = node.ask("POST", "/v1/whatif", {"catalog": broken})
    assert problem.status == 422 and problem.json["code"] == "catalog_invalid"
