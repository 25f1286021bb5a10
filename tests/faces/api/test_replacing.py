"""Plans over real HTTP: a crew replaced by an operator and unasked, and the last capacity taken by many at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from apportion.model.catalog import Catalog
from apportion.model.market import Offer
from tests.faces.api.nodes import NodeProcess, proven, together
from tests.markets import catalog
from tests.sessions import plain

replace = msgspec.structs.replace


class Booth:
    """A node that sells calls by plans."""

    def __init__(self, folder: Path, given: Catalog) -> None:
        self.store = folder / "books.db"
        self.node = NodeProcess(self.store)
        assert self.node.ask("PUT", "/v1/catalog", msgspec.json.encode(given)).status == 200

    def ask(self, method: str, path: str, body: Any = None, status: int = 0, key: str = "", **headers: str) -> Any:
        answer = self.node.ask(method, path, body, key, **headers)
        assert answer.status == status if status else answer.status < 300, answer.body
        return answer.json

    def plan(self, payer: str = "ada", **more: Any) -> Any:
        asked = {"service": "call", "payers": [{"payer": payer}], "quantities": {"minutes": "10"}, **more}
        return self.ask("POST", "/v1/plans", asked)

    def begun(self, **more: Any) -> str:
        """A call of which four minutes were used."""
        plan = self.plan(**more)["id"]
        found = self.ask("POST", f"/v1/plans/{plan}/accept", {}, idempotency_key=plan)
        self.report(found["id"], 1, "4")
        return str(found["id"])

    def report(self, id: str, number: int, minutes: str, **more: Any) -> Any:
        given = {"number": number, "used": {"minutes": minutes}, "requested": {"minutes": "5"}, **more}
        found = self.ask("POST", f"/v1/sessions/{id}/reports", {"reports": [given]})
        assert "refusal" not in found["reports"][0], found
        return found["session"]

    def lose(self, id: str, *lost: str, status: int = 0, **headers: str) -> Any:
        return self.ask("POST", f"/v1/sessions/{id}/replacement", {"lost": lost}, status, **headers)

    def crew(self, id: str) -> dict[str, str]:
        parts = self.ask("GET", f"/v1/sessions/{id}")["parts"]
        return {part["part"]: part["provider"] for part in parts if part["part"] and not part.get("ended")}

    def until(self, right: Callable[[], bool], seconds: float = 15) -> None:
        end = time.monotonic() + seconds
        while not right():
            assert time.monotonic() < end, "it never came"
            time.sleep(0.05)

    def posted(self) -> dict[str, str]:
        accounts = self.ask("GET", "/v1/accounts?limit=200")["data"]
        return {one["owner"]: plain(one["posted"]) for one in accounts if plain(one["posted"]) != "0"}

    def held(self) -> set[str]:
        accounts = self.ask("GET", "/v1/accounts?limit=200")["data"]
        return {one["owner"] for one in accounts if plain(one["held"]) != "0"}

    def prove(self) -> None:
        assert self.node.stop() == 0
        proven(self.store).close()


def market(**changes: Any) -> Catalog:
    found = catalog()
    call = found.services["call"]
    session = replace(call.session, validity=changes.pop("validity", 300)) if call.session else None
    return replace(found, services={"call": replace(call, session=session, market=replace(call.market, **changes))})


@pytest.fixture
def booth(tmp_path: Path) -> Iterator[Booth]:
    booth = Booth(tmp_path, market(replace=True))
    yield booth
    booth.prove()


def test_an_operator_has_a_crew_replaced_once_however_often_it_asks(booth: Booth) -> None:
    id = booth.begun()
    assert booth.crew(id) == {"near": "oak", "far": "elm"}
    user = booth.node.key("user", "ada")
    assert booth.lose(id, "elm", status=403, key=user, idempotency_key="no")["code"] == "forbidden"
    first = booth.lose(id, "elm", idempotency_key="once")
    assert first["event"] == "altered" and booth.crew(id) == {"near": "oak", "far": "ash"}
    assert booth.lose(id, "oak", idempotency_key="twice")["plan"] != first["plan"]
    # it would be another one now, and the answer is what it was
    assert booth.lose(id, "elm", idempotency_key="once") == first
    assert booth.lose(id, "ash", "elm", "oak", status=409, idempotency_key="third")["code"] == "no_plan"
    assert booth.lose(id, "ash", status=409, idempotency_key="once")["code"] == "conflict"
    booth.report(id, 2, "9")
    booth.ask("POST", f"/v1/sessions/{id}/end", {})
    assert booth.crew(id) == {}
    # 50 − 0.3312 − 5 × 0.08 × 1.32
    assert booth.posted()["ada"] == "49.1408" and booth.posted()["ash"] == "0.4"
    plan = booth.ask("GET", f"/v1/plans/{first['plan']}")
    assert (plan["replaces"], plan["state"]) == (id, "accepted")


def test_who_falls_silent_is_replaced_unasked(tmp_path: Path) -> None:
    booth = Booth(tmp_path, market(replace=True, validity=2))
    id = booth.begun()
    booth.report(id, 1, "4", part="far")
    booth.report(id, 1, "4", part="near")
    number = 2

    def others_go_on() -> bool:
        nonlocal number
        for part in ("", "near"):
            booth.report(id, number, "4", part=part)
        number += 1
        time.sleep(0.2)
        return booth.crew(id) == {"near": "oak", "far": "ash"}

    booth.until(others_go_on)
    booth.report(id, number, "9")
    booth.ask("POST", f"/v1/sessions/{id}/end", {})
    assert booth.posted()["ada"] == "49.3388"  # 5 × 0.05 × 1.32 less
    booth.prove()


def test_who_is_switched_off_by_the_operator_is_replaced_unasked_and_who_takes_nothing_new_is_not(booth: Booth) -> None:
    id, other = booth.begun(), booth.begun(payer="ben")
    elm = booth.node.key("provider", "elm")
    booth.ask("POST", "/v1/providers/elm/switch", {"off": True, "reason": "full"}, key=elm)
    time.sleep(2.5)
    assert booth.crew(id) == {"near": "oak", "far": "elm"}
    booth.ask("POST", "/v1/providers/elm/switch", {"off": True, "reason": "fraud"})
    booth.until(lambda: all(booth.crew(one) == {"near": "oak", "far": "ash"} for one in (id, other)))
    for name in ("ash", "oak"):
        booth.ask("POST", f"/v1/providers/{name}/switch", {"off": True, "reason": "storm"})
    time.sleep(1.5)
    assert booth.crew(id) == {"near": "oak", "far": "ash"}, "there is nobody else, so it goes on"
    booth.ask("POST", "/v1/providers/elm/switch", {"off": False})
    booth.until(lambda: booth.crew(id) == {"near": "elm", "far": "elm"})
    for one in (id, other):
        booth.ask("POST", f"/v1/sessions/{one}/end", {})


def test_the_last_capacity_goes_to_exactly_as_many_as_fit(tmp_path: Path) -> None:
    offers = [
        Offer("oak-near", "call", "near", "oak", "cheap", capacity={"minutes": "999"}),
        Offer("elm-far", "call", "far", "elm", "cheap", capacity={"minutes": "55"}),
    ]
    booth = Booth(tmp_path, replace(market(), offers={one.id: one for one in offers}))
    plans = [booth.plan(without=["ash"])["id"] for _ in range(32)]

    def accept(number: int) -> Any:
        return booth.node.ask("POST", f"/v1/plans/{plans[number]}/accept", {}, idempotency_key=f"a{number}")

    answers = together(32, accept)
    won = [answer.json["id"] for answer in answers if answer.status == 201]
    lost = [answer.json["code"] for answer in answers if answer.status != 201]
    assert (len(won), lost) == (5, ["plan_ended"] * 27)
    held = 5 * (10 + 2 * 5 * 2.2) / 100 * 1.2  # a slice of five minutes each
    account = next(one for one in booth.ask("GET", "/v1/accounts?limit=200")["data"] if one["owner"] == "ada")
    assert abs(float(account["held"]) - held) < 1e-9
    assert len(booth.ask("GET", "/v1/sessions?limit=200")["data"]) == 5
    states = [booth.ask("GET", f"/v1/plans/{plan}")["state"] for plan in plans]
    assert (states.count("accepted"), states.count("quoted")) == (5, 27)
    for id in won:
        booth.ask("POST", f"/v1/sessions/{id}/end", {})
    assert booth.held() == set()
    again = [accept(plans.index(plan)).status for plan, state in zip(plans, states, strict=True) if state == "quoted"]
    assert (again.count(201), again.count(409)) == (5, 22)
    booth.prove()
