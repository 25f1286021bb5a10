"""What-if: other terms for what was used, told beside the books, which stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from apportion.engine.engine import Engine
from apportion.engine.verbs import Call
from apportion.engine.whatif import door
from apportion.engine.whatif.replay import replay
from apportion.engine.whatif.spool import Spool
from apportion.errors import Misconfigured, RefusalCode, Refused
from apportion.model.access import AccessRole, Credential
from apportion.model.catalog import Catalog
from apportion.model.charge import Charge
from apportion.model.correction import Correct
from apportion.model.session_asked import PartAsked
from apportion.model.tariff import Deck, DeckRow, Tariff, Unit
from apportion.model.usage import PayerUse, Usage
from apportion.model.whatif import WhatIfInput
from apportion.wiring import open_engine
from tests import sessions
from tests.book import START, catalog, fill, ride, usages
from tests.whatif import ask, change, column, of, same


@pytest.fixture
def engine() -> Iterator[Engine]:
    with open_engine(":memory:") as made:
        fill(made, 200)
        yield made


def test_without_changes_it_is_what_was_booked_closed_or_not(engine: Engine) -> None:
    found = ask(engine)
    assert same(found) and found.records == found.replayed > 200 and not found.apart
    assert "are not closed yet" in " ".join(found.notes)
    engine.close_period(force=True)
    again = ask(engine)
    assert same(again) and column(again, "booked") != column(found, "booked")  # the fees of the month came to it
    assert "are not closed yet" not in " ".join(again.notes)


def test_another_share_moves_the_portions_and_nothing_else(engine: Engine) -> None:
    """Of each call near had 3, far 3 and the platform 1 of 7; it is to be 5, 3 and 1 of 9."""
    found = ask(engine, change("share", "call.near=5"), service="call")
    (fees,) = (Decimal(one.booked) for one in found.services)
    assert of(found, "dora")[1] != of(found, "dora")[0]
    for name, weight in (("dora", 5), ("otto", 3), ("platform", 1)):
        assert abs(Decimal(of(found, name)[1]) - fees * weight / 9) < Decimal("0.000000200")
    payers = [one for one in found.parties if one.side == "payer"]
    assert payers and all(not Decimal(one.difference) for one in payers)


def test_who_delivers_instead_earns_by_its_own_price(engine: Engine) -> None:
    """Otto drives the car for 0.7 a km; sun would for 1 a minute in seven, once it has that price."""
    with pytest.raises(Refused) as refused:
        ask(engine, change("provider", "otto=sun"), service="ride")
    assert refused.value.refusal.code is RefusalCode.NO_PRICE
    assert "ride.car.sun=TARIFF" in refused.value.refusal.fix
    swapped = ask(engine, change("tariff", "ride.car.sun=car"), change("provider", "otto=sun"), service="ride")
    assert of(swapped, "otto")[1] == "0" and of(swapped, "sun") == ("0", of(swapped, "otto")[0])
    dearer = ask(engine, change("tariff", "ride.car.sun=driving"), change("part", "ride.car=sun"), service="ride")
    assert abs(Decimal(of(dearer, "dora")[1]) - Decimal(of(dearer, "dora")[0])) < Decimal("0.0000001")
    assert abs(Decimal(of(dearer, "sun")[1]) - Decimal(of(dearer, "dora")[1])) < Decimal("0.0000001")


def test_a_whole_catalog_swaps_who_delivers_by_default(engine: Engine) -> None:
    other = catalog()
    car = msgspec.structs.replace(other.services["ride"].parts["car"], provider="wire", wholesale={"wire": "driving"})
    parts = {**other.services["ride"].parts, "car": car}
    rides = msgspec.structs.replace(other.services["ride"], parts=parts)
    found = ask(engine, catalog=msgspec.structs.replace(other, services={**other.services, "ride": rides}))
    assert Decimal(of(found, "wire")[1]) > Decimal(of(found, "wire")[0])
    assert 0 < found.untouched < found.records  # calls are not touched


def test_a_change_is_made_to_the_version_that_a_record_was_charged_by(engine: Engine) -> None:
    """The first half of a ride's books was charged at 3 and 1.23 a km, the other at 2 and 1: each keeps its own."""
    first = ask(engine, change("tariff", "ride.driver.dora=car"), service="ride")
    engine.apply(catalog(fare="2"))
    engine.charge([ride(900, "zoe", km="10", minutes="7")])
    found = ask(engine, change("tariff", "ride.driver.dora=car"), service="ride")
    assert same(ask(engine)) and of(found, "zoe")[0] == of(found, "zoe")[1] == "12"
    assert Decimal(of(found, "dora")[1]) - Decimal(of(first, "dora")[1]) == 7
    assert Decimal(of(found, "dora")[0]) - Decimal(of(first, "dora")[0]) == 1


