"""Cards over real HTTP: a processor with two faces in a process of its own, and money counted on both sides."""

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
from apportion.adapters.payments.signed import sign
from apportion.engine.payments.saving import CardInput
from apportion.errors import RefusalCode, Refused
from tests.faces.api.nodes import NodeProcess, proven, ride, together
from tests.faces.api.processor import ended, fund, until
from tests.faces.api.till import SECRET, Faces, clearing, paid, posted, refund, refunded, taking_node
from tests.faces.driving import process

PAYERS = "ada ben carl dan eve fay gus hal ida joe".split()


@pytest.fixture(scope="module")
def faces() -> Iterator[Faces]:
    made = Faces()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, faces: Faces) -> Iterator[NodeProcess]:
    made = taking_node(tmp_path_factory.mktemp("cards") / "books.db", faces)
    fund(made, **dict.fromkeys(PAYERS, "tok_ok"))
    yield made
    assert made.stop() == 0, made.log[-5:]
    with proven(made.store):
        pass


def test_a_refund_goes_back_once_and_never_more_than_was_paid(node: NodeProcess, faces: Faces) -> None:
    payment = paid(node, "ada", "one")
    assert posted(node, "ada") == 25
    same = together(8, lambda number: refund(node, payment, "r", "5.00"))
    assert {answer.status for answer in same} == {201} and len({answer.json["id"] for answer in same}) == 1
    assert posted(node, "ada") == 20 and refunded(node, same[0].json["id"]) == "succeeded"
    for amount, code in (("15.01", "bad_amount"), ("0", "bad_amount"), ("-1", "bad_amount"), ("0.001", "bad_amount")):
        assert refund(node, payment, f"x{amount}", amount).json["code"] == code
    assert refund(node, payment, "r", "6.00").json["code"] == "conflict"
    rest = refund(node, payment, "rest").json
    assert rest["amount"] == "15.000000000" and refunded(node, rest["id"]) == "succeeded"
    assert refund(node, payment, "again").json["code"] == "bad_amount" and posted(node, "ada") == 5
    receipt = node.ask("GET", f"/v1/payments/{payment}/receipt").json
    assert receipt["back"] == receipt["amount"] == "20.000000000" and len(receipt["refunds"]) == 2
    assert sum(Decimal(one["amount"]) * one["given"] for one in faces.refunds().values()) == 20
    assert refund(node, "pay_" + "0" * 32, "r").status == 404


@pytest.mark.parametrize(
    "token, end, back",
    [
        ("tok_refund_fails", "failed", 0),
        ("tok_refund_pending", "succeeded", 20),
        ("tok_refund_timeout", "succeeded", 20),
    ],
)
def test_a_refund_ends_as_the_processor_says(node: NodeProcess, faces: Faces, token: str, end: str, back: int) -> None:
    before = posted(node, "ben")
    payment = paid(node, "ben", token, method=token)
    made = refund(node, payment, "r").json["id"]
    assert refunded(node, made) == end and posted(node, "ben") == before + 20 - back
    found = faces.refunds()[made]
    assert (found["given"], found["requests"]) == (bool(back), 1)


def test_what_was_used_up_is_not_refunded(node: NodeProcess) -> None:
    payment = paid(node, "carl", "one")
    for number in range(3):
        node.ask("POST", "/v1/usage", [ride(f"c{number}", "carl")])
    assert posted(node, "carl") == 4 and refund(node, payment, "r").json["code"] == "insufficient_funds"
    assert refund(node, payment, "r", "4.00").status == 201 and posted(node, "carl") == 0


def of_provider(node: NodeProcess, name: str) -> Decimal:
    return Decimal(node.ask("GET", f"/v1/accounts?owner={name}").json["data"][0]["posted"])


def chargebacks(node: NodeProcess, payment: str) -> list[dict[str, Any]]:
    return [one for one in all_chargebacks(node) if one["payment"] == payment]


