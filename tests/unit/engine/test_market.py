"""The market as it stands: offers, capacity, switches, approvals and ratings on the real engine, all of it proven."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import pytest

from apportion.engine.export import export
from apportion.engine.market.approving import approve
from apportion.engine.market.capacity import check_free, give_back, take
from apportion.engine.market.judging import observation
from apportion.engine.market.naming import offer_id
from apportion.engine.market.standing import approved, live_offers, ratings, reputations, switched, taken
from apportion.engine.work import Work
from apportion.errors import RefusalCode, Refused
from apportion.model.catalog import Catalog
from apportion.model.command import ChargeUsage, Outcome
from apportion.model.market import Breaker, MarketTerms, Network, Offer, Quality
from apportion.model.standing import (
    Approve,
    Available,
    Observe,
    Observed,
    PutOffer,
    Rate,
    SwitchProvider,
    WithdrawOffer,
)
from apportion.model.usage import PartUse, PayerUse, Usage
from apportion.money import Exact
from tests.forging import rehash, verified
from tests.sessions import Proved, catalog, per_second, tariff

BRIDGE = Offer(
    id="fast", service="call", part="bridge", provider="bridge-a", tariff="bridge",
    quality=Quality(20, "0.99"), capacity={"seconds": "100"},
)  # fmt: skip
ID = offer_id("call", "bridge", "bridge-a", "fast")


def market(**terms: object) -> Catalog:
    """The calls of the session tests; bridges have networks, and a breaker after three failures."""
    given = catalog()
    call = msgspec.structs.replace(given.services["call"], market=MarketTerms(breaker=Breaker(3, 60), **terms))  # type: ignore[arg-type]
    providers = {
        name: msgspec.structs.replace(one, network="fibre" if name.startswith("bridge") else "")
        for name, one in given.providers.items()
    }
    networks = {name: Network(name) for name in ("fibre", "radio")}
    return msgspec.structs.replace(
        given, services={**given.services, "call": call}, providers=providers, networks=networks
    )


class Stall(Proved):
    """A rig whose catalog has a market."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*(given or (market(),)))

    def put(self, offer: Offer = BRIDGE, by: str = "") -> Outcome:
        return self.do(PutOffer(by, offer=offer))

    def refused(self, command: object) -> tuple[RefusalCode, str]:
        outcome = self.do(command)
        assert outcome.refusal is not None, outcome
        return outcome.refusal.code, outcome.refusal.field

    def offers(self, part: str = "bridge") -> list[Offer]:
        return [line.offer for line in live_offers(self.engine.store, self.engine.tenant, "call", part)]

    def off(self) -> dict[str, str]:
        """Who is off now, and why."""
        now = self.clock.now()
        lines = switched(self.engine.store, self.engine.tenant, now)
        return {name: mark.reason for name, line in lines.items() if (mark := line.off(now)) is not None}

    def rating(self, name: str, kind: str = "provider") -> int:
        return ratings(self.engine.store, self.engine.tenant, "call").get((kind, name), 3000)

    def observe(self, provider: str = "bridge-a", **seen: Any) -> Outcome:
        more = {name: seen.pop(name) for name in ("by", "session", "network") if name in seen}
        return self.do(Observe(service="call", provider=provider, observed=Observed(**seen), **more))

    def used(self, payer: str = "ada", id: str = "call 1", bridge: str = "bridge-a") -> str:
        """A call of a minute that was paid for; its charge."""
        use = Usage(
            source="meter", id=id, service="call", start=self.clock.at, payers=(PayerUse(payer),),
            quantities={"seconds": "60"}, parts=(PartUse("access", "telco"), PartUse("bridge", bridge)),
        )  # fmt: skip
        outcome = self.do(ChargeUsage(use))
        assert outcome.refusal is None, outcome.refusal
        return outcome.id

    def sold(self, offer: str = ID) -> dict[str, Exact]:
        return taken(self.engine.store, self.engine.tenant, [offer]).get(offer, {})

    def taking(self, session: str, units: str, offer: str = ID, **capacity: str) -> bool:
        """Take capacity in a row of its own."""

        def fill(work: Work) -> bool:
            lines = take(work, offer, session, {"seconds": units}, capacity)
            if lines:
                work.append(*lines)
            return bool(lines)

        return self.engine.writer.booked(fill)

    def back(self, session: str, *offers: str) -> bool:
        def fill(work: Work) -> bool:
            lines = give_back(work, offers or (ID,), session)
            if lines:
                work.append(*lines)
            return bool(lines)

        return self.engine.writer.booked(fill)


