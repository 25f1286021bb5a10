"""What samples come to: exact levels, verdicts at the very edge, credits that add up with their tax."""

from __future__ import annotations

from apportion.model.agreement import Consequence, Levels, Outcome, Targets
from apportion.model.charge import Charge, Portion, Share, TaxLine
from apportion.model.level import Level
from apportion.model.usage import PartUse
from apportion.money import Asset, Exact
from apportion.stages.meter.level import (
    Fee,
    Samples,
    Told,
    credit_of,
    fee_of,
    levels_of,
    merged,
    percent,
    sample,
    union,
    words,
)

EUR = Asset("EUR", 9)
SAYS = Levels(Outcome("outcome", ("failed", "dropped"), "fault"), "setup", "bytes")


def told(outcome: str = "ok", fault: str = "", slice: bool = False, **quantities: str) -> Told:
    attributes = {"outcome": outcome} | ({"fault": fault} if fault else {})
    return Told("far", "elm", attributes if outcome else {}, quantities, 2_000_000, slice)


def counted(targets: Targets, *records: Told, unit: int = 1) -> Samples:
    samples = Samples()
    for one in records:
        sample(samples, one, SAYS, targets, unit)
    return samples


def test_a_level_is_kept_at_the_very_edge_and_missed_just_behind_it() -> None:
    good = [told()] * 99
    at = levels_of(counted(Targets(), *good, told("failed")), Targets(success="0.99"))[0]
    behind = levels_of(counted(Targets(), *good[1:], told("failed")), Targets(success="0.99"))[0]
    assert (at.measured, at.kept) == ("0.99", True) and (behind.measured, behind.kept) == ("98/99", False)
    assert words(behind) == "success 98.98 % (promised 99 %)"  # rounded down: a miss never looks like a hit


def test_a_failure_is_the_fault_of_whom_the_record_names() -> None:
    records = [told("failed", "near"), told("dropped", "far"), told("failed", "elm"), told("failed"), told("")]
    samples = counted(Targets(), *records)
    assert (samples.told, samples.failed) == (4, 3)  # another's fault is none of elm's; who says nothing is no sample


def test_latency_is_a_mean_or_a_fraction_within() -> None:
    records = [told(setup="0.1"), told(setup="0.1"), told(setup="0.4")]
    mean = levels_of(counted(Targets(), *records, unit=1000), Targets(latency=200))[0]
    assert (mean.measured, mean.samples, mean.kept) == ("200", 3, True)
    targets = Targets(latency=200, within="0.7")
    within = levels_of(counted(targets, *records, unit=1000), targets)[0]
    assert within == Level("latency", "0.7", "2/3", 3, False, "200")
    assert words(within) == "latency of 200 ms in 66.66 % (promised 70 %)"
    slow = levels_of(counted(Targets(), told(setup="200.001")), Targets(latency=200))[0]
    assert words(slow) == "latency 200.01 ms (promised 200 ms)"  # up: the other side of the promise


def test_a_number_below_zero_is_no_sample_and_a_fraction_has_nine_decimals() -> None:
    samples = counted(Targets(), told(setup="-5", bytes="-1"), told(setup="1/3", bytes="1/7"))
    assert (samples.timed, samples.wait.text(), samples.rated) == (1, "0.333333333", 1)
    assert samples.carried.text() == "0.142857143"


def test_throughput_is_all_units_over_all_time() -> None:
    samples = counted(Targets(), told(bytes="30"), told(bytes="10", slice=True, setup="9"), told("failed", slice=True))
    rate = levels_of(samples, Targets(throughput="10"))[0]
    assert (rate.measured, rate.samples, rate.kept) == ("10", 2, True)
    assert (samples.timed, samples.told) == (0, 1)  # a slice tells of nothing else
    assert words(levels_of(samples, Targets(throughput="11"))[0]) == "throughput 10 a second (promised 11)"


