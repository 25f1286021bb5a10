"""Whatever the rates and however a session is chopped: each pays and earns in its own currency, and all is proved."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.model.exchange_rate import ExchangeRate
from apportion.model.party import Payer
from apportion.model.session import SessionState
from apportion.model.session_asked import Change
from apportion.model.tariff import Flat, Tariff, Unit
from apportion.model.usage import PayerUse
from tests.sessions import NOON, Rig, catalog

RATE = st.integers(10**5, 10**9).map(lambda n: f"{n // 10**7}.{n % 10**7:07}")  # 0.01 to 100
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("use"), st.integers(0, 70)),
        st.tuples(st.just("wait"), st.integers(1, 90)),
        st.tuples(st.sampled_from(["join", "leave"]), st.integers(0, 2)),
        st.tuples(st.just("bridge"), st.integers(0, 1)),
        st.tuples(st.just("topup"), st.integers(0, 2)),
    ),
    max_size=14,
)
PAYERS = {"ada": "EUR", "eva": "USD", "jun": "JPY"}


@settings(max_examples=25, deadline=None)
@given(rates=st.lists(RATE, min_size=3, max_size=3), first=st.integers(0, 2), steps=STEPS)
def test_sessions_in_several_currencies_are_proved(rates: list[str], first: int, steps: list[tuple[str, int]]) -> None:
    base, names = catalog(), list(PAYERS)
    pairs = (("EUR", "USD"), ("JPY", "EUR"), ("USD", "EUR"))
    given_ = [
        ExchangeRate(*pair, rate, "ECB", NOON + timedelta(seconds=place * 60 - 61))
        for place, (pair, rate) in enumerate(zip(pairs, rates, strict=True))
    ]
    tariffs = {
        "bridge": Tariff(
            id="bridge", currency="JPY", components=(Unit(name="s", measure="seconds", price="0.3", per="7"),)
        ),
        "bridge2": Tariff(
            id="bridge2", currency="USD",
            components=(Flat(name="start", price="0.01"), Unit(name="s", measure="seconds", price="0.003")),
        ),
    }  # fmt: skip
    service = msgspec.structs.replace(base.services["call"], guard=False)
    rig = Rig(
        msgspec.structs.replace(
            base, rates=tuple(given_), tariffs={**base.tariffs, **tariffs},
            services={**base.services, "call": service},
            payers={name: Payer(name, code, opening="3") for name, code in PAYERS.items()},
        )
    )  # fmt: skip
    made = rig.do_open(names[first])
    if made.refusal is not None:
        rig.prove()
        return
    id = made.id
    used = number = 0
    for step, (what, value) in enumerate(steps):
        if rig.line(id).state is SessionState.CLOSED:
            break
        if what == "use":
            used, number = used + value, number + 1
            number -= rig.report(id, number, str(used), seconds=1).refusal is not None
        elif what == "wait":
            rig.wait(value)
        elif what == "topup":
            rig.engine.top_up(names[value], "2", PAYERS[names[value]], f"t{step}")
        elif what == "bridge":
            rig.ask(id, Change(providers={"bridge": ("bridge-a", "bridge-b")[value]}))
        else:
            rig.ask(id, Change(**{what: (PayerUse(names[value]) if what == "join" else names[value],)}))
    if rig.line(id).state is not SessionState.CLOSED:
        rig.end(id)
    rig.prove()
    sums: dict[str, Fraction] = {}
    for view in rig.engine.books.accounts():
        sums[view.currency] = sums.get(view.currency, Fraction(0)) + Fraction(view.posted)
        assert view.role != "payer" or Fraction(view.posted) >= 0
    assert set(sums.values()) == {Fraction(0)}
