"""B9: A single statement presents all of them."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.bills import PLAIN, Bills, in_ledger
from tests.claims.conftest import Program


def test_one_document_has_all_charges_of_the_period(apportion: Program) -> None:
    node = Bills(apportion, PLAIN + '[services.other]\nretail = "whole"\nmeasures = { minutes = "min" }\n'
                 'parts.all = { provider = "ash", wholesale = { ash = "three" } }\n')  # fmt: skip
    for number, service in enumerate(("plain", "other", "plain")):
        record = {"source": "m", "id": f"u{number}", "service": service, "start": f"2026-10-0{number + 1}T10:00:00Z"}
        given = {**record, "payers": [{"payer": "ada"}], "quantities": {"minutes": "7.3"}}
        assert node.ask("POST", "/v1/usage", [given])["records"][0]["state"] == "charged"
    account = node.ask("GET", "/v1/accounts?owner=ada")["data"][0]["id"]
    (seen,) = node.ask("GET", f"/v1/accounts/{account}/preview?period=2026-10")["data"]
    assert seen["preview"] and seen["number"] == "" and seen["total"] == "1.97"
    (statement,) = node.issue(period="2026-10", who="ada")
    assert [section["service"] for section in statement["sections"]] == ["other", "plain"]
    providers = {took["provider"] for section in statement["sections"] for took in section["providers"]}
    assert providers == {"oak", "elm", "ash"}
    in_ledger(statement, Decimal("1.971"))
    assert [section["total"] for section in statement["sections"]] == ["0.66", "1.31"]
    assert {name: seen[name] for name in ("total", "sections", "taxes")} == {
        name: statement[name] for name in ("total", "sections", "taxes")
    }
    node.ask("POST", "/v1/statements", {"period": "2026-10", "who": "nobody"}, status=404)
    node.ask("GET", f"/v1/accounts/{account}/preview?period=someday", status=422)
    node.stop()
