"""What an insider might do to disputes, each found by the proof of the export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from apportion.engine.export import export
from tests.disputing import Court
from tests.forging import edited, place_of, rehash, verified

Change = Callable[[bytes], bytes]
CASE, CHARGE, ENTRY = b'{"type":"dispute"', b'{"type":"charge"', b'{"type":"entry"'


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A case that was decided in part, one that was withdrawn, one of a provider, and one that is open."""
    court = Court(tmp_path_factory.mktemp("forge") / "books.db")
    charge, other = court.charged("ada"), court.charged("ada", "ben")
    first = court.opened(charge, "first", amount="4", reason="why")
    court.add(first, "how", provider="otto")
    court.decide(first, "3")
    court.withdraw(court.opened(charge, "second", amount="2"))
    court.decide(court.opened(other, "third", provider="dora", against="otto", amount="1"))
    court.opened(other, "fourth", payer="ben", amount="2")
    court.engine.writer.seal()
    made = [line[:-1] for line in export(court.store, court.engine.tenant)]
    court.engine.close()
    return made


def swap(old: bytes, new: bytes) -> Change:
    return lambda line: line.replace(old, new, 1)


def codes(lines: list[bytes]) -> set[str]:
    return {finding.code for finding in verified(rehash(lines), prefix_ok=True).findings}


def test_the_books_themselves_are_proven(lines: list[bytes]) -> None:
    verdict = verified(lines, prefix_ok=True)
    assert verdict.ok, verdict.findings[:5]
    assert [line.startswith(CASE) for line in lines].count(True) == 8


@pytest.mark.parametrize(
    ("skip", "change"),
    [
        (0, swap(b'"amount":"4.0', b'"amount":"5.0')),  # more is disputed than was
        (0, swap(b'"n":1', b'"n":2')),
        (0, swap(b'"held":[{"account":"acct_00004"', b'"held":[{"account":"acct_00008"')),
        (0, swap(b'"state":"open"', b'"state":"withdrawn"')),
        (1, swap(b'"evidence":[{', b'"evidence":[{"account":"","at":"","digest":"x"},{')),
        (1, swap(b'"opened":"2026', b'"opened":"2025')),
        (2, swap(b'"granted":"3.0', b'"granted":"4.0')),  # more was granted than was booked
        (2, swap(b'"granted":"3.0', b'"granted":"9.0')),
        (2, swap(b'"state":"decided"', b'"state":"withdrawn"')),
        (2, swap(b'"state":"decided"', b'"state":"open"')),
        (2, swap(b'"made":"chg_', b'"made":"chg_f')),
        (3, swap(b'"state":"open"', b'"state":"decided"')),
        (6, swap(b'"granted":"1.0', b'"granted":"0.9')),
        (6, swap(b'"provider":"dora"', b'"provider":"otto"')),
        (7, swap(b'"amount":"0.593243165"', b'"amount":"0.593243166"')),
    ],
)  # fmt: skip
def test_a_change_of_a_case_is_found(lines: list[bytes], skip: int, change: Change) -> None:
    assert "dispute" in codes(edited(lines, place_of(lines, CASE, skip), change))


@pytest.mark.parametrize("mark", [b'"kind":"dispute-hold"', b'"kind":"dispute-release"'])
def test_what_is_set_aside_is_booked(lines: list[bytes], mark: bytes) -> None:
    at = next(place for place, line in enumerate(lines) if mark in line)
    assert "dispute" in codes([line for place, line in enumerate(lines) if place != at])
    assert "dispute" in codes(edited(lines, at, swap(mark, b'"kind":"payout"')))


def test_a_case_that_is_left_out_is_missed(lines: list[bytes]) -> None:
    for skip in (0, 2, 7):
        at = place_of(lines, CASE, skip)
        assert "dispute" in codes([line for place, line in enumerate(lines) if place != at])
    at = place_of(lines, b'{"type":"disputed"')
    assert "dispute" in codes([line for place, line in enumerate(lines) if place != at])


def test_clearing_is_what_open_cases_hold(lines: list[bytes]) -> None:
    verdict = verified(rehash(edited(lines, place_of(lines, ENTRY, 1), swap(b'"kind":"charge"', b'"kind":"x"'))))
    assert not verdict.ok
    at = next(place for place, line in enumerate(lines) if b'"kind":"dispute-release"' in line)
    forged = edited(lines, at, swap(b'"kind":"dispute-release"', b'"kind":"transfer"'))
    assert any("set aside" in one.message for one in verified(rehash(forged), prefix_ok=True).findings)


def test_a_store_has_the_words_that_the_books_hold_the_digest_of(tmp_path: Path) -> None:
    court = Court(tmp_path / "books.db")
    case = court.opened(court.charged("ada"), reason="this")
    work = court.engine.writer.work()
    work.writes.documents.append((f"{case}.1", 0, b'{"case":"","text":"that","salt":""}'))
    work.writes.facts.append(("x", "y"))
    court.engine.writer.land(work)
    assert [one.partition(":")[0] for one in court.proven()] == [f"document {case}.1"]
    court.engine.close()
