"""Ratings: many outweigh a few, one payer is one voice, and everybody begins in the middle."""

from __future__ import annotations

import random

import msgspec
import pytest

from apportion.model.standing import Evidence, Observed, ReputationLine, VoiceLine
from apportion.stages.broker.rating import BEST, MIDDLE, VOICE, WEIGHTS, observed, rated, score, weight_of

GOOD = Observed(
    succeeded=True, latency=10, latency_promised=20, throughput="5", throughput_promised="2", disputed=False, kept=True
)
BAD = Observed(
    succeeded=False, latency=30, latency_promised=20, throughput="1", throughput_promised="2", disputed=True, kept=False
)


def nobody(name: str = "telco", kind: str = "provider") -> ReputationLine:
    return ReputationLine(id="rep_", n=0, at="", kind=kind, name=name, service="call")  # type: ignore[arg-type]


def silent(name: str = "ada") -> VoiceLine:
    return VoiceLine(id="voi_", n=0, at="", account=name, kind="provider", name="telco", service="call")


def by_payers(*stars: int) -> ReputationLine:
    """One rating from each of so many payers."""
    reputation = nobody()
    for one in stars:
        reputation, _ = rated(reputation, silent(), one)
    return reputation


def test_who_is_new_stands_in_the_middle() -> None:
    assert nobody().rating == score(Evidence(), {}) == MIDDLE == 3000


def test_three_votes_do_not_beat_three_thousand() -> None:
    few, many = by_payers(5, 5, 5), by_payers(*[4, 5] * 1500)
    assert (few.rating, many.rating) == (3138, 4479)
    assert by_payers(*[5] * 3000).rating == 4972 > many.rating


def test_whoever_buys_from_itself_ten_thousand_times_moves_its_rating_by_less_than_one_voice() -> None:
    reputation, voice = by_payers(*[3] * 50), silent()
    honest = reputation.rating
    for _ in range(10_000):
        reputation, voice = rated(reputation, voice, 5)
        reputation, said = observed(reputation, voice, GOOD)
        assert said is not None
        voice = said
    assert voice.ratings == voice.measured["success"].good == 10_000
    before = by_payers(*[3] * 50).given
    whole = Evidence(before.weight + VOICE, before.sum + VOICE * BEST)
    one_voice = score(whole, dict.fromkeys(WEIGHTS, Evidence(VOICE, VOICE * BEST)))
    assert honest < reputation.rating <= one_voice
    assert reputation.rating - honest < 400


def test_a_prober_that_measures_often_counts_each_time() -> None:
    reputation = nobody()
    for _ in range(1000):
        reputation, none = observed(reputation, None, Observed(succeeded=True))
        assert none is None
    assert (reputation.rating, reputation.delivered, reputation.run) == (4960, 1000, 0)


def test_every_aspect_lowers_or_raises_it() -> None:
    for field in ("succeeded", "disputed", "kept"):
        good, _ = observed(nobody(), None, Observed(**{field: getattr(GOOD, field)}))
        bad, _ = observed(nobody(), None, Observed(**{field: getattr(BAD, field)}))
        assert bad.rating < MIDDLE < good.rating, field
    for number in ("latency", "throughput"):
        fields = (number, f"{number}_promised")
        good, _ = observed(nobody(), None, Observed(**{name: getattr(GOOD, name) for name in fields}))
        bad, _ = observed(nobody(), None, Observed(**{name: getattr(BAD, name) for name in fields}))
        assert bad.rating < MIDDLE < good.rating, number


def test_a_number_without_a_promise_is_kept_and_judges_nothing() -> None:
    after, _ = observed(nobody(), None, Observed(latency=900, throughput="0.25"))
    assert (after.rating, after.latency, after.latencies, after.throughput) == (MIDDLE, 900, 1, "0.25")


def test_failures_in_a_row_are_counted_until_one_succeeds() -> None:
    reputation = nobody()
    for succeeded, run in ((False, 1), (False, 2), (None, 2), (True, 0), (False, 1)):
        reputation, _ = observed(reputation, None, Observed(succeeded=succeeded))
        assert reputation.run == run
    assert (reputation.delivered, reputation.failed) == (1, 3)


def test_a_network_is_rated_as_a_provider_is() -> None:
    over, _ = rated(nobody("fibre", "network"), silent(), 5)
    assert over.rating == by_payers(5).rating


@pytest.mark.parametrize("seed", range(20))
def test_a_voice_takes_back_all_of_itself_when_it_changes(seed: int) -> None:
    """What is added up step by step is what the voices as they stand make all at once, whatever the order."""
    dice = random.Random(seed)
    reputation, voices = nobody(), [silent(str(n)) for n in range(5)]
    for _ in range(200):
        at = dice.randrange(5)
        reputation, voices[at] = rated(reputation, voices[at], dice.randint(1, 5))
    weights = [weight_of(voice.ratings) for voice in voices]
    sums = [w * (v.stars * 1000 // v.ratings) if v.ratings else 0 for w, v in zip(weights, voices, strict=True)]
    assert reputation.given == Evidence(sum(weights), sum(sums))
    assert reputation.given.weight < 5 * VOICE and 0 <= reputation.rating <= BEST


def test_extremes_stay_between_no_star_and_five() -> None:
    best, worst = nobody(), nobody()
    for _ in range(5000):
        best, _ = observed(best, None, GOOD)
        worst, _ = observed(worst, None, BAD)
    assert 4900 < best.rating <= BEST and 0 <= worst.rating < 100
    assert msgspec.structs.asdict(best)["missed"] == 0 and worst.missed == 5000
