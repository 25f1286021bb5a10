"""Statements in forms and settlements in the same books: each goes on from what the other left."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from apportion.engine.billing import find, issue, listing
from apportion.engine.export import export
from apportion.engine.statements.preview import preview
from apportion.faces.pages.phrases import phrases_of
from apportion.model.party import Payer
from apportion.model.profile import Billing, Profile
from apportion.model.statement import Remittance, Statement
from apportion.stages.statement.render import as_text
from tests.book import catalog
from tests.forging import edited, place_of, rehash, verified
from tests.settling import Counting


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Counting]:
    """Finance pays for lab; ada wants a statement of each provider."""
    found = Counting(tmp_path / "books.db")
    payers = {
        "ada": Payer("ada", "EUR", credit="1000", profile="split"), "finance": Payer("finance", "EUR", credit="1000"),
        "lab": Payer("lab", "EUR", credit="100", parent="finance"),
    }  # fmt: skip
    split = Profile("split", billing=Billing(statements="per-provider"))
    found.engine.apply(replace(catalog(), payers={**catalog().payers, **payers}, profiles={"split": split}))
    yield found
    found.engine.close()


def paid_out(books: Counting) -> None:
    """Rides, a settlement, what it says paid by the file, and more rides."""
    books.keep_payees()
    books.ride(2)
    books.ride(1, payer="lab")
    first = books.one()
    books.order(first)
    for payout in books.payouts(first):
        books.end(payout.id, "succeeded")
    books.ride(1)
    books.ride(1, payer="lab")


def test_what_was_settled_and_paid_is_not_on_the_next_advice_and_all_statements_are_made(books: Counting) -> None:
    paid_out(books)
    books.clock.at = "2026-12-03T10:00:00.000000Z"
    made = issue(books.engine)
    advices = [one for one in made if isinstance(one, Remittance) and not one.settlement and one.party == "dora"]
    (advice,) = advices
    first = next(one for one in made if isinstance(one, Remittance) and one.settlement and one.party == "dora")
    assert advice.opening == first.closing and Decimal(advice.paid) == Decimal(first.total)
    # 18 minutes / 7 a ride: three rides before the settlement, two behind it
    assert (first.credited[:5], advice.credited[:5]) == ("7.714", "5.142")
    assert sum(due.uses for due in advice.dues) == 2
    hers = [one for one in made if isinstance(one, Statement) and one.name == "ada"]
    assert {one.provider for one in hers} == {"dora", "otto"} and len(hers) == 2
    (theirs,) = [one for one in made if isinstance(one, Statement) and one.name == "finance"]
    assert [section.payer for section in theirs.sections] == ["lab"] and theirs.sections[0].uses == 2
    assert books.positions(books.one())["dora"].opening == first.closing and books.proven() == []


def test_a_preview_behind_a_settlement_shows_what_came_after_it(books: Counting) -> None:
    paid_out(books)
    (shown,) = preview(books.engine, books.account("dora"))
    assert isinstance(shown, Remittance) and shown.preview and not shown.settlement
    assert sum(due.uses for due in shown.dues) == 2 and shown.credited[:5] == "5.142"
    last = next(line for line in reversed(listing(books.engine, "dora")))
    assert shown.opening == last.closing and Decimal(shown.paid) == Decimal(last.total)


def test_an_advice_says_in_every_form_what_was_paid_out_and_what_it_goes_with(books: Counting) -> None:
    paid_out(books)
    again = books.one()
    line = next(one for one in reversed(listing(books.engine, "dora")) if one.settlement == again.id)
    advice = find(books.engine, line.number)
    assert isinstance(advice, Remittance) and line.payments == advice.paid
    said = f"{Decimal(advice.paid):.2f}"
    assert "It goes with settlement SET-000002" in as_text(advice) and f"before: {said}" in as_text(advice)
    small = phrases_of(advice).rounding_of(advice, advice.exact)
    assert "It goes with settlement SET-000002. Paid out since the advice before:" in small and said in small


def test_what_an_advice_says_was_paid_is_proven(books: Counting) -> None:
    paid_out(books)
    books.one()
    books.engine.writer.seal()
    lines = [line[:-1] for line in export(books.store, books.engine.tenant)]
    assert verified(rehash(lines), prefix_ok=True).ok
    place = next(
        place for place in range(20) if b'"payments":"7.71' in lines[place_of(lines, b'{"type":"statement"', place)]
    )
    at = place_of(lines, b'{"type":"statement"', place)
    forged = rehash(edited(lines, at, lambda line: line.replace(b'"payments":"7.71', b'"payments":"7.72', 1)))
    assert "statement" in {finding.code for finding in verified(forged, prefix_ok=True).findings}
