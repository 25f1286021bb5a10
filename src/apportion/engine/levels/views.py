"""Measured levels and outages as each may see them: payers and providers what they agreed on, nobody another's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from apportion.engine.cursor import Cursors
from apportion.engine.engine import Engine
from apportion.engine.exchange import PageQuery
from apportion.engine.verbs import Call
from apportion.engine.visible import Sight, nothing
from apportion.model.access import AccessRole
from apportion.model.ids import read_number
from apportion.model.level import LEVEL, OUTAGE, LevelLine, OutageLine
from apportion.money import Exact
from apportion.money.exact import ZERO
from apportion.stages.meter.level import words

_SCAN = 20_000
_LINE, _OUTAGE = msgspec.json.Decoder(LevelLine), msgspec.json.Decoder(OutageLine)
State = Literal["", "kept", "missed", "credited", "review", "approved", "waived"]


class TargetView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One target: ``promised`` and ``measured`` (exact; empty when there was no sample), and both ``in_words``.

    Availability and success are fractions, a latency is in milliseconds, throughput in units a second. With ``limit``
    it is the fraction of uses within so many milliseconds.
    """

    target: str
    promised: str
    measured: str
    samples: int
    kept: bool
    in_words: str
    limit: str = ""


class LevelView(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an agreement came to in a ``period``: ``uses``, each target, and what the payer gets back for misses.

    ``fee`` is what the payer bears of what the provider delivered, with tax; providers are not told. ``credit`` is
    with ``tax``, which the provider does not bear. ``state`` is kept, missed (and costs nothing), credited, review,
    approved or waived; ``charge`` is the adjustment, when one is booked.
    """

    id: str
    agreement: str
    payer: str
    provider: str
    service: str
    part: str
    period: str
    start: str
    end: str
    uses: int
    targets: tuple[TargetView, ...]
    credit: str
    tax: str
    currency: str
    state: str
    at: str
    fee: str = ""
    charge: str = ""
    reason: str = ""


class LevelPage(msgspec.Struct, frozen=True):
    """Levels in the order of their ids; ``next`` leads to the following page."""

    data: tuple[LevelView, ...]
    next: str = ""


class LevelQuery(PageQuery, frozen=True):
    """Only levels of one ``period`` or ``state``."""

    period: Annotated[str, Meta(max_length=40)] = ""
    state: State = ""


class OutageView(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a provider was down, in one service or in all; ``by`` is who said so, the operator when empty."""

    id: str
    provider: str
    service: str
    start: str
    end: str
    at: str
    by: str = ""
    reason: str = ""


class OutagePage(msgspec.Struct, frozen=True):
    """Outages in the order of their ids; ``next`` leads to the following page."""

    data: tuple[OutageView, ...]
    next: str = ""


class Showing:
    """Levels of one tenant as one caller may see them."""

    def __init__(self, engine: Engine, call: Call) -> None:
        self._engine, self._role, self._party = engine, call.caller.role, call.caller.party
        self._sight = Sight(engine, call.caller)

    def may_see(self, line: LevelLine) -> bool:
        """Whether a level is the caller's: of its account, or of what it delivered."""
        if self._role is AccessRole.PROVIDER:
            return line.provider == self._party
        return self._sight.may_see(line.account)

    def level(self, line: LevelLine) -> LevelView:
        """A level that the caller may see."""
        store, tenant = self._engine.store, self._engine.tenant
        number = read_number(line.account)
        party = store.accounts(tenant, [number])[number].party
        tax = line.taxes[0].amount if len(line.taxes) == 1 else _sum([one.amount for one in line.taxes])
        return LevelView(
            line.id, line.agreement, store.handles_of(tenant, [party]).get(party, f"(forgotten {line.account})"),
            line.provider, line.service, line.part, line.period, line.start, line.end, line.uses,
            tuple(
                TargetView(one.target, one.promised, one.measured, one.samples, one.kept, words(one), one.limit)
                for one in line.levels
            ),
            line.credit, tax, line.asset.partition("/")[0], line.state, line.at,
            "" if self._role is AccessRole.PROVIDER else line.fee, line.made, line.reason,
        )  # fmt: skip

    def outage(self, line: OutageLine) -> OutageView:
        """An outage."""
        return OutageView(line.id, line.provider, line.service, line.start, line.end, line.at, line.by, line.reason)


def _sum(amounts: list[str]) -> str:
    total = sum((Exact.parse(amount) for amount in amounts), ZERO)
    return total.text()


def find_level(engine: Engine, id: str) -> LevelLine:
    """A level as it stands.

    Raises:
        Refused: NOT_FOUND.
    """
    found = engine.store.courses(engine.tenant, [id]).get(id) if id.startswith(LEVEL) else None
    if found is None:
        raise nothing()
    return _LINE.decode(found.line)


def find_outage(engine: Engine, id: str) -> OutageLine:
    """An outage that was just reported."""
    return _OUTAGE.decode(engine.store.courses(engine.tenant, [id])[id].line)


def level(engine: Engine, call: Call) -> LevelView:
    """One level.

    Raises:
        Refused: NOT_FOUND, also when it is another's.
    """
    showing, line = Showing(engine, call), find_level(engine, call.id)
    if not showing.may_see(line):
        raise nothing()
    return showing.level(line)


def levels(engine: Engine, call: Call) -> LevelPage:
    """All levels that the caller may see."""
    query: LevelQuery = call.query
    showing, pages, shown = Showing(engine, call), _Pages(engine, LEVEL, "levels", query), list[LevelView]()
    for raw in pages.lines():
        line = _LINE.decode(raw)
        wanted = query.period in ("", line.period) and query.state in ("", line.state)
        if wanted and showing.may_see(line):
            shown.append(showing.level(line))
            if len(shown) == query.limit:
                break
    return LevelPage(tuple(shown), pages.next)


def outages(engine: Engine, call: Call) -> OutagePage:
    """All outages that the caller may see."""
    query: PageQuery = call.query
    showing, pages, shown = Showing(engine, call), _Pages(engine, OUTAGE, "outages", query), list[OutageView]()
    for raw in pages.lines():
        line = _OUTAGE.decode(raw)
        if call.caller.role is not AccessRole.PROVIDER or line.provider == call.caller.party:
            shown.append(showing.outage(line))
            if len(shown) == query.limit:
                break
    return OutagePage(tuple(shown), pages.next)


class _Pages:
    """Courses of a kind in the order of their ids, a page at a time; ``next`` is where the following one begins."""

    def __init__(self, engine: Engine, kind: str, name: str, query: PageQuery) -> None:
        self._engine, self._kind, self._name = engine, kind, name
        self._cursors = Cursors(engine)
        place = self._cursors.read(query.after, name)
        self._after = f"{kind}{place:016x}{'f' * 16}" if place else kind
        self._done = False

    def lines(self) -> Iterator[bytes]:
        """The last line of each."""
        for looked, course in enumerate(self._engine.store.all_courses(self._engine.tenant, self._after)):
            if not course.id.startswith(self._kind):
                break
            if looked >= _SCAN:
                return
            self._after = course.id
            yield course.line
        self._done = True

    @property
    def next(self) -> str:
        """Empty at the end."""
        start = len(self._kind)
        return "" if self._done else self._cursors.write(int(self._after[start : start + 16], 16), self._name)
