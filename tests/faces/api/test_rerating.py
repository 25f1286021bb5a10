"""Re-rating over real HTTP: who may, page by page, once for ever; and late usage as a device sends it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

import apportion
from apportion.engine.rerating.door import RerateInput
from apportion.errors import RefusalCode, Refused
from apportion.faces.rerating import summed
from tests.adjusting import changed
from tests.faces.api.nodes import NodeProcess, catalog, proven, ride


def test_a_price_error_is_corrected_page_by_page_by_the_operator_alone(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "books.db")
    first = catalog(opening="100000")
    assert node.ask("PUT", "/v1/catalog", msgspec.json.encode(first)).status == 200
    answer = node.ask("POST", "/v1/usage", [ride(number) for number in range(210)])
    assert all(one["state"] == "charged" for one in answer.json["records"])
    fare = first.tariffs[first.services["ride"].retail]
    components = tuple(
        msgspec.structs.replace(one, price=str(Decimal(one.price) * 2)) if at == 0 else one
        for at, one in enumerate(fare.components)
    )
    right = changed(first, **{fare.id: {"components": components}})
    assert node.ask("PUT", "/v1/catalog", msgspec.json.encode(right)).status == 200
    for role, party in (("user", "ada"), ("provider", "dora"), ("auditor", "")):
        refused = node.ask("POST", "/v1/reratings", {"service": "ride"}, node.key(role, party))
        assert refused.status == 403
    for body, code in (
        ({"service": "ride", "after": "x"}, "bad_input"),
        ({"service": "ride", "end": "monday"}, "bad_time"),
        ({"service": "rides"}, "unknown_service"),
        ({"service": "ride", "catalog": "cat_1"}, "not_found"),
    ):
        answer = node.ask("POST", "/v1/reratings", body)
        assert answer.status in (400, 404, 422) and answer.json["code"] == code, answer.json
    client = apportion.Client(node.url, key=node.first_key)
    with pytest.raises(Refused) as refused_:
        client.reratings.page(RerateInput("ride", payer="nobody"))
    assert refused_.value.refusal.code is RefusalCode.NOT_FOUND
    before = balances(node)
    dry = summed(client.reratings.pages(RerateInput("ride", dry_run=True)))
    assert (dry.looked, dry.corrected, dry.dry) == (210, 210, True) and balances(node) == before
    pages = list(client.reratings.pages(RerateInput("ride")))
    assert [page.corrected for page in pages] == [200, 10]
    done = summed(pages)
    after = balances(node)
    assert done.rows == dry.rows and after != before
    paid = next(row for row in done.rows if row.role == "payer")
    assert before[paid.who] - after[paid.who] == Decimal(paid.change) > 0
    again = [node.ask("POST", "/v1/reratings", {"service": "ride"}, **{"idempotency-key": "k1"}) for _ in range(2)]
    assert again[0].body == again[1].body and again[0].json["corrected"] == 0
    assert node.stop() == 0
    proven(tmp_path / "books.db").close()


def balances(node: NodeProcess) -> dict[str, Decimal]:
    found = node.ask("GET", "/v1/accounts?limit=200").json["data"]
    return {one["owner"]: Decimal(one["posted"]) for one in found}
