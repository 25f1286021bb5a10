"""Payments over real HTTP: a node, a processor in a process of its own, and money counted on both sides."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import apportion
from apportion.engine.payments.door import PaymentInput
from apportion.errors import RefusalCode, Refused
from tests.faces.api.hearing import Stream
from tests.faces.api.nodes import NodeProcess, balance, proven, ride, together
from tests.faces.api.processor import TOKENS, Processor, ended, fund, paying_node, state, until
from tests.faces.driving import process


@pytest.fixture(scope="module")
def processor() -> Iterator[Processor]:
    made = Processor("--slow", "2", "--pending", "1", "--unknown", "5")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def paying(tmp_path_factory: pytest.TempPathFactory, processor: Processor) -> Iterator[NodeProcess]:
    """A node whose payers pay by the tokens of the fake, one each."""
    node = paying_node(tmp_path_factory.mktemp("paying") / "books.db", processor)
    fund(node, **TOKENS, ada="tok_ok", two="tok_ok")
    yield node
    assert node.stop() == 0, node.log[-5:]
    with proven(node.store):
        pass


def pay(node: NodeProcess, payer: str, reference: str, amount: str = "20", **more: Any) -> Any:
    """Ask for a payment."""
    body = {"payer": payer, "amount": amount, "currency": "EUR", "reference": reference, **more}
    return node.ask("POST", "/v1/payments", body)


def posted(node: NodeProcess, payer: str) -> Decimal:
    return Decimal(balance(node, payer)["posted"])


def credited(node: NodeProcess, payer: str, payment: str) -> list[Decimal]:
    """What was credited for a payment."""
    entries = node.ask("GET", f"/v1/accounts/{balance(node, payer)['id']}/entries?limit=200").json["data"]
    return [Decimal(entry["amount"]) for entry in entries if entry["cause"] == payment]


def test_every_way_a_payment_can_go(paying: NodeProcess, processor: Processor) -> None:
    made = {payer: pay(paying, payer, "first").json for payer in TOKENS}
    assert {answer["amount"] for answer in made.values()} == {"20.000000000"}
    unknown = made["unknown"]["id"]
    until(lambda: state(paying, unknown) == "unknown", 5)
    assert posted(paying, "unknown") == 5  # no headroom for what nobody knows
    until(lambda: paying.ask("GET", f"/v1/payments/{unknown}").json.get("late"), 8)
    ends = {payer: ended(paying, answer["id"]) for payer, answer in made.items()}
    assert ends == dict.fromkeys(TOKENS, "succeeded") | {"declined": "failed"}
    charges = processor.charges()
    for payer, answer in made.items():
        taken, wanted = charges[answer["id"]]["taken"], int(ends[payer] == "succeeded")
        assert taken == wanted, payer
        assert charges[answer["id"]]["requests"] == 1, payer  # what has no answer is asked for, not sent again
        assert credited(paying, payer, answer["id"]) == [Decimal(20)] * wanted
        assert posted(paying, payer) == 5 + 20 * wanted
    told = [line for line in paying.log if "no outcome for long" in line and unknown in line]
    view = paying.ask("GET", f"/v1/payments/{unknown}").json
    assert len(told) == 1 and json.loads(told[0])["payment"] == view["id"]
    assert view["late"] and view["tries"] == 1
    refused = paying.ask("GET", f"/v1/payments/{made['declined']['id']}").json
    assert refused["reason"] == "card_declined"


def test_usage_without_value_fetches_it_and_is_charged_then(paying: NodeProcess) -> None:
    for number, wanted in ((1, "charged"), (2, "charged")):
        answer = paying.ask("POST", "/v1/usage", [ride(f"short-{number}", "ada", start="2026-10-16T08:05:00Z")])
        assert answer.json["records"][0]["state"] == "pending" if number == 1 else wanted, answer.body
        until(lambda: posted(paying, "ada") == 25 - 7 * number)  # noqa: B023
    listed = paying.ask("GET", f"/v1/accounts/{balance(paying, 'ada')['id']}/payments").json["data"]
    assert [(payment["state"], payment["cause"]) for payment in listed] == [("succeeded", "auto")]


def test_a_hundred_requests_at_once_make_one_payment(paying: NodeProcess, processor: Processor) -> None:
    same = together(32, lambda number: pay(paying, "two", "same"))
    assert {answer.status for answer in same} == {201} and len({answer.body for answer in same}) == 1
    assert ended(paying, same[0].json["id"]) == "succeeded"
    others = together(32, lambda number: pay(paying, "two", f"other-{number}", method="tok_slow"))
    made = [answer for answer in others if answer.status == 201]
    assert len(made) == 1 and {answer.status for answer in others} == {201, 409}
    assert ended(paying, made[0].json["id"]) == "succeeded" and posted(paying, "two") == 45
    assert all(charge["taken"] <= 1 for charge in processor.charges().values())


def test_the_client_pays_and_a_user_only_for_itself(paying: NodeProcess) -> None:
    with apportion.Client(paying.url, key=paying.key("user", "ok")) as client:
        made = client.pay(PaymentInput("2.50", "EUR", "mine"))
        assert made.currency == "EUR" and client.pay(PaymentInput("2.50", "EUR", "mine")) == made
        until(lambda: client.payment(made.id).state == "succeeded")
        assert made.id in [payment.id for payment in client.payments(made.account)]
        with pytest.raises(Refused) as error:
            client.pay(PaymentInput("2.50", "EUR", "theirs", payer="ada"))
        assert error.value.refusal.code is RefusalCode.NOT_FOUND
        theirs = pay(paying, "two", "seen", "1").json["id"]
        with pytest.raises(Refused):
            client.payment(theirs)
        with pytest.raises(Refused):
            list(client.payments(balance(paying, "two")["id"]))
    assert ended(paying, theirs) == "succeeded"


def test_what_is_refused(paying: NodeProcess) -> None:
    for body, code, field in (
        ({"method": "4242 4242 4242 4242"}, "bad_input", "method"),
        ({"amount": "0.005"}, "bad_amount", "amount"),
        ({"amount": "0"}, "bad_amount", "amount"),
        ({"payer": "nobody"}, "unknown_payer", "payer"),
        ({"currency": "USD"}, "unknown_payer", "payer"),
    ):
        given = {"payer": "ok", "amount": "1", "currency": "EUR", "reference": "refused", **body}
        answer = paying.ask("POST", "/v1/payments", given)
        assert answer.json["code"] == code and answer.json["field"] == field, answer.body
        assert b"4242" not in answer.body
    assert paying.ask("GET", "/v1/payments/pay_00").status == 404


def test_a_catalog_with_a_card_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text('[payers.ada]\ncurrency = "EUR"\nauto_topup = { amount = "20", method = "4242424242424242" }\n')
    done = process("catalog", "check", path)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 1 and "auto_topup.method" in said and "4242424242424242" not in said


def test_the_limit_of_the_month_holds_however_it_is_asked(tmp_path: Path, processor: Processor) -> None:
    node = paying_node(tmp_path / "books.db", processor)
    fund(node, limit="45", ada="tok_ok")
    for reference in ("a", "b"):
        assert ended(node, pay(node, "ada", reference).json["id"]) == "succeeded"
    refused = pay(node, "ada", "c")
    assert (refused.status, refused.json["code"]) == (409, "payment_limit")
    together(8, lambda number: pay(node, "ada", f"more-{number}", "5"))
    until(lambda: posted(node, "ada") == 50)
    for number in range(8):  # 45 EUR have come in by payments: eight rides are charged or wait
        node.ask("POST", "/v1/usage", [ride(f"r-{number}", "ada")])
    time.sleep(1.5)
    assert posted(node, "ada") == 1 and node.stop() == 0
    with proven(tmp_path / "books.db"):
        pass


def test_no_token_is_in_the_books_the_export_the_log_or_an_answer(tmp_path: Path, processor: Processor) -> None:
    node = paying_node(tmp_path / "books.db", processor)
    fund(node, ada="tok_slow")
    stream = Stream(node, f"/v1/accounts/{balance(node, 'ada')['id']}/events")
    stream.wait_for_cursor()
    made = pay(node, "ada", "one", method="tok_ok")
    ended(node, made.json["id"])
    events = stream.wait(lambda events: any(event["type"] == "payment.succeeded" for event in events))
    told = [event["type"] for event in events if event["subject"] == made.json["id"]]
    assert told == ["payment.created", "payment.sent", "payment.succeeded"]
    stream.close()
    bad = pay(node, "ada", "two", method="tok_ok\u00e9")
    seen = made.body + bad.body + "".join(node.log).encode() + json.dumps(events).encode()
    for path in (f"/v1/payments/{made.json['id']}", f"/v1/charges/{made.json['id']}/explanation", "/metrics"):
        seen += node.ask("GET", path).body
    export = node.ask("GET", "/v1/export").body
    assert node.stop() == 0 and bad.status == 422
    assert b'"type":"payment"' in export and b"tok_" not in export + seen + "".join(node.log).encode()
    file = tmp_path / "books.jsonl"
    file.write_bytes(export)
    done = process("verify", file, "--json")
    assert json.loads(done.stdout)["ok"], done.stdout
    told = process("explain", made.json["id"], "--store", tmp_path / "books.db").stdout.decode()
    assert "The payment succeeded, and its value is in." in told and "20.00" in told and "tok_" not in told


def test_a_processor_without_tls_is_called_only_when_told_so(tmp_path: Path) -> None:
    done = process("serve", "--store", tmp_path / "books.db", "--port", "0", "--payments", "http://127.0.0.1:1")
    assert done.returncode == 1 and b"--allow-private-addresses" in done.stderr


def test_a_processor_that_is_away_is_tried_again(tmp_path: Path) -> None:
    away = Processor()
    away.stop()
    node = paying_node(tmp_path / "books.db", away)
    fund(node, ada="tok_ok")
    id = pay(node, "ada", "r").json["id"]
    until(lambda: state(node, id) == "unknown")
    assert node.stop() == 0
    back = Processor()
    node = paying_node(tmp_path / "books.db", back)
    assert ended(node, id) == "succeeded" and posted(node, "ada") == 25
    assert back.charges()[id]["taken"] == 1 and node.ask("GET", f"/v1/payments/{id}").json["tries"] == 2
    assert node.stop() == 0
    back.stop()
    with proven(tmp_path / "books.db"):
        pass


# ── killed at any moment ──


def killed_again_and_again(folder: Path, rounds: int, seed: int) -> None:
    """Lives that end in the middle of payments; then every payment is what the processor took, once."""
    processor, chance = Processor("--slow", "1", "--pending", "1"), random.Random(seed)
    tokens = {
        "ok": "tok_ok",
        "slow": "tok_slow",
        "broken": "tok_500_after_charge",
        "timeout": "tok_timeout_after_charge",
    }
    wanted: dict[str, str] = {}
    for number in range(rounds):
        node = paying_node(folder / "books.db", processor, "--log", "warning")
        if not number:
            fund(node, **tokens)
        for payer in tokens:
            answer = pay(node, payer, f"life-{number}", "1")
            assert answer.status in (201, 409), answer.body
            if answer.status == 201:
                wanted[answer.json["id"]] = payer
        time.sleep(chance.uniform(0, 1.3))
        assert node.stop(signal.SIGKILL) == -signal.SIGKILL
    node = paying_node(folder / "books.db", processor)
    assert {ended(node, id) for id in wanted} == {"succeeded"}
    charges = processor.charges()
    assert charges.keys() == wanted.keys() and {charge["taken"] for charge in charges.values()} == {1}
    for payer in tokens:
        paid = sum(owner == payer for owner in wanted.values())
        assert posted(node, payer) == 5 + paid, payer
    assert node.stop() == 0
    processor.stop()
    with proven(folder / "books.db"):
        pass


def test_killed_between_sent_and_ended(tmp_path: Path) -> None:
    killed_again_and_again(tmp_path, 6, 1)


@pytest.mark.torture
def test_killed_often_between_sent_and_ended(tmp_path: Path) -> None:
    killed_again_and_again(tmp_path, 150, 2)
