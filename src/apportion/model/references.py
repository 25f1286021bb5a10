"""What a catalog's records say of one another: every name must lead somewhere, every rule must have what it needs.

``check_catalog`` reports all findings at once. The place of each (``where``) is the dotted path of the field, as in
``services.chat.parts.model.wholesale.hosta``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from itertools import pairwise

import msgspec

from apportion.errors import Refusal, RefusalCode, Refused
from apportion.model.agreement import Agreement, Part, Service
from apportion.model.calendar import Calendar, check_calendar, zone_of
from apportion.model.catalog import Catalog
from apportion.model.credit_check import check_credit
from apportion.model.funding_check import check_funding
from apportion.model.party import Payer, UnknownPayers
from apportion.model.session_check import check_sessions
from apportion.model.tariff import Tariff
from apportion.model.tariff_check import check
from apportion.money import Asset, Exact, Money, parse_asset
from apportion.money.asset import SCALE_MAX, minor_digits

#: Columns of a usage file that no measure or attribute may be named after.
RECORD_COLUMNS = ("source", "id", "service", "start", "end", "duration", "payer")
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_EVER, _NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_UNKNOWN = {
    "services": RefusalCode.UNKNOWN_SERVICE,
    "tariffs": RefusalCode.UNKNOWN_TARIFF,
    "providers": RefusalCode.UNKNOWN_PROVIDER,
    "payers": RefusalCode.UNKNOWN_PAYER,
}


def check_catalog(catalog: Catalog, unread: Collection[str] = ()) -> list[Refusal]:
    """Everything in a catalog that contradicts itself; an empty list when nothing does.

    ``unread`` are paths of records that stand in the file but could not be read (``tariffs.peak``): names that lead
    to one of them are not reported a second time.
    """
    found = _Findings(catalog, unread)
    _zone(found, catalog.zone)
    for code, scale in catalog.currencies.items():
        _currency_scale(found, code, scale)
    for name, provider in catalog.providers.items():
        found.id(f"providers.{name}", name, provider.id)
    for name, tariff in catalog.tariffs.items():
        _tariff(found, name, tariff)
    for name, service in catalog.services.items():
        _service(found, name, service)
    for name, payer in catalog.payers.items():
        found.id(f"payers.{name}", name, payer.id)
        _terms(found, f"payers.{name}", payer)
        _funding(found, f"payers.{name}", payer)
    if catalog.unknown_payers is not None:
        _terms(found, "unknown_payers", catalog.unknown_payers)
    for name, agreement in catalog.agreements.items():
        found.id(f"agreements.{name}", name, agreement.id)
        _agreement(found, name, agreement)
    _overlaps(found, catalog.agreements)
    for where, message, fix in (*check_credit(catalog), *check_sessions(catalog)):
        found.add(where, message, fix)
    return found.refusals


def canonical(catalog: Catalog) -> bytes:
    """The one JSON text of a catalog, for hashing: keys sorted, defaults left out, no spaces, UTF-8."""
    return msgspec.json.encode(catalog, order="sorted")


def near(name: str, known: Iterable[str]) -> str:
    """``Did you mean …?`` when a known name is close to ``name``, otherwise nothing."""
    if len(name) > 64:  # what strangers send must not cost more than reading it
        return ""
    close = difflib.get_close_matches(name, list(known)[:200], n=1)
    return f"Did you mean {close[0]!r}?" if close else ""


class _Findings:
    """Collects what is wrong, and knows which names the catalog has."""

    def __init__(self, catalog: Catalog, unread: Collection[str]) -> None:
        self.catalog, self._unread = catalog, unread
        self.refusals: list[Refusal] = []

    def add(self, where: str, message: str, fix: str = "", code: RefusalCode = RefusalCode.CATALOG_INVALID) -> None:
        self.refusals.append(Refusal(code, message, field=where.rpartition(".")[2], fix=fix, where=where))

    def id(self, where: str, key: str, id: str) -> None:
        """A record's id is the key it stands under, and one that can stand in paths, columns and addresses."""
        if key != id:
            self.add(f"{where}.id", f"is {id!r}, but stands under {key!r}.", "Leave it out, or make them equal.")
        self.name(where, key)

    def name(self, where: str, key: str, pattern: re.Pattern[str] = _ID) -> None:
        if not pattern.fullmatch(key):
            signs = "._-" if pattern is _ID else "_-"
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
            self.add(where, f"there is no {table.removesuffix('s')} {name[:80]!r}.", fix, _UNKNOWN[table])
        return False

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


