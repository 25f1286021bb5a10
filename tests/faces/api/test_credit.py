"""Credit over HTTP: a write-off has its effect once, whatever is sent again, and nobody is told what is not theirs."""

from __future__ import annotations

from tests.faces.api.nodes import NodeProcess, balance, ride


def test_a_write_off_repeated_under_its_key_is_the_same(node: NodeProcess) -> None:
    for number in range(3):
        record = node.ask("POST", "/v1/usage", [ride(f"credit {number}", "cid", "credit")]).json["records"][0]
        assert record["state"] == "charged"
    path = f"/v1/accounts/{balance(node, 'cid')['id']}/write-off"
    first = node.ask("POST", path, {"amount": "14"}, idempotency_key="off 1")
    assert first.status == 200 and first.json["amount"] == "14.000000000" and "guarantor" not in first.json
    again = node.ask("POST", path, {"amount": "14"}, idempotency_key="off 1")
    assert (again.status, again.body) == (200, first.body)
    assert node.ask("POST", path, {"amount": "7"}, idempotency_key="off 1").status == 409
    assert node.ask("POST", path, {"amount": "7"}).status == 400  # it moves money: a key must be named
    assert balance(node, "cid")["posted"] == "-7.000000000"
    refused = node.ask("POST", path, {"amount": "7.1"}, idempotency_key="off 2")
    assert (refused.status, refused.json["code"]) == (422, "bad_amount")
    assert node.ask("POST", path, {"amount": "-7"}, idempotency_key="off 3").status == 422
    assert node.ask("POST", path, {"owner": "x"}, idempotency_key="off 4").status == 422
    back = {"payer": "cid", "amount": "20", "currency": "EUR", "reference": "credit back"}
    assert node.ask("POST", "/v1/topups", back).status == 201
    assert balance(node, "cid")["posted"] == "-1.000000000" and balance(node, "cid")["credit"] == "1000.000000000"
    again = node.ask("POST", path, {"amount": "14"}, idempotency_key="off 1")
    assert (again.status, again.body) == (200, first.body)


def test_a_fixed_line_is_shown_as_what_it_is(node: NodeProcess) -> None:
    account = balance(node, "ada")["id"]
    shown = node.ask("GET", f"/v1/accounts/{account}/trust").json
    assert shown == {"account": account, "currency": "EUR", "credit": "0.000000000", "least": "0.000000000"}
    refused = node.ask("POST", f"/v1/accounts/{account}/credit", {})
    assert refused.status == 409 and "[[trust]]" in refused.json["fix"]
    for path in ("acct_99999/trust", "dora/trust", "hold_00001/trust"):
        assert node.ask("GET", f"/v1/accounts/{path}").status == 404
    for path in ("acct_99999", "acct_999999999999999999", "hold_00001", "x"):
        assert node.ask("POST", f"/v1/accounts/{path}/credit", {}).status == 404
    assert node.ask("POST", "/v1/usage", [ride("credit seen", "ada", "credit")]).status == 200
    provider = next(one for one in node.ask("GET", "/v1/accounts?role=provider").json["data"])
    assert node.ask("GET", f"/v1/accounts/{provider['id']}/trust").status == 404
    assert node.ask("POST", f"/v1/accounts/{provider['id']}/write-off", {}, idempotency_key="p").status == 404
