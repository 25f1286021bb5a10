"""What an insider could change about who paid from what: every such lie is found, though all is hashed again."""

from __future__ import annotations

import pytest

from tests.forging import exported, rehash, verified
from tests.funds import Funds, payer, use


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    path = tmp_path_factory.mktemp("funds") / "books.db"
    funds = Funds(path, payer("ada", "5", "9", ("pool", "4", "month")), payer("pool", "50"), payer("ben", "9"))
    funds.grant("2", "gift", expires="2027-01-01T00:00:00Z")
    funds.buy("3", "6", "talk", "ben")
    funds.charge(use("1", "1"), use("2", "7"), use("3", "4"), use("4", "4", "ben"), use("5", "3", "ben"))
    funds.buy("1", "5", "rest", "ben", expires="2026-12-01T00:00:00Z")
    funds.at("2027-01-02T00:00:00.000000Z")
    funds.engine.sweep()
    funds.engine.close()
    return exported(path)


def found(book: list[bytes], start: bytes, old: bytes, new: bytes, skip: int = 0) -> set[str]:
    """The codes of the findings, but for those about hashes and signatures, when one line says something else."""
    places = [i for i, line in enumerate(book) if line.startswith(start) and old in line]
    lines = list(book)
    lines[places[skip]] = lines[places[skip]].replace(old, new, 1)
    verdict = verified(rehash(lines))
    return {finding.code for finding in verdict.findings} - {"signature", "head_mismatch", "completeness", "end"}


def test_the_book_itself_is_right(book: list[bytes]) -> None:
    assert found(book, b'{"type":"charge"', b'"total"', b'"total"') == set()


@pytest.mark.parametrize(
    ("start", "old", "new", "code", "skip"),
    [
        (b"charge", b'"source":"alternate"', b'"source":"credit"', "draw", 0),
        (b"charge", b'"source":"bucket"', b'"source":"alternate"', "draw", 0),
        (b"charge", b'"source":"allowance"', b'"source":"bucket"', "draw", 0),
        (b"charge", b'"units":"4"', b'"units":"3"', "allowance", 0),
        (b"charge", b'"source":"alternate","payer":"acct_00001"', b'"source":"alternate"', "charge", 0),
        (b"funding", b'"cap":"4"', b'"cap":"9"', "draw", 1),
        (b"funding", b'"buckets":["bkt_00005"]', b'"buckets":[]', "draw", 0),
        (b"funding", b'"account":"acct_00003","cap"', b'"account":"acct_00002","cap"', "funding", 0),
        (b"cap", b'"drawn":"1.000000000"', b'"drawn":"0.500000000"', "funding", 0),
        (b"cap", b'"period":"2026-11"', b'"period":"2026-10"', "funding", 0),
        (b"bucket", b'"expires":"2027', b'"expires":"2026', "draw", 0),
        (b"bucket", b'"state":"ended"', b'"name":"other","state":"ended"', "funding", 0),
        (b"allowance", b'"left":"2"', b'"left":"3"', "funding", 0),
        (b"allowance", b'"deferred":"1.000000000"', b'"deferred":"2.000000000"', "funding", 0),
        (b"allowance", b'"lapsed":"5"', b'"lapsed":"4"', "funding", 0),
    ],
)
def test_a_lie_is_found(book: list[bytes], start: bytes, old: bytes, new: bytes, code: str, skip: int) -> None:
    assert code in found(book, b'{"type":"' + start + b'"', old, new, skip)


def test_a_line_left_out_is_missed(book: list[bytes]) -> None:
    for kind, code in ((b"cap", "funding"), (b"allowance", "funding"), (b"bucket", "funding")):
        skip = 1 if kind == b"allowance" else 0
        place = [i for i, line in enumerate(book) if line.startswith(b'{"type":"' + kind + b'"')][skip]
        assert code in {one.code for one in verified(rehash(book[:place] + book[place + 1 :])).findings}
