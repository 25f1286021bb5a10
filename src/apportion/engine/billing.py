"""Statements and remittance advices: issued once per account, period and kind, kept for ever, found again by number."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from blake3 import blake3

from apportion.engine.credit.line import due_of, statement_lines
from apportion.engine.engine import Engine
from apportion.engine.funding.purse import BUCKET
from apportion.engine.unbilled import Party, Unbilled, settle_loose
from apportion.engine.work import Work, encode
from apportion.errors import RefusalCode, refuse
from apportion.ledger import proof
from apportion.ledger.booking import Movement, book, merge
from apportion.model.account import Role
from apportion.model.calendar import Period
from apportion.model.catalog import Catalog
from apportion.model.ids import key_id, number_id, read_key
from apportion.model.journal import Genesis, StatementLine
from apportion.model.statement import Document, Remittance, Seal, Statement
from apportion.money import Exact
from apportion.stages.statement import (
    Heading,
    PayerTally,
    ProviderTally,
    atoms_of,
    compose_remittance,
    compose_statement,
)

STATEMENT, REMITTANCE = "statement", "remittance"
_INITIALS = {STATEMENT: "S", REMITTANCE: "R"}
_GROUP = 200
_TURN = 2000  # the most that is issued in one turn, while other nodes wait
_MARK = b'{"type":"statement"'


def issue(engine: Engine, period: str | None = None, who: str | None = None) -> list[Document]:
    """The statements and remittance advices of ``period``, made now where there is none yet.

    Without ``period`` those of every period that has ended; periods before a named one come first when they have
    none. ``who`` is an account id, a payer's or a provider's name. What was issued before comes back as it was.

    Raises:
        Refused: PERIOD_OPEN when all that is asked for has not ended, or has running totals that are not closed;
            NOT_FOUND when nobody is called ``who``.
    """
    writer, full = engine.writer, True
    while full:
        parties, issuing = writer.repeated(lambda: _issue(engine, period, who))
        full = issuing.full
    found = [line for party in parties for line in party.issued if period is None or line.period == period]
    if not found and issuing.waiting:
        raise refuse(RefusalCode.PERIOD_OPEN, issuing.waiting, field="period", fix="Close it: apportion close PERIOD.")
    return [document(engine, line) for line in found if engine.store.document(engine.tenant, line.id)]


def _issue(engine: Engine, period: str | None, who: str | None) -> tuple[list[Party], Issuing]:
    """Issue what is due; where others write too, all in one turn, so that what is counted is what is there."""
    issuing = Issuing(engine)
    try:
        terms = engine.terms()
        unbilled = Unbilled(engine.store, engine.tenant, terms, engine.books.assets)
        parties = [p for p in unbilled.parties.values() if who is None or who in (p.account.public, p.owner)]
        if not parties and who is not None:
            raise refuse(RefusalCode.NOT_FOUND, f"there is no account or party {who[:60]!r}.", field="who")
        for party in parties:
            issuing.party(party, period, terms.catalog)
        issuing.land()
    finally:
        assert engine.committer is not None
        engine.committer.release()
    return parties, issuing


class Issuing:
    """Documents on their way into the books, some hundred in one transaction; ``full``: there may be more.

    With a working set and the id of its ``settlement`` they are advices that go with that.
    """

    def __init__(self, engine: Engine, work: Work | None = None, settlement: str = "") -> None:
        self._engine = engine
        self._alone = engine.store.alone
        self._settlement = settlement
        self._work: Work | None = work
        if work is None and not self._alone:
            self._work = engine.writer.work()
        self._seal: Seal | None = None
        self._now = engine.clock.now()
        self._closed = engine.store.closed_periods(engine.tenant)
        self._numbers = {kind: int(engine.store.fact(engine.tenant, f"number:{kind}") or 0) for kind in _INITIALS}
        self._count = 0
        self.waiting, self.full = "", False

    def party(self, party: Party, period: str | None, catalog: Catalog) -> None:
        """Issue what is due for one account, oldest period first."""
        if self.full or (period is not None and any(line.period == period for line in party.issued)):
            return
        self._issuer = catalog.name or self._engine.tenant_name
        self._payers, self._providers = catalog.payers, catalog.providers
        ended = datetime.fromisoformat(self._now)
        due = sorted((span for span, _ in party.open.values()), key=lambda span: span.start)
        wanted = next((span.start for span in due if span.key == period), None)
        for span in due:
            if period is not None and (wanted is None or span.start > wanted):
                return
            tally = party.open[span.key][1]
            if span.end > ended:
                self.waiting = f"{span.key} has not ended yet."
                return
            if getattr(tally, "running", False) and (span.key, party.account.id) not in self._closed:
                self.waiting = f"{span.key} has running totals that are not closed yet."
                return
            settle_loose(party, tally)
            if self._issue(party, span, tally):
                return

    def goes_with(self, settlement: str) -> None:
        """The advices from now on go with this settlement."""
        self._settlement = settlement

    def advise(self, party: Party, tally: ProviderTally, span: Period, catalog: Catalog) -> None:
        """Issue the advice of a settlement for one provider; ``note_numbers`` must follow after the last."""
        self._issuer = catalog.name or self._engine.tenant_name
        self._payers, self._providers = catalog.payers, catalog.providers
        settle_loose(party, tally)
        self._issue(party, span, tally)

    def note_numbers(self) -> None:
        """Remember which numbers were given."""
        assert self._work is not None
        self._work.writes.facts += [(f"number:{kind}", str(count)) for kind, count in self._numbers.items()]

    def _issue(self, party: Party, span: Period, tally: PayerTally | ProviderTally) -> bool:
        """Issue one document; whether that was the last one of this turn."""
        kind = STATEMENT if isinstance(tally, PayerTally) else REMITTANCE
        work = self._work = self._work or self._engine.writer.work()
        if self._seal is None:
            self._seal = self._signed(work)
        self._numbers[kind] += 1
        key = document_key(party.account.public, span.key, kind)
        heading = self._heading(party, span, kind, key_id("stm", key), self._seal)
        lines: list[bytes] = []
        made: Document
        if isinstance(tally, PayerTally):
            stated = compose_statement(heading, tally)
            made, payments = stated.statement, stated.statement.payments
            made = msgspec.structs.replace(made, pay_by=due_of(work, party.account.id, made.at))
            lines += self._rounding(work, party, heading.id, stated.tax_moved)
        else:
            invented = party.owner in self._providers and self._providers[party.owner].invented
            made = compose_remittance(heading, tally, made_up=invented, settlement=self._settlement)
            payments = made.paid or "0"
        body = encode(made)
        line = self._line(party, span, made, payments, blake3(body).hexdigest())
        beside = statement_lines(work, line) if kind == STATEMENT else ()
        work.record(key, "done", blake3(body).digest(8), encode(line), *lines, *beside)
        work.writes.documents.append((heading.id, party.account.party, body))
        party.cover(line)
        self._count += 1
        if not self._settlement and self._count % (_GROUP if self._alone else _TURN) == 0:
            self.full = not self._alone
            self.land()
        return self.full

    def _heading(self, party: Party, span: Period, kind: str, id: str, seal: Seal) -> Heading:
        account, last = party.account, party.last
        before = (0, 0)
        if last is not None:
            before = (atoms_of(last.closing, party.asset), atoms_of(last.residue_out, party.asset))
        known = self._payers.get(party.owner) if account.party else self._providers.get(party.owner)
        return Heading(
            id,
            f"{_INITIALS[kind]}-{self._numbers[kind]:06}",
            account.public,
            number_id("pty", account.party) if account.party else party.owner,
            (known.name if known is not None else "") or party.owner or f"(forgotten {account.public})",
            self._issuer,
            span.key,
            _instant(span.start),
            _instant(span.end),
            party.calendar.zone,
            self._now,
            seal,
            before,
        )

    def _line(self, party: Party, span: Period, made: Document, payments: str, digest: str) -> StatementLine:
        kind, charges = (STATEMENT, made.charges) if isinstance(made, Statement) else (REMITTANCE, made.credited)
        due = made.pay_by if isinstance(made, Statement) else ""
        return StatementLine(
            made.id, made.number, made.account, made.party, kind, made.period, made.at, str(party.asset), made.opening,
            charges, payments, made.closing, made.total, made.residue_in, made.residue_out, digest,
            _instant(span.start), _instant(span.end), due, _stocked(made), self._settlement,
        )  # fmt: skip

    def _rounding(
        self, work: Work, party: Party, cause: str, moved: tuple[tuple[tuple[str, str], int], ...]
    ) -> list[bytes]:
        """Tax is owed as it was stated: what it differs from the booked legs moves against the rounding account."""
        asset = party.asset
        movements: list[Movement] = []
        for (name, rate), atoms in moved:
            movements.append((work.account(Role.TAX, f"{name}@{rate}", asset), atoms))
            movements.append((work.account(Role.ROUNDING, "statements", asset), -atoms))
        movements = merge(movements)
        if not movements:
            return []
        for account, _ in movements:
            work.touch(account)
        entry = book("ent" + cause[3:], cause, "rounding", work.at, (str(asset), asset.scale), movements)
        return [encode(entry)]

    def _signed(self, work: Work) -> Seal:
        """Sign the books as they stand; the seal that documents issued now will show."""
        mark = self._engine.writer.sign(work)
        genesis = msgspec.json.decode(self._engine.store.row(self._engine.tenant, 0, 1).split(b"\n")[0], type=Genesis)
        return Seal(mark.n, mark.head, mark.at, mark.signature, genesis.key)

    def land(self) -> None:
        """Make what was issued so far durable."""
        if self._work is not None and self._count:
            self.note_numbers()
            self._engine.writer.land(self._work)
            self._work = None


def _stocked(made: Document) -> str:
    """What of a statement's payments came out of buckets."""
    paid = Exact(0)
    for received in made.received if isinstance(made, Statement) else ():
        if received.kind == BUCKET:
            paid += Exact.parse(received.amount)
    return paid.text()


