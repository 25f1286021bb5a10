"""The words of a statement: what the catalog calls services, components, units and providers, for people to read."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from apportion.model.catalog import Catalog
from apportion.model.plan import PLAN, PlanLine
from apportion.model.tariff import Tariff

_PREFIX = {10**3: "k", 10**6: "M", 10**9: "G", 10**12: "T"}
_TIMES = {60: "min", 3600: "h", 86400: "d"}
RERATED = "re-rated"
_KEPT = 10_000


class Component(msgspec.Struct, frozen=True):
    """A retail or wholesale component in words; ``tax`` None: only the charge knows, ``included`` in its amounts."""

    label: str
    unit: str
    tax: str | None
    included: bool


class Words:
    """What one catalog version says; ``tariff`` finds tariffs that stand elsewhere, ``plan`` a plan by its id."""

    def __init__(
        self,
        catalog: Catalog,
        tariff: Callable[[str], Tariff | None] | None = None,
        plan: Callable[[str], PlanLine | None] = lambda id: None,
    ) -> None:
        self._catalog = catalog
        self._tariff = tariff or catalog.tariffs.get
        self._plan = plan
        self._plans: dict[str, tuple[str, str]] = {}
        self._found: dict[tuple[str, str, str, str], Component] = {}

    def service(self, service: str) -> str:
        """The name of a service."""
        known = self._catalog.services.get(service)
        return sentence(known.name if known is not None and known.name else plain(service))

    def provider(self, provider: str) -> tuple[str, bool]:
        """The name of a provider, and whether it is made up."""
        known = self._catalog.providers.get(provider)
        return (known.name or provider, known.invented) if known is not None else (provider, False)

    def network(self, provider: str) -> str:
        """The name of a provider's network; empty when it has none."""
        known = self._catalog.providers.get(provider)
        id = known.network if known is not None else ""
        network = self._catalog.networks.get(id)
        return (network.name or id) if network is not None else id

    def home(self, tariff: str) -> str:
        """The home provider of the plan that a tariff is of; empty when there is none."""
        return self._agreed(tariff)[1] if tariff.startswith(PLAN) else ""

    def summed(self, tariff: str, account: str) -> bool:
        """Whether what other providers charge by a plan's tariff is one sum each on this payer's statement.

        The plan says so where its first payer's agreement or profile does (``Billing.detail``).
        """
        return tariff.startswith(PLAN) and self._agreed(tariff)[0] == account

    def _agreed(self, tariff: str) -> tuple[str, str]:
        """What a plan says of bills: whose other providers' charges are summed up, and its home provider."""
        id = tariff.partition(".")[0]
        found = self._plans.get(id)
        if found is None:
            plan = self._plan(id)
            whose = plan.payers[0].account if plan is not None and plan.billing.detail == "providers" else ""
            found = whose, plan.home if plan is not None else ""
            if len(self._plans) < _KEPT:
                self._plans[id] = found
        return found

    def component(self, service: str, tariff: str, component: str, measure: str) -> Component:
        """A price line in words."""
        key = (service, tariff, component, measure)
        found = self._found.get(key)
        if found is None:
            found = self._component(*key)
            if len(self._found) < _KEPT:  # every plan has tariffs of its own
                self._found[key] = found
        return found

    def _component(self, service: str, tariff: str, component: str, measure: str) -> Component:
        known = self._catalog.services.get(service)
        unit = known.measures.get(measure, measure) if known is not None and measure else ""
        for name in tariff.split(", "):
            terms = self._tariff(name)
            part = _part(terms, component)
            if terms is not None and part is not None:
                label = sentence(plain(component))
                return Component(
                    label, _converted(unit, getattr(part, "convert", "1")), part.tax or terms.tax, terms.tax_included
                )
        one = self._tariff(tariff.split(", ")[0])
        label = "Adjustment at the close" if component == RERATED else sentence(plain(component))
        return Component(label, unit, None, one is not None and one.tax_included)


def _part(terms: Tariff | None, component: str):  # type: ignore[no-untyped-def]
    return next((c for c in terms.components if c.name == component), None) if terms is not None else None


def _converted(unit: str, convert: str) -> str:
    """The unit after a conversion: bytes by 1/1000000000 are GB."""
    over, slash, under = convert.partition("/")
    if convert in ("", "1") or not unit:
        return unit
    if slash and over == "1" and under.isdigit():
        if unit == "s" and int(under) in _TIMES:
            return _TIMES[int(under)]
        if int(under) in _PREFIX:
            return _PREFIX[int(under)] + unit
    return f"{unit} × {convert}"


def plain(name: str) -> str:
    """``access-by-day`` as ``access by day``."""
    return name.replace("-", " ").replace("_", " ")


def sentence(text: str) -> str:
    """With a capital at the beginning."""
    return text[:1].upper() + text[1:]
