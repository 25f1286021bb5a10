"""Buckets and allowances at a node: the verbs of ``client.stocks``.

client.stocks.grant(GrantInput("ada", "5", "EUR", "welcome-ada", funded="sponsor"))
client.stocks.buy(AllowanceInput("ada", "EUR", "10", "minutes", "200", "order-17"))
client.stocks.of("acct_00001").buckets
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apportion.engine.funding.door import AllowanceAnswer, AllowanceInput, FundingView, GrantAnswer, GrantInput


class Stocks:
    """What payers have besides their account, as the client's key sees it."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask

    def grant(self, given: GrantInput, *, idempotency_key: str = "") -> GrantAnswer:
        """Put value into a bucket of a payer, once per reference.

        Raises:
            Refused: UNKNOWN_PAYER, BAD_AMOUNT, BAD_INPUT, BAD_TIME, UNKNOWN_SERVICE, CONFLICT.
        """
        return self._ask("grant", given=given, key=idempotency_key)

    def buy(self, given: AllowanceInput, *, idempotency_key: str = "") -> AllowanceAnswer:
        """Buy units for a payer, who pays for them now, once per reference.

        Raises:
            Refused: as ``grant``; INSUFFICIENT_FUNDS, BAD_QUANTITY, MEASURE_MISSING.
        """
        return self._ask("buy_allowance", given=given, key=idempotency_key)

    def of(self, account: str) -> FundingView:
        """What a payer's account may draw on, in order."""
        return self._ask("funding", account)
