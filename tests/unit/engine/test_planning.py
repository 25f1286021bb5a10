"""From a request to a plan: the amounts, the preferences, the limits, and what is told when nothing fits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from apportion.engine.broker.planning import found_plan
from apportion.engine.broker.views import plan_line, view
from apportion.engine.engine import Engine
from apportion.errors import RefusalCode, Refused
from apportion.model.access import AccessRole, Credential
from apportion.model.agreement import Agreement, Targets
from apportion.model.catalog import Catalog
from apportion.model.command import BuyAllowance
from apportion.model.market import Interconnect, Offer, Placement, ProviderTerms, Quality
from apportion.model.profile import Billing, Preference, Profile
from apportion.model.request import Limits
from apportion.model.standing import Observe, Observed, PutOffer, SwitchProvider
from apportion.model.usage import PayerUse, Usage
from apportion.wiring import open_engine
from tests.markets import catalog, crew, fee, planned, request

replace = msgspec.structs.replace


@pytest.fixture
def engine() -> Iterator[Engine]:
    with open_engine(":memory:") as opened:
        opened.apply(catalog())
        yield opened


def market(found: Catalog, **changes: object) -> Catalog:
    """The catalog with other terms of its market."""
    call = found.services["call"]
    return replace(found, services={"call": replace(call, market=replace(call.market, **changes))})


def refusal(engine: Engine, **more: object) -> Refused:
    with pytest.raises(Refused) as error:
        found_plan(engine, request(**more))  # type: ignore[arg-type]
    return error.value


def test_the_fee_is_the_platforms_own_and_each_parts_price_with_markup_and_tax(engine: Engine) -> None:
    shown = planned(engine, request("10"))
    assert crew(shown) == {"near": "oak", "far": "elm"}
    lowest = shown.scenarios[0]
    # (0.10 + 2 × 10 × 0.02 × 1.10) = 0.54, and 20 % on it
    assert (lowest.net, lowest.tax, lowest.total) == ("0.540000000", "0.108000000", "0.648000000")
    assert (lowest.cost, lowest.margin) == ("0.400000000", "0.140000000")
    assert {part.part: part.fee for part in lowest.parts} == {"near": "0.264", "far": "0.264"}
    assert [one.amount for one in lowest.shares] == ["0.648000000"]
    assert {one.name for one in shown.scenarios} == {"lowest-cost", "best-quality", "best-value"}
    assert engine.books.asset("EUR").scale == 9 and not list(engine.books.records(0)), "nothing is charged by a plan"


def test_every_candidate_is_stored_with_its_price_and_the_reason(engine: Engine) -> None:
    shown = planned(engine, request("10", without=("ash",)))
    told = {(one.part, one.provider): (one.fee, one.out, one.why) for one in shown.candidates}
    assert told["near", "oak"] == ("0.264000000", "", "")
    assert told["near", "elm"] == ("0.396000000", "", "It costs payers 0.132 EUR more for this part than the cheapest.")
    assert told["far", "ash"][1:] == ("excluded", "The request does without ash.")


def test_two_users_bear_the_fee_together(engine: Engine) -> None:
    shown = planned(engine, request("10", "ada", "ben"))
    assert sum(Decimal(one.amount) for one in shown.scenarios[0].shares) == Decimal("0.648")


def test_an_allowance_leaves_less_to_pay_and_can_leave_nothing(engine: Engine) -> None:
    engine.writer.commit(
        [BuyAllowance(payer="ada", currency="EUR", price="1", measure="minutes", units="4", reference="a")]
    )
    assert fee(planned(engine, request("10"))) == "0.436800000"  # (0.10 + 2 × 6 × 0.022) × 1.2
    assert fee(planned(engine, request("4"))) == "0.000000000"


def test_a_fixed_price_is_the_same_whoever_delivers_and_the_providers_cost_decides(engine: Engine) -> None:
    engine.apply(market(catalog(), retail="fixed", markup="0"))
    shown = planned(engine, request("1"))
    assert fee(shown) == "0.120000000" and crew(shown) == {"near": "oak", "far": "elm"}
    assert shown.scenarios[0].cost == "0.040000000"


def test_the_margin_guard_refuses_a_fee_below_cost_at_the_plan(engine: Engine) -> None:
    engine.apply(market(catalog(), retail="fixed", markup="0"))
    said = refusal(engine, minutes="10").refusal  # it costs 0.40, payers would pay 0.10
    assert said.code is RefusalCode.NO_PLAN and "the widest margin that keeps the others is -0.30 EUR" in said.message


def test_the_whole_is_not_the_sum_of_its_parts(engine: Engine) -> None:
    plain = market(catalog(), terms={"oak": ProviderTerms("0.30"), "elm": ProviderTerms("0.30")})
    engine.apply(plain)
    shown = planned(engine, request("10"))
    # the cheapest parts are oak's and elm's, but each wants 0.30 once: ash alone costs 0.80 and no set-up
    assert crew(shown) == {"near": "ash", "far": "ash"} and shown.scenarios[0].cost == "0.800000000"
    engine.apply(market(plain, terms={"oak": ProviderTerms("0.30"), "elm": ProviderTerms("0.05")}))
    shown = planned(engine, request("10"))
    assert crew(shown) == {"near": "elm", "far": "elm"} and shown.scenarios[0].cost == "0.550000000"


def test_networks_must_reach_one_another_and_the_crossing_has_its_price(engine: Engine) -> None:
    linked = market(catalog(), links=(("near", "far"),))
    engine.apply(linked)
    assert crew(planned(engine, request("10"))) == {"near": "elm", "far": "elm"}  # one network: 0.30 + 0.20
    engine.apply(replace(linked, interconnects=(Interconnect("west", "east", "0.04"),)))
    shown = planned(engine, request("10"))
    assert crew(shown) == {"near": "oak", "far": "elm"} and shown.scenarios[0].cost == "0.440000000"
    assert fee(shown) == "0.700800000"  # 0.648 + 0.04 × 1.1 × 1.2


def test_preferences_come_before_the_price_within_their_premium(engine: Engine) -> None:
    first = Profile("p", providers=Preference(order=("ash",)))
    assert crew(planned(engine, request("10", profile=first))) == {"near": "ash", "far": "ash"}
    shown = planned(engine, request("10", profile=replace(first, premium="25")))
    assert crew(shown) == {"near": "oak", "far": "ash"}  # ash far makes it 20.4 % dearer, ash near too would be 61 %
    assert shown.scenarios[0].dearer == "0.132"
    ignoring = Profile("p", networks=Preference(ignore=("east",)))
    assert crew(planned(engine, request("10", profile=ignoring))) == {"near": "oak", "far": "ash"}
    only = Profile("p", networks=Preference(only=("south",)))
    assert crew(planned(engine, request("10", profile=only))) == {"near": "ash", "far": "ash"}


def test_a_stored_profile_of_the_payer_holds_where_the_request_says_nothing(engine: Engine) -> None:
    stored = replace(
        catalog(), profiles={"careful": Profile("careful", Preference(order=("ash",)), billing=Billing("per-provider"))}
    )
    ada = replace(stored.payers["ada"], profile="careful")
    engine.apply(replace(stored, payers={**stored.payers, "ada": ada}))
    shown = planned(engine, request("10"))
    assert crew(shown) == {"near": "ash", "far": "ash"} and shown.profile == "careful"
    assert plan_line(engine, shown.id).billing.statements == "per-provider"
    assert crew(planned(engine, request("10", "ben"))) == {"near": "oak", "far": "elm"}


def test_an_agreement_of_the_user_gives_its_price_and_its_billing(engine: Engine) -> None:
    agreed = Agreement(
        "ada-ash",
        "call",
        "cheap",
        payer="ada",
        provider="ash",
        targets=Targets(latency=50),
        billing=Billing(detail="providers"),
    )
    engine.apply(replace(catalog(), agreements={"ada-ash": agreed}))
    shown = planned(engine, request("10"))
    # ada pays ash 0.02 a minute without markup; ash earns its own 0.03 far, and 0.05 near, where it would be below cost
    assert crew(shown) == {"near": "oak", "far": "ash"} and fee(shown) == "0.624000000"  # (0.10 + 0.22 + 0.20) × 1.2
    shown = planned(engine, request("10", limits=Limits(agreements_only=True), relax=("agreements_only",)))
    assert shown.relaxed == ("agreements_only",)
    engine.apply(replace(catalog(), agreements={"ada-ash": replace(agreed, tariff="")}))
    shown = planned(engine, request("10", limits=Limits(agreements_only=True)))
    assert crew(shown) == {"near": "ash", "far": "ash"} and shown.scenarios[0].parts[0].agreement == "ada-ash"
    assert plan_line(engine, shown.id).billing.detail == "providers"


def test_the_highest_rated_provider_or_network_is_taken_first(engine: Engine) -> None:
    good, bad = Observed(succeeded=True), Observed(succeeded=False)
    engine.writer.commit(
        [Observe(service="call", provider="ash", network="south", observed=good) for _ in range(200)]
        + [Observe(service="call", provider="oak", network="west", observed=bad) for _ in range(3)]
    )
    for kind in ("provider", "network"):
        shown = planned(engine, request("10", profile=Profile("p", highest_rated=kind)))  # type: ignore[arg-type]
        assert crew(shown) == {"near": "ash", "far": "ash"}, kind
    assert crew(planned(engine, request("10"))) == {"near": "oak", "far": "elm"}


def test_a_paid_placement_costs_the_user_no_more_than_its_bound_and_is_marked(engine: Engine) -> None:
    paid = Placement("p1", "call", "ash", "25", fee="0.01", parts=("far",))
    engine.apply(replace(catalog(), placements={"p1": paid}))
    shown = planned(engine, request("10"))
    lowest = shown.scenarios[0]
    assert crew(shown) == {"near": "oak", "far": "ash"} and lowest.placed == "0.132"
    assert [part.placed for part in lowest.parts if part.provider == "ash"] == [True]
    assert crew(shown, "best-quality") == {"near": "oak", "far": "elm"}
    engine.apply(replace(catalog(), placements={"p1": replace(paid, bound="20")}))  # it would be 20.37 % dearer
    assert crew(planned(engine, request("10"))) == {"near": "oak", "far": "elm"}


def test_live_offers_capacity_and_switches_decide_what_is_there_now(engine: Engine) -> None:
    offer = Offer("now", "call", "near", "oak", "middle", quality=Quality(20, "0.999"), capacity={"minutes": "5"})
    assert engine.writer.commit([PutOffer(offer=offer)])[0].refusal is None
    shown = planned(engine, request("10"))
    assert crew(shown)["near"] == "elm"  # what oak offers now is too little
    assert crew(planned(engine, request("5")))["near"] == "elm"  # 0.03 a minute both: elm, the smaller id
    engine.writer.commit([SwitchProvider(provider="elm", off=True, seconds=3600, reason="maintenance")])
    shown = planned(engine, request("5"))
    assert crew(shown) == {"near": "oak", "far": "ash"}
    assert any(one.out == "off" and "maintenance" in one.why for one in shown.candidates)


def test_what_a_provider_promised_to_the_user_counts_where_it_is_better(engine: Engine) -> None:
    slow = [Offer(f"ash-{part}", "call", part, "ash", "dear", quality=Quality(200, "0.9")) for part in ("near", "far")]
    agreed = Agreement("sla", "call", payer="ada", provider="ash", targets=Targets(latency=30, availability="0.99"))
    engine.apply(replace(catalog(), offers={one.id: one for one in slow}, agreements={"sla": agreed}))
    wanted = {"without": ("oak", "elm"), "limits": Limits(latency=60, availability="0.98")}
    shown = planned(engine, request("10", **wanted))
    assert crew(shown) == {"near": "ash", "far": "ash"}
    assert (shown.scenarios[0].latency, shown.scenarios[0].availability) == (60, "0.9801")
    with pytest.raises(Refused) as error:
        found_plan(engine, request("10", "ben", **wanted))
    assert error.value.refusal.code is RefusalCode.NO_PLAN


def test_limits_are_kept_end_to_end_and_given_up_in_the_stated_order(engine: Engine) -> None:
    offers = [
        Offer(f"o-{name}-{part}", "call", part, name, tariff, quality=Quality(latency, up))
        for name, tariff, latency, up in (("oak", "cheap", 90, "0.99"), ("ash", "dear", 10, "0.9999"))
        for part in ("near", "far")
    ]
    book = replace(catalog(), offers={one.id: one for one in offers})
    engine.apply(book)
    quick = planned(engine, request("10", without=("elm",), limits=Limits(latency=100)))
    assert sorted(crew(quick).values()) == ["ash", "oak"] and quick.scenarios[0].latency == 100
    sure = planned(engine, request("10", without=("elm",), limits=Limits(availability="0.9998")))
    assert crew(sure) == {"near": "ash", "far": "ash"} and sure.scenarios[0].availability == "0.99980001"
    both = Limits(latency=19, availability="0.9998", budget="5")
    said = refusal(engine, minutes="10", without=("elm",), limits=both).refusal
    assert said.code is RefusalCode.NO_PLAN and "the quickest that keeps the others takes 20 ms, of 19." in said.message
    shown = planned(engine, request("10", without=("elm",), limits=both, relax=("budget", "latency")))
    assert shown.relaxed == ("budget", "latency") and crew(shown) == {"near": "ash", "far": "ash"}


def test_approval_is_asked_for_recorded_and_the_scenario_found_again(engine: Engine) -> None:
    engine.apply(market(catalog(), approval=True))
    said = refusal(engine, minutes="10").refusal
    assert said.code is RefusalCode.NO_PLAN and "approve" in said.message
    shown = planned(engine, request("10", approve=("ash",)))
    assert crew(shown) == {"near": "ash", "far": "ash"} and shown.approval == ("elm", "oak")
    again = planned(engine, request("10"))
    assert crew(again) == {"near": "ash", "far": "ash"}, "it was recorded"


@pytest.mark.parametrize(
    ("more", "code", "field"),
    [
        ({"service": "cal"}, RefusalCode.UNKNOWN_SERVICE, "service"),
        ({"parts": ("middle",)}, RefusalCode.UNKNOWN_PART, "parts"),
        ({"minutes": "-1"}, RefusalCode.BAD_QUANTITY, "quantities.minutes"),
        ({"minutes": "0"}, RefusalCode.BAD_QUANTITY, "quantities"),
        ({"attributes": {"colour": "red"}}, RefusalCode.UNKNOWN_FIELD, "attributes.colour"),
        ({"limits": Limits(budget="-1")}, RefusalCode.BAD_AMOUNT, "limits.budget"),
        ({"limits": Limits(availability="1.1")}, RefusalCode.BAD_QUANTITY, "limits.availability"),
        ({"start": "soon"}, RefusalCode.BAD_TIME, "start"),
        ({"profile": "nobody"}, RefusalCode.BAD_INPUT, "profile"),
    ],
)
def test_a_request_that_can_not_be_read_says_which_field(
    engine: Engine, more: dict[str, object], code: RefusalCode, field: str
) -> None:
    said = refusal(engine, **more).refusal
    assert (said.code, said.field) == (code, field)


def test_an_impossible_budget_names_the_nearest_miss(engine: Engine) -> None:
    said = refusal(engine, minutes="10", limits=Limits(budget="0.60")).refusal
    assert "costs 0.648 EUR, 0.048 above the budget" in said.message


def test_an_offer_in_another_currency_never_counts(engine: Engine) -> None:
    foreign = replace(catalog().tariffs["cheap"], id="dollars", currency="USD")
    engine.apply(replace(catalog(), tariffs={**catalog().tariffs, "dollars": foreign}))
    outcome = engine.writer.commit([PutOffer(offer=Offer("x", "call", "near", "ash", "dollars"))])[0]
    assert outcome.refusal is not None


def test_who_may_see_what_of_a_plan(engine: Engine) -> None:
    shown = planned(engine, request("10"))
    line = plan_line(engine, shown.id)
    user = view(engine, line, Credential("", "main", AccessRole.USER, "", "", "ada"))
    assert fee(user) == fee(shown) and not user.scenarios[0].cost and not any(p.cost for p in user.scenarios[0].parts)
    assert {one.fee for one in user.candidates if one.provider == "ash"} == {"0.396000000", "0.660000000"}
    assert not any(one.cost for one in user.candidates)
    elm = view(engine, line, Credential("", "main", AccessRole.PROVIDER, "", "", "elm"))
    [part] = elm.scenarios[0].parts
    assert (part.provider, part.cost, part.fee, elm.scenarios[0].total) == ("elm", "0.200000000", "", "")
    assert {one.provider for one in elm.candidates} == {"elm"} and "0.132" not in str(elm.candidates)


def test_what_is_passed_on_is_charged_by_a_plan_and_never_without_the_parts(engine: Engine) -> None:
    record = Usage(
        "meter", "1", "call", datetime(2026, 11, 2, tzinfo=UTC), None, (PayerUse("ada"),), (), {"minutes": "1"}, {}
    )
    said = engine.charge([record])[0].refusal
    assert said is not None and said.code is RefusalCode.NO_PRICE and "plan" in said.fix


def test_a_budget_holds_to_the_last_atom_after_rounding(engine: Engine) -> None:
    """Net and tax are rounded one by one: the total may be an atom above the exact fee, and never above the budget."""
    tiny = replace(catalog().tariffs["cheap"].components[0], price="0.0000000014")
    tariffs = {**catalog().tariffs, "cheap": replace(catalog().tariffs["cheap"], components=(tiny,))}
    engine.apply(replace(catalog(), tariffs=tariffs))
    free = Decimal(fee(planned(engine, request("1"))))
    for atoms in range(4):
        budget = free - atoms * Decimal("0.000000001")
        try:
            assert Decimal(fee(planned(engine, request("1", limits=Limits(budget=str(budget)))))) <= budget
        except Refused as refused:
            assert refused.refusal.code is RefusalCode.NO_PLAN


def test_a_profile_that_comes_with_a_request_is_read_as_strictly_as_a_stored_one(engine: Engine) -> None:
    said = refusal(engine, profile=Profile(providers=Preference(order=("nobody",)))).refusal
    assert said.code is RefusalCode.BAD_INPUT and said.field == "profile.providers" and "nobody" in said.message
