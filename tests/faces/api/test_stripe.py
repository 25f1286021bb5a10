"""The Stripe SDK against localstripe in its own process: saved cards, charges, declines, authentication, refunds.

What localstripe lacks (idempotency keys, disputes, payouts with items, hosted pages) is shown by our own fake, and by
the adapter's own tests.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from apportion.adapters.payments.signed import sign
from tests.faces.api.nodes import NodeProcess, catalog, proven, ride
from tests.faces.api.processor import ended, until
from tests.faces.api.striped import (
    AUTHENTICATION,
    DECLINED,
    DECLINED_AT_ATTACH,
    OK,
    SECRET,
    LocalStripe,
    striped_node,
)
from tests.faces.api.till import clearing, posted, refund, refunded
from tests.faces.driving import process

pytest.importorskip("stripe")
pytest.importorskip("localstripe")
PATH = "/v1/processors/stripe/events"


@pytest.fixture(scope="module")
def stripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStripe]:
    made = LocalStripe(tmp_path_factory.mktemp("localstripe"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, stripe: LocalStripe) -> Iterator[NodeProcess]:
    made = striped_node(tmp_path_factory.mktemp("striped") / "books.db", stripe)
    assert made.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog(opening="5"))).status == 200
    yield made
    assert made.stop() == 0, made.log[-5:]
    with proven(made.store):
        pass


def saved(node: NodeProcess, stripe: LocalStripe, payer: str, number: str = OK) -> dict[str, Any]:
    """A card that a payer has given to the processor's script."""
    for record in range(2):
        node.ask("POST", "/v1/usage", [ride(f"{payer}-{record}", payer)])
    given = {"payer": payer, "currency": "EUR", "reference": f"card {number[-4:]}"}
    asked = node.ask("POST", "/v1/cards", given)
    assert asked.status == 201, asked.body
    secret = asked.json["secret"]
    setup = secret.partition("_secret_")[0]
    stripe.ask("POST", f"/v1/setup_intents/{setup}/confirm", client_secret=secret, payment_method=stripe.method(number))
    path = f"/v1/cards/{asked.json['id']}"
    return dict(until(lambda: (card := node.ask("GET", path).json)["state"] == "saved" and card))


def pay(node: NodeProcess, payer: str, reference: str, amount: str = "20", **more: str) -> str:
    given = {"payer": payer, "amount": amount, "currency": "EUR", "reference": reference, **more}
    made = node.ask("POST", "/v1/payments", given)
    assert made.status == 201, made.body
    return str(made.json["id"])


def test_a_card_is_saved_without_its_number_and_pays_from_then_on(node: NodeProcess, stripe: LocalStripe) -> None:
    card = saved(node, stripe, "cleo")
    assert (card["brand"], card["last4"], card["expires"]) == ("visa", "4242", "2030-12") and "secret" not in card
    made = pay(node, "cleo", "one", "20.05")
    assert ended(node, made) == "succeeded" and posted(node, "cleo") == Decimal("6.05")
    view = node.ask("GET", f"/v1/payments/{made}").json
    intent = stripe.ask("GET", f"/v1/payment_intents/{view['reference']}")
    assert (intent["amount"], intent["currency"], intent["metadata"]) == (2005, "eur", {"apportion_id": made})
    assert intent["customer"] and view["tries"] == 1


def test_a_statement_and_its_refund_go_through_the_card(node: NodeProcess, stripe: LocalStripe) -> None:
    saved(node, stripe, "dido")
    issued = node.ask("POST", "/v1/statements", {"period": "2026-10", "who": "dido"}).json["data"][0]
    made = node.ask("POST", f"/v1/statements/{issued['id']}/pay", {}).json
    assert made["amount"] == "14.000000000" and ended(node, made["id"]) == "succeeded" and posted(node, "dido") == 0
    more = pay(node, "dido", "more", "10")
    assert ended(node, more) == "succeeded"
    back = refund(node, more, "r", "4.00").json["id"]
    assert refunded(node, back) == "succeeded" and posted(node, "dido") == 6
    listed = stripe.ask("GET", "/v1/refunds?limit=100")["data"]
    found = [one for one in listed if one["metadata"] == {"apportion_id": back}]
    assert [one["amount"] for one in found] == [400]
    assert refund(node, more, "r2", "6.01").json["code"] == "bad_amount"


