"""Currencies over real HTTP: a use in USD, paid in EUR, earned in JPY; rates by the API; who may see what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest

import apportion
from apportion.errors import RefusalCode, Refused
from apportion.model.exchange_rate import ExchangeRate
from tests.currencies import catalog
from tests.faces.api.nodes import NodeProcess, proven

TOTAL = (1 + 97 * Fraction("0.07")) * Fraction("1.077")  # in USD, with its tax


@pytest.fixture(scope="module")
def cinema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    store: Path = tmp_path_factory.mktemp("cinema") / "books.db"
    node = NodeProcess(store)
    assert node.ask("PUT", "/v1/catalog", msgspec.json.encode(catalog())).status == 200
    yield node
    assert node.stop() == 0, node.log[-5:]
    proven(store).close()


def film(number: int, payer: str, start: str = "2026-11-16T12:00:00Z") -> dict[str, Any]:
    return {
        "source": "player", "id": f"f{number}", "service": "film", "start": start,
        "payers": [{"payer": payer}], "quantities": {"minutes": "97"},
    }  # fmt: skip


def charged(node: NodeProcess, record: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = node.ask("POST", "/v1/usage", [record]).json["records"][0]
    return found


def test_each_sees_its_own_currency(cinema: NodeProcess) -> None:
    id = charged(cinema, film(1, "eva"))["id"]
    keys = {"eva": cinema.key("user", "eva"), "toho": cinema.key("provider", "toho")}
    seen = cinema.ask("GET", f"/v1/charges/{id}", key=keys["eva"]).json
    assert seen["currency"] == "USD" and seen["portions"] == [
        {"part": "host", "provider": "host"}, {"part": "network", "provider": "wire"},
        {"part": "studio", "provider": "toho"},
    ]  # fmt: skip
    paid = seen["shares"][0]["converted"]
    assert Fraction(paid["amount"]) == TOTAL * Fraction("0.92") and paid["source"] == "ECB"
    mine = cinema.ask("GET", f"/v1/charges/{id}", key=keys["toho"]).json["portions"]
    assert [one["converted"]["amount"] for one in mine] == ["320.100000"]
    words = cinema.ask("GET", f"/v1/explain/{id}?view=provider%3Dtoho", key=keys["toho"])
    assert words.status != 200 or "USD" not in words.json["title"]
    for who in ("eva", "toho"):
        assert cinema.ask("GET", "/v1/exchange", key=keys[who]).status == 403
        assert cinema.ask("PUT", "/v1/rates", {"rates": []}, key=keys[who]).status == 403
        assert cinema.ask("GET", "/v1/rates", key=keys[who]).status == 200


def test_rates_come_by_the_api_and_never_change(cinema: NodeProcess) -> None:
    late = "2026-11-18T12:00:00Z"
    with apportion.Client(cinema.url, key=cinema.first_key) as client:
        fresh = ExchangeRate("USD", "EUR", "0.5", "ECB", datetime(2026, 11, 18, tzinfo=UTC))
        version = client.exchange.add([fresh])
        assert client.exchange.add([fresh]) == version and fresh in client.exchange.rates()
        with pytest.raises(Refused) as error:
            client.exchange.add([msgspec.structs.replace(fresh, rate="0.6")])
        assert error.value.refusal.code is RefusalCode.CONFLICT
        before = next(one for one in client.accounts("eva") if one.role == "payer").posted
        assert charged(cinema, film(2, "eva", late))["state"] == "charged"
        after = next(one for one in client.accounts("eva") if one.role == "payer").posted
        assert Fraction(before) - Fraction(after) == TOTAL / 2
        found = client.exchange.positions("EUR")
        assert [one.currency for one in found.data] == ["USD", "EUR", "JPY"] and found.worth
        assert all(one.explained for one in found.data)
        with pytest.raises(Refused):
            client.exchange.positions("eur")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"rate": "0"}, "catalog_invalid"),
        ({"rate": "1/3"}, "catalog_invalid"),
        ({"rate": 1}, "bad_input"),
        ({"from": "usd"}, "unknown_asset"),
        ({"to": "USD/2"}, "unknown_asset"),
        ({"to": "USD"}, "catalog_invalid"),
        ({"at": "2026-11-19T00:00:00"}, "bad_time"),
        ({"source": ""}, "catalog_invalid"),
        ({"by": "x"}, "unknown_field"),
    ],
)
def test_a_rate_that_means_nothing_changes_nothing(cinema: NodeProcess, changed: dict[str, Any], code: str) -> None:
    before = cinema.ask("GET", "/v1/catalog").json["id"]
    rate = {"from": "USD", "to": "EUR", "rate": "0.9", "source": "me", "at": "2026-11-19T00:00:00Z", **changed}
    answer = cinema.ask("PUT", "/v1/rates", {"rates": [rate]})
    said = answer.json.get("findings", [answer.json])[0]
    assert answer.status == 422 and said["code"] == code, answer.body
    assert cinema.ask("GET", "/v1/catalog").json["id"] == before


def test_a_use_without_a_rate_is_refused(cinema: NodeProcess) -> None:
    found = charged(cinema, film(3, "eva", "2026-11-01T12:00:00Z"))
    assert (found["state"], found["refusal"]["code"]) == ("rejected", "no_rate")
