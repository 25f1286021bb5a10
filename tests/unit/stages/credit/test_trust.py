"""The score, the limit and the words for both: what counts, what never does, and what a policy allows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from apportion.engine.credit.standing import default_model
from apportion.errors import RefusalCode, Refused
from apportion.model.credit import History, Month, TrustDecision, TrustModel, TrustPolicy, Weight
from apportion.money import Exact
from apportion.stages.credit import FACTORS, decide, explain, features, limit, model_version, paid_volume, predict

EUR = 10**9
MODEL = default_model()
POLICY = TrustPolicy("EUR", cap="500", starting="20")


def good(count: int, euros: int = 100) -> History:
    """``count`` months of ``euros`` each, every one paid in full and on time, nothing open now."""
    months = [Month(0 if i == 0 else euros * EUR, euros * EUR, 200 * EUR, euros * EUR) for i in range(count)]
    return History(tuple(months), 0, "EUR/9")


def missed(history: History, months_late: int = 1) -> History:
    """The same with one more month, in which nothing came in."""
    month = Month(200 * EUR, 0, 200 * EUR, 100 * EUR, months_late)
    before = [msgspec.structs.replace(history.months[0], billed=100 * EUR), *history.months[1:]]
    return History((month, *before), months_late, history.asset)


def changed(**more: object) -> TrustPolicy:
    return msgspec.structs.replace(POLICY, **more)


def test_no_history_gives_the_starting_limit() -> None:
    empty = History(asset="EUR/9")
    assert limit(POLICY, MODEL, empty).text() == "20.000000000"
    assert limit(TrustPolicy("EUR", cap="500"), MODEL, empty).atoms == 0
    assert decide(POLICY, MODEL, empty).score == ""
    assert explain(decide(POLICY, MODEL, empty)) == ("No month was billed yet, so the starting limit applies: 20 EUR.",)


def test_the_limit_is_a_share_of_what_was_paid_on_time_times_the_score() -> None:
    history = good(6)
    assert paid_volume(POLICY, history) == (600 * EUR, 6)
    exact = Exact(600 * EUR) * Exact.parse("0.25") * predict(MODEL, history)
    assert limit(POLICY, MODEL, history).atoms == exact.floor() > 100 * EUR


def test_a_missed_payment_lowers_and_paying_raises() -> None:
    before = good(6)
    after, paid = missed(before), good(7)
    low, middle, high = (limit(POLICY, MODEL, one).atoms for one in (after, before, paid))
    assert low < middle < high


def test_the_cap_holds() -> None:
    assert limit(changed(cap="50"), MODEL, good(6)).text() == "50.000000000"
    assert limit(changed(cap="5", starting="20"), MODEL, History(asset="EUR/9")).text() == "5.000000000"
    assert "the most that the policy allows" in decide(changed(cap="50"), MODEL, good(6)).reason


def test_many_tiny_payments_do_not_buy_a_large_line() -> None:
    tiny = History(tuple(Month(0, 1, 0, 1) for _ in range(12)), 0, "EUR/9")
    assert predict(MODEL, tiny) > Exact.parse("0.85")
    assert limit(TrustPolicy("EUR", cap="500"), MODEL, tiny).atoms <= 3


def test_value_that_was_only_put_in_is_not_paid_volume() -> None:
    idle = History(tuple(Month(0, 1000 * EUR, 0, 0) for _ in range(12)), 0, "EUR/9")
    assert paid_volume(POLICY, idle) == (0, 0)


def test_few_months_keep_the_starting_limit_unless_something_is_missing() -> None:
    assert limit(POLICY, MODEL, good(2)).text() == "20.000000000"
    assert limit(POLICY, MODEL, missed(good(1))).atoms == 0


def test_a_low_score_gives_no_credit() -> None:
    history = missed(missed(good(4)), 2)
    found = decide(POLICY, MODEL, history)
    assert found.limit == "0.000000000" and "below 0.7" in found.reason


def test_a_missing_payment_holds_the_limit_even_when_old_sins_drop_out_of_sight() -> None:
    """Ten bad months have just grown old; the month that pushes them out is a missed one."""
    clean = [Month(0, 100 * EUR, 10**6 * EUR, 100 * EUR) for _ in range(6)]
    newest = Month(90 * EUR, 100 * EUR, 10**6 * EUR, 100 * EUR, 0)
    old = [Month(500 * EUR, 0, 200 * EUR, 100 * EUR, 2)] * 6
    before = History((*clean[:5], *old), 0, "EUR/9")
    after = History((msgspec.structs.replace(newest, months_late=1), *before.months), 1, "EUR/9")
    anybody = changed(minimum_score="0")
    assert limit(anybody, MODEL, after).atoms <= limit(anybody, MODEL, before).atoms


def test_a_decision_can_be_made_again_from_its_own_fields() -> None:
    for history in (History(asset="EUR/9"), good(1), good(6), missed(good(6)), missed(missed(good(6)), 2)):
        made = decide(POLICY, MODEL, history)
        back = msgspec.json.decode(msgspec.json.encode(made), type=TrustDecision)
        assert back == made == decide(back.policy, MODEL, back.history)
        assert back.limit == limit(POLICY, MODEL, history).text() and back.model == MODEL.version


def test_the_shares_of_the_factors_make_the_score() -> None:
    made = decide(POLICY, MODEL, missed(good(6)))
    total = Exact.parse(made.intercept)
    for factor in made.factors:
        total += Exact.parse(factor.share)
    assert total == Exact.parse(made.score)


def test_an_explanation_is_plain_sentences_the_strongest_first() -> None:
    words = explain(decide(POLICY, MODEL, missed(good(6))))
    assert words[0].startswith("The limit is 93.99 EUR: 25 % of 500 EUR, used and paid on time in 5 months")
    assert "A payment was late in the last six months: lowers the score by 0.048." in words
    assert "Nothing is overdue by two months now: raises the score by 0.024." in words
    assert all(line.endswith(".") and "_" not in line for line in words)
    happy = explain(decide(POLICY, MODEL, good(6)))
    assert happy[0].startswith("The limit is 136.") and "25 % of 600 EUR" in happy[0]


def test_months_need_no_credit_line() -> None:
    """Who paid in advance has a history too: statements with nothing open, and no line."""
    ahead = History(tuple(Month(0, 50 * EUR, 0, 50 * EUR) for _ in range(6)), 0, "EUR/9")
    assert limit(POLICY, MODEL, ahead).atoms > 20 * EUR


@pytest.mark.parametrize("value", [0, -5, 10**40, 2**63])
def test_hostile_histories_are_fine(value: int) -> None:
    month = Month(value, value, value, value, max(0, value))
    for history in (History((month,) * 3), History((month,) * 9, abs(value)), History((Month(0, 0, 0),) * 100)):
        assert all(Exact(0) <= number <= Exact(1) for _, number in features(history))
        assert Exact(0) <= predict(MODEL, history) <= Exact(1)
        assert 0 <= limit(POLICY, MODEL, history).atoms <= 500 * EUR
        assert explain(decide(POLICY, MODEL, history))


def test_a_very_long_history_is_quick() -> None:
    history = History((Month(1, 0, 1, 1, 9),) * 100_000, 9, "EUR/9")
    assert limit(POLICY, MODEL, history).atoms == 0


# ── what is refused ──


def remade(*weights: Weight) -> TrustModel:
    model = TrustModel("0.8", weights)
    return msgspec.structs.replace(model, version=model_version(model))


def test_a_missed_payment_can_not_help() -> None:
    for factor in FACTORS:
        wrong = remade(Weight(factor.name, "-0.1" if factor.sign > 0 else "0.1", "0"))
        with pytest.raises(Refused) as refused:
            predict(wrong, good(3))
        assert refused.value.refusal.code is RefusalCode.BAD_INPUT
        assert predict(remade(Weight(factor.name, "0.1" if factor.sign > 0 else "-0.1", "0")), good(3))


def test_a_model_is_what_its_version_says() -> None:
    with pytest.raises(Refused) as refused:
        predict(msgspec.structs.replace(MODEL, intercept="0.99"), good(6))
    assert refused.value.refusal.code is RefusalCode.CONFLICT


def test_unknown_and_repeated_factors_are_refused() -> None:
    for weights in ((Weight("age", "0.1", "0"),), (Weight("overdue", "0", "0"),) * 2):
        with pytest.raises(Refused):
            predict(remade(*weights), good(3))


@pytest.mark.parametrize(
    "wrong",
    [
        {"cap": "-1"}, {"starting": "x"}, {"share": "-0.1"}, {"minimum_score": "1.1"}, {"months": 0},
        {"minimum_months": 0}, {"currency": "USD"},
    ],
)  # fmt: skip
def test_policies_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(Refused):
        limit(changed(**wrong), MODEL, good(3))


def test_predicting_needs_no_numpy() -> None:
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "from tests.unit.stages.credit.test_trust import MODEL, POLICY, good, limit\n"
        "print(limit(POLICY, MODEL, good(6)).text())"
    )
    root = Path(__file__).resolve().parents[4]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={"PYTHONPATH": f"{root / 'src'}:{root}"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == limit(POLICY, MODEL, good(6)).text(), done.stderr
