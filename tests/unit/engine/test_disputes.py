"""Disputes in the books: what is set aside, how a case ends, who may do what, and that every sum stays exact."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from apportion.engine import billing
from apportion.engine.disputes.views import Showing
from apportion.engine.events.telling import TYPES, tell
from apportion.engine.explain import View
from apportion.engine.forget import forget
from apportion.engine.inquiry import explain
from apportion.engine.payments.deeds import clearing
from apportion.engine.payments.words import find_payment
from apportion.engine.visible import Sight
from apportion.errors import RefusalCode
from apportion.model.access import AccessRole
from apportion.model.card import PayStatement
from apportion.model.command import Outcome
from apportion.model.credit import Dunning, DunningLine, TrailLine
from apportion.model.dispute import EVIDENCE_MOST, DisputeLine, OpenDispute, WithdrawDispute
from apportion.model.payment import EndPayment
from apportion.model.statement import Remittance, Statement
from tests.disputing import Court, key
from tests.unit.engine.test_credit import Till

C = RefusalCode


@pytest.fixture
def court(tmp_path: Path) -> Iterator[Court]:
    made = Court(tmp_path / "books.db")
    yield made
    assert made.proven() == []
    made.engine.close()


def code(outcome: Outcome) -> RefusalCode:
    assert outcome.refusal is not None, outcome
    return outcome.refusal.code


# ── what is set aside ──


def test_a_users_dispute_sets_aside_what_everybody_would_give_back(court: Court) -> None:
    charge, before = court.charged("ada"), court.balances()
    case = court.case(court.opened(charge, payer="ada", amount="4"))
    assert (case.state, case.amount, case.account) == ("open", "4.000000000", charge.shares[0].account)
    assert court.aside() == 4 == sum(Decimal(leg.amount) for leg in case.held)
    # 4 of 11.73212: of each its part, by largest remainder
    assert court.posted() == {"otto": Decimal("2.952569323"), "dora": Decimal("1.694714534")}
    assert court.balances()["payer ada"] == before["payer ada"]
    assert court.proven() == []
    assert court.withdraw(case.id, payer="ada").id == case.id
    assert court.balances() == before and court.aside() == 0
    assert [entry.kind for entry in court.entries()[-2:]] == ["dispute-hold", "dispute-release"]


def test_what_is_set_aside_is_paid_to_nobody_and_the_advice_says_so(court: Court) -> None:
    charge = court.charged("ada")
    case = court.opened(charge)
    court.ride()
    line = court.one()
    assert court.pays(line) == {("", "dora"): Decimal("2.57"), ("", "otto"): Decimal("4.48")}  # of the second ride
    advices = [
        one for one in billing.documents(court.engine, billing.listing(court.engine)) if isinstance(one, Remittance)
    ]
    said = [(due.part, due.credited) for one in advices for due in one.dues]
    assert ("Set aside for a dispute", "-4.480000000") in said
    court.decide(case, "0")
    second = court.one()
    assert court.pays(second) == {("", "dora"): Decimal("2.57"), ("", "otto"): Decimal("4.48")}


def test_of_a_settlement_that_waits_nothing_disputed_is_paid(court: Court) -> None:
    charge = court.charged("ada")
    line = court.one()
    case = court.opened(charge)
    court.order(line)
    assert court.payouts(line) == []
    court.withdraw(case)
    court.order(line)
    assert len(court.payouts(line)) == 2


def test_two_cases_never_set_aside_more_than_there_is(court: Court) -> None:
    charge = court.charged("ada")
    court.opened(charge, "all", payer="ada")
    claim = court.case(court.opened(charge, "claim", provider="dora", against="otto"))
    assert claim.amount == "4.480000000" and claim.held == ()  # the other case has all of it
    assert court.posted() == {"otto": 0, "dora": 0}
    court.decide(claim.id, "0.48")
    assert court.posted() == {"otto": Decimal("-0.48"), "dora": Decimal("0.48")}
    assert court.proven() == []


# ── how it ends ──


def test_granted_in_full_every_portion_goes_back_to_the_unit(court: Court) -> None:
    before = court.balances()
    charge = court.charged("ada", "ben", "cleo")
    for name in ("ada", "ben", "cleo"):
        court.decide(court.opened(charge, name, payer=name))
    assert court.balances() == before == {"payer ada": 5, "cash outside": -5}
    standing = court.standing(charge)
    assert {one.amount for one in (*standing.portions, *standing.shares)} == {"0.000000000"}
    assert court.engine.books.record(charge.id).charge == charge  # the charge itself stays


def test_granted_in_part_and_again_it_adds_up(court: Court) -> None:
    charge = court.charged("ada")
    first = court.opened(charge, "one", amount="5")
    made = court.decide(first, "1.333333333")
    assert made.id == first and court.case(first).granted == "1.333333333"
    second = court.opened(charge, "two")
    assert court.case(second).amount == "10.398786667"  # what stands after the first
    court.decide(second, "2")
    standing = court.standing(charge)
    assert Decimal(standing.total) == Decimal("11.732120000") - Decimal("3.333333333")
    assert court.balances()["payer ada"] == 5 - Decimal(standing.total) and court.aside() == 0
    made_of = [court.engine.books.record(court.case(id).made).charge for id in (first, second)]
    assert all(one.origin == charge.id for one in made_of)
    for provider, posted in court.posted().items():
        earned = sum(Decimal(p.amount) for one in (charge, *made_of) for p in one.portions if p.provider == provider)
        assert posted == earned


def test_who_is_at_fault_gives_it_alone(court: Court) -> None:
    charge = court.charged("ada")
    assert court.decide(court.opened(charge, amount="2.154"), fault="otto").refusal is None
    assert court.posted() == {"otto": Decimal("2.48"), "dora": Decimal("2.571428571")}  # 2.154 has 0.154 tax


@pytest.mark.parametrize(("against", "loser"), [("otto", "provider otto"), ("", "platform fees")])
def test_a_provider_earns_more_at_the_expense_of_another_or_the_platform(
    court: Court, against: str, loser: str
) -> None:
    charge, before = court.charged("ada"), court.balances()
    case = court.case(court.opened(charge, provider="dora", against=against, amount="1.5"))
    assert [leg.amount for leg in case.held] == ["1.500000000"] and case.part == "driver"
    assert court.balances()[loser] == before[loser] - Decimal("1.5") and court.posted()["dora"] == Decimal(
        "2.571428571"
    )
    court.decide(case.id, "1.25")
    assert court.posted()["dora"] == Decimal("3.821428571")
    assert court.balances() == before | {
        loser: before[loser] - Decimal("1.25"),
        "provider dora": court.posted()["dora"],
    }


def test_an_operator_brings_the_claim_of_a_provider_that_nobody_paid(court: Court) -> None:
    charge = court.charged("ada")
    assert code(court.open(charge, provider="sun", part="car", against="otto")) is C.NOT_FOUND
    case = court.opened(charge, provider="sun", part="car", against="otto", outside=True)
    court.decide(case)
    assert court.posted() == {"sun": Decimal("4.48"), "otto": 0, "dora": Decimal("2.571428571")}


def test_an_end_is_an_end(court: Court) -> None:
    charge = court.charged("ada")
    case = court.opened(charge, amount="3")
    assert court.decide(case, "2").id == case
    balances = court.balances()
    assert court.decide(case, "2.00").id == case  # the same again
    for again in (court.decide(case), court.decide(case, "2", "otto"), court.withdraw(case), court.add(case)):
        assert code(again) is C.CONFLICT
    other = court.opened(charge, "other")
    court.withdraw(other)
    assert court.withdraw(other).id == other and code(court.decide(other)) is C.CONFLICT
    assert court.balances() == balances


def test_a_reference_is_good_for_one_case(court: Court) -> None:
    charge, second = court.charged("ada"), court.charged("ada")
    case = court.opened(charge, amount="3")
    assert court.opened(charge, amount="3.0") == court.opened(charge) == case
    assert code(court.open(charge, amount="2")) is C.CONFLICT
    assert code(court.open(second, amount="3")) is C.CONFLICT
    court.decide(case)
    assert court.opened(charge, amount="3") == case and court.aside() == 0


# ── bad input ──


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"amount": "11.732120001"}, C.BAD_AMOUNT),
        ({"amount": "0"}, C.BAD_AMOUNT),
        ({"amount": "-1"}, C.BAD_AMOUNT),
        ({"amount": "x"}, C.BAD_AMOUNT),
        ({"amount": "1.0000000001"}, C.BAD_AMOUNT),
        ({"payer": "ben"}, C.NOT_FOUND),
        ({"payer": "nobody"}, C.NOT_FOUND),
        ({"provider": "sun"}, C.NOT_FOUND),
        ({"provider": "dora", "payer": "ada"}, C.BAD_INPUT),
        ({"provider": "dora", "against": "dora"}, C.UNKNOWN_PROVIDER),
        ({"provider": "dora", "against": "sun"}, C.UNKNOWN_PROVIDER),
        ({"provider": "dora", "part": "wheel"}, C.UNKNOWN_PART),
        ({"provider": "dora", "amount": "3.9"}, C.BAD_AMOUNT),
        ({"provider": "dora", "against": "otto", "amount": "4.481"}, C.BAD_AMOUNT),
        ({"provider": "ghost", "part": "car", "outside": True}, C.UNKNOWN_PROVIDER),
        ({"part": "car"}, C.BAD_INPUT),
        ({"against": "otto"}, C.BAD_INPUT),
        ({"reason": "x" * 64_001}, C.BAD_INPUT),
    ],
)  # fmt: skip
def test_what_can_not_be_disputed_is_refused_and_changes_nothing(
    court: Court, more: dict[str, object], wanted: RefusalCode
) -> None:
    charge = court.charged("ada")
    court.charged("ben")
    head = court.store.head(court.engine.tenant, 0)
    refused = court.open(charge, **more)
    assert code(refused) is wanted and refused.refusal is not None and refused.refusal.field
    assert court.store.head(court.engine.tenant, 0) == head and court.aside() == 0


def test_other_refusals(court: Court) -> None:
    charge, shared = court.charged("ada"), court.charged("ada", "ben")
    case = court.opened(charge)
    assert code(court.open(charge, "again")) is C.CONFLICT  # one open case of a party about a charge
    assert code(court.open(shared, "whose")) is C.BAD_INPUT
    assert code(court.tell(OpenDispute(charge="chg_" + "0" * 32, reference="r"))) is C.NOT_FOUND
    assert code(court.tell(OpenDispute(charge="stm_1", reference="r"))) is C.NOT_FOUND
    assert code(court.tell(WithdrawDispute(id="dsp_1"))) is C.NOT_FOUND
    for who in ({"payer": "ben"}, {"provider": "sun"}):
        assert code(court.withdraw(case, **who)) is C.NOT_FOUND and code(court.add(case, **who)) is C.NOT_FOUND
    assert code(court.withdraw(case, provider="otto")) is C.NOT_FOUND  # it may speak, it did not open it
    for granted in ("11.8", "-1", "much"):
        assert code(court.decide(case, granted)) is C.BAD_AMOUNT
    assert code(court.decide(case, "1", "sun")) is C.UNKNOWN_PROVIDER
    assert code(court.decide(case, "0", "otto")) is C.BAD_INPUT
    made = court.case(case)
    assert made.state == "open" and made.n == 1
    court.decide(case)
    correction = court.engine.books.record(court.case(case).made).charge
    assert code(court.open(correction, "of a correction")) is C.BAD_INPUT
    assert code(court.open(charge, "nothing left")) is C.BAD_AMOUNT


# ── evidence and who sees what ──


def test_words_lie_beside_the_books_and_can_be_forgotten(court: Court) -> None:
    charge = court.charged("ben")
    case = court.opened(charge, reason="It was Ben Miller's birthday.")
    assert court.add(case, "otto's log", title="log", provider="otto").id == f"{case}.2"
    assert court.add(case, "between us", provider="otto", private=True).id == f"{case}.3"
    body = b"".join(row for _, row, _ in court.store.journal(1, 0, 0, court.store.head(1, 0)[0]))
    assert b"Miller" not in body and b"otto's" not in body

    def shown(role: AccessRole, party: str = "") -> list[str]:
        found = Showing(court.engine, Sight(court.engine, key(role, party))).whole(court.case(case))
        return [one.text for one in found.evidence] if found is not None else ["nothing"]

    everything = ["It was Ben Miller's birthday.", "otto's log", "between us"]
    assert shown(AccessRole.OPERATOR) == shown(AccessRole.PROVIDER, "otto") == everything
    assert shown(AccessRole.USER, "ben") == shown(AccessRole.PROVIDER, "dora") == everything[:2]
    assert shown(AccessRole.PROVIDER, "sun") == shown(AccessRole.USER, "ada") == ["nothing"]
    forget(court.engine.writer, court.store, "ben")
    assert shown(AccessRole.OPERATOR) == ["", "", ""] and court.proven() == []


def test_evidence_is_bounded(court: Court) -> None:
    case = court.opened(court.charged("ada"), reason="first")
    made = [court.add(case, f"piece {place}") for place in range(EVIDENCE_MOST)]
    assert [one.refusal is None for one in made] == [True] * (EVIDENCE_MOST - 1) + [False]
    assert (
        code(court.add(case, " ")) is C.CONFLICT
        and code(court.add(court.opened(court.charged("ada"), "b"), " ")) is C.BAD_INPUT
    )


def test_nobody_sees_anothers_price(court: Court) -> None:
    charge = court.charged("ada")
    user, claim = court.opened(charge, "user", amount="4"), court.opened(charge, "claim", provider="dora", amount="1")

    def view(id: str, role: AccessRole, party: str = "") -> object:
        return Showing(court.engine, Sight(court.engine, key(role, party))).whole(court.case(id))

    for id in (user, claim):
        full = view(id, AccessRole.OPERATOR)
        assert full is not None and full.amount and full.held and full.books.charge.view == "operator"  # type: ignore[attr-defined]
    mine, otto = view(user, AccessRole.USER, "ada"), view(user, AccessRole.PROVIDER, "otto")
    assert (mine.by, mine.amount, mine.held, mine.books.charge.view) == ("ada", "4.000000000", (), "user")  # type: ignore[attr-defined]
    assert (otto.by, otto.amount, otto.books.charge.view) == ("", "", "provider")  # type: ignore[attr-defined]
    assert [one.owner for one in otto.held] == ["otto"]  # type: ignore[attr-defined]
    assert view(claim, AccessRole.USER, "ada") is None and view(claim, AccessRole.PROVIDER, "otto") is None
    assert explain(court.engine, user, View()).holds and explain(court.engine, claim, View()).holds


def test_both_sides_are_told(court: Court) -> None:
    charge = court.charged("ada")
    case = court.opened(charge, amount="4")
    court.add(case)
    court.decide(case, "1")
    court.withdraw(court.opened(charge, "other", provider="dora"))
    told = [
        one
        for n, body, head in court.store.journal(1, 0, 0, court.store.head(1, 0)[0])
        for one in tell(n, body, head, frozenset([b"dispute"]))
    ]
    assert [one.type for one in told] == [*TYPES[b"dispute"][:3], "dispute.opened", "dispute.withdrawn"]
    ada, otto = (Sight(court.engine, key(*who)) for who in ((AccessRole.USER, "ada"), (AccessRole.PROVIDER, "otto")))
    events = [[one.seen_by(sight) for one in told] for sight in (ada, otto)]
    assert [event is not None for event in events[0]] == [True] * 3 + [False] * 2
    assert [event is not None for event in events[1]] == [True] * 3 + [False] * 2
    decided = events[0][2]
    assert decided is not None and decided.data["granted"] == "1.000000000" and set(decided.accounts) <= set(ada.own)
    hidden = events[1][2]
    assert hidden is not None and "amount" not in hidden.data and "granted" not in hidden.data


# ── dunning ──


def test_nobody_is_reminded_of_what_is_disputed() -> None:
    till = Till(trust=False, credit="1000", dunning=Dunning(14, (3, 10), 60))
    till.clock.day(10)
    charge = till.ride("50").id
    till.ride("50")
    till.bill()  # 200, due in two weeks
    case = till.tell(OpenDispute(charge=charge, reference="r", amount="80"))
    till.wait(17)
    assert [(one.state, one.open) for one in till.of(DunningLine)] == [("reminder", "120.000000000")]
    till.wait(80)
    assert [one.step for one in till.of(DunningLine)] == [1, 2]  # nothing is written off while it is open
    till.tell(WithdrawDispute(id=case.id))
    assert [one.state for one in till.of(DunningLine)] == ["reminder", "reminder", "written-off"]
    assert till.of(TrailLine)[-1].disputed == 0 and till.posted("ada") == 0
    till.proven()


def test_a_reminder_that_waited_comes_when_the_case_ends() -> None:
    till = Till(trust=False, credit="1000", dunning=Dunning(14, (3,)))
    till.clock.day(10)
    charge = till.ride("50").id
    till.bill()
    case = till.tell(OpenDispute(charge=charge, reference="r"))
    till.wait(30)
    assert till.of(DunningLine) == [] and till.of(TrailLine)[-1].disputed == 100 * 10**9
    till.tell(WithdrawDispute(id=case.id))
    assert [(one.state, one.open) for one in till.of(DunningLine)] == [("reminder", "100.000000000")]
    till.proven()


def test_who_is_followed_later_is_followed_with_what_is_disputed() -> None:
    till = Till(trust=False, credit="1000", dunning=None)
    till.clock.day(10)
    charge = till.ride("50").id
    till.tell(OpenDispute(charge=charge, reference="r", amount="30"))
    till.apply(trust=False, credit="1000", dunning=Dunning(14, (3,)))
    assert till.of(TrailLine)[-1].disputed == 30 * 10**9
    assert [line.state for line in till.of(DisputeLine)] == ["open"]
    till.proven()


def test_a_card_is_not_charged_for_what_is_disputed_or_was_given_back(court: Court) -> None:
    charge = court.charged("ada")
    court.clock.at = "2026-12-02T10:00:00.000000Z"
    (bill,) = [made for made in billing.issue(court.engine, who="ada") if isinstance(made, Statement)]
    upto = court.store.head(court.engine.tenant, 0)[0]

    def asked() -> Decimal | None:
        """What a payment of the statement would fetch now; nothing when nothing is open."""
        command = PayStatement(bill.id, bill.account, bill.due, 0, upto, "tok_ok")
        outcome = court.tell(command)
        if outcome.refusal is not None:
            return None
        line = find_payment(court.engine, outcome.id)
        assert court.tell(EndPayment(line.id, line.n, "failed")).refusal is None
        return Decimal(line.amount)

    due = Decimal(bill.due)
    assert asked() == due
    case = court.opened(charge, amount="2.00")
    assert asked() == due - 2
    court.decide(case, "1.50")
    assert asked() == due - Decimal("1.5")
    rest = court.opened(charge, "rest")
    assert asked() is None  # all that is open is disputed
    court.withdraw(rest)
    assert asked() == due - Decimal("1.5")


def test_clearing_says_what_lies_in_it(court: Court) -> None:
    charge = court.charged("ada")
    case = court.opened(charge, amount="2.00")
    court.keep_payees()
    settled = court.one("multilateral")
    court.order(settled)
    found = {one.processor: one for one in clearing(court.engine)}
    assert found.keys() == {"disputes", "payouts"} and all(one.explained for one in found.values())
    (held,) = found["disputes"].remainders
    assert (held.id, Decimal(held.amount)) == (case, Decimal(found["disputes"].balance)) and court.aside() == 2
    assert sum(Decimal(one.amount) for one in found["payouts"].remainders) == Decimal(settled.payable)
    court.decide(case, "")
    for payout in court.payouts(settled):
        court.end(payout.id, "succeeded")
    assert not any(one.remainders or Decimal(one.balance) for one in clearing(court.engine))
