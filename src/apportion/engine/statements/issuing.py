"""Documents on their way into the books: some hundred in one transaction, each once, with all that belongs to it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec
from blake3 import blake3

from apportion.engine.credit.line import due_of, statement_lines
from apportion.engine.engine import Engine
from apportion.engine.funding.purse import BUCKET
from apportion.engine.sessions.waiters import wake
from apportion.engine.statements.composing import CREDIT_NOTE, REMITTANCE, STATEMENT, About, Composed, Composer
from apportion.engine.statements.sending import letter
from apportion.engine.statements.wishes import Wishes
from apportion.engine.unbilled import COVERS, TAKE_OVER, Party
from apportion.engine.work import Work, encode
from apportion.ledger import proof
from apportion.ledger.booking import Movement, book, merge
from apportion.model.account import Role
from apportion.model.calendar import Period
from apportion.model.ids import key_id, read_number
from apportion.model.journal import Genesis, StatementLine
from apportion.model.statement import CreditNote, Document, Remittance, Seal, Statement
from apportion.money import Exact
from apportion.money.exact import decimal_text
from apportion.stages.statement import PayerTally, ProviderTally

INITIALS = {STATEMENT: "S", REMITTANCE: "R", CREDIT_NOTE: "C"}
_GROUP = 200
_TURN = 2000  # the most that is issued in one turn, while other nodes wait


class Issuing:
    """Documents on their way into the books, some hundred in one transaction; ``full``: there may be more.

    With a working set and the id of its ``settlement`` they are advices that go with that. Periods are over ``lag``
    after their end.
    """

    def __init__(
        self,
        engine: Engine,
        wishes: Wishes,
        work: Work | None = None,
        settlement: str = "",
        *,
        lag: timedelta = timedelta(),
    ) -> None:
        self._engine = engine
        self._alone = engine.store.alone
        self._settlement = settlement
        self._work: Work | None = work
        if work is None and not self._alone:
            self._work = engine.writer.work()
        self._seal: Seal | None = None
        self._now = engine.clock.now()
        self._ended = datetime.fromisoformat(self._now) - lag
        self._closed = engine.store.closed_periods(engine.tenant)
        self._numbers = {kind: int(engine.store.fact(engine.tenant, f"number:{kind}") or 0) for kind in INITIALS}
        self._composer = Composer(wishes, self._next, self._sealed, self._now)
        self._wishes = wishes
        self._count = self._held = 0
        self.waiting, self.full = "", False

    def party(self, party: Party, period: str | None) -> None:
        """Issue what is due for one account, oldest period first; what a department used, with its parent's."""
        issued = any(line.period == period and not line.covers for line in party.issued)
        if self.full or party.parent or (period is not None and issued):
            return
        for span in due_of_party(party, period):
            why = waits(party, span, self._ended, self._closed)
            if why:
                self.waiting = why
                return
            kind = STATEMENT if party.account.role is Role.PAYER else REMITTANCE
            if self.issue(party, About(kind, span)):
                return

    def issue(self, party: Party, about: About) -> bool:
        """Issue the documents of one party about one thing; whether that was the last of this turn."""
        self._begun()
        self._sealed()
        for one in self._composer.documents(party, about):
            self._put(party, about, one)
            self._count += 1
        self._held += 1
        if self._held >= (_GROUP if self._alone else _TURN):
            self.full = not self._alone
            self.land()
        return self.full

    def goes_with(self, settlement: str) -> None:
        """The advices from now on go with this settlement."""
        self._settlement = settlement

    def advise(self, party: Party, tally: ProviderTally, span: Period) -> None:
        """Issue the advice of a settlement for one provider; ``note_numbers`` must follow after the last."""
        self._begun()
        self._sealed()
        about = About(REMITTANCE, span, settlement=self._settlement)
        self._put(party, about, self._composer.advice(party, about, tally))

    def note_numbers(self) -> None:
        """Remember which numbers were given."""
        self._begun().writes.facts += [(f"number:{kind}", str(count)) for kind, count in self._numbers.items()]

    def _put(self, party: Party, about: About, one: Composed) -> None:
        work, document = self._begun(), one.document
        lines: list[bytes] = []
        if isinstance(document, Statement):
            if about.kind == STATEMENT:
                document = msgspec.structs.replace(document, pay_by=due_of(work, party.account.id, document.at))
            lines += self._rounding(work, party, document.id, one.tax_moved)
        body = encode(document)
        line = self._line(party, about, one, document, blake3(body).hexdigest())
        taken: list[tuple[bytes, bytes]] = self._take_over(work, party, one) if one.taken else []
        lines += [entry for _, entry in taken]
        if isinstance(document, Statement):
            lines += statement_lines(work, line)
            lines += letter(work, line, self._wishes.email(party.owner))
        work.record(one.key, "done", blake3(body).digest(8), encode(line), *lines)
        for key in filter(None, (key for key, _ in taken)):
            work.remember(key, "done", b"", work.head[0])
        work.writes.documents.append((document.id, party.account.party, body))
        if about.covers:
            work.writes.facts.append((COVERS, "1"))
        party.cover(line)

    def _line(self, party: Party, about: About, one: Composed, made: Document, digest: str) -> StatementLine:
        line = StatementLine(
            made.id, made.number, made.account, made.party, about.kind, made.period, made.at, str(party.asset),
            made.opening, "", "0", made.closing, made.total, made.residue_in, made.residue_out, digest, made.start,
            made.end, provider=one.provider, covers=about.covers, more=one.more or bool(about.covers),
        )  # fmt: skip
        if isinstance(made, Remittance):
            return msgspec.structs.replace(
                line, charges=made.credited, payments=made.paid or "0", settlement=about.settlement
            )
        taken = decimal_text(sum(atoms for _, atoms in one.taken), party.asset.scale) if one.taken else "0"
        return msgspec.structs.replace(
            line, charges=made.charges, payments=made.payments, due=made.pay_by, stocked=_stocked(made), taken=taken,
            children=tuple(child.account.public for child, _ in one.taken),
            corrects=made.statement if isinstance(made, CreditNote) else "",
        )  # fmt: skip

    def _rounding(
        self, work: Work, party: Party, cause: str, moved: Iterable[tuple[tuple[str, str], int]]
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
        work.touch_all(movements)
        entry = book("ent" + cause[3:], cause, "rounding", work.at, (str(asset), asset.scale), movements)
        return [encode(entry)]

    def _take_over(self, work: Work, party: Party, one: Composed) -> list[tuple[bytes, bytes]]:
        """What its children were charged goes over to the account that pays: entries with their keys."""
        asset, found = party.asset, []
        for child, atoms in one.taken:
            if atoms:
                key = proof.record_key(TAKE_OVER, f"{one.document.id}\x00{child.account.public}")
                theirs = work.numbered(child.account.id)
                movements = [(theirs, atoms), (work.numbered(party.account.id), -atoms)]
                cause, about = one.document.id, (str(asset), asset.scale)
                entry = book(key_id("ent", key), cause, TAKE_OVER, work.at, about, movements, forced=True)
                work.touch_all(movements)
                found.append((key, encode(entry)))
                found += [(b"", line) for line in wake(work, theirs)]
        return found

    def _next(self, kind: str) -> str:
        """The next number of a series."""
        self._numbers[kind] += 1
        return f"{INITIALS[kind]}-{self._numbers[kind]:06}"

    def _begun(self) -> Work:
        if self._work is None:
            self._work = self._engine.writer.work()
        return self._work

    def _sealed(self) -> Seal:
        """Sign the books as they stand, once; the seal that documents issued now will show."""
        if self._seal is None:
            engine = self._engine
            mark = engine.writer.sign(self._begun())
            first = engine.store.row(engine.tenant, 0, 1).split(b"\n")[0]
            self._seal = Seal(mark.n, mark.head, mark.at, mark.signature, msgspec.json.decode(first, type=Genesis).key)
        return self._seal

    def land(self) -> None:
        """Make what was issued so far durable."""
        if self._work is not None and self._count:
            self.note_numbers()
            self._engine.writer.land(self._work)
            self._work = None
            self._held = 0


def waits(party: Party, span: Period, ended: datetime, closed: set[tuple[str, int]]) -> str:
    """Why a period's documents can not be made yet, in words; empty when they can. All before ``ended`` is over."""
    if span.end > ended:
        return f"{span.key} has not ended yet."
    if any(_runs(one, span, closed) for one in (party, *party.children)):
        return f"{span.key} has running totals that are not closed yet."
    return ""


def _runs(party: Party, span: Period, closed: set[tuple[str, int]]) -> bool:
    """Whether something on a period's documents counts in running totals of it, or of one before, yet to be closed.

    What counts in a later one does not wait: it was used late, before that one began.
    """
    tally = party.open[span.key][1] if span.key in party.open else None
    counted = tally.counted if isinstance(tally, PayerTally) else set()
    return any(key <= span.key and (key, read_number(payer)) not in closed for key, payer in counted)


def due_of_party(party: Party, period: str | None) -> list[Period]:
    """The periods that a party's documents are to be made for, oldest first, up to the one that is asked for."""
    spans = {span.key: span for one in (party, *party.children) for span, _ in one.open.values()}
    due = sorted(spans.values(), key=lambda span: span.start)
    if period is None:
        return due
    wanted = next((span.start for span in due if span.key == period), None)
    return [span for span in due if wanted is not None and span.start <= wanted]


def _stocked(made: Statement) -> str:
    """What of a statement's payments came out of buckets."""
    paid = Exact(0)
    for received in made.received:
        if received.kind == BUCKET:
            paid += Exact.parse(received.amount)
    return paid.text()
