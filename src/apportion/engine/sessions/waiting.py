"""Short of value: grace, the top-up offer, who is told when value comes in, and the way back.

A session waits on every account that could fund it; what brings value in wakes those who wait there (``waiters``).
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from apportion.engine.charging import instant
from apportion.engine.payments import decision as payments
from apportion.engine.sessions.bill import replace
from apportion.engine.sessions.contract import parsed
from apportion.engine.sessions.grant import lacking
from apportion.engine.sessions.row import Row
from apportion.engine.sessions.waiters import waiting_on
from apportion.engine.work import encode
from apportion.ledger import proof
from apportion.model.account import Account
from apportion.model.ids import key_id, number_id, read_key, read_number
from apportion.model.journal import CreditLine
from apportion.model.payment import PaymentState
from apportion.model.session import GraceLine, Offer, SessionState, WaitLine
from apportion.money import Money
from apportion.money.exact import decimal_text

_SURE = (PaymentState.CREATED.value, PaymentState.SENT.value)


def later(at: str, seconds: int) -> str:
    """An instant so many seconds after another."""
    return instant(parsed(at) + timedelta(seconds=seconds))


def fall(row: Row, places: list[int]) -> None:
    """Nothing is left for the meters at ``places``: grace or suspension, with an offer of what lets them go on."""
    session, line = row.contract.session, row.line
    if line.state in (SessionState.GRACE, SessionState.SUSPENDED):
        return
    offer_value(row, places)
    on_its_way = _fetch(row, places)
    if session.grace and (on_its_way or session.grace > 0):
        row.line = replace(
            row.line, state=SessionState.GRACE, event="grace", reason="no_value",
            until=later(row.work.at, session.grace),
        )  # fmt: skip
        if on_its_way:
            _lend(row)
    else:
        suspend(row, "no_value")


def suspend(row: Row, reason: str) -> None:
    """The parts stop; the session waits for value, or for a report, until its time is up."""
    session = row.contract.session
    seconds = session.offer if reason == "no_value" else session.validity
    row.line = replace(
        row.line, state=SessionState.SUSPENDED, event="suspended", reason=reason, until=later(row.work.at, seconds)
    )
    repay(row)


def offer_value(row: Row, places: list[int]) -> None:
    """Make the session's one live offer, and wait on every account that could fund it."""
    session, line, asset = row.contract.session, row.line, row.contract.asset
    least, needed = lacking(row, places)
    id = line.offer.id if line.offer is not None else key_id("off", proof.record_key(line.id, f"offer {line.n}"))
    until = later(row.work.at, session.validity + session.grace + session.offer)
    texts = decimal_text(max(least, 1), asset.scale), decimal_text(max(needed, least, 1), asset.scale)
    row.line = replace(line, offer=Offer(id, asset.code, *texts, until))
    for account in _funders(row):
        _enrol(row, account, enter=True)


def recover(row: Row) -> None:
    """Value is there again: the session goes on as if nothing had been, its offer is gone."""
    row.line = replace(row.line, state=SessionState.ACTIVE, event="resumed", reason="", until="", offer=None)
    forget(row)


def forget(row: Row) -> None:
    """Wait no longer on any account."""
    for account in _funders(row):
        _enrol(row, account, enter=False)
    repay(row)


def _funders(row: Row) -> list[int]:
    """The accounts that could fund the session: its payers' and their alternates'."""
    found: dict[int, None] = {}
    for payer in row.line.payers:
        if payer.pays and not payer.left:
            account = row.work.numbered(read_number(payer.account))
            found[account.id] = None
            funding = payments.funding_of(row.work, account)
            for source in funding.sources if funding is not None else ():
                found[read_number(source.account)] = None
    return list(found)


def _enrol(row: Row, account: int, *, enter: bool) -> None:
    work, id, session = row.work, number_id("wait", account), row.line.id
    line = work.course(id)
    known = waiting_on(line) if line else WaitLine(id=id, at="")
    sessions = tuple(s for s in known.sessions if s != session) + ((session,) if enter else ())
    if sessions != known.sessions:
        row.lines.append(work.move(replace(known, at=work.at, sessions=sessions, due=known.due if sessions else "")))


# ── while a payment is on its way ──


def _fetch(row: Row, places: list[int]) -> bool:
    """Ask for payments by the payers' own means; whether one is on its way whose outcome is not in doubt."""
    on_its_way = False
    for payer in row.line.payers:
        if payer.pays and not payer.left:
            account = row.work.numbered(read_number(payer.account))
            payment = payments.request(row.work, account, 0, row.line.id)
            on_its_way = on_its_way or (payment is not None and payment.state in _SURE)
    return on_its_way


def _lend(row: Row) -> None:
    """While a payment is on its way the payer may go on upon the policy's limit; one loan an account at a time."""
    limit = Money.parse(row.contract.session.grace_limit, row.contract.asset).atoms
    for payer in row.line.payers if limit > 0 else ():
        account = row.work.numbered(read_number(payer.account))
        id = number_id("grace", account.id)
        known = row.work.course(id)
        if not payer.pays or payer.left or (known and msgspec.json.decode(known, type=GraceLine).session):
            continue
        lent = row.contract.to_hold(payer, limit)
        _credit(row, account, lent)
        grace = GraceLine(id=id, at=row.work.at, account=account.public, session=row.line.id, limit=lent)
        row.lines.append(row.work.move(grace))


def repay(row: Row) -> None:
    """End what was lent to this session's payers: nothing new is held on it, what was drawn is the payer's debt."""
    for payer in row.line.payers:
        account = row.work.numbered(read_number(payer.account))
        line = row.work.course(number_id("grace", account.id))
        grace = msgspec.json.decode(line, type=GraceLine) if line else None
        if grace is not None and grace.session == row.line.id:
            _credit(row, account, -min(grace.limit, account.credit or 0))
            row.lines.append(row.work.move(replace(grace, at=row.work.at, session="")))


def _credit(row: Row, account: Account, atoms: int) -> None:
    account.credit = (account.credit or 0) + atoms
    row.work.touch(account)
    text = decimal_text(account.credit, row.work.asset_of(account).scale)
    row.lines.append(encode(CreditLine(account.public, row.work.at, text)))


def accept(row: Row, account: Account, amount: str) -> None:
    """Fetch value for the live offer by the payer's means of payment: once an offer, however often it is accepted.

    Raises:
        Refused: what payments refuse.
    """
    offer = row.line.offer
    assert offer is not None
    read_key(offer.id)
    payer = next(payer for payer in row.line.payers if payer.account == account.public)
    atoms = row.contract.to_hold(payer, Money.parse(amount or offer.needed, row.contract.asset).atoms)
    unit = payments.minor_unit(row.work.asset_of(account))
    payments.order(row.work, account, -(-atoms // unit) * unit, offer.id)
