"""Money that goes back, as callers see it: refunds, chargebacks with their evidence, receipts, clearing accounts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from apportion.engine import billing
from apportion.engine.engine import Engine
from apportion.engine.exchange import ChargeView, Input, Name, PageQuery
from apportion.engine.payments import deeds
from apportion.engine.payments.clearing import CHARGEBACK, RECEIPT, read_record
from apportion.engine.payments.door import PaymentView, payment_view
from apportion.engine.payments.words import find_payment
from apportion.engine.query import Record
from apportion.engine.verbs import Call
from apportion.engine.visible import Sight, nothing
from apportion.errors import Refused
from apportion.model.access import AccessRole, Credential
from apportion.model.card import ChargebackLine, ReceiptLine, RefundLine, RequestRefund
from apportion.model.command import Outcome
from apportion.model.ids import read_key
from apportion.model.journal import StatementLine
from apportion.model.statement import Statement

PACK = 1000  # so many charges an evidence pack shows at most


class RefundInput(Input, frozen=True):
    """Give ``amount`` of a payment back to its card, once per ``reference``; all that is left when it is empty."""

    reference: Name
    amount: str = ""


class RefundAnswer(msgspec.Struct, frozen=True):
    """A refund that is wanted; how it stands is asked for by its id. Its amount has left the payer's account."""

    id: str
    payment: str
    account: str
    amount: str
    currency: str
    requested: str


class RefundView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A refund as it stands since ``at``: created, sent, unknown, succeeded or failed (then the payer has it again)."""

    id: str
    payment: str
    account: str
    amount: str
    currency: str
    requested: str
    state: str
    at: str
    tries: int = 0
    reference: str = ""
    reason: str = ""
    late: str = ""


class ReceiptView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A payment as its processor holds it: ``back`` of ``amount`` went back, or is on its way."""

    payment: str
    account: str
    amount: str
    currency: str
    processor: str
    back: str
    refunds: tuple[str, ...] = ()
    chargebacks: tuple[str, ...] = ()
    payout: str = ""


