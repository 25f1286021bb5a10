"""One Idempotency-Key, one effect, one answer: when answers are lost, at once, a day later, and nobody else's."""

from __future__ import annotations

import contextlib
import http.client
import socket
import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

import apportion
from apportion.engine.exchange import HoldInput
from tests.faces.api.nodes import Answer, Line, NodeProcess, balance, books, catalog, proven, ride, together

LATER = """\
import sys
from datetime import UTC, datetime, timedelta
import apportion.adapters.outside as outside

class Later(outside.SystemClock):
    def now(self):
        return (datetime.now(UTC) + timedelta(hours=25)).isoformat(timespec="microseconds").replace("+00:00", "Z")

outside.SystemClock = Later
from apportion.faces.cli import main
main()
"""


class Swallowing:
    """A door before a node that lets every question in, and keeps so many answers to itself."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.swallows = 0
        self._target, self._door = target, socket.create_server(("127.0.0.1", 0))
        self.address = self._door.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._door.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._door.accept()
                server = socket.create_connection(self._target)
                for one, other, back in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pass, args=(one, other, back), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, back: bool) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 20):
                if back and self.swallows:
                    self.swallows -= 1
                    break
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def hold(name: str, payer: str = "ada") -> dict[str, str]:
    return {"payer": payer, "amount": "3", "currency": "EUR", "owner": name, "expires": "2099-01-01T00:00:00Z"}


def topup(reference: str, amount: str = "2") -> dict[str, str]:
    return {"payer": "ada", "amount": amount, "currency": "EUR", "reference": reference}


def requests(name: str, held: str) -> list[tuple[str, Any, Any]]:
    """Everything that moves money: path, body, and another body under the same key."""
    rides = [ride(f"{name}-{i}", f"{name}-rider-{i % 3}") for i in range(7)]
    return [
        ("/v1/usage", rides, rides[:6]),
        ("/v1/usage", [ride(f"{name}-alone", "ada")], [ride(f"{name}-alone", "ben")]),
        ("/v1/topups", topup(name), topup(name, "3")),
        ("/v1/holds", hold(name), hold(f"{name} ")),
        (f"/v1/holds/{held}/capture", {"amount": "1", "final": False}, {"amount": "1.5", "final": False}),
        (f"/v1/holds/{held}/release", {}, None),
    ]


def held(node: NodeProcess, name: str, key: str = "") -> str:
    made = node.ask("POST", "/v1/holds", hold(f"for {name}"), key, idempotency_key=f"for {name}")
    assert made.status == 201, made.body
    return str(made.json["id"])


def same(one: Answer, other: Answer) -> None:
    assert (one.status, one.body) == (other.status, other.body)
    assert one.status in (200, 201) and other.headers["idempotency-replayed"] == "true"


def test_a_lost_answer_is_found_by_its_key(node: NodeProcess) -> None:
    door = Swallowing(node.address)
    before = Decimal(balance(node, "ada")["posted"])
    for number, (path, body, other) in enumerate(requests("lost", held(node, "lost"))):
        for _ in range(2):  # the second try is lost as well
            door.swallows = 1
            line = Line(door.address, node.first_key)
            with pytest.raises((OSError, http.client.HTTPException)):
                line.ask("POST", path, body, idempotency_key=f"lost {number}")
            line.close()
        first = node.ask("POST", path, body, idempotency_key=f"lost {number}")
        same(first, first)
        same(first, node.ask("POST", path, body, idempotency_key=f"lost {number}"))
        if other is not None:
            refused = node.ask("POST", path, other, idempotency_key=f"lost {number}")
            assert refused.status == 409 and refused.json["field"] == "Idempotency-Key"
    door.close()
    account = balance(node, "ada")
    assert Decimal(account["posted"]) == before + 2 - 7 and Decimal(account["held"]) == 3


def test_the_client_asks_again_under_the_same_key(node: NodeProcess) -> None:
    door = Swallowing(node.address)
    client = apportion.Client("http://{}:{}".format(*door.address), key=node.first_key)
    before = Decimal(balance(node, "ben")["posted"]), Decimal(balance(node, "ben")["held"])
    door.swallows = 2
    assert client.top_up("ben", "4", "EUR", "client").amount == "4.000000000"
    door.swallows = 2
    placed = client.hold(HoldInput("ben", "5", "EUR", "client", "2099-01-01T00:00:00Z"))
    door.swallows = 2
    assert client.end_hold(placed.id, "2", final=False).open == "3.000000000"
    client.close()
    door.close()
    after = Decimal(balance(node, "ben")["posted"]), Decimal(balance(node, "ben")["held"])
    assert after == (before[0] + 4, before[1] + 3)


def test_at_once_there_is_one_effect(node: NodeProcess) -> None:
    for number, (path, body, other) in enumerate(requests("once", held(node, "once"))):
        answers = together(24, lambda _: node.ask("POST", path, body, idempotency_key=f"once {number}"))  # noqa: B023
        assert {answer.status for answer in answers} <= {200, 201}
        assert len({answer.body for answer in answers}) == 1
        assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
        if other is not None:
            assert node.ask("POST", path, other, idempotency_key=f"once {number}").status == 409


def test_the_answer_is_the_same_after_a_restart_and_25_hours_later(tmp_path: Path) -> None:
    store = tmp_path / "books.db"
    node = NodeProcess(store)
    key = node.first_key
    node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog()))
    asked = requests("day", held(node, "day"))
    first = [node.ask("POST", path, body, idempotency_key=f"{n}") for n, (path, body, _) in enumerate(asked)]
    ada = balance(node, "ada")
    assert node.stop() == 0
    script = tmp_path / "later.py"
    script.write_text(LATER)
    later = ("sh", "-c", f'shift 3; exec "{sys.executable}" "{script}" "$@"', "sh")
    for wrap in ((), later):
        node = NodeProcess(store, wrap=wrap)
        for n, (path, body, other) in enumerate(asked):
            same(first[n], node.ask("POST", path, body, key, idempotency_key=f"{n}"))
            if other is not None:
                assert node.ask("POST", path, other, key, idempotency_key=f"{n}").status == 409
        accounts = node.ask("GET", "/v1/accounts?limit=200", key=key).json["data"]
        assert next(account for account in accounts if account["owner"] == "ada") == ada
        ahead = node.ask("POST", "/v1/topups", {**topup(f"fresh {wrap}"), "payer": "ben"}, key).json["at"]
        assert node.stop() == 0
    with proven(store) as engine:
        assert ahead > engine.clock.now(), "the clock was not ahead"


def test_a_key_of_another_tenant_or_credential_is_another_key(tmp_path: Path) -> None:
    store = tmp_path / "books.db"
    secrets = books(store, ("main", "other"))
    node = NodeProcess(store)
    mine = node.ask("POST", "/v1/keys", {"role": "operator"}, secrets["main"]).json["secret"]
    for n, (path, body) in enumerate(
        (("/v1/holds", hold("a")), ("/v1/topups", topup("a")), ("/v1/usage", [ride("a")]))
    ):
        answers = [node.ask("POST", path, body, key, idempotency_key=f"{n}") for key in secrets.values()]
        assert {answer.status for answer in answers} <= {200, 201}
        assert not any("idempotency-replayed" in answer.headers for answer in answers)
        other = node.ask("POST", path, hold("b") if n == 0 else body, mine, idempotency_key=f"{n}")
        assert other.status in (200, 201) and "idempotency-replayed" not in other.headers
        if n == 2:  # the record itself is charged once, whoever sends it
            assert other.json["records"][0]["state"] == "duplicate"
    for secret, held_ in ((secrets["main"], "6.000000000"), (secrets["other"], "3.000000000")):
        accounts = node.ask("GET", "/v1/accounts", key=secret).json["data"]
        ada = next(account for account in accounts if account["owner"] == "ada")
        assert (ada["posted"], ada["held"]) == ("95.000000000", held_)
    assert node.stop() == 0
    for tenant in secrets:
        proven(store, tenant).close()
