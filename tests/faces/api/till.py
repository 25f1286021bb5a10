"""A node that takes cards by a processor in a process of its own, and what tests say to both."""

from __future__ import annotations

import http.client
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.faces.api.nodes import Answer, NodeProcess, balance
from tests.faces.api.processor import Processor, ended, paying_node, until

SECRET = "whsec_of_a_test"


class Faces(Processor):
    """The fake with two faces: it tells the node of things, badly."""

    def __init__(self, *words: str) -> None:
        super().__init__("--slow", "1", "--pending", "1", "--two-faced", *words)

    def do(self, method: str, path: str, body: Any = None) -> Any:
        line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        line.request(method, path, json.dumps(body).encode() if body is not None else None)
        answer = line.getresponse()
        content = answer.read()
        line.close()
        assert answer.status < 300, content
        return json.loads(content)

    def listen(self, node: NodeProcess) -> None:
        self.do("POST", "/listen", {"url": f"{node.url}/v1/processors/http/events", "secret": SECRET})

    def dispute(self, payment: str, state: str = "", amount: str = "") -> str:
        return str(self.do("POST", "/disputes", {"payment": payment, "state": state, "amount": amount})["reference"])

    def refunds(self) -> dict[str, dict[str, Any]]:
        return {one["id"]: one for one in self.do("GET", "/refunds/")}


def taking_node(store: Path, processor: Faces, *words: str) -> NodeProcess:
    """A node that believes what is signed with the secret."""
    os.environ["APPORTION_PAYMENTS_SECRET"] = SECRET
    try:
        node = paying_node(store, processor, *words)
    finally:
        del os.environ["APPORTION_PAYMENTS_SECRET"]
    processor.listen(node)
    return node


def paid(node: NodeProcess, payer: str, reference: str, amount: str = "20", method: str = "tok_ok") -> str:
    """A payment that succeeded; its id."""
    given = {"payer": payer, "amount": amount, "currency": "EUR", "reference": reference, "method": method}
    made = node.ask("POST", "/v1/payments", given)
    assert made.status == 201, made.body
    assert ended(node, made.json["id"]) == "succeeded"
    return str(made.json["id"])


def refund(node: NodeProcess, payment: str, reference: str, amount: str = "") -> Answer:
    return node.ask("POST", f"/v1/payments/{payment}/refund", {"reference": reference, "amount": amount})


def refunded(node: NodeProcess, refund: str, seconds: float = 20) -> str:
    """How a refund ends."""
    path, ends = f"/v1/refunds/{refund}", ("succeeded", "failed")
    return str(until(lambda: (s := node.ask("GET", path).json["state"]) in ends and s, seconds))


def posted(node: NodeProcess, payer: str) -> Decimal:
    return Decimal(balance(node, payer)["posted"])


def clearing(node: NodeProcess) -> dict[str, Any]:
    """The clearing account of the processor, which must be explained."""
    found = [one for one in node.ask("GET", "/v1/clearing").json["data"] if one["processor"] in ("http", "stripe")]
    assert all(one["explained"] for one in found), found
    return found[0] if found else {"balance": "0", "cost": "0", "remainders": []}
