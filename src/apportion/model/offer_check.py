"""Whether offers make sense: also those that providers make while everything runs."""

from __future__ import annotations

from apportion.model.agreement import Service
from apportion.model.catalog import Catalog
from apportion.model.findings import Findings, near
from apportion.model.market import Offer, Quality
from apportion.model.market_check import check_price
from apportion.model.tariff import Tariff
from apportion.money import Exact

LATENCY_MAX = 86_400_000


def check_offers(found: Findings) -> None:
    """Report everything about the catalog's offers that contradicts itself or leads nowhere."""
    for name, offer in found.catalog.offers.items():
        found.id(f"offers.{name}", name, offer.id)
        check_offer(found, f"offers.{name}", offer)


def check_offer(found: Findings, where: str, offer: Offer) -> None:
    """Report what is wrong with one offer, wherever it came from; its ``id`` is not looked at."""
    provider = found.exists(f"{where}.provider", "providers", offer.provider)
    for network in filter(None, (offer.network, *offer.reaches)):
        known = provider and offer.provider in found.catalog.providers
        if not known or network != found.catalog.providers[offer.provider].network:
            found.network(f"{where}.network" if network == offer.network else f"{where}.reaches", network)
    _quality(found, f"{where}.quality", offer.quality)
    found.span(where, offer.valid_from, offer.valid_until)
    known = found.exists(f"{where}.service", "services", offer.service)
    service = found.catalog.services.get(offer.service) if known else None
    if service is None:
        return
    found.part(f"{where}.part", offer.part, service)
    if service.apportion != "wholesale":
        fix = 'Use apportion = "wholesale" for services whose providers are chosen.'
        found.add(f"{where}.service", f"its providers share the fee by {service.apportion!r}, not by price.", fix)
    _price(found, f"{where}.tariff", offer.tariff, service, passed=not offer.retail)
    if offer.retail:
        _price(found, f"{where}.retail", offer.retail, service)
    _amounts(found, where, offer, service)
    _conditions(found, where, offer, service)


def offered(catalog: Catalog, service: str, part: str) -> bool:
    """Whether somebody may offer a part beside its wholesale tariffs: in the catalog, or by a node of its own."""
    if any(offer.service == service and offer.part == part for offer in catalog.offers.values()):
        return True
    return any(provider.address for provider in catalog.providers.values())


def _price(found: Findings, where: str, tariff: str | Tariff, service: Service, *, passed: bool = True) -> None:
    """A tariff by its name, or a whole one, which is checked as those of the catalog are."""
    if isinstance(tariff, str):
        if not tariff:
            found.add(where, "is missing.", "Name a tariff of the catalog, or give a whole one.")
            return
        if not found.exists(where, "tariffs", tariff) or tariff not in found.catalog.tariffs:
            return
        tariff = found.catalog.tariffs[tariff]
    else:
        found.tariff(where, tariff)
    check_price(found, where, tariff, service, passed=passed)


def _quality(found: Findings, where: str, quality: Quality) -> None:
    if not 0 <= quality.latency <= LATENCY_MAX:
        found.add(f"{where}.latency", f"{quality.latency} is not 0 to {LATENCY_MAX} ms.", "Write whole milliseconds.")
    found.fraction(f"{where}.availability", quality.availability)
    if quality.throughput:
        found.positive(f"{where}.throughput", quality.throughput)


def _amounts(found: Findings, where: str, offer: Offer, service: Service) -> None:
    """What it has free, and the least and most that one request may want: of measures, zero or more."""
    read: dict[str, dict[str, Exact | None]] = {}
    for field in ("capacity", "least", "most"):
        read[field] = {}
        for measure, text in getattr(offer, field).items():
            found.measure(f"{where}.{field}.{measure}", measure, service)
            read[field][measure] = found.number(f"{where}.{field}.{measure}", text)
    for measure, least in read["least"].items():
        most = read["most"].get(measure)
        if least is not None and most is not None and least > most:
            at = f"{where}.least.{measure}"
            found.add(at, f"{offer.least[measure]} is more than most, {offer.most[measure]}.", "Correct one of them.")


def _conditions(found: Findings, where: str, offer: Offer, service: Service) -> None:
    """Conditions go by attributes that a request can state: what is only known afterwards (evidence) is none."""
    attributes = (*service.attributes, *service.personal)
    for attribute, values in offer.when.items():
        at = f"{where}.when.{attribute}"
        if attribute not in attributes:
            fix = near(attribute, attributes) or f"Add {attribute} to the attributes of {service.id}."
            found.add(at, f"the service {service.id!r} has no attribute {attribute!r}.", fix)
        if not values or "" in values:
            found.add(at, "names no value, or an empty one.", "Name what it serves; one that ends in * is a prefix.")
