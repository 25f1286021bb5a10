"""B12: The profile holds billing preferences: form, language, channel and who sends the bill."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.bills import PLAIN, Bills, total
from tests.claims.conftest import Program

PROFILES = """
[profiles.german]
billing = { language = "de", channel = "download", issuer = "oak" }
[profiles.apart]
billing = { statements = "per-provider" }
"""
DEPARTMENTS = """
[payers.finance]
currency = "EUR"
credit = "1000"
profile = "german"
[payers.lab]
currency = "EUR"
credit = "100"
parent = "finance"
[payers.shop]
currency = "EUR"
credit = "100"
parent = "finance"
"""


def test_what_the_profile_says_is_how_the_bill_looks(apportion: Program) -> None:
    node = Bills(apportion, PROFILES + PLAIN, profile="german")
    node.use("10", "2026-10-03T10:00:00Z", "u1")
    node.use("10", "2026-10-03T10:00:00Z", "u2", "ben")
    hers, his = (node.issue(period="2026-10", who=who)[0] for who in ("ada", "ben"))
    assert (hers["language"], hers["channel"], hers["provider"], hers["issuer"]) == ("de", "download", "oak", "Oak")
    assert "language" not in his and "provider" not in his and his["issuer"] == "calls"
    page, kind = node.fetch(f"/v1/statements/{hers['id']}?format=html")
    assert kind.startswith("text/html") and b'<html lang="de">' in page and b"Abrechnung" in page
    page, _ = node.fetch(f"/v1/statements/{his['id']}?format=html")
    assert b'<html lang="en">' in page and b"<h1>Statement</h1>" in page
    node.apply((apportion.folder / "catalog.toml").read_text().replace('profile = "german"', 'profile = "apart"'))
    node.use("10", "2026-10-04T10:00:00Z", "u3")
    assert node.issue(period="2026-10", who="ada") == [hers]  # what was issued never changes
    node.stop()


def test_departments_use_and_finance_pays(apportion: Program) -> None:
    node = Bills(apportion, PROFILES + DEPARTMENTS + PLAIN)
    for number, payer in enumerate(("lab", "shop", "lab", "finance")):
        node.use("5.05", f"2026-10-0{number + 1}T10:00:00Z", f"u{number}", payer)
    assert node.balance("lab") == Decimal("-0.909")
    refused = node.ask("POST", "/v1/statements", {"who": "lab"}, status=409)
    assert refused["detail"].startswith("what lab uses is on the statement of finance")
    (bill,) = node.issue(period="2026-10", who="finance")
    assert [(one.get("payer", ""), one["total"]) for one in bill["sections"]] == [
        ("", "0.45"), ("lab", "0.91"), ("shop", "0.46"),
    ]  # fmt: skip
    assert total([bill]) == Decimal("1.82") and bill["charges"] == "1.818000000" and bill["language"] == "de"
    assert [node.balance(who) for who in ("lab", "shop", "finance")] == [0, 0, Decimal("-1.818")]
    (line,) = node.stop().of("statement")
    assert (line["taken"], len(line["children"])) == ("1.363500000", 2)
