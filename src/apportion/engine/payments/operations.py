"""The operations of cards: saved, charged for a statement, refunded, charged back, cleared."""

from __future__ import annotations

from typing import Any

from apportion.engine.exchange import PageQuery
from apportion.engine.operation import Once, Operation, Way, op
from apportion.engine.payments import returns, saving
from apportion.engine.payments.door import PaymentAnswer
from apportion.errors import RefusalCode
from apportion.model.access import AccessRole

_O, _A, _U = AccessRole.OPERATOR, AccessRole.AUDITOR, AccessRole.USER
_C = RefusalCode
_ONE: dict[str, Any] = {"way": Way.READ, "problems": (_C.NOT_FOUND,)}

CARDS: tuple[Operation, ...] = (
    op(
        "pay_statement", "POST /v1/statements/{id}/pay", "Charge what is open of a statement to the payer's card.",
        saving.pay_statement, (_O, _U), takes=saving.PayInput, way=Way.PLAN, told=saving.statement_told,
        gives=PaymentAnswer, once=Once.OPTIONAL, status=201,
        problems=(_C.NOT_FOUND, _C.BAD_INPUT, _C.CONFLICT, _C.PAYMENT_LIMIT),
        more="What came in since the statement is taken off. While a payment of it is under way that one is the answer;"
        " after one failed the next attempt is made. Value is in when GET /v1/payments/{id} says `succeeded`.",
    ),
    op(
        "save_card", "POST /v1/cards", "Ask a payer for a card, which the payment processor keeps.", saving.save_card,
        (_O, _U), takes=saving.CardInput, way=Way.PLAN, told=saving.card_told, gives=saving.CardView,
        once=Once.OPTIONAL, status=201, problems=(_C.BAD_INPUT, _C.UNKNOWN_PAYER, _C.UNKNOWN_ASSET, _C.NOT_FOUND),
        more="With `return_to` the answer leads to a page of the processor, else it holds a secret for its script."
        " No card number ever comes here. Once the card is saved it pays what the payer is asked for.",
    ),
    op(
        "card", "GET /v1/cards/{id}", "One card as it stands.", saving.card, (_O, _A, _U), gives=saving.CardView,
        **_ONE,
    ),
    op(
        "remove_card", "DELETE /v1/cards/{id}", "Forget a card.", saving.remove_card, (_O, _U), way=Way.ALONE,
        gives=saving.CardView, problems=(_C.NOT_FOUND, _C.CONFLICT),
    ),
    op(
        "refund", "POST /v1/payments/{id}/refund", "Give a payment back to its card, once per reference.",
        returns.refund, (_O,), takes=returns.RefundInput, way=Way.GROUP, told=returns.refund_told,
        gives=returns.RefundAnswer, once=Once.OPTIONAL, status=201,
        problems=(_C.NOT_FOUND, _C.BAD_AMOUNT, _C.CONFLICT, _C.INSUFFICIENT_FUNDS, _C.UNKNOWN_ASSET),
        more="Never more than was paid. The amount leaves the payer's account now and comes back if the refund fails.",
    ),
    op(
        "refund_of", "GET /v1/refunds/{id}", "One refund as it stands.", returns.refund_of, (_O, _A, _U),
        gives=returns.RefundView, **_ONE,
    ),
    op(
        "receipt", "GET /v1/payments/{id}/receipt", "A payment as its processor holds it, with what went back of it.",
        returns.receipt, (_O, _A, _U), gives=returns.ReceiptView, **_ONE,
    ),
    op(
        "chargebacks", "GET /v1/chargebacks", "List chargebacks as they stand.", returns.chargebacks, (_O, _A),
        gives=returns.ChargebackPage, way=Way.READ, query=PageQuery, problems=(_C.BAD_INPUT,),
    ),
    op(
        "chargeback", "GET /v1/chargebacks/{id}", "One chargeback as it stands.", returns.chargeback_of, (_O, _A, _U),
        gives=returns.ChargebackView, **_ONE,
    ),
    op(
        "evidence", "GET /v1/chargebacks/{id}/evidence", "What answers a chargeback: payment, statement, charges.",
        returns.evidence, (_O, _A), gives=returns.Evidence, **_ONE,
    ),
    op(
        "clearing", "GET /v1/clearing", "Every clearing account, and what its balance is made of.",
        returns.clearing, (_O, _A), gives=returns.ClearingAnswer, way=Way.READ,
    ),
)  # fmt: skip
