"""B11: Charge a credit card: what is owed is taken from it once, and booked only when the processor says so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.claims.conftest import Program
from tests.claims.paying import CALLS, Till


@pytest.fixture
def till(apportion: Program) -> Iterator[Till]:
    made = Till(apportion, CALLS)
    yield made
    made.processor.stop()


def test_a_saved_card_pays_what_is_owed_once_and_a_refund_goes_back_to_it(till: Till) -> None:
    till.use("ada", "30", "45", "12.5")
    assert till.balance("ada") == Decimal("-8.75")
    till.card("ada")
    given = {"payer": "ada", "amount": "8.75", "currency": "EUR", "reference": "october"}
    made = till.ask("POST", "/v1/payments", given)
    assert till.ask("POST", "/v1/payments", given)["id"] == made["id"]
    assert till.ended(made["id"])["state"] == "succeeded" and till.balance("ada") == 0
    assert till.processor.took() == [(made["id"], Decimal("8.75"))]

    back = till.ask("POST", f"/v1/payments/{made['id']}/refund", {"reference": "sorry", "amount": "2.00"})
    till.wait(lambda: till.ask("GET", f"/v1/refunds/{back['id']}")["state"] == "succeeded")
    more = till.ask("POST", f"/v1/payments/{made['id']}/refund", {"reference": "more", "amount": "6.76"}, status=422)
    assert more["code"] == "bad_amount" and till.balance("ada") == -2

    books = till.stop()
    assert books.balances("provider") == {"oak": Decimal("1.8375"), "elm": Decimal("2.93125"), "ash": Decimal("0.875")}
    assert books.balances("transit") == {"http": Decimal("-6.75")}
    assert not re.search(rb"tok_ok|4242", till.program("export", "--store", "books.db").out.encode())


def test_a_declined_card_changes_nothing_and_a_lost_answer_neither_charges_twice_nor_credits_early(till: Till) -> None:
    till.use("ada", "10")
    given = {"payer": "ada", "amount": "1.00", "currency": "EUR"}
    declined = till.ask("POST", "/v1/payments", given | {"reference": "a", "method": "tok_declined"})
    assert till.ended(declined["id"])["state"] == "failed" and till.balance("ada") == -1
    lost = till.ask("POST", "/v1/payments", given | {"reference": "b", "method": "tok_500_after_charge"})
    assert till.ended(lost["id"])["state"] == "succeeded" and till.balance("ada") == 0
    assert till.processor.took() == [(lost["id"], Decimal("1.00"))]
    refused = till.ask("POST", "/v1/payments", given | {"reference": "c", "method": "4242424242424242"}, status=422)
    assert refused["field"] == "method"
    till.stop()


def test_a_chargeback_takes_it_back_by_force_and_providers_keep_what_they_earned(till: Till) -> None:
    till.use("ada", "100")
    given = {"payer": "ada", "amount": "10.00", "currency": "EUR", "reference": "a", "method": "tok_ok"}
    paid = till.ended(till.ask("POST", "/v1/payments", given)["id"])
    reference = till.processor.ask("POST", "/disputes", {"payment": paid["id"]})["reference"]
    till.wait(lambda: till.ask("GET", "/v1/chargebacks")["data"])
    assert till.balance("ada") == -10 and till.balance("elm") == Decimal("3.35")
    pack = till.ask("GET", f"/v1/chargebacks/{till.ask('GET', '/v1/chargebacks')['data'][0]['id']}/evidence")
    assert pack["payer"] == "ada" and pack["payment"]["id"] == paid["id"]
    till.processor.ask("POST", f"/disputes/{reference}", {"state": "won"})
    till.wait(lambda: till.balance("ada") == 0)
    till.processor.ask("POST", "/deposits")
    till.wait(lambda: till.ask("GET", "/v1/clearing")["data"][0]["remainders"] == [])
    books = till.stop()
    assert books.balances("transit") == {"http": Decimal(0)}
    assert books.balances("cost") == {"http": Decimal("-15.25")}  # what the processor kept of it
    assert books.balances("cash") == {"outside": Decimal("5.25")}  # 10.00 − 0.25 and − 15.00 came to the bank
