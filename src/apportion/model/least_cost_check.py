"""Whether a service that serves its payers at least cost can: its tariffs must be comparable, use by use."""

from __future__ import annotations

from collections.abc import Iterator

from apportion.errors import Refused
from apportion.model.agreement import Service
from apportion.model.catalog import Catalog
from apportion.model.session_check import of_period
from apportion.model.tariff import Tariff
from apportion.money import Exact

Finding = tuple[str, str, str]  # where, what is wrong, how to mend it


def check_least_cost(catalog: Catalog) -> Iterator[Finding]:
    """What is wrong with services that allocate by least cost."""
    for name, service in catalog.services.items():
        retail = catalog.tariffs.get(service.retail)
        if service.allocate != "least-cost" or retail is None:
            continue
        if service.session is not None:
            fix = "Leave the session out, or choose the rule 'cost'."
            yield f"services.{name}.session", "least cost is known only when the use is over.", fix
        yield from _comparable(f"services.{name}.retail", retail, retail)
        for where, tariff, whole in _others(catalog, service):
            yield from _comparable(where, tariff, retail if whole else tariff)


def _others(catalog: Catalog, service: Service) -> Iterator[tuple[str, Tariff, bool]]:
    """The other tariffs that may serve a payer, and whether each is for the whole service."""
    passed = service.market.retail == "passed-on"
    for name, agreement in catalog.agreements.items():
        mine = agreement.service == service.id and (agreement.payer or passed)
        if mine and (passed or not agreement.provider) and agreement.tariff in catalog.tariffs:
            yield f"agreements.{name}.tariff", catalog.tariffs[agreement.tariff], not agreement.provider
    for part_name, part in service.parts.items() if passed else ():
        for provider, tariff in part.wholesale.items():
            if tariff in catalog.tariffs:
                where = f"services.{service.id}.parts.{part_name}.wholesale.{provider}"
                yield where, catalog.tariffs[tariff], False


def _comparable(where: str, tariff: Tariff, retail: Tariff) -> Iterator[Finding]:
    """One record must be enough to price by it, and tax and rounding must be those of the service's own tariff."""
    why = of_period(tariff)
    if why:
        fix = "Give it prices per use, or choose the rule 'cost'."
        yield where, f"least cost can not be found with the tariff {tariff.id!r}: {why}.", fix
    for name, rate in tariff.taxes.items():
        if name in retail.taxes and not _same(rate, retail.taxes[name]):
            fix = "Give the other rate a name of its own."
            yield where, f"the tax {name!r} is {rate} % in {tariff.id!r}, {retail.taxes[name]} % in {retail.id!r}.", fix
    if tariff.tax_included != retail.tax_included:
        fix = "State the prices of both with tax, or both without."
        yield where, f"{tariff.id!r} and {retail.id!r} do not both include their tax.", fix
    if tariff.rounding != retail.rounding:
        fix = "Least cost rounds one fee for all: give both the same rule."
        yield where, f"{tariff.id!r} rounds otherwise than {retail.id!r}.", fix


def _same(one: str, other: str) -> bool:
    try:
        return Exact.parse(one) == Exact.parse(other)
    except Refused:
        return True  # reported where it stands
