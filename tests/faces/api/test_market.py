"""The market over real HTTP: who may say what of it, who may see what, and a race for the last capacity."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import apportion
from apportion.engine.market.door import AvailableInput, ObservedInput, RatingInput, SwitchInput
from apportion.engine.market.naming import offer_id
from apportion.errors import RefusalCode, Refused
from apportion.model.market import Breaker, MarketTerms
from apportion.model.party import Provider
from tests.faces.api.nodes import CANARIES, NodeProcess, catalog, proven, ride, together
from tests.faces.driving import Cli
from tests.sessions import catalog as calls

SECRET = "0.77177"
CAR = {
    "id": "fleet", "service": "ride", "part": "car", "provider": "otto", "capacity": {"km": "100"},
    "tariff": {"id": "live", "currency": "EUR", "components": [
        {"kind": "unit", "name": "way", "measure": "km", "price": SECRET},
    ]},
}  # fmt: skip
DRIVER = {"id": "night", "service": "ride", "part": "driver", "provider": "dora", "tariff": "driving"}
FLEET = offer_id("ride", "car", "otto", "fleet")
NIGHT = offer_id("ride", "driver", "dora", "night")


class Fair:
    """A node that sells rides, and a key for each who has a part in it."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "books.db"
        self.node = NodeProcess(self.store)
        given = catalog()
        ride = msgspec.structs.replace(given.services["ride"], market=MarketTerms(breaker=Breaker(2, 3600)))
        given = msgspec.structs.replace(
            given, services={"ride": ride}, providers={**given.providers, "uma": Provider("uma", network="road")}
        )
        assert self.node.ask("PUT", "/v1/catalog", msgspec.json.encode(given)).status == 200
        parties = {"ada": "user", "ben": "user", "dora": "provider", "otto": "provider", "": "auditor"}
        self.keys = {name or "auditor": self.node.key(role, name) for name, role in parties.items()}
        self.keys["operator"] = self.node.first_key

    def ask(self, who: str, method: str, path: str, body: Any = None) -> Any:
        answer = self.node.ask(method, path, body, self.keys[who])
        return answer.status, answer.json

    def put(self, who: str, *offers: dict[str, Any]) -> Any:
        status, found = self.ask(who, "PUT", "/v1/offers", {"offers": list(offers)})
        assert status == 200, found
        return found["offers"]

    def offers(self, who: str, query: str = "") -> list[dict[str, Any]]:
        status, found = self.ask(who, "GET", f"/v1/offers{query}")
        assert status == 200, found
        return list(found["data"])

    def client(self, who: str) -> apportion.Client:
        return apportion.Client(self.node.url, key=self.keys[who])

    def prove(self) -> None:
        assert self.node.stop() == 0
        proven(self.store).close()


@pytest.fixture
def fair(tmp_path: Path) -> Iterator[Fair]:
    fair = Fair(tmp_path)
    yield fair
    fair.prove()


def test_good_offers_go_on_and_bad_ones_say_why(fair: Fair) -> None:
    bad = {**CAR, "id": "other", "capacity": {"km": "-1"}}
    foreign = {**DRIVER, "provider": "dora"}
    first, second, third = fair.put("otto", CAR, bad, foreign)
    assert first == {"id": FLEET}
    assert (second["refusal"]["code"], second["refusal"]["field"]) == ("bad_input", "capacity.km")
    assert (third["refusal"]["code"], third["refusal"]["field"]) == ("not_found", "provider")
    assert [one["id"] for one in fair.offers("operator") if one.get("source") != "catalog"] == [FLEET]
    assert fair.ask("otto", "PUT", "/v1/offers", {"offers": [{**CAR, "price": "1"}]})[1]["code"] == "unknown_field"
    assert fair.ask("ada", "PUT", "/v1/offers", {"offers": [CAR]})[0] == 403


def test_each_sees_what_is_its_own_to_see(fair: Fair) -> None:
    fair.put("operator", CAR, DRIVER)
    for who in ("operator", "auditor"):
        offers = fair.offers(who)
        assert {one["id"] for one in offers} == {FLEET, NIGHT}
        assert SECRET in json.dumps(offers) and "driving" in json.dumps(offers)
    assert {one["id"] for one in fair.offers("dora")} == {NIGHT}
    assert SECRET not in json.dumps(fair.offers("dora"))
    assert SECRET in json.dumps(fair.offers("otto")) and "dora" not in json.dumps(fair.offers("otto"))
    seen = fair.offers("ada")
    assert {one["id"] for one in seen} == {FLEET, NIGHT}
    assert not any({"tariff", "capacity", "taken"} & set(one) for one in seen)
    assert not any(word in json.dumps(seen) for word in (SECRET, *CANARIES.values(), "driving"))
    assert [one["id"] for one in fair.offers("ada", "?part=car&provider=otto")] == [FLEET]
    fair.ask("otto", "DELETE", f"/v1/offers/{FLEET}")
    plain = {one["id"]: one for one in fair.offers("operator")}["ride.car.otto"]  # who offers nothing has its price
    assert plain["tariff"] == "car" and plain["source"] == "catalog"
    assert CANARIES["otto"] not in json.dumps(fair.offers("ada", "?service=ride&part=car"))
    assert fair.ask("dora", "DELETE", f"/v1/offers/{FLEET}")[0] == 404


