"""Cards at a node: the verbs of ``client.cards``.

card = client.cards.save(CardInput("EUR", "first card", return_to="https://shop.example/account"))
payment = client.cards.pay("S-000001")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from apportion.engine.payments.deeds import Clearing
from apportion.engine.payments.door import PaymentAnswer
from apportion.engine.payments.returns import (
    ChargebackView,
    Evidence,
    ReceiptView,
    RefundAnswer,
    RefundInput,
    RefundView,
)
from apportion.engine.payments.saving import CardInput, CardView, PayInput


class Cards:
    """Saved cards, what they paid and what went back, as the client's key sees it."""

    def __init__(self, ask: Callable[..., Any], pages: Callable[..., Iterator[Any]]) -> None:
        self._ask, self._pages = ask, pages

    def save(self, given: CardInput, *, idempotency_key: str = "") -> CardView:
        """Ask a payer for a card, once per reference: on a page of the processor, or by a secret for its script.

        Raises:
            Refused: BAD_INPUT, UNKNOWN_PAYER, NOT_FOUND.
        """
        return self._ask("save_card", given=given, key=idempotency_key)

    def get(self, id: str) -> CardView:
        """One card as it stands.

        Raises:
            Refused: NOT_FOUND.
        """
        return self._ask("card", id)

    def remove(self, id: str) -> CardView:
        """Forget a card.

        Raises:
            Refused: NOT_FOUND, CONFLICT.
        """
        return self._ask("remove_card", id)

    def pay(self, statement: str, method: str = "", *, idempotency_key: str = "") -> PaymentAnswer:
        """Charge what is open of a statement (id or number); ``payment`` tells how that stands.

        Raises:
            Refused: NOT_FOUND, BAD_INPUT, PAYMENT_LIMIT; CONFLICT when nothing is open.
        """
        return self._ask("pay_statement", statement, given=PayInput(method), key=idempotency_key)

    def refund(self, payment: str, reference: str, amount: str = "", *, idempotency_key: str = "") -> RefundAnswer:
        """Give a payment back to its card, once per reference; all that is left when no amount is given.

        Raises:
            Refused: NOT_FOUND, BAD_AMOUNT, CONFLICT, INSUFFICIENT_FUNDS.
        """
        return self._ask("refund", payment, given=RefundInput(reference, amount), key=idempotency_key)

    def refund_of(self, id: str) -> RefundView:
        """One refund as it stands."""
        return self._ask("refund_of", id)

    def receipt(self, payment: str) -> ReceiptView:
        """A payment as its processor holds it, with what went back of it."""
        return self._ask("receipt", payment)

    def chargebacks(self) -> Iterator[ChargebackView]:
        """All chargebacks."""
        return self._pages("chargebacks")

    def chargeback(self, id: str) -> ChargebackView:
        """One chargeback as it stands."""
        return self._ask("chargeback", id)

    def evidence(self, id: str) -> Evidence:
        """What answers a chargeback: the payment, the statement and the charges behind it."""
        return self._ask("evidence", id)

    def clearing(self) -> tuple[Clearing, ...]:
        """Every processor's clearing account, and the records that its balance is made of."""
        found: tuple[Clearing, ...] = self._ask("clearing").data
        return found
