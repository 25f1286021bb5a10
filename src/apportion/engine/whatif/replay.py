"""One pass over the books: every charge of a period beside what it would have been under other terms.

It reads like an export, page by page up to the row that was last when it began, and writes nothing anywhere. Payers
are taken to have all the value that they need.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import datetime

import msgspec

from apportion.engine.catalogs import load_terms
from apportion.engine.close import closing_order
from apportion.engine.engine import Engine
from apportion.engine.terms import Terms
from apportion.engine.whatif.changes import Changes
from apportion.engine.whatif.making import Stands, made_ready
from apportion.engine.whatif.names import Owners
from apportion.engine.whatif.periods import PayerPeriod
from apportion.engine.whatif.sessions import Shadows
from apportion.engine.whatif.spool import Spool
from apportion.engine.whatif.tally import BOOKED, REPLAYED, Tally
from apportion.engine.whatif.twins import Twins
from apportion.errors import Misconfigured, RefusalCode, Refused, refuse
from apportion.model.calendar import Calendar, Period, period_named
from apportion.model.catalog import Catalog
from apportion.model.charge import Charge
from apportion.model.correction import CorrectedLine
from apportion.model.ids import read_number
from apportion.model.journal import UsageLine
from apportion.model.references import check_catalog
from apportion.model.session import SessionLine
from apportion.model.whatif import WhatIf, WhatIfInput

Going = Callable[[int, int], None]
_USAGE, _CHARGE, _SESSION, _CORRECTED = (
    b'{"type":"%b"' % name for name in (b"usage", b"charge", b"session", b"corrected")
)
_CLOSE, _OF_PERIOD = "close ", ("close ", "rerate ")
_PAGE = 5000
_CORRECTION = "Corrections and credits, which stand as they were booked"
_usage = msgspec.json.Decoder(UsageLine).decode
_charge = msgspec.json.Decoder(Charge).decode
_session = msgspec.json.Decoder(SessionLine).decode
_corrected = msgspec.json.Decoder(CorrectedLine).decode


def replay(engine: Engine, given: WhatIfInput, going: Going = lambda done, of: None) -> WhatIf:
    """Compare what was booked with what other terms would have given; ``going`` is told rows done and rows in all.

    Raises:
        Refused: UNKNOWN_SERVICE, BAD_TIME, NOT_FOUND where nothing was charged; what is wrong with a change.
        Misconfigured: the catalog, or the changed one, contradicts itself.
    """
    with Spool() as spool:
        return Replay(engine, given, spool).run(going)


class Replay:
    """A replay on its way."""

    def __init__(self, engine: Engine, given: WhatIfInput, spool: Spool) -> None:
        self._store, self._tenant, self.given = engine.store, engine.tenant, given
        self._assets = {asset.code: (number, asset) for number, asset in engine.books.assets.items()}
        self._known = self._load("")
        changes = Changes(given.changes, _checked(given, self._known))
        self._twins = Twins(self._load, self._scale, changes, given.catalog)
        self._whole = not given.catalog and not given.changes
        self.owners = Owners(self._store, self._tenant)
        self.tally = Tally(self.owners, lambda code: self._known.asset(code).scale)
        self._shadows = Shadows(self._twins, self.owners)
        self._spool = spool
        self._closed = self._store.closed_periods(self._tenant)
        self._unclosed: set[tuple[str, str]] = set()  # periods with running totals that the books have not closed
        self._spans: dict[Calendar, Period | None] = {}
        self._periods: dict[str, str] = {}  # of charges that were corrected and count in another period than their own
        self.records = self.replayed = self.untouched = 0
        _check_period(given.period)
        if given.service and given.service not in {*self._known.catalog.services, *_services(given)}:
            self._known.service(given.service)

    def _load(self, version: str) -> Terms:
        return load_terms(self._store, self._tenant, version, self._assets)

    def _scale(self, code: str) -> int | None:
        return self._assets[code][1].scale if code in self._assets else None

    def run(self, going: Going) -> WhatIf:
        """Read all of the books that there were at the beginning."""
        upto, _ = self._store.head(self._tenant, 0)
        for n, body, _ in self._store.journal(self._tenant, 0, 0, upto):
            if b'{"type":"charge"' in body or b'{"type":"session"' in body:
                self._row(n, body)
            if n % _PAGE == 0:
                going(n, upto)
        self._running()
        going(upto, upto)
        if not self.records:
            what = f" for {self.given.service!r}" if self.given.service else ""
            when = f" in {self.given.period}" if self.given.period else ""
            raise refuse(
                RefusalCode.NOT_FOUND,
                f"nothing was charged{what}{when}.",
                field="period" if self.given.period else "service",
                fix="Name a period of the payers' calendars in which something was used, such as 2026-10.",
            )
        return self._answer(upto)

    # one row

    def _row(self, n: int, body: bytes) -> None:
        usage: UsageLine | None = None
        charges: list[Charge] = []
        sessions: list[SessionLine] = []
        for line in body.split(b"\n"):
            if line.startswith(_USAGE):
                usage = _usage(line)
            elif line.startswith(_CHARGE):
                charges.append(_charge(line))
            elif line.startswith(_SESSION):
                sessions.append(_session(line))
            elif line.startswith(_CORRECTED):
                self._corrected(_corrected(line))
        for charge in charges:
            if charge.origin:
                self._adjusted(charge)
            elif usage is not None and not (sessions and usage.source == sessions[-1].id):
                self._record(usage, charge, (n, body))
        slice = next((one for one in charges if not one.origin), None)
        for session in sessions:
            mine = slice is not None and usage is not None and usage.source == session.id
            self._session(session, usage if mine else None, slice if mine else None)

    def _corrected(self, line: CorrectedLine) -> None:
        """Remember in which period a charge counts that is corrected, if that is not to be told by its time."""
        period = line.usage.period if line.usage is not None else ""
        period = period or (_of_period(line.was) if line.was is not None else "")
        if period:
            self._periods[line.charge] = period

    def _adjusted(self, charge: Charge) -> None:
        """What a close booked is told by the replay in its own way; what corrects or credits stands."""
        payer = charge.shares[0].bearer if charge.shares else ""
        period = _of_period(charge) or self._periods.get(charge.origin, "")
        if not self._wanted(charge) or not self._inside(charge, payer, period):
            return
        if charge.origin.startswith(_CLOSE):
            self.tally.charge(charge, BOOKED)
        else:
            self._stands(charge, _CORRECTION)
            self.tally.charge(charge, BOOKED)

    def _wanted(self, charge: Charge) -> bool:
        return self.given.service in ("", charge.service)

    def _record(self, usage: UsageLine, charge: Charge, row: tuple[int, bytes]) -> None:
        if not self._inside(charge, usage.payers[0].payer, usage.period):
            return
        wanted = self._wanted(charge)
        if wanted:
            self.records += 1
            self.tally.charge(charge, BOOKED)
            self.tally.record(charge)
        twin = self._twins.of(charge.catalog)
        if not usage.period and not twin.touched(charge.service):
            if wanted:
                self.untouched += 1
                self.tally.charge(charge, REPLAYED)
            return
        try:
            prepared = made_ready(usage, charge, twin, self.owners)
        except (Refused, Stands) as error:
            if charge.lines and usage.period:
                self._later(usage, charge, usage.period, row)
            elif wanted:
                self._stands(charge, error)
            return
        if prepared.running:
            self._later(usage, charge, prepared.period, row)
        elif wanted and prepared.rated is not None:
            self.replayed += 1
            self.tally.rated([one.payer for one in usage.payers], prepared, prepared.rated)

    def _stands(self, charge: Charge, why: str | Refused | Stands) -> None:
        """Tell a charge as it was booked."""
        self.tally.charge(charge, REPLAYED)
        self._apart(charge, why)

    def _later(self, usage: UsageLine, charge: Charge, period: str, row: tuple[int, bytes]) -> None:
        """Keep a record for when all of its period is together."""
        payer = usage.payers[0].payer
        counted = bool(usage.period) and (period, read_number(payer)) not in self._closed
        if counted:  # as it stands: in the order of the books, without what only a close brings
            self._unclosed.add((period, payer))
        order = (False, f"{row[0]:020}", "", "") if counted else closing_order(usage)
        self._spool.add((period, payer, *order), row[1])
        if self._wanted(charge):
            self.replayed += 1

    def _running(self) -> None:
        """Everything with running totals, a payer's period at a time."""
        for (period, payer), rows in itertools.groupby(self._spool, key=lambda row: (row[0][0], row[0][1])):
            whose = PayerPeriod(period, payer, closes=(period, payer) not in self._unclosed)
            for come in whose.over((body for _, body in rows), self._twins, self.owners, self._own_terms):
                if self._wanted(come):
                    self.tally.charge(come, REPLAYED)

    def _own_terms(self, charge: Charge, why: Refused | Stands, rated: bool) -> None:
        """A record counts in its period by its own terms; as it was booked, if even these have no price now."""
        if self._wanted(charge):
            self.replayed -= 1
            self._apart(charge, why)
            if not rated:
                self.tally.charge(charge, REPLAYED)

    def _apart(self, charge: Charge, why: str | Refused | Stands) -> None:
        self.tally.apart(charge, why.refusal if isinstance(why, Refused) else str(why))

    def _session(self, line: SessionLine, usage: UsageLine | None, charge: Charge | None) -> None:
        """A session's next line, with the slice that was charged beside it."""
        twin = self._twins.of(line.catalog)
        touched = twin.touched(line.service)
        made = self._shadows.step(line, charged=charge is not None) if touched else None
        if charge is None or usage is None or not self._wanted(charge):
            return
        if not self._inside(charge, usage.payers[0].payer, ""):
            return
        self.records += 1
        self.tally.charge(charge, BOOKED)
        self.tally.record(charge)
        if not touched:
            self.untouched += 1
            self.tally.charge(charge, REPLAYED)
        elif made is None:
            self.replayed += 1
        elif isinstance(made, tuple):
            contract, shadow, found = made
            self.replayed += 1
            self.tally.slice((line.service, contract.asset.code, contract.terms.sponsor), shadow, found)
        else:
            self.tally.charge(charge, REPLAYED)
            self.tally.apart(charge, made)

    def _inside(self, charge: Charge, payer: str, period: str) -> bool:
        """Whether a charge counts in the period asked for, by the calendar of whoever is its first payer."""
        wanted = self.given.period
        if not wanted or period:
            return period == wanted or not wanted
        calendar = self._known.calendar(self.owners.of(payer))
        if calendar not in self._spans:
            try:
                self._spans[calendar] = period_named(calendar, wanted)
            except Refused:
                self._spans[calendar] = None
        span = self._spans[calendar]
        return span is not None and span.start <= datetime.fromisoformat(charge.at) < span.end

    # the answer

    def _answer(self, upto: int) -> WhatIf:
        given, tally = self.given, self.tally
        terms = [f"the catalog {given.catalog.name or 'given'}"] if given.catalog else []
        terms += [f"{change.kind} {change.what} = {change.to}" for change in given.changes]
        notes = ["Payers are taken to have all the value that they need: nobody's use is refused for want of it."]
        if self._unclosed:
            notes.append(
                f"{len(self._unclosed)} periods of payers are not closed yet: they are told as they stand, in the order"
                " of the books, without fees that only a whole period has."
            )
        notes.append("What a true-up of rounding moved is of no record, and is on neither side.")
        return WhatIf(
            given.period, given.service, upto, tuple(terms), self.records, self.replayed, self.untouched,
            tally.parties(), tally.services(), tally.totals(), tally.told_apart(), tuple(notes),
        )  # fmt: skip


def _of_period(charge: Charge) -> str:
    """The period that a charge was booked for as a whole, by a close or by rating it again; empty for any other."""
    return charge.origin.partition(" ")[2] if charge.origin.startswith(_OF_PERIOD) else ""


def _checked(given: WhatIfInput, known: Terms) -> Catalog:
    """The catalog whose names count: the one given, if it holds together, else the one in force."""
    if given.catalog is None:
        return known.catalog
    wrong = check_catalog(given.catalog)
    if wrong:
        raise Misconfigured(f"The catalog contradicts itself: {wrong[0].sentence()}", tuple(wrong))
    return given.catalog


def _services(given: WhatIfInput) -> Iterator[str]:
    yield from given.catalog.services if given.catalog is not None else ()


def _check_period(period: str) -> None:
    """Refuse what is the name of no period of any calendar."""
    if not period:
        return
    for calendar in (Calendar(), Calendar(cycle="week"), Calendar(cycle="day")):
        try:
            period_named(calendar, period)
            return
        except Refused:
            continue
    period_named(Calendar(), period)