def test_offers_come_page_by_page(fair: Fair) -> None:
    names = [f"car-{n}" for n in range(7)]
    fair.put("otto", *({**CAR, "id": name} for name in names))
    with fair.client("otto") as otto:
        ids = [one.name for one in otto.market.offers() if one.source == "live"]
    assert sorted(ids) == names
    first = fair.ask("otto", "GET", "/v1/offers?limit=3")[1]
    second = fair.ask("otto", "GET", f"/v1/offers?limit=200&after={first['next']}")[1]
    assert len(first["data"]) == 3 and len(second["data"]) == 4 and second["next"] == ""


def test_availability_by_the_thousand(fair: Fair) -> None:
    fair.put("otto", CAR)
    with fair.client("otto") as otto:
        said = otto.market.announce([AvailableInput(FLEET, {"km": str(n)}, latency=n) for n in range(2000)])
        assert {one.id for one in said} == {FLEET}
        assert otto.market.announce([AvailableInput(NIGHT)])[0].refusal.code is RefusalCode.NOT_FOUND  # type: ignore[union-attr]
        found = next(one for one in otto.market.offers() if one.id == FLEET)
    assert found.capacity == {"km": "1999"} and found.quality.latency == 1999


def test_switching_off_and_on_by_who_may(fair: Fair) -> None:
    off = {"off": True, "reason": "no drivers", "seconds": 600}
    status, found = fair.ask("dora", "POST", "/v1/providers/dora/switch", off)
    assert status == 200 and (found["off"], found["by"], found["reason"]) == (True, "provider", "no drivers")
    assert fair.ask("otto", "POST", "/v1/providers/dora/switch", {"off": False})[0] == 404
    assert fair.ask("ada", "POST", "/v1/providers/dora/switch", off)[0] == 403
    fair.ask("operator", "POST", "/v1/providers/dora/switch", {"off": True, "reason": "unpaid"})
    fair.ask("dora", "POST", "/v1/providers/dora/switch", {"off": False})
    status, found = fair.ask("dora", "POST", "/v1/providers/dora/switch", {"off": False})
    assert status == 409 and "operator keeps it off" in found["detail"]
    data = fair.ask("ada", "GET", "/v1/providers")[1]["data"]
    assert [(one["id"], one.get("off", False)) for one in data] == [("dora", True), ("otto", False), ("uma", False)]
    with fair.client("operator") as operator:
        assert not operator.market.switch("dora", SwitchInput(off=False)).off
        with pytest.raises(Refused) as error:
            operator.market.switch("nobody", SwitchInput(off=True, reason="x"))
        assert error.value.refusal.code is RefusalCode.UNKNOWN_PROVIDER


def test_approvals_are_the_users_own(fair: Fair) -> None:
    status, found = fair.ask("ada", "POST", "/v1/approvals", {"provider": "otto"})
    assert status == 200 and (found["provider"], found["approved"], found["by"]) == ("otto", True, "user")
    assert fair.ask("ada", "POST", "/v1/approvals", {"provider": "otto", "payer": "ben"})[0] == 422
    assert fair.ask("operator", "POST", "/v1/approvals", {"provider": "dora", "payer": "ben"})[1]["by"] == "operator"
    assert [one["provider"] for one in fair.ask("ada", "GET", "/v1/approvals")[1]["data"]] == ["otto"]
    assert len(fair.ask("auditor", "GET", "/v1/approvals")[1]["data"]) == 2
    assert fair.ask("dora", "GET", "/v1/approvals")[0] == 403
    assert "ada" not in json.dumps(fair.ask("auditor", "GET", "/v1/approvals")[1])


def test_users_rate_what_they_paid_for_and_nobody_else_does(fair: Fair) -> None:
    record = fair.ask("operator", "POST", "/v1/usage", [ride("r1")])[1]["records"][0]["id"]
    with fair.client("ben") as ben, pytest.raises(Refused) as error:
        ben.market.rate(RatingInput(record, 1))
    assert error.value.refusal.code is RefusalCode.NOT_FOUND
    with fair.client("ada") as ada:
        assert ada.market.rate(RatingInput(record, 5, "dora")).stars == 5
        with pytest.raises(Refused) as error:
            ada.market.rate(RatingInput(record, 1, "dora"))
        assert error.value.refusal.code is RefusalCode.CONFLICT
        shown = next(one for one in ada.market.providers() if one.id == "dora").standing
    assert [(one.service, one.rating, one.ratings, one.delivered) for one in shown] == [("ride", "3.048", 1, 0)]
    for who in ("operator", "dora", "auditor"):
        assert fair.ask(who, "POST", "/v1/ratings", {"record": record, "stars": 5})[0] == 403


