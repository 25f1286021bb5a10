"""Service levels on PostgreSQL: two nodes measure at once while usage comes in, and each level is credited once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from apportion.adapters.stores.postgres import PostgresStore
from tests.levelling import Levelling, agreed, amount
from tests.postgres.server import dsn_of


def test_two_nodes_measure_each_level_once(tmp_path: Path) -> None:
    dsn = dsn_of()
    both = agreed(), agreed("cays", payer="cay"), agreed("bens", payer="ben")
    first = Levelling(tmp_path, *both, store=PostgresStore(dsn))
    nodes = [first, Levelling(tmp_path, *both, store=PostgresStore(dsn), key=first.key)]
    nodes[1].calls = 10_000
    first.call("failed", count=3)

    def work(number: int) -> int:
        node, made = nodes[number], 0
        for payer in ("ada", "cay", "ben"):
            node.call("failed", payers=(payer,), count=2)
            made += node.measure("" if number else "2026-10").made
        return made

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(work, range(2))) == 3
    before = first.posted()
    levels = first.levels()
    assert {line.state for line in levels.values()} == {"credited"} and nodes[1].measure("").made == 0
    assert first.posted() == before and sum(before.values()) == 0
    assert all(amount(line) == (amount(line, "fee") / 10) for line in levels.values())
    assert first.proven() == []
    for node in nodes:
        node.engine.close()
