"""What an insider might do to service levels, each found by the proof of the export."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from apportion.adapters.outside import signature_holds
from apportion.engine.verify import Outside, verify_export
from apportion.model.agreement import Consequence, Targets
from tests.forging import edited, place_of, rehash, verified
from tests.levelling import Levelling, agreed

Change = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A credit of elm's, one of oak's that was approved, one that waits, a level that was kept, and an outage."""
    up = Targets(availability="0.999")
    reviewed = {"consequence": Consequence("100", "50", "0.01"), "targets": up, "provider": "oak"}
    books = Levelling(
        tmp_path_factory.mktemp("forge") / "books.db", agreed(), agreed("kept", payer="ben", targets=Targets(5)),
        agreed("yes", **reviewed), agreed("wait", payer="cay", **reviewed),
    )  # fmt: skip
    books.call(count=2)
    books.call("failed", payers=("ada", "ben", "cay"), setup="4")
    books.down("2026-10-05T00:00:00.000000Z", "2026-10-05T01:00:00.000000Z", provider="oak")
    levels = books.levels()
    assert {name: line.state for name, line in levels.items()} == {
        "sla": "credited", "kept": "kept", "yes": "review", "wait": "review",
    }  # fmt: skip
    books.decide(levels["yes"], approve=True)
    books.call("failed")  # too late
    made = books.lines()
    books.engine.close()
    return made


def swap(old: bytes, new: bytes) -> Change:
    return lambda line: line.replace(old, new, 1)


def at(lines: list[bytes], agreement: bytes, skip: int = 0) -> int:
    """Where the level of an agreement stands."""
    mark = b'"agreement":"' + agreement + b'"'
    return [n for n, line in enumerate(lines) if line.startswith(b'{"type":"level"') and mark in line][skip]


def found(lines: list[bytes], place: int, change: Change) -> set[str]:
    """The codes of what is found when one line is another, and everything is hashed and signed again."""
    changed = edited(lines, place, change)
    assert changed != lines
    return {finding.code for finding in verified(rehash(changed), prefix_ok=True).findings}


def test_the_books_themselves_are_proven(lines: list[bytes]) -> None:
    verdict = verified(lines, prefix_ok=True)
    assert verdict.ok, verdict.findings[:5]


@pytest.mark.parametrize(
    ("agreement", "skip", "change"),
    [
        (b"sla", 0, swap(b'"uses":3', b'"uses":4')),
        (b"sla", 0, swap(b'"measured":"2/3"', b'"measured":"1/3"')),
        (b"sla", 0, swap(b'"promised":"0.9"', b'"promised":"0.6"')),
        (b"sla", 0, swap(b'"success":"0.9"', b'"success":"0.6"')),
        (b"sla", 0, swap(b'"credit":"10"', b'"credit":"9"')),
        (b"sla", 0, swap(b'"fee":"2', b'"fee":"3')),
        (b"sla", 0, swap(b'"last":"2026-10-01', b'"last":"2026-10-02')),
        (b"sla", 0, swap(b'"end":"2026-11', b'"end":"2026-12')),
        (b"sla", 0, swap(b'"provider":"elm"', b'"provider":"oak"')),
        (b"sla", 0, swap(b'"period":"2026-10"', b'"period":"2026-09"')),
        (b"sla", 0, swap(b'"made":"chg_', b'"made":"chg_0')),
        (b"sla", 0, swap(b'"state":"credited"', b'"state":"kept"')),
        (b"kept", 0, swap(b'"state":"kept"', b'"state":"credited"')),
        (b"kept", 0, swap(b'"samples":1', b'"samples":2')),
        (b"yes", 0, swap(b'"review":"0.01"', b'"review":"99"')),
        (b"yes", 1, swap(b'"state":"approved"', b'"state":"waived"')),
        (b"yes", 1, swap(b'"n":2', b'"n":3')),
        (b"wait", 0, swap(b'"state":"review"', b'"state":"waived"')),
        (b"wait", 0, swap(b'"credit":"0.', b'"credit":"1.')),
    ],
)
def test_a_change_is_found(lines: list[bytes], agreement: bytes, skip: int, change: Change) -> None:
    assert "level" in found(lines, at(lines, agreement, skip), change)


def test_an_outage_that_was_shorter_is_found(lines: list[bytes]) -> None:
    place = place_of(lines, b'{"type":"outage"')
    assert "level" in found(lines, place, swap(b"05T01:00", b"05T00:50"))


def test_an_adjustment_needs_the_level_that_it_is_of(lines: list[bytes]) -> None:
    place = at(lines, b"yes", 1)
    forged = rehash([line for number, line in enumerate(lines) if number != place])
    assert "level" in {finding.code for finding in verified(forged, prefix_ok=True).findings}


def test_an_iterator_can_not_be_measured_again_and_the_verdict_says_so(lines: list[bytes]) -> None:
    outside = Outside(signature_holds, None, "", True)
    verdict = verify_export((line + b"\n" for line in lines), outside)
    assert verdict.ok and "Service levels were not measured again" in verdict.notes[0]
