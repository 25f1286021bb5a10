"""Buckets, allowances and pools on PostgreSQL: the same books, also when two nodes draw on one pool at once."""

from __future__ import annotations

import threading
from decimal import Decimal

from apportion.adapters.outside import KeyFile
from apportion.adapters.stores.postgres import PostgresStore
from tests.funds import Funds, payer, use
from tests.postgres.server import dsn_of


def test_two_nodes_see_what_the_other_granted_bought_and_drew() -> None:
    dsn, key = dsn_of(), KeyFile(None)
    one = Funds(
        None,
        payer("ada", "5", "2", ("pool", "4", "month")),
        payer("pool", "50"),
        given=(lambda: PostgresStore(dsn), key),
    )
    two = Funds(None, given=(lambda: PostgresStore(dsn), key))
    two.charge(use("0", "1"))  # two remembers ada without a bucket
    one.grant("2", "gift", expires="2026-11-21T00:00:00Z")
    [done] = two.charge(use("1", "1"))
    assert two.sources(done) == [("ada", "bucket", "1")]
    two.buy("3", "6", "talk")
    [done] = one.charge(use("2", "7"))
    assert one.sources(done) == [("ada", "allowance", "3"), ("ada", "", "1")]
    [done] = two.charge(use("3", "4"))
    assert two.sources(done) == [("ada", "", "1"), ("pool", "alternate", "3")]
    [done] = one.charge(use("4", "2"))
    assert one.sources(done) == [("pool", "alternate", "1"), ("ada", "credit", "1")]
    one.at("2026-11-21T00:00:00.000000Z")
    assert one.engine.sweep() == 0  # the gift was spent: one for a call, one for the allowance
    assert one.proven() == []
    one.engine.close()
    two.engine.close()


def test_members_on_two_nodes_never_pass_their_caps_nor_the_pool() -> None:
    dsn, key = dsn_of(), KeyFile(None)
    members = [payer(f"m{i}", "0", "0", ("pool", "7", "month")) for i in range(3)]
    first = Funds(None, *members, payer("pool", "16"), given=(lambda: PostgresStore(dsn), key))
    nodes = [first, Funds(None, given=(lambda: PostgresStore(dsn), key))]
    states: list[str] = []

    def spend(funds: Funds, name: str) -> None:
        for i in range(12):
            states.append(funds.charge(use(f"{name}{i}", "2", f"m{i % 3}"))[0].state.value)

    threads = [threading.Thread(target=spend, args=(funds, name)) for funds, name in zip(nodes, "ab", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert states.count("charged") == 8 and states.count("pending") == 16
    balances = first.balances()
    assert Decimal(balances["pool"]) == 0 and {balances[f"m{i}"] for i in range(3)} == {"0"}
    assert first.proven() == []
    for funds in nodes:
        funds.engine.close()
