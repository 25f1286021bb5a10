"""Measuring service levels: one pass over the books finds what was used under each agreement in each ended period.

Each agreement is measured once for a period and account, in the turn in which it is booked, so that everything that
stands in the books before its line counts and nothing behind it does. What comes later changes nothing any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.levels.booking import adjusted, level_id, state_of, tax_lines
from apportion.engine.levels.counting import Counting, Window, downtime, instant, micros
from apportion.engine.terms import Terms
from apportion.engine.work import Work
from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.account import Role
from apportion.model.agreement import Agreement, Targets
from apportion.model.agreement_check import LATENCY_UNITS
from apportion.model.calendar import Calendar, Period, period_named, period_of
from apportion.model.ids import number_id, read_number
from apportion.model.level import OUTAGE, Apart, LevelLine, LevelState, OutageLine
from apportion.money import Asset
from apportion.money.exact import decimal_text
from apportion.stages.meter.level import credit_of, levels_of, percent

_EVER, _NEVER = "0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z"
_NEVER_ROW = 1 << 62
#: the fact that says how far everything is measured, and by which catalog
FLOOR = "levels"
_LINE, _OUTAGE = msgspec.json.Decoder(LevelLine), msgspec.json.Decoder(OutageLine)


class Run(msgspec.Struct, frozen=True):
    """What measuring came to: the levels of the period (those made now, when none was named), how many, what waits."""

    levels: tuple[LevelLine, ...]
    made: int
    waiting: tuple[str, ...] = ()


def measure(engine: Engine, period: str = "", *, lag: timedelta = timedelta()) -> Run:
    """Measure the service levels of ``period``, or of every period that has ended; again, it changes nothing.

    A period is over ``lag`` after its end.

    Raises:
        Refused: BAD_TIME when no payer's calendar has such a period; PERIOD_OPEN when it has not ended for any, or when
            running totals of it are not closed.
    """
    agreed = _Agreed(engine, period, lag)
    if not agreed.any:
        return Run((), 0)
    agreed.read(engine.store.head(engine.tenant, 0)[0])

    def fill(work: Work) -> Run:
        """Count what came meanwhile, then book."""
        agreed.read(work.head[0])
        return _booked(engine, work, agreed)

    done: Run = engine.writer.booked(fill)
    if period and not done.levels and done.waiting:
        raise refuse(RefusalCode.PERIOD_OPEN, done.waiting[0], field="period", fix="Close it: apportion close PERIOD.")
    return done


class _Agreed:
    """The agreements to measure by account, provider and service, and the windows that uses have opened so far.

    Where all periods are measured, rows that can not matter any more are not read again: ``floor`` is the last of them,
    as far as is known.
    """

    def __init__(self, engine: Engine, period: str, lag: timedelta) -> None:
        self._engine, self.period = engine, period
        self.terms: Terms = engine.terms()
        self._now = datetime.fromisoformat(engine.clock.now()) - lag
        version, _, row = engine.store.fact(engine.tenant, FLOOR).partition(" ")
        self._counted = int(row) if version == self.terms.version and not period else 0
        self._early = _NEVER_ROW  # the first row that counts in a period which has not ended
        self._open: dict[tuple[str, str, str], list[tuple[Agreement, Asset, Calendar]]] = {}
        self.windows: dict[str, tuple[Agreement, Window]] = {}
        self._named(self._accounts())
        self._counting = Counting(self.find, {provider for _, provider, _ in self._open})

    @property
    def any(self) -> bool:
        """Whether there is anything to measure."""
        return bool(self._open)

    def read(self, upto: int) -> None:
        """Count the rows that were not counted yet."""
        for n, body, _ in self._engine.store.journal(self._engine.tenant, 0, self._counted, upto):
            self._counting.row(n, body.split(b"\n"))
            self._counted = n

    def floor(self, done: Collection[str]) -> str:
        """What to remember of how far was read, when the windows ``done`` are measured; nothing, after one period."""
        first = min([self._early, *(window.first for id, (_, window) in self.windows.items() if id not in done)])
        return "" if self.period else f"{self.terms.version} {min(first - 1, self._counted)}"

    def _accounts(self) -> dict[str, list[tuple[str, Asset]]]:
        """The accounts of every payer with an agreement on levels, by name."""
        store, tenant = self._engine.store, self._engine.tenant
        names = sorted({one.payer for one in self.terms.catalog.agreements.values() if _promises(one)})
        found: dict[str, list[tuple[str, Asset]]] = {}
        for name, party in store.handles(tenant, names).items():
            for asset in self._engine.books.assets.values():
                for number in store.account_keys(tenant, [f"{Role.PAYER.value}:{party}:{asset}"]).values():
                    found.setdefault(name, []).append((number_id("acct", number), asset))
        return found

    def _named(self, accounts: dict[str, list[tuple[str, Asset]]]) -> None:
        spans: list[Period] = []
        wrong: Refused | None = None
        for one in self.terms.catalog.agreements.values():
            if not _promises(one):
                continue
            calendar = self.terms.calendar(one.payer)
            try:
                spans += [period_named(calendar, self.period)] if self.period else []
            except Refused as refused:
                wrong = refused
                continue
            for account, asset in accounts.get(one.payer, ()):
                self._open.setdefault((account, one.provider, one.service), []).append((one, asset, calendar))
        if wrong is not None and not spans:
            raise wrong
        if spans and all(span.end > self._now for span in spans):
            raise refuse(RefusalCode.PERIOD_OPEN, f"{self.period} has not ended yet.", field="period", fix="Wait.")

    def find(self, n: int, whose: tuple[str, str, str], at: int, period: str) -> Iterable[Window]:
        """The windows of ended periods in which a row counts."""
        for one, asset, calendar in self._open.get(whose, ()):
            span = self._span(calendar, at, period)
            if span is None or (self.period and span.key != self.period):
                continue
            if span.end > self._now:
                self._early = min(self._early, n)
            elif period or _from(one) <= at < _until(one):
                window = self._window(one, (whose[0], asset), span)
                if window is not None and (window.closing or not period):
                    window.first = window.first or n
                    yield window

    def _span(self, calendar: Calendar, at: int, period: str) -> Period | None:
        if not period:
            return period_of(calendar, datetime.fromtimestamp(at // 10**6, UTC))
        try:
            return period_named(calendar, period)
        except Refused:
            return None

    def _window(self, one: Agreement, whose: tuple[str, Asset], span: Period) -> Window | None:
        account, asset = whose
        id = level_id(one.id, account, span.key)
        if id not in self.windows:
            begin, over = _micros(span.start), _micros(span.end)
            start, end = max(begin, _from(one)), min(over, _until(one))
            if start >= end:
                return None
            service = self.terms.service(one.service).service
            unit = LATENCY_UNITS[service.measures.get(service.levels.latency, "ms")]
            self.windows[id] = one, Window(
                account, one.provider, one.service, one.part, span.key, start, end, asset, one.targets, service.levels,
                unit, self._apart(one, (begin, over)), end == over,
            )  # fmt: skip
        return self.windows[id][1]

    def _apart(self, one: Agreement, span: tuple[int, int]) -> tuple[Apart, ...]:
        """Parts of which the same two agreed by themselves, and when, within the period."""
        if one.part:
            return ()
        others = [
            other
            for other in self.terms.catalog.agreements.values()
            if other.part and _promises(other)
            and (other.payer, other.provider, other.service) == (one.payer, one.provider, one.service)
        ]  # fmt: skip
        found = [(other.part, max(span[0], _from(other)), min(span[1], _until(other))) for other in others]
        return tuple(Apart(part, instant(start), instant(end)) for part, start, end in sorted(found) if start < end)


def _promises(one: Agreement) -> bool:
    return bool(one.payer and one.provider) and one.targets != Targets()


def _from(one: Agreement) -> int:
    return micros(_EVER) if one.valid_from is None else _micros(one.valid_from)


def _until(one: Agreement) -> int:
    return micros(_NEVER) if one.valid_until is None else _micros(one.valid_until)


def _micros(when: datetime) -> int:
    return micros(when.isoformat())


# ── booking what was measured ──


def _booked(engine: Engine, work: Work, agreed: _Agreed) -> Run:
    """Book what is new of the windows that were counted; those that wait for a close are left for later."""
    closed = engine.store.closed_periods(engine.tenant)
    known: list[LevelLine] = []
    made: list[LevelLine] = []
    waiting: list[str] = []
    outages = list(_outages(engine))
    work.foresee(agreed.windows)
    for id, (agreement, window) in sorted(agreed.windows.items(), key=lambda item: (item[1][1].period, item[0])):
        stands = work.course(id)
        if stands:
            known.append(_LINE.decode(stands))
        elif any(key <= window.period and (key, read_number(payer)) not in closed for key, payer in window.running):
            waiting.append(f"{agreement.id}: {window.period} has running totals that are not closed yet.")
        elif window.last:
            downtime(window, outages)
            made.append(_measured(work, id, agreement, window, agreed.terms))
    floor = agreed.floor({line.id for line in (*known, *made)})
    if floor and made:
        work.writes.facts.append((FLOOR, floor))
    order = sorted([*known, *made] if agreed.period else made, key=lambda line: (line.period, line.id))
    return Run(tuple(order), len(made), tuple(waiting))


def _outages(engine: Engine) -> Iterator[OutageLine]:
    """All outages as they stand."""
    for course in engine.store.all_courses(engine.tenant, OUTAGE):
        if not course.id.startswith(OUTAGE):
            break
        yield _OUTAGE.decode(course.line)


def _measured(work: Work, id: str, agreement: Agreement, window: Window, terms: Terms) -> LevelLine:
    """Book one measured level: with its adjustment, unless there is none or a person has to see it first."""
    asset, levels = window.asset, levels_of(window.samples, window.targets)
    credit = credit_of(window.fee, percent(levels, agreement.consequence))
    line = LevelLine(
        id=id, n=1, agreement=agreement.id, account=window.account, provider=window.provider, service=window.service,
        period=window.period, start=instant(window.start), end=instant(window.end), at=work.at, catalog=terms.version,
        asset=str(asset), targets=window.targets, consequence=agreement.consequence, uses=window.samples.uses,
        last=window.last, fee=decimal_text(window.fee.gross, asset.scale), levels=levels,
        state=state_of(levels, credit.gross, agreement.consequence.review, asset), part=window.part,
        parts=tuple(sorted(window.parts)), apart=window.apart, closing=window.closing,
        credit=decimal_text(credit.gross, asset.scale),
        taxes=tax_lines(credit.taxes, asset),
    )  # fmt: skip
    if line.state == LevelState.CREDITED.value:
        return adjusted(work, line)
    work.append(work.move(line))
    return line
