"""Plans on PostgreSQL: two nodes accept at the same time, and one session runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from msgspec.structs import replace

from apportion.adapters.stores.postgres import PostgresStore
from apportion.engine.broker.mending import Broken, Mending
from apportion.errors import RefusalCode
from apportion.model.standing import SwitchProvider
from tests.markets import catalog
from tests.plans import PlanRig
from tests.postgres.server import dsn_of
from tests.unit.engine.test_replacing import Market

ROUNDS = 12


def test_a_plan_is_accepted_once_by_two_nodes_and_what_one_quotes_the_other_charges_by() -> None:
    dsn = dsn_of()
    nodes = [PlanRig(None, PostgresStore(dsn)) for _ in range(2)]
    for rig in nodes:
        rig.made.remove(rig)
    nodes[0].top_up("ada", "100")
    with ThreadPoolExecutor(2) as pool:
        for turn in range(ROUNDS):
            plan = nodes[turn % 2].quote()
            outcomes = list(pool.map(lambda rig, plan=plan: rig.choose(plan), nodes))
            refusals = [one.refusal.code for one in outcomes if one.refusal is not None]
            assert refusals == [RefusalCode.PLAN_ENDED]
            id = next(one.id for one in outcomes if one.refusal is None)
            nodes[turn % 2].report(id, 1, "30", seconds=30)
            nodes[1 - turn % 2].report(id, 2, "50", seconds=20)
            assert nodes[turn % 2].end(id).plan == plan
    assert nodes[0].balance("ada") == "94.6"  # twelve times 0.45
    assert nodes[1].income() == {"telco": "0.6", "bridge-b": "1.32", "fees": "3.48"}
    nodes[0].prove()
    for rig in nodes:
        rig.engine.close()


def test_a_crew_is_found_accepted_and_replaced_and_of_two_nodes_one_replaces_it() -> None:
    dsn = dsn_of()
    nodes = [Market(None, PostgresStore(dsn)) for _ in range(2)]
    for rig in nodes:
        rig.made.remove(rig)
    one, two = nodes
    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            id = one.begun()
            assert two.crew(id) == {"near": "oak", "far": "elm"}
            found = [rig.find(id, "elm") for rig in nodes]
            outcomes = list(pool.map(lambda rig, crew: rig.do(crew), nodes, found))
            assert [o.refusal.code for o in outcomes if o.refusal is not None] == [RefusalCode.PLAN_ENDED]
            assert two.crew(id) == one.crew(id) == {"near": "oak", "far": "ash"}
            two.talk(id, 2, "10")
            two.end(id)
    assert one.balance("ada") == "47.8184"  # three times 0.3312 + 0.396
    assert two.income() == {"oak": "0.6", "elm": "0.24", "ash": "0.54", "vat@20": "0.3636", "fees": "0.438"}
    one.prove()
    for rig in nodes:
        rig.engine.close()


def test_mending_finds_those_who_lost_somebody() -> None:
    found = catalog()
    call = replace(found.services["call"], market=replace(found.services["call"].market, replace=True))
    rig = Market(replace(found, services={"call": call}), PostgresStore(dsn_of()))
    rig.made.remove(rig)
    id, mending = rig.begun(), Mending()
    assert mending.look(rig.engine) == []
    rig.do(SwitchProvider(provider="elm", off=True, reason="works"))
    assert mending.look(rig.engine) == [Broken(id, ("elm",))]
    assert mending.look(rig.engine) == [] and mending.look(rig.engine, [id]) == [Broken(id, ("elm",))]
    assert rig.lose(id, "elm").refusal is None
    assert mending.look(rig.engine, [id]) == []
    rig.end(id)
    rig.prove()
    rig.engine.close()
