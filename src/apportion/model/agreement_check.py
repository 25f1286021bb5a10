"""Agreements: whose terms they are, for what, and that only one of them holds at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

from apportion.errors import RefusalCode
from apportion.model.agreement import Agreement, Levels, Service, Targets
from apportion.model.findings import CONVERTS, Findings, near
from apportion.model.market_check import check_price, check_retail
from apportion.model.profile_check import check_billing

#: units that a measured latency may have, with how many milliseconds each is
LATENCY_UNITS = {"ms": 1, "s": 1000}
_EVER, _NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def check_agreements(found: Findings) -> None:
    """Report everything about the catalog's agreements that contradicts itself or leads nowhere."""
    for id, service in found.catalog.services.items():
        _levels(found, f"services.{id}.levels", service.levels, service)
    for name, agreement in found.catalog.agreements.items():
        where = f"agreements.{name}"
        found.id(where, name, agreement.id)
        _parties(found, where, agreement)
        _terms(found, where, agreement)
        _targets(found, f"{where}.targets", agreement.targets)
        _consequence(found, f"{where}.consequence", agreement)
        check_billing(found, f"{where}.billing", agreement.billing)
        _billed_in(found, f"{where}.billing.currency", agreement)
        _instants(found, where, agreement)
    _overlaps(found)


def _parties(found: Findings, where: str, agreement: Agreement) -> None:
    if not agreement.payer and not agreement.provider:
        found.add(where, "needs a payer, a provider, or both.", "Say whose terms these are.")
    if agreement.payer and found.catalog.unknown_payers is None:
        found.exists(f"{where}.payer", "payers", agreement.payer)
    if agreement.provider:
        found.exists(f"{where}.provider", "providers", agreement.provider)
        if not agreement.payer and not agreement.part:
            found.add(where, "needs a part: a provider's price is for one.", "Name the part that it delivers.")
    elif agreement.part:
        found.add(where, "names a part, but nobody who delivers it.", "Name the provider, or leave the part out.")


def _terms(found: Findings, where: str, agreement: Agreement) -> None:
    """The tariff, which only a service level agreement of payer and provider may leave out."""
    has_service = found.exists(f"{where}.service", "services", agreement.service)
    service = found.catalog.services.get(agreement.service) if has_service else None
    if service is not None and agreement.part:
        found.part(f"{where}.part", agreement.part, service)
    if not agreement.tariff and agreement.payer and agreement.provider:
        return
    if not agreement.tariff:
        found.add(f"{where}.tariff", "is missing.", "Name the tariff that was agreed.")
    elif found.exists(f"{where}.tariff", "tariffs", agreement.tariff) and service is not None:
        _fits(found, where, agreement, service)


def _fits(found: Findings, where: str, agreement: Agreement, service: Service) -> None:
    tariff = found.catalog.tariffs[agreement.tariff]
    if agreement.provider:
        converts = not agreement.payer and service.apportion in CONVERTS
        check_price(found, f"{where}.tariff", tariff, service, converts=converts)
        return
    found.fits(f"{where}.tariff", tariff, service)
    check_retail(found, f"{where}.tariff", tariff, service)


def _billed_in(found: Findings, where: str, agreement: Agreement) -> None:
    """A payer can be billed in another currency than the service's when there is a rate."""
    service = found.catalog.services.get(agreement.service)
    asset = found.asset_of(service) if service is not None else None
    code = agreement.billing.currency.partition("/")[0]
    if code and asset is not None and agreement.payer and code != asset.code and not found.exchanges(asset.code, code):
        words = f"is {code}, the service is charged in {asset.code}, and no rate converts."
        found.add(where, words, f"Add a rate from {asset.code} to {code} to the rates.", RefusalCode.NO_RATE)


def _targets(found: Findings, where: str, targets: Targets) -> None:
    if targets.latency < 0:
        found.add(f"{where}.latency", f"{targets.latency} ms is below zero.", "Leave it out, or write milliseconds.")
    for field in ("availability", "success", "within"):
        if getattr(targets, field):
            found.fraction(f"{where}.{field}", getattr(targets, field))
    if targets.within and not targets.latency:
        found.add(f"{where}.within", "says how many uses keep a latency, and none is given.", "Name the latency too.")
    if targets.throughput:
        found.positive(f"{where}.throughput", targets.throughput)


def _levels(found: Findings, where: str, levels: Levels, service: Service) -> None:
    """The fields that tell how well a service was delivered are fields that it has, and none of them is personal."""
    if levels.success is not None:
        known = (*service.attributes, *service.evidence)
        for field in ("attribute", "fault"):
            name = getattr(levels.success, field)
            if name not in known and (name or field == "attribute"):
                fix = near(name, known) or f"Add {name} to the attributes or the evidence of {service.id}."
                found.add(f"{where}.success.{field}", f"the service has no attribute {name[:80]!r}.", fix)
        if not levels.success.failed:
            found.add(f"{where}.success.failed", "names no value.", "Name the values of a use that failed.")
    for field in ("latency", "throughput"):
        measure = getattr(levels, field)
        if measure:
            found.measure(f"{where}.{field}", measure, service)
    unit = service.measures.get(levels.latency, "ms")
    if unit not in LATENCY_UNITS:
        found.add(f"{where}.latency", f"{levels.latency} is in {unit}.", "Name a measure in ms or s.")


def _consequence(found: Findings, where: str, agreement: Agreement) -> None:
    consequence, service = agreement.consequence, found.catalog.services.get(agreement.service)
    found.number(f"{where}.credit", consequence.credit, 0, 100)
    found.number(f"{where}.most", consequence.most, 0, 100)
    asset = found.asset_of(service) if service is not None else None
    if consequence.review and asset is not None:
        found.amount(f"{where}.review", consequence.review, asset)


def _instants(found: Findings, where: str, agreement: Agreement) -> None:
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


def _overlaps(found: Findings) -> None:
    """Two agreements on the same thing at the same time would leave open which holds.

    Of a payer and a provider, one for a part and one for any part may stand beside each other: that for the part holds.
    """
    groups: dict[tuple[str, ...], list[tuple[str, Agreement]]] = {}
    for name, terms in found.catalog.agreements.items():
        groups.setdefault((terms.service, terms.payer, terms.provider, terms.part), []).append((name, terms))
    for group in groups.values():
        for (first, one), (second, other) in pairwise(sorted(group, key=lambda item: _validity(item[1]))):
            if _validity(other)[0] < _validity(one)[1]:
                found.add(
                    f"agreements.{second}",
                    f"is valid at the same time as {first!r}, for the same service and parties.",
                    "End one of them with valid_until.",
                )