def test_what_was_not_measured_is_held_against_nobody() -> None:
    targets = Targets(5, "0.9", "0.9", "5")
    samples = Samples()
    samples.throughput(Exact(5), Exact(0))
    assert [one.kept for one in levels_of(samples, targets)] == [True] * 4
    assert words(levels_of(samples, targets)[1]) == "success was not measured"
    assert percent(levels_of(samples, targets), Consequence("10")) == Exact(0)


def test_overlapping_outages_count_once_and_only_inside_the_window() -> None:
    assert union([(0, 20), (15, 30), (28, 29), (90, 200), (95, 99), (300, 400)], 10, 100) == 30
    assert union([(50, 50)], 10, 100) == union([], 10, 100) == 0
    samples = Samples(span=90, down=30)
    assert levels_of(samples, Targets(availability="0.67"))[0].measured == "2/3"


def test_each_miss_costs_its_percent_up_to_the_most() -> None:
    missed = (Level("a", "", "1", 1, False),) * 3
    assert percent(missed, Consequence("10", "100")) == Exact(30)
    assert percent(missed, Consequence("10", "25.5")) == Exact(51, 2)


def charge(total: str, amount: str, *portions: str, taxes: tuple[TaxLine, ...] = ()) -> Charge:
    names = ("near", "oak"), ("far", "elm"), ("relay", "elm")
    return Charge(
        "c", "u", "call", "2026-10-01T00:00:00Z", "EUR", "t", "cat", "shares", amount, amount, total, "0",
        portions=tuple(Portion(*name, "p", "", text) for name, text in zip(names, portions, strict=False)),
        shares=(Share("ada", total),), taxes=taxes,
    )  # fmt: skip


def test_the_fee_is_shared_out_by_what_each_earns_with_the_tax_in_it() -> None:
    taxed = charge("1.25", "1", "0.2", "0.4", "0.2", taxes=(TaxLine("vat", "25", "1", "0.25"),))
    fee = fee_of(taxed, EUR, "ada", lambda part, provider: provider == "elm")
    assert (fee.gross, fee.rest, fee.taxes) == (937_500_000, 0, {("vat", "25"): (750_000_000, 187_500_000)})
    assert fee_of(taxed, EUR, "ben", lambda part, provider: True) == Fee()
    free = charge("1", "1", "0", "0")
    assert fee_of(free, EUR, "ada", lambda part, provider: part == "far").gross == 500_000_000


def test_what_was_drawn_on_anothers_account_is_not_borne() -> None:
    drawn = Share("boss", "0.4", source="alternate", payer="ada"), Share("ada.bucket", "0.6", "", "bucket", "ada")
    shared = Charge(
        "c", "u", "call", "2026-10-01T00:00:00Z", "EUR", "t", "cat", "shares", "1", "1", "1", "0",
        portions=(Portion("far", "elm", "p", "", "1"),), shares=drawn,
    )  # fmt: skip
    assert fee_of(shared, EUR, "ada", lambda part, provider: True).gross == 600_000_000


def test_a_credit_is_rounded_down_and_splits_like_the_fee() -> None:
    fee = Fee(1001, 1, {("vat", "25"): (800, 200)})
    credit = credit_of(fee, Exact(10))
    assert (credit.gross, credit.rest + sum(sum(pair) for pair in credit.taxes.values())) == (100, 100)
    assert credit.taxes == {("vat", "25"): (80, 20)}
    assert credit_of(fee, Exact(0)) == credit_of(Fee(-5, -5), Exact(10)) == Fee()
    assert credit_of(fee, Exact(100)).gross == 1001


def test_a_parts_own_quantities_stand_above_the_whole() -> None:
    parts = (PartUse("far", "elm", {"setup": "7"}),)
    assert merged({"setup": "1", "min": "2"}, parts, "far", "elm") == {"setup": "7", "min": "2"}
    assert merged({"setup": "1"}, parts, "near", "oak") == {"setup": "1"}
