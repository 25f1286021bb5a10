"""The short ways say what the long ones say: lines filled into forms, and fees as sums of products."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from apportion.engine.rating import Given, Rated, prepare
from apportion.engine.terms import Terms
from apportion.errors import Refused
from apportion.ledger.booking import book, book_line
from apportion.ledger.lines import Form, Forms, encode
from apportion.model.account import Account, Role
from apportion.model.agreement import Part, Service
from apportion.model.catalog import Catalog
from apportion.model.charge import Charge
from apportion.model.journal import Entry, UsageLine
from apportion.model.party import Payer, Provider, UnknownPayers
from apportion.model.tariff import Deck, DeckRow, Flat, Graduated, RoundingRule, Tariff, Tier, Unit
from apportion.model.usage import PartUse, PayerUse, Usage
from apportion.wiring import open_engine

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
WORDS = st.text(max_size=8) | st.sampled_from(["\x7f1\x7f", '"\\', "100 %s", "a\u2028b", "0", "ü"])
AMOUNTS = st.integers(0, 10**6).map(str) | st.decimals(0, 1000, places=4).map(str)


def tariff(id: str, *components: Unit | Flat | Graduated, currency: str = "EUR", **more: object) -> Tariff:
    return Tariff(id=id, currency=currency, components=components, **more)  # type: ignore[arg-type]


def unit(price: str, per: str = "1", name: str = "time", measure: str = "minutes") -> Unit:
    return Unit(name=name, measure=measure, price=price, per=per)


MONTHLY = Graduated(name="m", measure="minutes", scope="period", tiers=(Tier(up_to="9", price="3"), Tier(price="2")))
CALL = Service(
    id="call", retail="plain", measures={"minutes": "min", "bytes": "B"}, attributes=("called", "tone"),
    personal=("called",), exempt=("guest",), sponsor="charity",
    parts={"near": Part("oak", {"oak": "third"}), "far": Part("elm", {"elm": "dear"})},
)  # fmt: skip
TARIFFS = (
    tariff("plain", unit("0.3", "7"), Flat(name="call", price="0.1")),
    tariff("taxed", unit("0.31"), taxes={"vat": "19"}, tax="vat"),
    tariff("free", unit("0")),
    tariff("yen", unit("7", "30"), currency="JPY", taxes={"tax": "1"}, tax="tax"),
    tariff("deck", Unit(name="talk", measure="minutes"), deck=Deck(by="called", rows=(DeckRow(key="", price="1"),))),
    tariff("monthly", MONTHLY),
    tariff("third", unit("1", "3")),
    tariff("dear", unit("0.2"), unit("0.07", "3", "data", "bytes")),
    tariff("cheap", unit("0.02")),
    tariff("yens", unit("2"), currency="JPY"),
)
EACH = {"near": Part("oak", {"oak": "cheap"}), "far": Part("oak", {"oak": "cheap"})}
SERVICES = (
    CALL,
    *[msgspec.structs.replace(CALL, id=name, retail=name) for name in ("taxed", "free", "deck", "monthly")],
    msgspec.structs.replace(CALL, id="cost", allocate="cost", parts=EACH),
    msgspec.structs.replace(CALL, id="agreed", allocate="shares", apportion="shares", platform="1", parts={
        "near": Part("oak", share="2"), "far": Part("elm", share="0.5"),
    }),
    msgspec.structs.replace(CALL, id="yen", retail="yen", parts={"near": Part("oak", {"oak": "yens"})}),
)  # fmt: skip
CATALOG = Catalog(
    providers={name: Provider(name) for name in ("oak", "elm")},
    services={service.id: service for service in SERVICES},
    tariffs={one.id: one for one in TARIFFS},
    currencies={"JPY": 0},
    payers={"yui": Payer("yui", "JPY", credit="1000000000")},
    unknown_payers=UnknownPayers("EUR", credit="1000000000"),
)
PAYERS = st.builds(
    PayerUse, st.sampled_from(["ann", "bob", "guest"]), st.sampled_from([""] * 9 + ["2", "1/3"]),
    st.sampled_from([{}] * 9 + [{"minutes": "2"}]), st.sampled_from([True, True, False]),
)  # fmt: skip


@st.composite
def usages(draw: st.DrawFn, services: tuple[str, ...]) -> Usage:
    sign = draw(st.sampled_from(["", "", "", "-"]))
    measures = draw(st.sampled_from([("minutes", "bytes"), ("bytes", "minutes")]))
    ends = draw(st.sampled_from([None, NOON + timedelta(minutes=9)]))
    payers = draw(st.lists(PAYERS, min_size=1, max_size=3, unique_by=lambda p: p.payer))
    parts = draw(st.sampled_from([()] * 9 + [(PartUse("near", "oak"),), (PartUse("near", "oak", {"minutes": "1"}),)]))
    service = draw(st.sampled_from(services))
    called = {"called": draw(WORDS)} if service == "deck" else {}
    return Usage(
        draw(WORDS), draw(WORDS), service, NOON, ends, (PayerUse("yui"),) if service == "yen" else tuple(payers), parts,
        {measure: sign + draw(AMOUNTS) for measure in measures},
        draw(st.dictionaries(st.sampled_from(["called", "tone"]), WORDS)) | called,
    )  # fmt: skip


NAMES = tuple(service.id for service in SERVICES)
RECORDS = st.lists(usages(NAMES), min_size=1, max_size=8) | st.sampled_from(NAMES).flatmap(
    lambda name: st.lists(usages((name,)), min_size=8, max_size=16)  # many shapes of one delivery
)


class Checked(Forms):
    """Forms that hold every line against the plain encoding of its record."""

    filled = 0

    def line(self, shape, build, texts, free=()):  # type: ignore[no-untyped-def]
        plain = encode(build(list(texts)))
        assert super().line(shape, build, list(texts), free) == plain  # perhaps the first of its shape
        Checked.filled += self._forms[shape] is not None
        line = super().line(shape, build, texts, free)
        assert line == plain
        return line


@settings(max_examples=150, deadline=None)
@given(records=RECORDS)
def test_a_filled_line_is_the_encoded_record(records: list[Usage]) -> None:
    kinds = {b"usage": UsageLine, b"charge": Charge, b"entry": Entry}
    with patch("apportion.engine.terms.Forms", Checked), open_engine(":memory:") as engine:
        engine.apply(CATALOG)
        engine.charge(records)
        engine.charge(records)
        for _, body, _ in engine.store.journal(engine.tenant, 0, 0, 10**6):
            for line in body.split(b"\n"):
                kind = kinds.get(line.split(b'"', 4)[3])
                assert kind is None or encode(msgspec.json.decode(line, type=kind)) == line


def test_forms_are_used() -> None:
    use = {"minutes": "1", "bytes": "2"}
    records = [Usage("s", f"{n}", "call", NOON, None, (PayerUse("ann"),), (), use) for n in range(9)]
    Checked.filled = 0
    with patch("apportion.engine.terms.Forms", Checked), open_engine(":memory:") as engine:
        engine.apply(CATALOG)
        engine.charge(records)
    assert Checked.filled == 18  # usage and charge of each


def test_a_mark_in_a_constant_text_is_no_hole() -> None:
    forms = Forms()
    for text in ("a", "b"):
        line = forms.line("shape", lambda texts: ["\x7f0\x7f", *texts], [text, "c"], (0,))
        assert line == encode(["\x7f0\x7f", text, "c"])


@given(text=st.text(), order=st.permutations(["x", "y", "z"]))
def test_a_form_takes_any_text_in_any_order(text: str, order: list[str]) -> None:
    def build(texts):  # type: ignore[no-untyped-def]
        return dict(zip(order, texts, strict=True)) | {"constant %": "%s"}

    assert Form(build, 3, (0, 1, 2)).fill([text, "%d", "\\"]) == encode(build([text, "%d", "\\"]))


@given(atoms=st.lists(st.integers(-(10**12), 10**12).filter(bool), min_size=1, max_size=5), scale=st.integers(0, 9))
def test_an_entry_is_filled_in_as_it_is_encoded(atoms: list[int], scale: int) -> None:
    assume(sum(atoms))
    lines = []
    for write in (lambda *entry: encode(book(*entry)), book_line):
        accounts = [Account(i, f"acct_{i}", Role.PAYER, 1) for i in range(len(atoms) + 1)]
        movements = list(zip(accounts, [*atoms, -sum(atoms)], strict=True))
        lines.append((write("ent_1", "chg_1", "charge", "now", ("EUR/9", scale), movements), accounts))
    assert lines[0] == lines[1]


PRICES = st.integers(0, 10**6).map(lambda n: f"0.{n:06}") | st.integers(0, 50).map(str)
PERS = st.sampled_from(["1", "1000000", "60", "3600", "7", "30"])
COMPONENTS = st.one_of(
    st.builds(unit, PRICES, PERS, st.just("a"), st.just("minutes")),
    st.builds(unit, PRICES, PERS, st.just("a"), st.just("bytes")),
    st.builds(lambda price: Flat(name="a", price=price), PRICES),
)  # fmt: skip


@st.composite
def tariffs(draw: st.DrawFn, id: str) -> Tariff:
    found = draw(st.lists(COMPONENTS, min_size=1, max_size=3))
    named = [msgspec.structs.replace(component, name=f"c{i}") for i, component in enumerate(found)]
    rule = draw(st.sampled_from([RoundingRule(), RoundingRule(), RoundingRule(at="charge", decimals=9)]))
    return tariff(id, *named, rounding=rule)


@settings(max_examples=400, deadline=None)
@given(
    retail=tariffs("retail"),
    wholesale=st.lists(tariffs("w"), min_size=1, max_size=4),
    quantities=st.fixed_dictionaries({"minutes": AMOUNTS, "bytes": AMOUNTS}),
    scale=st.integers(0, 9),
)
def test_the_short_way_to_a_fee_is_the_general_one(
    retail: Tariff, wholesale: list[Tariff], quantities: dict[str, str], scale: int
) -> None:
    costs = [msgspec.structs.replace(one, id=f"w{i}") for i, one in enumerate(wholesale)]
    catalog = Catalog(
        providers={one.id: Provider(one.id) for one in costs},
        services={
            "call": Service(
                id="call", retail="retail", measures={"minutes": "min", "bytes": "B"},
                parts={f"p{i}": Part(one.id, {one.id: one.id}) for i, one in enumerate(costs)},
            )
        },
        tariffs={one.id: one for one in (retail, *costs)},
        currencies={"EUR": scale},
    )  # fmt: skip
    usage = Usage("s", "1", "call", NOON, None, (PayerUse("ann"),), (), quantities)
    terms = Terms(catalog, "v")
    try:
        general = prepare(usage, terms, Given("retail", ""))
    except Refused:  # a rule with more decimals than the currency
        assume(False)
    prepared = prepare(usage, terms)
    assert prepared.deal.linear is not None
    assert _said(prepared.rated) == _said(general.rated)


def _said(rated: Rated | None) -> tuple[object, ...]:
    assert rated is not None
    split = rated.split
    return (
        rated.net, rated.total, rated.taxes, rated.retail.exact, rated.retail.exact.text(), rated.shares,
        split.portions, split.platform, split.sponsored, split.dues, [due.text() for due in split.dues], split.kept,
    )  # fmt: skip
