"""Charges priced again after a price error: exact differences, once, beside whatever was given back, and proved."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from apportion.engine import billing
from apportion.engine.correcting.decision import Standing, Told, book_correction
from apportion.engine.query import Record
from apportion.engine.rerating.judging import Left, price_key, simply_left
from apportion.engine.settling.run import settle
from apportion.engine.statements.apart import credit_note
from apportion.engine.work import Work
from apportion.errors import RefusalCode, Refused
from apportion.model.agreement import Agreement
from apportion.model.catalog import Catalog
from apportion.model.correction import Why
from apportion.model.settlement import Mode
from apportion.model.statement import Remittance
from apportion.model.tariff import Deck, DeckRow, Flat, Unit
from apportion.model.usage import PayerUse, Usage
from apportion.stages.rate.correct import give_back
from apportion.stages.statement import as_text
from tests.adjusting import Books, changed, power
from tests.book import START, catalog, ride


def fares(start: str = "3", km: str = "1", car: str = "0.7", vat: str = "10") -> Catalog:
    """Rides at round prices: ``start`` and ``km`` with tax; dora earns 1 for 7 minutes, otto ``car`` a km."""
    return changed(
        catalog(credit="100000"),
        fare={
            "components": (Flat(name="start", price=start), Unit(name="way", measure="km", price=km)),
            "taxes": {"vat": vat},
        },
        car={"components": (Unit(name="way", measure="km", price=car),)},
    )


def left(pages: list) -> dict[str, int]:
    found: dict[str, int] = {}
    for page in pages:
        for one in page.left:
            found[one.reason] = found.get(one.reason, 0) + one.count
    return found


def test_a_wrong_retail_price_is_given_back_once_and_the_next_statement_says_so(tmp_path: Path):
    """A start of 3 should have been 2: of each ride of 10 km the payer gets 1 and its tax back, off the platform."""
    books = Books(tmp_path / "b.db", fares())
    charges = [books.ride(n, "ada") for n in range(3)]
    before = books.posted()
    right = books.engine.apply(fares(start="2"))
    dry = books.rerate(dry_run=True)
    assert books.posted() == before and dry[0].dry and dry[0].corrected == 3
    done = books.rerate()
    assert done[0].rows == dry[0].rows and done[0].catalog == right
    rows = {row.role: row for row in done[0].rows}
    assert {role: Decimal(row.change) for role, row in rows.items() if Decimal(row.change)} == {
        "payer": Decimal("-3.3"), "platform": Decimal(-3), "tax": Decimal("-0.3"),
    }  # fmt: skip
    assert (rows["payer"].who, Decimal(rows["payer"].before), Decimal(rows["payer"].after)) == (
        "ada", Decimal("42.9"), Decimal("39.6"),
    )  # fmt: skip
    after = books.posted()
    assert after["payer", "ada"] - before["payer", "ada"] == Decimal("3.3")
    assert after["provider", "otto"] == before["provider", "otto"]
    assert all(Decimal(books.standing(one).total) == Decimal("13.2") for one in charges)
    again = books.rerate()
    assert again[0].corrected == 0 and left(again) == {"right": 3} and books.posted() == after
    books.now("12-02")
    made = books.statement("2026-11")
    assert Decimal(made.total) == Decimal("39.60")
    assert "Price correction" in as_text(made)
    assert books.proven() == []


def test_what_was_billed_is_given_back_by_a_credit_note(tmp_path: Path):
    books = Books(tmp_path / "b.db", fares())
    books.ride(0, "ada")
    books.now("12-02")
    made = books.statement("2026-11")
    books.engine.apply(fares(start="2"))
    books.rerate()
    note = credit_note(books.engine, made.number)
    assert Decimal(note.total) == Decimal("-1.10") and note.corrects == made.number
    assert [item.label for section in note.sections for item in section.items] == ["Price correction"]
    assert books.proven() == []


def test_a_wrong_wholesale_price_moves_between_provider_and_platform_alone(tmp_path: Path):
    books = Books(tmp_path / "b.db", fares())
    books.ride(0, "ada")
    before = books.posted()
    books.engine.apply(fares(car="0.65"))
    done = books.rerate(only_credits=True)
    changes = {row.who: Decimal(row.change) for row in done[0].rows if Decimal(row.change)}
    assert changes == {"otto": Decimal("-0.5"), "platform": Decimal("0.5")}
    assert books.posted()["payer", "ada"] == before["payer", "ada"]
    books.now("12-02")
    advice = next(one for one in billing.issue(books.engine, "2026-11", "otto") if isinstance(one, Remittance))
    assert Decimal(advice.total) == Decimal("6.50") and not any("at the close" in due.part for due in advice.dues)
    assert books.proven() == []


def test_a_higher_price_is_charged_unless_only_credits_are_wanted(tmp_path: Path):
    books = Books(tmp_path / "b.db", fares())
    books.engine.top_up("poor", "14.3", "EUR", "t")
    books.ride(0, "poor")
    books.engine.apply(fares(start="4"))
    assert left(books.rerate(only_credits=True)) == {"dearer": 1}
    assert books.posted()["payer", "poor"] == 0
    assert books.rerate()[0].corrected == 1
    assert books.posted()["payer", "poor"] == Decimal("-1.1")  # forced: the ride was had
    assert books.proven() == []


def test_what_was_given_back_stays_given_back(tmp_path: Path):
    """Half of the first ride was given back, all of the second, and the third's price was right all the same."""
    books = Books(tmp_path / "b.db", fares())
    half, whole, same = (books.ride(n, "ada") for n in range(3))
    books.refund(half, "7.15")
    books.refund(whole)
    books.refund(same, "1")
    assert left(books.rerate()) == {"right": 3}
    books.engine.apply(fares(start="2"))
    done = books.rerate()
    assert done[0].corrected == 2 and left(done) == {"given_back": 1}
    assert Decimal(books.standing(half).total) == Decimal("6.05")  # 13.2 − 7.15
    assert Decimal(books.standing(whole).total) == 0
    assert Decimal(books.standing(same).total) == Decimal("12.2")
    assert left(books.rerate()) == {"right": 2, "given_back": 1}
    books.refund(half)
    assert Decimal(books.standing(half).total) == 0
    assert books.proven() == []


