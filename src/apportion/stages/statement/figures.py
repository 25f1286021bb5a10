"""Numbers, units and dates as a document shows them; the record itself keeps them unabridged."""

from __future__ import annotations

from datetime import datetime, timedelta

from apportion.model.calendar import zone_of
from apportion.model.statement import Item
from apportion.money import Exact, Rounding, round_to

_SIGNS = {"m3": "m³", "m2": "m²"}


def grouped(text: str) -> str:
    """Decimal text with its thousands apart: ``5482.17`` as ``5,482.17``; minus as a true minus."""
    sign, number = ("−", text[1:]) if text.startswith("-") else ("", text)
    whole, point, part = number.partition(".")
    return f"{sign}{int(whole):,}{point}{part}" if whole.isdigit() else text


def quantity(text: str, unit: str) -> str:
    """A quantity with its unit, at most three decimals: ``1,049.27 kWh``, ``3:25:07 h``, ``3,812 tokens``."""
    exact = Exact.parse(text)
    if unit == "s":
        return _clock(exact)
    short = round_to(exact, 3, Rounding.HALF_EVEN).text()
    return f"{grouped(short)} {units(unit, short)}".rstrip()


def _clock(seconds: Exact) -> str:
    whole = round_to(seconds, 0, Rounding.HALF_EVEN).num
    minutes, rest = divmod(abs(whole), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{'−' if whole < 0 else ''}{hours:,}:{minutes:02}:{rest:02} h"


def units(unit: str, number: str) -> str:
    """A unit for a number: words take a plural, symbols do not."""
    if unit.isalpha() and unit.islower() and len(unit) > 3 and number != "1":
        return unit + "s"
    return _SIGNS.get(unit, unit)


def amount_of(item: Item) -> str:
    """What was used of a line: its quantity, or how often."""
    return quantity(item.quantity, item.unit) if item.quantity and item.unit else f"{item.uses:,} ×"


def price_of(item: Item) -> str:
    """The unit price of a line, when it was one throughout."""
    price, per, size = item.price.partition(" per ")
    if not price or not price[0].isdigit():
        return ""
    if not item.unit:
        return price
    if item.unit == "s" and size in ("60", "3600"):
        return f"{price} / {'min' if size == '60' else 'h'}"
    return f"{price} / {grouped(size) + ' ' + units(item.unit, size) if per else units(item.unit, '1')}"


def day(instant: str, zone: str) -> str:
    """The local date of an instant, in words."""
    local = datetime.fromisoformat(instant).astimezone(zone_of(zone))
    return f"{local.day} {local:%B %Y}"


def local_day(instant: str, zone: str, *, before: bool = False) -> tuple[int, int, int]:
    """Year, month and day of an instant, in local time; with ``before`` of the last moment before it."""
    local = datetime.fromisoformat(instant).astimezone(zone_of(zone)) - timedelta(microseconds=before)
    return local.year, local.month, local.day


def last_day(end: str, zone: str) -> str:
    """The last local date before an exclusive end."""
    local = datetime.fromisoformat(end).astimezone(zone_of(zone)) - timedelta(microseconds=1)
    return f"{local.day} {local:%B %Y}"


def span(start: str, end: str, zone: str) -> str:
    """A period in words: ``1 to 31 August 2016``."""
    first, last = day(start, zone), last_day(max(end, start), zone) if end > start else day(start, zone)
    day_of, _, rest = first.partition(" ")
    if first == last:
        return first
    return f"{day_of} to {last}" if last.endswith(rest) else f"{first} to {last}"


def decimals(exact: str, places: int = 12) -> str:
    """An exact amount as far as a reader follows it: at most ``places`` decimals, marked when there are more."""
    over, _, under = exact.partition("/")
    whole, _, part = over.partition(".")
    value = Exact(int(whole + part), 10 ** len(part) * int(under or 1))
    short = round_to(value, places, Rounding.HALF_EVEN)
    return grouped(short.text()) + ("" if short == value else "…")