def _own_scale(code: str) -> int | None:
    try:
        return parse_asset(code, store=True).scale
    except Refused:
        return None


def _zone(found: _Findings, zone: str) -> None:
    try:
        zone_of(zone)
    except Refused as refused:
        found.add("zone", refused.refusal.message, refused.refusal.fix, RefusalCode.BAD_TIME)


def _currency_scale(found: _Findings, code: str, scale: int) -> None:
    where, least = f"currencies.{code}", minor_digits(code) or 0
    try:
        parse_asset(f"{code}/0")
    except Refused as refused:
        found.add(where, refused.refusal.message, "Write a code in capitals, such as USD.", refused.refusal.code)
    if not least <= scale <= SCALE_MAX:
        found.add(where, f"the scale {scale} is not {least} to {SCALE_MAX}.", "9 suits most currencies.")


def _tariff(found: _Findings, name: str, tariff: Tariff) -> None:
    where = f"tariffs.{name}"
    found.id(where, name, tariff.id)
    wrong = check(tariff)
    for refusal in wrong:
        path = f"{where}.{refusal.field}"
        found.refusals.append(msgspec.structs.replace(refusal, where=path, field=path.rpartition(".")[2]))
    if not any(refusal.field == "currency" for refusal in wrong):
        found.asset(f"{where}.currency", tariff.currency)


def _service(found: _Findings, name: str, service: Service) -> None:
    where = f"services.{name}"
    found.id(where, name, service.id)
    _words(found, where, service)
    retail = found.exists(f"{where}.retail", "tariffs", service.retail)
    for part_name, part in service.parts.items():
        at = f"{where}.parts.{part_name}"
        found.name(at, part_name)
        if part_name.split(".")[0] in ("payer", "provider"):
            found.add(at, f"{part_name!r} can not be a part: usage files read it otherwise.", "Name it differently.")
        _part(found, at, part, service)
    _platform(found, where, service)
    for payer in service.exempt:
        if found.catalog.unknown_payers is None:
            found.exists(f"{where}.exempt", "payers", payer)
    if service.sponsor:
        found.name(f"{where}.sponsor", service.sponsor)
    if retail:
        _tariff_fits(found, f"{where}.retail", service.retail, service)
    if service.apportion == "shares":
        _shares(found, where, service)


def _words(found: _Findings, where: str, service: Service) -> None:
    """Measures and attributes are columns of usage files, so each needs a name of its own."""
    lists = {"measures": service.measures, "attributes": service.attributes}
    lists |= {"personal": service.personal, "evidence": service.evidence}
    for field, names in lists.items():
        for word in names:
            found.name(f"{where}.{field}.{word}", word, _WORD)
            if word in RECORD_COLUMNS:
                found.add(f"{where}.{field}.{word}", f"{word!r} means something else in usage files.", "Rename it.")
            if field != "measures" and word in service.measures:
                found.add(f"{where}.{field}.{word}", f"{word!r} is a measure too.", "Rename one of them.")


