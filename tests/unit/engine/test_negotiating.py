"""Negotiations with real nodes over HTTP, on a store in memory: what is proposed, agreed, refused and kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from apportion.adapters.catalog_file import parse_catalog
from apportion.adapters.outside import signature_holds
from apportion.adapters.waiting import Outside
from apportion.engine.bargaining.views import NegotiationView, OfferStands, negotiation_line, talks_of
from apportion.engine.engine import Engine
from apportion.engine.exchange import Nothing
from apportion.engine.operations import BY_NAME
from apportion.engine.sessions.verbs import look_after
from apportion.engine.verbs import Call
from apportion.engine.verify import Outside as Against
from apportion.engine.verify import verify_store
from apportion.errors import RefusalCode, Refused
from apportion.model.access import AccessRole, Credential
from apportion.model.command import BuyAllowance
from apportion.model.negotiation import Issues, Mandate
from apportion.model.request import Limits, Request
from apportion.model.session_asked import ChosenInput
from apportion.model.talks import AgreeAsked, CounterAsked, NegotiationAsked, OfferTaken, TalksState
from apportion.model.usage import PayerUse
from apportion.wiring import open_engine, open_providers
from tests.faces.provider.bargainers import bargainers
from tests.talks import bargainer, market

OPERATOR = Credential("", "main", AccessRole.OPERATOR, "", "")
ADA = Credential("k", "main", AccessRole.USER, "", "", "ada")
HOME = Credential("k", "main", AccessRole.PROVIDER, "", "", "oak")
Began = Callable[..., "Room"]


class Room:
    """An engine that may ask these nodes, and the operations on it."""

    def __init__(self, engine: Engine, log: Path) -> None:
        self.engine, self.log = engine, log

    def do(self, name: str, id: str = "", given: Any = None, caller: Credential = OPERATOR) -> Any:
        operation = BY_NAME[name]
        call = Call(caller, id, given)
        if operation.told is None:
            return operation.run(self.engine, call)
        commands = operation.run(self.engine, call)
        return operation.told(self.engine, call, self.engine.writer.commit(commands))

    def refused(self, *given: Any, **more: Any) -> tuple[RefusalCode, str]:
        with pytest.raises(Refused) as error:
            self.do(*given, **more)
        return error.value.refusal.code, error.value.refusal.field

    def begin(self, mandate: Mandate | None = None, *, mode: Any = "rounds", caller: Credential = OPERATOR,
              seconds: int = 300, **more: Any) -> NegotiationView:  # fmt: skip
        wanted = request(**more)
        found: NegotiationView = self.do(
            "negotiate", given=NegotiationAsked(wanted, mandate, seconds, mode), caller=caller
        )
        return found

    def counter(self, id: str, amount: str, **more: Any) -> NegotiationView:
        found: NegotiationView = self.do("counter", id, CounterAsked(amount, **more))
        return found

    def courses(self, kind: str) -> list[str]:
        return [one.id for one in self.engine.store.all_courses(self.engine.tenant) if one.id.startswith(kind)]

    def proven(self) -> None:
        self.engine.writer.seal()
        verdict = verify_store(self.engine.store, self.engine.tenant, "main", Against(signature_holds, prefix_ok=True))
        assert not verdict.findings, verdict.findings


def request(minutes: str = "100", **more: Any) -> Request:
    return Request("call", (PayerUse("ada"),), {"minutes": minutes}, **more)


def wait_until(right: Callable[[], bool], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not right():
        assert time.monotonic() < end
        time.sleep(0.02)


def offer(shown: NegotiationView, provider: str, part: str = "near") -> OfferStands:
    return next(one for one in shown.offers if one.provider == provider and one.part in (part, ""))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Began]:
    """``room(bargainer(…), …)``: an engine, and nodes in a process of their own."""
    with ExitStack() as stack:

        def began(
            *specs: dict[str, Any], parts: tuple[str, ...] = ("near",), more: str = "", deadline: int = 5000
        ) -> Room:
            log = tmp_path / "heard.log"
            nodes = stack.enter_context(bargainers("127.71", list(specs), log))
            engine = stack.enter_context(open_engine(":memory:"))
            words = market(nodes, parts, more).replace("deadline = 1000", f"deadline = {deadline}")
            engine.apply(parse_catalog(words, is_json=False))
            engine.providers = open_providers(signer=engine.signer, private=True)
            engine.outside = outside = Outside()
            outside.start()
            stack.callback(outside.stop)
            return Room(engine, log)

        yield began


# by the user


def test_first_offers_are_listed_with_price_fee_and_total(room: Began) -> None:
    shown = room(bargainer("oak", "0.10"), bargainer("elm", "0.12")).begin()
    assert (shown.state, shown.asked, shown.answered) == (TalksState.OPEN, 2, 2)
    assert [one.provider for one in shown.offers] == ["oak", "elm", "telco"]
    oak = offer(shown, "oak")  # 100 × 0.10 and half of it on top; a tenth of markup and a fifth of tax
    assert (Decimal(oak.price), Decimal(oak.fee)) == (Decimal("15"), Decimal("19.8"))
    assert Decimal(oak.total) == Decimal("19.92") and oak.live and oak.open
    assert not offer(shown, "telco").open and offer(shown, "telco").live


def test_a_counter_offer_brings_new_offers_and_what_was_agreed_is_the_plan(room: Began) -> None:
    here = room(bargainer("oak", "0.10"), bargainer("elm", "0.12"))
    shown = here.begin()
    shown = here.counter(shown.id, "9", provider="elm")  # elm alone: 18 to 13.2 in four rounds
    assert Decimal(offer(shown, "elm").price) == Decimal("16.8") and shown.round == 1
    assert Decimal(offer(shown, "oak").price) == Decimal("15") and offer(shown, "oak").rounds == 0
    shown = here.counter(shown.id, "12")
    shown = here.counter(shown.id, "12.5")
    assert Decimal(offer(shown, "oak").price) == Decimal("13")
    shown = here.do("agree", shown.id, AgreeAsked((OfferTaken("oak", price="13"),)))
    assert shown.state is TalksState.AGREED and shown.plan is not None and shown.agreed == shown.plan.id
    best = shown.plan.scenarios[0]
    assert {part.provider for part in best.parts} == {"oak"}
    assert Decimal(best.cost) == Decimal("13") and Decimal(best.total) == Decimal("17.28")  # (0.10 + 13 × 1.1) × 1.2
    session = here.do("accept_plan", shown.agreed, ChosenInput())
    assert session.plan == shown.agreed
    here.proven()


def test_all_that_was_said_lies_beside_the_chain_and_goes_with_the_payer(room: Began) -> None:
    here = room(bargainer("oak", "0.10"))
    shown = here.begin(attributes={"called": "4512345678", "title": "b"})
    here.counter(shown.id, "9")
    talks = talks_of(here.engine, shown.id)
    assert talks is not None and [one.provider for one in talks.messages] == ["oak", "oak"]
    assert '"near":"9"' in talks.messages[1].sent and "signature" in talks.messages[1].said
    assert talks.request.payers[0].payer == "somebody" and "called" not in talks.request.attributes
    line = negotiation_line(here.engine, shown.id)
    assert (line.n, line.round, set(line.macs)) == (2, 1, {"called"})
    assert b"4512345678" not in here.log.read_bytes()
    here.engine.forget("ada")
    assert talks_of(here.engine, shown.id) is None
    assert here.refused("counter", shown.id, CounterAsked("8"))[0] is RefusalCode.NOT_FOUND
    here.proven()


def test_illegal_moves_are_refused(room: Began) -> None:
    here = room(bargainer("oak", "0.10", tactic="fixed"), bargainer("elm", "0.12", validity=1))
    shown = here.begin()
    id, code = shown.id, RefusalCode
    assert here.refused("counter", id, CounterAsked("20", "oak")) == (code.CONFLICT, "terms"), "it is offered already"
    assert here.refused("counter", id, CounterAsked("9", "ash")) == (code.UNKNOWN_PROVIDER, "provider")
    assert here.refused("counter", id, CounterAsked("9", "telco")) == (code.CONFLICT, "provider")
    assert here.refused("counter", id, CounterAsked("9", "oak", "far")) == (code.UNKNOWN_PART, "part")
    assert here.refused("counter", id, CounterAsked("-1", "oak")) == (code.BAD_AMOUNT, "amount")
    assert here.refused("counter", id, CounterAsked("9", "oak", until="soon")) == (code.BAD_TIME, "until")
    here.counter(id, "9", provider="oak")
    assert here.refused("counter", id, CounterAsked("9", "oak")) == (code.CONFLICT, "terms"), "it has not moved"
    assert here.refused("agree", id, AgreeAsked((OfferTaken("oak", price="9"),))) == (code.CONFLICT, "offers")
    wait_until(lambda: offer(here.do("negotiation", id), "elm").live is False)
    assert here.refused("agree", id, AgreeAsked((OfferTaken("elm"),))) == (code.PLAN_ENDED, "provider")
    twice = (OfferTaken("oak"), OfferTaken("telco"))
    assert here.refused("agree", id, AgreeAsked(twice)) == (code.BAD_INPUT, "offers")
    assert here.do("walk_away", id, Nothing()).state is TalksState.WALKED
    for name, given in (("counter", CounterAsked("8")), ("agree", AgreeAsked()), ("walk_away", Nothing())):
        assert here.refused(name, id, given) == (code.PLAN_ENDED, "id")
    here.proven()


def test_an_offer_that_ran_out_may_still_be_bargained_about(room: Began) -> None:
    here = room(bargainer("oak", "0.10", validity=1), bargainer("elm", "0.30"))
    shown = here.begin()
    wait_until(lambda: not offer(here.do("negotiation", shown.id), "oak").live)
    assert offer(here.do("negotiation", shown.id), "oak").open
    assert here.refused("agree", shown.id, AgreeAsked((OfferTaken("oak"),)))[0] is RefusalCode.PLAN_ENDED
    shown = here.counter(shown.id, "12", provider="oak")
    assert offer(shown, "oak").live and Decimal(offer(shown, "oak").price) == 14
    shown = here.do("agree", shown.id, AgreeAsked())
    assert shown.plan is not None and shown.plan.scenarios[0].parts[0].provider == "oak"
    here.proven()


def test_it_ends_by_itself_when_its_time_is_over(room: Began) -> None:
    here = room(bargainer("oak", "0.10"))
    shown = here.begin(seconds=1)
    wait_until(lambda: here.do("negotiation", shown.id).state is TalksState.ENDED)
    assert here.refused("counter", shown.id, CounterAsked("8"))[0] is RefusalCode.PLAN_ENDED

    def looked_after() -> bool:
        look_after(here.engine)
        return negotiation_line(here.engine, shown.id).state is TalksState.ENDED

    wait_until(looked_after)
    line = negotiation_line(here.engine, shown.id)
    assert (line.due, line.n) == ("", 2)
    here.proven()


def test_two_moves_at_once_are_not_both_made(room: Began) -> None:
    here = room(bargainer("oak", "0.10"))
    shown = here.begin()
    first = BY_NAME["counter"].run(here.engine, Call(OPERATOR, shown.id, CounterAsked("9")))
    second = BY_NAME["agree"].run(here.engine, Call(OPERATOR, shown.id, AgreeAsked()))
    one, other = here.engine.writer.commit([*first, *second])
    assert one.refusal is None and other.refusal is not None and other.refusal.code is RefusalCode.CONFLICT
    assert not here.courses("pln_")
    here.proven()


def test_who_may_see_and_lead_it(room: Began) -> None:
    here = room(bargainer("oak", "0.10"), bargainer("elm", "0.12"))
    shown = here.begin(caller=HOME)
    assert (offer(shown, "elm").price, Decimal(offer(shown, "oak").price)) == ("", Decimal("15")), "its own price alone"
    elm = Credential("k", "main", AccessRole.PROVIDER, "", "", "elm")
    assert here.refused("negotiation", shown.id, caller=elm)[0] is RefusalCode.NOT_FOUND
    ben = Credential("k", "main", AccessRole.USER, "", "", "ben")
    assert here.refused("negotiation", shown.id, caller=ben)[0] is RefusalCode.NOT_FOUND
    assert here.do("negotiation", shown.id, caller=ADA).id == shown.id
    assert here.refused("negotiate", given=NegotiationAsked(request()), caller=ben) == (
        RefusalCode.UNKNOWN_PAYER, "payers",
    )  # fmt: skip
    private = NegotiationAsked(request(), Mandate("20"))
    assert here.refused("negotiate", given=private, caller=HOME) == (RefusalCode.BAD_INPUT, "mandate")


# by an agent


def test_an_agent_agrees_below_the_first_offer_and_within_its_limit(room: Began) -> None:
    here = room(bargainer("oak", "0.10"), bargainer("elm", "0.105", tactic="boulware"), bargainer("ash", "0.2"))
    shown = here.begin(Mandate("19", seconds=20))
    assert shown.state is TalksState.AGREED and shown.plan is not None, shown.reason
    (one,) = shown.plan.scenarios
    assert Decimal(one.total) <= Decimal("19") < Decimal("19.92"), "the first offer of oak"
    assert {part.provider for part in one.parts} <= {"oak", "elm"} and Decimal(one.cost) >= Decimal("11")
    session = here.do("accept_plan", shown.agreed, ChosenInput())
    assert session.plan == shown.agreed
    here.proven()


def test_an_agent_walks_away_when_nobody_goes_so_low(room: Began) -> None:
    here = room(bargainer("oak", "0.10"), bargainer("elm", "0.12"))
    shown = here.begin(Mandate("14", seconds=20))  # the reserve of oak makes (0.10 + 11 × 1.1) × 1.2 = 14.64
    assert (shown.state, shown.plan, shown.agreed) == (TalksState.WALKED, None, "") and shown.reason
    assert not here.courses("pln_")
    wait_until(lambda: here.log.read_bytes().count(b"/end") == 2)  # both are told
    here.proven()


def test_the_limit_counts_the_whole_fee_to_the_last_atom(room: Began) -> None:
    """A node that does not move asks 15 net: 19.92 with all. Its limit is met at 19.92 and the rounding, not below."""
    here = room(bargainer("oak", "0.10", tactic="fixed"))
    assert here.begin(Mandate("19.919999999", rounds=2, seconds=20)).state is TalksState.WALKED
    met = here.begin(Mandate("19.920000002", rounds=2, seconds=20))
    assert met.plan is not None and Decimal(met.plan.scenarios[0].total) == Decimal("19.92")
    assert here.refused("negotiate", given=NegotiationAsked(request(), Mandate("0.12"))) == (
        RefusalCode.NO_PLAN, "mandate.limit",
    )  # fmt: skip
    budget = here.begin(Mandate("30", rounds=2, seconds=20), limits=Limits(budget="19.9"))
    assert budget.state is TalksState.WALKED, "the budget of the request holds too"


@pytest.mark.parametrize(
    ("field", "mandate"),
    [
        ("mandate.limit", Mandate("-1")),
        ("mandate.seconds", Mandate("9", seconds=51)),
        ("mandate.pace", Mandate("9", pace="x")),
    ],
)
def test_what_is_wrong_with_a_mandate_is_said_before_anybody_is_asked(
    room: Began, field: str, mandate: Mandate
) -> None:
    here = room(bargainer("oak", "0.10"))
    assert here.refused("negotiate", given=NegotiationAsked(request(), mandate))[1] == field
    assert not here.log.read_bytes()


def test_two_parts_are_valued_as_the_whole_plan(room: Began) -> None:
    here = room(
        bargainer("oak", "0.10", parts=["near", "far"]), bargainer("elm", "0.12", parts=["far"]),
        bargainer("ash", "0.08", parts=["near"]), parts=("near", "far"),
    )  # fmt: skip
    shown = here.begin()
    assert Decimal(offer(shown, "ash", "near").total) == Decimal("35.76")  # (0.10 + (12 + 15) × 1.1) × 1.2
    assert Decimal(offer(shown, "elm", "far").total) == Decimal("39.72")  # with ash: (0.10 + (12 + 18) × 1.1) × 1.2
    assert here.refused("counter", shown.id, CounterAsked("9"))[1] == "part"
    shown = here.counter(shown.id, "8", part="near")
    assert Decimal(offer(shown, "ash", "near").price) == Decimal("11.2")
    agreed = here.begin(Mandate("32", seconds=20))
    assert agreed.plan is not None, agreed.reason
    (one,) = agreed.plan.scenarios
    assert Decimal(one.total) <= Decimal("32") and len(one.parts) == 2
    here.proven()


def test_quality_counts_by_the_mandate(room: Began) -> None:
    here = room(bargainer("oak", "0.10", latency=400), bargainer("elm", "0.12", latency=0))
    cheap = here.begin(Mandate("30", seconds=20))
    good = here.begin(Mandate("30", Issues(quality=10), seconds=20))
    least = here.begin(Mandate("30", quality=800, seconds=20))
    found = [shown.plan.scenarios[0].parts[0].provider for shown in (cheap, good, least) if shown.plan is not None]
    assert found == ["oak", "elm", "elm"]


def test_an_auction_pays_the_second_price_and_the_first_offer_its_own(room: Began) -> None:
    here = room(bargainer("oak", "0.10", tactic="fixed"), bargainer("elm", "0.12", tactic="fixed"))
    first = here.begin(Mandate("30"), mode="first-offer")
    second = here.begin(Mandate("30"), mode="second-price")
    alone = here.begin(Mandate("21"), mode="second-price")  # elm asks 23.88: oak is the only one, and paid what it asks
    assert first.plan is not None and second.plan is not None and alone.plan is not None
    assert Decimal(first.plan.scenarios[0].cost) == Decimal("15")
    assert abs(Decimal(second.plan.scenarios[0].cost) - 18) < Decimal("0.000001")
    assert second.plan.scenarios[0].parts[0].provider == "oak"
    assert Decimal(alone.plan.scenarios[0].cost) == Decimal("15")
    assert here.refused("negotiate", given=NegotiationAsked(request(), mode="first-offer"))[1] == "mode"
    here.proven()


def test_what_allowances_cover_costs_nothing_more(room: Began) -> None:
    here = room(bargainer("oak", "0.10"))
    bought = BuyAllowance(payer="ada", currency="EUR", price="30", measure="minutes", units="100", reference="a")
    here.engine.writer.commit([bought])
    shown = here.begin(Mandate("1", seconds=10))
    assert shown.plan is not None and Decimal(shown.plan.scenarios[0].total) == 0
    here.proven()


def test_a_price_that_an_agreement_settles_is_not_bargained_about(room: Began) -> None:
    here = room(
        bargainer("oak", "0.10"), bargainer("elm", "0.10"),
        more='''
[tariffs.ours]
currency = "EUR"
components = [{ kind = "unit", name = "talk", measure = "minutes", price = "0.14" }]
[agreements.ours]
service = "call"
payer = "ada"
provider = "elm"
tariff = "ours"
''',
    )  # fmt: skip
    shown = here.begin()
    assert Decimal(offer(shown, "elm").total) == Decimal("16.92") and not offer(shown, "elm").open  # (0.10 + 14) × 1.2
    assert here.refused("counter", shown.id, CounterAsked("9", "elm")) == (RefusalCode.CONFLICT, "provider")
    agreed = here.begin(Mandate("17", seconds=20))
    assert agreed.plan is not None and Decimal(agreed.plan.scenarios[0].total) <= Decimal("16.92")
    here.proven()


def test_who_pays_together_is_led_by_the_operator(room: Began) -> None:
    here = room(bargainer("oak", "0.10"))
    both = Request("call", (PayerUse("ada"), PayerUse("ben")), {"minutes": "100"})
    shown = here.do("negotiate", given=NegotiationAsked(both))
    assert here.do("negotiation", shown.id, caller=ADA).id == shown.id
    assert here.refused("agree", shown.id, AgreeAsked(), caller=ADA)[0] is RefusalCode.NOT_FOUND
    agreed = here.do("agree", shown.id, AgreeAsked())
    shares = [Decimal(one.amount) for one in agreed.plan.scenarios[0].shares]
    assert len(shares) == 2 and sum(shares) == Decimal("19.92")
    here.proven()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"plan": "pln_" + "0" * 32, "state": TalksState.AGREED, "due": ""}, "no plan of the books"),
        ({"state": TalksState.AGREED, "due": ""}, "with the plan ''"),
        ({"state": TalksState.WALKED}, "due at"),
        ({"service": "film"}, "says something else"),
        ({"n": 3}, "says something else"),
        ({"state": TalksState.ENDED, "due": ""}, "before its time"),
        ({"id": "neg_" + "0" * 32}, "begins in the middle"),
    ],
)
def test_a_forged_line_is_found(room: Began, change: dict[str, Any], said: str) -> None:
    here = room(bargainer("oak", "0.10"))
    line = negotiation_line(here.engine, here.begin().id)
    forged = replace(line, **{"n": 2, **change})
    here.engine.writer.booked(lambda work: work.append(work.move(forged)))
    here.engine.writer.seal()
    found = verify_store(
        here.engine.store, here.engine.tenant, "main", Against(signature_holds, prefix_ok=True)
    ).findings
    assert [(one.code, said in one.message) for one in found] == [("negotiation", True)], found


# nodes that do not keep to it


@pytest.mark.parametrize("manner", ["dies", "slow", "silent", "liar"])
def test_who_is_dead_slow_or_lying_neither_blocks_nor_wins(room: Began, manner: str) -> None:
    here = room(
        bargainer("oak", "0.10"), bargainer("elm", "0.06", manner=manner, tactic="fixed"), deadline=1000
    )  # fmt: skip
    shown = here.begin(Mandate("18.5", seconds=10))
    assert shown.state is TalksState.AGREED and shown.plan is not None, shown.reason
    (one,) = shown.plan.scenarios
    assert one.parts[0].provider == "oak" and offer(shown, "elm").out
    here.proven()


@pytest.mark.parametrize("manner", ["refuses", "turncoat"])
def test_who_does_not_stand_by_its_bid_charges_nothing(room: Began, manner: str) -> None:
    here = room(bargainer("oak", "0.10", manner=manner))
    shown = here.begin(Mandate("18", seconds=10))
    assert shown.plan is not None
    assert here.refused("accept_plan", shown.agreed, ChosenInput())[0] is RefusalCode.PLAN_ENDED
    assert not here.courses("ses_") and not list(here.engine.books.records(0))
    here.proven()


def test_nobody_to_negotiate_with_is_said(room: Began) -> None:
    here = room(bargainer("oak", "0.10", parts=["far"]))
    shown = here.begin()
    assert offer(shown, "oak").out == "It does not offer this." and shown.answered == 0
    here.engine.providers = None
    assert here.refused("negotiate", given=NegotiationAsked(request()))[0] is RefusalCode.NO_PLAN
