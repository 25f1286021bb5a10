"""The document of the API is valid, complete, and what the node really answers."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from apportion.engine.operations import OPERATIONS
from apportion.faces.api.openapi import document_text
from tests.faces.api.nodes import NodeProcess, ride

DOCUMENT: dict[str, Any] = json.loads(document_text())


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict | list):
        return [n for item in (value.values() if isinstance(value, dict) else value) for n in numbers(item)]
    return [value] if isinstance(value, float) else []


def test_it_is_valid_and_has_no_floats() -> None:
    validate(DOCUMENT)
    assert DOCUMENT["openapi"] == "3.1.0" and numbers(DOCUMENT) == []
    assert sum(len(methods) for methods in DOCUMENT["paths"].values()) == len(OPERATIONS)


def check(name: str, status: int, body: bytes, media: str) -> None:
    operation = next(one for one in OPERATIONS if one.name == name)
    described = DOCUMENT["paths"][operation.path][operation.method.lower()]["responses"]
    assert str(status) in described, (name, status, body)
    schema = described[str(status)]["content"][media.partition(";")[0]]["schema"]
    whole = {**schema, "components": DOCUMENT["components"]}
    Draft202012Validator(whole).validate(json.loads(body) if "json" in media and "lines" not in media else None)


def test_answers_are_as_described(node: NodeProcess) -> None:
    def ask(name: str, path: str, body: Any = None, **headers: str) -> Any:
        method = next(one.method for one in OPERATIONS if one.name == name)
        answer = node.ask(method, path, body, **headers)
        check(name, answer.status, answer.body, answer.headers["content-type"])
        return answer.json

    made = ask("charge", "/v1/usage", [ride(1), ride(2, "ben"), {**ride(3), "start": "no"}])["records"][0]["id"]
    ask("charge", "/v1/usage", b"{")
    ask("top_up", "/v1/topups", {"payer": "ada", "amount": "1", "currency": "EUR", "reference": "r"})
    ask("top_up", "/v1/topups", {"payer": "zoe", "amount": "1", "currency": "EUR", "reference": "r2"})
    hold = {"payer": "ada", "amount": "5", "currency": "EUR", "owner": "o", "expires": "2099-01-01T00:00:00Z"}
    held = ask("hold", "/v1/holds", hold, idempotency_key="d1")["id"]
    ask("hold", "/v1/holds", {**hold, "amount": "5000"}, idempotency_key="d2")
    ask("hold", "/v1/holds", hold)
    ask("capture", f"/v1/holds/{held}/capture", {"amount": "1", "final": False}, idempotency_key="d3")
    ask("release", f"/v1/holds/{held}/release", {}, idempotency_key="d4")
    ask("release", f"/v1/holds/{held}/release", {}, idempotency_key="d5")
    account = ask("accounts", "/v1/accounts?limit=2")["data"][0]["id"]
    ask("account", f"/v1/accounts/{account}")
    ask("account", "/v1/accounts/acct_09999")
    ask("entries", f"/v1/accounts/{account}/entries")
    assert len(ask("charges", "/v1/charges?limit=1")["data"]) == 1
    ask("charge_of", f"/v1/charges/{made}")
    ask("explain", f"/v1/charges/{made}/explanation?view=user=ada")
    ask("explain", f"/v1/charges/{made}/explanation?view=nonsense")
    ask("close_period", "/v1/periods/2026-10/close", {})
    issued = ask("issue", "/v1/statements", {"period": "2026-10"})["data"]
    assert {one["kind"] for one in issued} == {"statement", "remittance"}
    for one in issued:
        ask("statement", f"/v1/statements/{one['number']}")
    ask("statements", "/v1/statements")
    ask("catalog", "/v1/catalog")
    ask("apply", "/v1/catalog", b"{}x")
    ask("apply", "/v1/catalog", {"services": {"x": {"retail": "none"}}})
    ask("me", "/v1/me")
    key = ask("create_key", "/v1/keys", {"role": "auditor"})["key"]["id"]
    ask("keys", "/v1/keys")
    ask("revoke_key", f"/v1/keys/{key}")
    ask("revoke_key", "/v1/keys/none")


def test_lists_lead_from_page_to_page(node: NodeProcess) -> None:
    node.ask("POST", "/v1/usage", [ride(f"page-{i}", f"rider-{i % 5}") for i in range(57)])
    seen, after = list[str](), ""
    while True:
        page = node.ask("GET", f"/v1/charges?limit=10&after={after}").json
        seen += [charge["id"] for charge in page["data"]]
        after = page["next"]
        if not after:
            break
    assert len(seen) == len(set(seen)) >= 57


def test_pages_ask_nobody_else(node: NodeProcess) -> None:
    docs = node.ask("GET", "/docs", key="none")
    assert docs.status == 200 and b"//" not in docs.body.replace(b"<!doctype", b"")
    assert b"default-src 'none'" in docs.headers["content-security-policy"].encode()
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "start.js", "favicon-32x32.png"):
        assert node.ask("GET", f"/docs/{name}", key="none").status == 200
    assert json.loads(node.ask("GET", "/openapi.json", key="none").body) == DOCUMENT


def test_the_export_of_a_running_node_is_proven(node: NodeProcess, tmp_path: Any) -> None:
    from apportion.adapters.outside import signature_holds
    from apportion.engine.verify import Outside, verify_export

    exported = node.ask("GET", "/v1/export")
    assert exported.headers["content-type"] == "application/jsonl"
    assert verify_export(exported.body.splitlines(keepends=True), Outside(signature_holds)).ok