@pytest.mark.parametrize("number, reason", [(DECLINED, "card_declined"), (AUTHENTICATION, "authentication_required")])
def test_what_is_declined_or_wants_its_holder_fails_for_ever(
    node: NodeProcess, stripe: LocalStripe, number: str, reason: str
) -> None:
    payer = f"p{number[-4:]}"
    node.ask("POST", "/v1/usage", [ride(payer, payer)])
    made = pay(node, payer, "one", method=stripe.method(number))
    assert ended(node, made) == "failed" and posted(node, payer) == -7
    assert node.ask("GET", f"/v1/payments/{made}").json["reason"] == reason
    mine = [one for one in stripe.intents() if one["metadata"] == {"apportion_id": made}]
    assert [one["status"] for one in mine] == ["canceled"]  # nobody can confirm it any more


def test_a_card_that_is_declined_when_it_is_given_is_not_saved(node: NodeProcess, stripe: LocalStripe) -> None:
    node.ask("POST", "/v1/usage", [ride("emma", "emma")])
    asked = node.ask("POST", "/v1/cards", {"payer": "emma", "currency": "EUR", "reference": "c"}).json
    setup = asked["secret"].partition("_secret_")[0]
    stripe.ask("POST", f"/v1/setup_intents/{setup}/confirm", payment_method=stripe.method(DECLINED_AT_ATTACH))
    until(lambda: node.ask("GET", f"/v1/cards/{asked['id']}").json["state"] == "failed")
    given = {"payer": "emma", "amount": "1", "currency": "EUR", "reference": "x"}
    assert node.ask("POST", "/v1/payments", given).json["field"] == "method"


def test_a_card_that_vanished_fails_and_books_nothing(node: NodeProcess) -> None:
    node.ask("POST", "/v1/usage", [ride("flo", "flo")])
    made = pay(node, "flo", "one", method="pm_vanished")
    assert ended(node, made) == "failed" and posted(node, "flo") == -7


def test_webhooks_are_verified_and_change_nothing_twice(node: NodeProcess, stripe: LocalStripe) -> None:
    saved(node, stripe, "gil")
    made = pay(node, "gil", "one")
    assert ended(node, made) == "succeeded"
    event = next(one for one in stripe.ask("GET", "/v1/events?limit=100")["data"] if _about(one, made))
    body = json.dumps(event).encode()
    for _ in range(3):
        header = sign(SECRET, body, int(time.time()))
        assert node.ask("POST", PATH, body, "none", stripe_signature=header).status == 200
    assert node.ask("POST", PATH, body, "none", stripe_signature=sign("x", body, int(time.time()))).status == 422
    time.sleep(1.5)  # those that localstripe sent by itself have come too
    assert posted(node, "gil") == -14 + 20


def _about(event: dict[str, Any], payment: str) -> bool:
    about = event["data"]["object"]
    return event["type"] == "payment_intent.succeeded" and about["metadata"] == {"apportion_id": payment}


def test_a_dispute_of_stripe_is_found_by_its_intent(node: NodeProcess, stripe: LocalStripe) -> None:
    saved(node, stripe, "hera")
    made = pay(node, "hera", "one", "30")
    assert ended(node, made) == "succeeded"
    intent = node.ask("GET", f"/v1/payments/{made}").json["reference"]
    dispute = {
        "id": "dp_1", "object": "dispute", "payment_intent": intent, "amount": 3000, "currency": "eur",
        "status": "needs_response", "reason": "fraudulent", "evidence_details": {"due_by": 1_800_000_000},
        "balance_transactions": [{"amount": -3000, "fee": 2000, "net": -5000}],
    }  # fmt: skip
    for status in ("won", "needs_response", "won"):  # the end is told before the beginning, and twice
        event = {"id": "evt_1", "type": "charge.dispute.closed", "data": {"object": dispute | {"status": status}}}
        body = json.dumps(event).encode()
        answer = node.ask("POST", PATH, body, "none", stripe_signature=sign(SECRET, body, int(time.time())))
        assert answer.status == 200, answer.body
    found = node.ask("GET", "/v1/chargebacks").json["data"]
    assert [(one["state"], one["fee"], one["taken"]) for one in found] == [("won", "20.000000000", "30.000000000")]
    assert found[0]["respond_by"] == "2027-01-15T08:00:00Z"
    assert posted(node, "hera") == 16 and Decimal(clearing(node)["cost"]) == -20
    event = {"id": "e", "type": "charge.dispute.created", "data": {"object": dispute | {"payment_intent": "pi_x"}}}
    foreign = json.dumps(event).encode()
    header = sign(SECRET, foreign, int(time.time()))
    assert node.ask("POST", PATH, foreign, "none", stripe_signature=header).status == 200  # none of ours


