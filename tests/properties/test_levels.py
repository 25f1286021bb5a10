"""Service levels against plain counting: fees of parts are the payer's share, credits add up, outages count once."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from apportion.model.agreement import Consequence, Levels, Outcome, Targets
from apportion.model.charge import Charge, Portion, Share, TaxLine
from apportion.money import Asset, Exact
from apportion.money.exact import decimal_text
from apportion.stages.meter.level import Fee, Samples, Told, credit_of, fee_of, levels_of, percent, sample, union

EUR = Asset("EUR", 9)
ATOMS = st.integers(-(10**12), 10**12)
SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)


@given(st.lists(ATOMS, min_size=1, max_size=4), ATOMS, st.lists(st.tuples(ATOMS, ATOMS), max_size=3), st.data())
def test_the_fees_of_all_parts_are_what_the_payer_bears(
    portions: list[int], share: int, taxes: list[tuple[int, int]], data: st.DataObject
) -> None:
    net = sum(base for base, _ in taxes) + data.draw(ATOMS)
    charge = Charge(
        "c", "u", "call", "2026-10-01T00:00:00Z", "EUR", "t", "cat", "shares", "0", decimal_text(net, 9), "0", "0",
        portions=tuple(Portion(f"p{n}", "elm", "a", "", decimal_text(one, 9)) for n, one in enumerate(portions)),
        shares=(Share("ada", decimal_text(share, 9)),),
        taxes=tuple(TaxLine("t", str(n), decimal_text(b, 9), decimal_text(t, 9)) for n, (b, t) in enumerate(taxes)),
    )  # fmt: skip
    whole = Fee()
    for one in charge.portions:
        fee = fee_of(charge, EUR, "ada", lambda part, provider, one=one: part == one.part)  # type: ignore[misc]
        assert fee.gross == fee.rest + sum(base + tax for base, tax in fee.taxes.values())
        assert fee.gross * share >= 0 and abs(fee.gross) <= abs(share)
        whole.add(fee)
    assert whole.gross == share


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**9), min_size=2, max_size=6), st.integers(0, 100))
def test_a_credit_is_never_above_its_percent_and_adds_up(rest: int, parts: list[int], share: int) -> None:
    pairs = {("t", str(n)): (parts[n], parts[n + 1]) for n in range(0, len(parts) - 1, 2)}
    fee = Fee(rest + sum(sum(pair) for pair in pairs.values()), rest, pairs)
    credit = credit_of(fee, Exact(share))
    assert credit.gross == credit.rest + sum(base + tax for base, tax in credit.taxes.values())
    assert credit.gross == fee.gross * share // 100 and min([credit.rest, *sum(credit.taxes.values(), ())]) >= 0


@given(SPANS, st.integers(0, 30), st.integers(31, 60))
def test_outages_count_each_moment_once(spans: list[tuple[int, int]], start: int, end: int) -> None:
    down = {moment for begin, over in spans for moment in range(begin, over) if start <= moment < end}
    assert union(spans, start, end) == len(down)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 300), st.integers(0, 50), st.integers(1, 9)), max_size=12),
    st.integers(1, 300), st.fractions(Fraction(1, 100), 1),
)  # fmt: skip
def test_levels_are_those_of_plain_counting(
    uses: list[tuple[bool, int, int, int]], latency: int, promised: Fraction
) -> None:
    text = f"{promised.numerator}/{promised.denominator}"
    targets = Targets(latency, "", text, "5", "")
    says, samples, within = Levels(Outcome("o", ("bad",)), "ms", "b"), Samples(), Samples()
    for bad, wait, units, seconds in uses:
        told = Told("far", "elm", {"o": "bad" if bad else "ok"}, {"ms": str(wait), "b": str(units)}, seconds * 10**6)
        for one in (samples, within):
            sample(one, told, says, targets, 1)
    levels = {one.target: one for one in levels_of(samples, targets)}
    count, failed = len(uses), sum(bad for bad, *_ in uses)
    assert levels["success"].kept == (not count or Fraction(count - failed, count) >= promised)
    assert levels["latency"].kept == (not count or Fraction(sum(wait for _, wait, *_ in uses), count) <= latency)
    carried, taken = (sum(one[place] for one in uses) for place in (2, 3))
    assert levels["throughput"].kept == (not count or Fraction(carried, taken) >= 5)
    share = levels_of(within, Targets(latency, within=text))[0]
    assert share.kept == (not count or Fraction(sum(wait <= latency for _, wait, *_ in uses), count) >= promised)
    missed = sum(not one.kept for one in levels.values())
    cost = percent(tuple(levels.values()), Consequence("7.5", "12"))
    assert Fraction(cost.num, cost.den) == min(Fraction("7.5") * missed, 12)
