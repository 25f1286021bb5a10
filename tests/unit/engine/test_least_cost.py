"""Least cost in the books: what the charge says of it, what a proof finds, and how it meets everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from apportion.engine.billing import issue
from apportion.engine.explain import View
from apportion.engine.inquiry import explain
from apportion.engine.work import encode
from apportion.model.agreement import Agreement, Part, Service
from apportion.model.catalog import Catalog
from apportion.model.charge import Charge, Held
from apportion.model.ids import read_number
from apportion.model.market import MarketTerms
from apportion.model.party import Payer, Provider, UnknownPayers
from apportion.model.references import check_catalog
from apportion.model.session import SessionTerms
from apportion.model.statement import Statement
from apportion.model.tariff import Deck, DeckRow, Flat, Graduated, RoundingRule, Tariff, Tier, Unit
from apportion.model.usage import PayerUse, Usage
from apportion.money import GRID
from tests.forging import body_of, edited, exported, place_of, places, rehash, verified
from tests.funds import NOON, Funds, payer, short

CHARGE = b'{"type":"charge"'


def tariff(id: str, *components: Any, **more: Any) -> Tariff:
    return Tariff(id=id, currency="EUR", components=components, **more)


def talk(price: str) -> Unit:
    return Unit(name="talk", measure="minutes", price=price)


def entry(price: str) -> Flat:
    return Flat(name="entry", price=price)


STEPPED = Graduated(
    name="line", measure="minutes", scope="period", tiers=(Tier(up_to="7", price="1/3"), Tier(price="0.2"))
)
TARIFFS = (
    tariff("list", talk("1")), tariff("large", entry("6"), talk("0.4")), tariff("own", talk("0.9")),
    tariff("line", talk("0.3")), tariff("stepped", STEPPED), tariff("fees", entry("1")),
    tariff("special", entry("1"), talk("0.1")),
    tariff(
        "by-place", Unit(name="talk", measure="minutes"),
        deck=Deck("called", rows=(DeckRow("49", "0.5"), DeckRow("4930", "0.7"))),
    ),
)  # fmt: skip
AGREED = (Agreement("a", "call", "large", "ada"), Agreement("b", "call", "own", "ben"))


def catalog(*agreements: Agreement, payers: tuple[Payer, ...] = (), **more: Any) -> Catalog:
    """Calls at 1 EUR a minute, of which oak earns its part."""
    given = {"retail": "list", "parts": {"line": Part("oak", {"oak": "line", "elm": "line"})}, **more}
    service = Service(
        id="call", measures={"minutes": "min"}, allocate="least-cost", personal=("called",), **given
    )  # fmt: skip
    return Catalog(
        providers={"oak": Provider("oak"), "elm": Provider("elm")}, services={"call": service},
        tariffs={one.id: one for one in TARIFFS}, agreements={one.id: one for one in agreements or AGREED},
        payers={one.id: one for one in payers}, unknown_payers=UnknownPayers("EUR", credit="1000"),
    )  # fmt: skip


def call(id: str, called: str = "", **minutes: str) -> Usage:
    payers = tuple(PayerUse(name, "", {"minutes": text}) for name, text in minutes.items())
    return Usage("switch", id, "call", NOON, None, payers, (), {}, {"called": called} if called else {})


Open = Callable[..., Funds]


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Open]:
    made: list[Funds] = []

    def open_(given: Catalog | None = None, *payers: Payer) -> Funds:
        funds = Funds(tmp_path / "books.db")
        funds.engine.apply(given or catalog(payers=payers))
        made.append(funds)
        return funds

    yield open_
    for funds in made:
        assert funds.proven() == []
        funds.engine.close()


def borne(funds: Funds, charge: Charge) -> dict[str, tuple[str, tuple[str, ...], str]]:
    return {funds.whose(s.bearer): (short(s.amount), s.terms, short(s.alone)) for s in charge.shares}


def test_the_charge_says_who_held_what_and_who_was_served_by_it(books: Open) -> None:
    funds = books()
    charge = funds.charge_of(funds.charge(call("1", ada="20", cyd="20", ben="5"))[0])
    # 6 + 0.4 × 45 = 24; alone 14, 20 and 4.50
    assert (short(charge.total), charge.tariff, charge.allocation) == ("24", "large", "least-cost")
    assert sorted((funds.whose(one.account), one.tariff) for one in charge.held) == [("ada", "large"), ("ben", "own")]
    assert {name: found[1:] for name, found in borne(funds, charge).items()} == {
        "ada": (("large",), "14"), "cyd": (("large",), "20"), "ben": (("large",), "4.5")
    }  # fmt: skip
    said = explain(funds.engine, charge.id, View())
    assert [(f.name, f.value) for s in said.sections if s.title == "What it costs" for f in s.facts] == [
        ("entry", "6.00 EUR"), ("talk", "18.00 EUR"), ("fee", "24.00 EUR")
    ]  # fmt: skip


def test_one_payer_alone_is_served_by_the_best_of_its_own(books: Open) -> None:
    funds = books()
    charges = [
        funds.charge_of(one) for one in funds.charge(call("1", ada="20"), call("2", ada="2"), call("3", ben="2"))
    ]
    assert [(short(one.total), one.tariff) for one in charges] == [("14", "large"), ("2", "list"), ("1.8", "own")]


def test_an_allowance_covers_units_of_one_payer_alone(books: Open) -> None:
    funds = books(None, payer("ada", "100"))
    funds.buy("3", "10", "ten")
    charge = funds.charge_of(funds.charge(call("1", ada="20"))[0])
    assert (short(charge.total), charge.tariff) == ("13", "large")  # 3 of the allowance, 6 and ten minutes at 0.40


def test_shares_are_drawn_from_buckets_and_alternates(books: Open) -> None:
    funds = books(None, payer("ada", "2", "0", "cyd"), payer("cyd", "500"))
    funds.grant("3", "gift")
    charge = funds.charge_of(funds.charge(call("1", ada="20", cyd="20"))[0])
    mine = [share for share in charge.shares if funds.whose(share.bearer) == "ada"]
    assert [share.source for share in mine] == ["bucket", "", "alternate"]
    assert {(share.terms, short(share.alone)) for share in mine} == {(("large",), "14")}


def test_a_close_rates_running_wholesale_again_and_payers_owe_what_they_owed(books: Open) -> None:
    funds = books(catalog(*AGREED, parts={"line": Part("oak", {"oak": "stepped"})}))
    late = msgspec.structs.replace(call("3", ben="4.1", ada="5.3", cyd="7.9"), start=NOON.replace(hour=1))
    funds.charge(call("1", ben="3.7", ada="5.9", cyd="0.3"), call("2", ben="13.1", ada="1.7"), late)
    before = funds.store.all_residues(funds.engine.tenant)
    assert funds.engine.close_period("2026-11", force=True).accounts == 1
    after = funds.store.all_residues(funds.engine.tenant)
    payers = [read_number(view.id) for view in funds.engine.books.accounts() if view.role == "payer"]
    assert any(before[one] for one in payers)
    assert all((after.get(one, 0) - before.get(one, 0)) % GRID == 0 for one in payers)  # but for atoms paid back


def test_a_personal_attribute_is_kept_as_far_as_any_agreement_needs_it(books: Open) -> None:
    funds = books(catalog(Agreement("a", "call", "by-place", "ada")))
    charge = funds.charge_of(funds.charge(call("1", "4930123", ada="3", ben="4"))[0])
    assert short(charge.total) == "4.9"
    assert funds.engine.books.record(charge.id).usage.attributes == {"called": "4930"}


def test_where_no_terms_of_its_own_price_a_payer_it_is_refused(books: Open) -> None:
    given = catalog(Agreement("a", "call", "list", "ada"), retail="by-place")
    [outcome] = books(given).charge(call("1", "33", ada="3", ben="4"))
    assert outcome.refusal is not None and outcome.refusal.code.value == "no_price"


def test_parts_that_are_passed_on_are_served_by_whoever_agreed_with_their_provider(books: Open) -> None:
    market = MarketTerms(retail="passed-on", markup="50")
    agreed = (Agreement("s", "call", "special", "ada", "oak"), Agreement("t", "call", "own", "ben", "elm", "line"))
    funds = books(catalog(*agreed, retail="fees", market=market))
    charge = funds.charge_of(funds.charge(call("1", ada="10", ben="10"))[0])
    # The platform's fee of 1, once; the line at 0.30 and a half of it on top would be 9, by ada's terms 1 + 2.
    # Alone: ada 1 + 2, ben 1 + 4.50. That ben agreed with elm does not matter: oak delivers.
    assert (short(charge.total), short(charge.portions[0].amount)) == ("4", "6")
    assert {name: found[1:] for name, found in borne(funds, charge).items()} == {
        "ada": (("fees", "special"), "3"), "ben": (("fees", "special"), "5.5")
    }  # fmt: skip
    dear = funds.charge_of(funds.charge(call("2", ben="10"))[0])
    said = explain(funds.engine, dear.id, View())
    assert [(f.name, f.value) for s in said.sections if s.title == "What it costs" for f in s.facts] == [
        ("entry", "1.00 EUR"), ("line: talk", "4.50 EUR"), ("fee", "5.50 EUR")
    ]  # fmt: skip


def test_a_statement_shows_a_payer_the_lines_that_served_it(books: Open) -> None:
    funds = books(catalog(Agreement("a", "call", "large", "ada"), Agreement("s", "call", "own", "ben")))
    funds.charge(call("1", ada="20", ben="1.5"))
    funds.at("2026-12-02T00:00:00.000000Z")
    [document] = [one for one in issue(funds.engine, who="ben") if isinstance(one, Statement)]
    text = msgspec.json.encode(document)
    assert b'"1.5"' in text and b'"21.5"' not in text


FORGERIES = {
    "alone": lambda c: changed(c, alone="13.000000000"),
    "terms": lambda c: changed(c, terms=("list",)),
    "weight": lambda c: changed(c, weight="7"),
    "held": lambda c: msgspec.structs.replace(c, held=c.held[1:]),
    "stranger": lambda c: msgspec.structs.replace(c, held=(*c.held, Held("acct_00001", "special"))),
    "tariff": lambda c: msgspec.structs.replace(c, tariff="list"),
}


def changed(charge: Charge, **more: Any) -> Charge:
    return msgspec.structs.replace(
        charge, shares=(msgspec.structs.replace(charge.shares[0], **more), *charge.shares[1:])
    )


@pytest.mark.parametrize("what", FORGERIES)
def test_a_charge_that_says_otherwise_is_found(books: Open, tmp_path: Path, what: str) -> None:
    funds = books()
    funds.charge(call("1", ada="20", cyd="20", ben="5"))
    funds.engine.writer.seal()
    lines = exported(tmp_path / "books.db")
    assert verified(lines, prefix_ok=True).findings == []
    at = place_of(lines, CHARGE)
    charge = msgspec.json.decode(body_of(lines[at]), type=Charge)
    suffix = lines[at][len(body_of(lines[at])) - 1 :]
    forged = rehash(edited(lines, at, lambda line: encode(FORGERIES[what](charge))[:-1] + suffix))
    found = places(verified(forged, prefix_ok=True))
    assert f"line {at + 1}" in found.get("shares", set()) | found.get("rating", set())


def test_an_atom_moved_from_payer_to_payer_is_found(books: Open, tmp_path: Path) -> None:
    funds = books()
    funds.charge(call("1", ada="20", cyd="20", ben="5"))
    funds.engine.writer.seal()
    lines = exported(tmp_path / "books.db")
    at = place_of(lines, CHARGE)
    shares = msgspec.json.decode(body_of(lines[at]), type=Charge).shares

    def moved(line: bytes) -> bytes:
        for share, atoms in ((shares[0], -1), (shares[1], 1)):
            whole, _, part = share.amount.partition(".")
            other = f"{whole}.{int(part) + atoms * 1000:09d}"
            line = line.replace(f'"{share.amount}"'.encode(), f'"{other}"'.encode())
            line = line.replace(f'"-{share.amount}"'.encode(), f'"-{other}"'.encode())
        return line

    forged = rehash(edited(edited(lines, at, moved), at + 1, moved))
    assert f"line {at + 1}" in places(verified(forged, prefix_ok=True))["shares"]


@pytest.mark.parametrize(
    ("where", "more"),
    [
        ("agreements.a.tariff", {"tariff": tariff("large", STEPPED)}),
        ("agreements.a.tariff", {"tariff": tariff("large", talk("1"), rounding=RoundingRule(mode="up"))}),
        ("agreements.a.tariff", {"tariff": tariff("large", talk("1"), tax_included=True, taxes={"vat": "20"})}),
        ("services.call.session", {"session": SessionTerms()}),
    ],
)
def test_what_can_not_be_compared_is_found_in_the_catalog(where: str, more: dict[str, Any]) -> None:
    given = catalog(**{k: v for k, v in more.items() if k != "tariff"})
    if "tariff" in more:
        given = msgspec.structs.replace(given, tariffs={**given.tariffs, "large": more["tariff"]})
    assert where in [one.where for one in check_catalog(given)]
    assert check_catalog(catalog()) == []
