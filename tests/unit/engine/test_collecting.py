"""What a provider collects as a user's face: the user has paid, the provider owes it, within its cap."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from apportion.engine.export import export
from apportion.errors import RefusalCode
from apportion.model.account import Role
from apportion.model.settlement import Collect
from tests.forging import edited, place_of, rehash, verified
from tests.settling import Counting


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Counting]:
    made = Counting(tmp_path / "books.db")
    yield made
    made.engine.close()


def test_what_a_face_collects_pays_the_user_and_is_netted(books: Counting) -> None:
    books.ride(3)
    earned, owes = books.posted()["dora"], -books.posted(Role.PAYER)["ada"]
    assert owes > 0
    collected = Collect("dora", "ada", "12.5", "EUR", "S-000001")
    first = books.tell(collected)
    assert first.refusal is None and books.tell(collected).id == first.id
    assert books.posted()["dora"] == earned - Decimal("12.5")
    assert -books.posted(Role.PAYER)["ada"] == owes - Decimal("12.5")
    assert books.posted(Role.CASH)["outside"] == -5  # ada's opening value alone came in from outside
    settled = books.one("multilateral")
    position = books.positions(settled)["dora"]
    assert Decimal(position.debits) == Decimal("12.5") and position.credits == "7.714285714"
    assert books.pays(settled)["dora", ""] == Decimal("4.79")
    assert books.proven() == []


def test_what_a_face_may_not_collect(books: Counting) -> None:
    books.ride(1, payer="ben")
    books.oblige("wire", "sun", "15.00", "r")
    head = books.store.head(books.engine.tenant, 0)
    wrong = [
        (Collect("nobody", "ben", "1", "EUR", "x"), RefusalCode.UNKNOWN_PROVIDER),
        (Collect("dora", "nobody", "1", "EUR", "x"), RefusalCode.UNKNOWN_PAYER),
        (Collect("dora", "ben", "0", "EUR", "x"), RefusalCode.BAD_AMOUNT),
        (Collect("wire", "ben", "5.01", "EUR", "x"), RefusalCode.PAYMENT_LIMIT),  # of its cap of 20
        (Collect("dora", "ben", "1", "EUR", "x", capped=True), RefusalCode.PAYMENT_LIMIT),  # has no cap
    ]
    for command, code in wrong:
        refusal = books.tell(command).refusal
        assert refusal is not None and refusal.code is code, command
    assert books.store.head(books.engine.tenant, 0) == head
    assert books.tell(Collect("wire", "ben", "5", "EUR", "x", capped=True)).refusal is None
    assert books.tell(Collect("wire", "ben", "4", "EUR", "x")).refusal is not None


def test_verify_finds_more_than_the_cap(books: Counting) -> None:
    books.oblige("wire", "sun", "15.00", "r")
    books.engine.writer.seal()
    lines = [line[:-1] for line in export(books.store, books.engine.tenant)]
    at = place_of(lines, b'{"type":"entry"', -1)
    forged = rehash(edited(lines, at, lambda line: line.replace(b"15.0", b"25.0")))
    assert "debit_cap" in {finding.code for finding in verified(forged, prefix_ok=True).findings}
    assert verified(lines, prefix_ok=True).ok
