"""A payment processor in a process of its own beside a node, and money counted at both."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.claims.conftest import Json, Program
from tests.claims.serving import Served

SECRET = "whsec_claims"


class Processor:
    """``apportion fake-payments --two-faced``: it forges what it tells, tells it twice and in a wrong order."""

    def __init__(self, program: Program) -> None:
        command = [*program.command, "fake-payments", "--port", "0", "--two-faced"]
        self._process = subprocess.Popen(
            command, cwd=program.folder, env=program.env, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        found = re.search(r"127\.0\.0\.1:(\d+)", self._process.stdout.readline())
        assert found
        self.port = int(found[1])

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        line.request(method, path, None if body is None else json.dumps(body).encode())
        found = json.loads(line.getresponse().read())
        line.close()
        return found

    def took(self) -> list[tuple[str, Decimal]]:
        """What it really charged, by our payments."""
        charged = self.ask("GET", "/charges")
        return [(one["id"], Decimal(one["amount"])) for one in charged for _ in range(one["taken"])]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


class Till(Served):
    """A node whose payers pay by card, and whose providers may be paid by transfer."""

    def __init__(self, program: Program, catalog: str) -> None:
        self.processor = Processor(program)
        program.env["APPORTION_PAYMENTS_SECRET"] = SECRET
        there = f"http://127.0.0.1:{self.processor.port}"
        super().__init__(
            program, catalog, "--payments", there, "--payouts", there, "--payment-pause", "1",
            "--allow-private-addresses",
        )  # fmt: skip
        self.processor.ask(
            "POST", "/listen", {"url": f"http://{self.address}/v1/processors/http/events", "secret": SECRET}
        )

    def card(self, payer: str, token: str = "tok_ok") -> str:
        """A card that a payer gives on the processor's page; its id."""
        given = {"payer": payer, "currency": "EUR", "reference": "first", "return_to": "https://shop.example/"}
        asked = self.ask("POST", "/v1/cards", given)
        self.processor.ask("POST", f"/cards/{asked['url'].rpartition('/')[2]}", {"method": token})
        self.wait(lambda: self.ask("GET", f"/v1/cards/{asked['id']}")["state"] == "saved")
        return str(asked["id"])

    def ended(self, payment: str) -> Json:
        """A payment when it has ended."""
        path = f"/v1/payments/{payment}"
        return dict(self.wait(lambda: (one := self.ask("GET", path))["state"] in ("succeeded", "failed") and one))

    def wait(self, true: Callable[[], Any], seconds: float = 15) -> Any:
        """What becomes true."""
        end = time.monotonic() + seconds
        while not (found := true()):
            assert time.monotonic() < end
            time.sleep(0.05)
        return found

    def use(self, payer: str, *minutes: str, start: str = "2026-10-05T10:00:00Z") -> None:
        """Calls of so many minutes."""
        records = [
            {"source": f"meter {payer}", "id": f"{start} {number}", "service": "call", "start": start,
             "quantities": {"minutes": text}, "payers": [{"payer": payer}]}
            for number, text in enumerate(minutes)
        ]  # fmt: skip
        answer = self.ask("POST", "/v1/usage", records)
        assert {one["state"] for one in answer["records"]} == {"charged"}, answer

    def bill(self, who: str) -> Json:
        """The statement of October."""
        made = self.ask("POST", "/v1/statements", {"period": "2026-10", "who": who})["data"]
        return dict(self.ask("GET", f"/v1/statements/{made[0]['id']}"))


CALLS = """
[currencies]
EUR = 9
[providers.oak]
[providers.elm]
[providers.ash]
[tariffs.retail]
currency = "EUR"
components = [{ kind = "unit", name = "talk", measure = "minutes", price = "0.10" }]
[tariffs.near]
currency = "EUR"
components = [{ kind = "unit", name = "near", measure = "minutes", price = "0.021" }]
[tariffs.far]
currency = "EUR"
components = [{ kind = "unit", name = "far", measure = "minutes", price = "0.0335" }]
[tariffs.relay]
currency = "EUR"
components = [{ kind = "unit", name = "relay", measure = "minutes", price = "0.01" }]
[services.call]
retail = "retail"
measures = { minutes = "min" }
parts.near = { provider = "oak", wholesale = { oak = "near" } }
parts.far = { provider = "elm", wholesale = { elm = "far" } }
parts.relay = { provider = "ash", wholesale = { ash = "relay" } }
[payers.ada]
currency = "EUR"
credit = "100"
[payers.ben]
currency = "EUR"
credit = "100"
"""
