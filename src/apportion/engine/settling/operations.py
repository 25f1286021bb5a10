"""The operations on settlements, payouts and obligations."""

from __future__ import annotations

from typing import Any

from apportion.engine.exchange import PageQuery
from apportion.engine.operation import Once, Operation, Way, op
from apportion.engine.settling import door, files, views
from apportion.engine.settling.counting import count_ahead
from apportion.errors import RefusalCode
from apportion.model.access import AccessRole
from apportion.model.payee import Payee

_O, _A, _P = AccessRole.OPERATOR, AccessRole.AUDITOR, AccessRole.PROVIDER
_C = RefusalCode
_ONE: dict[str, Any] = {"way": Way.READ, "problems": (_C.NOT_FOUND,)}
_ENDS: dict[str, Any] = {
    "way": Way.GROUP, "told": door.payout_told, "gives": views.PayoutView, "once": Once.OPTIONAL,
    "problems": (_C.NOT_FOUND, _C.CONFLICT),
}  # fmt: skip

SETTLING: tuple[Operation, ...] = (
    op(
        "settle", "POST /v1/settlements", "Settle with providers everything that no settlement covers yet.", door.run,
        (_O,), takes=door.SettleInput, way=Way.ALONE, gives=door.SettleAnswer, once=Once.OPTIONAL,
        problems=(_C.CONFLICT,), ahead=count_ahead,
        more="A settlement covers the rows of the books behind the last one, up to now, for ever: each portion is in"
        " exactly one, whenever it was used. It issues a remittance advice to every provider. When nothing is new the"
        " last settlements are the answer, and nothing changes. In every `mode` each party ends up with the same.",
    ),
    op(
        "settlements", "GET /v1/settlements", "List settlements, newest first.", views.settlements, (_O, _A, _P),
        gives=views.SettlementPage, way=Way.READ, query=PageQuery, problems=(_C.BAD_INPUT,),
        more="Providers see those that they have a part in.",
    ),
    op(
        "settlement", "GET /v1/settlements/{id}", "One settlement, by id or number, with positions and payments.",
        views.settlement, (_O, _A, _P), gives=views.SettlementView, **_ONE,
        more="Providers see their own positions and payments.",
    ),
    op(
        "pay_out", "POST /v1/settlements/{id}/payout", "Order what a settlement leaves to be paid.", door.order, (_O,),
        takes=door.PayoutInput, way=Way.ALONE, gives=door.PayoutsAnswer, once=Once.OPTIONAL, status=201,
        problems=(_C.NOT_FOUND, _C.BAD_INPUT, _C.BAD_AMOUNT, _C.CONFLICT),
        more="What was ordered leaves the provider's account and lies in clearing until its end is known, so nothing is"
        " paid twice; what came back may be ordered again. Nobody is paid more than its position.",
    ),
    op(
        "payment_file", "GET /v1/settlements/{id}/payment-file", "The file of a batch of payouts: pain.001 or CSV.",
        files.payment_file, (_O,), gives=views.PaymentFile, way=Way.READ, query=views.FileQuery,
        problems=(_C.NOT_FOUND, _C.BAD_INPUT),
        more="The same batch gives the same file, with the same message id, so that a bank knows it again.",
    ),
    op(
        "payouts", "GET /v1/payouts", "List payouts, those of the newest settlement first.", views.payouts,
        (_O, _A, _P), gives=views.PayoutPage, way=Way.READ, query=views.PayoutQuery, problems=(_C.BAD_INPUT,),
        more="Those under way by file or transfer are what lies in clearing. Providers see theirs.",
    ),
    op(
        "payout", "GET /v1/payouts/{id}", "One payout as it stands.", views.payout, (_O, _A, _P),
        gives=views.PayoutView, **_ONE,
    ),
    op(
        "confirm_payout", "POST /v1/payouts/{id}/confirm", "Say that a payout has arrived.", door.confirm, (_O,),
        takes=door.ConfirmInput, **_ENDS, more="For what goes by file, collection or directly; a processor says so"
        " itself.",
    ),
    op(
        "fail_payout", "POST /v1/payouts/{id}/fail", "Say that a payout has not arrived, or has come back.", door.fail,
        (_O,), takes=door.FailInput, **_ENDS, more="The money is the provider's again, and may be ordered once more."
        " Of a transfer only before it was sent.",
    ),
    op(
        "oblige", "POST /v1/obligations", "Let one provider owe another, once per reference.", door.oblige, (_O,),
        takes=door.ObligationInput, way=Way.GROUP, told=door.oblige_told, gives=door.ObligationAnswer,
        once=Once.OPTIONAL, status=201,
        problems=(
            _C.BAD_INPUT, _C.BAD_AMOUNT, _C.UNKNOWN_ASSET, _C.UNKNOWN_PROVIDER, _C.CONFLICT, _C.PAYMENT_LIMIT,
            _C.OVERFLOW,
        ),
        more="Such as what one collects for another, or interconnection. The next settlement nets it. Nobody comes to"
        " owe more than its net debit cap (`debit_caps` of the catalog).",
    ),
    op(
        "collect", "POST /v1/collections", "Note what a provider took from a user for all who delivered.",
        door.collect, (_O, _P), takes=door.CollectionInput, way=Way.GROUP, told=door.collect_told,
        gives=door.CollectionAnswer, once=Once.OPTIONAL, status=201,
        problems=(
            _C.BAD_INPUT, _C.BAD_AMOUNT, _C.UNKNOWN_ASSET, _C.UNKNOWN_PROVIDER, _C.UNKNOWN_PAYER, _C.CONFLICT,
            _C.PAYMENT_LIMIT, _C.OVERFLOW,
        ),
        more="Such as the user's face, to whom its statement was paid. The user has paid with that; the provider owes"
        " it, and the next settlement sets it off against what it earned. Once per reference. A provider says so of"
        " itself as far as its net debit cap goes (`debit_caps` of the catalog).",
    ),
    op(
        "put_payee", "PUT /v1/payees/{id}", "Keep where a provider has its money; `platform` for the platform.",
        door.put, (_O, _P), takes=Payee, way=Way.ALONE, gives=Payee,
        problems=(_C.NOT_FOUND, _C.BAD_INPUT, _C.UNKNOWN_PROVIDER, _C.CONFLICT),
        more="It is kept beside the books, never in the chain. An empty one takes it back. A provider says its own.",
    ),
    op(
        "payee", "GET /v1/payees/{id}", "Where a provider has its money.", door.payee, (_O, _P), gives=Payee, **_ONE,
    ),
)  # fmt: skip
