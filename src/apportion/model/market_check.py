"""Whether a market makes sense: terms by which providers are chosen, networks, placements, and prices to be passed on.

A price can be passed on when it is a plain sum of what is used: then it means the same inside the retail tariff. Offers
are checked by ``offer_check``.
"""

from __future__ import annotations

import re
from itertools import combinations

from apportion.errors import Refused
from apportion.model.agreement import Service
from apportion.model.band import OTHER
from apportion.model.endpoint import read_endpoint
from apportion.model.findings import Findings
from apportion.model.market import Interconnect, MarketTerms, Placement, ProviderTerms, Weights
from apportion.model.party import Payer, Provider
from apportion.model.profile_check import check_profile
from apportion.model.session_check import unfit
from apportion.model.tariff import Demand, Percentage, Tariff
from apportion.money import Exact

VALIDITY_MAX, DEADLINE_MAX, MARKUP_MAX = 86_400, 10_000, Exact(10_000)
_KEY = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_BOUNDS = ("minimum", "maximum", "period_minimum", "period_maximum")


def check_market(found: Findings) -> None:
    """Report everything about a catalog's market, beside its offers, that contradicts itself or leads nowhere."""
    catalog = found.catalog
    for name, network in catalog.networks.items():
        found.id(f"networks.{name}", name, network.id)
    for name, provider in catalog.providers.items():
        _node(found, f"providers.{name}", provider)
    for name, payer in catalog.payers.items():
        _payer(found, f"payers.{name}", payer)
    for name, profile in catalog.profiles.items():
        found.id(f"profiles.{name}", name, profile.id)
        check_profile(found, f"profiles.{name}", profile)
    for name, service in catalog.services.items():
        _terms(found, f"services.{name}.market", service.market, service)
    _interconnects(found)
    for name, placement in catalog.placements.items():
        found.id(f"placements.{name}", name, placement.id)
        _placement(found, f"placements.{name}", placement)


# ── prices that are passed on ──


def uncomposable(tariff: Tariff, retail: Tariff) -> str:
    """Why a part's tariff can not become a part of a retail tariff; empty when it can.

    What bounds a whole charge or period, rounds its pieces or keeps totals would mean another thing among components of
    others; wholesale is without tax, which the retail tariff adds.
    """
    why = _bounded(tariff)
    if why:
        return why
    if tariff.taxes or tariff.tax_included:
        return "it has taxes of its own, which the retail tariff adds"
    for component in tariff.components:
        free = isinstance(component, Percentage) and (component.free_events or component.free_total)
        if isinstance(component, Demand) or free or getattr(component, "scope", "") == "period":
            return f"its component {component.name!r} goes by the period"
    if tariff.bands and tariff.zone != retail.zone:
        return f"its bands are in the zone {tariff.zone}, those of the retail tariff in {retail.zone}"
    if _between(tariff) or (tariff.bands and _between(retail)):
        return "it prices the time in no band, which is another time beside other bands"
    return ""


def _between(tariff: Tariff) -> bool:
    return any(OTHER in component.when for component in tariff.components)


def unextendable(retail: Tariff) -> str:
    """Why no part's price can be passed on beside a retail tariff's own; empty when it can.

    Its bounds and increments would take hold of the parts' prices too. A tariff with its tax included says what payers
    pay; the price of a part says what its provider earns, and no exact sum is both.
    """
    return "it has its tax included, and prices of parts are without" if retail.tax_included else _bounded(retail)


def _bounded(tariff: Tariff) -> str:
    bound = next((field for field in _BOUNDS if getattr(tariff, field)), "")
    if bound:
        return f"it has a {bound.replace('_', ' ')}"
    if tariff.step_at_end:
        return "its last increment rounds the whole (step_at_end)"
    return "" if tariff.rounding.at == "charge" else f"it rounds each {tariff.rounding.at}"


