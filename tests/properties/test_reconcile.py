"""The matcher of reconciliation: it finds exactly what was planted, in whatever order the rows come."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.model.reconciliation import Verdict
from apportion.money import Exact
from apportion.stages.meter.compare import Allowed, Found, Manner, Ours, Theirs
from apportion.stages.meter.reconcile import DUPLICATE, UNKNOWN, reconcile

SECOND, HOUR = 1_000_000, 3_600_000_000
PERCENT = Manner(Allowed(Exact(1, 100)), Allowed(Exact(1, 100)))
KINDS = ("same", "near", "quantity", "amount", "missing", "twice", "extra")
Told = set[tuple[str, str, str, tuple[str, ...]]]


def no_label(at: int, name: str) -> str:
    raise AssertionError("there are no sums")


def by_day(at: int, name: str) -> str:
    return str(at // (24 * HOUR))


def use(n: int, at: int, quantity: Exact, amount: Exact, part: str = "net", **more: object) -> Ours:
    plain = {"source": "meter", "id": f"u{n}", "service": "call", "part": part, "charge": f"chg_{n}"}
    found = {**plain, "currency": "EUR", "portion": amount, "standing": amount, **more}
    return Ours(key=f"usg_{n:05}/{part}", usage=f"usg_{n:05}", at=at, quantities={"gb": quantity}, **found)  # type: ignore[arg-type]


def row(n: int, one: Ours, *, ids: bool = True, part: bool = True, **more: object) -> Theirs:
    plain = {"id": one.id if ids else "", "service": one.service, "part": one.part if part else "", "at": one.at}
    found = {**plain, "quantities": one.quantities, "amount": one.standing, "currency": "EUR", **more}
    return Theirs(row=n, digest=digest(found), **found)  # type: ignore[arg-type]


def digest(cells: dict[str, object]) -> str:
    return repr(sorted((name, repr(value)) for name, value in cells.items()))


def told(found: list[Found]) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Verdicts without the numbers of rows, which are all that an order changes."""
    return sorted(
        (one.verdict.value, one.theirs.digest if one.theirs else "", one.ours[0].key if one.ours else "", one.why)
        for one in found
    )


def planted(kinds: list[str], seed: int, *, ids: bool, apart: int) -> tuple[list[Theirs], list[Ours], list[object]]:
    """Uses of which each is told as its kind says, and the verdicts that must come of it."""
    chance = random.Random(seed)
    theirs, ours, want = list[Theirs](), list[Ours](), list[object]()
    for n, kind in enumerate(kinds):
        quantity, amount = Exact(chance.randint(1_000, 90_000), 100), Exact(chance.randint(100, 900_000), 1000)
        one = use(n, n * apart, quantity, amount)
        if kind == "extra":
            theirs.append(row(len(theirs) + 1, one, ids=ids))
            want.append(("extra", "", (UNKNOWN,)))
            continue
        ours.append(one)
        if kind == "missing":
            want.append(("missing", one.key, ()))
            continue
        changed: dict[str, object] = {}
        edge = Exact(101, 100)
        if kind == "near":
            changed = {"quantities": {"gb": quantity * edge}, "amount": amount * Exact(99, 100)}
        elif kind == "quantity":
            changed = {"quantities": {"gb": quantity * edge + Exact(1, 10**20)}}
        elif kind == "amount":
            changed = {"amount": amount * edge + Exact(1, 10**20)}
        theirs.append(row(len(theirs) + 1, one, ids=ids, **changed))
        differs = {"quantity": ("gb",), "amount": ("amount",)}.get(kind, ())
        want.append(("different" if differs else "matched", one.key, differs))
        if kind == "twice":
            theirs.append(row(len(theirs) + 1, one, ids=ids))
            want.append(("extra", one.key if ids else "", (DUPLICATE,)))
    return theirs, ours, want


def plain(found: list[Found]) -> list[object]:
    return [(one.verdict.value, one.ours[0].key if one.ours else "", one.why) for one in found]