# ── offers ──


def test_an_offer_is_made_changed_and_withdrawn() -> None:
    rig = Stall()
    assert rig.put().id == ID and rig.offers() == [BRIDGE]
    row = rig.engine.store.head(rig.engine.tenant, 0)[0]
    assert rig.put().id == ID
    assert rig.engine.store.head(rig.engine.tenant, 0)[0] == row  # the same again changes nothing
    dearer = msgspec.structs.replace(BRIDGE, tariff=tariff("own", per_second("0.009")))
    assert rig.put(dearer, by="bridge-a").id == ID and rig.offers() == [dearer]
    assert rig.do(WithdrawOffer("bridge-a", id=ID)).id == ID and rig.offers() == []
    assert rig.refused(Available(id=ID, capacity={})) == (RefusalCode.NOT_FOUND, "id")
    assert rig.put().id == ID and rig.offers() == [BRIDGE]


def test_availability_changes_capacity_and_quality_and_no_price() -> None:
    rig = Stall()
    rig.put()
    assert rig.do(Available("bridge-a", id=ID, capacity={"seconds": "7"}, latency=35)).refusal is None
    assert rig.offers() == [
        msgspec.structs.replace(BRIDGE, capacity={"seconds": "7"}, quality=Quality(35, "0.99")),
    ]
    rig.engine.writer.commit([Available(id=ID, capacity={"seconds": str(n)}) for n in range(1000)])
    assert rig.offers()[0].capacity == {"seconds": "999"}


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"service": "ride"}, RefusalCode.UNKNOWN_SERVICE, "service"),
        ({"part": "roof"}, RefusalCode.UNKNOWN_PART, "part"),
        ({"provider": "nobody"}, RefusalCode.UNKNOWN_PROVIDER, "provider"),
        ({"tariff": "none"}, RefusalCode.UNKNOWN_TARIFF, "tariff"),
        ({"tariff": tariff("own", per_second("-1"))}, RefusalCode.BAD_INPUT, "tariff.components[0].price"),
        ({"capacity": {"seconds": "-1"}}, RefusalCode.BAD_INPUT, "capacity.seconds"),
        ({"capacity": {"bytes": "1"}}, RefusalCode.MEASURE_MISSING, "capacity.bytes"),
        ({"least": {"seconds": "9"}, "most": {"seconds": "8"}}, RefusalCode.BAD_INPUT, "least.seconds"),
        ({"quality": Quality(availability="1.5")}, RefusalCode.BAD_INPUT, "quality.availability"),
        ({"valid_until": "tomorrow"}, RefusalCode.BAD_TIME, "valid_until"),
        ({"id": "No Name"}, RefusalCode.BAD_INPUT, "id"),
    ],
)
def test_what_can_not_be_offered_is_refused_by_its_field(change: dict[str, Any], code: RefusalCode, field: str) -> None:
    rig = Stall()
    assert rig.refused(PutOffer(offer=msgspec.structs.replace(BRIDGE, **change))) == (code, field)
    assert rig.offers() == []


def test_an_offer_in_another_currency_is_refused() -> None:
    dollars = msgspec.structs.replace(tariff("own", per_second("1")), currency="USD")
    code, field = Stall().refused(PutOffer(offer=msgspec.structs.replace(BRIDGE, tariff=dollars)))
    assert (code, field) == (RefusalCode.ASSET_MISMATCH, "tariff")


def test_a_provider_speaks_for_its_own_offers_only() -> None:
    rig = Stall()
    rig.put()
    assert rig.refused(PutOffer("bridge-b", offer=BRIDGE)) == (RefusalCode.NOT_FOUND, "provider")
    assert rig.refused(WithdrawOffer("bridge-b", id=ID)) == (RefusalCode.NOT_FOUND, "id")
    assert rig.refused(Available("bridge-b", id=ID, capacity={})) == (RefusalCode.NOT_FOUND, "id")
    assert rig.offers() == [BRIDGE]


# ── capacity ──


def test_capacity_is_taken_and_given_back_once() -> None:
    rig = Stall()
    rig.put()
    rig.top_up("ada", "100")
    first, second = rig.open("ada"), rig.open("ada")
    assert rig.taking(first, "60") and rig.sold() == {"seconds": Exact(60)}
    with pytest.raises(Refused) as error:
        rig.taking(second, "41")
    assert error.value.refusal.code is RefusalCode.PLAN_ENDED
    assert "40 seconds free, 41 are needed" in error.value.refusal.message
    assert rig.taking(second, "40") and rig.sold() == {"seconds": Exact(100)}
    assert rig.back(first) and not rig.back(first) and rig.sold() == {"seconds": Exact(40)}
    assert rig.taking(first, "0.5") and rig.taking(first, "0.25")  # what is taken twice adds up
    assert rig.back(first) and rig.back(second) and rig.sold() == {}


