"""The whole chain at a platform: provider nodes around it, bills paid by card, providers paid by transfer."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import subprocess
from collections import defaultdict
from decimal import Decimal
from typing import Any

from tests.claims.conftest import Books, Json, Program
from tests.claims.paying import Till

TOKEN = "the token of ada's device"
NODE = """
provider = "NAME"
[bargaining]
tactic = "TACTIC"
margin = 10
markup = 50
rounds = 4
[[offers]]
service = "film"
part = "PART"
tariff = "cost"
[[users]]
name = "ada"
token = "HASH"
payers = ["ada"]
[tariffs.cost]
currency = "EUR"
[[tariffs.cost.components]]
kind = "unit"
name = "use"
measure = "MEASURE"
price = COST
"""


class Node:
    """``apportion provider serve``: at home for a device, when it knows the platform. It begins; ``up`` waits."""

    def __init__(self, program: Program, name: str, offer: tuple[str, str, str, str], platform: str, key: str) -> None:
        """``offer`` is its part, the measure that it counts, what one of it costs, and how it bargains."""
        part, measure, cost, tactic = offer
        folder = program.folder / name
        folder.mkdir()
        text = NODE.replace("NAME", name).replace("PART", part).replace("COST", cost).replace("TACTIC", tactic)
        text = text.replace("MEASURE", measure)
        (folder / "node.toml").write_text(text.replace("HASH", hashlib.sha256(TOKEN.encode()).hexdigest()))
        command = [*program.command, "provider", "serve", "node.toml", "--port", "0", "--quiet"]
        command += ["--platform", platform] if platform else []
        self.process = subprocess.Popen(
            command, cwd=folder, env={**program.env, "APPORTION_KEY": key}, stdout=subprocess.PIPE, text=True
        )
        self.name, self.key, self.public, self.address = name, key, "", ""

    def up(self) -> Node:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.public = found[1] if (found := re.search(r": ([0-9a-f]{64})", line)) else self.public
            if found := re.search(r"http://([\d.]+:\d+)", line):
                self.address = found[1]
                return self
        raise AssertionError("the provider's node did not start")

    def ask(self, method: str, path: str, body: Any = None, *, status: int = 0, token: str = TOKEN) -> Json:
        """A request of the device; its answer, which must have the ``status`` (any that succeeds, when 0)."""
        text, _ = self.fetch(method, path, body, status=status, token=token)
        return dict(json.loads(text))

    def fetch(
        self, method: str, path: str, body: Any = None, *, status: int = 0, token: str = TOKEN
    ) -> tuple[str, str]:
        """What the device reads, and of which kind it is."""
        line = http.client.HTTPConnection(self.address, timeout=30)
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        line.request(method, path, None if body is None else json.dumps(body), headers)
        answer = line.getresponse()
        text = answer.read().decode()
        line.close()
        assert answer.status == status if status else answer.status < 300, f"{method} {path}: {text}"
        return text, answer.headers["content-type"]

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(20) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()


class Chain(Till):
    """The platform with what its operator does from the statement to the payout."""

    def apply(self, catalog: str) -> None:
        """Put another catalog into force."""
        line = http.client.HTTPConnection(self.address, timeout=30)
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/toml"}
        line.request("PUT", "/v1/catalog", catalog, headers)
        answer = line.getresponse()
        assert answer.status == 200, answer.read()
        line.close()

    def pay_by_card(self, bill: Json, key: str = "") -> Decimal:
        """Charge a statement to the saved card; what was taken."""
        made = self.ask("POST", f"/v1/statements/{bill['number']}/pay", {}, key=key)
        done = self.ended(made["id"])
        assert done["state"] == "succeeded", done
        assert self.processor.took().count((made["id"], Decimal(done["amount"]))) == 1
        return Decimal(done["amount"])

    def pay_out(self, mode: str = "net") -> dict[str, Decimal]:
        """Settle, and pay every provider by transfer; what each got, which is what it could be paid."""
        line = self.ask("POST", "/v1/settlements", {"mode": mode})["settlements"][0]
        payable = {one["provider"]: Decimal(one["payable"]) for one in line["positions"]}
        for name in payable:
            self.ask("PUT", f"/v1/payees/{name}", {"destination": "tok_ok"})
        ordered = self.ask("POST", f"/v1/settlements/{line['id']}/payout", {"by": "transfer"})["payouts"]
        for one in ordered:
            path = f"/v1/payouts/{one['id']}"
            self.wait(lambda path=path: self.ask("GET", path)["state"] == "succeeded")
        assert not self.ask("POST", "/v1/settlements", {"mode": mode})["made"], "nothing is left to settle"
        sent = {one["id"]: Decimal(one["amount"]) for one in self.processor.ask("GET", "/transfers") if one["taken"]}
        got = {one["creditor"]: sent[one["id"]] for one in ordered}
        assert len(sent) == len(ordered) and got == payable
        return got

    def banked(self) -> None:
        """The processor pays what it took into the bank, less its fee."""
        self.processor.ask("POST", "/deposits")
        self.wait(lambda: self.ask("GET", "/v1/clearing")["data"][0]["remainders"] == [])


def fee_of(books: Books) -> tuple[Decimal, dict[str, Decimal], Decimal, Decimal]:
    """What all charges came to: total, portions by provider, platform, tax; the last three make the first."""
    charges = books.of("charge")
    portions: dict[str, Decimal] = defaultdict(Decimal)
    for one in (portion for charge in charges for portion in charge["portions"]):
        portions[one["provider"]] += Decimal(one["amount"])
    total, platform, tax = (
        sum((Decimal(charge.get(name, "0")) for charge in charges), Decimal(0)) for name in ("total", "platform", "tax")
    )
    assert total == sum(portions.values()) + platform + tax
    return total, dict(portions), platform, tax