def test_corrected_twice_it_stands_as_the_last_catalog_has_it(tmp_path: Path):
    books = Books(tmp_path / "b.db", fares())
    charge = books.ride(0, "ada")
    first = books.version
    for start, total in (("2", "13.2"), ("5", "16.5")):
        books.engine.apply(fares(start=start))
        assert books.rerate()[0].corrected == 1
        assert Decimal(books.standing(charge).total) == Decimal(total)
    books.rerate(catalog=first)
    assert Decimal(books.standing(charge).total) == Decimal("14.3") and books.proven() == []


def test_a_tax_that_was_wrong_goes_to_its_own_account(tmp_path: Path):
    books = Books(tmp_path / "b.db", fares())
    books.ride(0, "ada")
    books.engine.apply(fares(vat="20"))
    books.rerate()
    posted = books.posted()
    assert posted["tax", "vat@10"] == 0 and posted["tax", "vat@20"] == Decimal("2.6") and books.proven() == []


def test_several_payers_bear_the_difference_as_they_bear_the_fee(tmp_path: Path):
    books = Books(tmp_path / "b.db", fares())
    books.ride(0, "cleo", "ada", "ben", km="10.000000001")  # an atom goes to one of them
    assert left(books.rerate()) == {"right": 1}
    before = books.posted()
    books.engine.apply(fares(start="2.7"))
    assert books.rerate()[0].corrected == 1
    moved = [books.posted()["payer", who] - before["payer", who] for who in ("ada", "ben", "cleo")]
    assert sum(moved) == Decimal("0.33") and max(moved) - min(moved) <= Decimal("0.000000001")
    assert books.proven() == []


