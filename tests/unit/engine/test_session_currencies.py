"""Sessions whose parts are priced in other currencies: each provider earns its price, slice by slice."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import msgspec

from apportion.errors import RefusalCode
from apportion.model.agreement import Part
from apportion.model.catalog import Catalog
from apportion.model.correction import Correct
from apportion.model.exchange_rate import ExchangeRate
from apportion.model.party import Payer
from apportion.model.session import SessionState
from apportion.model.session_asked import Change
from apportion.model.tariff import Flat, Tariff, Unit
from apportion.model.usage import PayerUse
from tests.sessions import NOON, Proved, catalog

replace = msgspec.structs.replace
RATES = (
    ExchangeRate("JPY", "EUR", "0.0061", "BOJ", NOON - timedelta(days=1)),
    ExchangeRate("EUR", "USD", "1.09", "ECB", NOON - timedelta(days=1)),
    ExchangeRate("EUR", "USD", "1.20", "ECB", NOON + timedelta(seconds=90)),
)


def abroad(**more: object) -> Catalog:
    """Calls in EUR whose bridges are paid in JPY and USD."""
    base = catalog()
    yen = Tariff(
        id="bridge", currency="JPY", components=(Unit(name="seconds", measure="seconds", price="0.3", per="7"),)
    )
    dollars = Tariff(
        id="bridge2", currency="USD",
        components=(Flat(name="start", price="0.01"), Unit(name="seconds", measure="seconds", price="0.003")),
    )  # fmt: skip
    return replace(base, rates=RATES, tariffs={**base.tariffs, "bridge": yen, "bridge2": dollars}, **more)


def balances(rig: Proved) -> dict[tuple[str, str], Fraction]:
    return {(view.owner, view.currency): Fraction(view.posted) for view in rig.engine.books.accounts()}


def test_each_slice_pays_the_provider_its_own_price() -> None:
    rig = Proved(abroad())
    rig.top_up("ada", "5")
    id = rig.open("ada")
    for number, used in enumerate(("13", "55", "60", "118"), 1):
        assert rig.report(id, number, used, seconds=20).refusal is None
    rig.end(id)
    found = balances(rig)
    assert abs(found["bridge-a", "JPY"] - 118 * Fraction("0.3") / 7) <= Fraction(1, 2 * 10**6)
    assert found["ada", "EUR"] == 5 - Fraction("0.05") - 118 * Fraction("0.01")
    assert found["telco", "EUR"] == 118 * Fraction("0.001")
    for code in ("EUR", "JPY"):
        assert sum(amount for (_, currency), amount in found.items() if currency == code) == 0
    charges = [record.charge for record in rig.engine.books.records()]
    assert len(charges) > 1 and all(charge.portions[1].converted is not None for charge in charges)
    rig.engine.close_period()


def test_a_provider_that_takes_over_is_paid_in_its_own_currency_at_the_rate_of_then() -> None:
    rig = Proved(abroad())
    rig.top_up("ada", "9")
    id = rig.open("ada")
    rig.report(id, 1, "60", seconds=60)
    rig.wait(60)
    assert rig.ask(id, Change(providers={"bridge": "bridge-b"})).refusal is None
    rig.report(id, 2, "110", seconds=50)
    line = rig.end(id)
    assert [meter.rate and meter.rate.text for meter in line.meters] == [None, None, "0.0061", "1.20"]
    found = balances(rig)
    assert abs(found["bridge-a", "JPY"] - 60 * Fraction("0.3") / 7) <= Fraction(1, 2 * 10**6)
    assert found["bridge-b", "USD"] == Fraction("0.01") + 50 * Fraction("0.003")
    first = next(iter(rig.engine.books.records())).charge
    total = rig.engine.books.record(first.id).charge.total
    assert rig.do(Correct(charge=first.id, reference="r", amount=total)).refusal is None


def test_a_payer_pays_out_of_its_own_currency_slice_by_slice() -> None:
    rig = Proved(abroad(payers={"eva": Payer("eva", "USD", opening="2"), "ada": Payer("ada", "EUR", opening="2")}))
    id = rig.open("eva", "ada")
    held = {view.owner: view.held for view in rig.engine.books.accounts() if view.role == "payer"}
    assert held == {"eva": "0.354250000", "ada": "0.325000000"}  # 60 s: 0.65 EUR in halves, at 1.09
    for number, used in enumerate(("13", "55", "60", "118"), 1):
        assert rig.report(id, number, used, seconds=10).refusal is None
    rig.end(id)
    found = balances(rig)
    share = (Fraction("0.05") + 118 * Fraction("0.01")) / 2
    assert found["ada", "EUR"] == 2 - share and found["eva", "USD"] == 2 - share * Fraction("1.09")
    assert {view.owner for view in rig.engine.books.accounts() if view.held.strip("0.")} == set()
    for code in ("EUR", "USD", "JPY"):
        assert sum(amount for (_, currency), amount in found.items() if currency == code) == 0


def test_a_session_goes_on_as_long_as_the_value_lasts_in_its_own_currency() -> None:
    rig = Proved(abroad(payers={"eva": Payer("eva", "USD", opening="1")}))
    id = rig.open("eva")
    granted = rig.drain(id)
    seconds = int((1 / Fraction("1.09") - Fraction("0.05")) / Fraction("0.01"))
    assert granted[-1] == seconds == 86
    rig.end(id)
    assert 0 <= balances(rig)["eva", "USD"] < Fraction("0.0109")
    again = rig.do_open("eva").refusal
    assert again is not None and again.code is RefusalCode.INSUFFICIENT_FUNDS


def test_value_that_comes_in_another_currency_wakes_a_session() -> None:
    rig = Proved(abroad(payers={"eva": Payer("eva", "USD", opening="0.5")}))
    id = rig.open("eva")
    rig.drain(id)
    assert rig.line(id).state is not SessionState.ACTIVE
    rig.engine.top_up("eva", "5", "USD", "t1")
    rig.wait(1)
    assert rig.line(id).state is SessionState.ACTIVE
    rig.end(id)


def test_who_joins_pays_in_its_own_currency_at_the_rate_of_then() -> None:
    rig = Proved(abroad(payers={"eva": Payer("eva", "USD", opening="5"), "ada": Payer("ada", "EUR", opening="5")}))
    id = rig.open("ada")
    rig.report(id, 1, "60", seconds=60)
    rig.wait(60)
    assert rig.ask(id, Change(join=(PayerUse("eva"),))).refusal is None
    rig.report(id, 2, "100", seconds=10)
    assert rig.ask(id, Change(leave=("ada",))).refusal is None
    rig.report(id, 3, "120", seconds=10)
    rig.end(id)
    found = balances(rig)
    assert found["eva", "USD"] == 5 - Fraction("0.01") * (20 + 20) * Fraction("1.2")
    assert found["ada", "EUR"] == 5 - Fraction("0.05") - Fraction("0.01") * (60 + 20)


def test_by_cost_a_portion_stays_in_the_fees_currency() -> None:
    given = abroad()
    service = replace(given.services["call"], apportion="cost", platform="0.2")
    rig = Proved(replace(given, services={**given.services, "call": service}))
    rig.top_up("ada", "5")
    id = rig.open("ada")
    rig.report(id, 1, "60", seconds=20)
    rig.end(id)
    fee, costs = Fraction("0.65"), (60 * Fraction("0.001"), 60 * Fraction("0.3") / 7 * Fraction("0.0061"))
    found = balances(rig)
    assert abs(found["telco", "EUR"] - fee * Fraction("0.8") * costs[0] / sum(costs)) <= Fraction(1, 10**9)
    assert ("bridge-a", "JPY") not in found and found["bridge-a", "EUR"] > 0


def test_a_price_in_another_currency_is_no_reprice() -> None:
    given = abroad()
    rig = Proved(given)
    rig.top_up("ada", "5")
    id = rig.open("ada")
    rig.report(id, 1, "30", seconds=20)
    part = Part("bridge-a", {"bridge-a": "bridge2", "bridge-b": "bridge2"})
    service = replace(given.services["call"], parts={**given.services["call"].parts, "bridge": part})
    rig.engine.apply(replace(given, services={**given.services, "call": service}))
    refused = rig.ask(id, Change(reprice=True)).refusal
    assert refused is not None and refused.code is RefusalCode.ASSET_MISMATCH
    rig.end(id)
