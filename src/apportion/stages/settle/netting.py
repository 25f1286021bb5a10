"""Netting: obligations become payments. However they are netted, nobody ends up with more or less than before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from apportion.model.settlement import Mode

PLATFORM = ""  # the counterparty of everybody


class Owed(msgspec.Struct, frozen=True, order=True):
    """``debtor`` owes ``creditor`` so many units, above zero."""

    debtor: str
    creditor: str
    units: int


def positions(owed: Iterable[Owed]) -> dict[str, int]:
    """What each party is owed less what it owes; together zero. Who is even is not among them."""
    found: dict[str, int] = {}
    for one in owed:
        found[one.debtor] = found.get(one.debtor, 0) - one.units
        found[one.creditor] = found.get(one.creditor, 0) + one.units
    return {party: units for party, units in found.items() if units}


def payments(mode: Mode, owed: Iterable[Owed]) -> list[Owed]:
    """The payments that settle ``owed``, in the order of their parties.

    ``gross`` makes one of all that a party owes another, ``net`` one of what is left between two, ``multilateral`` one
    per party, from or to the platform.
    """
    obligations = list(owed)
    for one in obligations:
        assert one.units > 0 and one.debtor != one.creditor, f"{one} is no obligation"
    if mode is Mode.MULTILATERAL:
        found = _by_the_platform(positions(obligations))
    else:
        found = _by_pairs(obligations, both_ways=mode is Mode.GROSS)
    assert positions(found) == positions(obligations), "netting moves no position"
    return sorted(found)


def _by_pairs(owed: Iterable[Owed], *, both_ways: bool) -> list[Owed]:
    sums: dict[tuple[str, str], int] = {}
    for one in owed:
        pair, units = (one.debtor, one.creditor), one.units
        if not both_ways and pair[0] > pair[1]:
            pair, units = (pair[1], pair[0]), -units
        sums[pair] = sums.get(pair, 0) + units
    return [
        Owed(debtor, creditor, units) if units > 0 else Owed(creditor, debtor, -units)
        for (debtor, creditor), units in sums.items()
        if units
    ]


def _by_the_platform(standing: Mapping[str, int]) -> list[Owed]:
    return [
        Owed(PLATFORM, party, units) if units > 0 else Owed(party, PLATFORM, -units)
        for party, units in standing.items()
        if party != PLATFORM
    ]


def over_caps(standing: Mapping[str, int], caps: Mapping[str, int]) -> list[str]:
    """The parties that owe more than their net debit cap; who has none may owe anything."""
    return sorted(party for party, units in standing.items() if party in caps and -units > caps[party])
