"""Exchange rates: known currencies, rates above zero, and never two that hold from the same instant on."""

from __future__ import annotations

import re

from apportion.errors import RefusalCode
from apportion.model.exchange_rate import ExchangeRate
from apportion.model.findings import Findings

_RATE = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)
SOURCE_MAX = 60


def check_rates(found: Findings) -> None:
    """Report every rate that means nothing, or that contradicts another."""
    seen: dict[tuple[object, ...], int] = {}
    for place, rate in enumerate(found.catalog.rates):
        where = f"rates.{place}"
        _pair(found, where, rate)
        if not _RATE.fullmatch(rate.rate) or not rate.rate.strip("0."):
            fix = "A decimal of at most 20 digits on either side, such as 0.92."
            found.add(f"{where}.rate", f"{rate.rate[:50]!r} is not a number above zero.", fix)
        if not 0 < len(rate.source) <= SOURCE_MAX or not rate.source.isprintable():
            found.add(f"{where}.source", "says nobody, or too much.", f"Whose rate it is, in 1 to {SOURCE_MAX} signs.")
        if rate.at.tzinfo is None:
            found.add(f"{where}.at", "has no time zone.", "End it with Z.", RefusalCode.BAD_TIME)
        key = rate.base, rate.to, rate.at.isoformat()
        if key in seen:
            found.add(
                f"{where}.at", f"is the instant of rates.{seen[key]} too, for the same pair.", "Keep one of them."
            )
        seen.setdefault(key, place)


def _pair(found: Findings, where: str, rate: ExchangeRate) -> None:
    """Two different currencies, each by its code alone: a rate is of whole units, whatever the scales."""
    for field, code in (("from", rate.base), ("to", rate.to)):
        if "/" in code:
            fix = f"Write {code.partition('/')[0]}: the table currencies sets its scale."
            found.add(f"{where}.{field}", f"{code[:40]!r} has a scale.", fix, RefusalCode.UNKNOWN_ASSET)
        else:
            found.asset(f"{where}.{field}", code)
    if rate.base == rate.to:
        found.add(f"{where}.to", f"is {rate.to[:40]!r}, as from is.", "Name another currency.")