def check_price(
    found: Findings, where: str, tariff: Tariff, service: Service, *, passed: bool = True, converts: bool = False
) -> None:
    """A tariff that a part is delivered at: priced by what the service measures, chargeable as it sells.

    ``passed`` false is one that payers never see, because another stands for it.
    """
    found.fits(where, tariff, service, converts=converts)
    retail = found.catalog.tariffs.get(service.retail) if passed and service.market.retail == "passed-on" else None
    why = uncomposable(tariff, retail) if retail is not None else ""
    if why:
        fix = "Give it a plain tariff, or an offer a retail tariff of its own."
        found.add(where, f"the tariff {tariff.id!r} can not be passed on: {why}.", fix)
    why = unfit(tariff) if service.session is not None else ""
    if why:
        fix = "Give it another tariff, or the service no session."
        found.add(where, f"{why}, so it can not be charged while {service.id!r} runs.", fix)


def check_retail(found: Findings, where: str, tariff: Tariff, service: Service) -> None:
    """The retail tariff, also one that was agreed, of a service that passes the prices of its parts on."""
    if service.market.retail != "passed-on":
        return
    why, retail = unextendable(tariff), found.catalog.tariffs.get(service.retail)
    if not why and retail is not None and tariff.zone != retail.zone:
        why = f"it is in the zone {tariff.zone}, the service's retail tariff in {retail.zone}"
    if why:
        fix = "Change the tariff, or give the service a fixed price."
        found.add(where, f"no part's price can be passed on beside {tariff.id!r}: {why}.", fix)


# ── the terms of a service ──


def _terms(found: Findings, where: str, market: MarketTerms, service: Service) -> None:
    markup = found.number(f"{where}.markup", market.markup)
    if markup is not None and not markup < MARKUP_MAX:
        found.add(f"{where}.markup", f"{market.markup} percent is 10000 or more.", "Write a percentage below that.")
    elif markup and market.retail == "fixed":
        fix = 'Leave it out, or set retail = "passed-on".'
        found.add(f"{where}.markup", "has no effect where the price is fixed.", fix)
    asset = found.asset_of(service)
    if market.margin and asset is not None:
        found.amount(f"{where}.margin", market.margin, asset)
    _passed_on(found, where, market, service)
    _links(found, where, market, service)
    for provider, terms in market.terms.items():
        at = f"{where}.terms.{provider}"
        found.exists(at, "providers", provider)
        if asset is not None:
            found.amount(f"{at}.setup", terms.setup, asset)
        _bundles(found, at, terms, service)
    _weights(found, f"{where}.weights", market.weights)
    for field in ("after", "seconds"):
        if getattr(market.breaker, field) < 0:
            found.add(f"{where}.breaker.{field}", "is below zero.", "Zero never switches a provider off.")
    for field, most in (("validity", VALIDITY_MAX), ("deadline", DEADLINE_MAX)):
        if not 1 <= getattr(market, field) <= most:
            found.add(f"{where}.{field}", f"{getattr(market, field)} is not 1 to {most}.", "Correct it.")
    if len(set(market.relax)) < len(market.relax):
        found.add(f"{where}.relax", "holds a limit twice.", "Each is given up once.")


def _passed_on(found: Findings, where: str, market: MarketTerms, service: Service) -> None:
    if market.retail != "passed-on":
        return
    if service.apportion != "wholesale":
        fix = 'Use apportion = "wholesale", or retail = "fixed".'
        found.add(f"{where}.retail", f"the rule {service.apportion!r} gives parts no prices to pass on.", fix)
        return
    if service.retail in found.catalog.tariffs:
        check_retail(found, f"{where}.retail", found.catalog.tariffs[service.retail], service)
    for part, terms in service.parts.items():
        for provider, tariff in terms.wholesale.items():
            why = _uncomposed(found, tariff, service)
            if why:
                at = f"{where.removesuffix('.market')}.parts.{part}.wholesale.{provider}"
                fix = "Give it a plain tariff, or the service a fixed price."
                found.add(at, f"the tariff {tariff!r} can not be passed on: {why}.", fix)


def _uncomposed(found: Findings, name: str, service: Service) -> str:
    tariff, retail = found.catalog.tariffs.get(name), found.catalog.tariffs.get(service.retail)
    return uncomposable(tariff, retail) if tariff is not None and retail is not None else ""


def _links(found: Findings, where: str, market: MarketTerms, service: Service) -> None:
    for i, (source, target) in enumerate(market.links):
        at = f"{where}.links[{i}]"
        for part in dict.fromkeys((source, target)):
            found.part(at, part, service)
        if source == target:
            found.add(at, f"links {source!r} with itself.", "Name two parts.")
        elif (source, target) in market.links[:i]:
            found.add(at, "stands there twice.", "Keep one.")


