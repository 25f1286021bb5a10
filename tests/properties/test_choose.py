"""The best combination, against trying everything: small markets with all that makes a whole differ from its parts."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.adapters.highs import solver
from apportion.stages.broker import Choice, Miss, Question, choose, relaxed
from apportion.stages.broker.choosing.compiling import compiled
from apportion.stages.broker.choosing.question import Aim, Bounds, Option, Sums
from apportion.stages.broker.choosing.route import route
from apportion.stages.broker.choosing.search import Search
from apportion.stages.broker.choosing.solving import program_of, read
from tests.properties.markets import AIMS, best, every_plan, fits, market, values, weighed

HIGHS = solver()


def agrees(question: Question, aim: Aim, **more: object) -> bool:
    """The same values, places and bundles as trying everything; True when there is a plan."""
    want, got = best(question, aim), choose(question, aim, **more)  # type: ignore[arg-type]
    if want is None:
        assert isinstance(got, Miss) and got.proven, got
        return False
    assert isinstance(got, Choice), (want, got)
    assert (got.values, got.places, got.bundles, got.proven) == (*want, True)
    total = weighed(question, got.places, got.bundles)
    assert total is not None and fits(total, question.bounds)
    assert (got.sums.fee, got.sums.net, got.sums.cost) == (total["fee"], total["net"], total["cost"])
    assert (got.points, got.rank, got.latency) == (total["points"], total["rank"], total["latency"])
    return True


@pytest.mark.parametrize("name", AIMS)
def test_the_optimum_is_that_of_trying_everything(name: str) -> None:
    found = sum(agrees(market(random.Random(f"{name} {seed}")), AIMS[name]) for seed in range(400))
    assert 200 < found < 400  # most markets have a plan, and some have none


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(sorted(AIMS)))
def test_any_market(rng: random.Random, name: str) -> None:
    agrees(market(rng), AIMS[name])


@pytest.mark.skipif(HIGHS is None, reason="highspy is not installed")
@pytest.mark.parametrize("name", AIMS)
def test_the_optimum_is_the_same_when_a_solver_must_help(name: str) -> None:
    for seed in range(60):
        agrees(market(random.Random(f"solver {name} {seed}")), AIMS[name], solver=HIGHS, steps=0)


@pytest.mark.skipif(HIGHS is None, reason="highspy is not installed")
def test_the_program_says_all_that_the_question_says() -> None:
    """What the solver answers by itself, without any proof, is the optimum already."""
    assert HIGHS is not None
    compared = 0
    for seed in range(400):
        rng = random.Random(seed)
        question, aim = market(rng), AIMS[rng.choice(sorted(AIMS))]
        want, field = best(question, aim), compiled(question, aim)
        if want is None or not all(field.parts):
            continue
        program, columns = program_of(field, question.options)
        answer = HIGHS(program)
        assert answer is not None
        way = route(field)
        search = Search(way, [[one.availability for one in part] for part in question.options], 10**9)
        picked = read(answer, columns, way)
        assert picked is not None and search.consider(picked) and search.best is not None
        assert (search.best.places, search.best.taken) == want[1:]
        compared += 1
    assert compared > 150


def test_nothing_fits_and_each_limit_says_what_would() -> None:
    told = 0
    for seed in range(600):
        question = market(random.Random(f"miss {seed}"))
        got = choose(question, AIMS["fee"])
        if isinstance(got, Choice):
            continue
        assert got.proven
        totals = [total for _, _, total in every_plan(question)]
        assert got.linked == bool(totals) or not question.links
        for name, better in (("fee", min), ("margin", max), ("latency", min), ("availability", max)):
            rest = relaxed(question, [name]).bounds
            fitting = [total[name] for total in totals if fits(total, rest)]
            want = better(fitting) if fitting and getattr(question.bounds, name) is not None else None
            had = getattr(got, name)
            if name == "availability" and had is not None and want is not None:
                assert had == (want.numerator, want.denominator)
            else:
                assert had == want, (seed, name)
            told += want is not None
        rest = relaxed(question, ["per_provider"]).bounds
        fitting = [total["per_provider"] for total in totals if fits(total, rest)]
        limit = question.bounds.per_provider
        assert got.per_provider == (min(fitting) if fitting and limit is not None else None)
    assert told > 50


def large(seed: int, parts: int, count: int, providers: int) -> Question:
    """A market that nobody can try out: dearer where it is better, with a set-up for every provider."""
    rng = random.Random(seed)
    options = []
    for part in range(parts):
        offered = []
        for at in range(count):
            latency, up = rng.randint(5, 120), rng.choice((9900, 9950, 9990, 9995, 9999))
            net = rng.randint(2000, 9000) + (120 - latency) * 30 + (up - 9900) * 40
            points, name = rng.randint(0, 1000), f"p{at % providers}"
            offered.append(
                Option(f"o{part}-{at}", name, "", net * 6 // 5, net, net * 4 // 5, points, 0, latency, (up, 10_000))
            )
        options.append(tuple(offered))
    setups = {f"p{at}": Sums(fee := rng.randint(500, 4000), fee, fee // 2) for at in range(providers)}
    return Question(tuple(options), setups=setups, bounds=Bounds(latency=parts * 50, availability=(97, 100)))


@pytest.mark.parametrize("parts,count,providers", [(5, 60, 60), (6, 40, 10), (12, 30, 6)])
@pytest.mark.parametrize("name", ["fee", "points", "value"])
def test_a_large_market_is_never_worse_than_thousands_of_plans(
    parts: int, count: int, providers: int, name: str
) -> None:
    question, aim = large(parts, parts, count, providers), AIMS[name]
    got = choose(question, aim, steps=20_000)
    assert isinstance(got, Choice)
    rng, tried = random.Random(1), 0
    for _ in range(4000):
        # around the best plan and anywhere, so that many of them fit
        places = [p if rng.random() < 0.7 else rng.randrange(count) for p in got.places]
        total = weighed(question, tuple(places), ())
        if total is not None and fits(total, question.bounds):
            tried += 1
            assert got.values <= values(total, aim)
    assert tried > 100


def test_dropping_what_is_dominated_changes_nothing() -> None:
    """Doubling every option by a worse one of another provider, without set-up, leaves the plan as it was."""
    for seed in range(150):
        question = market(random.Random(f"worse {seed}"))
        if question.links:
            continue
        more = tuple(
            part
            + tuple(
                Option(f"z{one.id}", f"q{one.id}", "", one.fee + 1, one.net, one.cost + 1, one.points, one.rank,
                       one.latency, one.availability)
                for one in part
            )
            for part in question.options
        )  # fmt: skip
        wider = Question(more, question.base, question.setups, question.bundles, (), question.bounds)
        agrees(wider, AIMS["fee"])


def test_every_order_of_the_parts_has_the_same_optimum() -> None:
    for seed in range(40):
        question = market(random.Random(f"order {seed}"))
        if question.links or question.bundles:
            continue
        want = choose(question, AIMS["value"])
        for order in itertools.permutations(range(len(question.options))):
            turned = Question(
                tuple(question.options[at] for at in order), question.base, question.setups, bounds=question.bounds
            )
            got = choose(turned, AIMS["value"])
            assert type(got) is type(want)
            if isinstance(got, Choice) and isinstance(want, Choice):
                assert got.values == want.values
