"""Many clients on one account: exactly what the funds allow, once per key, for ever."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec

from tests.faces.api.nodes import NodeProcess, balance, catalog, proven, ride, together


def hold(amount: str, owner: str, payer: str = "ben") -> dict[str, str]:
    return {"payer": payer, "amount": amount, "currency": "EUR", "owner": owner, "expires": "2099-01-01T00:00:00Z"}


def topup(amount: str, reference: str, payer: str = "ben") -> dict[str, str]:
    return {"payer": payer, "amount": amount, "currency": "EUR", "reference": reference}


def test_64_clients_spend_100_at_7_exactly_14_times(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "books.db")
    node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog()))

    def spend(number: int) -> list[str]:
        line = node.line()
        answers = [line.ask("POST", "/v1/usage", [ride(f"{number}-{i}")]) for i in range(3)]
        line.close()
        assert {answer.status for answer in answers} == {200}
        return [answer.json["records"][0]["state"] for answer in answers]

    states = [state for found in together(64, spend) for state in found]
    assert states.count("charged") == 14 and states.count("pending") == 64 * 3 - 14
    assert balance(node, "ada")["posted"] == "2.000000000"
    assert node.ask("POST", "/v1/topups", topup("12", "more", "ada")).status == 201
    for _ in range(50):  # parked usage is tried again by itself
        if balance(node, "ada")["posted"] == "0.000000000":
            break
        time.sleep(0.1)
    assert balance(node, "ada")["posted"] == "0.000000000"
    assert node.stop() == 0
    with proven(tmp_path / "books.db") as engine:
        assert sum(1 for _ in engine.books.records()) == 16


def test_holds_topups_and_charges_mixed_never_overdraw(node: NodeProcess) -> None:
    start = Decimal(balance(node, "ben")["available"])

    def mix(number: int) -> tuple[Decimal, int]:
        line, moved, refused = node.line(), Decimal(0), 0
        for i in range(4):
            name = f"mix-{number}-{i}"
            if number % 4 == 0:
                answer = line.ask("POST", "/v1/topups", topup("1.25", name), idempotency_key=name)
                assert answer.status == 201
                moved += Decimal("1.25")
            elif number % 4 == 1:
                answer = line.ask("POST", "/v1/holds", hold("3", name), idempotency_key=name)
                assert answer.status in (201, 402), answer.body
                moved -= 3 if answer.status == 201 else 0
            else:
                answer = line.ask("POST", "/v1/usage", [ride(name, "ben")])
                charged = answer.json["records"][0]["state"] == "charged"
                moved -= 7 if charged else 0
            seen = Decimal(balance(node, "ben")["available"])
            assert seen >= 0
            refused += answer.status == 402
        line.close()
        return moved, refused

    found = together(32, mix)
    account = balance(node, "ben")
    parked_since = Decimal(account["available"]) - (start + sum(moved for moved, _ in found))
    assert parked_since <= 0 and parked_since % 7 == 0  # parked usage that a top-up let through meanwhile
    assert Decimal(account["available"]) >= 0


def test_same_key_same_request_same_answer(node: NodeProcess) -> None:
    for path, body in (
        ("/v1/topups", topup("2.5", "once")),
        ("/v1/holds", hold("0.5", "once")),
        ("/v1/usage", [ride("once-1", "cleo"), ride("once-2", "cleo")]),
    ):
        first = node.ask("POST", path, body, idempotency_key="k-once")
        again = node.ask("POST", path, body, idempotency_key="k-once") if path == "/v1/topups" else None
        if again is None:  # the key belongs to the top-up
            assert first.status == 409 and first.json["field"] == "Idempotency-Key"
            first = node.ask("POST", path, body, idempotency_key=path)
            again = node.ask("POST", path, body, idempotency_key=path)
        assert first.status == again.status and first.body == again.body
        assert "idempotency-replayed" not in first.headers and again.headers["idempotency-replayed"] == "true"
    other = node.ask("POST", "/v1/usage", [ride("once-9", "cleo")] * 3, idempotency_key="/v1/usage")
    assert other.status == 409
    assert node.ask("POST", "/v1/usage", [ride("once-9", "cleo")]).json["records"][0]["state"] == "charged"


def test_concurrent_same_key_has_one_effect(node: NodeProcess) -> None:
    before = Decimal(balance(node, "ben")["posted"])
    answers = together(24, lambda _: node.ask("POST", "/v1/topups", topup("1", "same"), idempotency_key="same"))
    assert {answer.status for answer in answers} == {201} and len({answer.body for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    bodies = [hold("1", f"h{number % 2}") for number in range(24)]
    answers = together(24, lambda n: node.ask("POST", "/v1/holds", bodies[n], idempotency_key="two"))
    assert sorted({answer.status for answer in answers}) == [201, 409]
    made = {answer.body for answer in answers if answer.status == 201}
    assert len(made) == 1
    assert Decimal(balance(node, "ben")["posted"]) - before in (1, 1 - 7)  # or a parked ride took it at once


def test_a_refusal_is_not_remembered(node: NodeProcess) -> None:
    body = hold("500", "large", "dan")
    node.ask("POST", "/v1/usage", [ride("open-dan", "dan")])
    assert node.ask("POST", "/v1/holds", {**body, "amount": "5000"}, idempotency_key="dan").status == 402
    assert node.ask("POST", "/v1/holds", body, idempotency_key="dan").status == 201
    assert node.ask("POST", "/v1/holds", body, idempotency_key="dan").headers["idempotency-replayed"] == "true"


def test_keys_outlive_a_restart_and_a_key_is_its_holders_own(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "books.db")
    node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog()))
    key = node.first_key
    other = node.key("operator")
    asked = [
        ("/v1/topups", topup("2", "r"), "a"),
        ("/v1/holds", hold("2", "o"), "b"),
        ("/v1/usage", [ride(i, "ada" if i % 2 else "ben") for i in range(20)], "c"),
        ("/v1/periods/2026-10/close", {}, "d"),
        ("/v1/statements", {"period": "2026-10"}, "e"),
        ("/v1/holds/hold_00001/capture", {"amount": "0.5", "final": False}, "f"),
    ]
    first = [node.ask("POST", path, body, idempotency_key=name) for path, body, name in asked]
    assert [answer.status for answer in first] == [201, 201, 200, 200, 200, 200]
    assert node.ask("POST", "/v1/topups", topup("3", "r2"), other, idempotency_key="a").status == 201
    assert node.stop() == 0
    node = NodeProcess(tmp_path / "books.db")
    assert node.first_key == ""
    again = [node.ask("POST", path, body, key, idempotency_key=name) for path, body, name in asked]
    assert [answer.body for answer in again] == [answer.body for answer in first]
    assert {answer.headers["idempotency-replayed"] for answer in again} == {"true"}
    assert node.stop() == 0
    with proven(tmp_path / "books.db"):
        pass


def test_money_needs_a_key_or_a_reference(node: NodeProcess) -> None:
    assert node.ask("POST", "/v1/holds", hold("1", "x")).json["code"] == "key_missing"
    first, again = (node.ask("POST", "/v1/topups", topup("1", "by reference")) for _ in range(2))
    assert first.status == 201 and first.body == again.body and again.headers["idempotency-replayed"] == "true"
    clash = node.ask("POST", "/v1/topups", topup("2", "by reference"))
    assert clash.status == 409


def test_a_batch_does_not_stall_the_others(node: NodeProcess) -> None:
    batches = [[ride(f"batch-{n}-{i}", f"rider-{i % 50}") for i in range(5000)] for n in range(2)]
    took: list[float] = []

    def send(number: int) -> float:
        started = time.monotonic()
        assert node.ask("POST", "/v1/usage", batches[number]).status == 200
        return time.monotonic() - started

    threads = [threading.Thread(target=lambda n=n: took.append(send(n))) for n in range(2)]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    quick, number = list[float](), 0
    while any(thread.is_alive() for thread in threads):
        started, number = time.monotonic(), number + 1
        assert node.ask("POST", "/v1/usage", [ride(f"quick-{number}", "eve")]).status == 200
        quick.append(time.monotonic() - started)
    assert len(took) == 2 and len(quick) > 3
    assert sorted(quick)[len(quick) // 2] < max(took) / 3


def test_expired_holds_end_by_themselves(node: NodeProcess) -> None:
    node.ask("POST", "/v1/usage", [ride("open-fay", "fay")])
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    body = {**hold("100", "short", "fay"), "expires": soon}
    assert node.ask("POST", "/v1/holds", body, idempotency_key="fay").status == 201
    deadline = time.monotonic() + 6
    while balance(node, "fay")["held"] != "0.000000000" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert balance(node, "fay")["held"] == "0.000000000"
