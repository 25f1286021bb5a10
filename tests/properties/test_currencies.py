"""Whatever the rates and whoever pays: every currency adds up by itself, and each gets exactly its own price."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.engine import billing
from apportion.model.charge import Charge, Conversion
from apportion.model.exchange_rate import ExchangeRate
from apportion.model.statement import Statement
from tests.currencies import NOON, Cinema, catalog, film

SCALES = {"USD": 9, "EUR": 9, "GBP": 9, "JPY": 6}
PAYERS = ("ada", "eva", "gil")
RATE = st.one_of(st.integers(1, 10**4), st.integers(10**6, 10**8)).map(lambda n: f"{n // 10**7}.{n % 10**7:07}")
PAIRS = [("USD", "EUR"), ("EUR", "USD"), ("USD", "JPY"), ("JPY", "USD"), ("GBP", "USD")]
USE = st.tuples(
    st.lists(st.sampled_from(PAYERS), min_size=1, max_size=3, unique=True),
    st.lists(st.sampled_from(["", "1", "2", "1/3", "0.7"]), min_size=3, max_size=3),
    st.integers(-60, 600).filter(bool),
    st.integers(0, 3),
)


def half_even(exact: Fraction, code: str) -> Fraction:
    """Rounded once at the scale of a currency."""
    unit = 10 ** SCALES[code]
    return Fraction(round(exact * unit), unit)


def rate_of(one: Conversion, code: str) -> Fraction:
    """How much of the account's currency one unit of the charge's is."""
    rate = Fraction(one.rate)
    return rate if one.base == code else 1 / rate


@settings(max_examples=25, deadline=None)
@given(
    first=st.lists(RATE, min_size=5, max_size=5),
    later=st.lists(st.tuples(st.sampled_from(PAIRS), RATE, st.integers(1, 3)), max_size=4, unique_by=lambda r: r[::2]),
    uses=st.lists(USE, min_size=1, max_size=8),
)
def test_every_currency_adds_up(first: list[str], later: list[tuple], uses: list[tuple]) -> None:
    rows = [(*pair, rate, "ECB", NOON - timedelta(days=1)) for pair, rate in zip(PAIRS, first, strict=True)]
    rows += [(*pair, rate, "BOJ", NOON + timedelta(days=days)) for pair, rate, days in later]
    cinema = Cinema(given=catalog(tuple(ExchangeRate(*row) for row in rows), unknown_payers=None))
    minutes = Fraction(0)
    for number, (names, weights, length, days) in enumerate(uses):
        payers = [f"{name}={weight}" if weight else name for name, weight in zip(names, weights, strict=False)]
        at = NOON + timedelta(days=days)
        # a refund has all quantities negative; its start fee is not given back, so only short ones are refused
        outcome = cinema.charge(film(number, *payers, minutes=str(length), at=at))[0]
        if outcome.refusal is None:
            minutes += length
    charges = cinema.charges()
    _each_share(charges)
    moved: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for charge in charges:
        for portion in charge.portions:
            if portion.converted is not None:
                moved["", charge.currency] += Fraction(portion.amount)
                moved["", portion.converted.currency] -= Fraction(portion.converted.amount)
        for share in charge.shares:
            if share.converted is not None:
                moved["", charge.currency] -= Fraction(share.amount)
                moved["", share.converted.currency] += Fraction(share.converted.amount)
    balances = cinema.balances()
    for (_, code), amount in moved.items():
        assert balances.get(("conversions", code), 0) == amount
    for code in SCALES:
        assert sum(amount for (_, currency), amount in balances.items() if currency == code) == 0
    assert cinema.verify().findings == []
    cinema.engine.close_period()
    after = cinema.balances()  # what rounding kept was paid back: each provider has its price to the atom
    for name, code, price in (("toho", "JPY", Fraction("3.3")), ("wire", "EUR", Fraction("0.01") / 7)):
        assert abs(after.get((name, code), 0) - price * minutes) < Fraction(1, 10 ** SCALES[code])
    _statements(cinema)
    assert cinema.verify().findings == []


def _each_share(charges: list[Charge]) -> None:
    """Provider and payer get and give their own currency's amount, rounded once."""
    for charge in charges:
        for portion in charge.portions:
            own = portion.converted
            assert (own is None) == (portion.provider == "host")
            if own is not None:
                assert Fraction(own.amount) == half_even(Fraction(own.exact), own.currency)
                assert Fraction(portion.exact) * rate_of(own, charge.currency) == Fraction(own.exact)
        for share in charge.shares:
            if share.converted is not None:
                exact = Fraction(share.amount) * rate_of(share.converted, charge.currency)
                assert Fraction(share.converted.amount) == half_even(exact, share.converted.currency)


def _statements(cinema: Cinema) -> None:
    """Each statement is in one currency, adds up in it, and says what was converted."""
    cinema.clock.at = "2026-12-03T10:00:00.000000Z"
    for made in billing.issue(cinema.engine, "2026-11"):
        if isinstance(made, Statement):
            items = [item for section in made.sections for item in section.items]
            assert sum(Fraction(item.total) for item in items) == Fraction(made.total)
            assert Fraction(made.total) + Fraction(made.residue_out) - Fraction(made.residue_in) == Fraction(
                made.charges
            )
            said = sum((Fraction(one.converted) for one in made.conversions), Fraction(0))
            assert said == (0 if made.currency == "USD" else Fraction(made.charges))
        else:
            assert sum(Fraction(due.payable) for due in made.dues) == Fraction(made.total)
