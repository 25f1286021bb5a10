"""Sessions and bought units: set aside before money, used before money, given back, and everybody's atoms."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine import billing
from apportion.engine.explain import View
from apportion.engine.inquiry import explain
from apportion.engine.sessions.views import view
from apportion.errors import RefusalCode
from apportion.model.access import AccessRole, Credential
from apportion.model.agreement import Part
from apportion.model.band import Band
from apportion.model.catalog import Catalog
from apportion.model.charge import Charge
from apportion.model.command import ChargeUsage
from apportion.model.session import SessionState
from apportion.model.session_asked import Change, Report, SessionCommand
from apportion.model.statement import Statement
from apportion.model.tariff import Tariff, Unit
from apportion.model.usage import PayerUse, Usage
from tests.forging import exported, rehash, verified
from tests.sessions import Proved as Rig
from tests.sessions import catalog, plain


def stands(rig: Rig, place: int = 0) -> tuple[str, str, str, str]:
    """An allowance: left, reserved, lapsed, deferred."""
    line = rig.allowances()[place]
    return line.left, line.reserved, line.lapsed, plain(line.deferred)


def charges(rig: Rig) -> list[Charge]:
    return [record.charge for record in rig.engine.books.records()]


def fees(rig: Rig) -> dict[str, str]:
    return {name: amount for name, amount in rig.income().items() if name != "ada"}  # without deferred prices


def test_what_allowances_cover_costs_no_money_but_the_start_fee_is_due() -> None:
    rig = Rig()
    rig.top_up("ada", "0.85")
    rig.buy("ada", "0.80", "100")
    id = rig.open("ada")
    assert rig.balance("ada", "held") == "0.05" and rig.line(id).meters[0].granted == {"seconds": "60"}
    assert stands(rig) == ("40", "60", "0", "0.8")
    rig.report(id, 1, "50", seconds=50)
    assert rig.line(id).meters[0].granted == {"seconds": "100"} and rig.line(id).meters[0].final
    assert stands(rig) == ("0", "50", "0", "0.4")
    rig.report(id, 2, "90", seconds=40)
    line = rig.end(id)
    assert rig.balance("ada") == "0" and stands(rig) == ("10", "0", "0", "0.08")
    assert fees(rig) == {"telco": "0.09", "bridge-a": "0.36", "fees": "0.32"}  # 0.05 + 0.72 − 0.45
    assert line.net == 770_000_000 == line.payers[0].charged
    first, second = charges(rig)
    assert [plain(share.amount) for share in first.shares] == ["0.4", "0.05"]
    assert [share.source for share in first.shares] == ["allowance", ""]
    assert [(one.units, plain(one.amount)) for one in (*first.allowances, *second.allowances)] == [
        ("50", "0.4"), ("40", "0.32"),
    ]  # fmt: skip
    assert [(one.component, plain(one.exact)) for one in first.lines] == [("start", "0.05")]


def test_where_the_units_end_money_begins() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    rig.buy("ada", "0.30", "30")
    id = rig.open("ada")
    assert rig.balance("ada", "held") == "0.35"  # the start and thirty seconds
    rig.report(id, 1, "20", seconds=20)
    assert rig.balance("ada") == "9.65" and stands(rig) == ("0", "10", "0", "0.1")
    rig.report(id, 2, "50", seconds=30)
    assert rig.balance("ada") == "9.45" and stands(rig) == ("0", "0", "0", "0")
    assert rig.allowances()[0].state == "used"
    rig.report(id, 3, "70", seconds=20)
    rig.end(id)
    assert rig.balance("ada") == "9.25"
    assert fees(rig) == {"telco": "0.07", "bridge-a": "0.28", "fees": "0.4"}


def test_sessions_and_records_that_run_at_once_never_take_the_same_unit() -> None:
    rig = Rig()
    rig.top_up("ada", "2")
    rig.buy("ada", "0.50", "100")
    one, two = rig.open("ada"), rig.open("ada")
    assert stands(rig) == ("0", "100", "0", "0.5")
    assert [rig.line(id).covers[0].reserved for id in (one, two)] == ["60", "40"]
    assert rig.balance("ada", "held") == "0.3"  # two starts and twenty seconds
    usage = Usage(
        "switch", "r", "call", datetime.fromisoformat(rig.clock.now()), None, (PayerUse("ada"),), (), {"seconds": "10"}
    )
    assert rig.do(ChargeUsage(usage)).total == 150_000_000  # nothing is left for it
    rig.report(one, 1, "60", seconds=60)
    rig.report(two, 1, "50")
    assert rig.line(one).covers[0].drawn == 300_000_000 and rig.line(two).covers[0].drawn == 200_000_000
    rig.end(one)
    rig.end(two)
    assert rig.balance("ada") == "1.15"  # 1.50 − 0.15 − 2 × 0.05 − 0.10
    assert stands(rig) == ("0", "0", "0", "0")


def test_a_record_draws_what_a_running_session_left_and_the_last_unit_takes_the_rest() -> None:
    rig = Rig()
    rig.top_up("ada", "2")
    rig.buy("ada", "0.000000100", "70")
    id = rig.open("ada")
    usage = Usage(
        "switch", "r", "call", datetime.fromisoformat(rig.clock.now()), None, (PayerUse("ada"),), (), {"seconds": "10"}
    )
    assert rig.do(ChargeUsage(usage)).total == 14  # 100 × 10⁄70
    assert rig.allowances()[0].state == "open" and stands(rig)[:2] == ("0", "60")
    for number in range(1, 7):
        rig.report(id, number, str(10 * number), seconds=1)
    rig.end(id)
    assert rig.line(id).covers[0].drawn == 86 and rig.balance("ada") == "1.9499999"


def test_units_that_expire_while_a_session_has_them_stay_with_it_and_the_rest_lapses() -> None:
    rig = Rig()
    rig.top_up("ada", "2")
    rig.buy("ada", "1", "100", expires="2026-11-20T12:00:30Z")
    id = rig.open("ada")
    rig.report(id, 1, "20", seconds=20)
    assert stands(rig) == ("20", "60", "0", "0.8")
    rig.wait(11)
    assert rig.engine.sweep() == 1 and rig.engine.sweep() == 0
    assert stands(rig) == ("0", "60", "20", "0.6") and rig.income()["breakage"] == "0.2"
    rig.report(id, 2, "40", seconds=9)
    assert stands(rig) == ("0", "40", "20", "0.4") and rig.balance("ada", "held") == "0.2"  # 80 to 100 in money
    rig.end(id)
    assert stands(rig) == ("40", "0", "20", "0.4")
    assert rig.engine.sweep() == 1
    assert stands(rig) == ("0", "0", "60", "0") and rig.income()["breakage"] == "0.6"
    assert rig.allowances()[0].state == "ended" and rig.balance("ada") == "0.95"


def test_units_that_expired_and_were_not_swept_are_given_back_and_lapse() -> None:
    rig = Rig()
    rig.top_up("ada", "2")
    rig.buy("ada", "1", "100", expires="2026-11-20T12:00:30Z")
    id = rig.open("ada")
    rig.report(id, 1, "40", seconds=40)
    assert rig.line(id).covers[0].reserved == "60"  # twenty of them go on, what follows is money
    assert rig.balance("ada", "held") == "0.4"
    rig.end(id)
    assert rig.engine.sweep() == 1 and stands(rig) == ("0", "0", "60", "0")


def test_units_that_lapse_twice_at_one_instant_are_two_entries() -> None:
    rig = Rig()
    rig.top_up("ada", "2")
    rig.buy("ada", "1", "100", expires="2026-11-20T12:00:30Z")
    id = rig.open("ada")
    rig.clock.move(30)
    assert rig.engine.sweep() == 1 and stands(rig) == ("0", "60", "40", "0.6")
    rig.end(id)
    assert rig.engine.sweep() == 1 and stands(rig) == ("0", "0", "100", "0")
    assert rig.income()["breakage"] == "1"


def test_a_suspended_session_goes_on_with_units_that_are_bought_for_it() -> None:
    rig = Rig()
    rig.top_up("ada", "0.65")
    id = rig.open("ada")
    rig.drain(id)
    assert rig.line(id).state is SessionState.SUSPENDED and rig.balance("ada") == "0"
    rig.top_up("bob", "1")
    rig.buy("bob", "0.5", "100")
    rig.wait(1)
    assert rig.line(id).state is SessionState.SUSPENDED  # they are another's
    rig.buy("ada", "0", "100")
    rig.wait(1)
    line = rig.line(id)
    assert line.state is SessionState.ACTIVE and line.offer is None and not line.meters[0].final
    assert rig.balance("ada", "held") == "0" and line.meters[0].granted == {"seconds": "120"}
    rig.report(id, line.meters[0].number + 1, "120", seconds=50)
    rig.end(id)
    assert stands(rig, 1) == ("40", "0", "0", "0") and rig.balance("ada") == "0"
    assert fees(rig) == {"telco": "0.12", "bridge-a": "0.48", "fees": "0.35", "marketing": "-0.3", "bob": "0.5"}


def test_units_for_other_services_or_measures_or_of_others_cover_nothing() -> None:
    rig = Rig()
    rig.top_up("ada", "2")
    rig.top_up("bob", "2")
    rig.buy("ada", "0.1", "100", services=("download",), measure="gigabytes")
    rig.buy("bob", "0.1", "100")
    id = rig.open("ada")
    assert rig.line(id).covers == () and rig.balance("ada", "held") == "0.65"


def test_with_a_second_payer_the_units_go_back_and_money_is_held() -> None:
    rig = Rig()
    rig.top_up("ada", "1.5")
    rig.buy("ada", "1", "100")
    id = rig.open("ada")
    rig.report(id, 1, "20", seconds=20)
    assert stands(rig) == ("20", "60", "0", "0.8") and rig.balance("ada", "held") == "0"
    refused = rig.ask(id, Change(join=(PayerUse("bob"),)))
    assert refused.refusal is not None and refused.refusal.code is RefusalCode.INSUFFICIENT_FUNDS
    assert stands(rig) == ("20", "60", "0", "0.8") and rig.balance("ada", "held") == "0"
    rig.top_up("bob", "5")
    assert rig.ask(id, Change(join=(PayerUse("bob"),))).refusal is None
    assert stands(rig) == ("80", "0", "0", "0.8")
    assert rig.balance("ada", "held") == "0.3" and rig.balance("bob", "held") == "0.3"
    rig.report(id, 2, "40", seconds=20)
    rig.end(id)
    assert rig.balance("ada") == "0.35" and rig.balance("bob") == "4.9"
    assert stands(rig) == ("80", "0", "0", "0.8")
    shared = rig.open("ada", "bob")
    assert rig.line(shared).covers == ()


def test_a_payer_who_takes_over_brings_no_units_and_leaves_none() -> None:
    rig = Rig()
    rig.top_up("ada", "2")
    rig.top_up("bob", "5")
    rig.buy("ada", "1", "100")
    rig.buy("bob", "1", "100")
    id = rig.open("ada")
    rig.report(id, 1, "20", seconds=20)
    assert rig.ask(id, Change(join=(PayerUse("bob"),), leave=("ada",))).refusal is None
    rig.report(id, 2, "50", seconds=30)
    rig.end(id)
    assert rig.balance("ada") == "0.95" and rig.balance("bob") == "3.7"
    assert [stands(rig, place)[:2] for place in (0, 1)] == [("80", "0"), ("100", "0")]


def test_a_swapped_provider_and_a_new_price_leave_the_units_where_they_are() -> None:
    rig = Rig()
    rig.top_up("ada", "2")
    rig.buy("ada", "1", "100")
    id = rig.open("ada")
    rig.report(id, 1, "30", seconds=30)
    assert rig.ask(id, Change({"bridge": "bridge-b"})).refusal is None
    rig.report(id, 2, "80", seconds=50)
    rig.report(id, 3, "120", seconds=40)
    rig.end(id)
    assert rig.balance("ada") == "0.75"  # the start and twenty seconds beyond the hundred
    assert fees(rig) == {"telco": "0.12", "bridge-a": "0.12", "bridge-b": "0.28", "fees": "0.73"}


def test_units_below_cost_are_served_and_the_sponsor_adds_the_rest() -> None:
    rig = Rig()
    rig.top_up("ada", "0.15")
    rig.buy("ada", "0.1", "100")
    id = rig.open("ada")  # the guard looks at what the units cost now
    rig.report(id, 1, "60", seconds=60)
    rig.end(id)
    assert fees(rig) == {"telco": "0.06", "bridge-a": "0.24", "marketing": "-0.19"}
    assert rig.line(id).sponsored == 190_000_000 and rig.line(id).net == 110_000_000


def test_taxes_fall_on_money_alone() -> None:
    rig = Rig()
    rig.top_up("ada", "3")
    rig.buy("ada", "0.4", "8", measure="gigabytes")
    id = rig.open("ada", service="download")
    rig.report(id, 1, "5", measure="gigabytes")
    rig.report(id, 2, "10", measure="gigabytes")
    rig.end(id)
    assert rig.balance("ada") == "2.36"  # 2.6 − 2 × 0.12
    assert fees(rig) == {"telco": "0.36", "studio": "0.12", "fees": "0.12", "vat@20": "0.04"}


def test_near_the_end_of_units_and_money_grants_shrink_by_the_money_alone() -> None:
    rig = Rig()
    rig.top_up("ada", "1")
    rig.buy("ada", "0.5", "50")
    id = rig.open("ada")
    granted = rig.drain(id)
    assert granted[-1] == 95 == int(rig.line(id).meters[0].used["seconds"])
    assert rig.balance("ada") == "0" and rig.line(id).state is SessionState.SUSPENDED
    assert granted[0] == 60 and stands(rig) == ("0", "0", "0", "0")


def test_the_statement_says_what_was_bought_and_what_money_paid_and_the_period_closes() -> None:
    rig = Rig()
    rig.top_up("ada", "2")
    rig.buy("ada", "0.9", "90")
    id = rig.open("ada")
    for number in (1, 2, 3):
        rig.report(id, number, str(40 * number), seconds=40)
    rig.end(id)
    rig.clock.move(20 * 86400)
    rig.engine.close_period("2026-11")
    documents = {document.name: document for document in billing.issue(rig.engine)}
    mine = documents["ada"]
    assert isinstance(mine, Statement) and documents["telco"].total == "0.12"
    assert {section.name: section.total for section in mine.sections} == {"Adjustments": "0.90", "Call": "0.35"}
    assert rig.balance("ada") == "0.75" == plain(mine.closing)
    told = explain(rig.engine, list(rig.engine.books.records())[-1].charge.id, View())
    assert told.holds


def test_plenty_of_units_is_not_low() -> None:
    rig = Rig(catalog(low="5"))
    rig.top_up("ada", "1")
    rig.buy("ada", "0.5", "200")
    id = rig.open("ada")
    rig.report(id, 1, "60", seconds=60)
    assert rig.line(id).state is SessionState.ACTIVE
    rig.report(id, 2, "100", seconds=40)
    rig.report(id, 3, "150", seconds=50)
    assert rig.line(id).state is SessionState.LOW


def test_who_may_see_how_much_is_covered() -> None:
    rig = Rig()
    rig.top_up("ada", "2")
    rig.buy("ada", "1", "100")
    id = rig.open("ada")
    rig.report(id, 1, "30", seconds=30)
    line, terms = rig.line(id), rig.engine.version(rig.line(id).catalog)
    own = frozenset({line.payers[0].account})
    for role, shown in ((AccessRole.OPERATOR, "30"), (AccessRole.USER, "30"), (AccessRole.PROVIDER, "")):
        seen = view(line, terms, Credential("k", "main", role, "", "", "ada" if shown else "telco"), own)
        assert seen.covered.get("seconds", "") == shown
    told = explain(rig.engine, id, View("operator"))
    words = next(fact for section in told.sections for fact in section.facts if fact.name == "covered by allowances")
    assert told.holds and (words.value, words.note) == ("30 seconds", f"0.3 EUR of {rig.allowances()[0].id}")


def banded() -> Catalog:
    """A second costs half as much from one in the afternoon on, in Berlin."""
    found = catalog(slice={"seconds": "1000"}, validity=1000)
    call = Tariff(
        id="call", currency="EUR", zone="Europe/Berlin",
        components=(
            Unit(name="day", measure="seconds", price="0.02", when=("other",)),
            Unit(name="late", measure="seconds", price="0.01", when=("late",)),
        ),
        bands={"late": Band(("13:01-24:00",))},
    )  # fmt: skip
    return replace(found, tariffs={**found.tariffs, "call": call})


@pytest.mark.parametrize("steps", [1, 4])
def test_over_a_change_of_price_the_units_come_first_however_often_it_is_charged(steps: int) -> None:
    rig = Rig(banded())
    rig.top_up("ada", "50")
    rig.buy("ada", "1", "80")
    id = rig.open("ada", requested={"seconds": "1000"})
    for number in range(1, steps + 1):
        rig.report(id, number, str(180 * number // steps), seconds=180 / steps, requested={"seconds": "1000"})
    rig.end(id)
    assert rig.balance("ada") == "48"  # sixty by day and twenty later are covered, a hundred later are paid
    assert fees(rig) == {"telco": "0.18", "bridge-a": "0.72", "fees": "1.1"}


def run(given_: Catalog, cuts: list[int], price: str, units: list[str]) -> dict[str, str]:
    """One session that used the last of ``cuts`` thirds of a second, reported at each."""
    rig = Rig(given_)
    rig.top_up("ada", "1000")
    for number, some in enumerate(units):
        rig.buy("ada", price, some, name=f"a{number}")
    id = rig.open("ada", requested={"seconds": "1000"})
    for number, used in enumerate(cuts, 1):
        report = Report(number, {"seconds": f"{used}/3"}, requested={"seconds": "1000"})
        assert rig.do(SessionCommand(id, report)).refusal is None
    rig.end(id)
    rig.prove()
    line = rig.line(id)
    assert sum(payer.charged for payer in line.payers) == line.net
    for stock in rig.allowances():
        left, lapsed = Fraction(stock.left), Fraction(stock.lapsed)
        used_ = sum(Fraction(c.booked) for c in line.covers if c.allowance == stock.id)
        assert Fraction(stock.units) == used_ + left + lapsed and stock.reserved == "0"
    return rig.income() | {"own": rig.balance("ada")}


@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 1500), min_size=1, max_size=10, unique=True).map(sorted),
    price=st.sampled_from(["0", "1", "0.000000007", "3.333333333"]),
    units=st.lists(st.sampled_from(["1", "70", "33.333333333333", "400"]), min_size=1, max_size=3),
)
def test_the_sums_do_not_depend_on_how_often_a_session_is_charged(
    cuts: list[int], price: str, units: list[str]
) -> None:
    given_ = catalog()
    cheap = {**given_.services["call"].parts, "bridge": Part("bridge-a", {"bridge-a": "access"})}
    services = {**given_.services, "call": replace(given_.services["call"], parts=cheap, guard=False)}
    given_ = replace(given_, services=services)
    many, once = run(given_, cuts, price, units), run(given_, cuts[-1:], price, units)
    assert many["own"] == once["own"] and many.get("ada") == once.get("ada")
    if price in ("1", "3.333333333"):  # else they were sold below cost, and what a sponsor added early stays
        assert many == once
    for name in ("telco", "bridge-a"):
        assert abs(Fraction(many.get(name, "0")) - Fraction(once.get(name, "0"))) <= Fraction(3, 10**9)


# ── what an insider could change ──


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    path = tmp_path_factory.mktemp("units") / "books.db"
    rig = Rig(catalog(), SqliteStore(path))
    rig.top_up("ada", "3")
    rig.buy("ada", "1", "100")
    one, two = rig.open("ada"), rig.open("ada")
    rig.report(one, 1, "30", seconds=30)
    rig.report(two, 1, "50")
    rig.end(one)
    rig.engine.close()
    return exported(path)


@pytest.mark.parametrize(
    ("start", "old", "new", "skip"),
    [
        (b"allowance", b'"reserved":"60"', b'"reserved":"50"', 0),
        (b"allowance", b'"reserved":"60"', b'"left":"90","reserved":"10"', 0),
        (b"session", b'"reserved":"60"', b'"reserved":"59"', 0),
        (b"session", b'"used":"30","booked"', b'"used":"29","booked"', 0),
        (b"session", b'"booked":"30"', b'"booked":"29"', 0),
        (b"session", b'"drawn":300000000', b'"drawn":200000000', 0),
        (b"charge", b'"source":"allowance"', b'"source":"bucket"', 0),
        (b"charge", b'"units":"30"', b'"units":"31"', 0),
        (b"charge", b'"units":"30","amount":"0.300000000"', b'"units":"30","amount":"0.200000000"', 0),
    ],
)
def test_a_lie_about_units_is_found(book: list[bytes], start: bytes, old: bytes, new: bytes, skip: int) -> None:
    lines = list(book)
    places = [i for i, line in enumerate(book) if line.startswith(b'{"type":"' + start + b'"') and old in line]
    lines[places[skip]] = lines[places[skip]].replace(old, new, 1)
    codes = {finding.code for finding in verified(rehash(lines)).findings}
    untouched = {finding.code for finding in verified(rehash(list(book))).findings}
    assert not untouched & {"session", "funding", "charge", "legs"}
    assert codes & {"session", "funding", "charge"}
