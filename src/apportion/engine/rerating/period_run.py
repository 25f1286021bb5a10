"""Closed periods among those of a run, a page of them at a time: found, judged, and booked."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import msgspec

from apportion.engine.correcting.booking import book_made
from apportion.engine.correcting.decision import corrected_id
from apportion.engine.engine import Engine
from apportion.engine.query import Record
from apportion.engine.rerating.judging import Judged, Left, within_favour
from apportion.engine.rerating.page import CHARGE, Page, Range, records_of, selected
from apportion.engine.rerating.periods import Basis, Scratch, basis_of, period_correction, period_key, repriced_id
from apportion.engine.terms import Terms
from apportion.engine.work import Work
from apportion.errors import NotFound, RefusalCode, Refused, refuse
from apportion.model.account import Role
from apportion.model.charge import Charge
from apportion.model.correction import CorrectedLine, RepricedLine
from apportion.model.ids import key_id, read_number
from apportion.stages.rate.correct import borne_of

PERIODS = 100  # that are rated again in one transaction
Place = tuple[str, str]  # a period and a payer's account
_CORRECTED = msgspec.json.Decoder(CorrectedLine)
_REPRICED = msgspec.json.Decoder(RepricedLine)


def reprice_periods(
    engine: Engine, wanted: Range, terms: Terms, after: Place, upto: int, *, only_credits: bool, dry: bool
) -> tuple[Page, Place | None]:
    """Judge the next periods after one, and book them unless it is a ``dry`` run; the last of them if more follow."""
    places = _next(engine, wanted, after, upto)
    rows = _rows(engine, {*places}, upto)
    page = Page()

    def fill(work: Work) -> Page:
        judged = Page()
        for place in places:
            found = [record for n in rows[place] for record in records_of(n, work.row(n))]
            mine = [record for record in found if _place(record) == place]
            _Period(engine, work, terms, place, mine).judge(judged, wanted.service, only_credits=only_credits, dry=dry)
        return judged

    if places:
        page = engine.writer.booked(fill)
    return page, places[-1] if len(places) == PERIODS else None


def _next(engine: Engine, wanted: Range, after: Place, upto: int) -> list[Place]:
    """The first periods after one in which something is in the range."""
    found: set[Place] = set()
    bound: Place | None = None
    for n, body, _ in engine.store.journal(engine.tenant, 0, 0, upto):
        if b'"period":"' not in body or CHARGE not in body:
            continue
        for record in records_of(n, body):
            place = _place(record)
            if record.usage.period and place > after and (bound is None or place <= bound) and selected(record, wanted):
                found.add(place)
        if len(found) > 2 * PERIODS:
            found = set(heapq.nsmallest(PERIODS, found))
            bound = max(found)
    return heapq.nsmallest(PERIODS, found)


def _rows(engine: Engine, places: set[Place], upto: int) -> dict[Place, list[int]]:
    """The rows of all records that count in these periods."""
    found: dict[Place, list[int]] = {place: [] for place in places}
    marks = {b'"period":"' + period.encode() + b'"' for period, _ in places}
    for n, body, _ in engine.store.journal(engine.tenant, 0, 0, upto if places else 0):
        if CHARGE in body and any(mark in body for mark in marks):
            for record in records_of(n, body):
                if _place(record) in found:
                    found[_place(record)].append(n)
    return found


def _place(record: Record) -> Place:
    usage = record.usage
    return (usage.period, usage.payers[0].payer) if usage.period else ("", "")


class _Period:
    """One period of a payer on a working set."""

    def __init__(self, engine: Engine, work: Work, terms: Terms, place: Place, records: Sequence[Record]) -> None:
        self._engine, self._work, self._terms, self._records = engine, work, terms, records
        self._period, self._payer = place

    def judge(self, page: Page, service: str, *, only_credits: bool, dry: bool) -> None:
        """Rate it again, book what differs, and count that."""
        work, engine = self._work, self._engine
        mine = [record for record in self._records if record.charge.service == service]
        if (self._period, read_number(self._payer)) not in work.closed:
            words = f"Close {self._period} first: apportion close {self._period}."
            page.keep(Left.PERIOD, mine[0], words, len(mine))
            return
        found = work.course(repriced_id(self._period, self._payer, service))
        last = _REPRICED.decode(found) if found else None
        try:
            tariffs = self._tariffs(service, mine)
            before = basis_of(last, engine.version) if last is not None else None
            bases = before, Basis(self._terms, tariffs)
            was, _, made = period_correction(
                Scratch(work.keyed, work.numbered), self._records, service, bases, engine.version
            )
        except Refused as refused:
            page.keep(Left.REFUSED, mine[0], refused.refusal.sentence(), len(mine))
            return
        except NotFound as error:
            page.keep(Left.REFUSED, mine[0], str(error), len(mine))
            return
        left = self._left(mine, was, made, only_credits=only_credits)
        if left is not None or made is None:
            page.keep(left or Left.RIGHT, mine[0], "", len(mine))
            return
        standing = [self._standing(record) for record in mine]
        if not dry:
            made = self._book(service, made, (last.n if last is not None else 0) + 1, tariffs, len(mine))
        page.count(Judged(mine[0], was, made), [*standing, was], len(mine))

    def _left(self, mine: Sequence[Record], was: Charge, made: Charge | None, *, only_credits: bool) -> Left | None:
        if made is None:
            return Left.RIGHT
        if only_credits and not within_favour(made):
            return Left.DEARER
        self._work.foresee(corrected_id(record.charge.id) for record in mine)
        standing = [self._standing(record) for record in mine]
        if all(one is record.charge for one, record in zip(standing, mine, strict=True)):
            return None
        asset = self._terms.service(was.service).asset
        borne: dict[str, int] = {}
        for one in (*standing, was, made):
            for bearer, atoms in borne_of(one, asset).items():
                borne[bearer] = borne.get(bearer, 0) + atoms
        right: dict[str, int] = {}
        for one in (*(record.charge for record in mine), was, made):
            for bearer, atoms in borne_of(one, asset).items():
                right[bearer] = right.get(bearer, 0) + atoms
        return Left.GIVEN_BACK if any(atoms < 0 <= right.get(who, 0) for who, atoms in borne.items()) else None

    def _standing(self, record: Record) -> Charge:
        found = self._work.course(corrected_id(record.charge.id))
        return _CORRECTED.decode(found).standing if found else record.charge

    def _tariffs(self, service: str, mine: Iterable[Record]) -> dict[str, str]:
        """Which retail tariff the corrected terms have for the payer, instead of each that was booked."""
        names = self._names(service)
        found: dict[str, str] = {}
        for record in mine:
            was = record.charge.tariff
            now = names(record)
            if found.setdefault(was, now) != now:
                words = f"the corrected terms have both {now!r} and {found[was]!r} where {was!r} was."
                raise refuse(RefusalCode.CONFLICT, words, field="tariff")
        return {was: now for was, now in found.items() if was != now}

    def _names(self, service: str) -> Callable[[Record], str]:
        store, tenant, terms = self._engine.store, self._engine.tenant, self._terms.service(service)
        party = self._work.numbered(read_number(self._payer)).party
        name = store.handles_of(tenant, [party]).get(party, "")

        def tariff(record: Record) -> str:
            if name:
                return terms.retail_at(name, datetime.fromisoformat(record.usage.start)).tariff.id
            was = record.charge.tariff
            return was if was in self._terms.catalog.tariffs else terms.service.retail

        return tariff

    def _book(self, service: str, made: Charge, n: int, tariffs: dict[str, str], count: int) -> Charge:
        work, asset = self._work, self._terms.service(service).asset
        key = period_key(self._period, self._payer, service, n)
        made = msgspec.structs.replace(made, id=key_id("chg", key), at=work.at)
        if made.sponsored != "0" and not made.sponsor:
            sponsor = self._terms.service(service).sponsor
            made = msgspec.structs.replace(made, sponsor=work.account(Role.SPONSOR, sponsor, asset).public)
        line = RepricedLine(
            id=repriced_id(self._period, self._payer, service), period=self._period, account=self._payer,
            service=service, n=n, at=work.at, catalog=self._terms.version, made=made.id, count=count, tariffs=tariffs,
        )  # fmt: skip
        book_made(work, key, b"", made, asset, line)
        return made
