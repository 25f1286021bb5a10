"""Two nodes that keep one schedule on one PostgreSQL: everything is done once, whoever is killed."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from apportion.engine import billing
from apportion.engine.scheduling.running import Running
from apportion.model.payee import Payee
from apportion.wiring import open_engine
from tests.book import catalog
from tests.durability.test_kill_schedule import ALL, gap_free, past, settlements
from tests.faces.api.processor import until
from tests.postgres.nodes import Pair, proven
from tests.postgres.server import dsn_of
from tests.settling import IBAN


def run(folder: Path, kills: int, records: int) -> None:
    """Send usage of months that are over to both, kill one now and then, and wait until nothing is due."""
    pair = Pair(dsn_of(), folder, catalog(credit="100000"))
    for name, iban in IBAN.items():
        given = msgspec.to_builtins(Payee(f"{name.capitalize()} Ltd", iban))
        assert pair.ask(0, "PUT", f"/v1/payees/{name}", given).status == 200
    sent: list[Any] = [msgspec.to_builtins(one) for one in past(records * (kills + 1))]
    with_schedule = msgspec.json.encode(replace(catalog(credit="100000"), schedule=ALL))
    first = pair.ask(1, "POST", "/v1/usage", sent[:records])
    assert {one["state"] for one in first.json["records"]} <= {"charged", "zero-rated"}, first.body
    assert pair.ask(0, "PUT", "/v1/catalog", with_schedule).status == 200
    chance = random.Random(3)
    for number in range(1, kills + 1):
        some = sent[records * number : records * (number + 1)]
        assert pair.ask(number % 2, "POST", "/v1/usage", some).status == 200
        time.sleep(chance.uniform(0.2, 1.2))
        pair.kill(number % 2)

    def rests() -> bool:
        with open_engine(pair.dsn, writable=False) as engine:
            return Running().look(engine) is None

    until(rests, 40)
    pair.stop()
    assert not [line for node in pair.nodes for line in node.log if '"level": "error"' in line]
    check(pair, kills)


def check(pair: Pair, kills: int) -> None:
    """What went out, went out once."""
    with proven(pair) as store, open_engine(pair.dsn, writable=False) as engine:
        lines = billing.listing(engine)
        assert gap_free([one.number for one in lines])
        billed = [(one.account, one.period) for one in lines if one.kind == "statement" and not one.provider]
        assert len(billed) == len(set(billed)) > 0
        windows = [(one.after, one.upto) for one in settlements(engine)]
        assert windows[0][0] == 0 and all(a[1] == b[0] for a, b in zip(windows, windows[1:], strict=False))
        slots = [one.at[:19] for one in settlements(engine)]
        assert len(slots) == len(set(slots)), "a second has one settlement"
        assert {period for period, _ in store.closed_periods(1)} <= {"2026-08", "2026-09", "2026-10", "2026-11"}
        assert kills or len(store.closed_periods(1)) >= 5


def test_two_nodes_keep_one_schedule(tmp_path: Path) -> None:
    run(tmp_path, 1, 60)


@pytest.mark.torture
def test_nodes_are_killed_at_their_schedule_many_times(tmp_path: Path) -> None:
    run(tmp_path, 30, 40)


def test_a_node_may_leave_the_schedule_to_others(tmp_path: Path) -> None:
    from tests.faces.api.nodes import NodeProcess

    store = tmp_path / "books.db"
    node = NodeProcess(store, "--no-schedule", "--log", "warning")
    assert node.ask("PUT", "/v1/catalog", msgspec.json.encode(replace(catalog(), schedule=ALL))).status == 200
    assert node.ask("POST", "/v1/usage", [msgspec.to_builtins(one) for one in past(10)]).status == 200
    made = int(time.time())
    until(lambda: time.time() > made + 1.6)
    jobs = {one["job"]: one for one in node.ask("GET", "/v1/schedule").json["jobs"]}
    assert jobs["settle"]["state"] == "due" and jobs["settle"]["last"] == "" and jobs["close"]["state"] == "due"
    assert node.ask("GET", "/v1/statements").json["data"] == [] and node.stop(signal.SIGTERM) == 0
