"""Netting: a cycle comes to nothing, payments fall to the net, and nobody's position moves."""

from __future__ import annotations

import pytest

from apportion.errors import RefusalCode, Refused
from apportion.model.settlement import Mode
from apportion.stages.settle import Owed, Part, over_caps, payments, positions, rest

CYCLE = [Owed("a", "b", 100), Owed("b", "c", 70), Owed("c", "a", 90), Owed("b", "a", 30)]


def test_a_cycle_falls_to_the_net_and_positions_stay() -> None:
    gross, net, many = (payments(mode, CYCLE) for mode in Mode)
    assert gross == sorted(CYCLE)
    assert net == [Owed("a", "b", 70), Owed("b", "c", 70), Owed("c", "a", 90)]
    assert many == [Owed("", "a", 20), Owed("c", "", 20)]  # b is even: it is owed 100 and owes 70 + 30
    assert [sum(one.units for one in found) for found in (gross, net, many)] == [290, 230, 40]
    for found in (gross, net):
        assert positions(found) == positions(CYCLE) == {"a": 20, "c": -20}
    assert positions(many) == {"a": 20, "c": -20}


def test_a_cycle_of_equals_needs_no_money_at_all() -> None:
    assert payments(Mode.MULTILATERAL, [Owed("a", "b", 5), Owed("b", "c", 5), Owed("c", "a", 5)]) == []
    assert payments(Mode.NET, [Owed("a", "b", 5), Owed("b", "a", 5)]) == []


def test_the_platform_is_a_party_like_others_and_the_counterparty_of_all() -> None:
    owed = [Owed("", "a", 50), Owed("a", "", 8), Owed("a", "b", 10)]
    assert payments(Mode.GROSS, owed) == [Owed("", "a", 50), Owed("a", "", 8), Owed("a", "b", 10)]
    assert payments(Mode.NET, owed) == [Owed("", "a", 42), Owed("a", "b", 10)]
    assert payments(Mode.MULTILATERAL, owed) == [Owed("", "a", 32), Owed("", "b", 10)]


def test_who_owes_more_than_its_cap_is_named() -> None:
    assert over_caps({"a": -100, "b": -101, "c": -1000, "d": 5}, {"a": 100, "b": 100, "d": 0}) == ["b"]


def test_what_came_back_is_to_be_paid_again_and_no_more() -> None:
    assert rest(100, [Part(60), Part(40, failed=True)]) == 40
    assert rest(100, [Part(60)], 25) == 25
    assert rest(100, [Part(100)]) == 0
    for wanted in (41, -1):
        with pytest.raises(Refused) as refused:
            rest(100, [Part(60)], wanted)
        assert refused.value.refusal.code is RefusalCode.BAD_AMOUNT
