"""C9: Provide the service itself: the provider that the user came to delivers, metered as it runs."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.conftest import Program
from tests.claims.serving import Served

VIDEO = """
providers = { cinema = {} }
payers = { ada = { currency = "EUR", opening = "20" } }
[services.film]
retail = "watching"
measures = { minutes = "min" }
session = { slice = { minutes = 10 }, validity = 600 }
apportion = "shares"
platform = "1"
parts.all = { provider = "cinema", share = "9" }
[tariffs.watching]
currency = "EUR"
[[tariffs.watching.components]]
kind = "flat"
name = "start"
price = 1
[[tariffs.watching.components]]
kind = "unit"
name = "m"
measure = "minutes"
price = 0.05
"""


def test_a_provider_delivers_and_meters_its_own_service(apportion: Program) -> None:
    node = Served(apportion, VIDEO)
    cinema = node.ask("POST", "/v1/keys", {"role": "provider", "party": "cinema"})["secret"]
    ada = node.ask("POST", "/v1/keys", {"role": "user", "party": "ada"})["secret"]
    given = {"service": "film", "payers": [{"payer": "ada"}], "parts": [
        {"part": "all", "provider": "cinema", "requested": {"minutes": "30"}},
    ]}  # fmt: skip
    session = node.ask("POST", "/v1/sessions", given, key=cinema)
    path = f"/v1/sessions/{session['id']}"
    for number, minutes in enumerate(("30", "60", "92"), 1):
        report = {"part": "all", "number": number, "used": {"minutes": minutes}, "requested": {"minutes": "32"}}
        answer = node.ask("POST", f"{path}/reports", {"reports": [report]}, key=cinema)
        assert answer["reports"] == [{"state": "charged"}]
        assert "charged" not in answer["session"]  # what the user pays is not the provider's to see
    seen = node.ask("GET", path, key=ada)
    assert Decimal(seen["charged"]) == Decimal("5.6") and "earned" not in seen["parts"][0]
    ended = node.ask("POST", f"{path}/end", {}, key=cinema)
    assert ended["state"] == "closed" and Decimal(ended["parts"][0]["earned"]) == Decimal("5.04")
    books = node.stop()
    assert books.balances("payer") == {"ada": Decimal("14.4")}
    assert books.balances("provider") == {"cinema": Decimal("5.04")}
    assert books.balances("platform") == {"fees": Decimal("0.56")}
    assert len(books.of("charge")) == 3
