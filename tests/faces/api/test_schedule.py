"""A node that closes, bills, charges cards, settles and pays out by itself, each second; and what it says of that."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

import apportion
from apportion.model.calendar import Calendar
from apportion.model.party import Payer
from apportion.model.schedule import Schedule
from tests.book import catalog
from tests.durability.test_kill_schedule import past
from tests.faces.api.nodes import NodeProcess, proven
from tests.faces.api.processor import until
from tests.faces.api.till import Faces, posted, taking_node
from tests.faces.driving import process

EACH_SECOND = Schedule(
    close="0s", statements="0s", charge=("0s", "1s"), settle="1s", mode="multilateral", payout="transfer"
)


def apply(node: NodeProcess, schedule: Schedule | None, **payers: Payer) -> Any:
    given = catalog(credit="1000")
    return node.ask(
        "PUT", "/v1/catalog", msgspec.json.encode(replace(given, schedule=schedule, payers={**given.payers, **payers}))
    )


def jobs(node: NodeProcess) -> dict[str, Any]:
    return {one["job"]: one for one in node.ask("GET", "/v1/schedule").json["jobs"]}


def listed(node: NodeProcess, path: str) -> list[Any]:
    found: list[Any] = node.ask("GET", path).json["data"]
    return found


def test_what_was_used_is_billed_charged_to_the_card_settled_and_paid_out_with_nobody_asking(tmp_path: Path) -> None:
    faces = Faces()
    node = taking_node(tmp_path / "books.db", faces, "--payouts", faces.url, "--log", "warning")
    seconds = Payer("zoe", "EUR", credit="1000", calendar=Calendar(cycle="seconds", seconds=1))
    assert apply(node, EACH_SECOND, zoe=seconds).status == 200
    for name in ("dora", "otto", "sun", "wire"):
        assert node.ask("PUT", f"/v1/payees/{name}", {"name": name, "destination": "tok_ok"}).status == 200
    asked = node.ask("POST", "/v1/cards", {"payer": "zoe", "currency": "EUR", "reference": "c"}).json
    faces.do("POST", f"/cards/{asked['url'].rpartition('/')[2]}", {"method": "tok_ok"})
    until(lambda: node.ask("GET", f"/v1/cards/{asked['id']}").json["state"] == "saved")
    sent = [replace(one, payers=(replace(one.payers[0], payer="zoe"),)) for one in past(3)]
    used = node.ask("POST", "/v1/usage", [msgspec.to_builtins(one) for one in sent]).json["records"]
    assert {one["state"] for one in used} <= {"charged", "zero-rated"}
    owed = -posted(node, "zoe")
    assert owed > 0
    until(lambda: listed(node, "/v1/statements"))
    until(lambda: Decimal("-0.01") < posted(node, "zoe") < Decimal("0.05"))  # paid in whole cents
    until(lambda: (paid := listed(node, "/v1/payouts")) and {one["state"] for one in paid} == {"succeeded"})
    statements = [one for one in listed(node, "/v1/statements?limit=200") if one["kind"] == "statement"]
    taken = sum(Decimal(one["amount"]) * one["taken"] for one in faces.charges().values())
    assert len(statements) == 3 and taken == sum(Decimal(one["total"]) for one in statements) >= owed
    ordered = sum(Decimal(one["amount"]) for one in listed(node, "/v1/payouts?limit=200"))
    assert sum(Decimal(one["amount"]) * one["taken"] for one in faces.charges("/transfers").values()) == ordered > 0
    until(lambda: {jobs(node)[job]["state"] for job in ("close", "statements", "settle", "payout")} == {"done"})
    found = jobs(node)
    assert all(found[job]["last"] for job in ("close", "statements", "settle", "payout", "charge")), found
    assert b'apportion_schedule_runs_total{ended="done",job="settle"}' in node.ask("GET", "/metrics").body
    assert not [line for line in node.log if '"level": "error"' in line]
    assert node.stop() == 0
    faces.stop()
    with proven(tmp_path / "books.db"):
        pass


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = NodeProcess(tmp_path_factory.mktemp("schedule") / "books.db", "--log", "warning")
    yield made
    assert made.stop() == 0


def test_operators_and_auditors_see_the_schedule(node: NodeProcess) -> None:
    assert {one["state"] for one in node.ask("GET", "/v1/schedule").json["jobs"][:6]} == {"off"}, "no catalog yet"
    given = Schedule(close="1d", statements="2d", settle="week", settle_after="3d", payout="file")
    assert apply(node, given).status == 200
    found = jobs(node)
    assert found["close"]["how"] == "1d after the end of a payer's period" and found["charge"]["state"] == "off"
    assert (
        found["settle"]["how"] == "each week, 3d after it began, net"
        and found["settle"]["next"] > found["settle"]["since"]
    )
    assert found["payout"]["how"] == "after each settlement, by file"
    assert node.ask("GET", "/v1/schedule", key=node.key("auditor")).status == 200
    assert node.ask("GET", "/v1/schedule", key=node.key("user", "ada")).status == 403
    assert node.ask("GET", "/v1/schedule", key=node.key("provider", "dora")).status == 403
    with apportion.Client(node.url, key=node.first_key) as client:
        assert [one.job for one in client.schedule().jobs][:3] == ["close", "levels", "statements"]


def test_the_command_prints_a_table_json_and_csv(node: NodeProcess) -> None:
    there = ("--store", node.url)
    env = {"APPORTION_KEY": node.first_key}
    plain = process("schedule", *there, env=env)
    assert plain.returncode == 0 and plain.stdout.splitlines()[0].split()[:3] == [b"job", b"state", b"last"]
    shown = json.loads(process("schedule", *there, "--json", env=env).stdout)
    rows = list(csv.DictReader(io.StringIO(process("schedule", *there, "--csv", env=env).stdout.decode())))
    assert [one["job"] for one in rows] == [one["job"] for one in shown["jobs"]]


@pytest.mark.parametrize(
    "field, value",
    [("close", "soon"), ("statements", "-1d"), ("settle", "0s"), ("settle", "fortnight"), ("charge", ["3d", "3d"]),
     ("charge", [f"{n}d" for n in range(11)]), ("payout", "cash"), ("settle_after", ""), ("close", "400d"),
     ("statements", "1h"), ("mode", "best"), ("every", "1d")],
)  # fmt: skip
def test_a_schedule_that_makes_no_sense_is_refused(node: NodeProcess, field: str, value: Any) -> None:
    assert apply(node, Schedule(close="1d")).status == 200
    before = node.ask("GET", "/v1/catalog").body
    given = msgspec.to_builtins(catalog())
    given["schedule"] = {"close": "1d", "settle": "week", field: value}
    answer = node.ask("PUT", "/v1/catalog", given)
    assert answer.status in (400, 422) and field in answer.body.decode(), answer.body
    assert node.ask("GET", "/v1/catalog").body == before
