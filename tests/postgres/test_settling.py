"""Settling on PostgreSQL: two nodes settle and pay out at once, and each portion is settled and paid once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

from apportion.adapters.stores.postgres import PostgresStore
from apportion.engine.settling.run import settle
from apportion.model.account import Role
from apportion.model.settlement import Mode
from tests.postgres.server import dsn_of
from tests.settling import Counting

ROUNDS = 6


def test_two_nodes_settle_each_portion_once(tmp_path: Path) -> None:
    dsn = dsn_of()
    first = Counting(tmp_path, PostgresStore(dsn))
    nodes = [first, Counting(tmp_path, PostgresStore(dsn), first.key)]
    nodes[1].rides = 10_000

    def work(number: int) -> list[str]:
        node, made = nodes[number], []
        for _ in range(ROUNDS):
            node.ride(5)
            run = settle(node.engine, Mode.NET)
            for line in run.settlements:
                assert node.order(line).refusal is None
            made += [line.id for line in run.settlements if run.made]
        return made

    with ThreadPoolExecutor(2) as pool:
        made = [id for ids in pool.map(work, range(2)) for id in ids]
    last = first.settle()
    made += [line.id for line in last.settlements if last.made]
    assert len(set(made)) == len(made)
    lines = sorted((first.found(id) for id in made), key=lambda line: line.number)
    assert [line.after for line in lines] == [0, *(line.upto for line in lines[:-1])]
    # 60 rides: 60 × 18 / 7 = 154.285714286 for dora, 60 × 4.48 = 268.80 for otto
    assert abs(sum(Decimal(line.payable) for line in lines) - Decimal("423.085714286")) < Decimal("0.01")
    for line in lines:
        first.order(line)
        for one in first.payouts(line):
            assert nodes[1].end(one.id, "succeeded").refusal is None
    assert all(abs(posted) < Decimal("0.005") for posted in first.posted().values())
    assert first.posted(Role.CLEARING) == {"payouts": 0}
    assert first.proven() == []
    for node in nodes:
        node.engine.close()
