"""Disputes on PostgreSQL: two nodes open and decide the same cases at once, and each has its effect once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

from apportion.adapters.stores.postgres import PostgresStore
from tests.disputing import Court
from tests.postgres.server import dsn_of


def test_two_nodes_decide_each_case_once(tmp_path: Path) -> None:
    dsn = dsn_of()
    first = Court(tmp_path, PostgresStore(dsn))
    nodes = [first, Court(tmp_path, PostgresStore(dsn), first.key)]
    charges = [first.charged("ada") for _ in range(3)]

    def work(number: int) -> list[str]:
        node, ended = nodes[number], []
        for place, charge in enumerate(charges):
            case = node.opened(charge, f"case {place}", amount="2")
            decided = node.decide(case, ("1.5", "0.5")[number])
            ended += [case] if decided.refusal is None else []
        return ended

    with ThreadPoolExecutor(2) as pool:
        won = [id for ids in pool.map(work, range(2)) for id in ids]
    cases = {id: first.case(id) for id in won}
    assert len(won) == len(cases) == 3 and {case.state for case in cases.values()} == {"decided"}
    granted = sum(Decimal(case.granted) for case in cases.values())
    assert first.balances()["payer ada"] == 5 - 3 * Decimal("11.73212") + granted
    assert first.aside() == 0 and first.proven() == []
    for node in nodes:
        node.engine.close()
