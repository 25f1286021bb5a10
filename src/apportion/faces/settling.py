"""Settlements and payouts at a node: the verbs of ``client.settling``.

done = client.settling.settle("multilateral")
client.settling.pay_out(done.settlements[0].id)
print(client.settling.payment_file("SET-000001").content)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from apportion.engine.settling.door import (
    CollectionAnswer,
    CollectionInput,
    ConfirmInput,
    FailInput,
    ObligationAnswer,
    ObligationInput,
    PayoutInput,
    PayoutsAnswer,
    SettleAnswer,
    SettleInput,
)
from apportion.engine.settling.views import PaymentFile, PayoutView, SettlementView
from apportion.model.payee import Payee


class Settling:
    """What is settled with providers, and how it is paid, as the client's key sees it."""

    def __init__(self, ask: Callable[..., Any], pages: Callable[..., Iterator[Any]]) -> None:
        self._ask, self._pages = ask, pages

    def settle(self, mode: str = "net", *, idempotency_key: str = "") -> SettleAnswer:
        """Settle everything that no settlement covers yet; ``mode`` is gross, net or multilateral."""
        from msgspec import convert

        return self._ask("settle", given=convert({"mode": mode}, SettleInput), key=idempotency_key)

    def all(self) -> Iterator[SettlementView]:
        """Settlements, newest first, without their positions."""
        return self._pages("settlements")

    def one(self, settlement: str) -> SettlementView:
        """One settlement, by id or number, with positions and payments.

        Raises:
            Refused: NOT_FOUND.
        """
        return self._ask("settlement", settlement)

    def pay_out(self, settlement: str, given: PayoutInput | None = None, *, idempotency_key: str = "") -> PayoutsAnswer:
        """Order what a settlement leaves to be paid.

        Raises:
            Refused: NOT_FOUND; BAD_AMOUNT above the position or what is left; BAD_INPUT without an address.
        """
        return self._ask("pay_out", settlement, given=given or PayoutInput(), key=idempotency_key)

    def payment_file(self, settlement: str, format: str = "pain001", batch: int = 0) -> PaymentFile:
        """The file of a batch of payouts, the last one when 0.

        Raises:
            Refused: NOT_FOUND when nothing was ordered by file; BAD_INPUT when an address is missing.
        """
        return self._ask("payment_file", settlement, query={"format": format, "batch": str(batch)})

    def payouts(self, state: str = "") -> Iterator[PayoutView]:
        """Payouts, those of the newest settlement first; of one state if it is named."""
        return self._pages("payouts", state=state)

    def payout(self, id: str) -> PayoutView:
        """One payout as it stands.

        Raises:
            Refused: NOT_FOUND.
        """
        return self._ask("payout", id)

    def confirm(self, payout: str, reference: str = "", *, idempotency_key: str = "") -> PayoutView:
        """Say that a payout has arrived.

        Raises:
            Refused: NOT_FOUND; CONFLICT when it has failed, or a processor has to say so.
        """
        return self._ask("confirm_payout", payout, given=ConfirmInput(reference), key=idempotency_key)

    def fail(self, payout: str, reason: str = "", *, idempotency_key: str = "") -> PayoutView:
        """Say that a payout has not arrived: the money is the provider's again.

        Raises:
            Refused: as ``confirm``.
        """
        return self._ask("fail_payout", payout, given=FailInput(reason), key=idempotency_key)

    def oblige(self, given: ObligationInput, *, idempotency_key: str = "") -> ObligationAnswer:
        """Let one provider owe another, once per reference.

        Raises:
            Refused: PAYMENT_LIMIT above the net debit cap; BAD_AMOUNT, UNKNOWN_PROVIDER, CONFLICT.
        """
        return self._ask("oblige", given=given, key=idempotency_key)

    def collect(self, given: CollectionInput, *, idempotency_key: str = "") -> CollectionAnswer:
        """Note what a provider took from a user for all who delivered, once per reference.

        Raises:
            Refused: PAYMENT_LIMIT above the net debit cap; BAD_AMOUNT, UNKNOWN_PAYER, UNKNOWN_PROVIDER, CONFLICT.
        """
        return self._ask("collect", given=given, key=idempotency_key)

    def put_payee(self, name: str, given: Payee) -> Payee:
        """Keep where a provider (or ``platform``) has its money.

        Raises:
            Refused: BAD_INPUT, UNKNOWN_PROVIDER, NOT_FOUND for another's.
        """
        return self._ask("put_payee", name, given=given)

    def payee(self, name: str) -> Payee:
        """Where a provider has its money.

        Raises:
            Refused: NOT_FOUND.
        """
        return self._ask("payee", name)
