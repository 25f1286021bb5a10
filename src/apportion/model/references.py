"""What a catalog's records say of one another: every name must lead somewhere, every rule must have what it needs.

``check_catalog`` reports all findings at once. The place of each (``where``) is the dotted path of the field, as in
``services.chat.parts.model.wholesale.hosta``.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from apportion.errors import Refusal, RefusalCode, Refused
from apportion.model.agreement import Part, Service
from apportion.model.agreement_check import check_agreements
from apportion.model.calendar import Calendar, check_calendar, zone_of
from apportion.model.catalog import Catalog
from apportion.model.credit_check import check_credit
from apportion.model.exchange_check import check_rates
from apportion.model.findings import CONVERTS, WORD, Findings
from apportion.model.findings import near as near
from apportion.model.funding_check import check_funding
from apportion.model.least_cost_check import check_least_cost
from apportion.model.market_check import check_market
from apportion.model.offer_check import check_offers, offered
from apportion.model.party import Payer, UnknownPayers
from apportion.model.party_check import check_parent
from apportion.model.schedule import check_schedule
from apportion.model.session_check import check_sessions
from apportion.model.tariff import Tariff
from apportion.money import Exact, parse_asset
from apportion.money.asset import SCALE_MAX, minor_digits

#: Columns of a usage file that no measure or attribute may be named after.
RECORD_COLUMNS = ("source", "id", "service", "start", "end", "duration", "payer")
LATEST = 3660  # days


def check_catalog(catalog: Catalog, unread: Collection[str] = ()) -> list[Refusal]:
    """Everything in a catalog that contradicts itself; an empty list when nothing does.

    ``unread`` are paths of records that stand in the file but could not be read (``tariffs.peak``): names that lead
    to one of them are not reported a second time.
    """
    found = Findings(catalog, unread)
    _zone(found, catalog.zone)
    for code, scale in catalog.currencies.items():
        _currency_scale(found, code, scale)
    check_rates(found)
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
        check_parent(found, f"payers.{name}", payer)
    if catalog.unknown_payers is not None:
        _terms(found, "unknown_payers", catalog.unknown_payers)
        if catalog.unknown_payers.profile:
            found.exists("unknown_payers.profile", "profiles", catalog.unknown_payers.profile)
    check_agreements(found)
    check_offers(found)
    check_market(found)
    for where, message, fix in (*check_credit(catalog), *check_sessions(catalog), *check_least_cost(catalog)):
        found.add(where, message, fix)
    for field, message, fix in check_schedule(catalog.schedule) if catalog.schedule is not None else ():
        found.add(f"schedule.{field}", message, fix)
    return found.refusals


def canonical(catalog: Catalog) -> bytes:
    """The one JSON text of a catalog, for hashing: keys sorted, defaults left out, no spaces, UTF-8."""
    return msgspec.json.encode(catalog, order="sorted")


def _zone(found: Findings, zone: str) -> None:
    try:
        zone_of(zone)
    except Refused as refused:
        found.add("zone", refused.refusal.message, refused.refusal.fix, RefusalCode.BAD_TIME)


def _currency_scale(found: Findings, code: str, scale: int) -> None:
    where, least = f"currencies.{code}", minor_digits(code) or 0
    try:
        parse_asset(f"{code}/0")
    except Refused as refused:
        found.add(where, refused.refusal.message, "Write a code in capitals, such as USD.", refused.refusal.code)
    if not least <= scale <= SCALE_MAX:
        found.add(where, f"the scale {scale} is not {least} to {SCALE_MAX}.", "9 suits most currencies.")


def _tariff(found: Findings, name: str, tariff: Tariff) -> None:
    where = f"tariffs.{name}"
    found.id(where, name, tariff.id)
    found.tariff(where, tariff)


def _service(found: Findings, name: str, service: Service) -> None:
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
    if not 0 <= service.late_days <= LATEST:
        found.add(f"{where}.late_days", f"{service.late_days} is not 0 to {LATEST} days.", "Leave it out for no bound.")
    if retail:
        found.fits(f"{where}.retail", found.catalog.tariffs[service.retail], service)
    if service.apportion == "shares":
        _shares(found, where, service)


def _words(found: Findings, where: str, service: Service) -> None:
    """Measures and attributes are columns of usage files, so each needs a name of its own."""
    lists = {"measures": service.measures, "attributes": service.attributes}
    lists |= {"personal": service.personal, "evidence": service.evidence}
    for field, names in lists.items():
        for word in names:
            found.name(f"{where}.{field}.{word}", word, WORD)
            if word in RECORD_COLUMNS:
                found.add(f"{where}.{field}.{word}", f"{word!r} means something else in usage files.", "Rename it.")
            if field != "measures" and word in service.measures:
                found.add(f"{where}.{field}.{word}", f"{word!r} is a measure too.", "Rename one of them.")


def _part(found: Findings, where: str, part: Part, service: Service) -> None:
    rule = service.apportion
    if part.provider:
        found.exists(f"{where}.provider", "providers", part.provider)
    for provider, tariff in part.wholesale.items():
        at = f"{where}.wholesale.{provider}"
        found.exists(at, "providers", provider)
        if found.exists(at, "tariffs", tariff):
            found.fits(at, found.catalog.tariffs[tariff], service, converts=rule in CONVERTS)
    bare = rule == "wholesale" and not part.wholesale
    if bare and offered(found.catalog, service.id, where.rpartition(".parts.")[2]):
        pass  # requests are planned with what is offered; other usage finds no price here and is refused
    elif rule in ("wholesale", "cost") and not part.wholesale:
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
    if part.measure:
        found.measure(f"{where}.measure", part.measure, service)


def _platform(found: Findings, where: str, service: Service) -> None:
    """The platform's part: a weight under ``shares``, a fraction under ``quantity`` and ``cost``, else the margin."""
    most = None if service.apportion == "shares" else 1
    platform = found.number(f"{where}.platform", service.platform, 0, most)
    if service.apportion == "wholesale" and platform:
        found.add(
            f"{where}.platform",
            "has no effect under the rule 'wholesale', where the platform keeps the margin.",
            "Leave it out, or choose the rule 'cost', 'quantity' or 'shares'.",
        )


def _shares(found: Findings, where: str, service: Service) -> None:
    weights = [service.platform, *(part.share for part in service.parts.values())]
    try:
        if not any(Exact.parse(weight) for weight in weights if weight):
            found.add(f"{where}.parts", "all shares are zero.", "Give at least one part a share above zero.")
    except Refused:
        return  # already reported where it stands


def _terms(found: Findings, where: str, payer: Payer | UnknownPayers) -> None:
    asset = found.asset(f"{where}.currency", payer.currency)
    for field, text in (("credit", payer.credit), ("opening", payer.opening)):
        if asset is not None:
            found.amount(f"{where}.{field}", text, asset)
    _calendar(found, f"{where}.calendar", payer.calendar)


def _funding(found: Findings, where: str, payer: Payer) -> None:
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


def _calendar(found: Findings, where: str, calendar: Calendar) -> None:
    wrong = check_calendar(calendar)
    if wrong:
        found.add(where, wrong, "See the reference of the catalog.")
