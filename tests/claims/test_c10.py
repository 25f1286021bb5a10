"""C10: Charge the aggregate to a credit card: one statement over all providers is one charge, to the last cent."""

from __future__ import annotations

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


def test_all_providers_charges_are_one_statement_and_one_charge_to_the_card(till: Till) -> None:
    till.use("ada", "33.333", "7", "0.5", "120.07")
    bill = till.bill("ada")
    took_part = {one["provider"] for section in bill["sections"] for one in section["providers"]}
    assert took_part == {"oak", "elm", "ash"} and bill["total"] == bill["due"] == "16.09"
    key = str(till.ask("POST", "/v1/keys", {"role": "user", "party": "ada"})["secret"])
    till.card("ada")
    made = till.ask("POST", f"/v1/statements/{bill['number']}/pay", {}, key=key)
    assert till.ended(made["id"])["state"] == "succeeded"
    assert till.processor.took() == [(made["id"], Decimal("16.09"))]
    again = till.ask("POST", f"/v1/statements/{bill['number']}/pay", {}, key=key, status=409)
    assert again["code"] == "conflict" and len(till.processor.took()) == 1
    books = till.stop()
    fees = {"oak": "0.021", "elm": "0.0335", "ash": "0.01"}
    assert books.balances("provider") == {who: Decimal("160.903") * Decimal(fee) for who, fee in fees.items()}
    assert books.balances("payer")["ada"] == Decimal("16.09") - Decimal("16.0903")  # rounding, carried to the next one


def test_the_command_line_charges_it_and_a_declined_card_is_tried_again(till: Till) -> None:
    till.use("ben", "200")
    bill = till.bill("ben")
    store = f"http://{till.address}"
    till.program.env["APPORTION_KEY"] = till.key
    first = till.program("pay", bill["number"], "--method", "tok_declined", "--store", store, "--json").json()
    assert till.ended(first["id"])["state"] == "failed" and till.balance("ben") == -20
    till.card("ben", "tok_pending_then_ok")
    second = till.program("pay", bill["number"], "--store", store, "--json").json()
    assert second["id"] != first["id"] and second["amount"] == "20.000000000"
    assert till.ended(second["id"])["state"] == "succeeded" and till.balance("ben") == 0
    said = till.program("pay", bill["number"], "--store", store, code=1)
    assert "nothing is open" in said.err
    table = till.program("clearing", "--store", store, "--json").json()
    assert Decimal(table[0]["balance"]) == -20 and table[0]["explained"]
    del till.program.env["APPORTION_KEY"]
    till.stop()
