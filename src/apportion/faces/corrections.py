"""Corrections of charges at a node: the verbs of ``client.corrections``.

client.corrections.give_back("chg_…", "complaint-17", "5.00")
client.corrections.standing("chg_…").charge.total
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apportion.engine.correcting.door import CorrectionInput, ResplitInput, StandingView
from apportion.engine.exchange import ChargeView


class Corrections:
    """What is given back of charges or shared anew, as the client's key sees it."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask

    def give_back(
        self,
        charge: str,
        reference: str,
        amount: str = "",
        payer: str = "",
        provider: str = "",
        *,
        idempotency_key: str = "",
    ) -> ChargeView:
        """Give ``amount`` of a charge back (all that stands, when empty), once per ``reference``.

        Raises:
            Refused: NOT_FOUND; BAD_AMOUNT above what stands; UNKNOWN_PAYER, UNKNOWN_PROVIDER, CONFLICT.
        """  # fmt: skip
        given = CorrectionInput(reference, amount, payer, provider)
        return self._ask("correct", charge, given=given, key=idempotency_key)

    def resplit(self, charge: str, given: ResplitInput, *, idempotency_key: str = "") -> ChargeView:
        """Let a provider earn more of a charge, out of what another or the platform earns of it.

        Raises:
            Refused: NOT_FOUND; BAD_AMOUNT above what that is; UNKNOWN_PROVIDER, CONFLICT.
        """
        return self._ask("resplit", charge, given=given, key=idempotency_key)

    def standing(self, charge: str) -> StandingView:
        """A charge as it stands with all that corrected it.

        Raises:
            Refused: NOT_FOUND.
        """
        return self._ask("standing", charge)
