"""How long does it take to choose the best plan, from the options to the proof, and how long does a solver alone take?

*Plans*: 5 parts, each offered by 200 providers, with limits on latency and availability, of which some are tight; quick
and reliable offers are dearer. Every second market is free of that, which is easier. *Set-ups*: the same, where every
provider also asks a fee once. The peer is HiGHS, given the finished model of all options; the time counted is its own
and that of handing the model over. *One part*: the best of 1,000 options under limits, ranked before.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

from apportion.adapters.highs import solver
from apportion.stages.broker import Choice, Question, Ranked, choose
from apportion.stages.broker.choosing.program import Product, Program, Row, Solver
from apportion.stages.broker.choosing.question import Aim, Bounds, Option, Sums

LOWEST: Aim = ((("fee", 1),), (("cost", 1),))
PARTS, PROVIDERS = 5, 200


def options(rng: random.Random, part: int, count: int, dearer: bool) -> tuple[Option, ...]:
    """What so many providers offer for a part; with ``dearer`` speed and availability have their price."""
    found = []
    for at in range(count):
        latency, up = rng.randint(5, 120), rng.choice((9900, 9950, 9990, 9995, 9999))
        net = rng.randint(200_000, 900_000) + ((120 - latency) * 3000 + (up - 9900) * 4000 if dearer else 0)
        points = rng.randint(0, 1000)
        found.append(
            Option(
                f"o{part}-{at:04}", f"p{at:04}", "", net * 6 // 5, net, net * 4 // 5, points, 0, latency, (up, 10_000)
            )
        )
    return tuple(found)


def market(seed: int, setups: bool) -> Question:
    """A market; limits from tight to loose."""
    rng = random.Random(seed)
    parts = tuple(options(rng, part, PROVIDERS, seed % 2 == 0) for part in range(PARTS))
    once = {f"p{at:04}": Sums(fee := rng.randint(50_000, 400_000), fee, fee // 2) for at in range(PROVIDERS)}
    up = rng.choice(((995, 1000), (99, 100), (985, 1000), (9975, 10_000)))
    bounds = Bounds(latency=PARTS * rng.randint(20, 55), availability=up)
    return Question(parts, setups=once if setups else {}, bounds=bounds)


def model(question: Question) -> Program:
    """The whole market as a program: the fee alone, every option."""
    every = [one for part in question.options for one in part]
    costs = [one.fee for one in every]
    rows, at = [], 0
    for part in question.options:
        rows.append(Row(tuple(range(at, at + len(part))), (1,) * len(part), 1, 1))
        at += len(part)
    rows.append(Row(tuple(range(at)), tuple(one.latency for one in every), high=question.bounds.latency))
    for provider, sums in question.setups.items():
        due = len(costs)
        costs.append(sums.fee)
        rows += [Row((place, due), (1, -1), high=0) for place, one in enumerate(every) if one.provider == provider]
    least = question.bounds.availability or (0, 1)
    product = Product(tuple(range(at)), tuple(one.availability for one in every), least)
    return Program(at, tuple(costs), tuple(rows), (product,))


def plans(count: int, setups: bool) -> dict[str, object]:
    """Milliseconds for ``count`` markets: ours with everything, HiGHS alone; and how many are proven."""
    peer = solver()
    ours: list[float] = []
    theirs: list[float] = []
    proven = fits = 0
    for seed in range(count):
        question = market(seed, setups)
        begin = time.perf_counter()
        found = choose(question, LOWEST, peer)
        ours.append((time.perf_counter() - begin) * 1000)
        if isinstance(found, Choice):
            fits, proven = fits + 1, proven + found.proven
        if peer is not None:
            theirs.append(_alone(peer, model(question), found))
    told: dict[str, object] = {
        "markets": count,
        "with a plan": fits,
        "proven": proven,
        "median ms": round(statistics.median(ours), 1),
        "worst ms": round(max(ours), 1),
    }
    if theirs:
        told |= {"HiGHS alone, median ms": round(statistics.median(theirs), 1), "HiGHS worst ms": round(max(theirs), 1)}
        told["median to HiGHS"] = round(statistics.median(ours) / statistics.median(theirs), 2)
    return told


def _alone(peer: Solver, program: Program, found: object) -> float:
    """Milliseconds of the bare solve; its optimum must be the same fee."""
    begin = time.perf_counter()
    answer = peer(program)
    took = (time.perf_counter() - begin) * 1000
    if answer is not None and isinstance(found, Choice):
        fee = sum(cost for cost, one in zip(program.costs, answer, strict=True) if one)
        assert found.sums.fee <= fee, "HiGHS found a cheaper plan"
    return took


def single(count: int = 1000, rounds: int = 2000) -> dict[str, object]:
    """Microseconds to choose among ``count`` options of one part, ranked before, against ``min`` of Python."""
    rng = random.Random(1)
    offered = options(rng, 0, count, True)
    begin = time.perf_counter()
    ranked = Ranked(offered, LOWEST)
    ranking = (time.perf_counter() - begin) * 1000
    limits = [Bounds(fee=rng.randint(700_000, 2_000_000), latency=rng.randint(5, 120), availability=(up, 10_000))
              for up in (9900, 9950, 9990, 9995, 9999) for _ in range(20)]  # fmt: skip

    def plain(bounds: Bounds) -> Option | None:
        fee, latency, (num, den) = bounds.fee or 0, bounds.latency or 0, bounds.availability or (0, 1)
        fitting = (
            one
            for one in offered
            if one.fee <= fee and one.latency <= latency and one.availability[0] * den >= num * one.availability[1]
        )
        return min(fitting, key=lambda one: (one.fee, one.cost, one.id), default=None)

    for bounds in limits:
        best, peer = ranked.best(bounds), plain(bounds)
        assert (offered[best.places[0]].id if best else None) == (peer.id if peer else None)
    return {
        "options": count,
        "ranking once, ms": round(ranking, 1),
        "ranked, median microseconds": round(_each(ranked.best, limits, rounds), 1),
        "min(), median microseconds": round(_each(plain, limits, rounds // 10), 1),
        "one question, not ranked before, microseconds": round(_each(
            lambda bounds: choose(Question((offered,), bounds=bounds), LOWEST), limits, rounds // 20), 1),
    }  # fmt: skip


def _each(call: Callable[[Bounds], object], limits: list[Bounds], rounds: int) -> float:
    taken = []
    for at in range(rounds):
        begin = time.perf_counter()
        call(limits[at % len(limits)])
        taken.append((time.perf_counter() - begin) * 1_000_000)
    return statistics.median(taken)


def measure(markets: int = 50) -> dict[str, object]:
    """All three."""
    return {
        "5 parts of 200 providers": plans(markets, setups=False),
        "with set-up fees": plans(markets, setups=True),
        "one part, 1,000 options": single(),
    }