def all_chargebacks(node: NodeProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = node.ask("GET", "/v1/chargebacks?limit=200").json["data"]
    return found


def test_a_chargeback_takes_the_value_by_force_and_providers_keep_theirs(node: NodeProcess, faces: Faces) -> None:
    payment = paid(node, "dan", "one")
    for number in range(3):
        node.ask("POST", "/v1/usage", [ride(f"d{number}", "dan")])
    earned, cost = of_provider(node, "dora"), Decimal(clearing(node)["cost"])
    reference = faces.dispute(payment)
    found = until(lambda: chargebacks(node, payment))[0]
    assert (found["state"], found["taken"], found["fee"]) == ("open", "20.000000000", "15.000000000")
    assert posted(node, "dan") == 5 + 20 - 21 - 20 and of_provider(node, "dora") == earned
    assert Decimal(clearing(node)["cost"]) == cost - 15
    pack = node.ask("GET", f"/v1/chargebacks/{found['id']}/evidence").json
    assert pack["payer"] == "dan" and len(pack["charges"]) == 3 and pack["payment"]["id"] == payment
    assert "1.7371" not in json.dumps(pack)  # nobody's wholesale price leaves the house with it
    faces.do("POST", f"/disputes/{reference}", {"state": "lost"})
    until(lambda: chargebacks(node, payment)[0]["state"] == "lost")
    assert posted(node, "dan") == -16 and refund(node, payment, "r").json["code"] == "bad_amount"


def test_a_chargeback_that_is_won_gives_it_back_in_whatever_order_it_is_told(node: NodeProcess, faces: Faces) -> None:
    payment = paid(node, "eve", "one")
    cost = Decimal(clearing(node)["cost"])
    faces.dispute(payment, "won", "12.00")
    until(lambda: [one["state"] for one in chargebacks(node, payment)] == ["won"])
    time.sleep(1)  # what is told twice, and the beginning after the end, changes nothing
    assert posted(node, "eve") == 25 and Decimal(clearing(node)["cost"]) == cost - 15
    assert node.ask("GET", f"/v1/payments/{payment}/receipt").json["back"] in ("0", "0.000000000")


def test_a_chargeback_during_a_refund_takes_the_value_once(node: NodeProcess, faces: Faces) -> None:
    payment = paid(node, "fay", "one", method="tok_chargeback_during_refund")
    made = refund(node, payment, "r").json["id"]
    assert refunded(node, made) == "failed"
    found = until(lambda: [one for one in chargebacks(node, payment) if one["taken"] == "20.000000000"])
    assert len(found) == 1 and posted(node, "fay") == 5
    receipt = node.ask("GET", f"/v1/payments/{payment}/receipt").json
    assert receipt["back"] == "20.000000000" and faces.refunds()[made]["given"] == 0


def test_what_is_forged_is_refused_and_books_nothing(node: NodeProcess, faces: Faces) -> None:
    payment = paid(node, "gus", "one")
    entries = node.ask("GET", "/v1/export").body.count(b'"type":"entry"')
    notice = {
        "event": "evt_x", "kind": "chargeback", "reference": "dp_x", "payment": payment, "state": "open",
        "amount": "20.00", "currency": "EUR",
    }  # fmt: skip
    body, now = json.dumps(notice).encode(), int(time.time())
    path = "/v1/processors/http/events"
    late, another = sign(SECRET, body, now - 900), sign("another", body, now)
    for header in ("", "t=1,v1=00", another, sign(SECRET, body + b" ", now), late):
        answer = node.ask("POST", path, body, "none", stripe_signature=header)
        assert answer.status == 422 and answer.json["field"] == "Stripe-Signature", header
    bad = sign(SECRET, b"{}", now)
    assert node.ask("POST", path, b"{}", "none", stripe_signature=bad).status == 422
    assert node.ask("POST", "/v1/processors/other/events", body, "none").status == 404
    assert chargebacks(node, payment) == [] and posted(node, "gus") == 25
    assert node.ask("GET", "/v1/export").body.count(b'"type":"entry"') == entries
    more = json.dumps(notice | {"amount": "20.01"}).encode()
    assert node.ask("POST", path, more, "none", stripe_signature=sign(SECRET, more, now)).json["code"] == "bad_amount"
    other = json.dumps(notice | {"payment": "pay_" + "0" * 32}).encode()
    assert node.ask("POST", path, other, "none", stripe_signature=sign(SECRET, other, now)).status == 200
    faces.dispute(payment, "won")
    until(lambda: [one["state"] for one in chargebacks(node, payment)] == ["won"])
    forged = [one["status"] for one in faces.do("GET", "/told") if one["forged"]]
    assert forged and set(forged) <= {422, 0} and posted(node, "gus") == 25


def test_a_card_is_saved_on_a_page_and_pays_without_a_token(node: NodeProcess, faces: Faces) -> None:
    key = node.key("user", "hal")
    with apportion.Client(node.url, key=key) as client:
        asked = client.cards.save(CardInput("EUR", "mine", return_to="https://shop.example/back"))
        assert asked.state == "asked" and asked.url.startswith("https://fake.example/cs_")
        assert client.cards.save(CardInput("EUR", "mine", return_to="https://shop.example/back")) == asked
        faces.do("POST", f"/cards/{asked.url.rpartition('/')[2]}", {"method": "tok_ok"})
        kept = until(lambda: (card := client.cards.get(asked.id)).state == "saved" and card)
        assert (kept.brand, kept.last4, kept.expires, kept.url) == ("visa", "4242", "2030-12", "")
        with pytest.raises(Refused) as error:
            client.cards.save(CardInput("EUR", "theirs", payer="ada"))
        assert error.value.refusal.code is RefusalCode.NOT_FOUND
        assert client.cards.remove(asked.id).state == "removed" and client.cards.get(asked.id).last4 == ""


def test_payouts_are_matched_and_the_clearing_account_is_explained(tmp_path: Path) -> None:
    faces = Faces()
    node = taking_node(tmp_path / "books.db", faces)
    fund(node, ada="tok_ok", ben="tok_ok")
    first, second = paid(node, "ada", "a", "20"), paid(node, "ben", "b", "30")
    assert Decimal(clearing(node)["balance"]) == -50 and len(clearing(node)["remainders"]) == 2
    assert refunded(node, refund(node, first, "r", "5").json["id"]) == "succeeded"
    faces.do("POST", "/deposits")
    until(lambda: Decimal(clearing(node)["balance"]) == 0)
    now = clearing(node)
    assert now["remainders"] == [] and Decimal(now["cost"]) == Decimal("-0.50")
    cash = next(one for one in node.ask("GET", "/v1/accounts?role=cash").json["data"])
    assert Decimal(cash["posted"]) == -10 - Decimal("44.50")  # two openings, and what came to the bank
    reference = faces.dispute(second)
    until(lambda: Decimal(clearing(node)["balance"]) == 45)
    faces.do("POST", "/deposits")
    until(lambda: Decimal(clearing(node)["balance"]) == 0)
    faces.do("POST", f"/disputes/{reference}", {"state": "won"})
    until(lambda: Decimal(clearing(node)["balance"]) == -30)
    faces.do("POST", "/deposits")
    until(lambda: Decimal(clearing(node)["balance"]) == 0)
    assert Decimal(clearing(node)["cost"]) == Decimal("-15.50") and posted(node, "ben") == 35
    assert node.stop() == 0
    faces.stop()
    with proven(tmp_path / "books.db"):
        pass


def test_a_payout_waits_for_a_payment_whose_outcome_is_not_known(tmp_path: Path) -> None:
    faces = Faces("--unknown", "3")
    node = taking_node(tmp_path / "books.db", faces)
    fund(node, ada="tok_unknown")
    given = {"payer": "ada", "amount": "20", "currency": "EUR", "reference": "one"}
    made = node.ask("POST", "/v1/payments", given).json["id"]
    until(lambda: node.ask("GET", f"/v1/payments/{made}").json["state"] == "unknown")
    faces.do("POST", "/deposits")
    until(lambda: any(one["status"] == 503 for one in faces.do("GET", "/told")))
    assert ended(node, made) == "succeeded"
    until(lambda: clearing(node)["remainders"] == [] and Decimal(clearing(node)["cost"]) == Decimal("-0.25"))
    assert node.stop() == 0
    faces.stop()
    with proven(tmp_path / "books.db"):
        pass


def test_a_payment_that_the_processor_never_booked_stays_explained_in_transit(node: NodeProcess) -> None:
    paid(node, "ida", "one")
    left = [one for one in clearing(node)["remainders"] if one["why"].startswith("paid")]
    assert left and all(one["id"].startswith("rcp_") for one in left)


def test_a_saved_card_fills_the_account_by_itself(tmp_path: Path) -> None:
    faces = Faces()
    node = taking_node(tmp_path / "books.db", faces)
    fund(node, ada="")
    asked = node.ask("POST", "/v1/cards", {"payer": "ada", "currency": "EUR", "reference": "c"}).json
    used = node.ask("POST", "/v1/usage", [ride("one", "ada")]).json["records"][0]
    assert used["state"] == "pending"  # nothing can be fetched yet: there is no card
    faces.do("POST", f"/cards/{asked['url'].rpartition('/')[2]}")
    until(lambda: node.ask("GET", f"/v1/cards/{asked['id']}").json["state"] == "saved")
    assert node.ask("POST", "/v1/usage", [ride("two", "ada")]).status == 200
    until(lambda: posted(node, "ada") == 5 + 20 - 14)
    assert [charge["method"] for charge in faces.charges().values() if charge["taken"]] == ["tok_ok"]
    assert node.ask("DELETE", f"/v1/cards/{asked['id']}").json["state"] == "removed"
    given = {"payer": "ada", "amount": "1", "currency": "EUR", "reference": "x"}
    gone = node.ask("POST", "/v1/payments", given)
    assert gone.status == 201 and ended(node, gone.json["id"]) == "failed"  # the card that vanished
    assert node.stop() == 0
    faces.stop()
    with proven(tmp_path / "books.db"):
        pass


# ── a statement is paid by a card ──


def owing(node: NodeProcess, payer: str, rides: int) -> dict[str, Any]:
    """A payer that owes so many rides, and the statement that asks for them."""
    for number in range(rides):
        answer = node.ask("POST", "/v1/usage", [ride(f"{payer}-{number}", payer)])
        assert answer.json["records"][0]["state"] == "charged", answer.body
    made = node.ask("POST", "/v1/statements", {"period": "2026-10", "who": payer}).json["data"]
    return dict(node.ask("GET", f"/v1/statements/{made[0]['id']}").json)


def test_a_statement_is_charged_to_a_card_until_it_is_paid_and_no_further(node: NodeProcess, faces: Faces) -> None:
    statement = owing(node, "zoe", 3)
    assert statement["due"] == "21.00"
    path = f"/v1/statements/{statement['number']}/pay"
    assert node.ask("POST", path, {}).json["field"] == "method"  # no card yet
    declined = node.ask("POST", path, {"method": "tok_declined"}).json
    assert ended(node, declined["id"]) == "failed" and posted(node, "zoe") == -21
    asked = node.ask("POST", "/v1/cards", {"payer": "zoe", "currency": "EUR", "reference": "c"}).json
    faces.do("POST", f"/cards/{asked['url'].rpartition('/')[2]}", {"method": "tok_pending_then_ok"})
    until(lambda: node.ask("GET", f"/v1/cards/{asked['id']}").json["state"] == "saved")
    key = node.key("user", "zoe")
    same = together(6, lambda number: node.ask("POST", path, {}, key))
    assert len({answer.json["id"] for answer in same}) == 1, [answer.body for answer in same]
    made = same[0].json
    assert made["amount"] == "21.000000000" and ended(node, made["id"]) == "succeeded"
    assert posted(node, "zoe") == 0 and node.ask("POST", path, {}, key).json["code"] == "conflict"
    assert node.ask("POST", path, {}, node.key("user", "ada")).status == 404
    assert node.ask("POST", "/v1/statements/S-999999/pay", {}).status == 404
    advice = node.ask("POST", "/v1/statements", {"period": "2026-10", "who": "dora"}).json["data"][0]
    assert advice["kind"] == "remittance"
    assert node.ask("POST", f"/v1/statements/{advice['id']}/pay", {}).status == 404


def test_what_came_in_since_is_taken_off_a_statement(node: NodeProcess) -> None:
    statement = owing(node, "yan", 2)
    node.ask("POST", "/v1/topups", {"payer": "yan", "amount": "4.50", "currency": "EUR", "reference": "bank 1"})
    node.ask("POST", "/v1/usage", [ride("later", "yan", start="2026-11-02T10:00:00Z")])
    made = node.ask("POST", f"/v1/statements/{statement['id']}/pay", {"method": "tok_ok"}).json
    assert made["amount"] == "9.500000000" and ended(node, made["id"]) == "succeeded"
    assert posted(node, "yan") == -7  # what was used since is asked for by the next one
    view = node.ask("GET", f"/v1/payments/{made['id']}").json
    assert view["cause"] == statement["id"]


def test_the_evidence_of_a_statement_is_its_charges(node: NodeProcess, faces: Faces, tmp_path: Path) -> None:
    statement = owing(node, "xia", 2)
    made = node.ask("POST", f"/v1/statements/{statement['id']}/pay", {"method": "tok_ok"}).json
    assert ended(node, made["id"]) == "succeeded"
    node.ask("POST", "/v1/usage", [ride("after", "xia", start="2026-11-02T10:00:00Z")])
    faces.dispute(made["id"])
    found = until(lambda: chargebacks(node, made["id"]))[0]
    assert posted(node, "xia") == -21
    with apportion.Client(node.url, key=node.first_key) as client:
        pack = client.cards.evidence(found["id"])
        assert pack.statement is not None and pack.statement.id == statement["id"] and len(pack.charges) == 2
        assert {(one.view, one.start, one.shares[0].amount) for one in pack.charges} == {
            ("user", "2026-10-16T08:05:00Z", "7.000000000")
        }
    done = process(
        "chargeback", "evidence", found["id"], "--html", tmp_path / "e.html", "--store", node.url,
        env={"APPORTION_KEY": node.first_key},
    )  # fmt: skip
    page = (tmp_path / "e.html").read_text()
    assert done.returncode == 0, done.stderr
    assert (
        statement["number"] in page
        and "14.00" in page
        and page.count("7.00 EUR") == 2
        and page.count("chg_") == 2
        and "1.7371" not in page
    )


def test_the_commands_do_the_same(node: NodeProcess, faces: Faces) -> None:
    def run(*words: object) -> Any:
        found = process(*words, "--store", node.url, "--json", env={"APPORTION_KEY": node.first_key})
        assert found.returncode == 0, found.stdout + found.stderr
        return json.loads(found.stdout)

    card = run("card", "save", "joe", "EUR", "--return-to", "https://shop.example/")
    faces.do("POST", f"/cards/{card['url'].rpartition('/')[2]}")
    until(lambda: run("card", "show", card["id"])["state"] == "saved")
    payment = paid(node, "joe", "cli", method="")
    made = run("refund", payment, "3.50", "--reference", "cli")
    assert refunded(node, made["id"]) == "succeeded" and posted(node, "joe") == Decimal("21.50")
    assert run("explain", made["id"])["title"] == "a refund of 3.500000000 EUR"
    faces.dispute(payment, amount="5.00")
    until(lambda: [one["taken"] for one in run("chargeback", "list") if one["payment"] == payment] == ["5.000000000"])
    assert run("card", "remove", card["id"])["state"] == "removed"
    assert {one["processor"] for one in run("clearing")} == {"http"}


def test_a_chargeback_and_a_refund_stand_on_the_next_statement(tmp_path: Path) -> None:
    faces = Faces()
    node = taking_node(tmp_path / "books.db", faces)
    fund(node, ada="tok_ok")
    payment = paid(node, "ada", "one")
    node.ask("POST", "/v1/usage", [ride("x", "ada")])
    assert refunded(node, refund(node, payment, "r", "4").json["id"]) == "succeeded"
    faces.dispute(payment)
    until(lambda: posted(node, "ada") == -2)
    made = node.ask("POST", "/v1/statements", {"period": "2026-10", "who": "ada"}).json["data"]
    found = node.ask("GET", f"/v1/statements/{made[0]['id']}").json
    kinds = [(one["kind"], one["amount"]) for one in found["received"]]
    assert kinds == [("opening", "5.00"), ("topup", "20.00"), ("refund", "-4.00"), ("chargeback", "-16.00")]
    assert (found["payments"], found["total"], found["due"]) == ("5.00", "7.00", "2.00")
    assert node.stop() == 0
    faces.stop()
    with proven(tmp_path / "books.db"):
        pass


# ── killed at any moment ──


def killed_again_and_again(folder: Path, rounds: int, seed: int) -> None:
    """Lives that end in the middle of payments, refunds and chargebacks: each real movement is booked once."""
    faces, chance = Faces(), random.Random(seed)
    tokens = {
        "ok": "tok_ok", "timeout": "tok_timeout_after_charge", "broken": "tok_500_after_charge",
        "fails": "tok_refund_fails", "slow": "tok_refund_timeout", "both": "tok_chargeback_during_refund",
    }  # fmt: skip
    payments: dict[str, str] = {}
    refunds: dict[str, str] = {}
    disputed: set[str] = set()
    for number in range(rounds):
        node = taking_node(folder / "books.db", faces, "--log", "warning")
        if not number:
            fund(node, **tokens)
        for payer in tokens:
            given = {"payer": payer, "amount": "7", "currency": "EUR", "reference": f"life-{number}"}
            answer = node.ask("POST", "/v1/payments", given)
            if answer.status == 201:
                payments[answer.json["id"]] = payer
        for payment, payer in list(payments.items()):
            if node.ask("GET", f"/v1/payments/{payment}").json["state"] != "succeeded":
                continue
            if payer == "broken" and payment not in disputed:
                disputed.add(payment)
                faces.dispute(payment, chance.choice(("", "won", "lost")))
            elif payer != "broken":
                answer = refund(node, payment, "r", "3")
                if answer.status == 201:
                    refunds[answer.json["id"]] = payment
        time.sleep(chance.uniform(0, 1.3))
        assert node.stop(signal.SIGKILL) == -signal.SIGKILL
    node = taking_node(folder / "books.db", faces)
    assert {ended(node, id) for id in payments} == {"succeeded"}
    for id in refunds:
        refunded(node, id)
    until(lambda: len(all_chargebacks(node)) == len(faces.do("GET", "/disputes")))
    states = {one["reference"]: one["state"] for one in faces.do("GET", "/disputes")}
    until(
        lambda: (
            {c["reference"]: c["state"] for c in node.ask("GET", "/v1/chargebacks?limit=200").json["data"]} == states
        )
    )
    _counted(node, faces, payments)
    faces.do("POST", "/deposits")
    until(lambda: Decimal(clearing(node)["balance"]) == 0)
    assert node.stop() == 0
    faces.stop()
    with proven(folder / "books.db"):
        pass


def _counted(node: NodeProcess, faces: Faces, payments: dict[str, str]) -> None:
    """Every payer has what the processor took of it, less what it gave back or lost; nothing else."""
    charges = faces.charges()
    for payer in set(payments.values()):
        mine = {id for id, who in payments.items() if who == payer}
        took = sum(Decimal(charges[id]["amount"]) * charges[id]["taken"] for id in mine)
        gave = sum(Decimal(one["amount"]) * one["given"] for one in faces.refunds().values() if one["payment"] in mine)
        lost = sum(
            Decimal(one["amount"])
            for one in faces.do("GET", "/disputes")
            if one["payment"] in mine and one["state"] != "won"
        )
        assert posted(node, payer) == 5 + took - gave - lost, payer
        assert all(charges[id]["taken"] == 1 for id in mine)


def test_killed_in_between_every_real_charge_has_one_credit(tmp_path: Path) -> None:
    killed_again_and_again(tmp_path, 3, 7)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(3))
def test_killed_for_long(tmp_path: Path, seed: int) -> None:
    killed_again_and_again(tmp_path, 12, seed)
