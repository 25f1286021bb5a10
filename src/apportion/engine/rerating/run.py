"""A run over booked charges, page by page: each page is judged and booked in one transaction of the writer.

Charges come first, by the rows that they stand in; then the closed periods in whose totals some of them count. A run
can be stopped anywhere and begun again: what was corrected stands right, so that it is left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from apportion.engine.correcting.decision import corrected_id
from apportion.engine.engine import Engine
from apportion.engine.query import Record
from apportion.engine.rerating.judging import Judge, Left, simply_left
from apportion.engine.rerating.page import CHARGE, Page, Range, records_of, selected
from apportion.engine.rerating.period_run import Place, reprice_periods
from apportion.engine.terms import Terms
from apportion.engine.work import Work
from apportion.errors import NotFound, RefusalCode, refuse
from apportion.model.ids import read_number

PAGE, ROWS = 200, 20_000  # charges that are judged, and rows that are looked at, in one transaction


class Cursor(msgspec.Struct, frozen=True):
    """Where a run goes on: behind the row ``after`` up to ``upto``; then behind a ``place`` among periods, if any.

    ``running`` says that some charge before counts in totals of a period.
    """

    upto: int
    after: int = 0
    running: bool = False
    place: Place | None = None

    def text(self) -> str:
        """As callers give it back."""
        head = f"{self.after}-{self.upto}{'r' if self.running else ''}"
        return head if self.place is None else f"{head}/{'/'.join(self.place)}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Out of text that has the pattern of one."""
        head, slash, place = text.partition("/")
        after, upto = head.rstrip("r").split("-")
        period, _, payer = place.partition("/")
        return cls(int(upto), int(after), head.endswith("r"), (period, payer) if slash else None)


def rerate(
    engine: Engine, wanted: Range, terms: Terms, cursor: Cursor, *, only_credits: bool, dry: bool
) -> tuple[Page, Cursor | None]:
    """Judge the next charges, or periods, of a run; what differs is booked, unless it is a ``dry`` run.

    Also where the next page goes on; None after the last.

    Raises:
        Refused: UNKNOWN_SERVICE when the ``terms`` have no such service.
    """
    terms.service(wanted.service)
    replace = msgspec.structs.replace
    if cursor.place is not None:
        page, last = reprice_periods(
            engine, wanted, terms, cursor.place, cursor.upto, only_credits=only_credits, dry=dry
        )
        return page, None if last is None else replace(cursor, place=last)
    records, reached = _records(engine, wanted, cursor)

    def fill(work: Work) -> Page:
        page = Page()
        judge = _judge(engine, work, terms, records, only_credits=only_credits)
        for record in records:
            judged = judge.judge(record)
            if judged.left is Left.PERIOD:
                page.running = True  # looked at with its period
            elif judged.left is not None:
                page.keep(judged.left, record, judged.words)
            else:
                if not dry:
                    judge.book(judged)
                page.count(judged, [judged.standing])
        return page

    page = engine.writer.booked(fill)
    running = cursor.running or page.running
    if reached < cursor.upto:
        return page, replace(cursor, after=reached, running=running)
    return page, replace(cursor, after=reached, running=running, place=("", "")) if running else None


def corrected_terms(engine: Engine, catalog: str) -> Terms:
    """A catalog version by its id; that in force now, also when another node put it there, when empty.

    Raises:
        Refused: NOT_FOUND when nobody ever applied it.
    """
    try:
        if not catalog:
            engine.writer.look()
        terms = engine.writer.terms
        return terms if terms is not None and catalog in ("", terms.version) else engine.version(catalog)
    except NotFound as error:
        raise refuse(RefusalCode.NOT_FOUND, str(error), field="catalog", fix="Apply it first.") from None


def _judge(engine: Engine, work: Work, terms: Terms, records: Sequence[Record], *, only_credits: bool) -> Judge:
    """Read at once what judging these records needs."""
    store, tenant = engine.store, engine.tenant
    rated = [record for record in records if simply_left(record) is None]
    work.foresee(corrected_id(record.charge.id) for record in rated)
    numbers = {read_number(record.usage.payers[0].payer) for record in rated}
    parties = {number: account.party for number, account in store.accounts(tenant, sorted(numbers)).items()}
    handles = store.handles_of(tenant, sorted(set(parties.values())))
    return Judge(
        work, terms, engine.version, lambda number: handles.get(parties[number], ""), only_credits=only_credits
    )


def _records(engine: Engine, wanted: Range, cursor: Cursor) -> tuple[list[Record], int]:
    """The next charges in the range, and the row that they were found up to."""
    found: list[Record] = []
    marks = [CHARGE, b'"service":"' + wanted.service.encode() + b'"']
    upto = min(cursor.upto, cursor.after + ROWS)
    for n, body, _ in engine.store.journal(engine.tenant, 0, cursor.after, upto):
        if all(mark in body for mark in marks):
            found += [record for record in records_of(n, body) if selected(record, wanted)]
        if len(found) >= PAGE:
            return found, n
    return found, upto
