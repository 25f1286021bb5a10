"""Running by the schedule: the next job of a tenant that is due, as a reader finds it in the books.

What was done stands in the books alone. What is remembered here only keeps a node from looking for the same again, so
who was killed looks once more and finds the rest; of two nodes that find the same, the second one's turn changes
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial

import msgspec

from apportion.engine.engine import Engine
from apportion.engine.levels.measuring import measure
from apportion.engine.scheduling.billing import due_statements
from apportion.engine.scheduling.charging import Bills
from apportion.engine.scheduling.closing import Closings
from apportion.engine.scheduling.due import Act, Found, Stop, calendars_of, turn_of
from apportion.engine.scheduling.late import Late
from apportion.engine.scheduling.settling import Payouts, Settlements
from apportion.engine.terms import Terms
from apportion.errors import StoreUnavailable
from apportion.model.agreement import Targets
from apportion.model.calendar import Calendar, Period
from apportion.model.schedule import Schedule, lasting, slot_of

JOBS = ("close", "levels", "statements", "settle", "payout", "charge")
#: seconds of the first and the longest pause after something broke
FIRST, LONGEST = 1.0, 300.0
_MOMENT = timedelta(microseconds=1)


class Trouble(msgspec.Struct):
    """That a job broke: how often in a row, with what, and when it is tried again (monotonic)."""

    times: int
    what: str
    again: float


class Running:
    """The jobs of one tenant on one node. ``look`` is for one thread at a time.

    ``crash`` is told of whatever breaks; ``stop`` says that the node ends.
    """

    def __init__(
        self, *, crash: Callable[[str, BaseException], None] = lambda job, error: None, stop: Stop = lambda: False
    ) -> None:
        self._crash, self._stop = crash, stop
        self.troubles: dict[str, Trouble] = {}
        self.waiting: dict[str, tuple[str, ...]] = {}  # what a job waits for that only a person can bring
        self._version = ""
        self._calendars: frozenset[Calendar] = frozenset()
        self._done: dict[str, datetime] = {}  # the turn for which a job is done
        self._next: dict[str, datetime] = {}
        self._turns: dict[str, datetime] = {}
        self._begin()

    def _begin(self) -> None:
        self._closings, self._settlements, self._payouts, self._bills = Closings(), Settlements(), Payouts(), Bills()
        self._done, self._next, self._late = {}, {}, Late()

    def look(self, engine: Engine) -> Found | None:
        """The next job with something to do now; ``ended`` must be told of it before the next look."""
        return next(self.each(engine), None)

    def each(self, engine: Engine) -> Iterator[Found]:
        """Every job with something to do now."""
        schedule, terms = self._terms(engine)
        if schedule is None or terms is None:
            return
        now = datetime.fromisoformat(engine.clock.now())
        self._look_for_late(engine, schedule, now)
        for job in JOBS:
            trouble = self.troubles.get(job)
            if self._stop() or not getattr(schedule, job) or (trouble is not None and trouble.again > time.monotonic()):
                continue
            if now < self._next.get(job, now):
                continue
            try:
                acts = self._find(engine, job, (schedule, terms, now))
            except StoreUnavailable:  # that concerns all of them
                raise
            except Exception as error:
                self.ended(Found(job, ()), error)
                continue
            if acts:
                yield Found(job, acts, self._turns.get(job))

    def _look_for_late(self, engine: Engine, schedule: Schedule, now: datetime) -> None:
        """What was charged late may be due at once."""
        lags = [lasting(text) for text in (schedule.close, schedule.statements) if text]
        if lags and self._late.came(engine, self._calendars, now - min(lags), self._stop):
            self._due_again("close", "statements")

    def _due_again(self, *jobs: str) -> None:
        for job in jobs:
            self._done.pop(job, None)
            self._next.pop(job, None)

    def _terms(self, engine: Engine) -> tuple[Schedule | None, Terms | None]:
        """The schedule in force; with another catalog everything is looked for anew."""
        version = engine.store.fact(engine.tenant, "catalog")
        if not version:
            return None, None
        terms = engine.version(version)
        if version != self._version:
            self._version, self._calendars = version, calendars_of(terms.catalog)
            self._begin()
        return terms.catalog.schedule, terms

    def _find(self, engine: Engine, job: str, by: tuple[Schedule, Terms, datetime]) -> tuple[Act, ...]:
        """What is to be done of a job; nothing when its turn has not come, or is done."""
        schedule, terms, now = by
        if job == "payout":
            acts = self._payouts.find(engine, schedule.payout)
            self.waiting[job] = self._payouts.words
            return acts
        if job == "charge":
            self.waiting[job] = () if engine.payments is not None else ("a node with a payment processor (--payments)",)
            lags = [lasting(text) for text in schedule.charge]
            return self._bills.find(engine, lags, self._stop) if engine.payments is not None else ()
        turn = self.turn(job, schedule, terms.catalog.zone, now)
        if turn.start <= self._done.get(job, turn.start - _MOMENT):
            self._next[job] = turn.end
            return ()
        began = time.monotonic()
        acts = self._periodic(engine, job, (schedule, terms, now), turn)
        self._late.took(time.monotonic() - began)
        self._turns[job] = turn.start
        if not acts and not self._stop():
            self._done[job], self._next[job] = turn.start, turn.end
        return acts

    def done(self, job: str, turn: Period) -> bool:
        """Whether nothing of a job was left to do in this turn, when it was looked for last."""
        return self._done.get(job, turn.start - _MOMENT) >= turn.start

    def turn(self, job: str, schedule: Schedule, zone: str, now: datetime) -> Period:
        """Since when a job has been due for the last time, and when it is next."""
        if job == "settle":
            return slot_of(schedule, zone, now)
        return turn_of(self._calendars, now, lasting(getattr(schedule, job)))

    def _periodic(
        self, engine: Engine, job: str, by: tuple[Schedule, Terms, datetime], turn: Period
    ) -> tuple[Act, ...]:
        schedule, terms, now = by
        if job == "close":
            return self._closings.find(engine, terms, now - lasting(schedule.close), self._stop)
        if job == "levels":
            agreed = any(one.targets != Targets() for one in terms.catalog.agreements.values())
            return (partial(_measure, schedule.levels),) if agreed else ()
        if job == "statements":
            return due_statements(engine, terms, lasting(schedule.statements), advices=not schedule.settle)
        return self._settlements.find(engine, turn.start, schedule.mode)

    def ended(self, found: Found, error: BaseException | None = None) -> None:
        """What was found is done, or broke; then it is tried again later and later."""
        job = found.job
        if error is not None:
            times = self.troubles[job].times + 1 if job in self.troubles else 1
            pause = min(LONGEST, FIRST * 2 ** min(times - 1, 30))
            self.troubles[job] = Trouble(times, type(error).__name__, time.monotonic() + pause)
            self._crash(f"schedule {job}", error)
            return
        self.troubles.pop(job, None)
        if job == "close":
            self._due_again("levels", "statements")  # what waited for it is due now
        elif found.mark is not None:
            self._done[job] = found.mark

    def run(self, engine: Engine) -> list[str]:
        """Do everything that is due, on a writer of one's own; the jobs that had something to do, in order."""
        jobs: list[str] = []
        while (found := self.look(engine)) is not None:
            jobs.append(found.job)
            broken: Exception | None = None
            for act in found.acts:
                try:
                    act(engine)
                except StoreUnavailable:
                    raise
                except Exception as error:
                    broken = broken or error
            self.ended(found, broken)
        return jobs


def _measure(lag: str, engine: Engine) -> None:
    measure(engine, lag=lasting(lag))
