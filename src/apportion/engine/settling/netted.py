"""From what a window came to in minor units to its obligations and payments; a settlement and its proof both use it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from apportion.model.settlement import Mode, Transfer
from apportion.money import Asset
from apportion.money.exact import decimal_text
from apportion.stages.settle import PLATFORM, Owed, payments
from apportion.stages.statement.downward import hand_down, minor_of


def grain_of(asset: Asset) -> int:
    """How many atoms one minor unit has."""
    return int(10 ** (asset.scale - minor_of(asset)))


def owed_of(
    asset: Asset, payable: Mapping[str, tuple[int, int, int]], pairs: Mapping[tuple[str, str], int]
) -> list[Owed]:
    """The obligations of a window in minor units.

    Args:
        payable: by account what its advices come to (minor units), and what it was credited and debited (atoms).
        pairs: by debtor and creditor what one provider owes the other (atoms, whole minor units).

    What is between an account and the platform is what its advices come to less its obligations: that was rounded once
    and is handed down to both directions, not rounded again.
    """
    grain = grain_of(asset)
    owed = [Owed(debtor, creditor, atoms // grain) for (debtor, creditor), atoms in pairs.items()]
    among: dict[str, int] = {}
    for one in owed:
        among[one.debtor] = among.get(one.debtor, 0) - one.units
        among[one.creditor] = among.get(one.creditor, 0) + one.units
    for account, (total, credits, debits) in payable.items():
        rest = total - among.get(account, 0)
        for units in hand_down(rest, [credits, -debits], ["credits", "debits"], grain):
            if units > 0:
                owed.append(Owed(PLATFORM, account, units))
            elif units < 0:
                owed.append(Owed(account, PLATFORM, -units))
    return owed


def transfers(asset: Asset, mode: Mode, owed: Iterable[Owed]) -> tuple[Transfer, ...]:
    """The payments of a settlement as its line says them."""
    digits = minor_of(asset)
    return tuple(Transfer(one.debtor, one.creditor, decimal_text(one.units, digits)) for one in payments(mode, owed))


def units_of(text: str) -> int:
    """An amount in whole minor units."""
    return int(text.replace(".", "", 1))
