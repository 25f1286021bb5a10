"""Service levels in the books: what counts in which window, who is credited by whom, once, and what waits."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from apportion.engine import billing
from apportion.engine.explain import View
from apportion.engine.inquiry import explain
from apportion.engine.levels.counting import Counting, Window
from apportion.engine.levels.measuring import FLOOR
from apportion.engine.rerating.door import RerateInput, run
from apportion.engine.verbs import Call
from apportion.errors import RefusalCode, Refused
from apportion.ledger.lines import encode
from apportion.model.agreement import Consequence, Levels, Outcome, Targets
from apportion.model.agreement_check import check_agreements
from apportion.model.correction import Correct
from apportion.model.findings import Findings
from apportion.model.level import DecideLevel
from apportion.model.profile import Billing, Profile
from apportion.model.standing import Observed, ObservedLine
from apportion.model.statement import Statement
from apportion.model.tariff import Flat, Graduated, Tier
from apportion.model.usage import PartUse
from apportion.money import Asset
from apportion.stages.meter.level import levels_of
from tests.adjusting import OPERATOR
from tests.levelling import NOVEMBER, Levelling, agreed, amount, market, plain

MIDDLE = datetime(2026, 10, 16, tzinfo=UTC)


def test_running_totals_are_closed_first_and_what_the_close_booked_counts(tmp_path: Path) -> None:
    books = Levelling(tmp_path / "b.db", agreed(), running=True)
    books.call(count=11)  # 110 minutes: 100 at 0.10 and 10 at 0.09, and 2 for the line at the close
    books.call("failed", minutes="0", count=2)
    with pytest.raises(Refused) as refused:
        books.measure()
    assert refused.value.refusal.code is RefusalCode.PERIOD_OPEN
    assert books.measure("").waiting == ("sla: 2026-10 has running totals that are not closed yet.",)
    books.engine.close_period("2026-10")
    line = books.levels()["sla"]
    # gross 1.25 × (10.90 + 2): of the calls three quarters are elm's, and of the line, which nobody earned, a half
    assert amount(line, "fee") == Decimal("1.25") * (Decimal("10.9") * 3 / 4 + 1)
    assert amount(line) == (amount(line, "fee") / 10).quantize(Decimal("0.000000001"), "ROUND_DOWN")
    assert line.state == "credited" and books.proven() == []


def test_a_fee_counts_as_it_stands_after_corrections(tmp_path: Path) -> None:
    books = Levelling(tmp_path / "b.db", agreed())
    first, *_ = books.call(count=4)
    books.call("failed", minutes="0")
    for reference, more in (("a", "0.25"), ("b", "")):
        assert books.tell(Correct(charge=first, reference=reference, amount=more)).refusal is None
    line = books.levels()["sla"]
    assert amount(line, "fee") == 3 * Decimal("1.25") * 3 / 4  # of four calls one was given back whole, in two steps
    before = books.posted()
    second = books.call()[0]  # late, and corrected late: it is not measured again
    books.tell(Correct(charge=second, reference="c"))
    assert books.measure().made == 0 and plain(books.levels()["sla"]) == plain(line)
    assert books.posted() == before and books.proven() == []


def test_a_session_tells_by_measurements_where_records_do_not(tmp_path: Path) -> None:
    window = Window(
        "acct_1", "elm", "call", "", "2026-10", 0, 2_000_000, Asset("EUR", 9), Targets(150, "", "0.9", "7"), Levels(), 1
    )
    counting = Counting(lambda n, whose, at, period: [window] if whose[0] == "acct_1" else [], {"elm"})
    seen = (Observed(succeeded=True, latency=100), Observed(succeeded=False, latency=201, throughput="5.5"))
    for n, one in enumerate((*seen, Observed(throughput="8.5"))):
        line = ObservedLine(at="1970-01-01T00:00:01Z", service="call", provider="elm", observed=one, account="acct_1")
        counting.row(n, [encode(line)])
        prober = ObservedLine(at=line.at, service="call", provider="elm", observed=Observed(succeeded=False))
        counting.row(n, [encode(prober)])
    levels = {level.target: level for level in levels_of(window.samples, window.targets)}
    assert [(one.measured, one.kept) for one in levels.values()] == [("0.5", False), ("150.5", False), ("7", True)]


def test_of_two_agreements_in_a_period_each_has_its_own_time(tmp_path: Path) -> None:
    old = agreed("old", valid_until=MIDDLE)
    new = agreed("new", valid_from=MIDDLE, consequence=Consequence("20"))
    books = Levelling(tmp_path / "b.db", old, new)
    books.call("failed", count=2)
    books.call("failed", count=3, at=MIDDLE)
    levels = books.levels()
    assert {name: line.uses for name, line in levels.items()} == {"old": 2, "new": 3}
    assert amount(levels["old"]) == Decimal("0.1875") and amount(levels["new"]) == Decimal("0.5625")
    assert levels["old"].end == levels["new"].start == "2026-10-16T00:00:00Z" and books.proven() == []


def test_a_part_with_an_agreement_of_its_own_stands_apart(tmp_path: Path) -> None:
    every = agreed("every", consequence=Consequence("50"))
    books = Levelling(tmp_path / "b.db", every, agreed("near", part="near"))
    both = (PartUse("near", "elm"), PartUse("far", "elm"))
    books.call("failed", parts=both, fault="near", count=2)
    levels = books.levels()
    assert (levels["near"].state, levels["every"].state) == ("credited", "kept")
    assert amount(levels["near"], "fee") == Decimal("0.625") and amount(levels["every"], "fee") == Decimal("1.875")
    assert [one.part for one in levels["every"].apart] == ["near"] and books.proven() == []


def test_periods_are_those_of_the_payers_calendar_and_each_payer_has_its_own_share(tmp_path: Path) -> None:
    books = Levelling(tmp_path / "b.db", agreed(), agreed("cays", payer="cay"))
    late = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)  # it is November in Copenhagen
    books.call("failed", payers=("ada", "cay"), at=late)
    books.call("failed", payers=("cay",))
    books.clock.at = "2026-12-02T00:00:00.000000Z"
    assert {name: line.uses for name, line in books.levels().items()} == {"sla": 1, "cays": 1}
    assert {name: amount(line, "fee") for name, line in books.levels("2026-11").items()} == {"cays": Decimal("0.46875")}
    assert books.proven() == []


def test_measuring_all_periods_reads_on_where_everything_is_measured(tmp_path: Path) -> None:
    books = Levelling(tmp_path / "b.db", agreed())
    books.call("failed")
    assert [line.period for line in books.measure("").levels] == ["2026-10"]
    books.call("failed", at=NOVEMBER)
    assert books.measure("").made == 0  # it has not ended
    floor = books.store.fact(books.engine.tenant, FLOOR)
    assert int(floor.partition(" ")[2]) > 1
    books.clock.at = "2026-12-01T00:00:00.000000Z"
    assert [line.period for line in books.measure("").levels] == ["2026-11"]
    assert books.measure("").made == 0 and books.proven() == []


def test_availability_is_time_without_outages_as_they_stood_then(tmp_path: Path) -> None:
    books = Levelling(tmp_path / "b.db", agreed(targets=Targets(availability="0.999")))
    books.call()
    books.down("2026-10-05T00:00:00.000000Z", "2026-10-05T00:30:00.000000Z", by="elm")
    refused = books.down("2026-10-05T00:00:00.000000Z", "2026-10-05T00:10:00.000000Z", by="elm").refusal
    assert refused is not None and refused.code is RefusalCode.CONFLICT  # nobody speaks well of itself
    books.down("2026-10-05T00:00:00.000000Z", "2026-10-05T01:00:00.000000Z")
    books.down("2026-10-05T00:50:00.000000Z", "2026-10-05T01:14:24.000000Z", service="call")
    books.down("2026-10-09T00:00:00.000000Z", "2026-10-19T00:00:00.000000Z", provider="oak")
    line = books.levels()["sla"]
    assert (line.levels[0].measured, line.state) == ("599/600", "credited")  # down for 74.4 of 44,640 minutes
    books.down("2026-10-05T00:00:00.000000Z", "2026-10-05T00:00:00.000000Z")  # taken back, too late
    assert books.levels()["sla"].levels == line.levels and books.proven() == []
    unknown = books.down("2026-10-05T00:00:00.000000Z", "2026-10-05T01:00:00.000000Z", provider="nobody").refusal
    assert unknown is not None and unknown.code is RefusalCode.UNKNOWN_PROVIDER


def test_review_waits_and_ends_once(tmp_path: Path) -> None:
    books = Levelling(tmp_path / "b.db", agreed(consequence=Consequence("100", "50", "0.46875")))
    books.call("failed")
    assert books.levels()["sla"].state == "credited"  # a review is above the threshold, not at it
    books = Levelling(tmp_path / "c.db", agreed(consequence=Consequence("100", "50", "0.46")))
    books.call("failed")
    before, line = books.posted(), books.levels()["sla"]
    assert (line.state, books.posted()) == ("review", before) and books.proven() == []
    assert books.decide(line, approve=True).refusal is None and books.decide(line, approve=True).refusal is None
    after = books.posted()
    assert after["ada"] - before["ada"] == Decimal("0.46875") and after["elm"] - before["elm"] == Decimal("-0.375")
    nobodys = DecideLevel(id="lvl_" + "0" * 32, approve=True)
    refused = [books.decide(line, approve=False).refusal, books.tell(nobodys).refusal]
    assert [one and one.code for one in refused] == [RefusalCode.CONFLICT, RefusalCode.NOT_FOUND]
    assert books.posted() == after and books.proven() == []


def test_a_provider_without_money_is_debited_all_the_same(tmp_path: Path) -> None:
    books = Levelling(tmp_path / "b.db", agreed(consequence=Consequence("100")))
    books.call("failed")
    books.tell(Correct(charge=books.call()[0], reference="a"))
    elm = books.posted()["elm"]
    line = books.levels()["sla"]
    assert amount(line) == Decimal("0.9375") and books.posted()["elm"] == elm - Decimal("0.75")
    assert sum(books.posted().values()) == 0 and books.proven() == []


@pytest.mark.parametrize(("period", "code"), [("2026-11", RefusalCode.PERIOD_OPEN), ("moon", RefusalCode.BAD_TIME)])
def test_what_can_not_be_measured_is_refused(tmp_path: Path, period: str, code: RefusalCode) -> None:
    books = Levelling(tmp_path / "b.db", agreed())
    with pytest.raises(Refused) as refused:
        books.measure(period)
    assert refused.value.refusal.code is code


def test_nobody_agreed_on_anything(tmp_path: Path) -> None:
    books = Levelling(tmp_path / "b.db")
    books.call()
    assert books.measure() == books.measure("") and books.measure().levels == ()


def test_a_catalog_that_says_nonsense_of_levels_is_refused() -> None:
    wrong = market(
        agreed(targets=Targets(within="0.9"), consequence=Consequence("1", "2", "-1")),
        levels=Levels(Outcome("mood", (), "blame"), "minutes", "miles"),
    )
    found = Findings(wrong, ())
    check_agreements(found)
    assert {one.where for one in found.refusals} >= {
        "services.call.levels.success.attribute", "services.call.levels.success.fault",
        "services.call.levels.success.failed", "services.call.levels.latency", "services.call.levels.throughput",
        "agreements.sla.targets.within", "agreements.sla.consequence.review",
    }  # fmt: skip


def test_the_next_statement_shows_the_credit_also_when_it_is_all_there_is(tmp_path: Path) -> None:
    books = Levelling(tmp_path / "b.db", agreed())
    books.call(count=3)
    books.call("failed", minutes="0")
    (first,) = [one for one in billing.issue(books.engine, "2026-10", "ada") if isinstance(one, Statement)]
    assert first.total == "3.75"
    line = books.levels()["sla"]
    books.clock.at = "2026-12-02T00:00:00.000000Z"
    (after,) = [one for one in billing.issue(books.engine, "2026-11", "ada") if one.period == "2026-11"]
    assert isinstance(after, Statement) and (after.total, after.balance) == ("-0.28", "-3.47")
    (item,) = after.sections[0].items
    assert (item.label, item.total) == ("Service level credit: success 75 % (promised 90 %)", "-0.28")
    assert books.proven() == []
    for view, told in (("user=ada", "2.8125 EUR"), ("provider=elm", ""), ("operator", "2.8125 EUR")):
        found = explain(books.engine, line.made, View.parse(view))
        level = found.sections[-1]
        facts = {fact.name: fact.value for fact in level.facts}
        assert level.title == "Service level" and facts["credit"] == "0.28125 EUR" and facts.get("fee", "") == told
    whole = explain(books.engine, line.id, View())
    assert whole.check == "credit 0.28125, of which tax 0.05625"


def test_where_each_provider_bills_for_itself_the_credit_is_on_the_bill_of_who_missed(tmp_path: Path) -> None:
    books = Levelling(tmp_path / "b.db", agreed())
    given = market(agreed())
    profiles = {"alone": Profile("alone", billing=Billing(statements="per-provider"))}
    payers = given.payers | {"ada": msgspec.structs.replace(given.payers["ada"], profile="alone")}
    books.engine.apply(msgspec.structs.replace(given, profiles=profiles, payers=payers))
    books.call("failed", count=4)
    books.levels()
    bills = {one.provider: one for one in billing.issue(books.engine, "2026-10", "ada") if isinstance(one, Statement)}
    assert {name: one.total for name, one in bills.items()} == {"oak": "1.25", "elm": "3.37"}  # 3.75 − 0.375
    labels = {name: [item.label for item in one.sections[0].items] for name, one in bills.items()}
    assert any("Service level credit" in label for label in labels["elm"]) and len(labels["oak"]) == 1
    assert books.proven() == []


def test_a_period_that_was_priced_anew_counts_as_it_stands(tmp_path: Path) -> None:
    books = Levelling(tmp_path / "b.db", agreed(), running=True)
    books.call(count=11)
    books.call("failed", minutes="0", count=2)
    books.engine.close_period("2026-10")
    dear = market(agreed(), running=True)
    tiers = Graduated(name="talk", measure="minutes", scope="period", tiers=(Tier(price="0.09"),))
    line = Flat(name="line", price="1", scope="period")
    cheap = msgspec.structs.replace(dear.tariffs["retail"], components=(tiers, line))
    books.engine.apply(msgspec.structs.replace(dear, tariffs=dear.tariffs | {"retail": cheap}))
    assert books.posted()["ada"] == Decimal("-16.125")  # 1.25 × (10.90 + 2)
    answer = run(books.engine, Call(OPERATOR, given=RerateInput("call")))
    while answer.next:
        answer = run(books.engine, Call(OPERATOR, given=RerateInput("call", after=answer.next)))
    assert books.posted()["ada"] == Decimal("-13.625")  # 1.25 × (9.90 + 1)
    assert 0 < amount(books.levels()["sla"], "fee") < Decimal("13.625") and books.proven() == []
