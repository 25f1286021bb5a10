"""Sessions replayed: each beside a shadow of itself, which has the same counters and other terms.

From one line of a session to the next its counters go on and perhaps a slice is charged; the shadow makes the same
step. Where a line says more than that (others took over, payers came or went, value ran out within a slice), how it
would have gone on under other terms nobody knows: from there on the session is told as it was booked.
"""

from __future__ import annotations

import msgspec

from apportion.engine.sessions.bill import advance
from apportion.engine.sessions.contract import Contract, check_tariffs, parsed
from apportion.engine.sessions.slice import Slice, cut, line_total
from apportion.engine.terms import Terms
from apportion.engine.whatif.making import Stands
from apportion.engine.whatif.names import Owners
from apportion.engine.whatif.twins import Twin, Twins
from apportion.errors import Refusal, Refused
from apportion.model.plan import PLAN
from apportion.model.session import Meter, SessionLine, SessionState

replace = msgspec.structs.replace
_AGREED = "Its price was agreed in a plan"
_STOCKED = "A session that drew on allowances"
_TURNED = "A session whose providers, payers or terms changed on the way"
_SHORT = "A session that its payers' value cut short"
Step = tuple[Contract, SessionLine, Slice]


class Course:
    """One session: its line of the books, and its shadow's, or why it has none any more."""

    def __init__(self, line: SessionLine, shadow: SessionLine | None, why: str | Refusal = "") -> None:
        self.line, self.shadow, self.why = line, shadow, why


class Shadows:
    """All sessions that are open at a row of the books."""

    def __init__(self, twins: Twins, owners: Owners) -> None:
        self._twins, self._owners = twins, owners
        self._open: dict[str, Course] = {}

    def step(self, line: SessionLine, *, charged: bool) -> Step | str | Refusal | None:
        """Go on with a session; what the replay charges where a slice was ``charged``, or why it stands as booked.

        None when nothing was charged, or the shadow comes to no more than it was charged before.
        """
        course = self._open.get(line.id)
        if course is None:
            self._open[line.id] = self._begun(line)
            return None
        made: Step | None = None
        if course.shadow is not None:
            try:
                made = self._follow(course, line, charged=charged)
            except Stands as stands:
                course.shadow, course.why = None, str(stands)
            except Refused as refused:
                course.shadow, course.why = None, refused.refusal
        course.line = line
        if line.state is SessionState.CLOSED:
            del self._open[line.id]
        if not charged:
            return None
        return course.why if course.shadow is None else made

    def _begun(self, line: SessionLine) -> Course:
        twin = self._twins.of(line.catalog)
        try:
            if line.plan or line.tariff.startswith(PLAN):
                raise Stands(_AGREED)
            shadow = self._retold(line, twin)
            check_tariffs([Contract(shadow, twin.changed).retail, *Contract(shadow, twin.changed).pricers.values()])
        except Stands as stands:
            return Course(line, None, str(stands))
        except Refused as refused:
            return Course(line, None, refused.refusal)
        return Course(line, shadow)

    def _retold(self, line: SessionLine, twin: Twin) -> SessionLine:
        """A session at its beginning, under the terms of the replay."""
        own, changed, start = twin.own.service(line.service), twin.changed.service(line.service), parsed(line.start)
        payer = self._owners.of(line.payers[0].account) if line.payers else ""
        tariff = line.tariff
        if tariff == own.retail_at(payer, start).tariff.id:
            tariff = changed.retail_at(payer, start).tariff.id
        elif tariff == own.service.retail:
            tariff = changed.service.retail
        meters = [self._meter(line, meter, twin) for meter in line.meters]
        return replace(line, tariff=tariff, meters=tuple(meters))

    def _meter(self, line: SessionLine, meter: Meter, twin: Twin) -> Meter:
        if not meter.part:
            return meter
        start = parsed(line.start)
        provider = twin.provider(line.service, meter.part, meter.provider)
        was = twin.own.service(line.service).delivered(meter.part, meter.provider).at(start)
        now = twin.changed.service(line.service).delivered(meter.part, provider).at(start)
        tariff = meter.tariff
        if tariff == (was.tariff.id if was is not None else "") or provider != meter.provider:
            tariff = now.tariff.id if now is not None else ""
        return replace(meter, provider=provider, tariff=tariff)

    def _follow(self, course: Course, line: SessionLine, *, charged: bool) -> Step | None:
        """One step of the session and of its shadow."""
        before, shadow = course.line, course.shadow
        assert shadow is not None
        twin = self._twins.of(before.catalog)
        if before.covers or line.covers:
            raise Stands(_STOCKED)
        if line.postponed:
            raise Stands(_SHORT)
        _, after, _ = _went_on(before, line, twin.own, charged=charged)
        if _shape(after) != _shape(line):
            raise Stands(_TURNED)
        if charged and line_total(after) != line_total(line):
            raise Stands(_SHORT)
        contract, course.shadow, found = _went_on(shadow, line, twin.changed, charged=charged)
        return None if found is None else (contract, course.shadow, found)


def _went_on(
    before: SessionLine, line: SessionLine, terms: Terms, *, charged: bool
) -> tuple[Contract, SessionLine, Slice | None]:
    """A line with the counters of the session's next one, and charged for them where that was."""
    contract = Contract(before, terms)
    if len(line.meters) != len(before.meters) or len(line.payers) != len(before.payers):
        raise Stands(_TURNED)
    meters = tuple(
        replace(old, used=new.used, lost=new.lost, number=new.number)
        for old, new in zip(before.meters, line.meters, strict=True)
    )
    payers = tuple(replace(old, used=new.used) for old, new in zip(before.payers, line.payers, strict=True))
    after = advance(contract, replace(before, payers=payers), meters, parsed(line.through))
    if not charged:
        return contract, after, None
    found = cut(contract, after, None)
    if found is None:
        return contract, after, None
    return contract, found.after, found


def _shape(line: SessionLine) -> tuple[object, ...]:
    """All of a session's terms, which counters and slices do not change."""
    return (
        line.catalog, line.tariff, line.since, line.turned, line.base, line.net_before, line.taxes_before,
        line.crew_net, line.shared,
        [(m.part, m.provider, m.tariff, m.since, m.turned, m.base, m.earned, m.ended) for m in line.meters],
        [(p.account, p.weight, p.pays, p.left, p.owed, p.base) for p in line.payers],
    )  # fmt: skip
