"""A small book with one of everything, made by the real engine: for the tests of export, proof and durability."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from apportion.engine.engine import Engine
from apportion.errors import Refusal, RefusalCode, Refused
from apportion.model.agreement import Part, Service
from apportion.model.catalog import Catalog
from apportion.model.command import ChargeUsage, RejectUsage
from apportion.model.party import Payer, Provider, UnknownPayers
from apportion.model.tariff import Deck, DeckRow, Flat, Graduated, Tariff, Tier, Unit
from apportion.model.usage import PartUse, PayerUse, Usage

START = datetime(2026, 11, 16, 8, 5, tzinfo=UTC)


def _unit(name: str, measure: str, price: str, per: str = "1") -> Unit:
    return Unit(name=name, measure=measure, price=price, per=per)


def _graduated(name: str, *tiers: Tier) -> Graduated:
    return Graduated(name=name, measure="kwh", scope="period", tiers=tiers)


def _tariff(id: str, *components: Unit | Flat | Graduated, **more: object) -> Tariff:
    return Tariff(id=id, currency="EUR", components=components, **more)  # type: ignore[arg-type]


TARIFFS = (
    _tariff("fare", Flat(name="start", price="3"), _unit("way", "km", "1.2333333333"), taxes={"vat": "7.7"}, tax="vat"),
    _tariff("driving", _unit("time", "minutes", "1", "7")),
    _tariff("car", _unit("way", "km", "0.7")),
    _tariff(
        "energy",
        _graduated("energy", Tier(up_to="9", price="0.3"), Tier(price="0.2")),
        Flat(name="meter", price="2", scope="period"),
    ),
    _tariff("sun", _graduated("sun", Tier(up_to="5", price="0.07"), Tier(price="0.05"))),
    _tariff("wire", _unit("wire", "kwh", "1", "30")),
    _tariff(
        "calls",
        Unit(name="talk", measure="seconds", per="60"),
        deck=Deck("called", rows=(DeckRow("49", "0.011"), DeckRow("4930", "0.02"), DeckRow("", "1"))),
    ),
)  # fmt: skip


def catalog(fare: str = "", credit: str = "1000") -> Catalog:
    """Rides with tax and several payers, power with running totals, calls to personal numbers by fixed shares."""
    tariffs = {tariff.id: tariff for tariff in TARIFFS}
    if fare:
        tariffs["fare"] = _tariff("fare", Flat(name="start", price=fare), _unit("way", "km", "1"))
    services = (
        Service(
            id="ride", retail="fare", measures={"km": "km", "minutes": "min"}, exempt=("staff",), sponsor="marketing",
            parts={"driver": Part("dora", {"dora": "driving"}), "car": Part("otto", {"otto": "car"})},
        ),
        Service(
            id="power", retail="energy", measures={"kwh": "kWh"}, allocate="shares",
            parts={"source": Part("sun", {"sun": "sun"}), "grid": Part("wire", {"wire": "wire"})},
        ),
        Service(
            id="call", retail="calls", measures={"seconds": "s"}, attributes=("called",), personal=("called",),
            apportion="shares", platform="1", parts={"near": Part("dora", share="3"), "far": Part("otto", share="3")},
        ),
    )  # fmt: skip
    return Catalog(
        providers={name: Provider(name) for name in ("dora", "otto", "sun", "wire")},
        services={service.id: service for service in services},
        tariffs=tariffs,
        payers={"ada": Payer("ada", "EUR", credit=credit, opening="5"), "poor": Payer("poor", "EUR")},
        unknown_payers=UnknownPayers("EUR", credit=credit),
    )


def ride(number: int, *payers: str, km: str = "6.4", minutes: str = "18") -> Usage:
    """A ride of the taxi's meter."""
    start = START + timedelta(minutes=number)
    return Usage(
        "meter", f"r{number}", "ride", start, start + timedelta(minutes=18),
        tuple(PayerUse(payer) for payer in payers or ("ada",)), (), {"km": km, "minutes": minutes},
    )  # fmt: skip


def usages(count: int) -> Iterator[Usage]:
    """``count`` records over all services, payers alone and together, some of whom pay nothing."""
    people = ("ada", "ben", "cleo", "dan", "staff")
    for i in range(count):
        at = START + timedelta(minutes=i)
        first, second = people[i % 5], people[(i // 5) % 5]
        payers = (PayerUse(first, "2"), PayerUse(second, "1")) if i % 3 == 0 and first != second else (PayerUse(first),)
        if i % 3 == 0:
            yield Usage(
                "meter", f"m{i}", "ride", at, None, payers, (), {"km": f"{i % 17}.{i % 10}", "minutes": str(i % 31)}
            )
        elif i % 3 == 1:
            yield Usage(
                "grid", f"m{i}", "power", at, None, (payers[0],), (PartUse("source", "sun"),), {"kwh": f"0.{i % 97}"}
            )
        else:
            called = ("4930123", "49170", "1212")[i // 3 % 3]
            yield Usage("switch", f"m{i}", "call", at, None, payers, (), {"seconds": str(i % 500)}, {"called": called})


def fill(engine: Engine, count: int = 60, *, close: bool = False) -> None:
    """Write the book: a catalog and its successor, usage in every class, value, holds, and perhaps a close."""
    engine.apply(catalog())
    engine.charge(usages(count // 2))
    engine.charge([ride(1, "ada", "ben", "cleo"), ride(2, "staff"), ride(3, "poor"), ride(4, km="-2", minutes="-3")])
    engine.charge([ride(1, "ada", "ben", "cleo"), ride(1, km="7"), ride(5, km="0.0", minutes="x")])
    engine.top_up("ada", "12.5", "EUR", "wire-1")
    placed = engine.hold("ben", "20", "EUR", "session 1", "2027-01-01T00:00:00Z")
    assert placed.startswith("hold_")
    engine.end_hold(1, "4", final=False)
    engine.hold("ben", "3", "EUR", "session 2", "2020-01-01T00:00:00Z")
    engine.sweep()
    engine.end_hold(1, "1")
    engine.hold("cleo", "2.25", "EUR", "session 3", "2027-01-01T00:00:00Z")
    engine.apply(catalog("4"))
    unread = RejectUsage("meter", "", b"12345678" * 4, Refusal(RefusalCode.BAD_INPUT))
    engine.run([[*(ChargeUsage(usage) for usage in usages(count)), unread]])
    try:
        engine.top_up("nobody", "1", "EUR", "wire-2")
    except Refused:
        pass
    if close:
        engine.close_period()