def test_less_capacity_than_is_taken_lets_sessions_run_and_sells_no_more() -> None:
    rig = Stall()
    rig.put()
    rig.top_up("ada", "100")
    session = rig.open("ada")
    rig.taking(session, "60")
    rig.do(Available(id=ID, capacity={"seconds": "50"}))
    with pytest.raises(Refused):
        rig.taking(session, "1")
    rig.do(WithdrawOffer(id=ID))
    with pytest.raises(Refused):
        rig.engine.writer.booked(lambda work: check_free(work, ID, {"seconds": "0"}, {}))
    assert rig.back(session) and rig.sold() == {}


def test_an_offer_of_the_catalog_has_the_capacity_that_the_catalog_says() -> None:
    rig = Stall()
    rig.top_up("ada", "100")
    session = rig.open("ada")
    assert rig.taking(session, "3", offer="standing", seconds="3")
    with pytest.raises(Refused):
        rig.taking(session, "1", offer="standing", seconds="3")
    assert not rig.taking(session, "1000", offer="boundless")
    assert rig.back(session, "standing", "boundless")


def test_thirty_two_threads_take_the_last_capacity_exactly() -> None:
    rig = Stall()
    rig.put()
    rig.top_up("ada", "100")
    sessions = [rig.open("ada") for _ in range(32)]
    gate, turn, won = threading.Barrier(32), threading.Lock(), list[str]()

    def run(session: str) -> None:
        gate.wait()
        try:
            with turn:  # one writer; a node's threads hand over to it
                rig.taking(session, "7")
            won.append(session)
        except Refused as error:
            assert error.refusal.code is RefusalCode.PLAN_ENDED

    threads = [threading.Thread(target=run, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 14 and rig.sold() == {"seconds": Exact(98)}  # 15 × 7 would be 105
    assert all(rig.back(session) for session in won) and rig.sold() == {}


# ── switches ──


def test_a_provider_is_off_until_an_instant_whatever_its_prices() -> None:
    rig = Stall()
    rig.put()
    assert rig.do(SwitchProvider(provider="bridge-a", off=True, seconds=3600, reason="fibre cut")).refusal is None
    assert rig.off() == {"bridge-a": "fibre cut"} and rig.offers() == [BRIDGE]
    rig.clock.move(3599)
    assert rig.off() == {"bridge-a": "fibre cut"}
    rig.clock.move(1)
    assert rig.off() == {}


def test_who_switched_off_takes_back_its_own_and_the_operator_all() -> None:
    rig = Stall()
    rig.do(SwitchProvider("bridge-a", provider="bridge-a", off=True, seconds=60, reason="repair"))
    rig.do(SwitchProvider(provider="bridge-a", off=True, reason="not paid"))
    assert rig.off() == {"bridge-a": "not paid"}
    assert rig.do(SwitchProvider("bridge-a", provider="bridge-a", off=False)).refusal is None
    assert rig.off() == {"bridge-a": "not paid"}
    assert rig.refused(SwitchProvider("bridge-a", provider="bridge-a", off=False)) == (RefusalCode.CONFLICT, "off")
    assert rig.refused(SwitchProvider("bridge-b", provider="bridge-a", off=False))[0] is RefusalCode.NOT_FOUND
    rig.do(SwitchProvider(provider="bridge-a", off=False))
    assert rig.off() == {}


def test_switching_off_needs_a_reason_and_a_time_to_come() -> None:
    rig = Stall()
    off = SwitchProvider(provider="bridge-a", off=True, reason="test")
    assert rig.refused(msgspec.structs.replace(off, reason=" ")) == (RefusalCode.BAD_INPUT, "reason")
    assert rig.refused(msgspec.structs.replace(off, until="2020-01-01T00:00:00Z")) == (RefusalCode.BAD_TIME, "until")
    assert rig.refused(msgspec.structs.replace(off, until="soon")) == (RefusalCode.BAD_TIME, "until")
    both = msgspec.structs.replace(off, until="2030-01-01T00:00:00Z", seconds=5)
    assert rig.refused(both) == (RefusalCode.BAD_INPUT, "seconds")
    assert rig.refused(msgspec.structs.replace(off, provider="nobody"))[0] is RefusalCode.UNKNOWN_PROVIDER


def test_the_breaker_trips_after_failures_in_a_row_and_by_itself_lets_go() -> None:
    rig = Stall()
    for succeeded in (False, False, True, False, False):
        rig.observe(succeeded=succeeded)
    assert rig.off() == {}
    rig.observe(succeeded=False)
    assert rig.off() == {"bridge-a": "breaker: 3 failures in a row"}
    rig.clock.move(60)
    assert rig.off() == {}
    rig.observe(succeeded=False)  # it still fails: at once again
    assert rig.off() == {"bridge-a": "breaker: 4 failures in a row"}
    rig.clock.move(60)
    rig.observe(succeeded=True)
    rig.observe(succeeded=False)
    assert rig.off() == {}


# ── approvals ──


def test_approvals_are_recorded_and_taken_back() -> None:
    rig = Stall()
    rig.top_up("ada", "1")
    account = rig.engine.books.find_account("ada").id
    store, tenant = rig.engine.store, rig.engine.tenant
    rig.do(Approve(payer="ada", provider="bridge-b", user=True))
    assert approved(store, tenant, [account]) == {(account, "bridge-b")}
    rig.engine.writer.booked(lambda work: work.append(*approve(work, account, "telco", "user")))
    assert approved(store, tenant, [account]) == {(account, "bridge-b"), (account, "telco")}
    rig.do(Approve(payer="ada", provider="bridge-b", approved=False))
    assert approved(store, tenant, [account]) == {(account, "telco")}
    assert rig.refused(Approve(payer="nobody", provider="telco"))[0] is RefusalCode.UNKNOWN_PAYER
    assert rig.refused(Approve(payer="ada", provider="nobody"))[0] is RefusalCode.UNKNOWN_PROVIDER


# ── ratings ──


def test_a_payer_rates_once_what_it_paid_for() -> None:
    rig = Stall()
    rig.top_up("ada", "100")
    rig.top_up("bob", "100")
    charge = rig.used()
    assert rig.do(Rate(payer="ada", record=charge, stars=5, provider="bridge-a")).refusal is None
    assert (rig.rating("bridge-a"), rig.rating("telco"), rig.rating("bridge-b")) == (3048, 3000, 3000)
    assert rig.refused(Rate(payer="ada", record=charge, stars=1)) == (RefusalCode.CONFLICT, "record")
    assert rig.refused(Rate(payer="bob", record=charge, stars=1)) == (RefusalCode.NOT_FOUND, "record")
    assert rig.refused(Rate(payer="nobody", record=charge, stars=1))[0] is RefusalCode.UNKNOWN_PAYER
    assert rig.refused(Rate(payer="ada", record="chg_" + "0" * 32, stars=1)) == (RefusalCode.NOT_FOUND, "record")
    assert rig.refused(Rate(payer="ada", record=charge, stars=6)) == (RefusalCode.BAD_INPUT, "stars")
    other = rig.used(id="call 2")
    assert rig.refused(Rate(payer="ada", record=other, stars=1, provider="bridge-b"))[0] is RefusalCode.UNKNOWN_PROVIDER
    assert rig.do(Rate(payer="ada", record=other, stars=1)).refusal is None  # all who delivered
    assert rig.rating("bridge-a") == 3000 and rig.rating("telco") == 2952
    assert rig.do(Rate(payer="ada", record=other, stars=5, network="fibre")).refusal is None
    assert rig.rating("fibre", "network") == 3048
    assert rig.refused(Rate(payer="ada", record=other, stars=5, network="radio")) == (RefusalCode.NOT_FOUND, "network")


def test_a_session_and_its_slices_are_rated_as_one() -> None:
    rig = Stall()
    rig.top_up("ada", "100")
    session = rig.open("ada")
    assert rig.refused(Rate(payer="ada", record=session, stars=5)) == (RefusalCode.NOT_FOUND, "record")
    rig.report(session, 1, "30")
    slice = next(record.charge.id for record in rig.engine.books.records())
    rig.end(session)
    assert rig.do(Rate(payer="ada", record=slice, stars=5)).refusal is None
    assert rig.refused(Rate(payer="ada", record=session, stars=5)) == (RefusalCode.CONFLICT, "record")
    assert rig.rating("bridge-a") == rig.rating("telco") == 3048


def test_nobody_rates_itself() -> None:
    given = market()
    payers = {**given.payers, "bridge-a": msgspec.structs.replace(given.payers["ada"], id="bridge-a")}
    rig = Stall(msgspec.structs.replace(given, payers=payers))
    rig.top_up("bridge-a", "100")
    charge = rig.used("bridge-a")
    own = Rate(payer="bridge-a", record=charge, stars=5, provider="bridge-a")
    assert rig.refused(own) == (RefusalCode.CONFLICT, "provider")
    assert rig.do(msgspec.structs.replace(own, provider="")).refusal is None
    assert (rig.rating("bridge-a"), rig.rating("telco")) == (3000, 3048)


def test_measurements_move_provider_and_network() -> None:
    rig = Stall()
    for _ in range(20):
        rig.observe(succeeded=True, latency=15, latency_promised=20, kept=True)
    assert rig.rating("bridge-a") == rig.rating("fibre", "network") == 4750
    line = next(reputations(rig.engine.store, rig.engine.tenant, "call"))
    assert (line.delivered, line.failed, line.latency, line.latencies, line.kept) == (20, 0, 300, 20, 20)
    rig.observe(succeeded=True, network="radio")
    assert rig.rating("radio", "network") == 3094


def test_measurements_of_a_payers_own_use_are_one_voice() -> None:
    rig = Stall()
    rig.top_up("ada", "100")
    session = rig.open("ada")
    for _ in range(500):
        rig.observe(session=session, succeeded=True)
    once = Stall()
    once.observe(succeeded=True)
    assert 3000 < rig.rating("bridge-a") <= once.rating("bridge-a") == 3094
    other = Observe(service="call", provider="bridge-b", observed=Observed(succeeded=True), session=session)
    assert rig.refused(other) == (RefusalCode.NOT_FOUND, "session")


def test_a_session_that_ends_may_say_what_was_measured_in_its_own_row() -> None:
    rig = Stall()
    rig.top_up("ada", "1")
    account = rig.engine.books.find_account("ada").id
    terms = rig.engine.writer.terms
    assert terms is not None

    def fill(work: Work) -> int:
        return work.append(*observation(work, terms, ("call", "bridge-a", "fibre"), Observed(succeeded=True), account))

    rig.engine.writer.booked(fill)
    assert rig.rating("bridge-a") == rig.rating("fibre", "network") == 3048


def test_a_provider_reports_its_failures_and_praises_nobody() -> None:
    rig = Stall()
    assert rig.observe(by="bridge-a", succeeded=False).refusal is None
    assert rig.rating("bridge-a") == 2859
    for seen in ({"succeeded": True}, {"kept": True}, {"latency": 1, "latency_promised": 2}):
        refusal = rig.observe(by="bridge-a", **seen).refusal
        assert refusal is not None and refusal.code is RefusalCode.CONFLICT
    refusal = rig.observe("bridge-b", by="bridge-a", succeeded=False).refusal
    assert refusal is not None and refusal.code is RefusalCode.NOT_FOUND
    assert rig.rating("bridge-a") == 2859 and rig.rating("bridge-b") == 3000


# ── the proof ──


def test_the_books_of_the_market_name_nobody() -> None:
    rig = Stall()
    rig.top_up("ada", "100")
    rig.do(Approve(payer="ada", provider="bridge-b", user=True))
    rig.do(Rate(payer="ada", record=rig.used(), stars=4))
    rig.engine.forget("ada")
    rig.engine.writer.seal()
    assert b'"ada"' not in b"".join(export(rig.engine.store, rig.engine.tenant))
    assert rig.rating("telco") == 3024


def test_a_forged_market_is_found() -> None:
    rig = Stall()
    rig.put()
    rig.top_up("ada", "100")
    session = rig.open("ada")
    rig.taking(session, "60")
    rig.do(Rate(payer="ada", record=rig.used(), stars=2, provider="bridge-a"))
    rig.observe(succeeded=False)
    rig.engine.writer.seal()
    lines = [line[:-1] for line in export(rig.engine.store, rig.engine.tenant)]
    for before, after in (
        (b'"stars":2', b'"stars":5'),
        (b'"taken":{"seconds":"60"}', b'"taken":{"seconds":"50"}'),
        (b'"succeeded":false', b'"succeeded":true'),
    ):
        at = next(place for place, line in enumerate(lines) if before in line)
        forged = rehash([*lines[:at], lines[at].replace(before, after), *lines[at + 1 :]])
        assert "market" in {finding.code for finding in verified(forged, prefix_ok=True).findings}, before