def test_no_card_number_is_anywhere(node: NodeProcess, stripe: LocalStripe) -> None:
    saved(node, stripe, "iris")
    assert ended(node, pay(node, "iris", "one")) == "succeeded"
    for text in (OK, "4242 4242 4242 4242", "4242-4242-4242-4242"):
        given = {"payer": "iris", "amount": "1", "currency": "EUR", "reference": "n", "method": text}
        refused = node.ask("POST", "/v1/payments", given)
        assert refused.status == 422 and b"4242" not in refused.body
        assert node.ask("POST", "/v1/statements/S-000001/pay", {"method": text}).status in (404, 422)
    export = node.ask("GET", "/v1/export").body
    files = [path.read_bytes() for path in node.store.parent.iterdir() if path.is_file()]
    for content in (export, "".join(node.log).encode(), node.said.encode(), *files):
        assert numbers_of_cards(content) == []
    assert b"pm_" not in export and b"cus_" not in export and b"sk_test" not in export


def numbers_of_cards(content: bytes) -> list[bytes]:
    """Runs of digits that begin and check as a card's number does; such a run by chance is one of a test's cards."""
    found = []
    for run in re.findall(rb"(?<![0-9a-fA-F.])[3-6](?:[ -]?[0-9]){12,18}(?![0-9a-fA-F])", content):
        digits = [int(c) for c in run.decode() if c.isdigit()]
        doubled = [d if i % 2 == 0 else (d * 2 - 9 if d > 4 else d * 2) for i, d in enumerate(reversed(digits))]
        if sum(doubled) % 10 == 0:
            found.append(run)
    return found


def test_the_search_for_card_numbers_finds_them() -> None:
    assert len(numbers_of_cards(b'x "4242424242424242" y 5555 5555 5555 4444, 378282246310005')) == 3
    assert numbers_of_cards(b"4242424242424241 and deadbeef4242424242424242") == []


def test_killed_after_the_charge_it_is_found_again_and_not_charged_twice(tmp_path: Path, stripe: LocalStripe) -> None:
    import signal

    node = striped_node(tmp_path / "books.db", stripe)
    assert node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog(opening="5"))).status == 200
    token = stripe.method(OK)
    made = [pay(node, payer, "one", method=token) for payer in ("ada", "ben")]
    until(lambda: any(one["metadata"] == {"apportion_id": made[0]} for one in stripe.intents()))
    assert node.stop(signal.SIGKILL) == -signal.SIGKILL
    node = striped_node(tmp_path / "books.db", stripe)
    assert {ended(node, id) for id in made} == {"succeeded"} and posted(node, "ada") == posted(node, "ben") == 25
    for id in made:
        assert len([one for one in stripe.intents() if one["metadata"] == {"apportion_id": id}]) == 1
    assert node.stop() == 0
    with proven(tmp_path / "books.db"):
        pass


def test_without_its_key_or_with_a_wrong_address_it_does_not_start(tmp_path: Path) -> None:
    done = process("serve", "--store", tmp_path / "books.db", "--port", "0", "--payments", "stripe")
    assert done.returncode == 1 and b"APPORTION_PAYMENTS_KEY" in done.stderr
    words = ("serve", "--store", tmp_path / "books.db", "--port", "0", "--payments", "stripe+http://127.0.0.1:1")
    done = process(*words, env={"APPORTION_PAYMENTS_KEY": "sk_test_1"})
    assert done.returncode == 1 and b"--allow-private-addresses" in done.stderr