def test_what_a_sponsor_adds_follows_the_price(tmp_path: Path):
    """Below the providers' cost of 9 the sponsor carries the rest; before, nobody had to."""
    free = fares(start="0", km="0.8")
    service = msgspec.structs.replace(free.services["ride"], guard=False)
    books = Books(tmp_path / "b.db", fares())
    charge = books.ride(0, "ada")
    books.engine.apply(msgspec.structs.replace(free, services=free.services | {"ride": service}))
    assert books.rerate()[0].corrected == 1
    standing = books.standing(charge)
    assert (Decimal(standing.amount), Decimal(standing.sponsored)) == (8, 1)
    assert books.posted()["sponsor", "marketing"] == -1 and books.proven() == []


def test_a_refund_record_is_priced_again_too(tmp_path: Path):
    books = Books(tmp_path / "b.db", fares())
    books.ride(0, "ada")
    books.ride(1, "ada", km="-10", minutes="-14")
    books.engine.apply(fares(start="2"))
    before = books.posted()
    assert books.rerate()[0].corrected == 2
    assert books.posted() == before and books.proven() == []


def test_a_range_by_time_payer_and_catalog_and_what_is_left_is_counted(tmp_path: Path):
    books = Books(tmp_path / "b.db", fares())
    for n, who in enumerate(("ada", "ben", "ada", "ben")):
        books.ride(n, who)
    books.charge(power(1, "4", "11-03"))
    books.engine.apply(fares(start="2"))
    at = "2026-11-16T08:07:00Z"  # the third
    assert books.rerate(end=at, payer="ada", dry_run=True)[0].looked == 1
    assert books.rerate(start=at, dry_run=True)[0].looked == 2
    assert books.rerate(catalog=books.version)[0].corrected == 0
    assert left(books.rerate("power")) == {"period": 1}
    with pytest.raises(Refused) as refused:
        books.rerate(catalog="cat_" + "0" * 32)
    assert (refused.value.refusal.code, refused.value.refusal.field) == (RefusalCode.NOT_FOUND, "catalog")
    for words, field in (({"start": "monday"}, "start"), ({"start": at, "end": at}, "end")):
        with pytest.raises(Refused) as refused:
            books.rerate(**words)
        assert (refused.value.refusal.code, refused.value.refusal.field) == (RefusalCode.BAD_TIME, field)
    with pytest.raises(Refused) as refused:
        books.rerate("rides")
    assert refused.value.refusal.code is RefusalCode.UNKNOWN_SERVICE


def test_more_than_a_page_is_done_page_by_page(tmp_path: Path):
    books = Books(tmp_path / "b.db", fares())
    books.charge(*(ride(n, "ada", km="1", minutes="7") for n in range(250)))
    books.engine.apply(fares(start="2"))
    pages = books.rerate()
    assert [page.corrected for page in pages] == [200, 50] and pages[0].next and not pages[-1].next
    assert sum(page.corrected for page in books.rerate()) == 0 and books.proven() == []


def test_slices_and_agreed_prices_are_left(tmp_path: Path):
    books = Books(tmp_path / "b.db", fares())
    record = books.engine.books.record(books.ride(0, "ada"))
    assert simply_left(record) is None
    slice_ = msgspec.structs.replace(record.usage, source="ses_1")
    assert simply_left(Record(1, slice_, record.charge, None)) is Left.SESSION
    agreed = msgspec.structs.replace(record.charge, tariff="pln_1.retail")
    assert simply_left(Record(1, record.usage, agreed, None)) is Left.AGREED


def calls(*keys: str) -> Catalog:
    rows = tuple(DeckRow(key, f"0.0{len(key) + 1}") for key in keys)
    return changed(catalog(credit="100000"), calls={"deck": Deck("called", rows=rows)})


def test_a_deck_that_needs_more_of_a_number_than_the_books_keep_is_refused(tmp_path: Path):
    books = Books(tmp_path / "b.db", calls("49", "4930", ""))
    for n, called in enumerate(("49301", "49170", "1212")):
        books.charge(
            Usage("s", f"c{n}", "call", START, None, (PayerUse("ada"),), (), {"seconds": "60"}, {"called": called})
        )
    dearer = changed(calls("49", "4930", ""), calls={"minimum": "1"})
    books.engine.apply(dearer)
    assert books.rerate("call")[0].corrected == 3 and books.proven() == []
    books.engine.apply(calls("49", "4917", "4930", ""))
    done = books.rerate("call")
    assert left(done) == {"refused": 2} and done[0].corrected == 1
    assert "do not keep enough of 'called'" in done[0].left[0].words and books.proven() == []


