"""What an insider might do to settlements and payouts, each found by the proof of the export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from apportion.engine.export import export
from tests.forging import edited, place_of, rehash, verified
from tests.settling import Counting

Change = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Two settlements; of the first one payout has arrived, one has come back, one was ordered again."""
    books = Counting(tmp_path_factory.mktemp("forge") / "books.db")
    books.ride(6)
    books.oblige("sun", "wire", "2.00", "r")
    first = books.one("gross")
    books.order(first)
    parts = [one for one in books.payouts(first) if not one.debtor]
    books.end(parts[0].id, "succeeded")
    books.end(parts[1].id, "failed")
    books.ride(2)
    books.one("multilateral")
    books.order(first)
    books.engine.writer.seal()
    made = [line[:-1] for line in export(books.store, books.engine.tenant)]
    books.engine.close()
    return made


def swap(old: bytes, new: bytes) -> Change:
    return lambda line: line.replace(old, new, 1)


def found(lines: list[bytes], start: bytes, change: Change, skip: int = 0) -> set[str]:
    """The codes of what is found when one line is another, and everything is hashed and signed again."""
    forged = rehash(edited(lines, place_of(lines, start, skip), change))
    return {finding.code for finding in verified(forged, prefix_ok=True).findings}


def test_the_books_themselves_are_proven(lines: list[bytes]) -> None:
    verdict = verified(lines, prefix_ok=True)
    assert verdict.ok, verdict.findings[:5]
    assert verified(rehash(lines), prefix_ok=True).ok


@pytest.mark.parametrize(
    ("start", "change", "skip", "code"),
    [
        (b'{"type":"settlement"', swap(b'"amount":"26.88"', b'"amount":"26.89"'), 0, "settlement"),
        (b'{"type":"settlement"', swap(b'"mode":"gross"', b'"mode":"multilateral"'), 0, "settlement"),
        (b'{"type":"settlement"', swap(b'"after":0', b'"after":3'), 0, "settlement"),
        (b'{"type":"settlement"', swap(b'"providers":4', b'"providers":3'), 0, "settlement"),
        (b'{"type":"settlement"', swap(b'"head":"', b'"head":"f'), 0, "settlement"),
        (b'{"type":"settlement"', swap(b'"number":"SET-000002"', b'"number":"SET-000003"'), 1, "settlement"),
        (b'{"type":"position"', swap(b'"residue_in":"0', b'"residue_in":"1'), 1, "settlement"),
        (b'{"type":"position"', swap(b'"credits":"', b'"credits":"1'), 0, "settlement"),
        (b'{"type":"position"', swap(b'"payable":"', b'"payable":"1'), 0, "settlement"),
        (b'{"type":"payout"', swap(b'"amount":"', b'"amount":"9'), 0, "payout"),
        (b'{"type":"payout"', swap(b'"state":"created"', b'"state":"failed"'), 0, "payout"),
        (b'{"type":"payout"', swap(b'"by":"file"', b'"by":"transfer"'), 3, "payout"),
        (b'{"type":"payout"', swap(b'"state":"succeeded"', b'"state":"failed"'), 3, "payout"),
    ],
)  # fmt: skip
def test_a_change_is_found(lines: list[bytes], start: bytes, change: Change, skip: int, code: str) -> None:
    assert code in found(lines, start, change, skip)


def test_a_settlement_that_is_left_out_is_missed(lines: list[bytes]) -> None:
    at = place_of(lines, b'{"type":"settlement"')
    forged = [line for number, line in enumerate(lines) if number != at]
    codes = {finding.code for finding in verified(rehash(forged), prefix_ok=True).findings}
    assert {"position", "settlement"} <= codes


def test_a_payout_without_its_entry_is_missed(lines: list[bytes]) -> None:
    at = next(n for n, line in enumerate(lines) if b'"kind":"payout"' in line)
    forged = [line for number, line in enumerate(lines) if number != at]
    codes = {finding.code for finding in verified(rehash(forged), prefix_ok=True).findings}
    assert {"payout", "clearing"} <= codes


def test_an_entry_of_no_payout_is_found(lines: list[bytes]) -> None:
    codes = found(lines, b'{"type":"entry"', swap(b'"kind":"charge"', b'"kind":"collection"'), 1)
    assert codes


def test_a_store_knows_its_settlements(tmp_path: Path) -> None:
    books = Counting(tmp_path / "books.db")
    books.ride(3)
    line = books.one()
    books.order(line)
    assert books.proven() == []
    work = books.engine.writer.work()
    work.move(books.payouts(line)[0].__class__(**{
        **{name: getattr(books.payouts(line)[0], name) for name in books.payouts(line)[0].__struct_fields__},
        "state": "succeeded",
    }))  # fmt: skip
    work.writes.facts.append(("x", "y"))
    books.engine.writer.land(work)  # the table says otherwise than the chain
    assert any(one.startswith("course") for one in books.proven())
    books.engine.close()
