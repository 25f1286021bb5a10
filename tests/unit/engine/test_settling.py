"""Settlements and payouts in the books: what they cover, what may be paid, and how a payout ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
import xmlschema
from sepaxml import validation

from apportion.engine import billing
from apportion.engine.explain import View
from apportion.engine.inquiry import explain
from apportion.engine.settling.files import payment_file
from apportion.engine.settling.payees import payee_of, put_payee
from apportion.engine.settling.run import settle
from apportion.engine.settling.views import FileQuery
from apportion.engine.verbs import Call
from apportion.errors import RefusalCode, Refused
from apportion.model.access import AccessRole, Credential
from apportion.model.account import Role
from apportion.model.agreement import Part, Service
from apportion.model.market import Placement
from apportion.model.party import Payer
from apportion.model.payee import Payee, valid_iban
from apportion.model.settlement import EndPayout, Mode, SendPayout, Wanted
from apportion.model.statement import Remittance
from apportion.model.tariff import Flat, Tariff
from apportion.model.usage import PayerUse, Usage
from tests.book import catalog
from tests.plans import PlanRig
from tests.settling import IBAN, Counting
from tests.unit.engine.test_planned_sessions import relay, with_offer

OPERATOR = Credential("", "main", AccessRole.OPERATOR, "", "")


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Counting]:
    made = Counting(tmp_path / "books.db")
    yield made
    assert made.proven() == []
    made.engine.close()


def money(text: str) -> Decimal:
    return Decimal(text)


def test_a_settlement_covers_what_was_booked_and_a_rerun_changes_nothing(books: Counting) -> None:
    books.ride(6)  # 6 × 18 / 7 = 15.428571429 for dora, 6 × 6.4 × 0.7 = 26.88 for otto
    first = books.one()
    assert (first.number, first.after, first.credited, first.payable) == ("SET-000001", 0, "42.308571429", "42.31")
    assert books.pays(first) == {("", "otto"): money("26.88"), ("", "dora"): money("15.43")}
    dora = books.positions(first)["dora"]
    assert (dora.credits, dora.payable, dora.residue_out) == ("15.428571429", "15.43", "-0.001428571")
    head = books.store.head(books.engine.tenant, 0)
    assert books.settle("gross").settlements == (first,) and not books.settle("multilateral").made
    assert books.store.head(books.engine.tenant, 0) == head
    books.ride(1)
    second = books.one()
    assert (second.after, second.previous) == (first.upto, first.id)
    # 18 / 7 = 2.571428571; the residue is carried in: 15.428571429 + 2.571428571 = 18.00 = 15.43 + 2.57
    assert books.positions(second)["dora"].payable == "2.57"
    assert money(books.positions(second)["dora"].residue_out) == 0


def test_each_provider_gets_an_advice_and_the_calendar_goes_on_from_it(books: Counting) -> None:
    books.ride(6)
    books.one()
    advices = [line for line in billing.listing(books.engine) if line.kind == "remittance"]
    assert [(line.party, line.total, line.period) for line in advices] == [
        ("otto", "26.88", "SET-000001"), ("dora", "15.43", "SET-000001")
    ]  # fmt: skip
    advice = billing.find(books.engine, "R-000002")
    assert isinstance(advice, Remittance) and advice.settlement
    assert sum(Decimal(due.payable) for due in advice.dues) == Decimal(advice.total)
    books.ride(1)
    books.clock.at = "2026-12-02T10:00:00.000000Z"
    issued = {line.name: line for line in billing.issue(books.engine, who="dora")}
    assert issued["dora"].total == "2.57" and issued["dora"].residue_in == "-0.001428571"
    books.ride(1)
    last = books.one()  # the calendar's advice lies in this window too: it is settled, not advised again
    dora = books.positions(last)["dora"]
    assert (dora.credits, dora.payable) == ("5.142857142", "5.14")


def test_what_was_paid_stands_on_the_next_advice(books: Counting) -> None:
    books.ride(7)  # dora 18.00
    first = books.one()
    books.order(first)
    books.ride(7)
    second = books.one()
    dora = books.positions(second)["dora"]
    assert (dora.opening, dora.paid, dora.closing) == ("18.000000000", "18.000000000", "18.000000000")
    advice = billing.document(books.engine, billing.listing(books.engine, "dora")[-1])
    assert isinstance(advice, Remittance) and advice.paid == "18.000000000" and advice.closing == "18.000000000"


@pytest.mark.parametrize("mode", ["gross", "net", "multilateral"])
def test_a_cycle_among_providers_and_every_way_ends_at_the_same(books: Counting, mode: str) -> None:
    for debtor, creditor, amount in (("dora", "otto", "100"), ("otto", "sun", "70"), ("sun", "dora", "90")):
        assert books.oblige(debtor, creditor, amount, f"{debtor}-{creditor}").refusal is None
    before = books.posted()
    line = books.one(mode)
    pays = books.pays(line)
    assert sum(pays.values()) == {"gross": 260, "net": 260, "multilateral": 60}[mode]
    assert books.posted() == before == {"dora": -10, "otto": 30, "sun": -20}
    if mode == "multilateral":
        assert pays == {("", "otto"): 30, ("dora", ""): 10, ("sun", ""): 20}
    assert books.order(line).total == len(pays)
    for one in books.payouts(line):
        assert books.end(one.id, "succeeded").refusal is None
    assert set(books.posted().values()) == {0}
    assert books.posted(Role.CLEARING).get("payouts", 0) == 0


@pytest.mark.parametrize("mode", ["gross", "net", "multilateral"])
def test_a_cycle_of_equals_leaves_nothing_to_pay(books: Counting, mode: str) -> None:
    for debtor, creditor in (("dora", "otto"), ("otto", "sun"), ("sun", "dora")):
        books.oblige(debtor, creditor, "7.25", debtor)
    line = books.one(mode)
    assert {name: one.payable for name, one in books.positions(line).items()} == dict.fromkeys(
        ("dora", "otto", "sun"), "0.00"
    )
    assert len(line.payments) == (0 if mode == "multilateral" else 3)
    for one in books.payouts(line) if books.order(line).refusal is None else ():
        assert books.end(one.id, "succeeded").refusal is None
    assert set(books.posted().values()) == {0}


def test_an_obligation_is_booked_once_within_the_cap(books: Counting) -> None:
    first = books.oblige("wire", "sun", "20", "r1")
    assert books.oblige("wire", "sun", "20", "r1").id == first.id
    for refused, code in (
        (books.oblige("wire", "sun", "19", "r1"), RefusalCode.CONFLICT),
        (books.oblige("wire", "sun", "0.01", "r2"), RefusalCode.PAYMENT_LIMIT),  # the cap is 20
        (books.oblige("dora", "sun", "0.001", "r3"), RefusalCode.BAD_AMOUNT),
        (books.oblige("dora", "dora", "1", "r4"), RefusalCode.BAD_INPUT),
        (books.oblige("dora", "nobody", "1", "r5"), RefusalCode.UNKNOWN_PROVIDER),
    ):
        assert refused.refusal is not None and refused.refusal.code is code
    assert books.posted() == {"wire": -20, "sun": 20}


def test_a_payout_moves_the_money_once(books: Counting) -> None:
    books.ride(7)
    line = books.one()
    assert books.order(line).total == 2 and books.order(line).total == 0
    assert books.posted() == {"otto": 0, "dora": 0} and books.posted(Role.CLEARING) == {"payouts": money("49.36")}
    mine = {Decimal(one.amount): one for one in books.payouts(line)}
    dora, otto = mine[money("18")], mine[money("31.36")]
    for _ in range(2):
        assert books.end(dora.id, "succeeded").id == dora.id
    assert books.posted(Role.CLEARING) == {"payouts": money("31.36")}
    assert books.end(otto.id, "failed").refusal is None
    assert books.posted() == {"otto": money("31.36"), "dora": 0} and books.posted(Role.CLEARING) == {"payouts": 0}
    for id, outcome in ((dora.id, "failed"), (otto.id, "succeeded")):
        refusal = books.end(id, outcome).refusal
        assert refusal is not None and refusal.code is RefusalCode.CONFLICT
    assert books.order(line).total == 1  # what came back is ordered again, as a second part
    again = [one for one in books.payouts(line) if one.batch == 2]
    assert [one.amount for one in again] == ["31.360000000"] and again[0].id not in (dora.id, otto.id)


def test_nobody_is_paid_above_its_position_or_what_is_left(books: Counting) -> None:
    books.ride(7)
    line = books.one()
    dora = books.account("dora")
    assert books.order(line, "file", Wanted("", dora, "17.99")).total == 1
    for amount, code in (("0.02", "bad_amount"), ("-1", "bad_amount"), ("0.001", "bad_amount")):
        refused = books.order(line, "file", Wanted("", dora, amount)).refusal
        assert refused is not None and refused.code.value == code
    assert books.order(line, "file", Wanted("", dora, "0.01")).total == 1
    for wanted in (Wanted("", "acct_99999", "1"), Wanted(dora, "", "1")):
        refused = books.order(line, "file", wanted).refusal
        assert refused is not None and refused.code is RefusalCode.NOT_FOUND
    assert books.oblige("otto", "sun", "30", "since").refusal is None  # otto had 31.36
    refused = books.order(line, "file", Wanted("", books.account("otto"), "31.36")).refusal
    assert refused is not None and "above the position" in refused.message
    assert books.order(line).total == 0
    assert books.order(line, "file", Wanted("", books.account("otto"), "1.36")).total == 1
    assert books.posted()["otto"] == 0


def test_what_was_only_paid_out_needs_no_settlement_of_its_own(books: Counting) -> None:
    books.ride(7)
    line = books.one()
    books.order(line)
    assert not books.settle().made
    books.oblige("sun", "wire", "1", "x")
    after = books.one()
    assert {name: one.payable for name, one in books.positions(after).items()} == {
        "otto": "0.00", "dora": "0.00", "sun": "-1.00", "wire": "1.00"
    }  # fmt: skip
    assert books.positions(after)["dora"].paid == "18.000000000"


def test_a_transfer_ends_by_the_word_of_its_processor_alone(books: Counting) -> None:
    books.ride(7)
    line = books.one()
    books.order(line, "transfer")
    one = next(one for one in books.payouts(line) if Decimal(one.amount) == 18)
    refused = books.end(one.id, "succeeded").refusal
    assert refused is not None and refused.code is RefusalCode.CONFLICT
    assert books.tell(EndPayout(one.id, 1, "succeeded", "18.00", "EUR")).refusal is not None  # it was never sent
    other = next(other for other in books.payouts(line) if other.id != one.id)
    assert books.end(other.id, "failed").refusal is None  # nobody outside has heard of it
    later = "2026-11-20T10:00:30.000000Z"
    assert books.tell(SendPayout(one.id, 1, later)).refusal is None
    refused = books.end(one.id, "failed").refusal
    assert refused is not None and refused.code is RefusalCode.CONFLICT
    assert books.tell(SendPayout(one.id, 1, later)).refusal is not None  # another node was first
    assert books.tell(EndPayout(one.id, 2, "unknown", due=later)).refusal is None
    assert books.payout(one.id).state == "unknown" and books.posted(Role.CLEARING)["payouts"] == 18
    books.tell(EndPayout(one.id, 3, "succeeded", "17.00", "EUR", due=later))
    assert (books.payout(one.id).state, books.payout(one.id).reason) == ("unknown", "other_amount")
    assert books.tell(EndPayout(one.id, 4, "succeeded", "18.00", "EUR")).refusal is None
    assert books.payout(one.id).state == "succeeded" and books.posted(Role.CASH)["outside"] == money("18") - 5


def test_the_file_is_valid_and_the_same_whenever_it_is_asked_for(books: Counting) -> None:
    books.keep_payees()
    books.ride(7)
    line = books.one()
    with pytest.raises(Refused):
        file(books, line.id)  # nothing was ordered
    books.order(line)
    made = file(books, line.number)
    assert made.content == file(books, line.id, batch=1).content and made.count == 2
    schema = xmlschema.XMLSchema(str(Path(validation.__file__).parent / "schemas/pain.001.001.03.xsd"))
    schema.validate(made.content)
    assert "<CtrlSum>49.36</CtrlSum>" in made.content and IBAN["dora"] in made.content
    assert f"<MsgId>SET-000001-1-{line.id[4:12]}</MsgId>" in made.content
    table = file(books, line.id, "csv").content.splitlines()
    assert len(table) == 3 and f",{IBAN['otto']},,31.36,EUR,created," in table[1] + table[2]
    put_payee(books.engine, "dora", Payee())
    assert payee_of(books.engine, "dora") is None
    with pytest.raises(Refused):
        file(books, line.id)


def file(books: Counting, id: str, format: str = "pain001", batch: int = 0):  # type: ignore[no-untyped-def]
    return payment_file(books.engine, Call(OPERATOR, id, None, FileQuery(format, batch)))  # type: ignore[arg-type]


def test_where_money_is_kept_is_checked_and_never_in_the_chain(books: Counting) -> None:
    books.keep_payees()
    for given, field in (
        (Payee("Dora", "DE89370400440532013001"), "iban"),
        (Payee("", IBAN["dora"]), "name"),
        (Payee("Dora", IBAN["dora"], "NOBIC"), "bic"),
        (Payee(destination="4242 4242 4242 4242"), "destination"),
    ):
        with pytest.raises(Refused) as refused:
            put_payee(books.engine, "dora", given)
        assert refused.value.refusal.field == field
    with pytest.raises(Refused):
        put_payee(books.engine, "nobody", Payee("N", IBAN["dora"]))
    assert all(valid_iban(iban) for iban in IBAN.values()) and not valid_iban("DE00")
    rows = b"\n".join(body for _, body, _ in books.store.journal(1, 0, 0, 10_000))
    assert IBAN["dora"].encode() not in rows and b"Dora Ltd" not in rows


def test_settlements_and_payouts_are_explained(books: Counting) -> None:
    books.ride(7)
    line = books.one()
    books.order(line)
    found = explain(books.engine, line.id, View("operator", ""))
    assert found.holds and found.sections[-1].facts[0].value == "31.36"
    for one in books.payouts(line):
        assert explain(books.engine, one.id, View("operator", "")).holds
        books.end(one.id, "succeeded")
        assert explain(books.engine, one.id, View("operator", "")).holds


@pytest.mark.parametrize("mode", list(Mode))
def test_placement_fees_are_set_off_or_paid_apart(mode: Mode) -> None:
    paid = Placement("first", "call", "bridge-b", bound="5", fee="0.02")
    rig = PlanRig(with_offer("9999", first=paid))
    rig.top_up("ada", "10")
    id = rig.accepted(rig.quote(parts=relay(placed=True, placement="first")))
    rig.report(id, 1, "60", seconds=60)
    rig.end(id)
    owners = rig.engine.books.owners() | {"": ""}
    line = settle(rig.engine, mode).settlements[0]
    pays = {(owners[one.debtor], owners[one.creditor]): one.amount for one in line.payments}
    apart = {("", "bridge-b"): "0.13", ("bridge-b", ""): "0.02"}
    assert pays == {("", "telco"): "0.06", **(apart if mode is Mode.GROSS else {("", "bridge-b"): "0.11"})}


def test_each_currency_has_a_settlement_of_its_own_over_the_same_rows(tmp_path: Path) -> None:
    books = Counting(tmp_path / "two.db")
    given = catalog(credit="100000")
    yen = Tariff(id="yen", currency="JPY", components=(Flat(name="start", price="500"),))
    cost = Tariff(id="cost", currency="JPY", components=(Flat(name="time", price="100.4"),))
    tour = Service(id="tour", retail="yen", parts={"guide": Part("dora", {"dora": "cost"})})
    payers = {**given.payers, "ken": Payer("ken", "JPY", credit="100000")}
    books.engine.apply(
        msgspec.structs.replace(
            given, services={**given.services, "tour": tour}, tariffs={**given.tariffs, "yen": yen, "cost": cost},
            payers=payers,
        )
    )  # fmt: skip

    def guide(id: str) -> None:
        start = datetime(2026, 11, 16, 8, 5, tzinfo=UTC)
        usage = Usage("desk", id, "tour", start, None, (PayerUse("ken"),))
        assert books.engine.charge([usage])[0].refusal is None

    books.ride(1)
    guide("1")
    euro, yen_ = books.settle().settlements
    assert (euro.asset, yen_.asset, euro.number, yen_.number) == ("EUR/9", "JPY/6", "SET-000001", "SET-000002")
    assert (yen_.after, yen_.upto, yen_.previous) == (euro.after, euro.upto, euro.id)
    assert yen_.payments[0].amount == "100"  # the yen has no cents: 0.4 is carried
    for number in range(2, 4):
        guide(str(number))
    third = books.one()
    assert (third.asset, third.payments[0].amount) == ("JPY/6", "201")  # 0.4 + 200.8
    books.ride(1)
    fourth = books.one()
    assert (fourth.asset, fourth.after, fourth.number) == ("EUR/9", third.upto, "SET-000004")
    assert books.proven() == []
    books.engine.close()
