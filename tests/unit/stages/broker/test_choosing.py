"""Choosing by hand-made markets: what makes a whole differ from its parts, ties, limits met exactly, near misses."""

from __future__ import annotations

import math
import random
import time
from fractions import Fraction

import pytest

from apportion.adapters.highs import solver
from apportion.stages.broker import Choice, Miss, Question, Ranked, Solver, choose, relaxed
from apportion.stages.broker.choosing.dominance import Front
from apportion.stages.broker.choosing.fold import loss, loss_at_most, precision, scales_of
from apportion.stages.broker.choosing.question import Aim, Bounds, Bundle, Link, Option, Sums

LOWEST: Aim = ((("fee", 1),), (("cost", 1),))
QUALITY: Aim = ((("points", -1),), (("fee", 1),))
HIGHS = solver()
PATHS = [None, pytest.param(HIGHS, marks=pytest.mark.skipif(HIGHS is None, reason="highspy is not installed"))]


def one(name: str, fee: int, provider: str = "", **more: object) -> Option:
    return Option(name, provider or name, fee=fee, net=fee, cost=fee // 2, **more)  # type: ignore[arg-type]


def chosen(question: Question, aim: Aim = LOWEST, solver: Solver | None = None) -> Choice:
    """By the search alone, or by the solver and the proof of what it says."""
    found = choose(question, aim, solver, steps=0) if solver else choose(question, aim)
    assert isinstance(found, Choice) and found.proven
    return found


def ids(question: Question, choice: Choice) -> list[str]:
    return [options[place].id for options, place in zip(question.options, choice.places, strict=True)]


def missed(question: Question, aim: Aim = LOWEST) -> Miss:
    found = choose(question, aim)
    assert isinstance(found, Miss)
    return found


# ── the cheapest parts do not make the cheapest whole (S18) ──


@pytest.mark.parametrize("path", PATHS)
def test_a_setup_that_is_paid_once(path: Solver | None) -> None:
    market = ((one("a1", 10, "ann"), one("b1", 12, "bob")), (one("a2", 15, "ann"), one("b2", 12, "bob")))
    question = Question(market, setups={"ann": Sums(5, 5, 1), "bob": Sums(5, 5, 1)})
    assert chosen(Question(market)).sums.fee == 22  # the cheapest parts, of two providers
    found = chosen(question, solver=path)
    assert ids(question, found) == ["b1", "b2"] and found.sums == Sums(29, 29, 13)  # 32 with the cheapest parts


@pytest.mark.parametrize("path", PATHS)
def test_a_bundle(path: Solver | None) -> None:
    market = ((one("a1", 10, "ann"), one("b1", 12, "bob")), (one("a2", 14, "ann"), one("b2", 12, "bob")))
    question = Question(market, bundles=(Bundle("ann", (0, 1), Sums(3, 3, 0)),))
    found = chosen(question, solver=path)
    assert ids(question, found) == ["a1", "a2"] and found.bundles == (0,) and found.sums.fee == 21


@pytest.mark.parametrize("path", PATHS)
def test_an_interconnect(path: Solver | None) -> None:
    market = ((one("a1", 10), one("b1", 12)), (one("x", 10), one("y", 13)))
    crossings = {("a1", "x"): Sums(9, 9, 9), ("a1", "y"): Sums(4, 4, 4), ("b1", "x"): Sums(), ("b1", "y"): Sums()}
    question = Question(market, links=(Link(0, 1, crossings),))
    found = chosen(question, solver=path)
    assert ids(question, found) == ["b1", "x"] and found.sums.fee == 22
    del crossings["b1", "x"]
    assert chosen(question, solver=path).sums.fee == 25  # b1 does not reach x: y by b1, 12 + 13


def test_of_bundles_that_overlap_the_best_set_is_taken() -> None:
    market = tuple((one(f"a{at}", 10, "ann"),) for at in range(3))
    bundles = (
        Bundle("ann", (0, 1, 2), Sums(5, 5, 0)),
        Bundle("ann", (0, 1), Sums(4, 4, 0)),
        Bundle("ann", (2,), Sums(1, 1, 0)),
        Bundle("ann", (1, 2), Sums(2, 2, 0)),
    )
    assert chosen(Question(market, bundles=bundles)).bundles == (0,)  # 5 by one bundle before 4 + 1 by two
    assert chosen(Question(market, bundles=bundles[1:])).bundles == (0, 1)


def test_a_bundle_is_left_where_it_breaks_the_margin() -> None:
    market = ((one("a", 10, "ann"),), (one("b", 10, "ann"),))  # net 20, cost 10
    bundle = Bundle("ann", (0, 1), Sums(6, 6, 0))
    assert chosen(Question(market, bundles=(bundle,), bounds=Bounds(margin=4))).sums.fee == 14
    kept = chosen(Question(market, bundles=(bundle,), bounds=Bounds(margin=5)))
    assert kept.bundles == () and kept.sums.fee == 20


# ── ties, limits ──


def test_ties_go_to_the_lower_cost_then_to_the_smaller_ids() -> None:
    a, b, c = one("a", 10), Option("b", "b", fee=10, net=10, cost=4), Option("c", "c", fee=10, net=10, cost=4)
    for order in ((a, b, c), (c, b, a), (b, c, a)):
        question = Question((order, order))
        assert ids(question, chosen(question)) == ["b", "b"]
        assert Ranked(order, LOWEST).place(Bounds()) == order.index(b)


@pytest.mark.parametrize("path", PATHS)
def test_an_availability_that_is_met_exactly(path: Solver | None) -> None:
    part = (one("dear", 30, availability=(999, 1000)), one("cheap", 10, availability=(99, 100)))
    question = Question((part, part), bounds=Bounds(availability=(9801, 10_000)))
    found = chosen(question, solver=path)
    assert found.sums.fee == 20 and found.availability == (9801, 10_000)
    narrow = Question((part, part), bounds=Bounds(availability=(9801 * 10**20 + 1, 10_000 * 10**20)))
    assert chosen(narrow, solver=path).sums.fee == 40


def test_limits_on_everything() -> None:
    part = (one("fast", 30, "f", latency=5, points=9), one("slow", 10, "s", latency=50, points=1))
    assert chosen(Question((part, part), bounds=Bounds(latency=60))).sums.fee == 40
    assert chosen(Question((part, part), bounds=Bounds(per_provider=1))).sums.fee == 40
    assert chosen(Question((part, part), bounds=Bounds(fee=45)), QUALITY).points == 10
    assert chosen(Question((part, part), bounds=Bounds(margin=20))).sums.fee == 40
    assert chosen(Question((part, part), Sums(3, 2, 1))).sums == Sums(23, 22, 11)


def test_no_parts_at_all() -> None:
    assert chosen(Question((), Sums(5, 4, 3))).sums == Sums(5, 4, 3)
    assert missed(Question((), Sums(5, 4, 3), bounds=Bounds(fee=4))).fee == 5


# ── near misses ──


def test_a_miss_says_what_each_limit_would_have_to_be() -> None:
    part = (
        one("a", 10, latency=50, availability=(99, 100)),
        one("b", 20, latency=20, availability=(999, 1000)),
    )
    question = Question((part, part), bounds=Bounds(fee=25, latency=60, availability=(99, 100), margin=1))
    found = missed(question)
    # latency and availability each ask for b twice; the fee alone may give way
    assert found == Miss(fee=40)
    assert chosen(relaxed(question, ["fee"])).sums.fee == found.fee
    assert isinstance(choose(relaxed(question, ["latency", "availability"]), LOWEST), Choice)
    early = missed(Question((part, part), bounds=Bounds(fee=30, latency=60)))
    assert (early.fee, early.latency) == (40, 70)
    up = missed(Question((part, part), bounds=Bounds(fee=30, availability=(999, 1000))))
    assert (up.fee, up.availability) == (None, (98_901, 100_000))
    assert missed(Question((part, part), bounds=Bounds(fee=30, latency=40, availability=(99, 100)))) == Miss(fee=40)
    assert missed(Question((part, part), bounds=Bounds(availability=(999, 1000)))).availability == (998_001, 1_000_000)
    assert missed(Question((part, part, part), bounds=Bounds(per_provider=1))).per_provider == 2
    assert missed(Question((part,), bounds=Bounds(margin=11))).margin == 10


def test_a_miss_of_options_or_of_links() -> None:
    assert missed(Question(((one("a", 1),), (), ()))).empty == (1, 2)
    found = missed(Question(((one("a", 1),), (one("b", 1),)), links=(Link(0, 1, {}),), bounds=Bounds(fee=0)))
    assert not found.linked and found.proven and found.fee is None


def test_what_can_not_be_asked() -> None:
    question = Question(((one("a", 1),), (one("b", 1),)))
    with pytest.raises(ValueError, match="no limit is called 'speed'"):
        relaxed(question, ["speed"])
    with pytest.raises(ValueError, match="no term 'taste'"):
        choose(question, ((("taste", 1),),))
    with pytest.raises(ValueError, match="two different parts"):
        choose(Question(question.options, links=(Link(1, 1, {}),)), LOWEST)


# ── one part, ranked before ──


def test_ranked_is_the_first_that_fits() -> None:
    rng = random.Random(3)
    for case in range(60):
        offered = tuple(
            Option(
                f"o{at}", f"p{at % 7}", "", rng.randint(1, 40), rng.randint(1, 40), rng.randint(1, 40),
                rng.randint(0, 9), rng.randint(0, 2), rng.randint(1, 30), rng.choice(((1, 1), (99, 100), (9, 10))),
            )
            for at in range(rng.choice((1, 8, 120)))
        )  # fmt: skip
        setups = {"p1": Sums(3, 3, 3), "p2": Sums(-4, 1, 0)} if case % 2 else {}
        base = Sums(2, 1, 1)
        for aim in (LOWEST, QUALITY, ((("rank", 1),), (("fee", 3), ("points", -2)))):
            ranked = Ranked(offered, aim, setups, base)
            for _ in range(8):
                bounds = Bounds(
                    fee=rng.choice((None, rng.randint(3, 45))),
                    margin=rng.choice((None, rng.randint(-30, 30))),
                    latency=rng.choice((None, rng.randint(1, 30))),
                    availability=rng.choice((None, (99, 100), (990_001, 1_000_000))),
                )
                # a bundle that nobody can take keeps the question off the short way
                unused = (Bundle("nobody", (0,), Sums(1, 1, 1)),)
                whole = choose(Question((offered,), base, setups, unused, (), bounds), aim)
                assert ranked.best(bounds) == (whole if isinstance(whole, Choice) else None)
                assert choose(Question((offered,), base, setups, bounds=bounds), aim) == whole


# ── hostile sizes ──


def test_a_hundred_parts_of_a_thousand_options_end_in_time() -> None:
    rng = random.Random(1)
    parts = tuple(
        tuple(
            Option(f"o{at}", f"p{at % 400}", "", fee, fee, fee // 2, 0, 0, 10_000_000 // fee, (9990 + at % 10, 10_000))
            for at, fee in enumerate(rng.sample(range(10_000, 900_000), 1000))
        )
        for _ in range(100)
    )
    setups = {f"p{at}": Sums(rng.randint(1, 90_000)) for at in range(400)}
    bounds = Bounds(latency=5_000, availability=(95, 100), per_provider=4, fee=10**8)
    begin = time.monotonic()
    choose(Question(parts, setups=setups, bounds=bounds), LOWEST)
    assert time.monotonic() - begin < 60  # some 4 s on an idle machine


def test_an_impossible_market_of_very_long_numbers_ends_in_time() -> None:
    rng = random.Random(1)
    parts = tuple(
        tuple(
            Option(f"o{at}", f"p{at}", "", rng.getrandbits(400), rng.getrandbits(400), rng.getrandbits(400), 0, 0,
                   rng.getrandbits(60), (rng.getrandbits(200), 1 << 200))
            for at in range(60)
        )
        for _ in range(12)
    )  # fmt: skip
    found = choose(Question(parts, bounds=Bounds(availability=(1, 1), fee=0, per_provider=1)), LOWEST)
    assert isinstance(found, Miss)


def test_thousands_of_bundles_end_in_time() -> None:
    rng = random.Random(1)
    parts = tuple((one(f"a{part}", 100, "ann"), one(f"b{part}", 90, "bob")) for part in range(20))
    bundles = tuple(
        Bundle(rng.choice(("ann", "bob")), tuple(rng.sample(range(20), 3)), Sums(rng.randint(1, 60)))
        for _ in range(2000)
    )
    found = choose(Question(parts, bundles=bundles), LOWEST)
    assert isinstance(found, Choice) and found.sums.fee < 20 * 90 and found.bundles


# ── the numbers underneath ──


def test_a_loss_is_never_too_high_and_its_limit_never_too_low() -> None:
    bits = 40
    for num, den in ((1, 1), (99, 100), (999_999, 1_000_000), (1, 2), (1, 100), (3, 2), (0, 5)):
        told = loss(num, den, bits)
        if num:
            true = -math.log(num / den) * 2**bits
            assert told <= true + 1 and loss_at_most(num, den, bits) >= true - 1
            if den > num > den // 3:
                assert true - told < 300 and loss_at_most(num, den, bits) - true < 300
    fractions = [Fraction(rng, 997) for rng in range(1, 998)]
    losses = [loss(f.numerator, f.denominator, bits) for f in fractions]
    assert losses == sorted(losses, reverse=True)
    assert precision([(1, 1000), (3, 7)]) == 20


def test_scales_keep_levels_apart() -> None:
    assert scales_of([5, 9, 0]) == [10, 1, 1]
    front = Front(2)
    for point in ((3, 3), (1, 5), (5, 1), (2, 4), (4, 4)):
        front.add(point)
    assert front.covers((4, 4)) and front.covers((2, 4)) and not front.covers((2, 3)) and not front.covers((0, 9))