class ChargebackView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A chargeback as it stands since ``at``: open, won or lost.

    Of ``amount`` the payer gave ``taken``; the platform bears the rest and the ``fee``.
    """

    id: str
    payment: str
    account: str
    amount: str
    taken: str
    fee: str
    currency: str
    state: str
    at: str
    opened: str
    reference: str
    reason: str = ""
    respond_by: str = ""


class ChargebackPage(msgspec.Struct, frozen=True):
    """Chargebacks; ``next`` leads to the following page."""

    data: tuple[ChargebackView, ...]
    next: str = ""


class Evidence(msgspec.Struct, frozen=True):
    """What answers a chargeback: the payment, the statement that it paid, and the charges behind it as the payer saw
    them. ``more`` charges than are shown stand in the books.
    """

    chargeback: ChargebackView
    payment: PaymentView
    payer: str
    statement: Statement | None
    charges: tuple[ChargeView, ...]
    more: int = 0


class ClearingAnswer(msgspec.Struct, frozen=True):
    """Every clearing account, with the records that its balance is made of."""

    data: tuple[deeds.Clearing, ...]


def refund(call: Call) -> list[object]:
    """Ask for a refund."""
    given: RefundInput = call.given
    return [RequestRefund(call.id, given.reference, given.amount)]


def refund_told(engine: Engine, call: Call, outcomes: Sequence[Outcome]) -> RefundAnswer:
    """What of a refund never changes."""
    outcome = outcomes[0]
    if outcome.refusal is not None:
        raise Refused(outcome.refusal)
    line: RefundLine = deeds.record(engine, outcome.id, RefundLine)
    currency = line.asset.partition("/")[0]
    return RefundAnswer(line.id, line.payment, line.account, line.amount, currency, line.requested)


def refund_of(engine: Engine, call: Call) -> RefundView:
    """One refund.

    Raises:
        Refused: NOT_FOUND, also when it is another's.
    """
    line: RefundLine = deeds.record(engine, call.id, RefundLine)
    _check(engine, call, line.account)
    return RefundView(
        line.id, line.payment, line.account, line.amount, line.asset.partition("/")[0], line.requested, line.state,
        line.at, line.tries, line.reference, line.reason, line.late,
    )  # fmt: skip


def receipt(engine: Engine, call: Call) -> ReceiptView:
    """A payment as its processor holds it.

    Raises:
        Refused: NOT_FOUND, also when it is another's, or did not succeed.
    """
    if not call.id.startswith("pay_"):
        raise nothing()
    line: ReceiptLine = deeds.record(engine, RECEIPT + call.id[4:], ReceiptLine)
    _check(engine, call, line.account)
    return ReceiptView(
        line.payment, line.account, line.amount, line.asset.partition("/")[0], line.processor, line.back,
        line.refunds, line.chargebacks, line.payout,
    )  # fmt: skip


def _check(engine: Engine, call: Call, account: str) -> None:
    if not Sight(engine, call.caller).may_see(account):
        raise nothing()


def chargeback_of(engine: Engine, call: Call) -> ChargebackView:
    """One chargeback.

    Raises:
        Refused: NOT_FOUND, also when it is another's.
    """
    line: ChargebackLine = deeds.record(engine, call.id, ChargebackLine)
    _check(engine, call, line.account)
    return _view(line)


def chargebacks(engine: Engine, call: Call) -> ChargebackPage:
    """All chargebacks, in the order of their ids."""
    query, shown = call.query, list[ChargebackView]()
    assert isinstance(query, PageQuery)
    after = query.after or CHARGEBACK
    for course in engine.store.all_courses(engine.tenant, after):
        line = read_record(course.line) if course.id.startswith(CHARGEBACK) else None
        if not isinstance(line, ChargebackLine):
            break
        if len(shown) == query.limit:
            return ChargebackPage(tuple(shown), shown[-1].id)
        shown.append(_view(line))
    return ChargebackPage(tuple(shown))


def _view(line: ChargebackLine) -> ChargebackView:
    return ChargebackView(
        line.id, line.payment, line.account, line.amount, line.taken, line.fee, line.asset.partition("/")[0],
        line.state, line.at, line.opened, line.reference, line.reason, line.respond_by,
    )  # fmt: skip


def clearing(engine: Engine, call: Call) -> ClearingAnswer:
    """Every clearing account."""
    return ClearingAnswer(deeds.clearing(engine))


def evidence(engine: Engine, call: Call) -> Evidence:
    """The pack that answers a chargeback: of a statement's payment that statement and its charges, else the charges
    that were made from the payment on.

    Raises:
        Refused: NOT_FOUND.
    """
    line: ChargebackLine = deeds.record(engine, call.id, ChargebackLine)
    paid = find_payment(engine, line.payment)
    owner = engine.books.owners().get(line.account, "")
    asked, after, upto = _paid_for(engine, paid.cause.partition("/")[0], line.account)
    found = billing.document(engine, asked) if asked is not None else None
    if asked is None:
        receipts = engine.store.seen(engine.tenant, [read_key(paid.id)])
        after, upto = next((seen.n for seen in receipts.values()), 0), engine.store.head(engine.tenant, 0)[0]
    sight = Sight(engine, Credential("", engine.tenant_name, AccessRole.USER, "", "", owner))
    charges = list(_charges(engine, line.account, after, upto))
    if asked is not None and asked.covers:
        charges = [one for one in charges if one.usage.source in asked.covers]
    statement = found if isinstance(found, Statement) else None
    return Evidence(
        _view(line), payment_view(paid), owner, statement, tuple(sight.charge_view(one) for one in charges[:PACK]),
        max(0, len(charges) - PACK),
    )  # fmt: skip


def _paid_for(engine: Engine, statement: str, account: str) -> tuple[StatementLine | None, int, int]:
    """The statement that a payment paid, and between which rows of the books its charges stand.

    That is from the last one of another period on; those of a session may stand anywhere before it.
    """
    lines = [line for line in billing.listing(engine) if line.account == account]
    asked = next((line for line in lines if line.id == statement), None)
    if asked is None:
        return None, 0, 0
    periods = [line for line in lines[: lines.index(asked)] if not line.covers and line.period != asked.period]
    before = periods[-1:] if not asked.covers else []
    keys = [read_key(line.id) for line in (*before, asked)]
    rows = engine.store.seen(engine.tenant, keys)
    return asked, rows[keys[0]].n if before else 0, rows[keys[-1]].n


def _charges(engine: Engine, account: str, after: int, upto: int) -> Iterator[Record]:
    for record in engine.books.records(after, upto):
        if any(account in (share.account, share.bearer) for share in record.charge.shares):
            yield record
