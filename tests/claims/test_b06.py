"""B6: Prefer the highest-rated provider: rated by those who paid and by what was measured, and not by a few."""

from __future__ import annotations

from decimal import Decimal

from tests.claims.conftest import Program
from tests.claims.market import Market, calls, crew, fee

BEST = {"highest_rated": "provider"}
USERS = "".join(f'\n[payers.user-{n}]\ncurrency = "EUR"\nopening = "5"' for n in range(3))


def stars(node: Market, provider: str) -> Decimal:
    [found] = node.ask("GET", f"/v1/providers?provider={provider}&service=call")["data"]
    return Decimal(found["standing"][0]["rating"])


def measured(node: Market, provider: str, count: int) -> None:
    """What a prober saw: every time it went well."""
    seen = {"service": "call", "provider": provider, "succeeded": True}
    for _ in range(0, count, 1500):
        answers = node.ask("POST", "/v1/measurements", {"measurements": [seen] * min(count, 1500)})
        assert not any("refusal" in one for one in answers["measurements"])


def test_three_votes_count_and_three_thousand_measurements_count_more(apportion: Program) -> None:
    node = Market(apportion, calls(USERS))
    first = node.plan("10", profile=BEST)
    assert crew(first) == {"near": "oak", "far": "elm"}  # all are rated alike: the cheapest of them

    for n in range(3):  # three users take ash, pay and give it five stars
        key = node.key_of(f"user-{n}")
        plan = node.plan("1", f"user-{n}", profile={"providers": {"only": ["ash"]}})
        session = node.deliver(plan)
        assert Decimal(session["charged"]) == fee(plan)
        given = {"record": session["id"], "stars": 5, "provider": "ash"}
        node.ask("POST", "/v1/ratings", given, key=key)
        assert node.ask("POST", "/v1/ratings", given, key=key, status=409)  # once
    before = node.plan("10", profile=BEST)
    assert crew(before) == {"near": "ash", "far": "ash"} and Decimal("3.1") < stars(node, "ash") < Decimal("3.5")

    measured(node, "elm", 3000)
    assert stars(node, "elm") > Decimal("4.9")
    after = node.plan("10", profile=BEST)
    assert crew(after) == {"near": "elm", "far": "elm"}
    assert crew(node.plan("10")) == {"near": "oak", "far": "elm"}  # without the preference the price decides

    assert Decimal(node.deliver(after)["charged"]) == fee(after) == Decimal("0.78")
    books = node.stop()
    assert books.balances("provider") == {"ash": Decimal("0.24"), "elm": Decimal("0.5")}
