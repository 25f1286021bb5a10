"""A replay under another catalog gives what books charged by it would hold; under none, what they hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from apportion.model.agreement import Agreement, Part, Service
from apportion.model.catalog import Catalog
from apportion.model.party import Provider, UnknownPayers
from apportion.model.tariff import Flat, Graduated, Tariff, Tier, Unit
from apportion.model.usage import PartUse, PayerUse, Usage
from apportion.wiring import open_engine
from tests.whatif import ask, change, column, same

PRICES = st.sampled_from(["0.1", "0.3333", "1", "0.0000001", "7"])
PEOPLE = ("ann", "bob", "cy")


def unit(id: str, price: str, per: str = "1") -> Tariff:
    return Tariff(id=id, currency="EUR", components=(Unit(name="use", measure="u", price=price, per=per),))


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """Two services of the same two parts, one of them by totals of the month; every price and rule is drawn."""
    steps = Tariff(
        id="steps", currency="EUR", taxes={"vat": draw(st.sampled_from(["0", "7.7"]))}, tax="vat",
        components=(
            Graduated(
                name="use", measure="u", scope="period",
                tiers=(Tier(up_to=draw(st.sampled_from(["3", "20"])), price=draw(PRICES)), Tier(price=draw(PRICES))),
            ),
            Flat(name="month", price=draw(st.sampled_from(["0", "2.5"])), scope="period"),
        ),
    )  # fmt: skip
    tariffs = [unit("retail", draw(PRICES), "3"), unit("own", draw(PRICES)), steps]
    tariffs += [unit("oak", draw(PRICES), "7"), unit("elm", draw(PRICES)), unit("fir", draw(PRICES), "11")]

    def service(id: str, retail: str) -> Service:
        price = draw(st.sampled_from(["elm", "steps"]))
        wholesale = {"oak": "oak", "elm": price, "ash": draw(st.sampled_from(["fir", "steps"]))}
        rule = draw(st.sampled_from(["wholesale", "shares", "cost"]))
        platform = "0" if rule == "wholesale" else draw(st.sampled_from(["0.1", "0.25"]))
        near = Part(draw(st.sampled_from(["oak", "elm"])), wholesale, share=draw(st.sampled_from(["1", "2.5"])))
        return Service(
            id=id, retail=retail, measures={"u": "u"}, apportion=rule, platform=platform, sponsor="marketing",
            allocate=draw(st.sampled_from(["equal", "shares"])),
            parts={"near": near, "far": Part("fir", {"fir": "fir"}, share="3")},
        )  # fmt: skip

    agreements = [Agreement("ann-own", "plain", "own", payer="ann")] if draw(st.booleans()) else []
    return Catalog(
        providers={name: Provider(name) for name in ("oak", "elm", "fir", "ash")},
        services={one.id: one for one in (service("plain", "retail"), service("monthly", "steps"))},
        tariffs={one.id: one for one in tariffs},
        agreements={one.id: one for one in agreements},
        unknown_payers=UnknownPayers("EUR", credit="1000000000"),
    )


@st.composite
def usages(draw: st.DrawFn) -> list[Usage]:
    """A few days of use over the turn of a month, by one to three payers."""
    found = []
    for number in range(draw(st.integers(1, 10))):
        payers = draw(st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=3, unique=True))
        at = datetime(2026, 10, 30, tzinfo=UTC) + timedelta(hours=draw(st.integers(0, 96)))
        near = draw(st.sampled_from(["", "ash"]))
        found.append(
            Usage(
                "meter",
                f"r{number}",
                draw(st.sampled_from(["plain", "monthly"])),
                at,
                None,
                tuple(PayerUse(name, draw(st.sampled_from(["", "2"]))) for name in payers),
                (PartUse("near", near),) if near else (),
                {"u": draw(st.sampled_from(["0", "1", "2.75", "19"]))},
            )  # fmt: skip
        )
    return found


@settings(max_examples=40, deadline=None)
@given(catalogs(), catalogs(), usages(), st.sampled_from(["", "2026-10"]), st.booleans())
def test_a_replay_is_what_the_other_catalog_would_have_booked(one, other, records, period, closes):
    with open_engine(":memory:") as engine, open_engine(":memory:") as second:
        for books, terms in ((engine, one), (second, other)):
            books.apply(terms)
            books.charge(records)
            if closes:
                books.close_period()
        if not any(usage.start.month == 10 for usage in records):
            period = ""
        control = ask(engine, period=period)
        assert same(control) and not control.apart and control.replayed == control.records
        found = ask(engine, period=period, catalog=other)
        assert column(found, "booked") == column(control, "booked")
        assert not found.apart and found.untouched + found.replayed == found.records
        if closes:  # where nothing is, what only the other terms count by the month is closed all the same
            assert column(found, "replayed") == column(ask(second, period=period), "booked")


@settings(max_examples=20, deadline=None)
@given(catalogs(), usages(), st.booleans())
def test_changes_are_the_catalog_with_them_made(one, records, closes):
    """The same asked twice: by words, and by a whole catalog that says it."""
    near = one.services["plain"].parts["near"]
    changed = msgspec.structs.replace(
        one.services["plain"], retail="own", apportion="shares", platform="2",
        parts={**one.services["plain"].parts, "near": msgspec.structs.replace(near, share="9")},
    )  # fmt: skip
    other = msgspec.structs.replace(one, services={**one.services, "plain": changed})
    with open_engine(":memory:") as engine:
        engine.apply(one)
        engine.charge(records)
        if closes:
            engine.close_period()
        words = ask(
            engine, change("tariff", "plain=own"), change("rule", "plain=shares"), change("platform", "plain=2"),
            change("share", "plain.near=9"),
        )  # fmt: skip
        whole = ask(engine, catalog=other)
        assert column(words, "replayed") == column(whole, "replayed")
        assert words.apart == whole.apart == ()
