"""What is wrong with a catalog, collected as it is found, and the looks that all its checks share.

A check gives the dotted path of a field (``where``), what is wrong and how to mend it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime

import msgspec

from apportion.errors import Refusal, RefusalCode, Refused
from apportion.model.agreement import Service
from apportion.model.catalog import Catalog
from apportion.model.session_check import of_period
from apportion.model.tariff import Tariff
from apportion.model.tariff_check import check
from apportion.money import Asset, Exact, Money, parse_asset

ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
#: Rules under which the price of a part counts by itself, so that it may be in a currency of its own.
CONVERTS = ("wholesale", "cost")
_UNKNOWN = {
    "services": RefusalCode.UNKNOWN_SERVICE,
    "tariffs": RefusalCode.UNKNOWN_TARIFF,
    "providers": RefusalCode.UNKNOWN_PROVIDER,
    "payers": RefusalCode.UNKNOWN_PAYER,
}


def near(name: str, known: Iterable[str]) -> str:
    """``Did you mean …?`` when a known name is close to ``name``, otherwise nothing."""
    if len(name) > 64:  # what strangers send must not cost more than reading it
        return ""
    close = difflib.get_close_matches(name, list(known)[:200], n=1)
    return f"Did you mean {close[0]!r}?" if close else ""


class Findings:
    """Collects what is wrong, and knows which names the catalog has."""

    def __init__(self, catalog: Catalog, unread: Collection[str]) -> None:
        self.catalog, self._unread = catalog, unread
        self.networks = {*catalog.networks, *(one.network for one in catalog.providers.values() if one.network)}
        self.refusals: list[Refusal] = []

    def add(self, where: str, message: str, fix: str = "", code: RefusalCode = RefusalCode.CATALOG_INVALID) -> None:
        self.refusals.append(Refusal(code, message, field=where.rpartition(".")[2], fix=fix, where=where))

    def id(self, where: str, key: str, id: str) -> None:
        """A record's id is the key it stands under, and one that can stand in paths, columns and addresses."""
        if key != id:
            self.add(f"{where}.id", f"is {id!r}, but stands under {key!r}.", "Leave it out, or make them equal.")
        self.name(where, key)

    def name(self, where: str, key: str, pattern: re.Pattern[str] = ID) -> None:
        if not pattern.fullmatch(key):
            signs = "._-" if pattern is ID else "_-"
            self.add(
                where,
                f"{key[:80]!r} can not be a name here.",
                f"Use up to 64 of a-z, 0-9 and {signs}, beginning with a letter or digit.",
            )

    def exists(self, where: str, table: str, name: str) -> bool:
        """Whether ``name`` stands in ``table`` and could be read; reports it when it does not stand there."""
        names = getattr(self.catalog, table)
        if name in names:
            return True
        prefix = f"{table}."
        if prefix + name not in self._unread:
            unread = [path.removeprefix(prefix) for path in self._unread if path.startswith(prefix)]
            fix = near(name, [*names, *unread]) or "Name one of those that are there, or add it."
            self.add(
                where,
                f"there is no {table.removesuffix('s')} {name[:80]!r}.",
                fix,
                _UNKNOWN.get(table, RefusalCode.CATALOG_INVALID),
            )
        return False

    def network(self, where: str, name: str) -> None:
        """A network is known when it has a record of its own, or is a provider's."""
        if name not in self.networks and f"networks.{name}" not in self._unread:
            fix = near(name, self.networks) or "Add it to the networks."
            self.add(where, f"there is no network {name[:80]!r}.", fix)

    def asset(self, where: str, text: str) -> Asset | None:
        """The asset that a currency means in this catalog's store; reports one that means nothing."""
        code, slash, _ = text.partition("/")
        scale = self.catalog.currencies.get(code)
        try:
            asset = parse_asset(text if slash or scale is None else f"{text}/{scale}", store=True)
        except Refused as refused:
            self.add(where, refused.refusal.message, refused.refusal.fix, refused.refusal.code)
            return None
        settled = scale if scale is not None else _own_scale(code)
        if settled is not None and asset.scale != settled:
            self.add(
                where,
                f"has the scale {asset.scale}, but a store keeps one scale for {code}: {settled}.",
                f"Write {code}; the table currencies sets its scale.",
                RefusalCode.ASSET_MISMATCH,
            )
        return asset

    def number(self, where: str, text: str, least: int = 0, most: int | None = None) -> Exact | None:
        """A number within bounds; reports any other."""
        try:
            number = Exact.parse(text)
        except Refused as refused:
            self.add(where, refused.refusal.message, refused.refusal.fix)
            return None
        if number < Exact(least) or (most is not None and number > Exact(most)):
            bounds = f"{least} or more" if most is None else f"{least} to {most}"
            self.add(where, f"{text} is not {bounds}.", f"Write a number of {bounds}.")
            return None
        return number

    def fraction(self, where: str, text: str) -> None:
        """A fraction of time or of uses: above 0, up to 1."""
        number = self.number(where, text, 0, 1)
        if number is not None and not number:
            self.add(where, "is zero.", "Write a fraction above 0 and up to 1, such as 0.999.")

    def positive(self, where: str, text: str) -> None:
        """A number above zero."""
        number = self.number(where, text)
        if number is not None and not number:
            self.add(where, "is zero.", "Write a number above zero.")

    def amount(self, where: str, text: str, asset: Asset) -> Money | None:
        """An amount of zero or more; reports any other."""
        try:
            money = Money.parse(text, asset)
        except Refused as refused:
            self.add(where, refused.refusal.message, refused.refusal.fix, refused.refusal.code)
            return None
        if money.atoms < 0:
            self.add(where, f"{text} is negative.", "Use zero or more.", RefusalCode.BAD_AMOUNT)
            return None
        return money

    def instant(self, where: str, text: str) -> datetime | None:
        """An RFC 3339 instant as UTC; reports what is none, and takes a blank for an open end."""
        if not text:
            return None
        try:
            if not _INSTANT.fullmatch(text):
                raise ValueError
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            fix = "Such as 2026-01-31T18:00:00Z."
            self.add(where, f"{text[:40]!r} is not an RFC 3339 instant.", fix, RefusalCode.BAD_TIME)
            return None

    def span(self, where: str, begin: str, end: str) -> None:
        """A validity: two instants, the second after the first."""
        first, last = self.instant(f"{where}.valid_from", begin), self.instant(f"{where}.valid_until", end)
        if first is not None and last is not None and last <= first:
            fix = "Correct the dates."
            self.add(f"{where}.valid_until", "does not lie after valid_from.", fix, RefusalCode.BAD_TIME)

    def tariff(self, where: str, tariff: Tariff) -> None:
        """What contradicts itself in a tariff."""
        wrong = check(tariff)
        for refusal in wrong:
            path = f"{where}.{refusal.field}"
            self.refusals.append(msgspec.structs.replace(refusal, where=path, field=path.rpartition(".")[2]))
        if not any(refusal.field == "currency" for refusal in wrong):
            self.asset(f"{where}.currency", tariff.currency)

    def fits(self, where: str, tariff: Tariff, service: Service, *, converts: bool = False) -> None:
        """A tariff that a service uses prices measures that it has, in the currency of its retail tariff.

        With ``converts`` another currency will do, when there is a rate and neither tariff counts over a period.
        """
        retail, name = self.catalog.tariffs.get(service.retail), tariff.id
        if retail is not None and tariff.currency.partition("/")[0] != retail.currency.partition("/")[0]:
            self._converts(where, tariff, retail, service if converts else None)
        for measure in dict.fromkeys(_needed(tariff)):
            self.measure(where, measure, service)
        attributes = (*service.attributes, *service.personal, *service.evidence)
        if tariff.deck is not None and tariff.deck.by not in attributes:
            by = tariff.deck.by
            fix = near(by, attributes) or f"Add {by} to the attributes of {service.id}."
            self.add(where, f"the deck of {name!r} goes by {by!r}, which the service does not have.", fix)

    def _converts(self, where: str, tariff: Tariff, retail: Tariff, service: Service | None) -> None:
        """The price of a part in another currency than the service's: only as it can be converted use by use."""
        code, own = (one.currency.partition("/")[0] for one in (tariff, retail))
        words = f"the tariff {tariff.id!r} is in {tariff.currency}, the retail tariff in {retail.currency}"
        fix = "Use one currency for all tariffs of a service."
        if service is None:
            self.add(where, f"{words}.", fix, RefusalCode.ASSET_MISMATCH)
            return
        if not self.exchanges(code, own):
            fix = f"Add a rate from {code} to {own} to the rates, or use one currency."
            self.add(where, f"{words}, and no rate converts.", fix, RefusalCode.NO_RATE)
        why = of_period(tariff) or of_period(retail)
        if why:
            message = f"{words}, and a price is converted use by use: of one of them, {why}."
            self.add(where, message, fix, RefusalCode.ASSET_MISMATCH)
        if service.allocate == "least-cost" or service.market.retail == "passed-on":
            message = f"{words}, and its price is part of what payers compare."
            self.add(where, message, fix, RefusalCode.ASSET_MISMATCH)

    def exchanges(self, code: str, other: str) -> bool:
        """Whether some rate of the catalog converts between two currencies, in either direction."""
        return any({rate.base, rate.to} == {code, other} for rate in self.catalog.rates)

    def measure(self, where: str, measure: str, service: Service) -> None:
        """A measure that the service has."""
        if measure not in service.measures:
            fix = near(measure, service.measures) or f"Add {measure} to the measures of {service.id}, with its unit."
            self.add(where, f"the service {service.id!r} has no measure {measure!r}.", fix, RefusalCode.MEASURE_MISSING)

    def part(self, where: str, part: str, service: Service) -> bool:
        """A part that the service has."""
        if part in service.parts:
            return True
        fix = near(part, service.parts) or "One of " + ", ".join(list(service.parts)[:20]) + "."
        self.add(where, f"the service has no part {part!r}.", fix, RefusalCode.UNKNOWN_PART)
        return False

    def asset_of(self, service: Service) -> Asset | None:
        """The asset of a service's retail tariff; None where the tariff has findings of its own."""
        retail = self.catalog.tariffs.get(service.retail)
        if retail is None:
            return None
        code, slash, _ = retail.currency.partition("/")
        scale = self.catalog.currencies.get(code)
        try:
            return parse_asset(code if slash or scale is None else f"{code}/{scale}", store=True)
        except Refused:
            return None


def _own_scale(code: str) -> int | None:
    try:
        return parse_asset(code, store=True).scale
    except Refused:
        return None


def _needed(tariff: Tariff) -> Iterator[str]:
    """The measures that a use must state to be priced by this tariff."""
    for component in tariff.components:
        if component.measure and not component.optional and not getattr(component, "time", False):
            yield component.measure