def _part(found: _Findings, where: str, part: Part, service: Service) -> None:
    rule = service.apportion
    if part.provider:
        found.exists(f"{where}.provider", "providers", part.provider)
    for provider, tariff in part.wholesale.items():
        at = f"{where}.wholesale.{provider}"
        found.exists(at, "providers", provider)
        if found.exists(at, "tariffs", tariff):
            _tariff_fits(found, at, tariff, service)
    if rule in ("wholesale", "cost") and not part.wholesale:
        found.add(f"{where}.wholesale", f"is missing; the rule {rule!r} needs it.", "Map each provider to its tariff.")
    elif rule in ("wholesale", "cost") and part.provider and part.provider not in part.wholesale:
        fix = near(part.provider, part.wholesale) or f"Add wholesale.{part.provider}."
        found.add(f"{where}.provider", f"{part.provider!r} has no wholesale tariff here.", fix)
    if rule == "shares" and not part.share:
        found.add(f"{where}.share", "is missing; the rule 'shares' needs it.", "Give its weight, such as 1.")
    if part.share:
        found.number(f"{where}.share", part.share)
    if rule == "quantity" and not part.measure:
        found.add(f"{where}.measure", "is missing; the rule 'quantity' needs it.", "Name the measure that counts.")
    if part.measure and part.measure not in service.measures:
        _no_measure(found, f"{where}.measure", part.measure, service)


def _no_measure(found: _Findings, where: str, measure: str, service: Service) -> None:
    fix = near(measure, service.measures) or f"Add {measure} to the measures of {service.id}, with its unit."
    found.add(where, f"the service {service.id!r} has no measure {measure!r}.", fix, RefusalCode.MEASURE_MISSING)


def _platform(found: _Findings, where: str, service: Service) -> None:
    """The platform's part: a weight under ``shares``, a fraction under ``quantity`` and ``cost``, else the margin."""
    most = None if service.apportion == "shares" else 1
    platform = found.number(f"{where}.platform", service.platform, 0, most)
    if service.apportion == "wholesale" and platform:
        found.add(
            f"{where}.platform",
            "has no effect under the rule 'wholesale', where the platform keeps the margin.",
            "Leave it out, or choose the rule 'cost', 'quantity' or 'shares'.",
        )


def _shares(found: _Findings, where: str, service: Service) -> None:
    weights = [service.platform, *(part.share for part in service.parts.values())]
    try:
        if not any(Exact.parse(weight) for weight in weights if weight):
            found.add(f"{where}.parts", "all shares are zero.", "Give at least one part a share above zero.")
    except Refused:
        return  # already reported where it stands


def _tariff_fits(found: _Findings, where: str, name: str, service: Service) -> None:
    """A tariff that a service uses prices measures that it has, in the currency of its retail tariff."""
    tariff, retail = found.catalog.tariffs[name], found.catalog.tariffs.get(service.retail)
    code = tariff.currency.partition("/")[0]
    if retail is not None and code != retail.currency.partition("/")[0]:
        found.add(
            where,
            f"the tariff {name!r} is in {tariff.currency}, the retail tariff in {retail.currency}.",
            "Use one currency for all tariffs of a service.",
            RefusalCode.ASSET_MISMATCH,
        )
    for measure in dict.fromkeys(_needed(tariff)):
        if measure not in service.measures:
            _no_measure(found, where, measure, service)
    attributes = (*service.attributes, *service.personal, *service.evidence)
    if tariff.deck is not None and tariff.deck.by not in attributes:
        by = tariff.deck.by
        fix = near(by, attributes) or f"Add {by} to the attributes of {service.id}."
        found.add(where, f"the deck of {name!r} goes by {by!r}, which the service does not have.", fix)


def _needed(tariff: Tariff) -> Iterator[str]:
    """The measures that a use must state to be priced by this tariff."""
    for component in tariff.components:
        if component.measure and not component.optional and not getattr(component, "time", False):
            yield component.measure


def _terms(found: _Findings, where: str, payer: Payer | UnknownPayers) -> None:
    asset = found.asset(f"{where}.currency", payer.currency)
    for field, text in (("credit", payer.credit), ("opening", payer.opening)):
        if asset is not None:
            _amount(found, f"{where}.{field}", text, asset)
    _calendar(found, f"{where}.calendar", payer.calendar)


