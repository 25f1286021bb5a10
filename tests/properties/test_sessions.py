"""Chopping changes nothing: however often a session is charged, everybody ends with the same atoms."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.model.agreement import Part, Service
from apportion.model.catalog import Catalog
from apportion.model.party import Payer, Provider
from apportion.model.session import SessionTerms
from apportion.model.session_asked import Change, Ended, Report, SessionAsked, SessionCommand
from apportion.model.tariff import Flat, Tariff, Unit
from apportion.model.usage import PayerUse
from apportion.money import hand_out
from tests.sessions import Rig

PRICES = st.sampled_from(["0.000000001", "0.0000000033", "0.333333333333", "1", "0.07"])


def books(prices: tuple[str, str, str], rule: str, allocate: str, tax: str) -> Catalog:
    retail, near, far = prices
    more = {"taxes": {"vat": "19"}, "tax": "vat"} if tax else {}
    tariffs = (
        Tariff(
            id="retail", currency="EUR", **more,  # type: ignore[arg-type]
            components=(Flat(name="start", price="0.0000000007"), Unit(name="s", measure="s", price=retail, per="3")),
        ),
        Tariff(id="near", currency="EUR", components=(Unit(name="s", measure="s", price=near, per="7"),)),
        Tariff(id="far", currency="EUR", components=(Unit(name="s", measure="s", price=far, per="11"),)),
    )  # fmt: skip
    service = Service(
        "talk", "retail", {"near": Part("a", {"a": "near", "c": "far"}, "3"), "far": Part("b", {"b": "far"}, "2")},
        measures={"s": "s"}, apportion=rule, platform="1" if rule == "shares" else "0", allocate=allocate,  # type: ignore[arg-type]
        sponsor="marketing", guard=False, session=SessionTerms({"s": "50"}),
    )  # fmt: skip
    return Catalog(
        providers={name: Provider(name) for name in "abc"}, services={"talk": service},
        tariffs={one.id: one for one in tariffs},
        payers={name: Payer(name, "EUR", opening="100000") for name in ("ada", "bob", "cleo")},
    )  # fmt: skip


def run(given: Catalog, cuts: list[int], swap: int | None) -> tuple[Rig, dict[str, str]]:
    """One session that used the last of ``cuts``, reported at each; a provider swapped before the one at ``swap``."""
    rig = Rig(given)
    payers = (PayerUse("ada", "1"), PayerUse("bob", "1/3"), PayerUse("cleo", "2"))
    id = "ses_" + "7" * 32
    asked = SessionAsked("talk", payers, (), {"s": "1000000"})
    assert rig.do(SessionCommand(id, asked)).refusal is None
    for number, used in enumerate(cuts, 1):
        if swap == used:
            assert rig.do(SessionCommand(id, Change({"near": "c"}))).refusal is None
        report = Report(number, {"s": str(used)}, requested={"s": "1000000"})
        assert rig.do(SessionCommand(id, report)).refusal is None
    rig.do(SessionCommand(id, Ended()))
    found = rig.income() | {name: rig.balance(name) for name in ("ada", "bob", "cleo")}
    return rig, found


@settings(max_examples=25, deadline=None)
@given(
    prices=st.tuples(PRICES, PRICES, PRICES),
    rule=st.sampled_from(["wholesale", "shares"]),
    allocate=st.sampled_from(["equal", "shares"]),
    tax=st.sampled_from(["", "19"]),
    cuts=st.lists(st.integers(1, 200_000), min_size=1, max_size=12, unique=True).map(sorted),
)
def test_the_sums_do_not_depend_on_how_often_a_session_is_charged(
    prices: tuple[str, str, str], rule: str, allocate: str, tax: str, cuts: list[int]
) -> None:
    given_ = books(prices, rule, allocate, tax)
    chopped, many = run(given_, cuts, None)
    whole, once = run(given_, cuts[-1:], None)
    if rule == "shares" or Fraction(prices[0]) / 3 >= Fraction(prices[1]) / 7 + Fraction(prices[2]) / 11:
        assert many == once
    else:  # what a sponsor added early on it does not get back later; that may move an atom, never a payer's
        assert all(many.get(name) == once.get(name) for name in ("ada", "bob", "cleo"))
        for name in ("a", "b"):
            assert abs(Fraction(many.get(name, "0")) - Fraction(once.get(name, "0"))) <= Fraction(1, 10**9)
    chopped.prove()
    whole.prove()


@settings(max_examples=20, deadline=None)
@given(
    prices=st.tuples(PRICES, PRICES, PRICES),
    rule=st.sampled_from(["wholesale", "shares", "quantity"]).filter(lambda rule: rule != "quantity"),
    cuts=st.lists(st.integers(1, 200_000), min_size=2, max_size=8, unique=True).map(sorted),
    place=st.integers(0, 7),
)
def test_with_a_provider_swapped_on_the_way_no_slice_is_negative_and_all_adds_up(
    prices: tuple[str, str, str], rule: str, cuts: list[int], place: int
) -> None:
    rig, _ = run(books(prices, rule, "equal", ""), cuts, cuts[place % len(cuts)])
    for record in rig.engine.books.records():
        charge = record.charge
        assert all(not portion.amount.startswith("-") for portion in charge.portions)
        assert not charge.platform.startswith("-") and not charge.amount.startswith("-")
    rig.prove()


@given(
    dues=st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=6),
    den=st.integers(1, 10**6),
)
def test_atoms_are_handed_out_as_if_one_by_one(dues: list[int], den: int) -> None:
    total = max(0, -(-sum(dues) // den))
    dues[0] += total * den - sum(dues)  # now they add up
    given_ = hand_out(total, dues, den, range(len(dues)))
    assert sum(given_) == total and min(given_) >= 0
    rests = [due - atoms * den for due, atoms in zip(dues, given_, strict=True)]
    takers = [rest for rest, atoms in zip(rests, given_, strict=True) if atoms]
    assert not takers or max(rests) - min(takers) <= den
