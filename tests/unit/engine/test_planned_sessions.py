"""Sessions by a plan: charged at exactly what was agreed, opened once, and gone over to the next best plan."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from apportion.engine import billing
from apportion.engine.explain import View
from apportion.engine.inquiry import explain
from apportion.engine.work import encode
from apportion.errors import RefusalCode
from apportion.model.agreement import Service
from apportion.model.catalog import Catalog
from apportion.model.market import Offer, Placement
from apportion.model.plan import PlanLine, PlanState
from apportion.model.session import SessionState
from apportion.model.session_asked import Change, SessionAsked, SessionCommand
from apportion.model.standing import PutOffer, SwitchProvider, WithdrawOffer
from apportion.model.statement import Remittance, Statement
from apportion.model.usage import PayerUse
from tests.plans import PlanRig as Rig
from tests.plans import other, standard
from tests.sessions import catalog, per_second, plain, tariff


def refused(outcome: Any) -> RefusalCode:
    assert outcome.refusal is not None
    return RefusalCode(outcome.refusal.code)


def with_offer(units: str = "1000", **placements: Placement) -> Catalog:
    """The catalog with an offer of bridge-b that has so many seconds free."""
    offer = Offer("relay", "call", "bridge", "bridge-b", "bridge2", capacity={"seconds": units})
    return replace(catalog(), offers={"relay": offer}, placements=placements)


def relay(**more: Any) -> dict[str, dict[str, Any]]:
    return {"bridge-b": {"offer": "relay", "needs": {"seconds": "600"}, **more}}


def test_a_session_is_charged_exactly_what_the_plan_says_though_the_catalog_has_changed() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    plan = rig.quote()
    dear = replace(catalog(), tariffs={one: replace(t, components=(per_second("9"),)) for one, t in TARIFFS.items()})
    rig.engine.apply(dear)
    id = rig.accepted(plan)
    assert rig.plan(plan).state is PlanState.ACCEPTED and rig.plan(plan).session == id
    assert rig.balance("ada", "held") == "0.53"  # the start and a minute at 0.008
    rig.report(id, 1, "50", seconds=50)
    rig.engine.apply(replace(dear, name="again"))
    rig.report(id, 2, "100", seconds=50)
    line = rig.end(id)
    assert line.plan == plan and line.catalog == rig.plan(plan).catalog and line.tariff == f"{plan}.1.retail"
    assert rig.balance("ada") == "9.15"  # 0.05 + 100 · 0.008
    assert rig.income() == {"telco": "0.1", "bridge-b": "0.21", "fees": "0.54"}


TARIFFS = catalog().tariffs
DEAR = tariff("bridge", per_second("0.05"))


def test_another_scenario_may_be_chosen_and_one_that_is_not_there_is_refused() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    plan = rig.quote(standard(), other("best-quality"))
    assert refused(rig.choose(plan, "cheapest")) is RefusalCode.BAD_INPUT
    id = rig.accepted(plan, "best-quality")
    assert rig.plan(plan).chosen == "best-quality"
    assert [meter.provider for meter in rig.line(id).meters[1:]] == ["telco", "bridge-a"]
    rig.report(id, 1, "10", seconds=10)
    rig.end(id)
    assert rig.balance("ada") == "9.89" and rig.income()["bridge-a"] == "0.05"


def test_a_plan_ends_when_it_is_due() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    early, late = rig.quote(validity=100), rig.quote(validity=200)
    rig.clock.move(100)
    assert refused(rig.choose(early)) is RefusalCode.PLAN_ENDED
    rig.wait(0)
    assert [rig.plan(id).state for id in (early, late)] == [PlanState.LAPSED, PlanState.QUOTED]
    assert refused(rig.choose(early)) is RefusalCode.PLAN_ENDED
    assert refused(rig.choose("pln_" + "0" * 32)) is RefusalCode.NOT_FOUND
    assert refused(rig.choose("ses_" + "0" * 32)) is RefusalCode.NOT_FOUND
    rig.accepted(late)
    rig.wait(200)
    assert rig.plan(late).state is PlanState.ACCEPTED
    assert rig.engine.store.due_courses(rig.engine.tenant, rig.clock.now(), 10, "pln_") == []


def test_a_plan_is_accepted_once_whoever_comes_at_the_same_time() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    plan = rig.quote()
    first, second = rig.engine.writer.commit([rig.choosing(plan), rig.choosing(plan)])
    assert first.refusal is None and refused(second) is RefusalCode.PLAN_ENDED
    assert rig.balance("ada", "held") == "0.53"
    assert rig.plan(plan).session == first.id and not rig.known(second.id)


def test_without_value_the_plan_stays_quoted_and_takes_nothing() -> None:
    rig = Rig(with_offer())
    plan = rig.quote(parts=relay())
    assert refused(rig.choose(plan)) is RefusalCode.INSUFFICIENT_FUNDS
    assert rig.plan(plan).state is PlanState.QUOTED
    rig.top_up("ada", "10")
    rig.accepted(plan)
    assert rig.balance("ada", "held") == "0.53"


def test_only_its_payers_its_home_and_the_operator_accept_a_plan() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    rig.top_up("bob", "10")
    plans = [rig.quote(home="telco") for _ in range(3)]
    assert refused(rig.choose(plans[0], payer="bob")) is RefusalCode.NOT_FOUND
    assert refused(rig.choose(plans[0], provider="bridge-b")) is RefusalCode.NOT_FOUND
    rig.accepted(plans[0], payer="ada")
    rig.accepted(plans[1], provider="telco")
    rig.accepted(plans[2])


def test_the_last_capacity_goes_to_one_and_is_free_again_when_its_session_ends() -> None:
    rig = Rig(with_offer("1000"))
    rig.top_up("ada", "10")
    rig.top_up("bob", "10")
    mine, theirs = rig.quote(parts=relay()), rig.quote(payers=("bob",), parts=relay())
    id = rig.accepted(mine)
    assert refused(rig.choose(theirs)) is RefusalCode.PLAN_ENDED
    assert rig.balance("bob", "held") == "0" and rig.plan(theirs).state is PlanState.QUOTED
    rig.report(id, 1, "10", seconds=10)
    rig.end(id)
    rig.accepted(theirs)


def test_the_next_best_plan_takes_over_and_every_sum_is_exact() -> None:
    rig = Rig(with_offer("1000"))
    rig.top_up("ada", "10")
    id = rig.accepted(rig.quote(parts=relay()))
    rig.report(id, 1, "50", seconds=50)
    assert rig.balance("ada") == "9.55"  # 0.05 + 50 · 0.008
    rig.report(id, 2, "70", seconds=10)
    plan = rig.quote(other(), replaces=id, lost=("bridge-b",))
    outcome = rig.go_over(id, plan)
    assert outcome.refusal is None
    line = rig.line(id)
    assert line.plan == plan and [m.provider for m in line.meters[1:] if not m.ended] == ["telco", "bridge-a"]
    assert rig.plan(plan).state is PlanState.ACCEPTED and rig.plan(plan).session == id
    rig.report(id, 3, "120", seconds=50)
    rig.end(id)
    # 0.05 + 70 · 0.008 = 0.61, then 50 · 0.009 = 0.45; no second start
    assert rig.balance("ada") == "8.94" and rig.balance("ada", "held") == "0"
    assert rig.income() == {"telco": "0.12", "bridge-b": "0.15", "bridge-a": "0.25", "fees": "0.54"}
    rig.accepted(rig.quote(parts=relay()))  # what bridge-b had free is free again


def test_back_to_a_provider_that_delivered_before() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    id = rig.accepted(rig.quote())
    rig.report(id, 1, "50", seconds=50)
    assert rig.go_over(id, rig.quote(other(), replaces=id)).refusal is None
    rig.report(id, 2, "80", seconds=30)
    assert rig.go_over(id, rig.quote(replaces=id)).refusal is None
    rig.report(id, 3, "100", seconds=20)
    rig.end(id)
    # 0.05 + 50 · 0.008, 30 · 0.009, 20 · 0.008; a provider that takes over is paid its own start
    assert rig.balance("ada") == "9.12"
    assert rig.income() == {"telco": "0.1", "bridge-b": "0.16", "bridge-a": "0.15", "fees": "0.47"}


def test_a_provider_that_comes_back_and_reports_for_itself_counts_anew() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    id = rig.accepted(rig.quote())
    rig.report(id, 1, "50", part="bridge", seconds=50)
    rig.go_over(id, rig.quote(other(), replaces=id))
    rig.report(id, 1, "30", part="bridge", seconds=30)
    rig.go_over(id, rig.quote(replaces=id))
    rig.report(id, 1, "20", part="bridge", seconds=20)
    rig.report(id, 2, "25", part="bridge", seconds=5)
    rig.end(id)
    used = [[part.quantities.get("seconds") for part in record.usage.parts] for record in rig.engine.books.records()]
    assert used == [[None, "50"], [None, None, "30"], [None, None, None, "20"], [None, None, None, "5"]]


def test_what_can_not_be_gone_over_to_is_refused_and_changes_nothing() -> None:
    rig = Rig()
    rig.top_up("ada", "1")
    rig.top_up("bob", "10")
    id = rig.accepted(rig.quote())
    rig.report(id, 1, "50", seconds=50)
    before = rig.line(id)
    assert refused(rig.go_over(id, rig.quote())) is RefusalCode.BAD_INPUT
    assert refused(rig.go_over(id, rig.quote(payers=("bob",), replaces=id))) is RefusalCode.BAD_INPUT
    assert refused(rig.go_over(id, rig.quote(replaces=id, validity=0))) is RefusalCode.PLAN_ENDED
    dear = "lowest-cost", tariff("dear", per_second("0.1")), other()[2]
    assert refused(rig.go_over(id, rig.quote(dear, replaces=id))) is RefusalCode.INSUFFICIENT_FUNDS
    cheap = "lowest-cost", tariff("cheap", per_second("0.009")), {**other()[2], "bridge": ("bridge-a", DEAR)}
    assert refused(rig.go_over(id, rig.quote(cheap, replaces=id))) is RefusalCode.MARGIN_GUARD
    named = rig.quote(other(), replaces=id)
    assert refused(rig.choose(named)) is RefusalCode.BAD_INPUT  # it runs already
    assert refused(rig.ask(id, Change(plan=named, reprice=True))) is RefusalCode.BAD_INPUT
    for change in (Change(reprice=True), Change(providers={"bridge": "bridge-a"})):
        assert refused(rig.ask(id, change)) is RefusalCode.BAD_INPUT
    assert rig.line(id) == before
    assert rig.go_over(id, named).refusal is None


def test_a_session_without_a_plan_may_go_over_to_one() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    id = rig.open("ada")
    rig.report(id, 1, "10", seconds=10)
    assert rig.go_over(id, rig.quote(replaces=id)).refusal is None
    rig.report(id, 2, "60", seconds=50)
    rig.end(id)
    assert rig.balance("ada") == "9.45"  # 0.05 + 10 · 0.01, then 50 · 0.008
    assert rig.income() == {"telco": "0.06", "bridge-a": "0.04", "bridge-b": "0.11", "fees": "0.34"}


def test_a_lost_provider_may_be_gone_from_the_catalog_too() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    id = rig.open("ada")
    rig.report(id, 1, "10", seconds=10)
    plain_ = catalog()
    bridge = replace(plain_.services["call"].parts["bridge"], provider="bridge-b", wholesale={"bridge-b": "bridge2"})
    call = replace(plain_.services["call"], parts={**plain_.services["call"].parts, "bridge": bridge})
    tariffs = {name: one for name, one in plain_.tariffs.items() if name != "bridge"}
    rig.engine.apply(replace(plain_, services={**plain_.services, "call": call}, tariffs=tariffs))
    assert rig.go_over(id, rig.quote(replaces=id)).refusal is None
    rig.report(id, 2, "60", seconds=50)
    rig.end(id)
    assert rig.balance("ada") == "9.45" and rig.income()["bridge-b"] == "0.11"


def test_a_placement_is_income_of_its_own() -> None:
    paid = Placement("first", "call", "bridge-b", bound="5", fee="0.02")
    rig = Rig(with_offer("9999", first=paid))
    rig.top_up("ada", "10")
    id = rig.accepted(rig.quote(parts=relay(placed=True, placement="first")))
    assert rig.income() == {"bridge-b": "-0.02", "placement": "0.02"}
    rig.report(id, 1, "50", seconds=50)
    plan = rig.quote(standard(), replaces=id, parts=relay(placed=True, placement="first"))
    assert rig.go_over(id, plan).refusal is None
    rig.report(id, 2, "60", seconds=10)
    rig.end(id)
    assert rig.income() == {"telco": "0.06", "bridge-b": "0.09", "placement": "0.04", "fees": "0.34"}
    rig.clock.move(40 * 86_400)
    advice = {document.name: document for document in billing.issue(rig.engine)}["bridge-b"]
    assert isinstance(advice, Remittance) and advice.total == "0.09"
    assert [(due.part, due.uses, plain(due.credited)) for due in advice.dues if not due.service] == [
        ("Placement", 2, "-0.04")
    ]


def test_a_service_without_session_terms_runs_by_a_plan_all_the_same() -> None:
    plain = catalog()
    call: Service = replace(plain.services["call"], session=None)
    rig = Rig(replace(plain, services={"call": call}))
    rig.top_up("ada", "10")
    outcome = rig.do(SessionCommand("ses_" + "9" * 32, SessionAsked("call", (PayerUse("ada"),))))
    assert refused(outcome) is RefusalCode.BAD_INPUT
    id = rig.accepted(rig.quote())
    assert rig.balance("ada", "held") == "4.85"  # all that was planned for
    rig.report(id, 1, "600", seconds=250)
    rig.end(id)
    assert rig.balance("ada") == "5.15"


def test_a_provider_that_is_off_can_not_be_begun_with() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    plan, running = rig.quote(), rig.accepted(rig.quote(other()))
    assert rig.do(SwitchProvider(provider="bridge-b", off=True, reason="works")).refusal is None
    assert refused(rig.choose(plan)) is RefusalCode.PLAN_ENDED
    assert refused(rig.go_over(running, rig.quote(replaces=running))) is RefusalCode.PLAN_ENDED
    assert rig.do(SwitchProvider(provider="bridge-b", off=False)).refusal is None
    rig.accepted(plan)


def test_a_live_offer_gives_its_capacity_and_ends_its_plans_when_it_is_withdrawn() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    put = rig.do(PutOffer(offer=Offer("", "call", "bridge", "bridge-b", "bridge2", capacity={"seconds": "1000"})))
    parts = {"bridge-b": {"offer": put.id, "needs": {"seconds": "600"}}}
    first, second, third = (rig.quote(parts=parts) for _ in range(3))
    id = rig.accepted(first)
    assert refused(rig.choose(second)) is RefusalCode.PLAN_ENDED
    assert rig.do(WithdrawOffer(id=put.id)).refusal is None
    rig.report(id, 1, "10", seconds=10)
    assert rig.end(id).state is SessionState.CLOSED
    assert refused(rig.choose(third)) is RefusalCode.PLAN_ENDED


def test_who_falls_silent_has_failed_and_the_others_delivered() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    id = rig.accepted(rig.quote())
    rig.report(id, 1, "10", part="access", seconds=10, requested={"seconds": "60"})
    rig.report(id, 1, "10", part="bridge", seconds=0, requested={"seconds": "60"})
    rig.report(id, 1, "10", seconds=0, requested={"seconds": "200"})
    for number in range(2, 7):
        rig.wait(0)
        rig.report(id, number, str(number * 10), part="access", seconds=40, requested={"seconds": "60"})
        rig.report(id, number, str(number * 10), requested={"seconds": "200"})
    bridge = rig.line(id).meters[2]
    assert bridge.ended and reputation(rig) == {"bridge-b": (0, 1)}
    rig.end(id)
    assert reputation(rig) == {"bridge-b": (0, 1), "telco": (1, 0)}


def test_a_provider_that_was_lost_has_failed_and_those_who_stay_delivered() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    id = rig.accepted(rig.quote())
    rig.report(id, 1, "50", seconds=50)
    plan = rig.quote(other(), replaces=id, lost=("bridge-b",))
    assert rig.go_over(id, plan).refusal is None
    rig.report(id, 2, "80", seconds=30)
    rig.end(id)
    assert reputation(rig) == {"telco": (1, 0), "bridge-a": (1, 0), "bridge-b": (0, 1)}


def reputation(rig: Rig) -> dict[str, tuple[int, int]]:
    from apportion.engine.market.standing import reputations

    found = reputations(rig.engine.store, rig.engine.tenant, "call")
    return {line.name: (line.delivered, line.failed) for line in found if line.kind == "provider"}


def test_its_slices_and_its_session_name_the_plan() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    plan = rig.quote()
    id = rig.accepted(plan)
    rig.report(id, 1, "50", seconds=50)
    record = next(iter(rig.engine.books.records()))
    for view in (View(), View("user", "ada"), View("provider", "bridge-b")):
        told = explain(rig.engine, record.charge.id, view)
        assert ("plan", plan) in [(fact.name, fact.value) for section in told.sections for fact in section.facts]
        assert told.holds
    told = explain(rig.engine, id, View())
    facts = {fact.name: fact.value for fact in told.sections[0].facts}
    assert facts == {"plan": plan, "lowest-cost": "4.85 EUR", "access": "telco", "bridge": "bridge-b"}


def test_statements_find_the_tariffs_of_plans() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    taxed = tariff("taxed", per_second("0.01"), taxes={"vat": "25"}, tax="vat", tax_included=True)
    id = rig.accepted(rig.quote(("lowest-cost", taxed, standard()[2])))
    rig.report(id, 1, "50", seconds=50)
    rig.end(id)
    rig.clock.move(40 * 86_400)
    mine = {document.name: document for document in billing.issue(rig.engine)}["ada"]
    assert isinstance(mine, Statement) and (mine.total, mine.tax) == ("0.50", "0.10")
    assert [(item.label, item.quantity, item.total) for item in mine.sections[0].items] == [("Seconds", "50", "0.50")]
    assert [(tax.name, tax.rate, tax.amount) for tax in mine.taxes] == [("vat", "25", "0.10")]


FORGERIES = {
    "a lower price": lambda plan: changed(plan, total="4.840000000"),
    "a dearer provider": lambda plan: changed(plan, cost="1.900000000"),
    "a quick one": lambda plan: changed(plan, latency=5),
    "other terms": lambda plan: changed(plan, retail=replace(plan.scenarios[0].retail, components=(per_second("9"),))),
    "no preferred one": lambda plan: replace(plan, preferred="best-value"),
    "accepted at once": lambda plan: replace(plan, state=PlanState.ACCEPTED),
}


def changed(plan: PlanLine, **fields: Any) -> PlanLine:
    return replace(plan, scenarios=(replace(plan.scenarios[0], **fields),))


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_plan_is_found(name: str) -> None:
    rig = Rig()
    honest = rig.plan(rig.quote())
    rig.made.remove(rig)
    forged = replace(FORGERIES[name](honest), id=honest.id[:-4] + "ffff")
    told = encode(forged).replace(honest.id.encode(), forged.id.encode())
    assert findings(rig, told) >= {"plan"}


def findings(rig: Rig, *lines: bytes) -> set[str]:
    """What a proof says once these lines stand in the books."""
    from apportion.engine.verify.stored import verify_store
    from apportion.engine.verify.verdict import Outside

    rig.engine.writer.booked(lambda work: work.append(*lines))
    rig.engine.writer.seal()
    outside = Outside(lambda key, message, signature: True, prefix_ok=True)
    return {one.code for one in verify_store(rig.engine.store, rig.engine.tenant, "main", outside).findings}


def test_what_runs_by_a_plan_may_not_leave_its_terms() -> None:
    paid = Placement("first", "call", "bridge-b", bound="5", fee="0.02")
    for forge in (
        lambda rig, plan, line: [replace(line, n=line.n + 1, plan="")],
        lambda rig, plan, line: [replace(line, n=line.n + 1, tariff="call")],
        lambda rig, plan, line: [replace(plan, n=3)],
        lambda rig, plan, line: [replace(line, n=line.n + 1, plan=rig.quote(replaces=line.id))],
        lambda rig, plan, line: [replace(plan, n=3, state=PlanState.LAPSED, chosen="", session="")],
        lambda rig, plan, line: [replace(line, id="ses_" + "a" * 32, n=1)],
    ):
        rig = Rig(with_offer("9999", first=paid))
        rig.made.remove(rig)
        rig.top_up("ada", "10")
        plan = rig.quote(parts=relay(placed=True, placement="first"))
        line = rig.line(rig.accepted(plan))
        assert findings(rig, *(encode(one) for one in forge(rig, rig.plan(plan), line))) >= {"plan"}


def test_an_accepted_plan_without_its_session_or_its_placement_is_found() -> None:
    paid = Placement("first", "call", "bridge-b", bound="5", fee="0.02")
    rig = Rig(with_offer("9999", first=paid))
    rig.made.remove(rig)
    plan = rig.plan(rig.quote(parts=relay(placed=True, placement="first")))
    taken = replace(plan, n=2, state=PlanState.ACCEPTED, due="", chosen="lowest-cost", session="ses_" + "b" * 32)
    assert findings(rig, encode(taken)) >= {"plan"}
    assert rig.income() == {}
