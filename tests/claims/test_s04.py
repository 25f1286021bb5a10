"""S4: Telecommunications with the bridge (conference, connection) from a telecom platform provider."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from tests.claims.conftest import ATOM, EXAMPLES, Book, rows

CATALOG = EXAMPLES / "telephone/catalog.toml"


def test_the_telecom_platform_earns_the_bridge_portion(book: Book, sample: Callable[..., Path]) -> None:
    usage = sample("telephone/usage-telecom.csv", 300)
    books = book(CATALOG, usage, close=True)
    due = Fraction(0)
    for call in rows(usage):
        if call["id"] not in books.charges:
            continue
        # The platform's own price list: 0.002 for the connection and 0.0016 a minute of each participant.
        own = Fraction("0.002") * int(call["answered"]) + Fraction("0.0016") * int(call["leg_seconds"]) / 60
        bridge = next(one for one in books.charges[call["id"]]["portions"] if one["part"] == "bridge")
        assert bridge["provider"] == "telecom-platform"
        assert Fraction(bridge["exact"]) == own
        due += own
    assert due > 0
    assert abs(Fraction(books.balances("provider")["telecom-platform"]) - due) < Fraction(ATOM)
    assert set(books.earned("bridge")) == {"telecom-platform"}
    assert "internet-provider" not in books.owners.values()


def test_a_conference_is_bridged_for_each_participant(book: Book, sample: Callable[..., Path]) -> None:
    """``p512=2;p000;p224``: 28 seconds with three participants, of whom one pays two parts of four."""
    usage = sample("telephone/usage-telecom.csv", keep=lambda line: ",0006," in line)
    books = book(CATALOG, usage)
    # 28 seconds at night, 84 seconds of participants. A Danish mobile number: 0.264 a minute.
    # Fee: 30 × 0.264/60 + 28 × 0.006/60 + 84 × 0.003/60 + 0.005, and 25 percent VAT.
    call = rows(usage)[0]
    assert (call["called"], call["seconds"], call["leg_seconds"]) == ("4542780000", "28", "84")
    charge = books.charges["0006"]
    rate = Fraction(charge["exact"]) - Fraction("0.0028") - Fraction("0.0042") - Fraction("0.005")
    assert rate == Fraction("0.264") / 2  # at least 30 of 60 seconds
    assert books.portions("0006")["telecom-platform"] == Decimal("0.002") + Decimal("0.0016") * 84 / 60
    shares = {name: -amount for name, amount in books.legs("0006") if amount < 0}
    total = Decimal(charge["total"])
    assert sum(shares.values()) == total
    assert abs(shares["p512"] - total / 2) < ATOM
    assert abs(shares["p000"] - total / 4) < ATOM and abs(shares["p224"] - total / 4) < ATOM
