"""Splits of transfers as they are asked for: charged as tariffs charge, within budgets, followed and fed back."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from fractions import Fraction

import msgspec
import pytest

from apportion.engine.quote import Quotes
from apportion.engine.transfers.segmenting import planned, planned_again
from apportion.errors import RefusalCode, Refused
from apportion.model.calendar import Calendar
from apportion.model.segmentation import (
    Assemblage,
    PathAsked,
    PathReport,
    SegmentationAgain,
    SegmentationAsked,
    SegmentPlan,
    Stretch,
)
from apportion.model.tariff import Flat, Graduated, RoundingRule, Tariff, Tier, Unit
from apportion.model.usage import PayerUse, Usage
from apportion.money import Asset

ASSET = Asset("USD", 9)


def tariff(id: str, price: str, setup: str = "0", **more: object) -> Tariff:
    parts = (Flat(name="open", price=setup), Unit(name="data", measure="mb", price=price, per="3"))
    return Tariff(id=id, currency="USD", components=parts, **more)  # type: ignore[arg-type]


def charged(plan: SegmentPlan) -> None:
    """Every path costs what its tariff charges for what it carries, to the last unit."""
    terms = {path.id: path.tariff for path in plan.asked.paths}
    total = Fraction(0)
    for path in plan.paths:
        own = terms[path.id]
        assert own is not None
        carried = path.bytes + sum(one.length for one in path.carried)
        megabytes = f"{carried}/1000000"
        start = datetime(2026, 11, 20, tzinfo=UTC)
        use = Usage(
            source="s", id="1", service="t", start=start, payers=(PayerUse("ada"),), quantities={"mb": megabytes}
        )
        quote = Quotes(own, ASSET, Calendar()).add(use)
        assert quote.net.text() == path.cost and quote.priced.exact.reduced().text() == path.exact
        total += Fraction(path.cost)
    assert total == Fraction(plan.cost)


def asked(*paths: PathAsked, amount: int = 10_000_001, **more: object) -> SegmentationAsked:
    return SegmentationAsked(amount, paths=paths, measure="mb", unit=10**6, **more)  # type: ignore[arg-type]


def whole(plan: SegmentPlan) -> None:
    pieces = sorted((o.offset, o.length) for path in plan.paths for o in (*path.stretches, *path.carried))
    at = 0
    for offset, length in pieces:
        assert offset == at
        at += length
    assert at == plan.asked.amount


def test_each_path_costs_what_its_tariff_charges() -> None:
    plan = planned(
        asked(
            PathAsked("a", "north", 1_000_000, tariff=tariff("a", "0.01")),
            PathAsked("b", "west", 1_000_000, tariff=tariff("b", "0.07", "0.000000001"), rtt=250),
            deadline="6.5",
        )
    )
    charged(plan)
    whole(plan)
    assert [path.id for path in plan.paths] == ["a", "b"] and Fraction(plan.finish) <= Fraction("6.5")


@pytest.mark.parametrize(
    "priced",
    [
        Tariff(id="t", currency="USD", components=(Graduated(name="d", measure="mb", tiers=(Tier("5", "2"), Tier())),)),
        Tariff(id="t", currency="USD", components=(Unit(name="d", measure="mb", price="1", step="10"),)),
        Tariff(id="t", currency="USD", components=(Unit(name="d", measure="minutes", price="1"),)),
        tariff("t", "1", minimum="5"),
        tariff("t", "1", rounding=RoundingRule(mode="up", decimals=2)),
        tariff("t", "1", valid_from="2026-01-01"),
    ],
)  # fmt: skip
def test_other_tariffs_are_refused(priced: Tariff) -> None:
    with pytest.raises(Refused) as refused:
        planned(asked(PathAsked("a", "north", 10, tariff=priced)))
    assert refused.value.refusal.code is RefusalCode.BAD_INPUT and refused.value.refusal.field == "paths[0].tariff"


def test_tariffs_from_outside_are_checked_and_of_one_currency() -> None:
    for priced, code in (
        (tariff("", "1"), RefusalCode.CATALOG_INVALID),
        (tariff("t", "one"), RefusalCode.CATALOG_INVALID),
        (msgspec.structs.replace(tariff("t", "1"), currency="EUR"), RefusalCode.ASSET_MISMATCH),
    ):
        with pytest.raises(Refused) as refused:
            planned(asked(PathAsked("a", "north", 10, tariff=priced), currency="USD"))
        assert refused.value.refusal.code is code, refused.value


def test_a_budget_holds_also_when_every_path_is_rounded() -> None:
    """A third of a unit each, of which half are rounded up: the sum of what is charged stays within the budget."""
    for budget in ("0.000000007", "0.000000008", "0.00000001"):
        paths = tuple(
            PathAsked(f"p{at}", "north", 1, price="1", per=1, setup="0.0000000016") for at in range(9)
        )  # fmt: skip
        free = tuple(msgspec.structs.replace(path, price="0") for path in paths)
        given = SegmentationAsked(9, "USD", free, objective="fastest", budget=budget, assemblage=Assemblage(size=1))
        plan = planned(given)
        assert Fraction(plan.cost) <= Fraction(budget)
        assert sum(Fraction(path.cost) for path in plan.paths) == Fraction(plan.cost)


def test_a_plan_is_followed_and_fed_back_until_everything_is_there() -> None:
    rng = random.Random(20)
    coder = msgspec.json.Decoder(SegmentationAgain)
    for _ in range(25):
        paths = tuple(
            PathAsked(
                f"p{at}", "north", rng.randrange(50_000, 900_000), rtt=rng.randrange(300),
                tariff=tariff(f"t{at}", f"0.{rng.randrange(1, 99):02}", rng.choice(("0", "0.01"))),
            )
            for at in range(4)
        )  # fmt: skip
        plan = planned(asked(*paths, amount=rng.randrange(10**6, 10**7), objective=rng.choice(("", "best-value"))))
        elapsed = 0
        while any(path.stretches for path in plan.paths):
            whole(plan)
            charged(plan)
            elapsed += 1
            reports = tuple(
                PathReport(
                    path.id,
                    tuple(Stretch(o.offset, rng.choice((o.length, 1 + o.length // 3))) for o in path.stretches),
                    gone=rng.random() < 0.2 and path.id != "p0",
                )
                for path in plan.paths
            )  # fmt: skip
            before = plan
            sent = msgspec.json.encode(SegmentationAgain(plan=plan, elapsed=str(elapsed), reports=reports))
            plan = planned_again(coder.decode(sent))
            if not any(report.gone for report in reports):
                assert Fraction(plan.exact) <= Fraction(before.exact), "dearer than to go on as it was"
        assert Fraction(plan.elapsed) == elapsed == Fraction(plan.finish)
        charged(plan)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reports": (PathReport("z"),)}, "'z' is no path of the plan"),
        ({"reports": (PathReport("a"), PathReport("a"))}, "reported twice"),
        ({"reports": (PathReport("a", (Stretch(0, 11),)),)}, "beyond 10 bytes"),
        ({"reports": (PathReport("a", (Stretch(0, 5),)), PathReport("b", (Stretch(4, 3),)))}, "another path brought"),
        ({"elapsed": "-1"}, "below zero"),
        ({"paths": (PathAsked("a", "x", 1), PathAsked("a", "x", 1))}, "two of one id"),
        ({"reports": (PathReport("a", gone=True), PathReport("b", gone=True))}, "no path may be used"),
    ],
)
def test_reports_that_contradict_are_refused(changes: dict[str, object], said: str) -> None:
    paths = tuple(PathAsked(id, "x", 1, price="1", per=1) for id in "ab")
    plan = planned(SegmentationAsked(10, "USD", paths, objective="fastest", assemblage=Assemblage(size=1)))
    with pytest.raises(Refused, match=said):
        planned_again(SegmentationAgain(plan=plan, **changes))  # type: ignore[arg-type]
    torn = msgspec.structs.replace(plan, paths=plan.paths[1:])
    with pytest.raises(Refused, match="every byte once"):
        planned_again(SegmentationAgain(plan=torn))


def test_what_was_carried_keeps_its_price_when_the_price_changes() -> None:
    plan = planned(SegmentationAsked(100, "USD", (PathAsked("a", "x", 10, price="1", per=1, setup="5"),)))
    assert plan.cost == "105.000000000"
    dearer = (PathAsked("a", "x", 10, price="3", per=1, setup="7"), PathAsked("b", "y", 10, price="2", per=1))
    reports = (PathReport("a", (Stretch(0, 40),)),)
    again = planned_again(SegmentationAgain(plan=plan, elapsed="4", reports=reports, paths=dearer))
    costs = {path.id: path.cost for path in again.paths}
    assert costs == {"a": "45.000000000", "b": "120.000000000"} and again.cost == "165.000000000"
    lost = planned_again(
        SegmentationAgain(plan=again, elapsed="5", reports=(PathReport("a", lost=(Stretch(0, 40),), gone=True),))
    )
    assert {path.id: path.cost for path in lost.paths} == {"b": "200.000000000"}, "what is lost is not paid"
