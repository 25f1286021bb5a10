"""Documents beside the periods: the statement of one session, and the credit note for what is given back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from apportion.engine import billing
from apportion.engine.engine import Engine
from apportion.engine.statements.composing import CREDIT_NOTE, STATEMENT, About, instant
from apportion.engine.statements.issuing import Issuing
from apportion.engine.statements.wishes import Wishes
from apportion.engine.unbilled import Chosen, Party, Unbilled, settle_loose
from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.calendar import Calendar, Period, period_of
from apportion.model.ids import read_key
from apportion.model.journal import StatementLine
from apportion.model.session import SessionLine, SessionState
from apportion.model.statement import CreditNote, Document
from apportion.stages.statement import PayerTally

_SESSION = msgspec.json.Decoder(SessionLine)
CORRECTIONS_MAX = 1000


def session_line(engine: Engine, id: str) -> SessionLine:
    """A session as it stands.

    Raises:
        Refused: NOT_FOUND.
    """
    found = engine.store.courses(engine.tenant, [id]).get(id) if id.startswith("ses_") else None
    if found is None:
        raise refuse(RefusalCode.NOT_FOUND, f"there is no session {id[:60]!r}.", field="session")
    return _SESSION.decode(found.line)


def session_span(line: SessionLine) -> Period:
    """A session as the period that its statement is of."""
    return Period(line.id, datetime.fromisoformat(line.start), datetime.fromisoformat(max(line.through, line.start)))


def session_of(line: SessionLine) -> tuple[About, Chosen, list[str]]:
    """What the statement of a session is about, what it counts, and whose accounts it is for."""
    span = session_span(line)
    about = About(STATEMENT, span, (line.id,), {"session": line.id})
    return about, Chosen(span, frozenset((line.id,)), receipts=True), [payer.account for payer in line.payers]


def issue_session(engine: Engine, session: str, who: str | None = None) -> list[Document]:
    """The statements of a session that has ended, one for each payer (or for ``who``), made now where there is none.

    Raises:
        Refused: NOT_FOUND; PERIOD_OPEN while it runs; CONFLICT when it was on another statement already.
    """
    line = session_line(engine, session)
    if line.state is not SessionState.CLOSED:
        raise refuse(
            RefusalCode.PERIOD_OPEN,
            f"{session} has not ended yet.",
            field="session",
            fix="End it, or ask for a preview.",
        )
    about, chosen, accounts = session_of(line)
    owners = engine.books.owners()
    accounts = [account for account in accounts if who in (None, account, owners.get(account))]
    if not accounts:
        raise refuse(RefusalCode.NOT_FOUND, f"{(who or '')[:60]!r} did not pay for {session}.", field="who")
    parties = engine.writer.repeated(lambda: _issue(engine, (about, chosen), accounts))
    found = [made for party in parties for made in party.issued if made.covers == about.covers]
    if not found and all(party.parent for party in parties):
        raise refuse(
            RefusalCode.CONFLICT, f"{session} is on the statement of who pays for its payer.", field="session",
            fix="Ask for that of the parent, or for a preview.",
        )  # fmt: skip
    if not found:
        fix = "List the statements of its payer."
        raise refuse(
            RefusalCode.CONFLICT, f"{session} is on a statement already, or cost nothing.", field="session", fix=fix
        )
    return billing.documents(engine, found)


def _issue(engine: Engine, what: tuple[About, Chosen], accounts: Iterable[str]) -> list[Party]:
    about, chosen = what
    terms = engine.terms()
    wishes = Wishes(terms.catalog, engine.tenant_name)
    issuing = Issuing(engine, wishes)
    try:
        unbilled = Unbilled(
            engine.store, engine.tenant, terms, engine.books.assets, wishes=wishes, only=tuple(accounts), chosen=chosen
        )
        parties = [unbilled.parties[account] for account in accounts]
        for party in parties:
            if about.kind == CREDIT_NOTE:
                _check_correction(unbilled, party, about)
            if chosen.period.key in party.open and not party.parent:
                issuing.issue(party, about)
        issuing.land()
    finally:
        assert engine.committer is not None
        engine.committer.release()
    return parties


def credit_note(engine: Engine, statement: str, charges: Sequence[str] = ()) -> CreditNote:
    """A credit note for what was given back of an issued statement after its issue, and is on no document yet.

    ``charges`` are the ids of what gives back (charges, or entries of the account); without any, all corrections of
    charges that are on the statement. It has a number of its own, and the statement stays as it is.

    Raises:
        Refused: NOT_FOUND when there is no such statement, or nothing to give back; BAD_AMOUNT when it all comes to
            more to pay; BAD_INPUT when it is no statement of a payer, or too much is named.
    """
    line = billing.line_of(engine, statement)
    if line.kind != STATEMENT:
        raise refuse(RefusalCode.BAD_INPUT, f"{line.number} is no statement of a payer.", field="id")
    if len(charges) > CORRECTIONS_MAX:
        raise refuse(RefusalCode.BAD_INPUT, f"at most {CORRECTIONS_MAX:,} at once.", field="charges")
    ids = tuple(dict.fromkeys(charges)) or tuple(_corrections(engine, line))
    if not ids:
        raise refuse(
            RefusalCode.NOT_FOUND, f"nothing of {line.number} was given back since.", field="id",
            fix="Name the refunds: charges.",
        )  # fmt: skip
    before = [made.id for made in _notes(engine, line) if set(ids) <= set(made.covers)]
    if before:
        return _note(engine, before[0])
    now = datetime.fromisoformat(engine.clock.now())
    span = Period(line.period, datetime.fromisoformat(line.start), max(now, datetime.fromisoformat(line.start)))
    about = About(CREDIT_NOTE, span, ids, {"corrects": line.number, "statement": line.id})
    parties = engine.writer.repeated(lambda: _issue(engine, (about, Chosen(span, frozenset(ids))), [line.account]))
    return _note(engine, parties[0].issued[-1].id)


def _check_correction(unbilled: Unbilled, party: Party, about: About) -> None:
    """A credit note gives something back, and all that it names is there and on no document yet."""
    missing = [id for id in about.covers if id not in unbilled.met]
    if missing:
        raise refuse(
            RefusalCode.NOT_FOUND, f"{missing[0][:60]!r} is not on this account, or on a document already.",
            field="charges", fix="List the account's charges.",
        )  # fmt: skip
    tally = party.tally(about.span)
    assert isinstance(tally, PayerTally)
    settle_loose(party, tally)
    if tally.charges >= 0:
        raise refuse(RefusalCode.BAD_AMOUNT, "it gives nothing back: all of it comes to more to pay.", field="charges")


def _notes(engine: Engine, line: StatementLine) -> list[StatementLine]:
    return [made for made in billing.listing(engine) if made.corrects == line.id]


def _note(engine: Engine, id: str) -> CreditNote:
    made = billing.find(engine, id)
    assert isinstance(made, CreditNote)
    return made


def _corrections(engine: Engine, line: StatementLine) -> list[str]:
    """Charges that give back of charges that a statement covers, by what they name as their origin."""
    lines = [made for made in billing.listing(engine) if made.account == line.account]
    taken = {id for made in lines for id in made.covers}
    calendar = _calendar(engine, line)
    found = []
    for record in engine.books.records():
        charge = record.charge
        whole = charge.origin == f"rerate {line.period}" and not line.covers  # a correction of its period
        if charge.id in taken or not (whole or charge.origin.startswith("chg_")):
            continue
        if any(line.account in (share.account, share.bearer) for share in charge.shares):
            if whole or _covering(engine, calendar, charge.origin, lines) == line.id:
                found.append(charge.id)
    return found[:CORRECTIONS_MAX]


def _calendar(engine: Engine, line: StatementLine) -> Calendar:
    return engine.terms().calendar(engine.books.owners().get(line.account, ""))


def _covering(engine: Engine, calendar: Calendar, charge: str, lines: Sequence[StatementLine]) -> str:
    """The id of the document that a charge stands on: the first after it that covers it, or ends its period."""
    try:
        record = engine.books.record(charge)
    except Refused:
        return ""
    ended = instant(period_of(calendar, datetime.fromisoformat(record.charge.at)).end)
    for made in lines:
        row = engine.store.seen(engine.tenant, [read_key(made.id)])[read_key(made.id)].n
        about = {charge, record.usage.source} & {*made.covers} if made.covers else made.end >= ended and not made.more
        if row > record.n and about:
            return made.id
    return ""