def document_key(account: str, period: str, kind: str) -> bytes:
    """The key under which the books remember a document: one per account, period and kind, for ever."""
    return proof.record_key(kind, f"{account}\x00{period}")


def listing(engine: Engine, who: str | None = None) -> list[StatementLine]:
    """All documents issued so far, oldest first, or those of one account id, payer or provider.

    Raises:
        Refused: NOT_FOUND when nobody is called ``who``.
    """
    account = engine.books.find_account(who).id if who else ""
    return [line for line in _lines(engine) if not account or line.account == account]


def find(engine: Engine, name: str) -> Document:
    """One document by its id (``stm_…``) or number (``S-000001``, ``R-000001``).

    Raises:
        Refused: NOT_FOUND, also when the person was forgotten and the document with them.
    """
    line = None
    if name.startswith("stm_"):
        key = read_key(name)
        seen = engine.store.seen(engine.tenant, [key]).get(key)
        body = engine.store.row(engine.tenant, 0, seen.n) if seen is not None else b""
        line = next(iter(_decoded(body)), None)
    else:
        line = next((found for found in _lines(engine) if found.number == name), None)
    if line is None:
        raise refuse(RefusalCode.NOT_FOUND, f"there is no statement {name[:40]!r}.", field="id", fix="List them first.")
    return document(engine, line)


def document(engine: Engine, line: StatementLine) -> Document:
    """The document behind a line of the books.

    Raises:
        Refused: NOT_FOUND when it was deleted, because the person was forgotten.
    """
    body = engine.store.document(engine.tenant, line.id)
    if not body:
        raise refuse(RefusalCode.NOT_FOUND, f"{line.number} was deleted when its party was forgotten.", field="id")
    assert blake3(body).hexdigest() == line.digest, f"the document of {line.number} is not the one issued"
    return msgspec.json.decode(body, type=Statement | Remittance)


def _lines(engine: Engine) -> Iterator[StatementLine]:
    store, tenant = engine.store, engine.tenant
    for _, body, _ in store.journal(tenant, 0, 0, store.head(tenant, 0)[0]):
        if body.startswith(_MARK):
            yield from _decoded(body)


def _decoded(body: bytes) -> Iterator[StatementLine]:
    for line in body.split(b"\n"):
        if line.startswith(_MARK):
            yield msgspec.json.decode(line, type=StatementLine)


def _instant(when: datetime) -> str:
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


__all__ = ["Issuing", "document", "find", "issue", "listing"]
