"""What rounding kept is brought to what a close rates, also of refunds that cost the sponsor."""

from __future__ import annotations

import pytest

from tests.funds import Funds, payer, use


@pytest.mark.parametrize("minutes", ["-2", "-1/3", "-0.7", "2", "1/3"])
def test_a_refund_below_cost_leaves_nothing_behind_when_its_period_closes(minutes: str) -> None:
    funds = Funds(None, payer("ada", "50"))
    # beyond ten minutes retail is 0.50, wholesale 0.60: the sponsor adds 0.10 a minute, and a refund gives it back
    funds.charge(use("1", "1/3"), use("2", "12.5", of="stepped"), use("3", minutes, of="stepped"))
    assert funds.engine.close_period("2026-11", force=True).accounts == 1
    assert funds.proven() == [] and not any(funds.store.all_residues(funds.engine.tenant).values())
    funds.engine.close()
