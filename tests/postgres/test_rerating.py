"""Re-rating on PostgreSQL: two nodes correct the same charges and periods at once, and each is corrected once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

from apportion.adapters.stores.postgres import PostgresStore
from tests.adjusting import Books, changed, power
from tests.postgres.server import dsn_of
from tests.unit.engine.test_rerate import fares
from tests.unit.engine.test_rerate_periods import energy


def test_two_nodes_correct_each_charge_and_period_once(tmp_path: Path) -> None:
    dsn = dsn_of()
    made = fares()
    one = Books(tmp_path, made, PostgresStore(dsn))
    two = Books(tmp_path, made, PostgresStore(dsn), one.key)
    people = ("ada", "ben", "cyd", "dan")
    for n in range(24):
        one.ride(n, people[n % 4])
    one.now("11-02")
    one.charge(*(power(n, "6", "10-03", who) for n, who in enumerate(people)))
    one.engine.close_period("2026-10")
    before = one.posted()
    corrected = energy("0.2", "0.1", "1").tariffs["energy"].components
    right = changed(fares(start="2"), energy={"components": corrected})
    one.engine.apply(right)
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda books: (books.rerate("ride"), books.rerate("power")), (one, two)))
    assert sum(page.corrected for rides, _ in runs for page in rides) == 24
    assert sum(page.corrected for _, periods in runs for page in periods) == 4
    after = two.posted()
    for who in people:  # a start of 1 and its tax less for each ride; 6 × 0.1 and 1 for the meter less in October
        assert after["payer", who] - before["payer", who] == Decimal("6.6") + Decimal("1.6")
    assert two.proven() == []
    one.engine.close()
    two.engine.close()
