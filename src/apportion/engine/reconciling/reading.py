"""Their rows as they came, made into what can be compared: each cell checked, rows that make no sense set aside."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from blake3 import blake3
from msgspec import Meta

from apportion.engine.exchange import Input, Text
from apportion.errors import Refusal, RefusalCode, Refused, refuse
from apportion.model.calendar import Calendar, period_named, period_of, zone_of
from apportion.model.reconciliation import BadRow
from apportion.money import Exact
from apportion.stages.meter.compare import Allowed, Theirs

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_CYCLES = {
    "day": re.compile(r"\d{4}-\d\d-\d\d"),
    "week": re.compile(r"\d{4}-W\d\d"),
    "month": re.compile(r"\d{4}-\d\d"),
}
_COUNT = re.compile(r"[0-9]{1,9}", re.ASCII)
_PERCENT = re.compile(r"([0-9.]{1,40})%(?:\+([0-9.]{1,40}))?|([0-9.]{1,40})", re.ASCII)
_CODE = re.compile(r"[A-Z]{3,8}")
BAD_MOST = 1000


class RowInput(Input, frozen=True, omit_defaults=True):
    """A row of theirs, as text. ``row`` is its line in their file; its place in the list when 0.

    One delivered use has an ``id`` that we know (with its ``source``), or a ``start``. A row that has ``uses`` is the
    sum of so many; also one of a ``day`` or ``period`` (2026-11, 2026-W47), or of a session by its id. ``quantities``
    are by measure; other names in it are reported and not compared.
    """

    row: Annotated[int, Meta(ge=0, le=1 << 40)] = 0
    source: Text = ""
    id: Text = ""
    service: Text = ""
    part: Text = ""
    start: Text = ""
    end: Text = ""
    day: Text = ""
    period: Text = ""
    uses: Text = ""
    quantities: Annotated[dict[str, Text], Meta(max_length=1000)] = {}
    amount: Text = ""
    currency: Text = ""


class Read(msgspec.Struct):
    """What was read: rows by their place, the refused, names that no service measures, and a digest of it all.

    ``numbers`` are the lines in their file, by place.
    """

    rows: list[Theirs]
    numbers: list[int]
    bad: list[BadRow]
    unknown: list[str]
    digest: str


def read(given: Sequence[RowInput], measures: Collection[str], zone: str) -> Read:
    """Read all rows; times without an offset are local in ``zone``."""
    found, digests = Read([], [], [], [], ""), list[str]()
    unknown: set[str] = set()
    for place, row in enumerate(given):
        number = row.row or place + 1
        cells = msgspec.structs.replace(row, row=0)
        digest = blake3(msgspec.json.encode(cells, order="deterministic")).hexdigest(16)
        digests.append(digest)
        found.numbers.append(number)
        unknown.update(name for name in row.quantities if name not in measures)
        try:
            found.rows.append(_row(row, place, digest, measures, zone))
        except Refused as refused:
            found.bad.append(BadRow(number, refused.refusal))
    found.unknown = sorted(name[:80] for name in unknown)[:100]
    found.digest = blake3("\n".join(sorted(digests)).encode()).hexdigest()
    return found


def _row(row: RowInput, place: int, digest: str, measures: Collection[str], zone: str) -> Theirs:
    quantities = {
        name: Exact.parse(_plain(text, f"quantities.{name}"), field=f"quantities.{name}")
        for name, text in row.quantities.items()
        if name in measures and text
    }
    amount = Exact.parse(_plain(row.amount, "amount"), field="amount") if row.amount else None
    if row.currency and not _CODE.fullmatch(row.currency):
        raise refuse(RefusalCode.UNKNOWN_ASSET, "is no code of a currency.", field="currency", fix="Such as EUR.")
    uses = _uses(row.uses)
    session = row.id.startswith("ses_") and not row.source
    period, cycle = _period(row, zone)
    start = instant(row.start, "start", zone) if row.start else None
    if row.end and instant(row.end, "end", zone) < (start if start is not None else 0):
        raise refuse(RefusalCode.BAD_TIME, "lies before the start.", field="end", fix="Correct the times.")
    summed = uses is not None or bool(period) or session
    if not summed and not row.id and start is None:
        raise refuse(
            RefusalCode.BAD_INPUT, "has neither an id nor a start.", field="id",
            fix="Name the use by its id, or say when it began; a sum says how many uses it is of.",
        )  # fmt: skip
    if summed and row.id and not session:
        raise refuse(RefusalCode.BAD_INPUT, "is of one use, and the row is a sum.", field="id", fix="Leave it out.")
    return Theirs(
        place, digest, "" if session else row.id, row.id if session else row.source, row.service, row.part,
        None if summed else start, quantities, amount, row.currency, summed, uses, period, cycle,
    )  # fmt: skip


def _plain(text: str, field: str) -> str:
    if "/" in text:
        raise refuse(RefusalCode.BAD_QUANTITY, "is a fraction.", field=field, fix="Write a decimal, such as 0.25.")
    return text


def _uses(text: str) -> int | None:
    if not text:
        return None
    if not _COUNT.fullmatch(text):
        raise refuse(RefusalCode.BAD_QUANTITY, "is no count of uses.", field="uses", fix="Such as 17.")
    return int(text)


def _period(row: RowInput, zone: str) -> tuple[str, str]:
    """The period of a sum and its cycle; nothing when it names none."""
    text = row.day or row.period
    if not text:
        return "", ""
    field = "day" if row.day else "period"
    for cycle, form in _CYCLES.items():
        if form.fullmatch(text) and (cycle == "day" or not row.day):
            try:
                return period_named(calendar(cycle, zone), text).key, cycle
            except Refused as refused:
                raise Refused(msgspec.structs.replace(refused.refusal, field=field)) from None
    raise refuse(RefusalCode.BAD_TIME, "names no period.", field=field, fix="Such as 2026-11-20, 2026-W47 or 2026-11.")


def calendar(cycle: str, zone: str) -> Calendar:
    """Plain days, ISO weeks or months of a zone."""
    return msgspec.convert({"zone": zone, "cycle": cycle}, Calendar)


class LabelOf:
    """The day, week or month of a zone that an instant lies in, by name; each half minute is looked up once."""

    def __init__(self, zone: str) -> None:
        self._calendars = {cycle: calendar(cycle, zone) for cycle in _CYCLES}
        self._known: dict[tuple[int, str], str] = {}

    def __call__(self, at: int, cycle: str) -> str:
        place = at // 30_000_000, cycle  # no zone begins its day within one
        found = self._known.get(place)
        if found is None:
            found = self._known[place] = period_of(self._calendars[cycle], told_at(at)).key
        return found


def instant(text: str, field: str, zone: str) -> int:
    """An RFC 3339 time as microseconds since 1970; without an offset it is local in ``zone``.

    Raises:
        Refused: BAD_TIME.
    """
    try:
        when = datetime.fromisoformat(text)
        if when.tzinfo is None:
            when = when.replace(tzinfo=zone_of(zone))
        if "T" in text.upper() or " " in text:
            if 1970 < when.year < 9000:
                return (when.astimezone(UTC) - _EPOCH) // _MICRO
    except ValueError:
        pass
    raise refuse(
        RefusalCode.BAD_TIME,
        f"{text[:40]!a} is not an RFC 3339 time.",
        field=field,
        fix="Such as 2026-01-31T18:00:00Z.",
    )


def told_at(at: int) -> datetime:
    """The instant of so many microseconds."""
    return _EPOCH + at * _MICRO


def allowed(text: str, field: str) -> Allowed:
    """A tolerance: ``0.5%`` of ours, an absolute ``0.01``, or the sum of the two, ``0.5%+0.01``.

    Raises:
        Refused: BAD_QUANTITY.
    """
    match = _PERCENT.fullmatch(text or "0")
    if match is None:
        raise refuse(
            RefusalCode.BAD_QUANTITY, f"{text[:40]!a} is no tolerance.", field=field,
            fix="Such as 0.5%, or 0.01, or 0.5%+0.01.",
        )  # fmt: skip
    hundredth = Exact(1, 100)
    relative = Exact.parse(match[1], field=field) * hundredth if match[1] else Exact(0)
    absolute = match[2] or match[3]
    return Allowed(relative, Exact.parse(absolute, field=field) if absolute else Exact(0))


def bad_first(bad: Sequence[BadRow], more: Sequence[tuple[int, Refusal]] = ()) -> tuple[BadRow, ...]:
    """Refused rows in the order of lines, as many as are told."""
    rows = [*bad, *(BadRow(row, refusal) for row, refusal in more)]
    return tuple(sorted(rows, key=lambda one: one.row)[:BAD_MOST])
