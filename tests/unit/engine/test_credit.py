"""Credit on the live path: lines that follow what payers do, debts written off and made good, all of it proven."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from apportion.adapters.outside import KeyFile, SystemRandom, signature_holds
from apportion.adapters.stores.sqlite import SqliteStore
from apportion.engine.billing import issue
from apportion.engine.credit.standing import history_of, stands
from apportion.engine.credit.tend import review
from apportion.engine.credit.trails import default_model
from apportion.engine.engine import Engine
from apportion.engine.export import export
from apportion.engine.gather import Job
from apportion.engine.tend import Tending
from apportion.engine.verify import Outside, Verdict, verify_export, verify_store
from apportion.errors import Misconfigured, RefusalCode, Refused
from apportion.model.agreement import Part, Service
from apportion.model.catalog import Catalog
from apportion.model.command import Grant, Outcome, TopUp
from apportion.model.correction import Correct
from apportion.model.credit import (
    Dunning,
    DunningLine,
    ModelLine,
    ReviewCredit,
    SetCredit,
    TrailLine,
    TrustLine,
    TrustModel,
    TrustPolicy,
    Weight,
    WriteOff,
)
from apportion.model.journal import CreditLine, Entry, StatementLine
from apportion.model.party import Payer, Provider, UnknownPayers
from apportion.model.statement import Statement
from apportion.model.tariff import Tariff, Unit
from apportion.model.usage import PayerUse, Usage
from apportion.stages.credit import FACTORS, decide, model_version, wordless
from apportion.stages.statement import as_text
from tests.unit.stages.credit.test_standing import Turned

RULES = Dunning(14, (3, 10), 60)


class Till:
    """Ada rides with dora's car on the tenth, is billed on the first, due on the fifteenth, pays on the fifth or not.

    Her credit line is guaranteed by ``home``, which delivers nothing.
    """

    def __init__(self, currency: str = "EUR", price: str = "2", scale: int | None = None, **more: object) -> None:
        self.clock = Turned()
        outside = (self.clock, SystemRandom(), KeyFile(None))
        self.engine = Engine(SqliteStore(":memory:"), "main", outside, lambda line: None)
        self.currency, self.price, self.scale, self.rides = currency, price, scale, 0
        self.apply(**more)

    def apply(
        self,
        *,
        credit: str = "100",
        trust: bool = True,
        guarantor: str = "home",
        dunning: Dunning | None = RULES,
        policy: TrustPolicy | None = None,
        unknown: bool = False,
        model: TrustModel | None = None,
    ) -> None:
        tariffs = {
            name: Tariff(id=name, currency=self.currency, components=(Unit(name="way", measure="km", price=price),))
            for name, price in (("retail", self.price), ("cost", "0.5"))
        }
        ride = Service(id="ride", retail="retail", measures={"km": "km"}, parts={"car": Part("dora", {"dora": "cost"})})
        payers = {"ada": Payer("ada", self.currency, credit=credit, trust=trust, guarantor=guarantor)}
        self.engine.apply(
            Catalog(
                providers={"dora": Provider("dora"), "home": Provider("home")},
                services={"ride": ride},
                tariffs=tariffs,
                payers={} if unknown else payers,
                unknown_payers=UnknownPayers(self.currency, credit, trust=trust) if unknown else None,
                currencies={self.currency: self.scale} if self.scale else {},
                trust=(policy or TrustPolicy(self.currency, "1000000"),) if trust else (),
                trust_model=model,
                dunning=dunning,
            )
        )

    def ride(self, km: str = "50") -> Outcome:
        self.rides += 1
        usage = Usage("m", f"r{self.rides}", "ride", self.clock.at, None, (PayerUse("ada"),), (), {"km": km})
        return self.engine.charge([usage])[0]

    def bill(self) -> str:
        """What the statement of this month asks for."""
        self.clock.next_month()
        made = [d for d in issue(self.engine, who="ada") if isinstance(d, Statement)]
        return made[-1].due

    def bill_if_due(self) -> None:
        """The first of the next month comes, whether or not there is anything to bill."""
        self.clock.next_month()
        issue(self.engine, who="ada")

    def pay(self, amount: str) -> None:
        self.engine.top_up("ada", amount, self.currency, f"bank {self.clock.now()} {amount}")

    def months(self, count: int, *, pays: bool = True, km: str = "50") -> Till:
        for _ in range(count):
            self.clock.day(10)
            assert self.ride(km).refusal is None
            due = self.bill()
            self.clock.day(5)
            if pays:
                self.pay(due)
        return self

    def wait(self, days: int) -> None:
        """Days go by, and somebody looks after due dates on each of them."""
        for _ in range(days):
            self.clock.at += timedelta(days=1)
            review(self.engine)

    def pass_days(self, days: int) -> None:
        """Days go by, and nobody looks."""
        self.clock.at += timedelta(days=days)

    def model(self, version: str) -> TrustModel:
        """A model that the books hold."""
        return next(line.model for line in self.of(ModelLine) if line.id == version)

    def credit(self) -> Decimal:
        return Decimal(self.engine.books.named("ada")[0].credit)

    def posted(self, owner: str) -> Decimal:
        return sum((Decimal(view.posted) for view in self.engine.books.named(owner)), Decimal(0))

    def of(self, kind: type) -> list:
        return [line for _, line in self.engine.books.lines() if isinstance(line, kind)]

    def tell(self, command: object) -> Outcome:
        return self.engine.writer.commit([command])[0]

    def proven(self) -> Till:
        """The books prove themselves, as an export and as a store."""
        self.engine.writer.seal()
        for verdict in (verified(self.lines()), verify_store(self.engine.store, 1, "main", outside())):
            assert verdict.ok, verdict.findings
        return self

    def lines(self) -> list[bytes]:
        return list(export(self.engine.store, 1))


def outside() -> Outside:
    return Outside(signature_holds, None, prefix_ok=True)


def verified(lines: list[bytes]) -> Verdict:
    return verify_export(lines, outside())


def test_paying_raises_the_line_and_missing_lowers_it() -> None:
    till = Till().months(6)
    six = till.credit()
    assert Decimal("100") < six < Decimal("150")  # a quarter of 600, by the score
    till.clock.day(10)
    till.ride()
    till.bill()
    assert till.credit() == six  # asked for, not due yet
    till.wait(15)
    assert till.credit() == 100 < six  # the fixed line is the least
    till.pay("100")
    late = till.credit()
    assert 100 < late
    punctual = Till().months(7)
    assert late < punctual.credit()
    till.proven()
    punctual.proven()


def test_a_line_is_the_limit_of_the_history_and_written_down_with_it() -> None:
    till = Till(credit="0").months(0)
    till.pay("600")
    till.months(6, pays=False)
    made = till.of(TrustLine)
    assert made and till.credit() == Decimal(made[-1].credit) == Decimal(made[-1].decision.limit) > 100
    now = stands(till.engine, made[-1].account)
    assert now.decision is not None and wordless(now.decision) == made[-1].decision
    assert now.decision.history == history_of(till.engine, "ada")
    changed = till.of(CreditLine)
    assert [line.decision for line in changed] == [line.id for line in made]
    assert not any("words" in text or '"reason":"The' in text for text in map(str, till.lines()) if "trd_" in text)
    till.proven()


def test_nothing_changed_is_nothing_written() -> None:
    till = Till().months(4)
    count = len(till.of(TrustLine))
    assert review(till.engine) == 0
    till.wait(20)
    assert len(till.of(TrustLine)) == count
    for _ in range(3):
        outcome = till.tell(SetCredit(1))
        assert outcome.refusal is None and outcome.id.startswith("trd_")
    made = till.of(TrustLine)
    assert len(made) == count + 3 and len({line.credit for line in made[-4:]}) == 1
    till.proven()


@pytest.mark.parametrize("other", [("JPY", "200", None), ("USD", "2000", None), ("EUR", "2", 4)])
def test_another_currency_or_scale_changes_nothing(other: tuple[str, str, int | None]) -> None:
    currency, price, scale = other
    factor = Decimal(price) / 2
    ours = Till(credit="100").months(4).months(1, pays=False)
    theirs = Till(currency, price, scale, credit=str(100 * factor)).months(4).months(1, pays=False)
    for till in (ours, theirs):
        till.wait(20)
        till.tell(SetCredit(1))
    one, two = ours.of(TrustLine)[-1].decision, theirs.of(TrustLine)[-1].decision
    assert one.score == two.score and one.factors == two.factors
    assert abs(Decimal(one.limit) * factor - Decimal(two.limit)) <= factor * Decimal("0.0001")
    theirs.proven()


def test_many_tiny_payments_do_not_buy_a_large_line() -> None:
    till = Till(credit="0", policy=TrustPolicy("EUR", "1000000", starting="0", minimum_months=1))
    till.pay("20")
    for _ in range(6):
        till.clock.day(10)
        till.ride("0.5")
        for _ in range(40):
            till.clock.at += timedelta(hours=1)
            till.pay("0.10")
        till.bill()
    assert till.credit() <= Decimal("1.5")  # a quarter of the six euros that were used, whatever was paid in
    till.proven()


def test_what_was_given_away_earns_no_credit() -> None:
    lines = []
    for given in ("0.01", "600"):
        till = Till(credit="0", policy=TrustPolicy("EUR", "1000000", starting="0", minimum_months=1))
        till.pay("600")
        more = {"reference": "gift", "funded": "sponsor"}
        assert till.tell(Grant(payer="ada", amount=given, currency="EUR", **more)).refusal is None
        till.months(6, pays=False)
        lines.append(till.proven().credit())
    assert lines[0] > 100 and lines[1] == 0


def test_a_lowered_line_stops_what_comes_next_and_edits_nothing() -> None:
    till = Till(credit="0", policy=TrustPolicy("EUR", "1000", share="1"))
    till.pay("700")
    till.months(6, pays=False)
    line = till.credit()
    assert line > 400
    till.clock.day(10)
    assert till.ride("150").refusal is None  # 300, of which 200 on credit
    till.engine.hold("ada", "150", "EUR", "session", "2027-01-01T00:00:00Z")
    till.bill()
    till.wait(16)
    assert till.credit() < 200 and till.posted("ada") == -200
    assert till.engine.books.named("ada")[0].held == "150.000000000"
    with pytest.raises(Refused) as refused:
        till.engine.hold("ada", "1", "EUR", "another", "2027-01-01T00:00:00Z")
    assert refused.value.refusal.code is RefusalCode.INSUFFICIENT_FUNDS
    assert till.ride("1").refusal is not None
    till.engine.end_hold(1, "150")
    till.proven()


def test_dunning_reminds_writes_off_and_ends_when_paid() -> None:
    till = Till(trust=False).months(1, pays=False)
    till.wait(9)
    assert till.of(DunningLine) == []
    till.wait(4)
    till.wait(30)
    said = [(line.state, line.step, line.open, line.at[:10]) for line in till.of(DunningLine)]
    assert said == [
        ("reminder", 1, "100.000000000", "2025-02-18"), ("reminder", 2, "100.000000000", "2025-02-25"),
    ]  # fmt: skip
    till.pay("100")
    assert [line.state for line in till.of(DunningLine)][2:] == ["paid"]
    till.wait(60)
    assert len(till.of(DunningLine)) == 3 and till.credit() == 100 and not till.of(SetCredit)
    till.proven()


def test_what_was_given_back_is_not_asked_for_again() -> None:
    till = Till(trust=False).months(1, pays=False)
    charge = next(till.engine.books.records()).charge.id
    till.tell(Correct(charge=charge, reference="r1", amount="40"))
    till.wait(13)
    assert [(line.state, line.open) for line in till.of(DunningLine)] == [("reminder", "60.000000000")]
    till.tell(Correct(charge=charge, reference="r2"))
    assert [line.state for line in till.of(DunningLine)] == ["reminder", "paid"]
    till.wait(60)
    assert len(till.of(DunningLine)) == 2 and till.posted("ada") == 0
    till.ride("10")
    assert till.bill() == "20.00"  # the new ride alone
    till.proven()


def test_statements_say_when_they_are_due() -> None:
    till = Till(dunning=Dunning(7)).months(1)
    assert [line.due for line in till.of(StatementLine)] == ["2025-02-08T00:00:00.000000Z"]
    plain = Till(trust=False, dunning=None).months(1)
    assert [line.due for line in plain.of(StatementLine)] == [""] and not plain.of(TrailLine)


def test_the_guarantor_loses_exactly_the_debt_and_a_recovery_gives_it_back() -> None:
    """Dora delivers on credit that home guarantees; ada never pays: home loses the debt, dora is paid."""
    till = Till().months(6)
    till.clock.day(10)
    assert till.ride("55").refusal is None
    debt = -till.posted("ada")
    assert debt == 110 and till.posted("dora") == Decimal("177.5")
    till.bill()
    till.wait(14 + 60)
    assert till.posted("ada") == 0 and till.posted("home") == -debt and till.posted("dora") == Decimal("177.5")
    assert till.credit() == 0
    gone = next(line for line in till.of(Entry) if line.kind == "write-off")
    assert gone.forced and {Decimal(leg.amount) for leg in gone.legs} == {debt, -debt}
    till.proven()
    till.pay("40")
    assert (till.posted("ada"), till.posted("home"), till.credit()) == (0, -70, 0)
    till.apply(credit="100")  # a catalog does not give back a line while a loss stands
    assert till.credit() == 0
    till.pay("100")
    assert (till.posted("ada"), till.posted("home")) == (30, 0)
    assert till.credit() >= 100
    recovered = [Decimal(leg.amount) for line in till.of(Entry) if line.kind == "recovery" for leg in line.legs]
    assert sorted(recovered) == [-70, -40, 40, 70]
    till.pay("5")
    assert (till.posted("ada"), till.posted("home")) == (35, 0)
    till.proven()


def test_a_write_off_without_a_guarantor_is_the_platforms_loss() -> None:
    till = Till(trust=False, dunning=None, guarantor="")
    till.clock.day(10)
    till.ride("30")
    assert till.tell(WriteOff(1, "61")).refusal.code is RefusalCode.BAD_AMOUNT
    assert till.tell(WriteOff(1, "25")).refusal is None
    assert (till.posted("ada"), till.posted("losses"), till.credit()) == (-35, -25, 0)
    assert till.tell(WriteOff(1)).refusal is None
    assert (till.posted("ada"), till.posted("losses")) == (0, -60)
    assert till.tell(WriteOff(1)).refusal.code is RefusalCode.CONFLICT
    assert till.tell(SetCredit(1)).refusal.code is RefusalCode.CONFLICT
    for number in (0, 2, 99):
        assert till.tell(WriteOff(number)).refusal.code is RefusalCode.NOT_FOUND
    till.apply(trust=False, dunning=None, guarantor="", credit="80")
    assert till.credit() == 0
    till.pay("70")
    assert (till.posted("ada"), till.posted("losses"), till.credit()) == (10, 0, 80)
    till.proven()


def test_a_written_off_debt_earns_no_paid_volume_when_it_is_recovered() -> None:
    till = Till().months(2).months(1, pays=False)
    till.wait(80)
    assert till.posted("home") == -100
    till.pay("100")
    till.ride("1")
    till.bill()
    used = [month.used for month in history_of(till.engine, "ada").months]
    assert used == [atoms * 10**9 for atoms in (2, 100, 100, 100)]
    till.proven()


def test_trust_can_be_given_later_and_taken_back() -> None:
    late, early = Till(trust=False, dunning=None).months(6), Till(dunning=None).months(6)
    assert late.credit() == 100 and not late.of(TrailLine)
    late.apply(dunning=None)
    assert late.credit() == early.credit() > 100
    assert stands(late.engine, "acct_00001").decision.history == history_of(late.engine, "ada")
    late.proven()
    late.months(1)
    early.months(1)
    assert late.credit() == early.credit()
    late.apply(trust=False, dunning=None, credit="50")
    assert late.credit() == 50 and late.of(TrailLine)[-1].ended
    late.months(1, km="20")
    late.apply(dunning=None, credit="50")
    assert late.credit() > 100
    late.proven()


def test_a_catalog_does_not_overwrite_an_earned_line() -> None:
    till = Till().months(6)
    earned = till.credit()
    till.apply(credit="100", policy=TrustPolicy("EUR", "1000000", minimum_months=2))
    assert till.credit() == earned
    till.apply(credit="500")
    assert till.credit() == 500
    till.apply(policy=TrustPolicy("EUR", "110"))
    assert till.credit() == 110
    till.proven()


def test_payers_whom_only_usage_names_earn_as_well() -> None:
    till = Till(unknown=True, policy=TrustPolicy("EUR", "1000000", starting="120"), credit="0")
    till.months(6)
    assert till.credit() > 120
    till.proven()


def test_a_low_score_is_declined() -> None:
    till = Till(credit="0", policy=TrustPolicy("EUR", "1000000", starting="300", minimum_months=1)).months(4)
    assert not stands(till.engine, "acct_00001").decision.declined
    for _ in range(3):
        till.clock.day(10)
        till.ride("20")
        till.bill()
        till.wait(20)
    found = stands(till.engine, "acct_00001").decision
    assert till.credit() == 0 and found.declined.startswith("The score 0.") and "below 0.7" in found.declined
    till.proven()


def test_what_was_forged_is_found() -> None:
    till = Till().months(6)
    till.clock.day(10)
    till.ride()
    till.bill()
    till.wait(80)
    till.pay("70")
    till.proven()
    lines = till.lines()
    for old, new in (
        (b'"credit":"136.', b'"credit":"936.'),  # of a decision and of the line it set
        (b'"limit":"136.', b'"limit":"137.'),
        (b'"used":100000000000,', b'"used":900000000000,'),
        (b'"came":600000000000', b'"came":700000000000'),
        (b'"state":"reminder","step":1', b'"state":"reminder","step":2'),
        (b'"guarantor":"home"', b'"guarantor":"dora"'),
        (b'"kind":"recovery"', b'"kind":"payment"'),
        (b'"count":1,"losses"', b'"count":2,"losses"'),
        (b'"coefficient":"', b'"coefficient":"1'),
    ):
        assert any(old in line for line in lines), old
        forged = [line.replace(old, new) for line in lines]
        codes = {finding.code for finding in verified(forged).findings}
        assert "credit" in codes, (old, codes)


def test_decisions_can_be_made_again_by_anybody() -> None:
    till = Till(credit="300").months(5).months(2, pays=False)
    till.wait(20)
    till.tell(SetCredit(1))
    till.pay("100")
    till.tell(SetCredit(1))
    made = till.of(TrustLine)
    assert len(made) >= 2
    for line in made:
        again = decide(line.decision.policy, till.model(line.decision.model), line.decision.history)
        assert again.limit == line.decision.limit and wordless(again) == line.decision


def test_decisions_are_made_by_the_catalogs_model() -> None:
    plain = TrustModel("0.9", tuple(Weight(one.name, "0", "0") for one in FACTORS))
    model = msgspec.structs.replace(plain, version=model_version(plain))
    till = Till(credit="0", policy=TrustPolicy("EUR", "1000", starting="300"), model=model).months(4)
    till.tell(SetCredit(1))
    made = till.of(TrustLine)[-1]
    assert made.decision.model == model.version and made.decision.score == "0.9"
    assert made.decision.volume == "400.000000000" and till.credit() == 300  # a quarter of 360 is less than the start
    till.apply(credit="0", policy=TrustPolicy("EUR", "1000", starting="300"))
    till.tell(SetCredit(1))
    assert till.of(TrustLine)[-1].decision.model == default_model().version
    assert [line.id for line in till.of(ModelLine)] == [model.version, default_model().version]
    till.proven()
    helping = TrustModel("0.9", (Weight("overdue", "1", "0"),))
    for wrong in (plain, msgspec.structs.replace(helping, version=model_version(helping))):
        with pytest.raises(Misconfigured, match="trust_model"):
            till.apply(policy=TrustPolicy("EUR", "1000"), model=wrong)


def test_statements_and_advices_say_what_was_written_off_and_made_good() -> None:
    till = Till(dunning=None).months(1, pays=False)
    till.tell(WriteOff(1))
    till.pay("130")
    till.clock.day(10)
    till.ride("10")
    till.clock.next_month()
    made = [one for one in issue(till.engine) if isinstance(one, Statement)]
    ada = made[-1]
    assert (ada.payments, ada.charges, ada.closing) == ("130.00", "20.000000000", "10.000000000")
    labels = [item.label for section in ada.sections for item in section.items]
    assert {"Write-off", "Recovery"} <= set(labels) and ada.due == "0.00"
    till.proven()


def test_parked_use_is_charged_once_a_line_allows_it() -> None:
    till = Till(credit="0", policy=TrustPolicy("EUR", "1000", starting="10"))
    assert till.ride("50").refusal is not None
    tending = Tending(till.engine)
    tending.tend()
    assert till.posted("ada") == 0
    till.apply(credit="0", policy=TrustPolicy("EUR", "1000", starting="120"))
    tending.noted([(Job("main", act=lambda engine: None), ())])
    tending.tend()
    assert till.posted("ada") == -100
    till.proven()


def test_a_statement_asks_by_its_due_date() -> None:
    till = Till(dunning=Dunning(7)).months(1, pays=False)
    made = [one for one in issue(till.engine, who="ada") if isinstance(one, Statement)][0]
    assert made.pay_by == till.of(StatementLine)[0].due == "2025-02-08T00:00:00.000000Z"
    assert "PLEASE PAY BY 2025-02-08" in as_text(made)


def test_a_whole_group_sees_what_was_done_before_in_it() -> None:
    till = Till().months(6)
    till.clock.day(10)
    till.ride("55")
    till.bill()
    till.clock.day(20)
    group = [
        ReviewCredit(1), WriteOff(1, "60"), TopUp("ada", "25", "EUR", "a"), WriteOff(1), SetCredit(1),
        TopUp("ada", "50", "EUR", "b"), TopUp("ada", "40", "EUR", "c"), TopUp("ada", "7", "EUR", "d"), ReviewCredit(1),
    ]  # fmt: skip
    assert all(outcome.refusal is None for outcome in till.engine.writer.commit(group))
    assert (till.posted("ada"), till.posted("home")) == (12, 0)
    kinds = [line.kind for line in till.of(Entry) if line.kind in ("write-off", "recovery")]
    assert kinds == ["write-off", "recovery", "write-off", "recovery", "recovery", "recovery"]
    till.proven()
