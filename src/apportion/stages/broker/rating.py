"""Ratings of providers and networks, out of what was measured and what those who paid have said.

Every aspect has evidence: a weight in thousandths of a voice, and the milli-stars that it speaks for. All that one
payer says, and all that is measured of its own use, weighs less than one voice: n times of it weigh n/(n + 1). What an
independent prober measures weighs one voice each. Evidence counts against ``PRIOR`` voices of three stars, with which
everybody begins, so that a few do not outweigh many.

    confidence = weight / (weight + PRIOR)              in thousandths, rounded down
    rating     = 3 stars + Σ W × confidence × (mean − 3 stars) / max(Σ W × confidence, W of given)

``W`` are the weights of the aspects below. All are whole numbers; what is left over of a division is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from apportion.model.standing import Aspect, Evidence, Observed, ReputationLine, Tally, VoiceLine
from apportion.money import Exact

VOICE, STAR = 1000, 1000  # one voice, one star
MIDDLE, BEST = 3 * STAR, 5 * STAR
PRIOR = 20 * VOICE
GIVEN = 4
WEIGHTS: dict[Aspect, int] = {"success": 4, "level": 2, "latency": 1, "throughput": 1, "dispute": 2}


def score(given: Evidence, measured: Mapping[Aspect, Evidence]) -> int:
    """The rating in milli-stars, 0 to 5000; 3000 of whom nothing is known."""
    above = whole = 0
    for weight, evidence in ((GIVEN, given), *((WEIGHTS[name], one) for name, one in sorted(measured.items()))):
        if evidence.weight > 0:
            counts = weight * (evidence.weight * 1000 // (evidence.weight + PRIOR))
            above += counts * (evidence.sum // evidence.weight - MIDDLE)
            whole += counts
    return max(0, min(BEST, MIDDLE + above // max(whole, GIVEN * 1000)))


def weight_of(count: int) -> int:
    """What a payer's voice weighs after so many times, in thousandths; it never reaches one voice."""
    return VOICE * count // (count + 1)


def rated(reputation: ReputationLine, voice: VoiceLine, stars: int) -> tuple[ReputationLine, VoiceLine]:
    """Both after the payer of ``voice`` gave ``stars`` (1 to 5) once more; ``n`` and ``at`` are the caller's."""
    after = msgspec.structs.replace(voice, ratings=voice.ratings + 1, stars=voice.stars + stars)
    given = _moved(reputation.given, _given(voice), _given(after))
    now = msgspec.structs.replace(reputation, given=given, ratings=reputation.ratings + 1)
    return _scored(now), after


def observed(
    reputation: ReputationLine, voice: VoiceLine | None, seen: Observed
) -> tuple[ReputationLine, VoiceLine | None]:
    """Both after a measurement; without a voice it is a prober's, and each aspect of it counts as one voice."""
    measured = dict(reputation.measured)
    tallies = dict(voice.measured) if voice is not None else {}
    for aspect, good in aspects(seen):
        before = measured.get(aspect, Evidence())
        if voice is None:
            measured[aspect] = _moved(before, Evidence(), Evidence(VOICE, VOICE * BEST if good else 0))
            continue
        had = tallies.get(aspect, Tally())
        has = tallies[aspect] = Tally(had.good + good, had.bad + (not good))
        measured[aspect] = _moved(before, _tallied(had), _tallied(has))
    now = msgspec.structs.replace(_counted(reputation, seen), measured=measured)
    return _scored(now), msgspec.structs.replace(voice, measured=tallies) if voice is not None else None


def aspects(seen: Observed) -> Iterator[tuple[Aspect, bool]]:
    """Which aspects a measurement speaks of, and whether well; a number without a promise speaks of none."""
    if seen.succeeded is not None:
        yield "success", seen.succeeded
    if seen.latency is not None and seen.latency_promised:
        yield "latency", seen.latency <= seen.latency_promised
    if seen.throughput and seen.throughput_promised:
        yield "throughput", Exact.parse(seen.throughput) >= Exact.parse(seen.throughput_promised)
    if seen.kept is not None:
        yield "level", seen.kept
    if seen.disputed is not None:
        yield "dispute", not seen.disputed


def _counted(reputation: ReputationLine, seen: Observed) -> ReputationLine:
    """The plain counts with one more measurement."""
    ok, late, through = seen.succeeded, seen.latency, seen.throughput
    total = Exact.parse(reputation.throughput) + Exact.parse(through or "0")
    return msgspec.structs.replace(
        reputation,
        delivered=reputation.delivered + (ok is True),
        failed=reputation.failed + (ok is False),
        run=reputation.run if ok is None else 0 if ok else reputation.run + 1,
        latency=reputation.latency + (late or 0),
        latencies=reputation.latencies + (late is not None),
        throughput=total.text(),
        throughputs=reputation.throughputs + bool(through),
        disputes=reputation.disputes + (seen.disputed is True),
        kept=reputation.kept + (seen.kept is True),
        missed=reputation.missed + (seen.kept is False),
    )


def _given(voice: VoiceLine) -> Evidence:
    if not voice.ratings:
        return Evidence()
    weight = weight_of(voice.ratings)
    return Evidence(weight, weight * (voice.stars * STAR // voice.ratings))


def _tallied(tally: Tally) -> Evidence:
    count = tally.good + tally.bad
    if not count:
        return Evidence()
    weight = weight_of(count)
    return Evidence(weight, weight * (tally.good * BEST // count))


def _moved(all: Evidence, before: Evidence, after: Evidence) -> Evidence:
    """Everybody's evidence when one's own changes."""
    return Evidence(all.weight + after.weight - before.weight, all.sum + after.sum - before.sum)


def _scored(reputation: ReputationLine) -> ReputationLine:
    return msgspec.structs.replace(reputation, rating=score(reputation.given, reputation.measured))


__all__ = ["BEST", "MIDDLE", "PRIOR", "WEIGHTS", "aspects", "observed", "rated", "score", "weight_of"]
