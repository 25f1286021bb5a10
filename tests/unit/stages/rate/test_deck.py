"""Rate decks and price history: the longest prefix, the exact key, and the dates from which prices hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from apportion.errors import RefusalCode, Refused
from apportion.model.tariff import Use
from apportion.model.tariff_check import check
from apportion.money import Exact
from apportion.stages.rate import Pricer, compile_tariff
from tests.tariffs import read_tariff

TALK = {"kind": "unit", "name": "talk", "measure": "seconds", "per": 60}
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def deck(rows: list[dict[str, Any]], match: str = "prefix", components: list[dict[str, Any]] | None = None) -> Pricer:
    plain = {
        "id": "d",
        "currency": "USD",
        "zone": "Europe/Copenhagen",
        "components": components or [TALK],
        "deck": {"by": "called", "match": match, "rows": rows},
    }
    found = read_tariff(plain)
    assert check(found) == []
    return compile_tariff(found)


def cost(pricer: Pricer, called: str, seconds: int = 60, start: datetime = NOON) -> str:
    return pricer.price(Use(start, None, {"seconds": Exact(seconds)}, {"called": called})).exact.text()


def refused(pricer: Pricer, called: str, start: datetime = NOON) -> RefusalCode:
    with pytest.raises(Refused) as error:
        cost(pricer, called, start=start)
    return error.value.refusal.code


def test_the_longest_prefix_wins() -> None:
    pricer = deck([{"key": "45", "price": "2"}, {"key": "+4520", "price": "5"}, {"key": "1", "price": "1"}])
    assert [cost(pricer, c) for c in ("4533", "+4520999", "452", "45", "1212", "4520")] == [
        "2",
        "5",
        "2",
        "2",
        "1",
        "5",
    ]
    assert refused(pricer, "4") is refused(pricer, "") is refused(pricer, "nobody") is RefusalCode.NO_PRICE
    assert pricer.attributes == {"called"}
    assert pricer.price(Use(NOON, None, {"seconds": Exact(1)}, {"called": "4533"})).lines[0].note == "45"


def test_a_row_without_price_is_not_sold_and_hides_the_shorter_prefix() -> None:
    pricer = deck([{"key": "45", "price": "2"}, {"key": "4590", "price": ""}])
    assert refused(pricer, "459012") is RefusalCode.NO_PRICE
    assert cost(pricer, "4591") == "2"


def test_an_empty_key_is_for_everything_else() -> None:
    for match in ("prefix", "exact"):
        pricer = deck([{"key": "45", "price": "2"}, {"key": "", "price": "9"}], match)
        assert (cost(pricer, "45"), cost(pricer, "777")) == ("2", "9")
        assert cost(pricer, "452") == ("2" if match == "prefix" else "9")


def test_rows_bring_their_increments() -> None:
    pricer = deck([{"key": "45", "price": "6", "first": "30", "step": "6"}, {"key": "46", "price": "6", "step": "60"}])
    assert [cost(pricer, "45", s) for s in (1, 31)] == ["3", "3.6"]
    assert [cost(pricer, "46", s) for s in (1, 61)] == ["6", "12"]


def test_a_key_has_a_history() -> None:
    pricer = deck(
        [
            {"key": "45", "price": "1", "valid_until": "2026-12-01"},
            {"key": "45", "price": "2", "valid_from": "2026-12-01"},
            {"key": "45", "price": "3", "valid_from": "2026-12-05T12:00:00Z", "valid_until": "2026-12-06"},
            {"key": "4", "price": "7", "valid_from": "2020-01-01 06:00:00", "valid_until": "2020-02-01"},
        ]
    )

    def on(text: str) -> str:
        return cost(pricer, "4512", start=datetime.fromisoformat(text))

    assert on("2026-11-30T22:59:59Z") == "1"
    assert on("2026-11-30T23:00:00Z") == "2"  # midnight in Copenhagen
    assert on("2026-12-05T11:59:59Z") == "2"
    assert on("2026-12-05T12:00:00Z") == "3"
    assert on("2026-12-05T23:00:00Z") == "2"
    assert cost(pricer, "46", start=datetime(2020, 1, 1, 5, tzinfo=UTC)) == "7"
    assert refused(pricer, "46", datetime(2020, 1, 1, 4, 59, tzinfo=UTC)) is RefusalCode.NO_PRICE


def test_prices_by_component_and_a_price_that_the_deck_overrides() -> None:
    fee = {"kind": "flat", "name": "connection", "price": "0.5"}
    pricer = deck([{"key": "45", "prices": {"talk": "2", "connection": "1"}}, {"key": "46", "prices": {"talk": "3"}}],
                  components=[fee, TALK])  # fmt: skip
    assert (cost(pricer, "45"), cost(pricer, "46")) == ("3", "3.5")


def test_a_use_must_say_by_which_the_deck_finds() -> None:
    with pytest.raises(Refused) as error:
        deck([{"key": "45", "price": "2"}]).price(Use(NOON, None, {"seconds": Exact(1)}, {}))
    assert error.value.refusal.field == "attributes.called"


def test_thirty_thousand_prefixes() -> None:
    rows = [{"key": str(10_000 + n), "price": f"0.{n % 97:02}"} for n in range(30_000)]
    pricer = deck(rows)
    assert all(cost(pricer, f"{10_000 + n}555") == Exact(n % 97, 100).text() for n in range(0, 30_000, 997))


def test_components_and_tariffs_have_a_history() -> None:
    plain: dict[str, Any] = {
        "id": "h",
        "currency": "USD",
        "valid_until": "2028-01-01",
        "components": [
            {**TALK, "price": "1", "valid_from": "2026-01-01", "valid_until": "2027-01-01"},
            {**TALK, "price": "2", "valid_from": "2027-01-01"},
        ],
    }
    tariff = read_tariff(plain)
    assert check(tariff) == []
    pricer = compile_tariff(tariff)

    def on(text: str) -> str:
        return cost(pricer, "", start=datetime.fromisoformat(text))

    assert (on("2026-01-01T00:00:00Z"), on("2026-12-31T23:59:59Z"), on("2027-01-01T00:00:00Z")) == ("1", "1", "2")
    for text in ("2025-12-31T23:59:59Z", "2028-01-01T00:00:00Z", "2027-01-01T00:00:00"):
        with pytest.raises(Refused):
            on(text)