@pytest.mark.parametrize(
    "change", [(b'"amount":"-1.000000000"', b'"amount":"-2.000000000"'), (b'"cause":"cat_', b'"cause":"cat_0')]
)
def test_a_correction_whose_amount_or_catalog_was_changed_is_found(tmp_path: Path, change: tuple[bytes, bytes]):
    from tests.forging import edited, exported, rehash, verified

    path = tmp_path / "b.db"
    books = Books(path, fares())
    books.ride(0, "ada")
    books.engine.apply(fares(start="2"))
    books.rerate()
    books.engine.writer.seal()
    books.engine.close()
    lines = exported(path)
    at = next(
        n
        for n, line in enumerate(lines)
        if change[0] in line and b"price correction" in line or b'"type":"corrected"' in line and change[0] in line
    )
    found = verified(rehash(edited(lines, at, lambda line: line.replace(*change)))).findings
    assert {one.code for one in found} - {"checkpoint"}


def test_what_is_settled_stays_and_the_next_settlement_has_the_correction(tmp_path: Path):
    books = Books(tmp_path / "b.db", fares())
    books.ride(0, "ada")
    assert settle(books.engine, Mode.NET).settlements[0].credited == "9.000000000"
    books.engine.apply(fares(car="0.65"))
    books.rerate()
    later = settle(books.engine, Mode.NET).settlements[0]
    assert later.credited == "-0.500000000" and books.proven() == []


def test_a_name_that_was_forgotten_is_priced_by_the_tariff_of_then(tmp_path: Path):
    books = Books(tmp_path / "b.db", fares())
    charge = books.ride(0, "ben")
    books.engine.forget("ben")
    books.engine.apply(fares(start="2"))
    assert books.rerate()[0].rows[0].who.startswith("(forgotten") and books.proven() == []
    assert Decimal(books.standing(charge).total) == Decimal("13.2")


def test_an_agreement_that_was_missing_is_found(tmp_path: Path):
    """Ada had agreed on a start of 1, which the catalog did not say; nobody else has it."""
    made = fares()
    fare = msgspec.structs.replace(
        made.tariffs["fare"],
        id="friends",
        components=(Flat(name="start", price="1"), Unit(name="way", measure="km", price="1")),
    )
    agreed = Agreement("a", "ride", "friends", payer="ada")
    books = Books(tmp_path / "b.db", made)
    ada, ben = books.ride(0, "ada"), books.ride(1, "ben")
    books.engine.apply(
        msgspec.structs.replace(made, tariffs=made.tariffs | {"friends": fare}, agreements={"a": agreed})
    )
    assert books.rerate()[0].corrected == 1
    assert [Decimal(books.standing(one).total) for one in (ada, ben)] == [Decimal("12.1"), Decimal("14.3")]
    assert books.engine.books.record(ada).charge.tariff == "fare" and books.proven() == []


def test_a_correction_that_an_insider_booked_at_will_is_found(tmp_path: Path):
    """Every sum is right and the writer signs it; yet it is not what the catalog named comes to."""
    books = Books(tmp_path / "b.db", fares())
    charge = books.ride(0, "ada")
    right = books.engine.apply(fares(start="2"))

    def booked(work: Work) -> None:
        standing = Standing.find(work, charge)
        made = give_back(standing.charge, standing.asset, 5 * 10**9, label="price correction")
        made = msgspec.structs.replace(made, catalog=right)
        told = Told(reference="price 1", why=Why.PRICE.value, cause=right)
        book_correction(work, price_key(charge, 1), b"", standing, made, told)

    books.engine.writer.booked(booked)
    assert [one.split()[0] for one in books.proven()] == ["correction"]
