"""Payments as callers see them: asking for one, one as it stands, and those of an account."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.exchange import Amount, Currency, Input, Name, PageQuery, Text
from apportion.engine.payments.words import find_payment
from apportion.engine.verbs import Call
from apportion.engine.visible import Sight, nothing
from apportion.errors import Refused
from apportion.model.access import AccessRole
from apportion.model.command import Outcome
from apportion.model.ids import number_id, read_number
from apportion.model.payment import PaidLine, PaymentLine, RequestPayment


class PaymentInput(Input, frozen=True):
    """Fetch ``amount`` now, once per ``reference``. A user need not name the payer: it is the user.

    ``method`` is the payment processor's token of a means of payment, used for this payment alone; the stored one when
    empty. It is never a card number.
    """

    amount: Amount
    currency: Currency
    reference: Name
    payer: Text = ""
    method: Text = ""

    def __repr__(self) -> str:
        return f"PaymentInput({self.amount} {self.currency})"  # a token has no place in a log


class PaymentAnswer(msgspec.Struct, frozen=True):
    """A payment that is wanted; how it stands is asked for by its id. Value is in when it has succeeded, not before."""

    id: str
    account: str
    amount: str
    currency: str
    requested: str


class PaymentView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A payment as it stands since ``at``: created, sent, unknown, succeeded or failed.

    ``cause`` is what it is for, ``tries`` how often it was sent, always as the same payment; ``reference`` is the
    processor's name for it, ``reason`` why it failed or is not known, ``late`` when that had lasted too long.
    """

    id: str
    account: str
    amount: str
    currency: str
    requested: str
    state: str
    at: str
    cause: str
    tries: int = 0
    reference: str = ""
    reason: str = ""
    late: str = ""


class PaymentPage(msgspec.Struct, frozen=True):
    """Payments of an account, newest first; ``next`` leads to the following page."""

    data: tuple[PaymentView, ...]
    next: str = ""


def pay(call: Call) -> list[object]:
    """Ask for a payment; a user only for its own.

    Raises:
        Refused: NOT_FOUND for another payer.
    """
    given: PaymentInput = call.given
    payer = given.payer
    if call.caller.role is AccessRole.USER:
        if payer not in ("", call.caller.party):
            raise nothing()
        payer = call.caller.party
    return [RequestPayment(payer, given.amount, given.currency, given.reference, given.method)]


def pay_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> PaymentAnswer:
    """What of a payment never changes, so that a repeated request gets the same answer."""
    outcome = outcomes[0]
    if outcome.refusal is not None:
        raise Refused(outcome.refusal)
    line = find_payment(engine, outcome.id)
    return PaymentAnswer(line.id, line.account, line.amount, line.asset.partition("/")[0], line.requested)


def payment(engine: Engine, call: Call) -> PaymentView:
    """One payment.

    Raises:
        Refused: NOT_FOUND, also when it is another's.
    """
    line = find_payment(engine, call.id)
    if not Sight(engine, call.caller).may_see(line.account):
        raise nothing()
    return payment_view(line)


def payments(engine: Engine, call: Call) -> PaymentPage:
    """Payments of an account.

    Raises:
        Refused: NOT_FOUND, also when the account is another's.
    """
    account, query = Sight(engine, call.caller).account(call.id), call.query
    assert isinstance(query, PageQuery)
    shown: list[PaymentLine] = []
    id = _newest(engine, account.id)
    if query.after:
        before = find_payment(engine, query.after)
        if before.account != account.id:
            raise nothing()
        id = before.previous
    while id and len(shown) < query.limit:
        shown.append(find_payment(engine, id))
        id = shown[-1].previous
    return PaymentPage(tuple(payment_view(line) for line in shown), shown[-1].id if id else "")


def _newest(engine: Engine, account: str) -> str:
    id = number_id("paid", read_number(account))
    found = engine.store.courses(engine.tenant, [id]).get(id)
    return msgspec.json.decode(found.line, type=PaidLine).last if found is not None else ""


def payment_view(line: PaymentLine) -> PaymentView:
    """A payment as its owner sees it."""
    return PaymentView(
        line.id, line.account, line.amount, line.asset.partition("/")[0], line.requested, line.state, line.at,
        line.cause, line.tries, line.reference, line.reason, line.late,
    )  # fmt: skip
