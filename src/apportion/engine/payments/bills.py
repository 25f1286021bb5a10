"""Charging a statement: what is open of it is fetched by a payment, one attempt after another until it is paid.

Value that comes in after a statement pays it first, so what is open is its due less everything that came in since or
was given back, and less what is disputed.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from apportion.engine.credit.line import DISPUTED
from apportion.engine.credit.trails import CAME_IN, came_by
from apportion.engine.payments.clearing import RECEIPT, record_of
from apportion.engine.payments.decision import minor_unit, order, payment_id, payment_of
from apportion.engine.work import Work
from apportion.errors import RefusalCode, refuse
from apportion.model.account import Account
from apportion.model.card import PayStatement, ReceiptLine
from apportion.model.command import Outcome
from apportion.model.ids import read_number
from apportion.model.journal import Entry
from apportion.model.payment import LIVE, PaymentState, check_method
from apportion.money import Asset, Money
from apportion.money.rounding import Rounding, nearest

_ENTRY = msgspec.json.Decoder(Entry)
ATTEMPTS = 100


def came_in(bodies: Iterable[bytes], account: str, asset: Asset) -> int:
    """The atoms that came in on an account (went back, below zero) by the entries of these rows."""
    mark, atoms = b'"account":"' + account.encode() + b'"', 0
    for body in bodies:
        if mark not in body:
            continue
        for line in body.split(b"\n"):
            if line.startswith(b'{"type":"entry"') and mark in line:
                entry = _ENTRY.decode(line)
                if entry.kind in CAME_IN:
                    legs = [Money.parse(leg.amount, asset).atoms for leg in entry.legs if leg.account == account]
                    atoms += sum(came_by(entry.kind, leg) for leg in legs)
    return atoms


def _theirs(work: Work, command: PayStatement, account: Account, asset: Asset) -> int:
    """The atoms that payments of the statements beside it brought, each of which asks for its own part."""
    atoms = 0
    for statement in command.beside:
        for attempt in range(1, ATTEMPTS):
            known = payment_of(work, payment_id(work, account, cause_of(statement, attempt)))
            if known is None:
                break
            if known.state == PaymentState.SUCCEEDED.value:
                receipt = record_of(work, RECEIPT + known.id[4:])
                went = receipt.back if isinstance(receipt, ReceiptLine) else "0"
                atoms += Money.parse(known.amount, asset).atoms - Money.parse(went, asset).atoms
    return atoms


def cause_of(statement: str, attempt: int) -> str:
    """What the payment of an attempt is made for."""
    return statement if attempt == 1 else f"{statement}/{attempt}"


def pay(work: Work, command: PayStatement) -> Outcome:
    """Make the payment of a statement: the one that is under way, or the next attempt.

    Raises:
        Refused: CONFLICT when nothing is open, or another payment is under way; as ``order``.
    """
    if command.method:
        check_method(command.method)
    account = work.numbered(read_number(command.account))
    asset = work.asset_of(account)
    for attempt in range(1, ATTEMPTS):
        cause = cause_of(command.statement, attempt)
        known = payment_of(work, payment_id(work, account, cause))
        if known is None:
            break
        if known.state in LIVE:
            return Outcome(None, known.id)
    else:
        raise refuse(RefusalCode.CONFLICT, f"{command.statement} was tried {ATTEMPTS} times.", field="id")
    if command.attempt and attempt > command.attempt:
        raise refuse(RefusalCode.CONFLICT, f"{command.statement} was tried {attempt - 1} times already.", field="id")
    stored = work.head[0] - len(work.writes.journal)
    fresh = [work.row(n) for n in range(command.upto + 1, stored + 1)] + [body for _, body, _ in work.writes.journal]
    came = command.came + came_in(fresh, account.public, asset) - _theirs(work, command, account, asset)
    disputed = work.total(account.id, DISPUTED).num  # while a case is open, nobody asks for what it is about
    still = Money.parse(command.due, asset).atoms - came - disputed
    atoms = nearest(max(0, still), minor_unit(asset), Rounding.UP) * minor_unit(asset)
    if not atoms:
        fix = "Wait until the case is decided." if disputed else "It is paid already."
        raise refuse(RefusalCode.CONFLICT, "nothing is open of this statement.", field="id", fix=fix)
    return Outcome(None, order(work, account, atoms, cause, command.method).id)
