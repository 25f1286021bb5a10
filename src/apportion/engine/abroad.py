"""Prices in other currencies than their service's: by which rates they count, and what they come to at home."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from apportion.engine.terms import Deal, ServiceTerms
from apportion.money.exchange import Rate
from apportion.stages.rate import Priced


def rates_of(terms: ServiceTerms, deal: Deal, at: datetime) -> tuple[Rate | None, ...]:
    """The rate in force for each part whose price is in another currency than the service's.

    Raises:
        Refused: NO_RATE.
    """
    home = terms.asset.code
    return tuple([None if asset is None else terms.rates.find(asset.code, home, at) for asset in deal.abroad])


def at_home(deal: Deal, parts: list[Priced | None], rates: Sequence[Rate | None]) -> list[Priced | None]:
    """The prices of the parts in the service's currency, converted exactly."""
    found = list(parts)
    for place, (one, rate, asset) in enumerate(zip(parts, rates, deal.abroad, strict=True)):
        if one is not None and rate is not None and asset is not None:
            found[place] = msgspec.structs.replace(one, exact=rate.of(one.exact, asset.code))
    return found
