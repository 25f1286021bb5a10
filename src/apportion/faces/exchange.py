"""Currencies at a node: the verbs of ``client.exchange``.

client.exchange.add([ExchangeRate("USD", "EUR", "0.92", "ECB", datetime(2026, 11, 2, tzinfo=UTC))])
client.exchange.positions("EUR").worth
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from apportion.engine.exchanging.door import ExchangeAnswer, RatesInput
from apportion.model.exchange_rate import ExchangeRate


class Exchange:
    """Rates, and what conversions left in each currency."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask

    def rates(self) -> tuple[ExchangeRate, ...]:
        """The rates of the catalog in force."""
        found: tuple[ExchangeRate, ...] = self._ask("rates").data
        return found

    def add(self, rates: Iterable[ExchangeRate], *, idempotency_key: str = "") -> str:
        """Add rates to the catalog in force; the id of the version that has them.

        Raises:
            Refused: CATALOG_INVALID, UNKNOWN_ASSET or BAD_TIME for a rate that means nothing; CONFLICT when another
                one holds from the same instant on.
        """
        version: str = self._ask("add_rates", given=RatesInput(tuple(rates)), key=idempotency_key).id
        return version

    def positions(self, currency: str = "") -> ExchangeAnswer:
        """What lies on the exchange accounts, compared in one currency.

        Raises:
            Refused: UNKNOWN_ASSET.
        """
        found: ExchangeAnswer = self._ask("exchange", query={"currency": currency})
        return found