def _bundles(found: Findings, where: str, terms: ProviderTerms, service: Service) -> None:
    for i, bundle in enumerate(terms.bundles):
        at = f"{where}.bundles[{i}].parts"
        if len(bundle.parts) < 2:
            found.add(at, "holds less than two parts.", "A bundle is for several.")
        for part, tariff in bundle.parts.items():
            found.part(f"{at}.{part}", part, service)
            if found.exists(f"{at}.{part}", "tariffs", tariff):
                check_price(found, f"{at}.{part}", found.catalog.tariffs[tariff], service)
    for (i, one), (j, other) in combinations(enumerate(terms.bundles), 2):
        if set(one.parts) == set(other.parts):
            found.add(f"{where}.bundles[{j}]", f"is for the same parts as bundles[{i}].", "Keep one.")


def _weights(found: Findings, where: str, weights: Weights) -> None:
    for field in ("price", "quality", "latency", "availability", "rating"):
        if getattr(weights, field) < 0:
            found.add(f"{where}.{field}", f"{getattr(weights, field)} is below zero.", "Zero or more.")
    if not (weights.price or weights.quality):
        found.add(where, "price and quality are both zero.", "Something has to count.")
    if not (weights.latency or weights.availability or weights.rating):
        found.add(where, "latency, availability and rating are all zero.", "Say what quality is.")


# ── networks, placements, parties ──


def _interconnects(found: Findings) -> None:
    catalog, seen = found.catalog, set[tuple[str, str, str]]()
    for i, one in enumerate(catalog.interconnects):
        where, key = f"interconnects[{i}]", (one.source, one.target, one.service)
        for field, network in (("source", one.source), ("target", one.target)):
            found.network(f"{where}.{field}", network)
        if one.source == one.target:
            found.add(f"{where}.target", "is the source: a network reaches itself.", "Name another.")
        if key in seen:
            found.add(where, "stands there twice for the same service.", "Keep one.")
        seen.add(key)
        if not one.service or found.exists(f"{where}.service", "services", one.service):
            _fee(found, where, one)


def _fee(found: Findings, where: str, one: Interconnect) -> None:
    """An amount of every service that it may be used by."""
    services = [found.catalog.services.get(one.service)] if one.service else list(found.catalog.services.values())
    using = [service for service in services if service is not None and (one.service or service.market.links)]
    assets = [asset for asset in map(found.asset_of, using) if asset is not None]
    if not assets:
        found.number(f"{where}.fee", one.fee)
    for asset in assets:
        if found.amount(f"{where}.fee", one.fee, asset) is None:
            return


def _placement(found: Findings, where: str, placement: Placement) -> None:
    found.exists(f"{where}.provider", "providers", placement.provider)
    found.number(f"{where}.bound", placement.bound, 0, 100)
    found.span(where, placement.valid_from, placement.valid_until)
    if not found.exists(f"{where}.service", "services", placement.service):
        return
    service = found.catalog.services.get(placement.service)
    if service is None:
        return
    asset = found.asset_of(service)
    if asset is not None:
        found.amount(f"{where}.fee", placement.fee, asset)
    for part in placement.parts:
        found.part(f"{where}.parts", part, service)


def _node(found: Findings, where: str, provider: Provider) -> None:
    for currency, cap in provider.debit_caps.items():
        asset = found.asset(f"{where}.debit_caps.{currency}", currency)
        if asset is not None:
            found.amount(f"{where}.debit_caps.{currency}", cap, asset)
    if provider.key and not _KEY.fullmatch(provider.key):
        found.add(f"{where}.key", "is no Ed25519 key.", "Write its 32 bytes as 64 hexadecimal digits.")
    if not provider.address:
        return
    if not provider.key:
        found.add(
            f"{where}.key", "is missing: bids of a node count when they are signed.", "Add the node's public key."
        )
    try:
        read_endpoint(provider.address, private=True, field="address")
    except Refused as refused:
        found.add(f"{where}.address", refused.refusal.message, refused.refusal.fix)


def _payer(found: Findings, where: str, payer: Payer) -> None:
    if payer.profile:
        found.exists(f"{where}.profile", "profiles", payer.profile)
    for provider in payer.approved:
        found.exists(f"{where}.approved", "providers", provider)
