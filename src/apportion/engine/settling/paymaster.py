"""The paymaster: makes transfers to providers as the cashier fetches value, once each, whatever answers get lost."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from apportion.engine.payments.cashier import Cashier
from apportion.engine.payments.decision import minor_unit
from apportion.engine.settling.payees import payee_of
from apportion.errors import Refused
from apportion.model.ids import read_number
from apportion.model.processor import PaymentOrder
from apportion.model.settlement import EndPayout, PayoutLine, SendPayout
from apportion.money import Money
from apportion.money.asset import minor_digits
from apportion.money.exact import decimal_text


class Paymaster(Cashier):
    """The transfers of one tenant, by a PayoutPort. What goes by file is none of its business: that is never due."""

    prefix = "pyo_"
    end: ClassVar[Any] = EndPayout
    _decode = staticmethod(msgspec.json.Decoder(PayoutLine).decode)  # type: ignore[assignment]

    def _sending(self, line: Any, due: str) -> SendPayout:
        return SendPayout(line.id, line.n, due)

    def _order(self, line: Any) -> PaymentOrder | None:
        """What the processor is told; None when nobody knows any more where the money is to go."""
        engine = self._engine
        number = read_number(line.creditor)
        account = engine.store.accounts(engine.tenant, [number])[number]
        payee = payee_of(engine, engine.books.owners()[account.public])
        if payee is None or not payee.destination:
            return None
        asset = engine.books.asset(line.asset.partition("/")[0])
        units, digits = Money.parse(line.amount, asset).atoms // minor_unit(asset), minor_digits(asset.code) or 0
        try:
            amount = decimal_text(units, digits)
            return PaymentOrder(line.id, amount, asset.code, payee.destination, f"payout of {line.settlement}")
        except Refused:  # what is stored is no destination
            return None
