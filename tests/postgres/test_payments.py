"""Two nodes on one database and one processor: whoever sends a payment first is the only one."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from tests.faces.api.nodes import NodeProcess, balance, together
from tests.faces.api.processor import Processor, ended, fund, paying_node
from tests.postgres.server import dsn_of


class Database(str):
    """A DSN, and the folder in which its nodes keep their key."""

    parent: Path


def test_two_nodes_charge_once_also_when_one_is_killed(tmp_path: Path) -> None:
    store: Any = Database(dsn_of())
    store.parent = tmp_path
    processor = Processor("--slow", "1", "--pending", "1")
    one = paying_node(store, processor)
    fund(one, ok="tok_ok", slow="tok_slow", broken="tok_500_after_charge", pending="tok_pending_then_ok")
    two = paying_node(store, processor)
    nodes: list[NodeProcess] = [one, two]
    wanted: dict[str, str] = {}
    for round in range(2):
        for payer in ("ok", "slow", "broken", "pending"):
            body = {"payer": payer, "amount": "1", "currency": "EUR", "reference": f"round-{round}"}
            answers = together(2, lambda i: nodes[i].ask("POST", "/v1/payments", body))  # noqa: B023
            assert {answer.status for answer in answers} <= {201, 409} and len({a.body for a in answers}) <= 2
            ids = {answer.json["id"] for answer in answers if answer.status == 201}
            assert len(ids) <= 1, "two payments of one reference"
            wanted.update(dict.fromkeys(ids, payer))
        victim = round % 2
        nodes[victim].stop(signal.SIGKILL)
        nodes[victim] = paying_node(store, processor)
        assert {ended(nodes[victim], id) for id in wanted} == {"succeeded"}
    assert len(wanted) == 8
    charges = processor.charges()
    assert charges.keys() == wanted.keys() and {charge["taken"] for charge in charges.values()} == {1}
    for payer in set(wanted.values()):
        assert float(balance(nodes[1], payer)["posted"]) == 5 + sum(owner == payer for owner in wanted.values())
    assert [node.stop() for node in nodes] == [0, 0]
    processor.stop()