def test_failures_that_are_measured_trip_the_breaker(fair: Fair) -> None:
    with fair.client("operator") as operator:
        seen = [ObservedInput("ride", "otto", succeeded=False)] * 2
        assert [one.refusal for one in operator.market.measure(seen, idempotency_key="once")] == [None, None]
        operator.market.measure(seen, idempotency_key="once")  # asked again: measured once
        otto = next(one for one in operator.market.providers() if one.id == "otto")
        assert (otto.off, otto.by, otto.standing[0].failed) == (True, "breaker", 2)
    praise = {"service": "ride", "provider": "otto", "succeeded": True}
    said = fair.ask("otto", "POST", "/v1/measurements", {"measurements": [praise]})[1]["measurements"]
    assert said[0]["refusal"]["code"] == "conflict"
    assert fair.ask("ada", "POST", "/v1/measurements", {"measurements": [praise]})[0] == 403
    mine = fair.ask("otto", "GET", "/v1/providers?provider=otto")[1]["data"][0]["standing"][0]
    others = fair.ask("dora", "GET", "/v1/providers?provider=otto")[1]["data"][0]["standing"][0]
    assert mine["failed"] == 2 and "failed" not in others and mine["rating"] == others["rating"]


def test_the_command_line_says_the_same(fair: Fair, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPORTION_KEY", fair.keys["operator"])
    file = tmp_path / "offers.json"
    file.write_text(json.dumps({"offers": [CAR, {**DRIVER, "part": "roof"}]}))
    at = ("--store", fair.node.url)
    made = cli("offers", "put", str(file), *at)
    assert made.code == 1 and FLEET in made.out and "refused  dora ride/roof" in made.out
    shown = cli("offers", "ride", "--part", "car", "--csv", *at)
    assert f"ride,car,otto,,live (its own),km=100,0,1,,{FLEET}" in shown.out
    off = cli("provider", "switch", "otto", "--off", "1h", "--reason", "snow", *at)
    assert off.code == 0 and off.out.startswith("otto is off until ") and off.out.endswith("by the operator: snow\n")
    assert '"reason": "snow"' in cli("provider", "list", "--json", *at).out
    assert cli("provider", "switch", "otto", "--on", *at).out == "otto is on.\n"
    assert cli("provider", "switch", "otto", *at).code == 2
    record = fair.ask("operator", "POST", "/v1/usage", [ride("r1")])[1]["records"][0]["id"]
    assert cli("rating", "give", record, "4").code == 2  # no vote without the key of who paid
    monkeypatch.setenv("APPORTION_KEY", fair.keys["ada"])
    assert cli("rating", "give", record, "4", *at).out.startswith(f"4 of 5 stars for {record}")
    assert cli("provider", "approve", "otto", *at).code == 0
    monkeypatch.setenv("APPORTION_KEY", fair.keys["operator"])
    assert cli("offers", "withdraw", FLEET, *at).code == 0


def test_thirty_two_at_once_take_the_last_capacity_exactly(tmp_path: Path) -> None:
    """Each has a plan for 7 of 100 seconds of one offer: fourteen get them, and all of it comes back."""
    node = NodeProcess(tmp_path / "books.db")
    assert node.ask("PUT", "/v1/catalog", msgspec.json.encode(calls())).status == 200
    value = {"payer": "ada", "amount": "1000", "currency": "EUR", "reference": "first"}
    assert node.ask("POST", "/v1/topups", value).status == 201
    bridge = {"id": "last", "service": "call", "part": "bridge", "tariff": "bridge"}
    bridges = [
        {**bridge, "provider": "bridge-a", "capacity": {"seconds": "100"}},
        {**bridge, "provider": "bridge-b", "capacity": {"seconds": "0"}},
    ]
    assert b"refusal" not in node.ask("PUT", "/v1/offers", {"offers": bridges}).body
    request = {"service": "call", "payers": [{"payer": "ada"}], "quantities": {"seconds": "7"}}
    asked = [node.ask("POST", "/v1/plans", request) for _ in range(32)]
    assert {answer.status for answer in asked} == {201}, asked[0].body
    plans = [answer.json["id"] for answer in asked]

    def accept(number: int) -> Any:
        line = node.line()
        try:
            return line.ask("POST", f"/v1/plans/{plans[number]}/accept", {}, idempotency_key=f"accept {number}")
        finally:
            line.close()

    found = together(32, accept)
    opened = [answer.json["id"] for answer in found if answer.status == 201]
    assert len(opened) == 14  # 15 × 7 would be 105
    assert {answer.json["code"] for answer in found if answer.status != 201} == {"plan_ended"}
    offer = node.ask("GET", "/v1/offers?provider=bridge-a&service=call&part=bridge").json["data"][-1]
    assert offer["taken"] == {"seconds": "98"}
    assert node.ask("POST", "/v1/plans", request).json["code"] == "no_plan"  # two are left, seven are asked for
    for session in opened:
        assert node.ask("POST", f"/v1/sessions/{session}/end", {}).status == 200
    offer = node.ask("GET", "/v1/offers?provider=bridge-a&service=call&part=bridge").json["data"][-1]
    assert "taken" not in offer
    assert node.stop() == 0
    proven(tmp_path / "books.db").close()
