"""What a provider owes that collects the fee from the user for all who delivered."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from apportion.stages.settle.netting import PLATFORM, Owed


class Collected(msgspec.Struct, frozen=True):
    """A fee that the provider ``face`` took from a user: the ``portions`` of those who delivered, and the ``rest``.

    The rest is what the platform keeps or passes on: its own fee and the tax.
    """

    face: str
    portions: tuple[tuple[str, int], ...]
    rest: int = 0


def collected(fees: Sequence[Collected]) -> list[Owed]:
    """What the faces owe to those who delivered and to the platform; its own portion a face keeps."""
    found: dict[tuple[str, str], int] = {}
    for fee in fees:
        for creditor, units in (*fee.portions, (PLATFORM, fee.rest)):
            if creditor != fee.face and units:
                pair = fee.face, creditor
                found[pair] = found.get(pair, 0) + units
    return sorted(
        Owed(debtor, creditor, units) if units > 0 else Owed(creditor, debtor, -units)
        for (debtor, creditor), units in found.items()
        if units
    )
