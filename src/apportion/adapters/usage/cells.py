"""Single values of usage files: ids, labels, quantities, instants, payers. What is odd is refused by name.

One value has one text: ids and labels are in Unicode's composed form (NFC), quantities are plain decimals without
needless zeros, instants are UTC. So the same record gives the same bytes, whichever format it came in.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta

import msgspec

from apportion.adapters.usage.batch import shown
from apportion.errors import Misconfigured, RefusalCode, Refused, refuse
from apportion.model.calendar import zone_of
from apportion.model.usage import PayerUse
from apportion.money import Exact

ID_MAX, LABEL_MAX, PAYERS_MAX, DIGITS_MAX = 255, 1024, 1000, 40
_TIME_MAX = 64
_YEARS = range(1970, 9000)
_PLAIN = re.compile(r"0|-?(?:0|[1-9][0-9]{0,38})\.[0-9]{0,38}[1-9]|-?[1-9][0-9]{0,38}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FINE = re.compile(r"(\.[0-9]{6})[0-9]+")
_HOUR = timedelta(hours=1)


def ident(text: str | None, field: str) -> str:
    """An id: printable, at most 255 characters, no spaces around it, in NFC; missing ones are refused."""
    if text and len(text) <= ID_MAX and text.isascii() and text.isprintable() and text[0] != " " and text[-1] != " ":
        return text
    if not text:
        raise refuse(RefusalCode.BAD_INPUT, "is missing.", field=field, fix="Fill it in.")
    if len(text) > ID_MAX:
        raise refuse(RefusalCode.BAD_INPUT, f"has more than {ID_MAX} characters.", field=field, fix="Shorten it.")
    normal = unicodedata.normalize("NFC", text)
    if not normal.isprintable() or normal != normal.strip():
        raise refuse(
            RefusalCode.BAD_INPUT,
            f"{shown(text)} has spaces around it or characters that do not print.",
            field=field,
            fix="Remove them.",
        )
    return normal


def label(text: str, field: str) -> str:
    """The value of an attribute: at most 1,024 characters, no control characters, in NFC."""
    if len(text) > LABEL_MAX:
        raise refuse(RefusalCode.BAD_INPUT, f"has more than {LABEL_MAX} characters.", field=field, fix="Shorten it.")
    if text.isascii() and text.isprintable():
        return text
    if _CONTROL.search(text) or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise refuse(RefusalCode.BAD_INPUT, f"{shown(text)} has control characters.", field=field, fix="Remove them.")
    return unicodedata.normalize("NFC", text)


def number(text: str, field: str) -> str:
    """A quantity as a plain decimal without needless zeros: ``0.50`` → ``0.5``, ``1e-7`` → ``0.0000001``.

    A negative one is a credit; whether it may stand here is decided where it is priced.

    Raises:
        Refused: BAD_QUANTITY when it is no number, or has more than 40 digits written out.
    """
    if len(text) <= DIGITS_MAX and _PLAIN.fullmatch(text):
        return text
    if "/" in text:
        raise refuse(RefusalCode.BAD_QUANTITY, "is a fraction.", field=field, fix="Write a decimal, such as 0.25.")
    exact = Exact.parse(text, field=field)
    plain = exact.text()
    if len(plain.lstrip("-").replace(".", "")) > DIGITS_MAX:
        raise refuse(
            RefusalCode.BAD_QUANTITY, f"has more than {DIGITS_MAX} digits.", field=field, fix="Use a larger unit."
        )
    return plain


def weight(text: str, field: str) -> str:
    """A payer's fixed share: a decimal or a fraction (``1/3``), zero or more; BAD_WEIGHT when it is neither."""
    try:
        exact = Exact.parse(text, field=field)
    except Refused as refused:
        raise refuse(
            RefusalCode.BAD_WEIGHT, refused.refusal.message, field=field, fix="Such as 2, 0.5 or 1/3."
        ) from None
    if text.startswith("-"):
        raise refuse(RefusalCode.BAD_WEIGHT, f"{shown(text)} is negative.", field=field, fix="Use zero or more.")
    return exact.text()


