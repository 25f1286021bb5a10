"""Trust holds for all histories: paying never harms, missing never helps, amounts as such say nothing."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from apportion.engine.credit.standing import default_model
from apportion.model.credit import History, Month, TrustModel, TrustPolicy, Weight
from apportion.money import Exact
from apportion.stages.credit import FACTORS, decide, features, limit, model_version, paid_volume, predict

AMOUNTS = st.one_of(st.integers(0, 300), st.integers(0, 10**15))
MONTHS = st.builds(Month, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, st.integers(0, 4))
HISTORIES = st.builds(
    History, st.lists(MONTHS, min_size=1, max_size=14).map(tuple), st.integers(0, 4), st.just("EUR/9")
)
DECIMALS = st.integers(0, 10**6).map(lambda units: Exact(units, 10**6).text())
POLICIES = st.builds(
    TrustPolicy,
    currency=st.just("EUR"),
    cap=st.integers(0, 10**6).map(str),
    starting=st.integers(0, 10).map(str),
    share=DECIMALS,
    minimum_score=DECIMALS,
    minimum_months=st.integers(1, 4),
    months=st.integers(1, 14),
)


@st.composite
def models(draw: st.DrawFn) -> TrustModel:
    """The one that is shipped, or any other that the signs allow."""
    if draw(st.booleans()):
        return default_model()
    weights = tuple(
        Weight(one.name, Exact(one.sign * draw(st.integers(0, 10**6)), 10**6).text(), draw(DECIMALS)) for one in FACTORS
    )
    model = TrustModel(draw(DECIMALS), weights)
    return msgspec.structs.replace(model, version=model_version(model))


def with_month(history: History, place: int, **more: int) -> History:
    months = list(history.months)
    months[place] = msgspec.structs.replace(months[place], **more)
    return msgspec.structs.replace(history, months=tuple(months))


@given(HISTORIES, st.integers(1, 10**9))
def test_another_currency_or_scale_changes_nothing(history: History, times: int) -> None:
    months = tuple(
        Month(m.billed * times, m.paid * times, m.limit * times, m.used * times, m.months_late) for m in history.months
    )
    scaled = msgspec.structs.replace(history, months=months)
    assert features(scaled) == features(history)
    policy = TrustPolicy("EUR", "1")
    volume, settled = paid_volume(policy, history)
    assert paid_volume(policy, scaled) == (volume * times, settled)


@given(HISTORIES, models())
def test_factors_and_scores_lie_between_nothing_and_one(history: History, model: TrustModel) -> None:
    assert all(Exact(0) <= value <= Exact(1) for _, value in features(history))
    assert Exact(0) <= predict(model, history) <= Exact(1)


@given(HISTORIES, models(), POLICIES, st.data())
def test_paying_more_never_lowers(
    history: History, model: TrustModel, policy: TrustPolicy, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(history.months) - 1))
    more = with_month(history, place, paid=history.months[place].paid + data.draw(AMOUNTS))
    assert predict(model, more) >= predict(model, history)
    assert limit(policy, model, more).atoms >= limit(policy, model, history).atoms


@given(HISTORIES, models(), POLICIES, st.data())
def test_paying_earlier_never_lowers(
    history: History, model: TrustModel, policy: TrustPolicy, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(history.months) - 1))
    earlier = with_month(history, place, months_late=data.draw(st.integers(0, history.months[place].months_late)))
    earlier = msgspec.structs.replace(earlier, overdue=data.draw(st.integers(0, history.overdue)))
    assert predict(model, earlier) >= predict(model, history)
    assert limit(policy, model, earlier).atoms >= limit(policy, model, history).atoms


@given(HISTORIES, models(), POLICIES, MONTHS, st.integers(1, 5))
def test_a_missed_payment_never_raises(
    history: History, model: TrustModel, policy: TrustPolicy, month: Month, late: int
) -> None:
    """Whatever else the month brings: use, a payment, a higher line, old sins that drop out of sight."""
    newest = msgspec.structs.replace(month, months_late=late)
    history = msgspec.structs.replace(history, overdue=history.months[0].months_late)
    after = History((newest, *history.months), late, history.asset)
    assert limit(policy, model, after).atoms <= limit(policy, model, history).atoms


@given(HISTORIES, models(), POLICIES)
def test_the_limit_is_bounded_and_can_be_made_again(history: History, model: TrustModel, policy: TrustPolicy) -> None:
    found = limit(policy, model, history)
    volume, _ = paid_volume(policy, history)
    starting = Exact.parse(policy.starting) * Exact(10**9)
    assert 0 <= found.atoms <= int(policy.cap) * 10**9
    assert Exact(found.atoms) <= max(starting, Exact(volume) * Exact.parse(policy.share))
    assert decide(policy, model, history).limit == limit(policy, model, history).text() == found.text()


# ── the same use, paid in two ways ──

LINE = 10_000
USES = st.lists(st.integers(0, 400), min_size=2, max_size=6)


def told(uses: list[int], paid: list[int]) -> History:
    """The history of an account that is charged ``uses``, oldest first, and pays ``paid`` before each statement."""
    months: list[Month] = []
    open_, asked = 0, list[int]()  # asked: what is left to pay of each statement, oldest first
    for use, came in zip(uses, paid, strict=True):
        left = came
        for place, due in enumerate(asked):
            asked[place] = due - min(due, left)
            left -= min(due, left)
        late = next((len(asked) - place for place, due in enumerate(asked) if due), 0)
        ahead = max(0, came - open_) if not asked else left
        owed = max(0, use - ahead)
        asked.append(owed)
        open_ = sum(asked)
        months.append(Month(open_, came, LINE, use, late))
    return History(tuple(reversed(months)), months[-1].months_late, "EUR/9")


@given(USES, models(), POLICIES, st.data())
def test_paying_what_is_asked_beats_paying_less_or_later(
    uses: list[int], model: TrustModel, policy: TrustPolicy, data: st.DataObject
) -> None:
    """In full and on time against any part of it, where what is kept back may come in a later month."""
    full = [0, *uses[:-1]]
    kept_back, late = 0, []
    for asked in full:
        comes = data.draw(st.integers(0, asked + kept_back))
        kept_back += asked - comes
        late.append(comes)
    assert limit(policy, model, told(uses, full)).atoms >= limit(policy, model, told(uses, late)).atoms
    assert predict(model, told(uses, full)) >= predict(model, told(uses, late))