def test_what_the_books_have_cut_can_not_be_priced_by_more() -> None:
    """Calls to 49170 are kept as 49: a deck with 4917 can not be asked, one with other prices can."""
    with open_engine(":memory:") as engine:
        engine.apply(catalog())
        engine.charge([one for one in usages(90) if one.service == "call"])
        talk = (Unit(name="talk", measure="seconds", per="60"),)

        def priced(*rows: DeckRow, match: str = "prefix") -> Catalog:
            deck = Deck("called", match=match, rows=rows)  # type: ignore[arg-type]
            given = catalog()
            return msgspec.structs.replace(
                given,
                tariffs={**given.tariffs, "calls": Tariff(id="calls", currency="EUR", components=talk, deck=deck)},
            )

        known = (DeckRow("49", "0.022"), DeckRow("4930", "0.04"), DeckRow("", "2"))
        twice = ask(engine, catalog=priced(*known))
        assert not twice.apart
        totals = {one.side: one for one in twice.totals}
        assert abs(Decimal(totals["payer"].replayed) - 2 * Decimal(totals["payer"].booked)) < Decimal("0.000001")
        finer = ask(engine, catalog=priced(*known, DeckRow("4917", "9")))
        ((apart),) = finer.apart
        assert apart.count == finer.records - finer.replayed == 10 and "asks more of 'called'" in apart.message
        assert Decimal(apart.booked) > 0
        exact = ask(engine, catalog=priced(*known, match="exact"))
        assert sum(one.count for one in exact.apart) == 20  # whether a number is 49 itself, nobody can tell


def test_what_can_not_be_rated_counts_as_booked_and_is_told_apart(engine: Engine) -> None:
    engine.close_period(force=True)
    late = tuple(
        msgspec.structs.replace(one, valid_from="2030-01-01")
        for one in (catalog().tariffs["energy"], catalog().tariffs["fare"])
    )
    found = ask(engine, catalog=msgspec.structs.replace(catalog(), tariffs=catalog().tariffs | {t.id: t for t in late}))
    (one,) = found.apart
    assert one.reason == "No price is in force for this use" and "2026-11" in one.message
    assert one.count == found.records - found.replayed - found.untouched > 100
    assert same(found)  # nothing of it could be told anew, and the fees of the month stand with it


def test_the_forgotten_are_told_by_their_account(engine: Engine) -> None:
    engine.forget("ben")
    engine.close_period(force=True)
    found = ask(engine)
    names = {one.name for one in found.parties if one.side == "payer"}
    assert "ben" not in names and any(name.startswith("acct_") for name in names) and same(found)


def test_corrections_stand_on_both_sides(engine: Engine) -> None:
    (outcome,) = engine.charge([ride(800, "zoe", km="10", minutes="7")])
    given = engine.writer.commit([Correct(charge=outcome.id, reference="r1", amount="5")])
    assert given[0].refusal is None
    assert same(ask(engine))
    found = ask(engine, change("tariff", "ride=car"), service="ride")
    assert [(one.reason.split(",")[0], one.count, one.booked) for one in found.apart] == [
        ("Corrections and credits", 1, "-5.000000000")
    ]
    booked, replayed = of(found, "zoe")
    assert Decimal(replayed) == 7 - 5 and Decimal(booked) == 2 + 12 - 5


def test_what_corrects_a_close_counts_in_the_period_that_was_closed(engine: Engine) -> None:
    engine.close_period(force=True)  # today, whenever that is: the fee of the month is booked now, and for then
    fee = next(one for _, one in engine.books.lines() if isinstance(one, Charge) and one.origin == "close 2026-11")
    before = ask(engine, period="2026-11")
    (given,) = engine.writer.commit([Correct(charge=fee.id, reference="r1", amount="0.5")])
    assert given.refusal is None
    after = ask(engine, period="2026-11")
    assert same(after) and [one.count for one in after.apart] == [1]
    payers = [sum(Decimal(one.booked) for one in found.totals if one.side == "payer") for found in (before, after)]
    assert payers[0] - payers[1] == Decimal("0.5")


def test_records_of_one_period_and_of_none(engine: Engine) -> None:
    later = START + timedelta(days=40)
    engine.charge([Usage("meter", "x", "ride", later, None, (PayerUse("ada"),), (), {"km": "1", "minutes": "7"})])
    assert ask(engine, period="2026-12").records == 1
    assert ask(engine, period="2026-11").records == ask(engine).records - 1
    for period, code in (("2031-01", "NOT_FOUND"), ("2026-13", "BAD_TIME"), ("soon", "BAD_TIME")):
        with pytest.raises(Refused) as refused:
            ask(engine, period=period)
        assert refused.value.refusal.code.name == code and refused.value.refusal.field == "period"


