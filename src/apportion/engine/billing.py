"""Statements and remittance advices: issued once per account, period and kind, kept for ever, found again by number."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

import msgspec
from blake3 import blake3

from apportion.engine.engine import Engine
from apportion.engine.statements.issuing import Issuing
from apportion.engine.statements.wishes import Wishes
from apportion.engine.unbilled import DOCUMENT, Party, Unbilled
from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.account import Role
from apportion.model.calendar import Period, period_named
from apportion.model.ids import read_key, read_number
from apportion.model.journal import StatementLine
from apportion.model.statement import CreditNote, Document, Remittance, Section, Statement


def issue(engine: Engine, period: str | None = None, who: str | None = None) -> list[Document]:
    """The statements and remittance advices of ``period``, made now where there is none yet.

    Without ``period`` those of every period that has ended; periods before a named one come first when they have
    none. ``who`` is an account id, a payer's or a provider's name. What was issued before comes back as it was.

    Raises:
        Refused: BAD_TIME when no calendar has such a period; PERIOD_OPEN when all that is asked for has not ended, or
            has running totals that are not closed;
            NOT_FOUND when nobody is called ``who``; CONFLICT when what ``who`` uses is on its parent's statement.
    """
    writer, full = engine.writer, True
    while full:
        parties, issuing = writer.repeated(lambda: _issue(engine, period, who))
        full = issuing.full
    issued = [line for party in parties for line in party.issued]
    found = [line for line in issued if period is None or (line.period == period and not line.covers)]
    if not found and issuing.waiting:
        fix = "Close it: apportion close PERIOD." if "totals" in issuing.waiting else "Ask for a preview."
        raise refuse(RefusalCode.PERIOD_OPEN, issuing.waiting, field="period", fix=fix)
    if not found and period is not None:
        _check_period(parties, period, engine.clock.now())
    return documents(engine, found)


def issue_due(engine: Engine, lag: timedelta, *, advices: bool = True) -> None:
    """Issue those of every period that was over ``lag`` ago; without ``advices`` for payers alone."""
    full = True
    while full:
        full = engine.writer.repeated(lambda: _issue(engine, None, None, lag, advices=advices))[1].full


def _check_period(parties: list[Party], period: str, now: str) -> None:
    """A period in which nothing was used must at least be one, and over."""
    spans: list[Period] = []
    wrong: Refused | None = None
    for calendar in {party.calendar for party in parties}:
        try:
            spans.append(period_named(calendar, period))
        except Refused as refused:
            wrong = refused
    if not spans and wrong is not None:
        raise wrong
    if spans and all(span.end > datetime.fromisoformat(now) for span in spans):
        raise refuse(RefusalCode.PERIOD_OPEN, f"{period} has not ended yet.", field="period", fix="Ask for a preview.")


def _issue(
    engine: Engine, period: str | None, who: str | None, lag: timedelta = timedelta(), *, advices: bool = True
) -> tuple[list[Party], Issuing]:
    """Issue what is due; where others write too, all in one turn, so that what is counted is what is there."""
    terms = engine.terms()
    wishes = Wishes(terms.catalog, engine.tenant_name)
    issuing = Issuing(engine, wishes, lag=lag)
    try:
        unbilled = Unbilled(engine.store, engine.tenant, terms, engine.books.assets, wishes=wishes)
        parties = [p for p in unbilled.parties.values() if who is None or who in (p.account.public, p.owner)]
        _check_named(unbilled, parties, who)
        for party in parties:
            if advices or party.account.role is Role.PAYER:
                issuing.party(party, period)
        issuing.land()
    finally:
        assert engine.committer is not None
        engine.committer.release()
    return parties, issuing


def _check_named(unbilled: Unbilled, parties: list[Party], who: str | None) -> None:
    if not parties and who is not None:
        raise refuse(RefusalCode.NOT_FOUND, f"there is no account or party {who[:60]!r}.", field="who")
    if who is not None and all(party.parent and not party.issued for party in parties):
        parent = unbilled.parties[parties[0].parent].owner
        raise refuse(
            RefusalCode.CONFLICT, f"what {who[:60]} uses is on the statement of {parent}.", field="who",
            fix=f"Ask for that of {parent}, or for a preview.",
        )  # fmt: skip


def listing(engine: Engine, who: str | None = None) -> list[StatementLine]:
    """All documents issued so far, oldest first, or those of one account id, payer or provider.

    Raises:
        Refused: NOT_FOUND when nobody is called ``who``.
    """
    account = engine.books.find_account(who).id if who else ""
    return [line for line in _lines(engine) if not account or line.account == account]


def find(engine: Engine, name: str) -> Document:
    """One document by its id (``stm_…``) or number (``S-000001``, ``R-000001``, ``C-000001``).

    Raises:
        Refused: NOT_FOUND, also when the person was forgotten and the document with them.
    """
    return document(engine, line_of(engine, name))


def line_of(engine: Engine, name: str) -> StatementLine:
    """What the books say of a document, by its id or number.

    Raises:
        Refused: NOT_FOUND.
    """
    line = None
    if name.startswith("stm_"):
        key = read_key(name)
        seen = engine.store.seen(engine.tenant, [key]).get(key)
        body = engine.store.row(engine.tenant, 0, seen.n) if seen is not None else b""
        line = next((found for found in _decoded(body) if found.id == name), None)
    else:
        line = next((found for found in _lines(engine) if found.number == name), None)
    if line is None:
        raise refuse(RefusalCode.NOT_FOUND, f"there is no statement {name[:40]!r}.", field="id", fix="List them first.")
    return line


def document(engine: Engine, line: StatementLine) -> Document:
    """The document behind a line of the books.

    Raises:
        Refused: NOT_FOUND when it was deleted, because the person was forgotten.
    """
    body = engine.store.document(engine.tenant, line.id)
    if not body:
        raise refuse(RefusalCode.NOT_FOUND, f"{line.number} was deleted when its party was forgotten.", field="id")
    assert blake3(body).hexdigest() == line.digest, f"the document of {line.number} is not the one issued"
    return named(engine, msgspec.json.decode(body, type=Statement | CreditNote | Remittance))


def documents(engine: Engine, lines: Collection[StatementLine]) -> list[Document]:
    """The documents behind lines of the books, without those that were deleted with a person."""
    return [document(engine, line) for line in lines if engine.store.document(engine.tenant, line.id)]


def named(engine: Engine, made: Document) -> Document:
    """A document with the names of those whose use is on it beside the payer's own, as far as they are known."""
    if not isinstance(made, Statement) or not any(section.account for section in made.sections):
        return made
    store, tenant = engine.store, engine.tenant
    numbers = {section.account: read_number(section.account) for section in made.sections if section.account}
    accounts = store.accounts(tenant, sorted(numbers.values()))
    handles = store.handles_of(tenant, sorted({account.party for account in accounts.values()}))

    def name(section: Section) -> Section:
        if not section.account:
            return section
        party = accounts[numbers[section.account]].party
        return msgspec.structs.replace(section, payer=handles.get(party, f"(forgotten {section.account})"))

    return msgspec.structs.replace(made, sections=tuple(name(section) for section in made.sections))


def _lines(engine: Engine) -> Iterator[StatementLine]:
    store, tenant = engine.store, engine.tenant
    for _, body, _ in store.journal(tenant, 0, 0, store.head(tenant, 0)[0]):
        if body.startswith(DOCUMENT):
            yield from _decoded(body)


def _decoded(body: bytes) -> Iterator[StatementLine]:
    for line in body.split(b"\n"):
        if line.startswith(DOCUMENT):
            yield msgspec.json.decode(line, type=StatementLine)


__all__ = ["document", "documents", "find", "issue", "issue_due", "line_of", "listing", "named"]