@settings(max_examples=60, deadline=None)
@given(kinds=st.lists(st.sampled_from(KINDS), max_size=40), seed=st.integers(0, 2**32), ids=st.booleans())
def test_exactly_what_was_planted_in_any_order(kinds: list[str], seed: int, ids: bool) -> None:
    theirs, ours, want = planted(kinds, seed, ids=ids, apart=HOUR)
    found = reconcile(theirs, ours, PERCENT, no_label)
    assert sorted(plain(found), key=repr) == sorted(want, key=repr)
    assert len(found) == len(theirs) + kinds.count("missing")
    chance = random.Random(seed)
    again = [Theirs(**{**{f: getattr(one, f) for f in one.__struct_fields__}, "row": n + 1})
             for n, one in enumerate(chance.sample(theirs, len(theirs)))]  # fmt: skip
    assert told(reconcile(again, chance.sample(ours, len(ours)), PERCENT, no_label)) == told(found)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 60), gone=st.integers(0, 5), shift=st.integers(-1, 1))
def test_uses_that_lie_close_together_each_find_a_row_of_their_own(
    seed: int, count: int, gone: int, shift: int
) -> None:
    """Many within one second, told without ids to the second: no row is left while a use is."""
    chance = random.Random(seed)
    ours = [use(n, chance.randint(0, 3 * SECOND), Exact(chance.randint(1, 3)), Exact(1)) for n in range(count)]
    kept = chance.sample(ours, max(0, count - gone))
    theirs = [row(n + 1, one, ids=False, at=((one.at or 0) // SECOND + shift) * SECOND) for n, one in enumerate(kept)]
    found = reconcile(theirs, ours, Manner(), no_label)
    assert sum(one.theirs is not None and bool(one.ours) for one in found) == len(kept)
    assert sum(one.verdict is Verdict.MISSING for one in found) == count - len(kept)
    stand = [one.key for verdict in found for one in verdict.ours]
    assert sorted(stand) == sorted({one.key for one in ours}), "each of ours stands once"
    exact = reconcile([row(n + 1, one, ids=False) for n, one in enumerate(kept)], ours, Manner(), no_label)
    assert {one.verdict for one in exact if one.theirs} <= {Verdict.MATCHED}, "whoever says it exactly gets its own"


@given(
    theirs=st.decimals(-1000, 1000, places=6), ours=st.decimals(-1000, 1000, places=6),
    relative=st.fractions(0, 1, max_denominator=1000), absolute=st.fractions(0, 10, max_denominator=1000),
)  # fmt: skip
def test_the_edge_of_a_tolerance_is_exact(
    theirs: Decimal, ours: Decimal, relative: Fraction, absolute: Fraction
) -> None:
    allowed = Allowed(Exact(relative.numerator, relative.denominator), Exact(absolute.numerator, absolute.denominator))
    most = relative * abs(Fraction(ours)) + absolute
    said, have = Exact.parse(f"{theirs:f}"), Exact.parse(f"{ours:f}")
    assert allowed.within(said, have) is (abs(Fraction(theirs) - Fraction(ours)) <= most)
    edge = have + Exact(most.numerator, most.denominator)
    assert allowed.within(edge, have) and not allowed.within(edge + Exact(1, 10**30), have)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 40))
def test_sums_are_those_of_the_uses_behind_them(seed: int, count: int) -> None:
    """An invoice by service and day; one line says too much, one day is left out."""
    chance = random.Random(seed)
    ours = [
        use(n, chance.randint(0, 4) * 24 * HOUR + n, Exact(chance.randint(1, 99), 10), Exact(chance.randint(1, 99), 7),
            service=chance.choice(("call", "text")))
        for n in range(count)
    ]  # fmt: skip
    groups: dict[tuple[str, str], list[Ours]] = {}
    for one in ours:
        groups.setdefault((one.service, by_day(one.at or 0, "day")), []).append(one)
    theirs, want = list[Theirs](), list[tuple[str, int]]()
    for n, ((service, day), members) in enumerate(sorted(groups.items())):
        gb = sum((one.quantities["gb"] for one in members), Exact(0))
        amount = sum((one.standing for one in members), Exact(0))
        if n == 1:
            want.append(("missing", len(members)))
            continue
        more = Exact(1, 10**12) if n == 0 else Exact(0)
        want.append(("different" if n == 0 else "matched", len(members)))
        theirs.append(
            Theirs(n + 1, f"{n:02}", service=service, quantities={"gb": gb}, amount=amount + more, summed=True,
                   uses=len(members), period=day, cycle="day")
        )  # fmt: skip
    theirs.append(Theirs(99, "99", service="call", period="4000", cycle="day", summed=True, uses=1))
    want.append(("extra", 0))
    found = reconcile(chance.sample(theirs, len(theirs)), chance.sample(ours, len(ours)), Manner(), by_day)
    if len(theirs) == 1 and count:  # the only group is the second one
        return
    assert sorted((one.verdict.value, len(one.ours)) for one in found) == sorted(want)


@pytest.mark.parametrize("ids", [True, False])
def test_a_row_without_a_part_stands_for_all_that_the_provider_did_of_a_use(ids: bool) -> None:
    ours = [
        use(1, 0, Exact(5), Exact(2), "net"),
        use(1, 0, Exact(5), Exact(3), "disk"),
        use(2, HOUR, Exact(1), Exact(1)),
    ]
    whole = row(1, ours[0], ids=ids, part=False, amount=Exact(5))
    found = reconcile([whole], ours, Manner(), no_label)
    assert [(one.verdict, len(one.ours)) for one in found] == [(Verdict.MATCHED, 2), (Verdict.MISSING, 1)]
    single = row(2, ours[0], ids=ids)
    rest = row(1, ours[0], ids=ids, part=False, amount=Exact(3))
    both = reconcile([rest, single], ours, Manner(), no_label)
    assert [one.verdict for one in both] == [Verdict.MATCHED, Verdict.MATCHED, Verdict.MISSING]
    assert both[1].ours[0].part == "net" and both[0].ours[0].part == "disk"


def test_an_id_that_we_do_not_know_needs_the_same_quantity() -> None:
    one = use(1, 0, Exact(5), Exact(2))
    other = row(1, one, at=30 * SECOND)
    renamed = Theirs(1, "x", id="their-own-17", at=30 * SECOND, quantities={"gb": Exact(5)})
    assert [found.verdict for found in reconcile([renamed], [one], Manner(), no_label)] == [Verdict.MATCHED]
    larger = Theirs(1, "x", id="their-own-17", at=30 * SECOND, quantities={"gb": Exact(6)})
    assert [f.verdict for f in reconcile([larger], [one], Manner(), no_label)] == [Verdict.EXTRA, Verdict.MISSING]
    nameless = Theirs(1, "x", at=30 * SECOND, quantities={"gb": Exact(6)})
    assert [found.why for found in reconcile([nameless], [one], Manner(), no_label)] == [("gb",)]
    late = Theirs(1, "x", at=61 * SECOND, quantities={"gb": Exact(5)})
    assert [f.verdict for f in reconcile([late], [one], Manner(), no_label)] == [Verdict.EXTRA, Verdict.MISSING]
    assert reconcile([other], [one], Manner(), no_label)[0].verdict is Verdict.MATCHED


def test_what_is_not_charged_says_why() -> None:
    waits = use(1, 0, Exact(5), Exact(0), reason="insufficient_funds", charge="", currency="")
    found = reconcile([row(1, waits, amount=Exact(2))], [waits], Manner(), no_label)
    assert [(one.verdict, one.why) for one in found] == [(Verdict.DIFFERENT, ("not charged: insufficient_funds",))]
    assert reconcile([], [waits], Manner(), no_label)[0].why == ("not charged: insufficient_funds",)


def test_thousands_of_rows_that_all_look_alike_take_no_longer() -> None:
    """Everything under one id, at one instant, of one quantity: bounded steps for each row."""
    ours = [use(n, 0, Exact(1), Exact(n % 7), source=f"s{n % 50}", id="1") for n in range(1_500)]
    theirs = [Theirs(n, f"{n:06}", id="1", at=0, quantities={"gb": Exact(2)}, amount=Exact(1)) for n in range(1_500)]
    found = reconcile(theirs, ours, Manner(), no_label)
    assert len([one for one in found if one.theirs]) == 1_500
    nameless = [Theirs(n, f"{n:06}", at=SECOND, quantities={"gb": Exact(2)}) for n in range(1_500)]
    again = reconcile(nameless, ours, Manner(), no_label)
    assert [one.verdict for one in again].count(Verdict.DIFFERENT) == 1_500