@pytest.mark.parametrize(
    ("kind", "word", "code", "fix"),
    [
        ("provider", "otta=sun", "UNKNOWN_PROVIDER", "otto"),
        ("provider", "otto=moon", "UNKNOWN_PROVIDER", "There are"),
        ("part", "ride=sun", "BAD_INPUT", "SERVICE.PART"),
        ("part", "ride.wheel=sun", "UNKNOWN_PART", "driver"),
        ("part", "bike.car=sun", "UNKNOWN_SERVICE", "ride"),
        ("tariff", "ride=fares", "UNKNOWN_TARIFF", "fare"),
        ("tariff", "walk=fare", "UNKNOWN_SERVICE", "ride"),
        ("tariff", "ride.car.moon=fare", "UNKNOWN_PROVIDER", "There are"),
        ("share", "call.near=x", "BAD_WEIGHT", "0.25"),
        ("share", "call.near=-1", "BAD_WEIGHT", "0 or more"),
        ("rule", "ride=fair", "BAD_INPUT", "wholesale"),
        ("allocate", "ride=fair", "BAD_INPUT", "equal"),
        ("platform", "rides=1", "UNKNOWN_SERVICE", "ride"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(engine: Engine, kind, word: str, code: str, fix: str) -> None:
    with pytest.raises(Refused) as refused:
        ask(engine, change(kind, word))
    refusal = refused.value.refusal
    assert (refusal.code.name, refusal.field) == (code, kind) and fix in refusal.fix


def test_changed_terms_must_hold_together(engine: Engine) -> None:
    with pytest.raises(Misconfigured, match=r"share.*is missing") as wrong:
        ask(engine, change("rule", "ride=shares"))
    assert wrong.value.refusals
    with pytest.raises(Misconfigured, match="contradicts itself"):
        ask(engine, catalog=msgspec.structs.replace(catalog(), tariffs={}))
    with pytest.raises(Refused) as refused:
        ask(engine, service="rode")
    assert refused.value.refusal.code is RefusalCode.UNKNOWN_SERVICE


def test_one_replay_at_a_time_at_a_node(engine: Engine) -> None:
    call = Call(Credential("", "main", AccessRole.OPERATOR, "", ""), given=WhatIfInput())
    assert door._ONE.acquire(blocking=False)
    try:
        with pytest.raises(Refused) as refused:
            door.what_if(engine, call)
        assert refused.value.refusal.code is RefusalCode.CONFLICT
    finally:
        door._ONE.release()
    assert door.what_if(engine, call).records == ask(engine).records


def test_progress_is_told_and_long_lists_are_sorted_in_pieces(engine: Engine, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    replay(engine, WhatIfInput(), lambda done, of: told.append((done, of)))
    assert told[-1] == (engine.store.head(engine.tenant, 0)[0],) * 2
    with Spool(piece=900) as spool:
        for number in (5, 3, 9, 1, 7, 2, 8, 0, 6, 4):
            spool.add(("2026-10", f"acct_{number % 2}", False, str(number), "", ""), b"%d" % number)
        assert [int(body) for _, body in spool] == [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]


# ── sessions ──


def used(rig: sessions.Rig) -> None:
    """Two calls and a download, reported in pieces."""
    for payer in ("ada", "bob"):
        rig.top_up(payer, "50")
    call = rig.open("ada")
    download = rig.open("ada", PayerUse("bob"), service="download")
    for number, seconds in enumerate(("17", "40", "60"), 1):
        rig.report(call, number, seconds, seconds=20)
    for number, gigabytes in enumerate(("1.1", "3.5"), 1):
        rig.report(download, number, gigabytes, seconds=5, measure="gigabytes", payer=("ada", "bob")[number - 1])
    rig.end(call)
    rig.end(download)
    other = rig.open("bob", parts=(PartAsked("bridge", "bridge-b"),))
    rig.report(other, 1, "33", seconds=33)
    rig.end(other)


def test_sessions_are_told_as_they_would_have_run() -> None:
    """With bridge-b by default, and half the shares: the same as books of sessions that ran like that."""
    given = sessions.catalog()
    bridge = msgspec.structs.replace(given.services["call"].parts["bridge"], provider="bridge-b")
    calls = msgspec.structs.replace(given.services["call"], parts={**given.services["call"].parts, "bridge": bridge})
    title = msgspec.structs.replace(given.services["download"].parts["title"], share="2")
    loads = msgspec.structs.replace(
        given.services["download"], parts={**given.services["download"].parts, "title": title}
    )
    other = msgspec.structs.replace(given, services={"call": calls, "download": loads})
    one, two = sessions.Rig(given), sessions.Rig(other)
    used(one)
    used(two)
    assert same(ask(one.engine)) and same(ask(two.engine))
    found = ask(one.engine, catalog=other)
    assert found.replayed == found.records and not found.apart
    assert column(found, "replayed") == column(ask(two.engine), "booked") != column(found, "booked")
    words = ask(one.engine, change("part", "call.bridge=bridge-b"), change("share", "download.title=2"))
    assert column(words, "replayed") == column(found, "replayed")


def test_a_session_that_changed_on_the_way_stands_from_there_on() -> None:
    rig = sessions.Rig()
    rig.top_up("ada", "50")
    call = rig.open("ada")
    rig.report(call, 1, "30", seconds=30)
    changed = rig.ask(call, sessions.Change({"bridge": "bridge-b"}))
    assert changed.refusal is None
    rig.report(call, 2, "60", seconds=30)
    rig.end(call)
    found = ask(rig.engine, change("tariff", "call.access.telco=bridge"))
    assert same(ask(rig.engine)) and found.replayed == 1
    assert [one.reason for one in found.apart] == ["A session whose providers, payers or terms changed on the way"]
