"""Whatever is given back of a charge, in whatever pieces: every sum holds, and given back whole all are at zero."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.errors import RefusalCode, Refused
from apportion.model.charge import Charge, Portion, Share, TaxLine
from apportion.money import Asset, Money, allocate
from apportion.money.exact import Exact, decimal_text
from apportion.stages.rate.correct import borne_of, combine, difference, earned_of, give_back, resplit

EUR = Asset("EUR", 4)


def text(atoms: int) -> str:
    return decimal_text(atoms, EUR.scale)


def atoms(amount: str) -> int:
    return Money.parse(amount, EUR).atoms


@st.composite
def charges(draw: st.DrawFn) -> Charge:
    """A charge as they are booked: up to four parts, two taxes, three payers of whom one may draw on two accounts."""
    portions = draw(st.lists(st.integers(0, 10**6), min_size=0, max_size=4))
    platform, sponsored = draw(st.integers(0, 10**6)), 0
    earned = sum(portions) + platform
    if draw(st.booleans()):
        sponsored = draw(st.integers(0, earned))
    net = earned - sponsored
    bases = [draw(st.integers(0, net // 2)) for _ in range(draw(st.integers(0, 2)))]
    taxes = [TaxLine(f"vat{i}", "19", text(base), text(base * 19 // 100)) for i, base in enumerate(bases)]
    tax = sum(atoms(line.amount) for line in taxes)
    weights = draw(st.lists(st.integers(0, 5), min_size=1, max_size=3).filter(any))
    shares: list[Share] = []
    for i, share in enumerate(allocate(net + tax, [Exact(w) for w in weights]).shares):
        drawn = draw(st.integers(0, share)) if draw(st.booleans()) else share
        shares.append(Share(f"acct_0000{i + 1}", text(drawn)))
        if drawn < share:
            source = draw(st.sampled_from(("bucket", "alternate")))
            shares.append(Share(f"acct_0010{i + 1}", text(share - drawn), "", source, f"acct_0000{i + 1}"))
    return Charge(
        "chg_" + "0" * 32, "", "ride", "2026-11-01T00:00:00Z", "EUR", "fare", "cat", "wholesale",
        Exact(net, EUR.unit).text(), text(net), text(net + tax), text(platform), "acct_00090", tax=text(tax),
        sponsored=text(sponsored), sponsor="acct_00091" if sponsored else "",
        portions=tuple(
            Portion(f"part{i}", f"who{i % 3}", f"acct_0002{i % 3}", text(due), text(due))
            for i, due in enumerate(portions)
        ),
        shares=tuple(shares), taxes=tuple(taxes),
    )  # fmt: skip


def adds_up(charge: Charge) -> None:
    portions = sum(atoms(portion.amount) for portion in charge.portions)
    tax = sum(atoms(line.amount) for line in charge.taxes)
    assert tax == atoms(charge.tax)
    assert atoms(charge.amount) + tax == atoms(charge.total) == sum(atoms(share.amount) for share in charge.shares)
    assert atoms(charge.total) == portions + atoms(charge.platform) + tax - atoms(charge.sponsored)
    assert Exact.parse(charge.exact) * Exact(EUR.unit) == Exact(atoms(charge.amount))


@given(charges(), st.lists(st.tuples(st.integers(1, 10**6), st.booleans()), max_size=6))
@settings(max_examples=300, deadline=None)
def test_in_any_pieces_everybody_ends_at_zero(charge: Charge, pieces: list[tuple[int, bool]]) -> None:
    standing = charge
    adds_up(standing)
    if not atoms(charge.total):
        return  # the sponsor bears it all: nobody is to be given anything back
    for wanted, alone in pieces:
        borne = borne_of(standing, EUR)
        payer = max(borne, key=lambda one: (borne[one], one)) if alone else ""
        most = borne[payer] if payer else sum(borne.values())
        if most <= 0:
            break
        back = give_back(standing, EUR, min(wanted, most), payer)
        adds_up(back)
        assert atoms(back.total) == -min(wanted, most)
        assert all(atoms(piece.amount) <= 0 for piece in (*back.portions, *back.shares))
        if payer:
            assert {share.bearer for share in back.shares} <= {payer}
        standing = combine(standing, back, EUR)
        adds_up(standing)
        assert all(atoms(piece.amount) >= 0 for piece in (*standing.portions, *standing.shares))
    left = sum(borne_of(standing, EUR).values())
    if left:
        standing = combine(standing, give_back(standing, EUR, left), EUR)
    assert not any(atoms(one.amount) for one in (*standing.portions, *standing.shares, *standing.taxes))
    assert not atoms(standing.platform) and not atoms(standing.sponsored) and not atoms(standing.total)


@given(charges(), st.integers(1, 10**6), st.integers(0, 2))
@settings(max_examples=200, deadline=None)
def test_one_at_fault_bears_it_alone_and_a_share_moves_between_two(charge: Charge, amount: int, at: int) -> None:
    earned, total = earned_of(charge, EUR), atoms(charge.total)
    who = f"who{at}"
    if not total or who not in earned:
        return
    try:
        back = give_back(charge, EUR, min(amount, total), "", who)
        adds_up(back)
        assert {portion.provider for portion in back.portions} <= {who} and not atoms(back.platform)
        assert earned_of(combine(charge, back, EUR), EUR)[who] >= 0
    except Refused as refused:
        net = atoms(give_back(charge, EUR, min(amount, total)).amount)
        assert refused.refusal.code is RefusalCode.BAD_AMOUNT and -net > earned[who]
    for against in ("", "who0", "who1", "who2"):
        to = ("extra", who, f"acct_0002{at}")
        if against == who or against not in earned or not 0 < amount <= earned[against]:
            try:
                resplit(charge, EUR, to, amount, against)
            except Refused:
                continue
            raise AssertionError("more was taken than there is")
        moved = combine(charge, resplit(charge, EUR, to, amount, against), EUR)
        adds_up(moved)
        now = earned_of(moved, EUR)
        assert now[who] - earned[who] == amount == earned[against] - now[against]
        assert borne_of(moved, EUR) == borne_of(charge, EUR)


@given(charges(), charges())
@settings(max_examples=200, deadline=None)
def test_a_difference_makes_the_one_stand_as_the_other(charge: Charge, fresh: Charge) -> None:
    made = difference(charge, fresh, EUR, label="price correction")
    adds_up(made)
    standing = combine(charge, made, EUR)
    adds_up(standing)
    now, wanted = borne_of(standing, EUR), borne_of(fresh, EUR)
    assert all(now.get(one, 0) == wanted.get(one, 0) for one in {**now, **wanted})
    assert {k: v for k, v in earned_of(standing, EUR).items() if v} == {
        k: v for k, v in earned_of(fresh, EUR).items() if v
    }
