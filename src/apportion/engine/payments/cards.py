"""Saved cards on the working set: where a payer was asked for one, and that it is there. Never a number, only a token.

The token, the hosted page's address and what may be shown of the card are personal rows under the card's own key; the
books hold that a card was asked for, saved or removed, and the keyed hash of its token.
"""

from __future__ import annotations

from msgspec.structs import replace

from apportion.engine.funding.purse import funding_of, move_funding
from apportion.engine.payments.clearing import CARD, record_of
from apportion.engine.payments.decision import METHOD
from apportion.engine.work import Work
from apportion.errors import RefusalCode, refuse
from apportion.ledger import proof
from apportion.model.card import AskCard, CardLine, EndCard
from apportion.model.command import Outcome
from apportion.model.funding import FundingLine
from apportion.model.ids import number_id, read_key, read_number
from apportion.model.payment import check_method, holds_card_number, spoken
from apportion.ports import Person

DETAILS = "card"  # the personal row that says where a card is asked for, and later what may be shown of it
ASKED, SAVED, FAILED, REMOVED = "asked", "saved", "failed", "removed"


def ask(work: Work, command: AskCard) -> Outcome:
    """Note that a payer was asked for a card; once per id."""
    known = record_of(work, command.id)
    if known is not None:
        return Outcome(None, command.id)
    account = work.numbered(command.account)
    _known(work, account.party)
    line = CardLine(
        id=command.id, due=command.due, n=1, account=account.public, processor=command.processor, state=ASKED,
        at=work.at, requested=work.at,
    )  # fmt: skip
    work.writes.people.append(Person(account.party, DETAILS, command.details, read_key(command.id)))
    work.append(work.move(line))
    return Outcome(None, line.id)


def end(work: Work, command: EndCard) -> Outcome:
    """Note what became of it; a card that is saved pays from now on.

    Raises:
        Refused: NOT_FOUND; CONFLICT when that is known already.
    """
    line = record_of(work, command.id) if command.id.startswith(CARD) else None
    if not isinstance(line, CardLine):
        raise refuse(RefusalCode.NOT_FOUND, "there is no such card.", field="id")
    removed = command.outcome == REMOVED
    if line.state == REMOVED and removed:
        return Outcome(None, line.id)
    if line.state != ASKED and not (removed and line.state == SAVED):
        raise refuse(RefusalCode.CONFLICT, f"{line.id} is {line.state}.", field="id")
    if command.outcome == "pending":
        if line.n != command.n:
            raise refuse(RefusalCode.CONFLICT, f"{line.id} has moved on.", field="n")
        still = replace(
            line, n=line.n + 1, at=work.at, asked=line.asked + 1, due=command.due, reason=spoken(command.reason)
        )
        work.append(work.move(still))
        return Outcome(None, line.id)
    account = work.numbered(read_number(line.account))
    key, mac = read_key(line.id), ""
    _known(work, account.party)
    if command.outcome == SAVED:
        check_method(command.token)
        mac = proof.personal_mac(work.salts_of(account.party), command.token)
    people = work.writes.people
    people.append(Person(account.party, METHOD, command.token, key))
    details = "" if holds_card_number(command.details) else command.details
    people.append(Person(account.party, DETAILS, details, key))
    ended = replace(
        line, n=line.n + 1, at=work.at, due="", state=command.outcome, reason=spoken(command.reason), mac=mac
    )
    lines = [work.move(ended)]
    stands = funding_of(work, account.id)
    funding = stands or FundingLine(id=number_id("fund", account.id), account=account.public, at=work.at)
    if command.outcome == SAVED:
        lines.append(move_funding(work, replace(funding, at=work.at, card=line.id)))
    elif funding.card == line.id:
        lines.append(move_funding(work, replace(funding, at=work.at, card="")))
    work.append(*lines)
    return Outcome(None, line.id)


def _known(work: Work, party: int) -> None:
    """Nothing personal is written of somebody who was forgotten."""
    try:
        work.salts_of(party)
    except KeyError:
        raise refuse(RefusalCode.NOT_FOUND, "the payer was forgotten.", field="payer") from None
