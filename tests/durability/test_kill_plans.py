"""``kill -9`` of a node while plans are accepted and crews replaced: a session is there with everything, or not."""

from __future__ import annotations

import http.client
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from apportion.engine.market.standing import taken
from apportion.model.market import Offer
from tests.faces.api.nodes import Line, NodeProcess, proven
from tests.faces.api.test_replacing import market
from tests.sessions import plain

KILLS, CLIENTS = 5, 4
replace = msgspec.structs.replace
TAKEN = ("oak-near", "elm-far", "ash-far")


def offered() -> Any:
    offers = [
        Offer(id, "call", id[4:], id[:3], tariff, capacity={"minutes": "100000"})
        for id, tariff in zip(TAKEN, ("cheap", "cheap", "middle"), strict=True)
    ]
    return replace(market(), offers={one.id: one for one in offers})


class Caller:
    """Plans, accepts, talks, loses a provider, ends; whatever it was told must be so ever after."""

    def __init__(self, number: int) -> None:
        self.name, self.count = f"c{number}", 0
        self.sessions: dict[str, str] = {}  # id → the plan that it must run by, or "ended"
        self.lost: tuple[str, str, Any] | None = None
        self.session = ""

    def run(self, address: tuple[str, int], key: str, stop: threading.Event) -> None:
        line = Line(address, key)
        try:
            while not stop.is_set() or self.lost is not None:
                path, mark, body = self.lost = self.lost or self._next()
                answer = line.ask("POST", path, body, idempotency_key=mark)
                if answer.status == 503:
                    continue
                self.lost = None
                self._note(path, answer.status, answer.json)
        except (OSError, http.client.HTTPException):
            return
        finally:
            line.close()

    def _next(self) -> tuple[str, str, Any]:
        self.count += 1
        mark = f"{self.name}-{self.count}"
        payer = "ada" if self.count % 2 else "ben"
        if not self.session:
            asked = {"service": "call", "payers": [{"payer": payer}], "quantities": {"minutes": "10"}}
            return "/v1/plans", mark, asked
        if self.session.startswith("pln_"):
            return f"/v1/plans/{self.session}/accept", mark, {}
        where = f"/v1/sessions/{self.session}"
        step = self.count % 3
        if step == 0:
            return f"{where}/replacement", mark, {"lost": [random.choice(("elm", "ash", "oak"))]}
        if step == 1:
            given = {"number": self.count, "used": {"minutes": str(self.count % 3)}, "requested": {"minutes": "1"}}
            return f"{where}/reports", mark, {"reports": [given]}
        return f"{where}/end", mark, {}

    def _note(self, path: str, status: int, found: Any) -> None:
        if path == "/v1/plans":
            assert status == 201, found
            self.session = found["id"]
        elif path.endswith("/accept"):
            assert status == 201 or found["code"] == "plan_ended", found
            self.session = found["id"] if status == 201 else ""
            if status == 201:
                self.sessions[self.session] = found["plan"]
        elif path.endswith("/replacement"):
            if status == 200:
                self.sessions[self.session] = found["plan"]
            else:
                assert found["code"] in ("no_plan", "margin_guard"), found
        elif path.endswith("/end"):
            assert status == 200, found
            self.sessions[self.session], self.session = "ended", ""


def test_kills_while_plans_are_accepted_and_crews_replaced(tmp_path: Path) -> None:
    store, key = tmp_path / "books.db", ""
    callers, chance = [Caller(number) for number in range(CLIENTS)], random.Random(5)
    random.seed(5)
    for life in range(KILLS + 1):
        node = NodeProcess(store, "--log", "warning")
        key = key or node.first_key
        if not life:
            assert node.ask("PUT", "/v1/catalog", msgspec.json.encode(offered()), key).status == 200
        stop, broken = threading.Event(), list[BaseException]()

        def run(
            caller: Caller, address: Any = node.address, stop: Any = stop, key: str = key, bad: Any = broken
        ) -> None:
            try:
                caller.run(address, key, stop)
            except BaseException as error:
                bad.append(error)

        threads = [threading.Thread(target=run, args=(caller,)) for caller in callers]
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(0.3, 1))
        if life == KILLS:
            stop.set()
            for thread in threads:
                thread.join(20)
            check(node, key, callers)
        code = node.stop(signal.SIGKILL if life < KILLS else signal.SIGTERM)
        for thread in threads:
            thread.join(20)
        assert not broken, broken[:2]
        assert code == (-signal.SIGKILL if life < KILLS else 0)
    engine = proven(store)
    assert taken(engine.store, engine.tenant, TAKEN) == {}
    engine.close()


def check(node: NodeProcess, key: str, callers: list[Caller]) -> None:
    """Every answer holds: its session runs by that plan, and once all have ended nothing is held or taken."""
    known = {id: plan for caller in callers for id, plan in caller.sessions.items()}
    assert len(known) > CLIENTS and not any(caller.lost for caller in callers)
    for id, plan in known.items():
        found = node.ask("GET", f"/v1/sessions/{id}", None, key).json
        if plan == "ended":
            assert found["state"] == "closed"
        else:
            assert found["plan"] == plan and found["state"] != "closed"
            assert node.ask("POST", f"/v1/sessions/{id}/end", {}, key).status == 200
    accounts = node.ask("GET", "/v1/accounts?limit=200", None, key).json["data"]
    assert {plain(one["held"]) for one in accounts} == {"0"}
    plans = node.ask("GET", "/v1/plans?limit=200", None, key).json["data"]
    ran = {plan["session"] for plan in plans if plan["state"] == "accepted"}
    assert ran <= set(known), "a session that nobody was told of, though its request was asked again"