def seconds(text: str, field: str) -> timedelta:
    """A duration in seconds (decimal text); what is finer than a microsecond is cut off."""
    exact = Exact.parse(number(text, field), field=field)
    if exact.num < 0:
        raise refuse(RefusalCode.BAD_TIME, f"{text} is negative.", field=field, fix="Correct the duration.")
    try:
        return timedelta(microseconds=exact.num * 1_000_000 // exact.den)
    except OverflowError:
        raise refuse(RefusalCode.BAD_TIME, "is longer than the calendar.", field=field, fix="Use seconds.") from None


def payers(text: str, field: str = "payer") -> dict[str, PayerUse]:
    """Payers of one cell: ``alice``; ``alice;bob``; ``alice=2;bob=1``; ``-carol`` takes part but pays nothing."""
    found: dict[str, PayerUse] = {}
    if text.count(";") >= PAYERS_MAX:
        raise refuse(RefusalCode.BAD_INPUT, f"names more than {PAYERS_MAX} payers.", field=field, fix="Split the use.")
    for item in text.split(";"):
        name, equals, share = item.partition("=")
        pays = not name.startswith("-")
        name = ident(name if pays else name[1:], field)
        if name in found:
            raise refuse(RefusalCode.BAD_INPUT, f"names {shown(name)} twice.", field=field, fix="Name each once.")
        found[name] = PayerUse(name, weight(share, field) if equals else "", {}, pays)
    return found


class Instants:
    """Reads instants; those without an offset are local in ``zone`` (IANA), and all come out as UTC.

    A local time that does not exist, because the clock was put forward, is refused. One that exists twice is the
    first, unless as an end that would put it before its start; write the offset to mean the second.
    """

    def __init__(self, zone: str) -> None:
        try:
            self._zone = zone_of(zone)
        except Refused as refused:
            raise Misconfigured(str(refused), (refused.refusal,)) from None
        self._is_utc = zone in ("UTC", "Etc/UTC", "Z")
        self._offsets: dict[datetime, timedelta | None] = {}

    def read(self, text: str | datetime | None, field: str, after: datetime | None = None) -> datetime:
        """RFC 3339 text (or a datetime) as UTC; without offset it is local; ``after`` is the start of this end.

        Raises:
            Refused: BAD_TIME. Epoch numbers are refused too: their unit can not be told.
        """
        found = text if isinstance(text, datetime) else self._parse(text, field)
        if found.tzinfo is UTC:
            return found if found.year in _YEARS else self._far(field)
        if found.tzinfo is None:
            return self._local(found, field, after)
        try:
            found = found.astimezone(UTC)
        except OverflowError:
            return self._far(field)
        return found if found.year in _YEARS else self._far(field)

    def _local(self, naive: datetime, field: str, after: datetime | None = None) -> datetime:
        """A local time without offset as UTC."""
        if naive.year not in _YEARS:
            return self._far(field)
        if self._is_utc:
            return naive.replace(tzinfo=UTC)
        hour = naive.replace(minute=0, second=0, microsecond=0)
        if hour not in self._offsets:
            if len(self._offsets) > 10_000:
                self._offsets.clear()
            self._offsets[hour] = self._steady(hour)
        offset = self._offsets[hour]
        if offset is not None:
            return (naive - offset).replace(tzinfo=UTC)
        first = naive.replace(tzinfo=self._zone).astimezone(UTC)
        if first.astimezone(self._zone).replace(tzinfo=None) != naive:
            raise refuse(
                RefusalCode.BAD_TIME,
                f"{naive.isoformat(' ')} does not exist in {self._zone.key}: the clock is put forward then.",
                field=field,
                fix="Write the time with its offset.",
            )
        if after is not None and first < after:
            return naive.replace(tzinfo=self._zone, fold=1).astimezone(UTC)
        return first

    def _steady(self, hour: datetime) -> timedelta | None:
        """The offset from UTC all through a local hour; None when the clock changes in or beside it."""
        around = {
            (hour + step).replace(tzinfo=self._zone, fold=fold).utcoffset()
            for step in (-_HOUR, timedelta(0), _HOUR, 2 * _HOUR)
            for fold in (0, 1)
        }
        return around.pop() if len(around) == 1 else None

    def _parse(self, text: str | None, field: str) -> datetime:
        if text and len(text) <= _TIME_MAX:
            if len(text) > 26:  # finer than microseconds is cut off, as in Parquet; msgspec would round it
                text = _FINE.sub(r"\1", text)
            try:
                return msgspec.convert(text, datetime)
            except msgspec.ValidationError:
                pass
        if not text:
            raise refuse(RefusalCode.BAD_TIME, "is missing.", field=field, fix="Such as 2026-01-31T18:00:00Z.")
        raise refuse(
            RefusalCode.BAD_TIME,
            f"{shown(text)} is not an RFC 3339 time.",
            field=field,
            fix="Write 2026-01-31T18:00:00Z, or 2026-01-31T18:00:00 for local time; epoch numbers are not read.",
        )

    def _far(self, field: str) -> datetime:
        raise refuse(RefusalCode.BAD_TIME, "is outside the years 1970 to 8999.", field=field, fix="Correct the year.")
