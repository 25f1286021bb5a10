"""Splitting data over paths: what is preferred where several splits are as good, and where the bytes go."""

from __future__ import annotations

from apportion.stages.broker.splitting.ranges import common, merged, minus, parted
from apportion.stages.broker.splitting.segment import (
    Asking,
    Bounds,
    Miss,
    Path,
    Split,
    again,
    count,
    cut,
    delivered,
    lay_out,
    split,
)

S = 1_000_000


def found(*paths: Path, amount: int = 100, grain: int = 10, **more: object) -> Split:
    answer = split(Asking(paths, amount, grain, **more))  # type: ignore[arg-type]
    assert isinstance(answer, Split)
    return answer


def test_set_up_costs_make_it_a_choice() -> None:
    cheap, dear = Path("cheap", 10, price=1, setup=90), Path("dear", 10, price=2)
    assert found(cheap, dear, amount=80, bounds=Bounds(20 * S)).amounts == (0, 80)
    assert found(cheap, dear, amount=200, bounds=Bounds(20 * S)).amounts == (200, 0)
    both = found(cheap, dear, amount=200, bounds=Bounds(12 * S))
    assert (both.amounts, both.cost, both.finish) == ((120, 80), 370, 12 * S)


def test_of_equal_costs_the_soonest_and_of_equal_paths_the_smaller_id() -> None:
    same = tuple(Path(id, 10, price=1) for id in "abc")
    assert found(*same, bounds=Bounds(100 * S)).amounts == (40, 40, 20)
    assert found(*same, bounds=Bounds(100 * S, paths=2)).amounts == (50, 50, 0)
    assert found(*same, bounds=Bounds(100 * S, paths=1)).amounts == (100, 0, 0)


def test_the_best_of_both_lies_where_the_regrets_meet() -> None:
    slow, fast = Path("slow", 10, price=1), Path("fast", 90, price=11)
    ends = [found(slow, fast, amount=1000, aim=aim) for aim in ("lowest-cost", "fastest")]
    assert [(one.cost, one.finish) for one in ends] == [(1000, 100 * S), (10_000, 10 * S)]
    value = found(slow, fast, amount=1000, aim="best-value")
    assert (value.amounts, value.cost, value.finish) == ((550, 450), 5500, 55 * S)  # half of the way in both
    thrifty = found(slow, fast, amount=1000, aim="best-value", weights=(2, 1))
    assert (thrifty.cost, thrifty.finish) == (4000, 70 * S)  # a third of what could be paid more, two of the time


def test_what_is_on_its_way_stays_where_nothing_is_gained() -> None:
    paths = tuple(Path(id, 10, price=1, held=held) for id, held in (("a", 20), ("b", 60), ("c", 20)))
    asking = Asking(paths, 100, 10, "lowest-cost", bounds=Bounds(10 * S))
    kept = again(asking, (20, 60, 20))
    assert isinstance(kept, Split) and (kept.amounts, kept.finish) == ((40, 40, 20), 4 * S)  # sooner for the same
    late = Path("late", 1, price=9)
    same = again(Asking((paths[1], late), 60, 10, bounds=Bounds(10 * S)), (60, 0))
    assert isinstance(same, Split) and same.amounts == (60, 0)
    moved = again(Asking(paths, 110, 10, bounds=Bounds(5 * S)), (20, 60, 20))
    assert isinstance(moved, Split) and moved.amounts == (40, 40, 30)


def test_bytes_go_where_they_were_and_only_the_end_is_shorter_than_a_grain() -> None:
    assert lay_out((40, 63), [(0, 103)], ([], []), 10) == [[(0, 40)], [(40, 103)]]
    assert lay_out((43, 60), [(0, 103)], ([], []), 10) == [[(0, 40), (100, 103)], [(40, 100)]]
    left, own = [(20, 40), (60, 103)], ([(20, 40)], [(60, 103)])
    assert lay_out((20, 43), left, own, 10) == [[(20, 40)], [(60, 103)]]
    assert lay_out((40, 23), left, own, 10) == [[(20, 40), (80, 100)], [(60, 80), (100, 103)]]
    pieces = list(cut("a", [(5, 25), (100, 103)], 10))
    assert [(one.number, one.offset, one.length, one.order) for one in pieces] == [
        (1, 5, 5, 1), (2, 10, 10, 2), (3, 20, 5, 3), (11, 100, 3, 4),
    ]  # fmt: skip
    assert count([(5, 25), (100, 103)], 10) == len(pieces)


def test_a_byte_counts_for_one_path_and_what_is_lost_for_none() -> None:
    carried, twice = delivered({"a": [(0, 10)]}, {"a": [(5, 20)], "b": [(20, 30)]}, {"a": [(0, 3)]})
    assert (carried, twice) == ({"a": [(3, 20)], "b": [(20, 30)]}, "")
    assert delivered({"a": [(0, 10)]}, {"b": [(9, 12)]}, {})[1] == "b"


def test_ranges() -> None:
    assert merged([(5, 7), (0, 2), (2, 5), (9, 9)]) == [(0, 7)]
    assert minus([(0, 10), (20, 30)], [(0, 2), (5, 22), (29, 40)]) == [(2, 5), (22, 29)]
    assert common([(0, 10), (20, 30)], [(5, 25)]) == [(5, 10), (20, 25)]
    assert parted([(0, 10), (20, 30)], 15) == ([(0, 10), (20, 25)], [(25, 30)])


def test_many_equal_paths_are_no_matter_and_a_hostile_market_ends_early() -> None:
    equal = tuple(Path(f"p{at:02}", 1000, price=5, setup=10**7) for at in range(64))
    best = found(*equal, amount=10**7, grain=1000, bounds=Bounds(400 * S))
    assert best.proven and sum(map(bool, best.amounts)) == 25 and best.cost == 25 * 10**7 + 5 * 10**7
    unlike = tuple(Path(f"p{at:02}", 1000 + at, price=5, setup=10**7 + at * 7) for at in range(64))
    answer = found(*unlike, amount=10**7, grain=1000, bounds=Bounds(400 * S))
    assert answer.cost < best.cost and answer.finish <= 400 * S and sum(answer.amounts) == 10**7
    rough = found(*unlike, amount=10**7, grain=1000, aim="best-value")
    assert not rough.proven and sum(rough.amounts) == 10**7  # whatever it costs to prove, it is a split


def test_what_is_preferred_comes_first_as_far_as_the_premium_allows() -> None:
    cheap, liked = Path("cheap", 10, price=10), Path("liked", 5, price=12)
    likes = {"ranks": (1, 0)}
    assert found(cheap, liked, **likes).amounts == (0, 100)
    assert found(cheap, liked, premium=(19, 100), **likes).amounts == (100, 0)
    assert found(cheap, liked, premium=(20, 100), **likes).amounts == (0, 100)
    assert found(cheap, liked, bounds=Bounds(15 * S), **likes).amounts == (100, 0)  # alone it would be late


def test_nothing_to_carry_it_is_said() -> None:
    miss = split(Asking((Path("a", 0), Path("b", 10, most=30)), 100, 10))
    assert miss == Miss(30, None, None, None, None)