def _funding(found: _Findings, where: str, payer: Payer) -> None:
    """Alternates and guarantor lead somewhere, and say nothing that contradicts itself."""
    known = {}
    for i, name in enumerate([alternate.payer for alternate in payer.alternates]):
        if name == payer.id or found.exists(f"{where}.alternates.{i}.payer", "payers", name):
            known[name] = found.catalog.payers.get(name, payer).currency
    if payer.guarantor:
        found.exists(f"{where}.guarantor", "providers", payer.guarantor)
    code = payer.currency.partition("/")[0]
    for path, message, fix, refusal in check_funding(payer, known, found.catalog.currencies.get(code)):
        found.add(f"{where}.{path}", message, fix, refusal)


def _amount(found: _Findings, where: str, text: str, asset: Asset) -> None:
    try:
        money = Money.parse(text, asset)
    except Refused as refused:
        found.add(where, refused.refusal.message, refused.refusal.fix, refused.refusal.code)
        return
    if money.atoms < 0:
        found.add(where, f"{text} is negative.", "Use zero or more.", RefusalCode.BAD_AMOUNT)


def _calendar(found: _Findings, where: str, calendar: Calendar) -> None:
    wrong = check_calendar(calendar)
    if wrong:
        found.add(where, wrong, "See the reference of the catalog.")


def _agreement(found: _Findings, name: str, agreement: Agreement) -> None:
    where, catalog = f"agreements.{name}", found.catalog
    has_service = found.exists(f"{where}.service", "services", agreement.service)
    has_tariff = found.exists(f"{where}.tariff", "tariffs", agreement.tariff)
    if has_service and has_tariff:
        _tariff_fits(found, f"{where}.tariff", agreement.tariff, catalog.services[agreement.service])
    if bool(agreement.payer) == bool(agreement.provider):
        found.add(where, "needs a payer or a provider, one of the two.", "Say whose terms these are.")
    if agreement.payer and catalog.unknown_payers is None:
        found.exists(f"{where}.payer", "payers", agreement.payer)
    if agreement.provider:
        found.exists(f"{where}.provider", "providers", agreement.provider)
    if bool(agreement.provider) != bool(agreement.part):
        found.add(where, "needs a provider and a part, or neither.", "Name the part that the provider delivers.")
    if agreement.part and has_service and agreement.part not in catalog.services[agreement.service].parts:
        fix = near(agreement.part, catalog.services[agreement.service].parts)
        found.add(f"{where}.part", f"the service has no part {agreement.part!r}.", fix, RefusalCode.UNKNOWN_PART)
    for field, instant in (("valid_from", agreement.valid_from), ("valid_until", agreement.valid_until)):
        if instant is not None and instant.tzinfo is None:
            found.add(f"{where}.{field}", "has no time zone.", "End it with Z.", RefusalCode.BAD_TIME)
    begin, end = _validity(agreement)
    if begin >= end:
        found.add(f"{where}.valid_until", "does not lie after valid_from.", "Correct the dates.", RefusalCode.BAD_TIME)


def _validity(agreement: Agreement) -> tuple[datetime, datetime]:
    return _aware(agreement.valid_from or _EVER), _aware(agreement.valid_until or _NEVER)


def _aware(instant: datetime) -> datetime:
    """One without a zone is reported elsewhere; here it only has to be comparable."""
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _overlaps(found: _Findings, agreements: dict[str, Agreement]) -> None:
    """Two agreements on the same thing at the same time would leave open which holds."""
    groups: dict[tuple[str, ...], list[tuple[str, Agreement]]] = {}
    for name, terms in agreements.items():
        groups.setdefault((terms.service, terms.payer, terms.provider, terms.part), []).append((name, terms))
    for group in groups.values():
        for (first, one), (second, other) in pairwise(sorted(group, key=lambda item: _validity(item[1]))):
            if _validity(other)[0] < _validity(one)[1]:
                found.add(
                    f"agreements.{second}",
                    f"is valid at the same time as {first!r}, for the same service and party.",
                    "End one of them with valid_until.",
                )
