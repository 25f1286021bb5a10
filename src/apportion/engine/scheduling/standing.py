"""The schedule as an operator sees it: when each job last left anything in the books, and when it is due next."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.scheduling.due import calendars_of, turn_of
from apportion.engine.scheduling.running import JOBS, Running
from apportion.engine.scheduling.settling import Payouts, Settlements
from apportion.engine.settling.standing import last_settlement
from apportion.engine.statements.composing import STATEMENT
from apportion.engine.unbilled import DOCUMENT
from apportion.engine.verbs import Call
from apportion.model.calendar import Period
from apportion.model.schedule import CYCLES, Schedule, lasting, slot_of

_BLOCK, _ROWS = 2000, 100_000
_PERIODIC = ("close", "levels", "statements")
_EVER = "9999-12-31T00:00:00Z"
#: what a job leaves in the books: how the line begins, and what else is in it
_MARKS = {
    "close": (b'{"type":"close"', b""),
    "levels": (b'{"type":"level"', b""),
    "statements": (DOCUMENT, b'"kind":"%s"' % STATEMENT.encode()),
    "payout": (b'{"type":"payout"', b'"state":"created"'),
    "charge": (b'{"type":"payment"', b'"cause":"stm_'),
    "credit": (b'{"type":"dunning"', b""),
}
#: what every node looks after once a second, whatever the schedule: the courses of it, and what it is
_ALWAYS = {
    "credit": ("trust_", "due dates, reminders and write-off, by dunning in the catalog"),
    "stock": ("bkt_ alw_", "buckets and allowances end when they expire"),
    "sessions": ("ses_", "sessions that run out, and those without a report"),
    "payments": ("pay_ pyo_", "what was ordered is sent, and asked for until its end is known"),
}


class JobView(msgspec.Struct, frozen=True):
    """One job: ``how`` in words, when it ``last`` left anything in the books (within the newest 100,000 rows).

    It was due ``since`` and is due ``next`` (both empty when it follows another job, or nothing waits for it).
    ``state`` is off, done, due or trouble. ``waits`` says for what.
    """

    job: str
    how: str
    state: str
    last: str = ""
    since: str = ""
    next: str = ""
    waits: tuple[str, ...] = ()


class ScheduleView(msgspec.Struct, frozen=True):
    """The schedule by the catalog in force (``catalog``) ``at`` this instant, with what always runs."""

    at: str
    catalog: str
    jobs: tuple[JobView, ...]


class _At(msgspec.Struct):
    at: str = ""
    requested: str = ""


def schedule(engine: Engine, call: Call) -> ScheduleView:
    """Each job of the schedule as it stands."""
    return Standing(engine).view()


class Standing:
    """What a reader can tell of the schedule."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._version = engine.store.fact(engine.tenant, "catalog")
        self._catalog = engine.version(self._version).catalog if self._version else None
        self._at = engine.clock.now()
        self._running: Running | None = engine.running
        self._due: set[str] | None = None  # what is due, when no node knows it

    def view(self) -> ScheduleView:
        """All jobs, in the order in which they run."""
        last = self._last()
        given = self._catalog.schedule if self._catalog is not None else None
        jobs = [self._job(job, given, last.get(job, "")) for job in JOBS]
        return ScheduleView(self._at, self._version, (*jobs, *self._always(last.get("credit", ""))))

    def _job(self, job: str, given: Schedule | None, last: str) -> JobView:
        if given is None or not getattr(given, job):
            return JobView(job, "never by itself", "off", last)
        turn = self._turn(job, given)
        state, waits = "done", self._running.waiting.get(job, ()) if self._running is not None else ()
        if job == "settle" and Settlements().find(self._engine, turn.start, given.mode):
            state = "due"
        if job == "payout":
            payouts = Payouts()
            state = "due" if payouts.find(self._engine, given.payout) else state
            waits = payouts.words
        if job in _PERIODIC and self._is_due(job, turn, last):
            state = "due"
        trouble = self._running.troubles.get(job) if self._running is not None else None
        if trouble is not None:
            state, waits = "trouble", (*waits, f"it broke {trouble.times} times ({trouble.what}), and is tried again")
        since, until = (_text(turn.start), _text(turn.end)) if job not in ("payout", "charge") else ("", "")
        return JobView(job, _words(job, given), state, last, since, until, waits)

    def _is_due(self, job: str, turn: Period, last: str) -> bool:
        """Whether a job has something to do since its turn began; found out here, where no node does it."""
        if self._running is not None:
            return not self._running.done(job, turn)
        if self._due is None:
            self._due = {found.job for found in Running().each(self._engine)}
        return job in self._due and (job != "levels" or last < _text(turn.start))

    def _turn(self, job: str, given: Schedule) -> Period:
        assert self._catalog is not None
        now = datetime.fromisoformat(self._at)
        if job in ("settle", "payout", "charge"):
            return slot_of(given, self._catalog.zone, now) if given.settle else Period("", now, now)
        return turn_of(calendars_of(self._catalog), now, lasting(getattr(given, job)))

    def _last(self) -> dict[str, str]:
        """When each job left its newest line, looking backward."""
        store, tenant = self._engine.store, self._engine.tenant
        found: dict[str, str] = {}
        settled = last_settlement(self._engine)
        if settled is not None:
            found["settle"] = settled.at
        upto = store.head(tenant, 0)[0]
        least = max(0, upto - _ROWS)
        while upto > least and not _MARKS.keys() <= found.keys():
            after = max(least, upto - _BLOCK)
            block: dict[str, str] = {}
            for _, body, _ in store.journal(tenant, 0, after, upto):
                block |= _told(body)
            found = block | found
            upto = after
        return found

    def _always(self, dunned: str) -> Iterable[JobView]:
        """What is looked after in any case, and when it next has to be."""
        store, tenant = self._engine.store, self._engine.tenant
        holds = store.holds(tenant, store.expired_holds(tenant, _EVER, 1))
        following = min((hold.expires for hold in holds.values()), default="")
        yield JobView("holds", "holds end when they expire", self._state(following), next=following)
        for job, (kinds, how) in _ALWAYS.items():
            ids = [id for kind in kinds.split() for id in store.due_courses(tenant, _EVER, 1, kind)]
            following = min((course.due for course in store.courses(tenant, ids).values()), default="")
            yield JobView(job, how, self._state(following), dunned if job == "credit" else "", next=following)

    def _state(self, following: str) -> str:
        return "due" if following and following <= self._at else "done"


def _told(body: bytes) -> dict[str, str]:
    """When the jobs worked that left something in a row."""
    found: dict[str, str] = {}
    for job, (mark, more) in _MARKS.items():
        if mark in body and more in body:
            for line in body.split(b"\n"):
                if line.startswith(mark) and more in line:
                    made = msgspec.json.decode(line, type=_At)
                    found[job] = made.requested or made.at
    return found


def _words(job: str, given: Schedule) -> str:
    """When a job runs, in words."""
    if job == "settle":
        after = "" if lasting(given.settle_after).total_seconds() == 0 else f", {given.settle_after} after it began"
        every = f"each {given.settle}{after}" if given.settle in CYCLES else f"every {given.settle}{after}"
        return f"{every}, {given.mode}"
    if job == "payout":
        return f"after each settlement, by {given.payout}"
    if job == "charge":
        return f"{', '.join(given.charge)} after a statement's issue"
    return f"{getattr(given, job)} after the end of a payer's period"


def _text(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds").replace("+00:00", "Z")
