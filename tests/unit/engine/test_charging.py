"""What becomes of one usage record: every class, every leg, and nothing half done."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from apportion.engine.engine import Engine
from apportion.engine.explain import View
from apportion.engine.inquiry import explain
from apportion.errors import Refused
from apportion.model.agreement import Agreement, Part, Service
from apportion.model.catalog import Catalog
from apportion.model.command import ChargeUsage, RejectUsage
from apportion.model.ids import read_number
from apportion.model.party import Payer, Provider, UnknownPayers
from apportion.model.tariff import Tariff, Unit
from apportion.model.usage import PartUse, PayerUse, Usage, UsageClass
from apportion.wiring import open_engine

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def per_minute(name: str, price: str, vat: str = "") -> Tariff:
    taxes = {"vat": vat} if vat else {}
    talk = Unit(name="talk", measure="minutes", price=price)
    return Tariff(id=name, currency="EUR", components=(talk,), taxes=taxes, tax="vat" if vat else "")


CALLS = Service(
    id="calls",
    retail="retail",
    measures={"minutes": "min"},
    attributes=("called",),
    personal=("called",),
    parts={
        "origin": Part(provider="oak", wholesale={"oak": "oak"}),
        "bridge": Part(provider="elm", wholesale={"elm": "elm", "fir": "fir"}),
    },
)
CATALOG = Catalog(
    providers={name: Provider(name) for name in ("oak", "elm", "fir")},
    services={
        "calls": CALLS,
        "shared": msgspec.structs.replace(
            CALLS, id="shared", apportion="shares", platform="5",
            parts={"origin": Part(provider="oak", share="35"), "bridge": Part(provider="elm", share="60")},
        ),
        "metered": msgspec.structs.replace(
            CALLS, id="metered", apportion="quantity", platform="0.1",
            parts={name: Part(provider=who, measure="minutes") for name, who in (("origin", "oak"), ("bridge", "elm"))},
        ),
        "costed": msgspec.structs.replace(CALLS, id="costed", apportion="cost", platform="0.25"),
        "conference": msgspec.structs.replace(CALLS, id="conference", allocate="cost", exempt=("guest",)),
        "given": msgspec.structs.replace(CALLS, id="given", sponsor="charity"),
        "loss": msgspec.structs.replace(CALLS, id="loss", retail="cheap"),
        "taxed": msgspec.structs.replace(CALLS, id="taxed", retail="taxed"),
    },
    tariffs={
        one.id: one
        for one in (
            per_minute("retail", "0.30"), per_minute("friend", "0.20"), per_minute("oak", "0.05"),
            per_minute("elm", "0.11"), per_minute("fir", "0.12"), per_minute("cheap", "0.10"),
            per_minute("taxed", "0.30", "25"),
        )
    },
    agreements={"a": Agreement("a", "calls", "friend", payer="eve", valid_until=datetime(2026, 6, 1, tzinfo=UTC))},
    payers={"poor": Payer("poor", "EUR", opening="1.00"), "rich": Payer("rich", "EUR", credit="100")},
    unknown_payers=UnknownPayers("EUR", credit="50"),
)  # fmt: skip


@pytest.fixture
def engine():
    with open_engine(":memory:") as opened:
        opened.apply(CATALOG)
        yield opened


def use(id: str, minutes: str = "10", *, service: str = "calls", payers: tuple = ("ann",), **more) -> Usage:
    who = tuple(p if isinstance(p, PayerUse) else PayerUse(p) for p in payers)
    return Usage("switch", id, service, more.pop("start", NOON), None, who, quantities={"minutes": minutes}, **more)


def balances(engine: Engine) -> dict[str, str]:
    found = {a.owner: a.posted.rstrip("0").rstrip(".") for a in engine.books.accounts()}
    assert sum(int(a.posted.replace(".", "")) for a in engine.books.accounts()) == 0
    return {owner: amount for owner, amount in found.items() if amount != "0"}


def test_one_fee_leaves_the_payer_and_reaches_every_provider(engine):
    [done] = engine.charge([use("1")])
    assert done.state is UsageClass.CHARGED
    assert balances(engine) == {"poor": "1", "outside": "-1", "ann": "-3", "oak": "0.5", "elm": "1.1", "fees": "1.4"}


def test_the_provider_named_by_the_record_earns_its_own_price(engine):
    engine.charge([use("1", parts=(PartUse("bridge", "fir"),))])
    assert balances(engine)["fir"] == "1.2" and balances(engine)["fees"] == "1.3"


def test_agreed_shares_measured_quantities_and_measured_costs_split_the_fee(engine):
    engine.charge([use("1", service="shared")])
    assert (balances(engine)["oak"], balances(engine)["elm"], balances(engine)["fees"]) == ("1.05", "1.8", "0.15")
    measured = (PartUse("origin", "oak", {"minutes": "1"}), PartUse("bridge", "elm", {"minutes": "8"}))
    engine.charge([msgspec.structs.replace(use("2", service="metered"), parts=measured, quantities={"minutes": "10"})])
    assert (balances(engine)["oak"], balances(engine)["elm"]) == ("1.35", "4.2")  # + 0.3 and 2.4 of 2.7
    engine.charge([use("3", service="costed")])
    assert (balances(engine)["oak"], balances(engine)["elm"]) == ("2.053125", "5.746875")  # + 2.25 × 5⁄16 and 11⁄16


def test_an_agreement_holds_while_it_is_valid(engine):
    june = datetime(2026, 6, 1, tzinfo=UTC)
    engine.charge([use("1", payers=("eve",)), use("2", payers=("eve",), start=june)])
    assert balances(engine)["eve"] == "-5"


def test_payers_share_by_what_serving_each_costs_and_a_guest_pays_nothing(engine):
    payers = (PayerUse("ann", quantities={"minutes": "4"}), PayerUse("bob", quantities={"minutes": "2"}))
    guest = PayerUse("guest", quantities={"minutes": "3"})
    conference = Usage("switch", "1", "conference", NOON, None, (*payers, guest))
    [done] = engine.charge([conference])
    assert done.state is UsageClass.CHARGED  # 9 minutes cost 2.70; ann and bob bear them 2 : 1
    assert balances(engine)["ann"] == "-1.8" and balances(engine)["bob"] == "-0.9"
    assert "guest" not in balances(engine)
    paid = next(
        section for section in explain(engine, done.id, View("operator")).sections if section.title == "Who pays"
    )
    assert [(fact.name, fact.value) for fact in paid.facts][-1] == ("guest", "nothing")


def test_if_nobody_pays_a_sponsor_must_be_named(engine):
    nobody = (PayerUse("ann", pays=False),)
    refused, sponsored = engine.charge([use("1", payers=nobody), use("2", payers=nobody, service="given")])
    assert refused.state is UsageClass.REJECTED and refused.refusal.code.value == "sponsor_needed"
    assert sponsored.state is UsageClass.CHARGED
    assert balances(engine)["charity"] == "-3" and "ann" not in balances(engine)


def test_below_cost_the_providers_earn_all_the_same_and_the_sponsor_bears_it(engine):
    [done] = engine.charge([use("1", service="loss")])
    assert done.below_cost == 600_000_000
    assert balances(engine) == {
        "poor": "1", "outside": "-1", "ann": "-1", "oak": "0.5", "elm": "1.1", "marketing": "-0.6"
    }  # fmt: skip


def test_tax_is_a_leg_of_its_own(engine):
    engine.charge([use("1", service="taxed")])
    assert (balances(engine)["ann"], balances(engine)["vat@25"], balances(engine)["fees"]) == ("-3.75", "0.75", "1.4")


def test_a_refund_is_the_mirror_image(engine):
    before = balances(engine)
    engine.charge([use("1", service="taxed"), use("2", "-10", service="taxed")])
    assert balances(engine) == before


def test_a_record_is_charged_once_for_ever(engine):
    first = engine.charge([use("1"), use("1")])
    assert [o.state for o in first] == [UsageClass.CHARGED, UsageClass.DUPLICATE]
    changed, other = engine.charge([use("1", "11"), msgspec.structs.replace(use("1"), source="other")])
    assert changed.state is UsageClass.REJECTED and changed.refusal.code.value == "conflict"
    assert other.state is UsageClass.CHARGED
    assert balances(engine)["ann"] == "-6"


def test_too_little_value_parks_the_record_until_there_is_enough(engine):
    states = [o.state for o in engine.charge([use("1", "3", payers=("poor",)), use("2", "3", payers=("poor",))])]
    assert states == [UsageClass.CHARGED, UsageClass.PENDING]
    assert balances(engine)["poor"] == "0.1"
    again = engine.run([[ChargeUsage(use("2", "3", payers=("poor",)))]])
    assert (again.pending, again.settled) == (1, 0)
    engine.top_up("poor", "0.8", "EUR", "bank-1")
    engine.top_up("poor", "0.8", "EUR", "bank-1")
    done = engine.run([[ChargeUsage(use("2", "3", payers=("poor",)))]])
    assert (done.settled, done.duplicate) == (1, 1)
    assert "poor" not in balances(engine)


def test_several_payers_all_pay_or_nothing_moves(engine):
    before = balances(engine)
    [done] = engine.charge([use("1", "20", payers=("rich", "poor"))])
    assert done.state is UsageClass.PENDING and balances(engine) == before


@pytest.mark.parametrize(
    ("record", "code", "field"),
    [
        (use("1", service="none"), "unknown_service", "service"),
        (use("1", parts=(PartUse("roof", "oak"),)), "unknown_part", "parts"),
        (use("1", parts=(PartUse("bridge", "ash"),)), "unknown_provider", "provider.bridge"),
        (use("1", parts=(PartUse("bridge", "oak"),)), "unknown_provider", "provider.bridge"),
        (use("1", payers=()), "unknown_payer", "payers"),
        (use("1", payers=("ann", "ann")), "bad_input", "payers"),
        (use("1", "ten"), "bad_quantity", "minutes"),
        (use("1", "1e3"), "bad_quantity", "minutes"),
        (use("1", "٣"), "bad_quantity", "minutes"),
        (use("1", "9" * 41), "bad_quantity", "minutes"),
        (use("1", "9" * 40), "overflow", "amount"),
        (use("1", attributes={"colour": "red"}), "unknown_field", "colour"),
        (msgspec.structs.replace(use("1"), quantities={"hours": "1"}), "unknown_field", "hours"),
        (msgspec.structs.replace(use("1"), quantities={}), "measure_missing", "minutes"),
        (use("1", start=datetime(2026, 5, 4)), "bad_time", "start"),
        (msgspec.structs.replace(use("1"), end=datetime(2026, 5, 3, tzinfo=UTC)), "bad_time", "end"),
    ],
)
def test_a_bad_record_is_refused_by_field_and_the_good_ones_go_on(engine, record, code, field):
    bad, good = engine.charge([record, use("2")])
    assert bad.state is UsageClass.REJECTED
    assert bad.refusal.code.value == code and field in bad.refusal.field
    assert good.state is UsageClass.CHARGED and balances(engine)["ann"] == "-3"


def test_every_record_received_is_in_exactly_one_class(engine):
    batch = [use("1"), use("1"), use("2", "0"), use("3", "x"), use("4", payers=("poor",)), use("1", "7")]
    summary = engine.run([[ChargeUsage(u) for u in batch]])
    counts = (summary.charged, summary.zero_rated, summary.duplicate, summary.rejected, summary.pending)
    assert counts == (1, 1, 1, 2, 1) and summary.received == sum(counts) == len(batch)


def test_a_conflict_is_written_down_once_however_often_it_comes(engine):
    engine.charge([use("1")])
    for _ in range(3):
        [again] = engine.charge([use("1", "7")])
        assert again.state is UsageClass.REJECTED and again.refusal.code.value == "conflict"
    kept = [u for _, u in engine.books.lines() if getattr(u, "reason", "") == "conflict"]
    assert len(kept) == 1


def test_an_unreadable_line_is_written_down_once(engine):
    from apportion.errors import Refusal, RefusalCode

    line = RejectUsage("switch", "", b"12345678", Refusal(RefusalCode.BAD_INPUT))
    engine.run([[line]])
    engine.run([[line]])
    kept = [u for _, u in engine.books.lines() if getattr(u, "state", "") == "rejected"]
    assert len(kept) == 1 and kept[0].reason == "bad_input"


def test_holds_set_value_aside_and_end_once(engine):
    hold = read_number(engine.hold("poor", "0.6", "EUR", "session", "2026-05-05T00:00:00Z"))
    with pytest.raises(Refused, match="does not have the value"):
        engine.hold("poor", "0.5", "EUR", "session", "2026-05-05T00:00:00Z")
    [parked] = engine.charge([use("1", "2", payers=("poor",))])
    assert parked.state is UsageClass.PENDING  # 0.60 of it is held
    engine.end_hold(hold, "0.2", final=False)
    with pytest.raises(Refused, match="more is captured"):
        engine.end_hold(hold, "0.5")
    engine.end_hold(hold)
    with pytest.raises(Refused, match="has ended"):
        engine.end_hold(hold)
    assert engine.books.find_account("poor").available == "1.000000000"


def test_a_hold_that_nobody_ends_is_swept(engine):
    engine.hold("poor", "1", "EUR", "session", "2026-05-05T00:00:00Z")
    assert engine.books.find_account("poor").available == "0.000000000"
    assert engine.sweep() == 1 and engine.sweep() == 0
    assert engine.books.find_account("poor").available == "1.000000000"


def test_forgetting_a_person_keeps_the_books_and_removes_the_name(tmp_path):
    store = tmp_path / "books.db"
    with open_engine(str(store)) as engine:
        engine.apply(CATALOG)
        engine.charge([use("1", payers=("canary-person",), attributes={"called": "+4512345678"})])
        engine.charge([use("2", "999", payers=("canary-person",))])
        before = balances(engine)["canary-person"]
    assert b"canary-person" in store.read_bytes() and b"4512345678" in store.read_bytes()
    with open_engine(str(store)) as engine:
        assert engine.forget("canary-person") >= 3
        assert before in balances(engine).values()
        with pytest.raises(Refused, match="nobody is called"):
            engine.forget("canary-person")
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"canary-person" not in left and b"4512345678" not in left


def test_tenants_never_meet(tmp_path):
    for tenant in ("north", "south"):
        with open_engine(str(tmp_path / "books.db"), tenant=tenant) as engine:
            engine.apply(CATALOG)
            [done] = engine.charge([use("1")])
            assert done.state is UsageClass.CHARGED
            assert balances(engine)["ann"] == "-3"
