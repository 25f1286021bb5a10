"""Whose a price line is, and what it is called: by part, for the whole, and as one sum of each other provider."""

from __future__ import annotations

from apportion.model.agreement import Part, Service
from apportion.model.catalog import Catalog
from apportion.model.charge import Charge, Portion, PriceLine, Share
from apportion.model.market import Network
from apportion.model.party import Provider
from apportion.model.tariff import Tariff, Unit
from apportion.stages.statement import Manner, Words
from apportion.stages.statement.told import told

TARIFF = Tariff(
    id="fare",
    currency="EUR",
    taxes={"vat": "25", "low": "5"},
    tax="vat",
    components=(
        Unit(name="talk", measure="minutes", price="0.2"),
        Unit(name="news", measure="items", price="0.1", tax="low"),
    ),
)
CATALOG = Catalog(
    providers={"oak": Provider("oak", "Oak", network="west"), "elm": Provider("elm", "Elm")},
    networks={"west": Network("west", "West Net")},
    services={"call": Service("call", "fare", {"near": Part("oak"), "far": Part("elm")})},
    tariffs={"fare": TARIFF},
)
WORDS = Words(CATALOG)
ADA = Share("acct_1", "1.000000000")


def charge(*lines: tuple[str, str], portions: tuple[str, str] = ("0.300000000", "0.100000000")) -> Charge:
    found = tuple(
        Portion(part, who, "acct_9", "0", amount) for (part, who), amount in zip(PARTS, portions, strict=True)
    )
    return Charge(
        "chg_1", "usg_1", "call", "2026-10-05T12:00:00Z", "EUR", "fare", "cat_1", "wholesale", "1", "1.000000000",
        "1.000000000", "0.6", lines=tuple(PriceLine(name, "minutes", "5", "0.2", exact) for name, exact in lines),
        portions=found, shares=(ADA,),
    )  # fmt: skip


PARTS = (("near", "oak"), ("far", "elm"))


def shown(charge: Charge, manner: Manner) -> list[tuple[str, str, str | None, str]]:
    return [
        (one.said.label, one.exact.reduced().text(), one.said.tax, one.provider)
        for one in told(charge, ADA, WORDS, manner)
    ]


def test_one_price_for_the_whole_is_shared_out_by_what_each_earns() -> None:
    whole = charge(("talk", "1"))
    assert shown(whole, Manner()) == [("Talk", "1", "vat", "")]
    assert shown(whole, Manner(split=True)) == [
        ("Near: talk", "0.75", "vat", "oak"), ("Far: talk", "0.25", "vat", "elm"),
    ]  # fmt: skip
    nothing = charge(("talk", "1"), portions=("0.000000000", "0.000000000"))
    assert [line[1] for line in shown(nothing, Manner(split=True))] == ["0.5", "0.5"]
    back = charge(("talk", "-1"), portions=("-0.300000000", "-0.100000000"))
    assert [line[1] for line in shown(back, Manner(split=True))] == ["-0.75", "-0.25"]


def test_a_part_that_is_priced_by_itself_is_its_providers_and_the_rest_the_platforms() -> None:
    parts = charge(("near: talk", "0.5"), ("far: talk", "0.4"), ("connection", "0.1"))
    assert [(one[1], one[3]) for one in shown(parts, Manner(split=True))] == [
        ("0.5", "oak"), ("0.4", "elm"), ("0.1", ""),
    ]  # fmt: skip


def test_sums_of_other_providers_are_kept_apart_by_their_tax() -> None:
    mixed = charge(("talk", "1"), ("news", "0.4"), ("talk", "0.6"))
    assert shown(mixed, Manner(summed=True)) == [
        ("Oak", "1.2", "vat", "oak"), ("Elm", "0.4", "vat", "elm"),
        ("Oak", "0.3", "low", "oak"), ("Elm", "0.1", "low", "elm"),
    ]  # fmt: skip
    own = shown(mixed, Manner(summed=True, own="oak"))
    assert [(label, exact) for label, exact, _, _ in own] == [
        ("Near: talk", "0.75"), ("Near: news", "0.3"), ("Near: talk", "0.45"), ("Elm", "0.4"), ("Elm", "0.1"),
    ]  # fmt: skip


def test_networks_are_named() -> None:
    assert (WORDS.network("oak"), WORDS.network("elm"), WORDS.network("nobody")) == ("West Net", "", "")
    assert WORDS.home("fare") == WORDS.home("pln_1.1") == ""
