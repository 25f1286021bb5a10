"""The catalog's references: each rule of ``check_catalog`` bites, alone, at its place."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from apportion.model.agreement import Agreement, Part, Service
from apportion.model.calendar import Calendar
from apportion.model.catalog import Catalog
from apportion.model.party import Payer, Provider, UnknownPayers
from apportion.model.references import canonical, check_catalog, near
from apportion.model.tariff import Deck, DeckRow, Tariff, Unit


def tariff(id: str, **changes: Any) -> Tariff:
    component = Unit(name="time", measure="seconds", price="0.01")
    return replace(Tariff(id=id, currency="USD", components=(component,)), **changes)


def part(**changes: Any) -> Part:
    return replace(Part("hosta", {"hosta": "cost", "hostb": "cost"}, "1", "seconds"), **changes)


SERVICE = Service(
    "call", "retail", {"leg": part()}, measures={"seconds": "s"}, attributes=("called",), exempt=("alice",)
)
CATALOG = Catalog(
    providers={"hosta": Provider("hosta"), "hostb": Provider("hostb")},
    services={"call": SERVICE},
    tariffs={"retail": tariff("retail"), "cost": tariff("cost")},
    agreements={
        "own": Agreement("own", "call", "retail", payer="alice"),
        "leg": Agreement("leg", "call", "cost", provider="hosta", part="leg"),
    },
    payers={"alice": Payer("alice", "USD", credit="5")},
)
EARLY, LATE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


def with_service(**changes: Any) -> Catalog:
    return replace(CATALOG, services={"call": replace(SERVICE, **changes)})


def with_part(rule: str = "wholesale", **changes: Any) -> Catalog:
    return with_service(apportion=rule, parts={"leg": part(**changes)})


def with_tariff(**changes: Any) -> Catalog:
    return replace(CATALOG, tariffs=CATALOG.tariffs | {"retail": tariff("retail", **changes)})


def with_payer(**changes: Any) -> Catalog:
    return replace(CATALOG, payers={"alice": replace(CATALOG.payers["alice"], **changes)})


def with_agreement(**changes: Any) -> Catalog:
    return replace(CATALOG, agreements={"own": replace(CATALOG.agreements["own"], **changes)})


def test_a_good_catalog_has_no_findings() -> None:
    assert check_catalog(CATALOG) == []
    for rule in ("shares", "quantity", "cost"):
        assert check_catalog(with_service(apportion=rule, platform="0.2")) == []


FINDINGS: dict[str, tuple[Catalog, str]] = {
    "zone": (replace(CATALOG, zone="Mars/Olympus"), "not a time zone"),
    "currencies.USD": (replace(CATALOG, currencies={"USD": 1}), "2 to 18"),
    "currencies.usd": (replace(CATALOG, currencies={"usd": 9}), "not an asset"),
    "providers.Host": (
        replace(CATALOG, providers=CATALOG.providers | {"Host": Provider("Host")}),
        "can not be a name",
    ),
    "providers.hostb.id": (
        replace(CATALOG, providers=CATALOG.providers | {"hostb": Provider("b")}),
        "stands under",
    ),
    "services.call.retail": (with_service(retail="retial"), "no tariff 'retial'"),
    "services.call.measures.start": (with_service(measures={"seconds": "s", "start": "1"}), "something else"),
    "services.call.attributes.seconds": (with_service(attributes=("seconds",)), "a measure too"),
    "services.call.attributes.a.b": (with_service(attributes=("a.b",)), "can not be a name"),
    "services.call.parts.payer.x": (with_service(parts={"leg": part(), "payer.x": part()}), "can not be a part"),
    "services.call.parts.leg.provider": (with_part(provider="hostc"), "no provider 'hostc'"),
    "services.call.parts.leg.wholesale": (with_part(wholesale={}), "needs it"),
    "services.call.parts.leg.wholesale.hosta": (with_part(wholesale={"hosta": "csot"}), "no tariff 'csot'"),
    "services.call.parts.leg.wholesale.hostc": (
        with_part(wholesale={"hosta": "cost", "hostc": "cost"}),
        "no provider 'hostc'",
    ),
    "services.call.parts.leg.share": (with_part("shares", share=""), "needs it"),
    "services.call.parts.leg.share ": (with_part("shares", share="-1"), "not 0 or more"),
    "services.call.parts": (with_part("shares", share="0"), "all shares are zero"),
    "services.call.parts.leg.measure": (with_part("quantity", measure=""), "needs it"),
    "services.call.parts.leg.measure ": (with_part("quantity", measure="second"), "no measure 'second'"),
    "services.call.platform": (with_service(apportion="cost", platform="1.01"), "not 0 to 1"),
    "services.call.platform ": (with_service(platform="0.1"), "keeps the margin"),
    "services.call.exempt": (with_service(exempt=("alicia",)), "no payer 'alicia'"),
    "services.call.sponsor": (with_service(sponsor="the sponsor"), "can not be a name"),
    "services.call.parts.leg.wholesale.hostb": (
        replace(
            with_part(wholesale={"hosta": "cost", "hostb": "euro"}),
            tariffs=CATALOG.tariffs | {"euro": tariff("euro", currency="EUR")},
        ),
        "the tariff 'euro' is in EUR",
    ),
    "tariffs.retail.currency": (with_tariff(currency="XXXX"), "not an ISO 4217 currency"),
    "tariffs.retail.components[0].price": (
        with_tariff(components=(Unit(name="time", measure="seconds", price="abc"),)),
        "not a plain number",
    ),
    "payers.alice.currency": (with_payer(currency="USD/6"), "one scale for USD: 9"),
    "payers.alice.credit": (with_payer(credit="-5"), "negative"),
    "payers.alice.opening": (with_payer(opening="1e5"), "not an amount"),
    "payers.alice.calendar": (with_payer(calendar=Calendar(anchor_day=32)), "1 to 31"),
    "unknown_payers.currency": (replace(CATALOG, unknown_payers=UnknownPayers("US")), "not an ISO"),
    "agreements.own.service": (with_agreement(service="cal"), "no service 'cal'"),
    "agreements.own.tariff": (with_agreement(tariff="x"), "no tariff 'x'"),
    "agreements.own.payer": (with_agreement(payer="bob"), "no payer 'bob'"),
    "agreements.own": (with_agreement(payer=""), "or both"),
    "agreements.own.part": (with_agreement(payer="", provider="hosta", part="lag"), "no part 'lag'"),
    "agreements.own.valid_until": (with_agreement(valid_from=LATE, valid_until=EARLY), "after valid_from"),
    "agreements.own.valid_from": (with_agreement(valid_from=EARLY.replace(tzinfo=None)), "no time zone"),
}


@pytest.mark.parametrize("where", FINDINGS)
def test_each_rule_bites_at_its_place(where: str) -> None:
    catalog, words = FINDINGS[where]
    found = [refusal for refusal in check_catalog(catalog) if refusal.where == where.strip()]
    assert any(words in refusal.message for refusal in found), check_catalog(catalog)
    assert found[0].field == where.strip().rpartition(".")[2]
    assert len(check_catalog(catalog)) <= 4


def test_a_tariff_prices_what_its_service_has() -> None:
    other = Unit(name="size", measure="bytes", price="1")
    found, *_ = check_catalog(with_tariff(components=(other,)))
    assert (found.where, found.code.value) == ("services.call.retail", "measure_missing")
    assert check_catalog(with_tariff(components=(replace(other, optional=True),))) == []
    assert check_catalog(with_tariff(components=(replace(other, time=True),))) == []
    deck = Deck(by="caled", rows=(DeckRow("45", "1"),))
    found, *_ = check_catalog(with_tariff(components=(Unit(name="time", measure="seconds"),), deck=deck))
    assert found.fix == "Did you mean 'called'?"


def test_agreements_must_not_overlap() -> None:
    own = CATALOG.agreements["own"]
    later = replace(own, id="later", valid_from=LATE)
    [found] = check_catalog(replace(CATALOG, agreements={"own": own, "later": later}))
    assert found.where == "agreements.later"
    ended = replace(own, valid_until=LATE)
    assert check_catalog(replace(CATALOG, agreements={"own": ended, "later": later})) == []


def test_all_findings_come_at_once() -> None:
    catalog = replace(with_service(retail="x", platform="2", exempt=("y",)), zone="z")
    assert len(check_catalog(catalog)) >= 4


def test_names_of_unread_records_are_not_reported_twice() -> None:
    catalog = replace(CATALOG, tariffs={"cost": tariff("cost")})
    assert {refusal.where for refusal in check_catalog(catalog)} == {"services.call.retail", "agreements.own.tariff"}
    assert check_catalog(catalog, {"tariffs.retail"}) == []


def test_unknown_payers_may_have_agreements() -> None:
    catalog = replace(with_agreement(payer="bob"), unknown_payers=UnknownPayers("USD"))
    assert check_catalog(catalog) == []


def test_canonical_does_not_depend_on_order() -> None:
    turned = replace(CATALOG, providers=dict(reversed(CATALOG.providers.items())))
    assert canonical(turned) == canonical(CATALOG)
    assert canonical(CATALOG).startswith(b'{"agreements":{"leg":{"id":"leg",')
    assert b" " not in canonical(CATALOG)


def test_near() -> None:
    assert near("secondz", ["bytes", "seconds"]) == "Did you mean 'seconds'?"
    assert near("kwh", ["bytes", "seconds"]) == ""
    assert near("x" * 100_000, ["x"]) == ""
