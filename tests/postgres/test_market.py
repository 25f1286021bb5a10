"""The market on PostgreSQL: two nodes sell the last of an offer, and each knows what was said at the other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from apportion.adapters.stores.postgres import PostgresStore
from apportion.errors import RefusalCode, Refused
from apportion.model.standing import Available, SwitchProvider
from apportion.money import Exact
from tests.postgres.server import dsn_of
from tests.unit.engine.test_market import ID, Stall, market


def test_two_nodes_sell_the_last_capacity_once() -> None:
    dsn = dsn_of()
    nodes = [Stall(market(), PostgresStore(dsn)) for _ in range(2)]
    for rig in nodes:
        rig.made.remove(rig)
    nodes[0].put()
    nodes[0].top_up("ada", "100")
    sessions = [[rig.open("ada") for _ in range(12)] for rig in nodes]

    def sell(number: int) -> list[str]:
        sold = []
        for session in sessions[number]:
            try:
                nodes[number].taking(session, "7")
                sold.append(session)
            except Refused as error:
                assert error.refusal.code is RefusalCode.PLAN_ENDED
        return sold

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(sell, range(2))
    assert len(first) + len(second) == 14  # 15 × 7 would be 105
    assert nodes[0].sold() == nodes[1].sold() == {"seconds": Exact(98)}
    nodes[0].do(Available(id=ID, capacity={"seconds": "98"}))
    nodes[1].do(SwitchProvider(provider="bridge-b", off=True, seconds=60, reason="repair"))
    assert nodes[1].offers()[0].capacity == {"seconds": "98"} and nodes[0].off() == {"bridge-b": "repair"}
    assert all(nodes[1].back(session) for session in (*first, *second)) and nodes[0].sold() == {}
    nodes[0].prove()
    for rig in nodes:
        rig.engine.close()
