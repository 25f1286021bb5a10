"""What a plan was chosen from: packed beside the chain, proved by its digest, compared with what is usual."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec
import pytest

from apportion.engine.broker.keeping import packed, unpacked
from apportion.engine.broker.views import plan_line, view
from apportion.engine.engine import Engine
from apportion.model.access import AccessRole, Credential
from apportion.model.plan import Candidate, Candidates
from apportion.model.request import Limits
from apportion.wiring import open_engine
from tests.forging import verified_store
from tests.markets import catalog, crew, fee, planned, request

replace = msgspec.structs.replace
DEFAULTS = """
[services.usual]
retail = "own"
measures = { minutes = "min" }
market = { retail = "passed-on", markup = "10" }
parts.near = { provider = "ash", wholesale = { oak = "cheap", elm = "middle", ash = "dear" } }
parts.far = { provider = "oak", wholesale = { oak = "dear", elm = "cheap", ash = "middle" } }
"""


@pytest.fixture
def engine() -> Iterator[Engine]:
    with open_engine(":memory:") as opened:
        opened.apply(catalog(more=DEFAULTS))
        yield opened


def test_the_usual_and_the_dearest_are_told_where_they_are_asked_for(engine: Engine) -> None:
    shown = planned(engine, request("10", service="usual", compare=True))
    assert crew(shown) == {"near": "oak", "far": "elm"} and fee(shown) == "0.648000000"
    # both parts by their default at 0.05: (0.10 + 2 × 10 × 0.05 × 1.10) × 1.20
    assert (shown.usual, shown.dearest) == ("1.440000000", "1.440000000")
    plain = planned(engine, request("10", service="usual"))
    assert (plain.usual, plain.dearest) == ("", "")


def test_without_a_default_the_first_by_name_is_usual(engine: Engine) -> None:
    shown = planned(engine, request("10", compare=True))
    # ash for both: (0.10 + 10 × (0.05 + 0.03) × 1.10) × 1.20; ash near and oak far are the dearest
    assert (shown.usual, shown.dearest) == ("1.176000000", "1.440000000")


def test_a_default_that_does_not_fit_is_not_usual(engine: Engine) -> None:
    shown = planned(engine, request("10", service="usual", compare=True, without=("ash",)))
    # elm instead of ash near, oak far: (0.10 + 10 × (0.03 + 0.05) × 1.10) × 1.20
    assert (shown.usual, shown.dearest) == ("1.176000000", "1.176000000")
    within = planned(engine, request("10", service="usual", compare=True, limits=Limits(budget="1.1")))
    # ash near goes with elm far alone: (0.10 + 10 × (0.05 + 0.02) × 1.10) × 1.20; no other within it is dearer
    assert (within.usual, within.dearest) == ("1.044000000", "1.044000000"), "the budget bounds these too"


def test_users_see_the_comparison_and_providers_do_not(engine: Engine) -> None:
    line = plan_line(engine, planned(engine, request("10", compare=True)).id)
    user = view(engine, line, Credential("", "main", AccessRole.USER, "", "", party="ada"))
    provider = view(engine, line, Credential("", "main", AccessRole.PROVIDER, "", "", party="oak"))
    assert user.usual and user.dearest and not provider.usual and not provider.dearest


def test_candidates_come_back_as_they_were_packed() -> None:
    many = tuple(
        Candidate("near", f"o{n}", f"v{n}", "west", why="It does not serve this 'called'.") for n in range(500)
    )
    body = packed(Candidates("pln_1", many))
    assert unpacked(body) == Candidates("pln_1", many) and len(body) * 8 < len(msgspec.json.encode(many))


@pytest.mark.parametrize(
    "statement", ["DELETE FROM document WHERE name = ?", "UPDATE document SET body = x'00' WHERE name = ?"]
)
def test_candidates_that_were_changed_are_found(tmp_path: Path, statement: str) -> None:
    with open_engine(str(tmp_path / "books.db")) as engine:
        engine.apply(catalog())
        plan = planned(engine, request()).id
    assert verified_store(tmp_path / "books.db").ok
    database = apsw.Connection(str(tmp_path / "books.db"))
    database.execute(statement, (plan,))
    assert database.changes() == 1
    database.close()
    verdict = verified_store(tmp_path / "books.db")
    assert [(one.code, one.id) for one in verdict.findings] == [("document", plan)]


def test_scenarios_that_choose_the_same_have_tariffs_of_their_own(engine: Engine) -> None:
    line = plan_line(engine, planned(engine, request("10")).id)
    assert len({tuple(part.offer for part in one.parts) for one in line.scenarios}) == 1, (
        "one crew is all there is to it"
    )
    tariffs = [one for line in line.scenarios for one in (line.retail, *(part.tariff for part in line.parts))]
    assert [one.id for one in tariffs] == [
        f"{line.id}.{n}.{name}" for n in range(3) for name in ("retail", "far", "near")
    ]
    assert (
        len({msgspec.json.encode(replace(one, id="")) for one in tariffs[::3]}) == 1
        and len({one.total for one in line.scenarios}) == 1
    )
