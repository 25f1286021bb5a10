"""Conversions on PostgreSQL by two nodes at once: rates that one adds count for the other, and all is proved."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

from apportion.adapters.stores.postgres import PostgresStore
from apportion.model.correction import Correct
from tests.currencies import NOON, Cinema, catalog, film, rates
from tests.postgres.server import dsn_of


def test_two_nodes_convert_alike() -> None:
    dsn = dsn_of()
    one = Cinema(store=PostgresStore(dsn))
    two = Cinema(store=PostgresStore(dsn), key=one.key)
    made = one.charge(film(1, "eva"))[0]
    assert two.charge(film(2, "eva", at=NOON + timedelta(days=1)))[0].refusal is None
    late = NOON + timedelta(days=2)
    one.engine.apply(catalog((*rates(), *rates((("USD", "EUR", "0.5", "ECB", late),)))))
    assert two.charge(film(3, "eva", at=late))[0].refusal is None
    total = (1 + 97 * Fraction("0.07")) * Fraction("1.077")
    found = two.balances()
    assert found["eva", "EUR"] == 1000 - total * Fraction("2.37")
    assert found["toho", "JPY"] == 3 * 97 * Fraction("3.3")
    assert two.tell(Correct(charge=made.id, reference="r1")).refusal is None
    assert one.balances()["eva", "EUR"] == 1000 - total * Fraction("1.45")
    assert one.verify().findings == []
    two.engine.close()
    one.engine.close()
