"""Corrections in the books: given back to the atom, once per reference, proved, and on the next statement."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from apportion.engine import billing
from apportion.engine.export import export
from apportion.errors import RefusalCode
from apportion.model.command import Outcome
from apportion.model.correction import Correct, Resplit
from apportion.model.statement import Statement
from tests.book import ride
from tests.forging import edited, rehash, verified
from tests.settling import Counting


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Counting]:
    counting = Counting(tmp_path / "books.db")
    yield counting
    counting.engine.close()


def balances(books: Counting) -> dict[str, Decimal]:
    return {view.id: Decimal(view.posted) for view in books.engine.books.accounts()}


def charged(books: Counting, *payers: str) -> str:
    (outcome,) = books.engine.charge([ride(1, *payers or ("ada",))])
    assert outcome.refusal is None
    return outcome.id


def code(outcome: Outcome) -> RefusalCode | None:
    return outcome.refusal.code if outcome.refusal is not None else None


def test_a_fee_that_three_payers_shared_goes_back_to_the_atom_in_odd_pieces(books: Counting) -> None:
    books.engine.charge([ride(9, "ada", "ben", "cleo")])  # opens the accounts
    before = balances(books)
    charge = charged(books, "ada", "ben", "cleo")
    total = Decimal(books.engine.books.record(charge).charge.total)
    for number, amount in enumerate(("0.000000001", "1.333333333", "0.77", "")):
        made = books.tell(Correct(charge=charge, reference=f"r{number}", amount=amount))
        assert (
            made.refusal is None and books.tell(Correct(charge=charge, reference=f"r{number}", amount=amount)) == made
        )
    assert {id: amount for id, amount in balances(books).items() if amount != before.get(id, 0)} == {}
    assert total > 2 and books.proven() == []


def test_the_provider_at_fault_bears_it_alone_and_a_share_moves(books: Counting) -> None:
    charge = charged(books)
    before = books.posted()
    assert books.tell(Correct(charge=charge, reference="r1", amount="1", provider="otto")).refusal is None
    net = Decimal(1) - sum(
        -Decimal(tax.amount) for tax in books.engine.books.record(books.tell(
            Correct(charge=charge, reference="r1", amount="1", provider="otto")).id).charge.taxes
    )  # fmt: skip
    after = books.posted()
    assert before["otto"] - after["otto"] == net and before["dora"] == after["dora"]
    moved = Resplit(charge=charge, reference="r2", part="driver", provider="dora", amount="0.5", against="otto")
    assert books.tell(moved).refusal is None
    assert books.posted()["dora"] - after["dora"] == Decimal("0.5") == after["otto"] - books.posted()["otto"]
    assert books.proven() == []


def test_what_can_not_be_is_refused_and_books_nothing(books: Counting) -> None:
    charge = charged(books)
    first = books.tell(Correct(charge=charge, reference="r1", amount="1"))
    before, head = balances(books), books.store.head(books.engine.tenant, 0)
    wrong = [
        (Correct(charge="chg_" + "0" * 32, reference="x"), RefusalCode.NOT_FOUND),
        (Correct(charge="nothing", reference="x"), RefusalCode.NOT_FOUND),
        (Correct(charge=charge, reference="x", amount="9999"), RefusalCode.BAD_AMOUNT),
        (Correct(charge=charge, reference="x", amount="0"), RefusalCode.BAD_AMOUNT),
        (Correct(charge=charge, reference="x", amount="-1"), RefusalCode.BAD_AMOUNT),
        (Correct(charge=charge, reference="x", amount="0.0000000001"), RefusalCode.BAD_AMOUNT),
        (Correct(charge=charge, reference="x", payer="acct_99999"), RefusalCode.UNKNOWN_PAYER),
        (Correct(charge=charge, reference="x", provider="sun"), RefusalCode.UNKNOWN_PROVIDER),
        (Correct(charge=charge, reference="r1", amount="2"), RefusalCode.CONFLICT),
        (Correct(charge=first.id, reference="x"), RefusalCode.BAD_INPUT),
        (
            Resplit(charge=charge, reference="x", part="driver", provider="dora", amount="99", against="otto"),
            RefusalCode.BAD_AMOUNT,
        ),
    ]
    for command, expected in wrong:
        assert code(books.tell(command)) is expected, command
    assert (balances(books), books.store.head(books.engine.tenant, 0)) == (before, head)


def test_the_next_statement_shows_it_and_the_charge_stays(books: Counting) -> None:
    charge = charged(books)
    booked = books.engine.books.record(charge).charge
    books.clock.at = "2026-12-02T10:00:00.000000Z"
    (first,) = [made for made in billing.issue(books.engine, who="ada") if isinstance(made, Statement)]
    assert books.tell(Correct(charge=charge, reference="r1")).refusal is None
    books.clock.at = "2027-01-02T10:00:00.000000Z"
    (_, second) = [made for made in billing.issue(books.engine, who="ada") if isinstance(made, Statement)]
    assert [item.label for section in second.sections for item in section.items] == ["Refund"]
    assert Decimal(second.charges) == -Decimal(first.charges)
    assert books.engine.books.record(charge).charge == booked
    assert books.proven() == []


@pytest.mark.parametrize(
    ("start", "old", "new"),
    [
        (b'{"type":"corrected"', b'"n":1', b'"n":2'),
        (b'{"type":"corrected"', b'"why":"refund"', b'"why":"share"'),
        (b'{"type":"corrected"', b'"payer":"acct_', b'"payer":"bcct_'),
        (b'{"type":"corrected"', b'"was":{"type":"charge","id":"chg_', b'"was":{"type":"charge","id":"chg_0'),
        (b'{"type":"corrected"', b'"standing":{"type":"charge","id":"chg_', b'"standing":{"type":"charge","id":"chg_0'),
        (b'{"type":"charge"', b'"origin":"chg_', b'"origin":"chg_0'),
    ],
)
def test_verify_finds_what_was_made_up(books: Counting, start: bytes, old: bytes, new: bytes) -> None:
    charge = charged(books, "ada", "ben")
    payer = books.engine.books.record(charge).charge.shares[0].account
    assert books.tell(Correct(charge=charge, reference="r1", amount="1", payer=payer)).refusal is None
    books.engine.writer.seal()
    lines = [line[:-1] for line in export(books.store, books.engine.tenant)]
    assert verified(lines, prefix_ok=True).ok
    places = [place for place, line in enumerate(lines) if line.startswith(start) and old in line]
    forged = rehash(edited(lines, places[-1], lambda line: line.replace(old, new, 1)))
    assert "correction" in {finding.code for finding in verified(forged, prefix_ok=True).findings}


def test_verify_finds_a_statement_that_leaves_a_charge_out(books: Counting) -> None:
    charged(books)
    books.clock.at = "2026-12-02T10:00:00.000000Z"
    billing.issue(books.engine)
    books.engine.writer.seal()
    lines = [line[:-1] for line in export(books.store, books.engine.tenant)]
    at = next(place for place, line in enumerate(lines) if line.startswith(b'{"type":"statement"'))
    closing = lines[at].split(b'"closing":"')[1].split(b'"')[0]
    less = b"%.9f" % (float(closing) + 1)  # one EUR less was asked for, and the line adds up by itself

    def forge(line: bytes) -> bytes:
        asked = line.split(b'"charges":"')[1].split(b'"')[0]
        total = line.split(b'"total":"')[1].split(b'"')[0]
        for name, was, now in (
            (b"closing", closing, less), (b"charges", asked, b"%.9f" % (float(asked) - 1)),
            (b"total", total, b"%.2f" % (float(total) - 1)),
        ):  # fmt: skip
            line = line.replace(b'"%s":"%s"' % (name, was), b'"%s":"%s"' % (name, now), 1)
        return line

    found = verified(rehash(edited(lines, at, forge)), prefix_ok=True).findings
    assert any("the books leave" in finding.message for finding in found) and verified(lines, prefix_ok=True).ok


def test_verify_finds_payments_that_nobody_made(books: Counting) -> None:
    charged(books)
    books.clock.at = "2026-12-02T10:00:00.000000Z"
    billing.issue(books.engine)
    books.engine.writer.seal()
    lines = [line[:-1] for line in export(books.store, books.engine.tenant)]
    at = next(place for place, line in enumerate(lines) if b'"payments":"5.' in line)

    def forge(line: bytes) -> bytes:
        """Ada paid 6 of 1 more that she was charged, so that all sums of the line hold."""
        asked, total = (line.split(b'"%s":"' % name)[1].split(b'"')[0] for name in (b"charges", b"total"))
        more = [(b'"payments":"5.', b'"payments":"6.'), (asked, b"%.9f" % (float(asked) + 1))]
        for was, now in (*more, (b'"total":"' + total, b'"total":"%.2f' % (float(total) + 1))):
            line = line.replace(was, now, 1)
        return line

    found = verified(rehash(edited(lines, at, forge)), prefix_ok=True).findings
    assert [finding.message for finding in found if finding.code == "statement"] == [
        "6.00 is not what came in, or was paid out."
    ]
