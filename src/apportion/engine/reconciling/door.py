"""What callers ask of reconciling: their rows against ours, and the verdict of each. Nothing is booked or kept."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from apportion.engine.charging import instant as text_of
from apportion.engine.engine import Engine
from apportion.engine.exchange import Input, Instant, Text
from apportion.engine.reconciling.gathering import Gathering, Span, delivered_by
from apportion.engine.reconciling.reading import (
    LabelOf,
    RowInput,
    allowed,
    bad_first,
    calendar,
    instant,
    read,
    told_at,
)
from apportion.engine.reconciling.report import Showing, digest_of, drifted, tallied
from apportion.engine.verbs import Call
from apportion.engine.visible import nothing
from apportion.errors import RefusalCode, refuse
from apportion.model.access import AccessRole
from apportion.model.calendar import period_named, zone_of
from apportion.model.charge import Charge
from apportion.model.reconciliation import Reconciliation, Verdict
from apportion.stages.meter.compare import Manner, Theirs
from apportion.stages.meter.reconcile import reconcile

ROWS_MAX, SHOWN_MAX = 50_000, 150_000
_SECOND = 1_000_000


class ReconcileInput(Input, frozen=True):
    """A provider's records (``rows``) against ours; a provider's key leaves ``provider`` out or names its own.

    Uses that began from ``start`` until ``until`` are looked for, else those in the time that the rows cover. The
    tolerances of ``quantity`` and ``amount`` are relative to ours (0.5%), absolute (0.01), or both (0.5%+0.01). Rows
    are found ``by`` id, or where there is none that we know by what was delivered at most ``apart`` seconds earlier or
    later; ``by`` time leaves ids aside. Times without an offset are local in ``zone`` (that of the catalog when
    empty). ``show`` all also lists what is matched; at most ``limit`` rows are listed, and all are counted.
    """

    rows: Annotated[tuple[RowInput, ...], Meta(max_length=ROWS_MAX)]
    provider: Text = ""
    start: Instant = ""
    until: Instant = ""
    quantity: Text = "0"
    amount: Text = "0"
    by: Literal["id", "time"] = "id"
    apart: Annotated[int, Meta(ge=0, le=86_400)] = 60
    zone: Text = ""
    show: Literal["open", "all"] = "open"
    limit: Annotated[int, Meta(ge=1, le=SHOWN_MAX)] = 10_000


def run(engine: Engine, call: Call) -> Reconciliation:
    """Hold a provider's records against our meter and the ledger.

    Raises:
        Refused: NOT_FOUND for another's; UNKNOWN_PROVIDER; BAD_TIME, BAD_QUANTITY for a span or a tolerance;
            BAD_INPUT when more of ours lie in the time than can be held against a file at once.
    """
    given: ReconcileInput = call.given
    provider = _provider(engine, call)
    catalog = engine.terms().catalog
    zone = given.zone or catalog.zone
    zone_of(zone)
    manner = Manner(
        allowed(given.quantity, "quantity"), allowed(given.amount, "amount"), given.apart * _SECOND, given.by == "id"
    )
    asked = _span(given, zone)
    measures = {name for service in catalog.services.values() for name in service.measures}
    theirs = read(given.rows, measures, zone)
    rows = [row for row in theirs.rows if row.at is None or asked.holds(row.at)]
    span = _covered(asked, rows, zone)
    ids = {row.id for row in rows if row.id} if manner.by_id else set[str]()
    all_seeing = call.caller.role in (AccessRole.OPERATOR, AccessRole.AUDITOR)
    sources = None if all_seeing else frozenset(call.caller.sources)
    ours = Gathering(engine, provider, span, manner.apart, ids, sources).all()
    found = reconcile(rows, ours.ours, manner, LabelOf(zone))

    def elsewhere(source: str, id: str) -> Charge | None:
        return delivered_by(engine, source, id) if source else None

    assets = {asset.code: asset for asset in engine.books.assets.values()}
    showing = Showing(provider, manner, theirs.numbers, _told, assets, elsewhere if all_seeing else None)
    listed = [one for one in found if given.show == "all" or one.verdict is not Verdict.MATCHED]
    tallies, drift = tallied(found), drifted(found, manner)
    besides = {code: amount.reduced().text() for code, amount in sorted(ours.besides.items()) if amount}
    return Reconciliation(
        provider=provider,
        start=_told(span.start) if span.start is not None else "",
        until=_told(span.until) if span.until is not None else "",
        zone=zone,
        records=theirs.digest,
        digest=digest_of(found, theirs.digest, tallies, drift, besides, ours.uncharged),
        tallies=tallies,
        drift=drift,
        rows=tuple(showing.row(one) for one in listed[: given.limit]),
        more=max(0, len(listed) - given.limit),
        outside=len(theirs.rows) - len(rows),
        uncharged=ours.uncharged,
        besides=besides,
        bad=bad_first(theirs.bad),
        bad_rows=len(theirs.bad),
        unknown=tuple(theirs.unknown),
    )


def _provider(engine: Engine, call: Call) -> str:
    """Whose records they are."""
    given: ReconcileInput = call.given
    if call.caller.role is AccessRole.PROVIDER:
        if given.provider not in ("", call.caller.party):
            raise nothing()
        return call.caller.party
    if not given.provider:
        raise refuse(RefusalCode.BAD_INPUT, "is missing.", field="provider", fix="Say whose records they are.")
    if given.provider not in engine.terms().catalog.providers and not engine.books.named(given.provider):
        raise refuse(
            RefusalCode.UNKNOWN_PROVIDER, f"there is no provider {given.provider[:60]!r}.", field="provider",
            fix="Name it as the catalog does.",
        )  # fmt: skip
    return given.provider


def _span(given: ReconcileInput, zone: str) -> Span:
    """The time that was asked for; a bound may be a day alone, which begins at its midnight."""
    start, until = (
        instant(f"{text}T00:00:00" if len(text) == 10 else text, field, zone) if text else None
        for text, field in ((given.start, "start"), (given.until, "until"))
    )
    if start is not None and until is not None and until <= start:
        raise refuse(RefusalCode.BAD_TIME, "lies before the start.", field="until", fix="Correct the times.")
    return Span(start, until)


def _covered(asked: Span, rows: list[Theirs], zone: str) -> Span:
    """The time asked for; where it has no bound, that of the rows when they say one."""
    starts, ends = list[int](), list[int]()
    for row in rows:
        if row.period:
            period = period_named(calendar(row.cycle, zone), row.period)
            starts.append(instant(period.start.isoformat(), "period", zone))
            ends.append(instant(period.end.isoformat(), "period", zone))
        elif row.at is not None:
            starts.append(row.at)
            ends.append(row.at + _SECOND)
    start, until = min(starts, default=None), max(ends, default=None)
    return Span(start if asked.start is None else asked.start, until if asked.until is None else asked.until)


def _told(at: int) -> str:
    return text_of(told_at(at))
