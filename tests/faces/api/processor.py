"""The fake payment processor as a process of its own, and books whose payers pay by it."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from apportion.model.funding import AutoTopUp
from apportion.model.party import Payer
from tests.faces.api.nodes import NodeProcess, catalog
from tests.faces.driving import ROOT

#: payers by the token that they pay with
TOKENS = {
    "ok": "tok_ok", "declined": "tok_declined", "slow": "tok_slow", "timeout": "tok_timeout_after_charge",
    "broken": "tok_500_after_charge", "pending": "tok_pending_then_ok", "unknown": "tok_unknown",
}  # fmt: skip
PATIENT = ("--payment-call", "1", "--payment-pause", "1", "--payment-late", "2", "--allow-private-addresses")


class Processor:
    """``apportion fake-payments``."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, "-m", "apportion", "fake-payments", "--port", "0", *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", said)
        assert found and "FAKE" in said, said
        self.url, self._port = found[0], int(found[1])

    def charges(self, path: str = "/charges") -> dict[str, dict[str, Any]]:
        """What it has charged, by the payment's id; at ``/transfers`` what it has paid out."""
        line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        line.request("GET", path)
        charges = json.loads(line.getresponse().read())
        line.close()
        return {charge["id"]: charge for charge in charges}

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def paying_node(store: Path, processor: Processor, *words: str) -> NodeProcess:
    """A node that pays by the processor; its first operator's key is kept beside the store."""
    node = NodeProcess(store, "--payments", processor.url, *PATIENT, *words)
    kept = store.parent / "operator"
    if node.first_key:
        kept.write_text(node.first_key)
    node.first_key = kept.read_text()
    return node


def fund(node: NodeProcess, limit: str = "", **tokens: str) -> None:
    """Put payers into force who have 5 EUR each and fetch 20 at a time by their token."""
    plain = catalog(opening="5")
    payers = {
        name: Payer(name, "EUR", opening="5", auto_topup=AutoTopUp("20", token, limit))
        for name, token in tokens.items()
    }
    put = node.ask("PUT", "/v1/catalog", msgspec.json.encode(msgspec.structs.replace(plain, payers=payers)))
    assert put.status == 200, put.body


def until(true: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait for something to become true; what it was."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"it did not happen within {seconds} s"
        time.sleep(0.05)
    return found


def state(node: NodeProcess, payment: str) -> str:
    """How a payment stands."""
    return str(node.ask("GET", f"/v1/payments/{payment}").json["state"])


def ended(node: NodeProcess, payment: str, seconds: float = 20.0) -> str:
    """How a payment ends."""
    return str(until(lambda: (s := state(node, payment)) in ("succeeded", "failed") and s, seconds))
