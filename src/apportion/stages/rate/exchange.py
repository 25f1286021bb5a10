"""Exchange rates in force: which one converts between two currencies at an instant."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime
from operator import itemgetter

from apportion.errors import RefusalCode, refuse
from apportion.model.exchange_rate import ExchangeRate
from apportion.money.exchange import Rate

Pair = tuple[str, str]
_instant = itemgetter(0)


class Rates:
    """The exchange rates of a catalog version; false when it has none."""

    def __init__(self, rates: Iterable[ExchangeRate]) -> None:
        self._rates: dict[Pair, list[tuple[datetime, Rate]]] = {}
        for one in rates:
            at = one.at.astimezone(UTC)
            said = Rate(one.base, one.to, one.rate, one.source, at.isoformat().replace("+00:00", "Z"))
            self._rates.setdefault((one.base, one.to), []).append((at, said))
        for known in self._rates.values():
            known.sort(key=_instant)

    def __bool__(self) -> bool:
        return bool(self._rates)

    def find(self, code: str, to: str, at: datetime) -> Rate:
        """The rate by which an amount in ``code`` becomes one in ``to``; that of the other direction when only it is.

        Raises:
            Refused: NO_RATE when none was in force at the instant.
        """
        found = self.known(code, to, at)
        if found is None:
            raise refuse(
                RefusalCode.NO_RATE,
                f"no rate from {code} to {to} is in force at {at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}.",
                field="rates",
                fix=f"Add one from {code} to {to} with an earlier `at` to the rates of the catalog, and apply it.",
            )
        return found

    def known(self, code: str, to: str, at: datetime) -> Rate | None:
        """The same, or None when no rate was in force."""
        return self._latest((code, to), at) or self._latest((to, code), at)

    @property
    def currencies(self) -> list[str]:
        """All that some rate is of, in order."""
        return sorted({code for pair in self._rates for code in pair})

    def _latest(self, pair: Pair, at: datetime) -> Rate | None:
        known = self._rates.get(pair, ())
        place = bisect_right(known, at, key=_instant)
        return known[place - 1][1] if place else None
