"""Whether a service can run as the session that its catalog says."""

from __future__ import annotations

from collections.abc import Iterator

from apportion.errors import Refused
from apportion.model.agreement import Service
from apportion.model.catalog import Catalog
from apportion.model.session import SessionTerms
from apportion.model.tariff import Demand, Flat, Percentage, Tariff, Volume
from apportion.money import Exact, Money, parse_asset

LONGEST = 31 * 86400
Finding = tuple[str, str, str]  # where, what is wrong, how to mend it


def check_sessions(catalog: Catalog) -> Iterator[Finding]:
    """What is wrong with the session terms of a catalog's services."""
    for name, service in catalog.services.items():
        if service.session is not None:
            where = f"services.{name}.session"
            yield from _terms(where, service.session, service)
            yield from _amounts(where, service.session, catalog, service)
            for tariff in _tariffs(catalog, service):
                why = unfit(tariff)
                if why:
                    fix = "Give the service another tariff, or no session."
                    yield f"tariffs.{tariff.id}", f"{why}, so it can not be charged while {name!r} runs.", fix


def _terms(where: str, terms: SessionTerms, service: Service) -> Iterator[Finding]:
    for measure, units in terms.slice.items():
        if measure not in service.measures:
            yield f"{where}.slice.{measure}", f"the service measures no {measure!r}.", "One of its measures."
        elif not _positive(units):
            yield f"{where}.slice.{measure}", f"{units!r} is no number of units above zero.", "Such as 60."
    for measure in terms.receipt:
        if measure not in service.measures:
            yield f"{where}.receipt", f"the service measures no {measure!r}.", "One of its measures."
    for field, least in (("validity", 1), ("grace", 0), ("offer", 0)):
        seconds = getattr(terms, field)
        if not least <= seconds <= LONGEST:
            yield f"{where}.{field}", f"{seconds} is not between {least} and {LONGEST} seconds.", "Correct it."
    if not _fraction(terms.threshold):
        yield f"{where}.threshold", f"{terms.threshold!r} is no fraction of a grant.", "Such as 0.2."
    if terms.final == "redirect" and not terms.redirect.startswith("https://"):
        yield f"{where}.redirect", "a redirect needs an https address to send the client to.", "Name it."
    if terms.final == "restrict" and not terms.restrict:
        yield f"{where}.restrict", "a restriction needs at least one thing that stays allowed.", "Name it."


def _amounts(where: str, terms: SessionTerms, catalog: Catalog, service: Service) -> Iterator[Finding]:
    retail = catalog.tariffs.get(service.retail)
    if retail is None:
        return
    try:
        asset = parse_asset(retail.currency, store=True)
    except Refused:
        return  # the tariff's own finding
    for field in ("low", "grace_limit"):
        try:
            fits = Money.parse(getattr(terms, field), asset, field=field).atoms >= 0
        except Refused as error:
            yield f"{where}.{field}", error.refusal.message, error.refusal.fix
            continue
        if not fits:
            yield f"{where}.{field}", "is below zero.", "Zero or more."
    if terms.grace_limit.strip("0.") and not terms.grace:
        yield f"{where}.grace_limit", "without grace there is no time to use it in.", "Set grace to some seconds."


def _tariffs(catalog: Catalog, service: Service) -> Iterator[Tariff]:
    names = {service.retail: None}
    for part in service.parts.values():
        names.update(dict.fromkeys(part.wholesale.values()))
    for name in names:
        if name in catalog.tariffs:
            yield catalog.tariffs[name]


def unfit(tariff: Tariff) -> str:
    """Why a tariff can not be charged slice by slice; empty when it can."""
    if any(isinstance(component, Volume) for component in tariff.components):
        return "it has volume tiers, under which more can cost less"
    return of_period(tariff)


def of_period(tariff: Tariff) -> str:
    """Why one use is not enough to price by a tariff; empty when it is."""
    for component in tariff.components:
        scope = getattr(component, "scope", "")
        free = isinstance(component, Percentage) and (component.free_events or component.free_total)
        if isinstance(component, Demand) or free or (scope == "period" and not isinstance(component, Flat)):
            return "it keeps totals of a period"
        if isinstance(component, Flat) and scope == "period":
            return "it has a fee of the period"
    return "it is bounded by the period" if tariff.period_minimum or tariff.period_maximum else ""


def _positive(text: str) -> bool:
    try:
        return Exact.parse(text, exponent=False) > Exact(0)
    except Refused:
        return False


def _fraction(text: str) -> bool:
    try:
        return Exact(0) <= Exact.parse(text, exponent=False) < Exact(1)
    except Refused:
        return False
