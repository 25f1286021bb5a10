"""A provider's records against real books: what is not charged, corrected, in a session, or another's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from apportion.engine.reconciling.door import ReconcileInput, run
from apportion.engine.verbs import Call
from apportion.errors import RefusalCode, Refused
from apportion.faces.reconciling import Reconciling
from apportion.model.access import AccessRole, Credential
from apportion.model.correction import Correct, Resplit
from apportion.model.party import Payer
from apportion.model.reconciliation import Reconciled, Reconciliation
from apportion.model.usage import PartUse, PayerUse, Usage
from tests.sessions import NOON, Proved, Rig, catalog

NET = "0.02"  # of a call of 20 seconds: 20 × 0.001


def credential(role: AccessRole, party: str = "", *sources: str) -> Credential:
    return Credential("", "main", role, "", "", party, sources)


OPERATOR = credential(AccessRole.OPERATOR)


def call(n: int, payer: str = "ada", seconds: str = "20", parts: tuple[PartUse, ...] = ()) -> Usage:
    at = NOON + timedelta(minutes=n)
    return Usage("switch", f"c{n}", "call", at, None, (PayerUse(payer),), parts, {"seconds": seconds})


def rig(*usages: Usage, value: str = "100") -> Rig:
    given = msgspec.structs.replace(catalog(), payers={n: Payer(n, "EUR") for n in ("ada", "bob", "cleo")})
    made = Proved(given)
    made.top_up("ada", value)
    made.engine.charge(usages)
    return made


def held(
    rig: Rig, rows: list[dict[str, Any]], provider: str = "telco", who: Credential = OPERATOR, **how: Any
) -> Reconciliation:
    given = msgspec.convert({"provider": provider, "rows": rows, **how}, ReconcileInput)
    return run(rig.engine, Call(who, "", given))


def told(row: Reconciled) -> tuple[str, str, str]:
    return row.verdict, row.why, row.id


def row(n: int, amount: str = NET, seconds: str = "20", **more: Any) -> dict[str, Any]:
    quantities = {"seconds": seconds, **more.pop("quantities", {})}
    return {"id": f"c{n}", "source": "switch", "quantities": quantities, "amount": amount, "currency": "EUR", **more}


def test_matched_different_missing_and_extra_with_both_sides_and_a_dispute() -> None:
    books = rig(*(call(n) for n in range(5)))
    rows = [row(0), row(1, amount="0.025"), row(2, seconds="21"), row(4), row(4), row(9)]
    report = held(books, rows, show="all", start="2026-11-20T12:00:00Z")
    assert [told(one) for one in report.rows] == [
        ("matched", "", "c0"), ("different", "amount", "c1"), ("different", "seconds", "c2"), ("matched", "", "c4"),
        ("extra", "duplicate", "c4"), ("extra", "not in our books", "c9"), ("missing", "", "c3"),
    ]  # fmt: skip
    dearer = report.rows[1]
    assert (dearer.claimed, dearer.portion, dearer.standing, dearer.difference) == ("0.025", NET, NET, "0.005")
    assert dearer.charge == "chg_" + dearer.usage[4:] and dearer.entry == "ent_" + dearer.usage[4:]
    assert dearer.dispute is not None and dearer.dispute.amount == "0.005000000" and dearer.dispute.part == "access"
    longer = report.rows[2].quantities[0]
    assert (longer.theirs, longer.ours, longer.accepted, longer.difference, longer.within) == (
        "21",
        "20",
        "20",
        "1",
        False,
    )
    assert report.rows[6].note.startswith("They ask for less")
    assert [one.dispute is not None for one in report.rows].count(True) == 1
    tallies = {one.verdict: (one.rows, one.claimed, one.standing, one.difference) for one in report.tallies}
    assert tallies == {
        "matched": (2, "0.04", "0.04", "0"), "different": (2, "0.045", "0.04", "0.005"),
        "missing": (1, "0", "0.02", "-0.02"), "extra": (2, "0.04", "0", "0.04"),
    }  # fmt: skip
    assert [(one.of, one.theirs, one.ours, one.difference) for one in report.drift] == [
        ("seconds", "121", "100", "21"), ("EUR", "0.125", "0.1", "0.025"),
    ]  # fmt: skip


def test_the_same_rows_in_any_order_have_the_same_digests_and_tolerances_count() -> None:
    books = rig(*(call(n) for n in range(4)))
    rows = [row(0), row(1, amount="0.0202"), row(2, seconds="21"), row(3)]
    one, other = held(books, rows), held(books, rows[::-1])
    assert (one.digest, one.records) == (other.digest, other.records)
    assert one.digest != held(books, rows[:3]).digest
    assert [told(found) for found in held(books, rows, amount="1%").rows] == [("different", "seconds", "c2")]
    assert not held(books, rows, amount="0.0002", quantity="5%").rows
    assert len(held(books, rows, amount="0.9%+0.00001", quantity="0.9").rows) == 2
    assert not held(books, rows, amount="0.9%+0.00002", quantity="1").rows
    for wrong in ("5 %", "-1", "x", "1%+", "1+1%"):
        with pytest.raises(Refused) as refused:
            held(books, rows, amount=wrong)
        assert refused.value.refusal.field == "amount"


def test_what_is_received_and_not_charged_says_why_and_has_no_dispute() -> None:
    books = rig(call(0), call(1, "bob"), call(2, "bob"), call(3, seconds="-x"), value="1")
    report = held(books, [row(0), row(1), row(3)], start="2026-11-20T12:00:00Z")
    assert [told(one) for one in report.rows] == [
        ("different", "not charged: insufficient_funds", "c1"), ("different", "not charged: bad_quantity", "c3"),
        ("missing", "not charged: insufficient_funds", "c2"),
    ]  # fmt: skip
    waits = report.rows[0].quantities[0]
    assert (waits.theirs, waits.ours, waits.accepted, waits.within) == ("20", "20", "0", True)
    assert report.uncharged == 2 and all(not one.charge and one.dispute is None for one in report.rows)
    mine = credential(AccessRole.PROVIDER, "telco")
    seen = held(books, [row(0), row(3)], "", mine, until="2026-11-20T12:00:30Z")
    assert [told(one) for one in seen.rows] == [("extra", "not in our books", "c3")], "another's refused record"
    sender = credential(AccessRole.PROVIDER, "telco", "switch")
    assert held(books, [row(3)], "", sender).rows[0].why == "not charged: bad_quantity"


def test_what_was_corrected_counts_as_it_stands() -> None:
    books = rig(*(call(n) for n in range(3)))
    charge = next(books.engine.books.records()).charge
    assert books.do(Correct(charge=charge.id, reference="half", amount="0.125")).refusal is None  # of 0.25
    report = held(books, [row(0), row(1), row(2)], show="all")
    assert [one.verdict for one in report.rows] == ["different", "matched", "matched"]
    assert (report.rows[0].portion, report.rows[0].standing, report.rows[0].difference) == (NET, "0.01", "0.01")
    assert held(books, [row(0, amount="0.01")], until="2026-11-20T12:00:30Z").rows == ()
    second = list(books.engine.books.records())[1].charge.id
    assert (
        books.do(Resplit(charge=second, reference="b", part="bridge", provider="bridge-b", amount="0.03")).refusal
        is None
    )
    late = held(books, [], "bridge-b")
    assert [(one.verdict, one.charge, one.portion, one.standing) for one in late.rows] == [
        ("missing", second, "0", "0.03")
    ]


def test_disputes_are_opened_once_and_change_what_stands_when_they_are_decided() -> None:
    books = rig(*(call(n) for n in range(2)))
    verbs = Reconciling(lambda name, **more: _ask(books, name, **more))
    rows = [row(0, amount="0.05"), row(1, amount="0.9")]
    report = held(books, rows)
    first, second = verbs.dispute(report)
    assert first.case is not None and first.case.amount == "0.030000000" and second.case is None
    assert second.refusal is not None and second.refusal.code is RefusalCode.BAD_AMOUNT  # the platform has not so much
    again = verbs.dispute(held(books, rows[::-1]))
    assert {one.case.id for one in again if one.case} == {first.case.id}
    from apportion.model.dispute import DecideDispute

    assert books.do(DecideDispute(id=first.case.id)).refusal is None
    after = held(books, rows, show="all")
    assert (after.rows[0].verdict, after.rows[0].portion, after.rows[0].standing) == ("matched", NET, "0.05")


def _ask(books: Rig, name: str, *, given: Any, key: str = "") -> Any:
    from apportion.engine.operations import BY_NAME

    operation, asked = BY_NAME[name], Call(OPERATOR, "", given)
    if operation.told is None:
        return operation.run(books.engine, asked)
    return operation.told(books.engine, asked, books.engine.writer.commit(operation.run(asked)))


def test_what_another_delivered_by_our_books_may_be_disputed_by_the_operator_alone() -> None:
    parts = (PartUse("bridge", "bridge-b"),)
    books = rig(call(0, parts=(PartUse("access", "telco"), *parts)), call(1))
    rows = [row(0, amount="0.07", part="bridge"), row(1, amount="0.08", part="bridge")]
    report = held(books, rows, "bridge-a", show="all")
    assert [told(one) for one in report.rows] == [
        ("extra", "delivered by bridge-b by our books", "c0"),
        ("matched", "", "c1"),
    ]
    ready = report.rows[0].dispute
    assert ready is not None and (ready.against, ready.amount, ready.part) == ("bridge-b", "0.070000000", "bridge")
    own = held(books, rows, "", credential(AccessRole.PROVIDER, "bridge-a"), show="all")
    assert (
        told(own.rows[0]) == ("extra", "not in our books", "c0") and not own.rows[0].charge and not own.rows[0].dispute
    )


def test_a_provider_sees_its_own_alone() -> None:
    books = rig(call(0))
    with pytest.raises(Refused) as refused:
        held(books, [row(0)], "bridge-a", credential(AccessRole.PROVIDER, "telco"))
    assert refused.value.refusal.code is RefusalCode.NOT_FOUND
    own = held(books, [row(0)], "", credential(AccessRole.PROVIDER, "telco"), show="all")
    assert own.provider == "telco" and "0.08" not in msgspec.json.encode(own).decode()
    for provider, code in (("", RefusalCode.BAD_INPUT), ("nobody", RefusalCode.UNKNOWN_PROVIDER)):
        with pytest.raises(Refused) as refused:
            held(books, [row(0)], provider)
        assert (refused.value.refusal.code, refused.value.refusal.field) == (code, "provider")


def test_a_session_is_a_sum_of_its_slices_and_an_invoice_one_of_days() -> None:
    books = rig(*(call(n * 60 * 24) for n in range(3)))
    id = books.open("ada")
    books.report(id, 1, "30", seconds=30)
    books.report(id, 2, "70", seconds=30)
    books.end(id)
    session = {"id": id, "quantities": {"seconds": "70"}, "amount": "0.07"}
    report = held(books, [session, row(0), row(1440), row(2880)], show="all")
    assert [(one.verdict, one.by, one.uses) for one in report.rows][0] == ("matched", "sum", 2)
    assert {one.verdict for one in report.rows} == {"matched"}
    lines = [
        {"service": "call", "day": "2026-11-20", "uses": "3", "quantities": {"seconds": "90"}, "amount": "0.09"},
        {"service": "call", "day": "2026-11-21", "uses": "1", "quantities": {"seconds": "25"}, "amount": "0.025"},
        {"service": "call", "day": "2026-11-23", "uses": "1", "quantities": {"seconds": "20"}, "amount": "0.02"},
    ]
    invoice = held(books, lines, show="all")
    found = [(one.verdict, one.why, one.period, one.uses, one.standing) for one in invoice.rows]
    assert found == [
        ("matched", "", "2026-11-20", 3, "0.09"), ("different", "seconds, amount", "2026-11-21", 1, "0.02"),
        ("extra", "not in our books", "2026-11-23", 0, ""), ("missing", "", "", 1, "0.02"),
    ]  # fmt: skip
    assert all(one.dispute is None for one in invoice.rows) and "sum" in invoice.rows[1].note
    month = [{"service": "call", "period": "2026-11", "uses": "5", "amount": "0.13"}]
    assert [one.verdict for one in held(books, month, show="all").rows] == ["matched"]


def test_rows_that_make_no_sense_are_listed_and_the_others_go_on() -> None:
    books = rig(call(0))
    bad = [
        ({"amount": "1"}, "id"), ({"id": "a", "amount": "1e999"}, "amount"), ({"id": "a", "amount": "1/3"}, "amount"),
        ({"id": "a", "quantities": {"seconds": "many"}}, "quantities.seconds"), ({"start": "yesterday"}, "start"),
        ({"start": "1700000000"}, "start"), ({"id": "a", "uses": "2"}, "id"), ({"uses": "-1"}, "uses"),
        ({"day": "2026-13-45"}, "day"), ({"period": "soon"}, "period"), ({"id": "a", "currency": "euro"}, "currency"),
        ({"id": "a", "start": "2026-11-20T12:00:00Z", "end": "2026-11-20T11:00:00Z"}, "end"),
    ]  # fmt: skip
    rows = [{**cells, "row": n + 10} for n, (cells, _) in enumerate(bad)]
    report = held(books, [*rows, row(0, quantities={"steps": "17", "note": "=1+1"})], show="all")
    assert [(one.row, one.refusal.field) for one in report.bad] == [(n + 10, field) for n, (_, field) in enumerate(bad)]
    assert report.bad_rows == len(bad) and report.unknown == ("note", "steps")
    assert [one.verdict for one in report.rows] == ["matched"]


def test_rows_are_found_by_time_where_ids_are_their_own_and_outside_is_told() -> None:
    books = rig(*(call(n) for n in range(4)))
    rows = [
        {"id": f"x{n}", "start": f"2026-11-20T13:0{n}:07", "quantities": {"seconds": "20"}, "amount": NET}
        for n in range(3)
    ]
    berlin = {"zone": "Europe/Berlin", "show": "all"}
    assert [one.by for one in held(books, rows, **berlin).rows] == ["time"] * 3
    assert {one.verdict for one in held(books, rows, apart=6, **berlin).rows} == {"extra", "missing"}
    rows[0]["quantities"] = {"seconds": "30"}
    assert told(held(books, rows, **berlin).rows[0])[:2] == ("extra", "not in our books")
    assert told(held(books, rows, by="time", **berlin).rows[0])[:2] == ("different", "seconds")
    some = held(books, rows, start="2026-11-20T13:01", until="2026-11-20T13:02:30", **berlin)
    assert some.outside == 1 and len(some.rows) == 2 and some.start == "2026-11-20T12:01:00Z"
    with pytest.raises(Refused) as refused:
        held(books, rows, start="2026-11-21", until="2026-11-20")
    assert refused.value.refusal.field == "until"
