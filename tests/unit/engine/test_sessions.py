"""Sessions: slices that add up, bounds that hold, silence, shortage and the way back."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.structs import replace

from apportion.engine import billing
from apportion.engine.explain import Fact, View
from apportion.engine.inquiry import explain
from apportion.engine.sessions.contract import Contract
from apportion.engine.sessions.slice import cut
from apportion.errors import RefusalCode
from apportion.model.band import Band
from apportion.model.command import Grant
from apportion.model.funding import Alternate, AutoTopUp
from apportion.model.party import Payer
from apportion.model.payment import EndPayment, SendPayment
from apportion.model.session import SessionState, TaxSum
from apportion.model.session_asked import Accepted, Change, Confirmed, Ended, PartAsked, Report, SessionCommand
from apportion.model.statement import Statement
from apportion.model.tariff import Flat, Tariff, Unit
from apportion.model.usage import PayerUse, UsageClass
from tests.sessions import Proved as Rig
from tests.sessions import catalog


def test_a_call_is_charged_while_it_runs() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    id = rig.open("ada")
    assert rig.balance("ada", "held") == "0.65"  # the start and the first minute
    assert rig.report(id, 1, "50", seconds=50).state is UsageClass.CHARGED
    assert rig.balance("ada") == "9.45" and rig.balance("ada", "held") == "0.6"
    assert rig.line(id).meters[0].granted == {"seconds": "110"}
    rig.report(id, 2, "90", seconds=40)
    line = rig.end(id)
    assert line.state is SessionState.CLOSED and line.reason == "ended"
    assert rig.balance("ada") == "9.05" and rig.balance("ada", "held") == "0"
    assert rig.income() == {"telco": "0.09", "bridge-a": "0.36", "fees": "0.5"}


def test_a_session_that_its_payer_can_not_start_is_refused_and_holds_nothing() -> None:
    rig = Rig()
    outcome = rig.do_open("ada")
    assert outcome.refusal is not None and outcome.refusal.code is RefusalCode.INSUFFICIENT_FUNDS
    assert rig.balance("ada", "held") == "0"


def test_reports_that_come_again_or_late_change_nothing_and_one_that_goes_down_is_refused() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    id = rig.open("ada")
    rig.report(id, 1, "20", seconds=20)
    rig.report(id, 3, "50", seconds=30)
    assert rig.report(id, 3, "50").state is UsageClass.DUPLICATE
    assert rig.report(id, 2, "30").state is UsageClass.DUPLICATE
    late = rig.report(id, 2, "51")
    assert late.refusal is not None and late.refusal.code is RefusalCode.CONFLICT
    down = rig.report(id, 4, "49")
    assert down.refusal is not None and down.refusal.code is RefusalCode.COUNTER_DECREASED
    assert rig.balance("ada") == "9.45" and rig.events(id)[-1] == "flagged"
    assert rig.line(id).meters[0].used == {"seconds": "50"}


def test_what_is_used_beyond_a_grant_is_the_providers_loss() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    id = rig.open("ada")
    rig.report(id, 1, "100", seconds=100)
    assert rig.balance("ada") == "9.35"  # sixty seconds and the start, not a hundred
    rig.report(id, 2, "110", seconds=10)
    rig.end(id)
    assert rig.balance("ada") == "9.25"
    assert rig.income() == {"telco": "0.07", "bridge-a": "0.28", "fees": "0.4"}


def test_near_the_end_of_the_value_grants_shrink_and_the_last_one_is_final() -> None:
    rig = Rig()
    rig.top_up("ada", "1")
    id = rig.open("ada")
    granted = rig.drain(id)
    assert granted[-1] == 95 == int(rig.line(id).meters[0].used["seconds"])
    assert rig.balance("ada") == "0" and rig.line(id).state is SessionState.SUSPENDED
    assert rig.events(id).count("low") == 1 and rig.line(id).offer is not None
    steps = [b - a for a, b in zip(granted, granted[1:], strict=False)]
    assert steps[0] < 60 and steps == sorted(steps, reverse=True)


def test_a_suspended_session_resumes_on_a_part_payment_and_ends_when_nobody_pays() -> None:
    rig = Rig()
    rig.top_up("ada", "0.65")
    id = rig.open("ada")
    rig.drain(id)
    line = rig.line(id)
    assert line.state is SessionState.SUSPENDED and line.offer is not None and rig.balance("ada") == "0"
    assert (line.offer.least, line.offer.needed) == ("0.010000000", "0.600000000")
    rig.top_up("ada", "0.20")
    rig.wait(1)
    assert rig.line(id).state is SessionState.ACTIVE and rig.balance("ada", "held") == "0.1"
    rig.drain(id)
    assert rig.line(id).state is SessionState.SUSPENDED and rig.balance("ada") == "0"
    assert rig.line(id).meters[0].used == {"seconds": "80"}
    rig.wait(599)
    assert rig.line(id).state is SessionState.SUSPENDED
    rig.wait(2)
    line = rig.line(id)
    assert line.state is SessionState.CLOSED and line.reason == "no_value" and line.offer is None
    told = [event for event in rig.events(id) if event != "reported"]
    assert told == ["opened", "low", "suspended", "resumed", "low", "suspended", "closed"]
    assert rig.income() == {"telco": "0.08", "bridge-a": "0.32", "fees": "0.45"}


def test_a_part_that_reports_for_itself_is_paid_for_beyond_what_the_whole_was_granted_first() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    id = rig.open("ada", service="download")  # 5 GB are granted to the whole
    for number, used in enumerate(("3", "8", "13", "15"), 1):  # 0.12 each, and five more held
        rig.report(id, number, used, seconds=1, part="net", measure="gigabytes")
        assert rig.balance("ada") == f"{10 - int(used) * 0.12:.2f}".rstrip("0")
        assert rig.balance("ada", "held") == "0.6"
    rig.end(id)
    # net 3, title 1 and the platform 1 of what is no tax
    assert rig.income() == {"telco": "0.9", "studio": "0.3", "fees": "0.3", "vat@20": "0.3"}


def test_the_whole_need_not_report_where_every_part_does() -> None:
    known = catalog()
    call = known.services["call"]
    known = replace(known, services={"call": replace(call, parts={"bridge": call.parts["bridge"]})})
    rig = Rig(known)
    rig.top_up("ada", "10")
    id = rig.open("ada")
    for number in range(1, 6):  # a validity time is a minute
        rig.report(id, number, str(50 * number), seconds=50, part="bridge")
        rig.wait(0)
    assert rig.line(id).state is SessionState.ACTIVE and rig.line(id).meters[0].until == ""
    rig.report(id, 6, "260", seconds=10, part="bridge", final=True)
    assert rig.line(id).state is SessionState.CLOSED and rig.balance("ada") == "7.35"  # 0.05 + 260 × 0.01
    assert rig.income() == {"bridge-a": "1.04", "fees": "1.61"}


def test_silence_suspends_and_then_closes_and_charges_only_what_was_reported() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    id = rig.open("ada")
    rig.report(id, 1, "30", seconds=30)
    rig.wait(59)
    assert rig.line(id).state is SessionState.ACTIVE
    rig.wait(2)
    assert (rig.line(id).state, rig.line(id).reason) == (SessionState.SUSPENDED, "silent")
    rig.wait(61)
    assert (rig.line(id).state, rig.line(id).reason) == (SessionState.CLOSED, "silent")
    assert rig.balance("ada") == "9.65" and rig.balance("ada", "held") == "0"


def test_ending_twice_is_ending_once() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    id = rig.open("ada")
    rig.end(id)
    assert rig.ask(id, Ended()).state is UsageClass.DUPLICATE
    closed = rig.report(id, 1, "5")
    assert closed.refusal is not None and closed.refusal.code is RefusalCode.SESSION_CLOSED
    assert rig.balance("ada") == "10" and rig.events(id) == ["opened", "closed"]


def test_parts_that_report_for_themselves_are_granted_apart() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    parts = (PartAsked("access", requested={"seconds": "10"}), PartAsked("bridge", requested={"seconds": "20"}))
    id = rig.open("ada", parts=parts)
    assert rig.balance("ada", "held") == "0.35"
    rig.report(id, 1, "10", seconds=10, part="access")
    rig.report(id, 1, "8", seconds=1, part="bridge")
    rig.end(id)
    assert rig.balance("ada") == "9.77"  # the parts' seconds add up
    assert rig.income() == {"telco": "0.01", "bridge-a": "0.032", "fees": "0.188"}


def test_a_provider_is_swapped_while_the_call_runs() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    id = rig.open("ada")
    rig.report(id, 1, "50", seconds=50)
    outcome = rig.ask(id, Change({"bridge": "bridge-b"}))
    assert outcome.refusal is None
    rig.report(id, 2, "100", seconds=50)
    line = rig.end(id)
    assert rig.balance("ada") == "8.95" and line.slices == 2  # the user pays what was agreed
    # fifty seconds of the first bridge, then the start fee and fifty seconds of the second
    assert rig.income() == {"telco": "0.1", "bridge-a": "0.2", "bridge-b": "0.16", "fees": "0.59"}


def test_a_swap_to_somebody_unknown_or_at_a_loss_changes_nothing() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    id = rig.open("ada")
    before = rig.line(id)
    for change, code in (
        (Change({"bridge": "nobody"}), RefusalCode.UNKNOWN_PROVIDER),
        (Change({"tunnel": "telco"}), RefusalCode.UNKNOWN_PART),
        (Change(leave=("ada",)), RefusalCode.UNKNOWN_PAYER),
        (Change(leave=("bob",)), RefusalCode.UNKNOWN_PAYER),
    ):
        refusal = rig.ask(id, change).refusal
        assert refusal is not None and refusal.code is code
    assert rig.line(id) == before


def test_payers_join_and_leave_and_each_pays_for_their_time() -> None:
    rig = Rig()
    for name in ("ada", "bob"):
        rig.top_up(name, "10")
    id = rig.open("ada")
    rig.report(id, 1, "45", seconds=45)
    assert rig.ask(id, Change(join=(PayerUse("bob"),))).refusal is None
    rig.report(id, 2, "95", seconds=50)
    assert rig.ask(id, Change(leave=("ada",))).refusal is None
    assert rig.balance("ada", "held") == "0"
    rig.report(id, 3, "105", seconds=10)
    rig.end(id)
    # 0.50 alone, 0.25 each of 0.50, then 0.10 by bob alone
    assert rig.balance("ada") == "9.25" and rig.balance("bob") == "9.65"
    assert rig.balance("bob", "held") == "0"


def test_shares_by_the_cost_of_serving_each_and_one_who_pays_nothing() -> None:
    rig = Rig()
    for name in ("ada", "bob"):
        rig.top_up(name, "100")
    id = rig.open("ada", "bob", PayerUse("cleo", pays=False), service="download")
    more = {"measure": "gigabytes"}
    rig.report(id, 1, "1", payer="ada", **more)
    rig.report(id, 2, "4", payer="bob", **more)
    rig.report(id, 3, "5", payer="cleo", **more)
    rig.end(id)
    # 5 GB at 0.10 and a fifth tax are 0.60; ada used a quarter and bob three of what payers used
    assert rig.balance("ada") == "99.85" and rig.balance("bob") == "99.55" and rig.balance("cleo") == "0"
    assert rig.income() == {"telco": "0.3", "studio": "0.1", "fees": "0.1", "vat@20": "0.1"}


def test_when_nobody_pays_the_sponsor_does() -> None:
    given = catalog()
    free = replace(given.services["call"], exempt=("cleo",), sponsor="charity")
    rig = Rig(replace(given, services={"call": free}))
    id = rig.open("cleo")
    rig.report(id, 1, "50", seconds=50)
    rig.end(id)
    assert rig.income() == {"telco": "0.05", "bridge-a": "0.2", "fees": "0.3", "charity": "-0.55"}


def test_a_tariff_boundary_at_local_midnight_cuts_the_slice() -> None:
    given = catalog()
    night = Tariff(
        id="call", currency="EUR", zone="Europe/Berlin",
        components=(
            Unit(name="day", measure="seconds", price="0.02", when=("other",)),
            Unit(name="night", measure="seconds", price="0.005", when=("night",)),
        ),
        bands={"night": Band(("00:00-06:00",))},
    )  # fmt: skip
    rig = Rig(replace(given, tariffs={**given.tariffs, "call": night}))
    rig.clock.at = datetime(2026, 11, 20, 22, 59, 30, tzinfo=UTC)  # half a minute before midnight in Berlin
    rig.top_up("ada", "10")
    id = rig.open("ada")
    assert rig.balance("ada", "held") == "0.75"  # thirty seconds by day, thirty by night
    rig.report(id, 1, "60", seconds=60)
    assert rig.balance("ada") == "9.25" and rig.line(id).slices == 1
    rig.report(id, 2, "100", seconds=40)
    rig.end(id)
    assert rig.balance("ada") == "9.05"


def test_the_receiver_confirms_what_a_silent_part_still_delivered_and_no_more() -> None:
    rig = Rig(catalog(receipt=("seconds",)))
    rig.top_up("ada", "10")
    id = rig.open("ada")
    rig.report(id, 1, "30", seconds=30)
    early = rig.ask(id, Confirmed({"seconds": "60"}))
    assert early.refusal is not None and early.refusal.field == "part"
    rig.wait(61)
    much = rig.ask(id, Confirmed({"seconds": "91"}))
    assert much.refusal is not None and much.refusal.code is RefusalCode.BAD_QUANTITY
    assert rig.ask(id, Confirmed({"seconds": "90"}), payer="ada").refusal is None
    rig.wait(61)
    assert rig.line(id).reason == "silent" and rig.balance("ada") == "9.05" and rig.balance("ada", "held") == "0"


def test_a_low_balance_is_told_once_and_value_in_time_makes_it_well() -> None:
    rig = Rig(catalog(low="9"))
    rig.top_up("ada", "10")
    id = rig.open("ada")
    rig.report(id, 1, "60", seconds=60)
    line = rig.line(id)
    assert line.state is SessionState.LOW and line.offer is not None
    rig.report(id, 2, "80", seconds=20)
    rig.top_up("ada", "10")
    rig.wait(1)
    rig.report(id, 3, "90", seconds=10)
    assert rig.line(id).state is SessionState.ACTIVE and rig.line(id).offer is None
    assert [event for event in rig.events(id) if event != "reported"] == ["opened", "low", "resumed"]


def test_a_session_of_anothers_is_not_there() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    id = rig.open("ada")
    for command in (
        SessionCommand(id, Ended(), payer="bob"),
        SessionCommand(id, Ended(), provider="bridge-b"),
        SessionCommand("ses_" + "0" * 32, Ended()),
    ):
        refusal = rig.do(command).refusal
        assert refusal is not None and refusal.code is RefusalCode.NOT_FOUND
    other = rig.do(SessionCommand(id, Report(1, {"seconds": "5"}, part="bridge"), provider="telco"))
    assert other.refusal is not None and other.refusal.code is RefusalCode.UNKNOWN_PART


def test_sessions_are_explained_and_stand_on_statements_like_any_charge() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    id = rig.open("ada")
    for number in (1, 2, 3):
        rig.report(id, number, str(40 * number), seconds=40)
    rig.end(id)
    story = explain(rig.engine, id, View())
    assert story.title == "1.25 EUR for a session of call, closed" and story.holds
    last = list(rig.engine.books.records())[-1].charge
    slice_ = explain(rig.engine, last.id, View())
    assert (
        slice_.holds
        and Fact("came to so far", "1.25 EUR", f"until {rig.line(id).through}") in slice_.sections[-1].facts
    )
    rig.clock.move(20 * 86400)
    rig.engine.close_period("2026-11")
    documents = {document.name: document for document in billing.issue(rig.engine)}
    assert {name: documents[name].total for name in documents} == {"ada": "1.25", "telco": "0.12", "bridge-a": "0.48"}
    mine = documents["ada"]
    assert isinstance(mine, Statement)
    assert [(item.label, item.quantity, item.total) for item in mine.sections[0].items] == [
        ("Seconds", "120", "1.20"), ("Start", "", "0.05"),
    ]  # fmt: skip


def test_a_session_that_ends_while_a_slice_waits_is_proved_with_what_rounding_kept() -> None:
    rig = Rig()
    rig.top_up("ada", "20")
    id = rig.open("ada", requested={"seconds": "500"})
    rig.report(id, 1, "77", part="access", final=True)
    rig.report(id, 1, "64", final=True)  # the whole counts less than its part did: nothing more is due
    assert rig.line(id).state is SessionState.CLOSED and rig.balance("ada") == "19.18"


def paying(limit: str = "0.30", grace: int = 30) -> Rig:
    """A call on its last coins, whose payer has a means of payment."""
    given = catalog(grace=grace, grace_limit=limit)
    auto = Payer("ada", "EUR", auto_topup=AutoTopUp("5", "tok_ok"))
    rig = Rig(replace(given, payers={"ada": auto}))
    rig.top_up("ada", "0.65")
    return rig


def payment(rig: Rig, outcome: str) -> None:
    """The payment that is under way is sent and ends so."""
    line = rig.payments()[-1]
    if line.state == "created":
        assert rig.do(SendPayment(line.id, line.n, "2026-11-20T13:00:00Z")).refusal is None
        line = rig.payments()[-1]
    amounts = {"amount": line.amount, "currency": "EUR"} if outcome == "succeeded" else {}
    due = "2026-11-20T13:00:00Z" if outcome in ("pending", "unknown") else ""
    assert rig.do(EndPayment(line.id, line.n, outcome, due=due, **amounts)).refusal is None


def test_while_a_payment_is_on_its_way_the_session_goes_on_upon_the_limit() -> None:
    rig = paying()
    id = rig.open("ada")
    rig.drain(id)
    line = rig.line(id)
    assert line.state is SessionState.GRACE and len(rig.payments()) == 1
    assert line.meters[0].used == {"seconds": "90"}  # thirty cents beyond the own value, and no more
    assert rig.balance("ada") == "-0.3" and rig.balance("ada", "available") == "0"
    payment(rig, "succeeded")
    rig.wait(1)
    assert rig.line(id).state is SessionState.ACTIVE and rig.balance("ada", "credit") == "0"
    rig.report(id, 99, "120", seconds=10)
    rig.end(id)
    assert rig.balance("ada") == "4.4"


def test_a_payment_that_fails_or_is_unknown_gives_nothing_more() -> None:
    for outcome in ("failed", "unknown"):
        rig = paying()
        id = rig.open("ada")
        rig.drain(id)
        payment(rig, outcome)
        rig.wait(31)
        line = rig.line(id)
        assert line.state is SessionState.SUSPENDED and rig.balance("ada", "credit") == "0"
        assert rig.balance("ada") == "-0.3"  # what was drawn is the payer's debt
        rig.wait(601)
        assert rig.line(id).reason == "no_value" and rig.line(id).state is SessionState.CLOSED


def test_two_sessions_of_one_payer_share_one_payment_and_one_limit() -> None:
    rig = paying()
    rig.top_up("ada", "0.65")
    ids = [rig.open("ada") for _ in range(2)]
    for id in ids:
        rig.drain(id)
    assert len(rig.payments()) == 1 and rig.balance("ada") == "-0.3"
    payment(rig, "succeeded")
    rig.wait(1)
    assert [rig.line(id).state for id in ids] == [SessionState.ACTIVE] * 2


def test_an_offer_is_accepted_once_however_often() -> None:
    rig = Rig(replace(catalog(), payers={"ada": Payer("ada", "EUR", auto_topup=AutoTopUp("5", "tok_ok"))}))
    rig.top_up("ada", "0.65")
    id = rig.open("ada")
    while rig.line(id).offer is None:
        meter = rig.line(id).meters[0]
        rig.report(id, meter.number + 1, meter.granted["seconds"], seconds=1)
    offer = rig.line(id).offer
    assert offer is not None and rig.line(id).state is SessionState.LOW
    for _ in range(3):
        assert rig.ask(id, Accepted(offer.id, "2"), payer="ada").refusal is None
    assert [line.amount for line in rig.payments()] == ["2.000000000"]
    other = rig.ask(id, Accepted("off_" + "0" * 32, "2"))
    assert other.refusal is not None and other.refusal.code is RefusalCode.NOT_FOUND
    payment(rig, "succeeded")
    rig.wait(1)
    assert rig.line(id).state is SessionState.ACTIVE and rig.line(id).offer is None
    assert rig.ask(id, Accepted(offer.id, "2")).refusal is not None


def test_a_session_draws_on_alternates_in_order_within_their_caps() -> None:
    given = catalog()
    ada = Payer("ada", "EUR", alternates=(Alternate("bob", "0.20", "ever"), Alternate("cleo")))
    rig = Rig(replace(given, payers={**given.payers, "ada": ada}))
    for name, amount in (("ada", "0.35"), ("bob", "5"), ("cleo", "0.50")):
        rig.top_up(name, amount)
    id = rig.open("ada")
    rig.drain(id)
    assert rig.line(id).meters[0].used == {"seconds": "100"} and rig.line(id).state is SessionState.SUSPENDED
    assert (rig.balance("ada"), rig.balance("bob"), rig.balance("cleo")) == ("0", "4.8", "0")
    rig.top_up("cleo", "0.10")  # value for an alternate lets the session go on as well
    rig.wait(1)
    assert rig.line(id).state in (SessionState.ACTIVE, SessionState.LOW)
    rig.end(id)
    assert rig.balance("cleo", "held") == "0" and rig.balance("cleo") == "0.1"


def test_a_bucket_for_the_service_lets_a_session_go_on_and_its_rest_is_given_back() -> None:
    rig = Rig()
    rig.top_up("ada", "0.15")
    id = rig.open("ada")
    rig.drain(id)
    assert rig.line(id).state is SessionState.SUSPENDED
    more = {"reference": "gift", "services": ("call",), "funded": "sponsor"}
    gift = Grant(payer="ada", amount="0.50", currency="EUR", **more)
    assert rig.do(gift).refusal is None
    rig.wait(1)
    assert rig.line(id).state is SessionState.ACTIVE
    meter = rig.line(id).meters[0]
    rig.report(id, meter.number + 1, "20", seconds=5)
    rig.end(id)
    assert rig.balance("ada") == "0" and rig.balance("ada", "held") == "0"
    assert [view.posted for view in rig.engine.books.accounts() if view.role == "bucket"] == ["0.400000000"]


def test_two_changes_at_one_instant_owe_no_start_twice() -> None:
    given = catalog()
    dear = Tariff(id="bridge", currency="EUR", components=(Flat(name="start", price="0.03"), Unit(
        name="s", measure="seconds", price="0.004"
    )))  # fmt: skip
    rig = Rig(replace(given, tariffs={**given.tariffs, "bridge": dear}))
    rig.top_up("ada", "10")
    id = rig.open("ada")
    for name in ("bob", "cleo"):
        assert rig.ask(id, Change(reprice=True, join=(PayerUse(name, pays=False),))).refusal is None
    rig.report(id, 1, "50", seconds=50)
    rig.end(id)
    assert rig.balance("ada") == "9.45"
    assert rig.income() == {"telco": "0.05", "bridge-a": "0.23", "fees": "0.27"}


def test_a_dearer_provider_is_paid_at_once_though_the_platform_earned_before() -> None:
    given = catalog()
    dear = Tariff(id="bridge2", currency="EUR", components=(Unit(name="s", measure="seconds", price="0.05"),))
    call = replace(given.services["call"], guard=False, sponsor="goodwill")
    tariffs = {**given.tariffs, "bridge2": dear}
    rig = Rig(replace(given, tariffs=tariffs, services={**given.services, "call": call}))
    rig.top_up("ada", "100")
    id = rig.open("ada", requested={"seconds": "600"})
    rig.report(id, 1, "500", seconds=500)
    assert rig.ask(id, Change({"bridge": "bridge-b"})).refusal is None
    rig.report(id, 2, "520", seconds=20)
    assert rig.income()["bridge-b"] == "1" and rig.income()["goodwill"] == "-0.82"
    rig.end(id)


def test_a_slice_beyond_what_is_held_is_cut_with_its_tax_and_the_rest_waits() -> None:
    rig = Rig()
    rig.top_up("ada", "10")
    id = rig.open("ada", service="download")
    line = rig.line(id)
    used = replace(line, meters=tuple(replace(meter, used={"gigabytes": "5"}) for meter in line.meters))
    contract = Contract(used, rig.engine.terms())
    whole, part = cut(contract, used, None), cut(contract, used, 300_000_000)
    assert whole is not None and part is not None
    assert (whole.total, part.total, part.after.postponed) == (600_000_000, 300_000_000, 300_000_000)
    assert (part.net, part.taxes) == (250_000_000, (TaxSum("vat", "20", 250_000_000, 50_000_000),))
    assert part.shares == [300_000_000] and sum(part.portions) + part.platform == part.net + part.sponsored
    rest = cut(contract, part.after, None)
    assert rest is not None and (rest.net, rest.total, rest.after.postponed) == (250_000_000, 300_000_000, 0)
    assert [a + b for a, b in zip(part.portions, rest.portions, strict=True)] == whole.portions


def test_a_session_in_which_nothing_was_reported_leaves_nothing_to_anybody() -> None:
    given = catalog()
    dear = Tariff(id="bridge", currency="EUR", components=(Flat(name="start", price="12"),))
    service = replace(given.services["call"], guard=False)
    rig = Rig(replace(given, tariffs={**given.tariffs, "bridge": dear}, services={"call": service}))
    rig.top_up("ada", "10")
    line = rig.end(rig.open("ada"))
    assert line.state is SessionState.CLOSED and not line.slices
    assert rig.balance("ada") == "10" and rig.balance("ada", "held") == "0" and rig.income() == {}
    rig.engine.close_period()
    assert rig.income() == {}
