"""What a provider's node set aside is free again once the session that it was for has ended, and not before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.claims.conftest import Json, Program
from tests.claims.serving import Served
from tests.faces.provider.bidding import CONFIG, ProviderProcess
from tests.faces.provider.test_platform import CATALOG

REQUEST = {
    "service": "call", "payers": [{"payer": "ada"}], "quantities": {"seconds": "60"},
    "attributes": {"destination": "4521"}, "ask": 3000,
}  # fmt: skip


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Served]:
    """A platform whose only provider has a hundred seconds to give."""
    (tmp_path / "north").mkdir()
    north = ProviderProcess(tmp_path / "north", CONFIG.format(validity=60, hold=3600, token="0" * 64, more=""))
    known = f'[providers.north]\naddress = "{north.address}"\nkey = "{north.key}"\n'
    yield Served(Program(tmp_path), CATALOG + known, "--allow-private-addresses")
    north.process.kill()


def total(plan: Json) -> Decimal:
    return Decimal(plan["scenarios"][0]["total"])


def test_the_capacity_of_a_node_comes_back_when_the_session_ends(alone: Served) -> None:
    first = alone.ask("POST", "/v1/plans", REQUEST)
    session = alone.ask("POST", f"/v1/plans/{first['id']}/accept", {})["id"]
    assert alone.ask("POST", "/v1/plans", REQUEST, status=409)["code"] == "no_plan", "forty seconds are left"
    alone.report(session, 1, {"seconds": "10"})
    alone.end(session)
    until = time.monotonic() + 10
    while "refusal" in (again := alone.ask("POST", "/v1/plans/batch", {"requests": [REQUEST]})["answers"][0]):
        assert time.monotonic() < until, again
        time.sleep(0.05)
    assert total(again["plan"]) == total(first)
    alone.stop()
