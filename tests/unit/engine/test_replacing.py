"""A provider lost while a session runs: the next best plan for what is still to come, exact and all at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from apportion.engine.broker.mending import Broken, Mending
from apportion.engine.broker.planning import found_plan
from apportion.engine.broker.replacing import Replace, replacement
from apportion.engine.explain import View
from apportion.engine.inquiry import explain
from apportion.engine.market.standing import taken
from apportion.errors import RefusalCode, Refused
from apportion.model.catalog import Catalog
from apportion.model.command import Outcome, PlaceHold
from apportion.model.market import Interconnect, Offer, ProviderTerms
from apportion.model.plan import CrewFound, PlanLine, PlanState
from apportion.model.request import Limits, Request
from apportion.model.session import SessionState
from apportion.model.session_asked import Change, PartAsked
from apportion.model.standing import SwitchProvider
from apportion.ports import Store
from tests.markets import catalog, request
from tests.plans import PlanRig
from tests.sessions import Proved, plain

replace = msgspec.structs.replace


class Market(PlanRig):
    """The calls of ``tests/markets.py``, with sessions by what the broker finds."""

    def __init__(self, given: Catalog | None = None, store: Store | None = None) -> None:
        super().__init__(given or catalog(), store)

    def found(self, wanted: Request) -> PlanLine:
        outcome = self.do(found_plan(self.engine, wanted))
        assert outcome.refusal is None, outcome.refusal
        return self.plan(outcome.id)

    def begun(self, wanted: Request | None = None, minutes: str = "4") -> str:
        """A call of ten planned minutes of which some were used."""
        id = self.accepted(self.found(wanted or request("10")).id)
        assert self.talk(id, 1, minutes).refusal is None
        return id

    def talk(self, id: str, number: int, minutes: str) -> Outcome:
        """A report of so many minutes, and as many more wanted as this market ever needs."""
        return self.report(id, number, minutes, seconds=60, measure="minutes", requested={"minutes": "20"})

    def find(self, id: str, *lost: str) -> CrewFound:
        return replacement(self.engine, id, Replace(lost))

    def lose(self, id: str, *lost: str) -> Outcome:
        return self.do(self.find(id, *lost))

    def crew(self, id: str) -> dict[str, str]:
        return {meter.part: meter.provider for meter in self.line(id).meters[1:] if not meter.ended}

    def taken(self, *offers: str) -> dict[str, str]:
        found = taken(self.engine.store, self.engine.tenant, offers)
        return {offer: units["minutes"].text() for offer, units in found.items()}


def market(found: Catalog | None = None, **changes: Any) -> Catalog:
    found = found or catalog()
    call = found.services["call"]
    return replace(found, services={"call": replace(call, market=replace(call.market, **changes))})


def refused(ask: Callable[[], Any]) -> RefusalCode:
    with pytest.raises(Refused) as error:
        ask()
    return error.value.refusal.code


def test_what_is_still_to_come_goes_to_the_next_best_at_its_price() -> None:
    rig = Market()
    id = rig.begun()
    assert rig.crew(id) == {"near": "oak", "far": "elm"} and rig.balance("ada") == "49.6688"
    assert rig.lose(id, "elm").refusal is None
    assert rig.crew(id) == {"near": "oak", "far": "ash"} and rig.line(id).event == "altered"
    plan = rig.plan(rig.line(id).plan)
    lowest = plan.scenarios[0]
    assert (plan.quantities, plan.used, plan.lost) == ({"minutes": "6"}, {"minutes": "4"}, ("elm",))
    # 6 × (0.02 + 0.03) × 1.1 and 20 % on it; no second connection
    assert (plain(lowest.net), plain(lowest.total), plain(lowest.cost)) == ("0.33", "0.396", "0.3")
    assert {part.part: part.going for part in lowest.parts} == {"near": True, "far": False}
    rig.talk(id, 2, "10")
    rig.end(id)
    assert rig.balance("ada") == "49.2728" and rig.balance("ada", "held") == "0"  # 50 − 0.3312 − 0.396
    assert rig.income() == {"oak": "0.2", "elm": "0.08", "ash": "0.18", "vat@20": "0.1212", "fees": "0.146"}


def test_it_can_be_lost_again_and_again_and_every_time_the_rest_is_planned() -> None:
    rig = Market()
    id = rig.begun()
    assert rig.lose(id, "elm").refusal is None
    rig.talk(id, 2, "7")
    assert rig.lose(id, "oak").refusal is None
    plan = rig.plan(rig.line(id).plan)
    assert (plan.quantities, plan.used) == ({"minutes": "3"}, {"minutes": "7"})
    assert rig.crew(id) == {"near": "ash", "far": "ash"}
    assert refused(lambda: rig.lose(id, "ash", "elm", "oak")) is RefusalCode.NO_PLAN
    rig.talk(id, 3, "12")  # more than was planned
    rig.end(id)
    # 0.3312, 3 × 0.05 × 1.32, 5 × 0.08 × 1.32
    assert rig.balance("ada") == "48.9428"
    assert rig.income() == {"oak": "0.14", "elm": "0.08", "ash": "0.49", "vat@20": "0.1762", "fees": "0.171"}


def test_who_was_lost_earlier_is_taken_again_only_when_nobody_else_is_left() -> None:
    rig = Market()
    id = rig.begun(request("10", without=("fir",)))
    rig.lose(id, "elm")
    rig.lose(id, "oak")
    assert rig.crew(id) == {"near": "ash", "far": "ash"}, "elm would cost less"
    rig.lose(id, "ash")
    assert rig.crew(id) == {"near": "oak", "far": "elm"}
    rig.lose(id, "ash", "oak")
    assert rig.crew(id) == {"near": "elm", "far": "elm"}
    rig.end(id)


def test_once_all_is_used_as_much_again_is_planned() -> None:
    rig = Market()
    id = rig.begun(minutes="4")
    rig.talk(id, 2, "10")
    rig.lose(id, "elm")
    plan = rig.plan(rig.line(id).plan)
    assert (plan.quantities, plan.used) == ({"minutes": "10"}, {"minutes": "10"})
    rig.end(id)


def with_offers(minutes: str = "10") -> Catalog:
    offers = [
        Offer(f"{name}-{part}", "call", part, name, tariff, capacity={"minutes": minutes})
        for name, part, tariff in (("oak", "near", "cheap"), ("elm", "far", "cheap"), ("ash", "far", "middle"))
    ]
    return replace(catalog(), offers={one.id: one for one in offers})


def test_capacity_goes_back_and_is_taken_and_what_the_session_has_itself_is_free_for_it() -> None:
    rig = Market(with_offers("10"))
    id = rig.begun()
    assert rig.taken("oak-near", "elm-far", "ash-far") == {"oak-near": "10", "elm-far": "10"}
    assert rig.lose(id, "elm").refusal is None
    assert rig.crew(id) == {"near": "oak", "far": "ash"}
    assert rig.taken("oak-near", "elm-far", "ash-far") == {"oak-near": "6", "ash-far": "6"}
    rig.end(id)
    assert rig.taken("oak-near", "elm-far", "ash-far") == {}


def test_without_the_funds_it_is_refused_and_the_session_goes_on_as_before() -> None:
    poor = replace(with_offers(), payers={"ada": replace(catalog().payers["ada"], opening="1")})
    rig = Market(market(poor, markup="0"))
    # 2 minutes cost (0.10 + 0.08) × 1.2, 3 more are held; of the rest somebody else has all but a cent
    id = rig.accepted(rig.found(request("10")).id)
    rig.report(id, 1, "2", seconds=60, measure="minutes", requested={"minutes": "3"})
    assert rig.do(PlaceHold("ada", "0.63", "EUR", "others", "2099-01-01T00:00:00Z")).refusal is None
    before, held = rig.line(id), rig.balance("ada", "held")
    outcome = rig.lose(id, "elm")
    assert outcome.refusal is not None and outcome.refusal.code is RefusalCode.INSUFFICIENT_FUNDS
    assert rig.line(id) == before and rig.balance("ada", "held") == held
    assert rig.taken("oak-near", "elm-far", "ash-far") == {"oak-near": "10", "elm-far": "10"}
    rig.report(id, 2, "5", seconds=10, measure="minutes")
    rig.top_up("ada", "5")
    assert rig.lose(id, "elm").refusal is None
    rig.end(id)
    assert rig.balance("ada") == "5.64"  # (0.10 + 5 × 0.04) × 1.2


def test_nobody_else_fits_and_the_session_goes_on() -> None:
    rig = Market()
    id = rig.begun()
    before = rig.line(id)
    assert refused(lambda: rig.lose(id, "elm", "ash", "oak")) is RefusalCode.NO_PLAN
    assert rig.line(id) == before
    rig.talk(id, 2, "5")
    rig.end(id)
    assert refused(lambda: rig.lose(id, "elm")) is RefusalCode.SESSION_CLOSED
    assert refused(lambda: rig.lose("ses_" + "0" * 32, "elm")) is RefusalCode.NOT_FOUND
    rig.engine.apply(market(retail="fixed", markup="0"))
    parts = (PartAsked("near", "oak"), PartAsked("far", "elm"))
    other = rig.open("ada", parts=parts, requested={"minutes": "1"})
    assert refused(lambda: rig.lose(other, "elm")) is RefusalCode.BAD_INPUT


def test_the_called_number_decides_the_price_again_and_stays_out_of_the_books() -> None:
    found = catalog()
    offers = [
        Offer(f"{name}-far", "call", "far", name, tariff, when={"called": ("49*",)})
        for name, tariff in (("elm", "cheap"), ("ash", "middle"))
    ]
    offers.append(Offer("oak-far", "call", "far", "oak", "cheap", when={"called": ("44*",)}))
    call = found.services["call"]
    known = replace(call, attributes=frozenset({"called", "title"}), personal=frozenset({"called"}))
    rig = Market(replace(found, services={"call": known}, offers={one.id: one for one in offers}))
    wanted = request("10", "ada", "ben", attributes={"called": "+4915112345678"})
    id = rig.begun(wanted)
    assert rig.crew(id)["far"] == "elm"
    rig.ask(id, Change(leave=("ada",)))  # whose number it was
    assert rig.lose(id, "elm").refusal is None
    assert rig.crew(id)["far"] == "ash"
    assert refused(lambda: rig.lose(id, "ash", "elm")) is RefusalCode.NO_PLAN, "oak serves other numbers"
    rig.end(id)
    assert not any(b"15112345678" in row for row in rows_of(rig))


def rows_of(rig: Proved) -> list[bytes]:
    return [msgspec.json.encode(line) for _, line in rig.engine.books.lines()]


def test_several_payers_go_on_sharing() -> None:
    rig = Market()
    id = rig.begun(request("10", "ada", "ben"))
    assert rig.lose(id, "elm").refusal is None
    rig.talk(id, 2, "10")
    rig.end(id)
    assert (rig.balance("ada"), rig.balance("ben")) == ("49.6364", "49.6364")


def test_payers_pay_no_set_up_twice_and_the_platform_bears_it_within_its_margin() -> None:
    costly = market(terms={"ash": ProviderTerms("0.36"), "oak": ProviderTerms("0.01")})
    rig = Market(costly)
    id = rig.begun()
    # so far 0.276 + 0.011 net, 0.17 cost: 0.117 was kept. To come 0.33 net, 0.30 cost and ash's set-up
    assert rig.balance("ada") == "49.6556"
    assert refused(lambda: rig.lose(id, "elm", "oak")) is RefusalCode.NO_PLAN
    assert rig.lose(id, "elm").refusal is None
    assert rig.crew(id) == {"near": "oak", "far": "oak"}, "oak was set up before: 0.42 is less than ash with 0.36"
    rig.talk(id, 2, "10")
    rig.end(id)
    assert rig.balance("ada") == "49.1012"  # 6 × 0.07 × 1.32
    rig = Market(market(terms={"ash": ProviderTerms("0.1")}))
    id = rig.begun()
    assert rig.lose(id, "elm").refusal is None
    assert rig.crew(id) == {"near": "oak", "far": "ash"}
    rig.talk(id, 2, "10")
    rig.end(id)
    assert rig.balance("ada") == "49.2728", "as without a set-up fee"
    # the slices that the set-up fee falls into cost more than they bring: their sponsor adds that
    earned = {"oak": "0.2", "elm": "0.08", "ash": "0.28", "vat@20": "0.1212"}
    assert rig.income() == {**earned, "fees": "0.116", "marketing": "-0.07"}


def test_the_budget_is_that_of_the_whole() -> None:
    for budget, fits in (("0.727", False), ("0.7272", True)):
        rig = Market()
        id = rig.begun(request("10", limits=Limits(budget=budget)))
        if fits:
            assert rig.lose(id, "elm").refusal is None
        else:
            assert refused(lambda rig=rig, id=id: rig.lose(id, "elm")) is RefusalCode.NO_PLAN
        rig.end(id)


def test_of_two_that_are_found_at_the_same_time_one_takes_over() -> None:
    rig = Market()
    id = rig.begun()
    first, second = rig.find(id, "elm"), rig.find(id, "elm")
    one, two = rig.engine.writer.commit([first, second])
    assert one.refusal is None
    assert two.refusal is not None and two.refusal.code is RefusalCode.PLAN_ENDED
    assert rig.plan(first.made.line.id).state is PlanState.ACCEPTED
    assert rig.plan(second.made.line.id).state is PlanState.QUOTED
    stale = rig.find(id, "ash")
    rig.lose(id, "oak")
    assert rig.do(stale).refusal is not None
    rig.end(id)


def test_who_goes_on_is_not_paid_for_the_same_crossing_twice() -> None:
    linked = market(links=(("near", "far"),))
    crossings = tuple(Interconnect(a, b, "0.04") for a in ("west", "south") for b in ("east", "west"))
    rig = Market(replace(linked, interconnects=crossings))
    id = rig.begun()
    assert rig.crew(id) == {"near": "elm", "far": "elm"} or rig.crew(id) == {"near": "oak", "far": "elm"}
    assert rig.lose(id, "oak").refusal is None
    rig.talk(id, 2, "10")
    rig.end(id)


def test_who_is_switched_off_is_lost() -> None:
    rig = Market()
    id = rig.begun()
    found = rig.find(id, "elm")
    rig.do(SwitchProvider(provider="ash", off=True, reason="works"))
    outcome = rig.do(found)
    assert outcome.refusal is not None and outcome.refusal.code is RefusalCode.PLAN_ENDED
    assert rig.lose(id, "elm").refusal is None and rig.crew(id)["far"] == "oak"
    rig.end(id)


def test_a_session_that_fell_silent_as_a_whole_goes_on_with_another_crew() -> None:
    rig = Market(market(replace=True))
    id = rig.begun()
    rig.report(id, 1, "4", part="far", measure="minutes", requested={"minutes": "5"})
    mending = Mending()
    assert mending.look(rig.engine) == []
    rig.clock.move(298)
    assert mending.look(rig.engine) == [], "it is about to be due"
    rig.wait(3)
    assert rig.line(id).state is SessionState.SUSPENDED and rig.line(id).reason == "silent"
    assert mending.look(rig.engine) == [Broken(id, ("elm",))]
    assert rig.lose(id, "elm").refusal is None
    assert mending.look(rig.engine, [id]) == []
    rig.talk(id, 2, "5")
    assert rig.line(id).state is SessionState.ACTIVE and rig.crew(id) == {"near": "oak", "far": "ash"}
    rig.end(id)
    told = explain(rig.engine, id, View())
    facts = {fact.name: fact.note for section in told.sections for fact in section.facts}
    assert facts["plan before"] == "elm was lost after 4 minutes"


def test_only_services_that_say_so_are_mended() -> None:
    rig = Market()
    id, mending = rig.begun(), Mending()
    rig.do(SwitchProvider(provider="elm", off=True, reason="works"))
    assert mending.look(rig.engine) == []
    rig.engine.apply(market(replace=True))
    assert mending.look(rig.engine) == [Broken(id, ("elm",))]
    rig.do(SwitchProvider(provider="elm", off=False))
    assert mending.look(rig.engine, [id]) == []
    rig.do(SwitchProvider(by="elm", provider="elm", off=True, reason="full"))
    assert mending.look(rig.engine, [id]) == []
    rig.end(id)


def test_units_that_were_bought_and_set_aside_for_the_session_cover_what_is_still_to_come() -> None:
    rig = Market()
    rig.buy("ada", "0.9", "9", "minutes")
    id = rig.begun()
    assert rig.allowances()[0].left == "0", "all of it is set aside"
    assert rig.lose(id, "elm").refusal is None
    plan = rig.plan(rig.line(id).plan)
    assert (plan.quantities, plan.covered) == ({"minutes": "6"}, {"minutes": "5"})
    assert plain(plan.scenarios[0].total) == "0.066"  # a minute at 0.05
    rig.talk(id, 2, "10")
    rig.end(id)
    # what was bought, the connection, a minute
    assert rig.balance("ada") == "48.914"
