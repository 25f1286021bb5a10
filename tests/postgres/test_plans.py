"""Plans on PostgreSQL: two nodes accept at the same time, and one session runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from apportion.adapters.stores.postgres import PostgresStore
from apportion.errors import RefusalCode
from tests.plans import PlanRig
from tests.postgres.server import dsn_of

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
