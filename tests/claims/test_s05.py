"""S5: Telecommunications with the bridge from an internet service provider."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from tests.claims.conftest import ATOM, EXAMPLES, Book, rows

CATALOG = EXAMPLES / "telephone/catalog.toml"


def test_the_same_calls_over_either_bridge(book: Book, sample: Callable[..., Path]) -> None:
    """Users pay the same and the carriers earn the same; only who bridged earns another portion."""
    telecom = book(CATALOG, sample("telephone/usage-telecom.csv", 300), store="telecom.db")
    usage = sample("telephone/usage-internet.csv", 300)
    internet = book(CATALOG, usage, store="internet.db")
    due = Fraction(0)
    for call in rows(usage):
        if call["id"] in internet.charges:  # one was to a number that is not sold
            own = Fraction("0.0009") * int(call["leg_seconds"]) / 60  # the provider's own price, no connection fee
            bridge = next(one for one in internet.charges[call["id"]]["portions"] if one["part"] == "bridge")
            assert (bridge["provider"], Fraction(bridge["exact"])) == ("internet-provider", own)
            due += own
    earned = internet.balances("provider")["internet-provider"]
    assert due > 0 and abs(Fraction(earned) - due) < len(internet.charges) * Fraction(ATOM)
    assert "telecom-platform" not in internet.owners.values()
    assert internet.balances("payer") == telecom.balances("payer")
    assert internet.balances("tax") == telecom.balances("tax")
    assert telecom.charges.keys() == internet.charges.keys()
    # Of one call, the first: 121 seconds with two participants.
    assert telecom.portions("0001")["telecom-platform"] == round(Decimal("0.002") + Decimal("0.0016") * 242 / 60, 9)
    assert internet.portions("0001")["internet-provider"] == Decimal("0.0009") * 242 / 60
    for record, first in telecom.charges.items():
        second = internet.charges[record]
        assert first["total"] == second["total"] and first["shares"] == second["shares"]
        exact = [{p["part"]: p["exact"] for p in one["portions"] if p["part"] != "bridge"} for one in (first, second)]
        assert exact[0] == exact[1]
    carriers = set(telecom.balances("provider")) - {"telecom-platform"}
    assert carriers == set(internet.balances("provider")) - {"internet-provider"}
    # What the cheaper bridge saves stays with the platform, to the rounding of single atoms between accounts.
    saved = telecom.balances("provider")["telecom-platform"] - internet.balances("provider")["internet-provider"]
    gained = internet.balances("platform")["fees"] - telecom.balances("platform")["fees"]
    assert saved > 0
    assert abs(saved - gained) < len(telecom.charges) * ATOM
