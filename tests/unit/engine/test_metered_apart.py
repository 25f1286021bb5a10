"""Parts that count the same units each for itself: users pay for what each delivered, in whatever order it was told."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from apportion.model.session import SessionState
from tests.markets import request
from tests.unit.engine.test_replacing import Market

NEAR, FAR, LATER = Decimal("0.02"), Decimal("0.02"), Decimal("0.03")  # oak, elm, and ash in its place


def fee(*earned: Decimal) -> Decimal:
    """0.10 for the connection, a tenth more than providers earn, and a fifth of all that as tax."""
    return (Decimal("0.1") + sum(earned, Decimal(0)) * Decimal("1.1")) * Decimal("1.2")


def paid(rig: Market) -> Decimal:
    return 50 - Decimal(rig.balance("ada"))


def told(rig: Market, id: str, part: str, number: int, minutes: int, **more: object) -> None:
    outcome = rig.report(id, number, str(minutes), seconds=1, part=part, measure="minutes", **more)
    assert outcome.refusal is None, outcome.refusal


@pytest.mark.parametrize("seed", range(12))
def test_each_part_is_paid_for_what_it_counted(seed: int) -> None:
    pick = random.Random(seed)
    rig = Market()
    id = rig.accepted(rig.found(request("10")).id)
    used = {"near": 0, "far": 0}
    numbers = dict.fromkeys(used, 0)
    for part in pick.choices(sorted(used), k=10):  # five minutes are granted at a time
        used[part] += pick.randint(0, 5)
        numbers[part] += 1
        told(rig, id, part, numbers[part], used[part])
    for part in pick.sample(sorted(used), 2):
        told(rig, id, part, numbers[part] + 1, used[part], final=True)
    if rig.line(id).state is not SessionState.CLOSED:
        rig.end(id)
    near, far = used["near"] * NEAR, used["far"] * FAR
    assert paid(rig) == fee(near, far)
    shown = {name: Decimal(amount) for name, amount in rig.income().items()}
    assert (shown.get("oak", 0), shown.get("elm", 0)) == (near, far)
    assert shown["fees"] == Decimal("0.1") + (near + far) / 10 and "sponsor" not in shown
    assert rig.balance("ada", "held") == "0"


def test_what_was_planned_is_what_is_paid_when_all_count_it() -> None:
    rig = Market()
    plan = rig.found(request("10"))
    id = rig.accepted(plan.id)
    for number, minutes in ((1, 5), (2, 10)):
        for part in ("near", "far"):
            told(rig, id, part, number, minutes)
    rig.end(id)
    assert paid(rig) == Decimal(plan.scenarios[0].total) == Decimal("0.648")


def test_a_part_that_is_taken_over_counts_from_its_beginning() -> None:
    rig = Market()
    id = rig.accepted(rig.found(request("10")).id)
    told(rig, id, "near", 1, 4)
    told(rig, id, "far", 1, 4)
    assert rig.lose(id, "elm").refusal is None and rig.crew(id) == {"near": "oak", "far": "ash"}
    for number, near, far in ((2, 7, 3), (3, 10, 6)):
        told(rig, id, "near", number, near)
        told(rig, id, "far", number - 1, far)
    rig.end(id)
    assert paid(rig) == fee(10 * NEAR, 4 * FAR, 6 * LATER)
    assert {name: Decimal(text) for name, text in rig.income().items() if name != "vat@20"} == {
        "oak": Decimal("0.2"), "elm": Decimal("0.08"), "ash": Decimal("0.18"), "fees": Decimal("0.146"),
    }  # fmt: skip


def test_the_whole_goes_before_the_parts() -> None:
    rig = Market()
    id = rig.accepted(rig.found(request("10")).id)
    told(rig, id, "near", 1, 4)
    told(rig, id, "", 1, 5)
    told(rig, id, "far", 1, 3)
    told(rig, id, "", 2, 8)
    rig.end(id)
    assert paid(rig) == fee(8 * NEAR, 8 * FAR)
