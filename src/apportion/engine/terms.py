"""A catalog made ready: tariffs compiled once, and who earns or pays what under which terms at an instant."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property

from apportion.errors import Refusal, RefusalCode, Refused, refuse
from apportion.ledger.chart import account_key
from apportion.ledger.lines import Forms
from apportion.model.account import Role
from apportion.model.agreement import Agreement, Service
from apportion.model.calendar import Calendar
from apportion.model.catalog import Catalog
from apportion.model.plan import PLAN, PlanLine, Scenario
from apportion.model.tariff import Tariff
from apportion.money import Asset, Exact, parse_asset
from apportion.stages.rate import Linear, Pricer, compile_tariff, joined
from apportion.stages.rate.exchange import Rates

_PLANNED_KEPT = 4096


class PartRoute:
    """One part as one provider delivers it, with all that does not change from record to record."""

    __slots__ = ("dated", "key", "part", "pricer", "provider", "share")

    def __init__(self, part: str, provider: str, key: str, pricer: Pricer | None, share: Exact) -> None:
        self.part = part
        self.provider = provider
        self.key = key
        self.pricer = pricer
        self.share = share
        self.dated: list[tuple[Agreement, Pricer]] = []

    def at(self, instant: datetime) -> Pricer | None:
        """The wholesale tariff in force: an agreement's when one covers the instant."""
        for agreement, pricer in self.dated:
            if _covers(agreement, instant):
                return pricer
        return self.pricer


class Deal:
    """One route under the tariffs in force: all that does not change from record to record.

    ``running`` says whether any of the tariffs keeps totals of a period; ``linear`` is the short way to fee and
    portions, if there is one; ``usage_forms`` and ``charge_forms`` are those of the lines that the books keep of it.
    ``abroad`` has, part by part, the asset of a price that is not in the service's; it is empty when all are.
    """

    __slots__ = ("abroad", "charge_forms", "linear", "pricers", "retail", "running", "tariffs", "usage_forms")

    def __init__(
        self,
        retail: Pricer,
        pricers: tuple[Pricer | None, ...],
        linear: Linear | None,
        abroad: tuple[Asset | None, ...] = (),
    ) -> None:
        self.retail = retail
        self.abroad = abroad
        self.pricers = pricers
        self.running = retail.periodic or any(pricer is not None and pricer.periodic for pricer in pricers)
        self.linear = linear
        self.tariffs = [pricer.tariff.id if pricer is not None else "" for pricer in pricers]
        self.usage_forms, self.charge_forms = Forms(), Forms()


class Route:
    """The parts of one delivery in the order of the service, and the rank of each for ties."""

    __slots__ = ("_abroad", "_dated", "_deals", "_fixed", "_wholesale", "charts", "order", "parts")

    def __init__(
        self,
        parts: list[PartRoute],
        platform: str,
        wholesale: Asset | None,
        abroad: Callable[[Pricer], Asset | None],
    ) -> None:
        self.parts = parts
        self._abroad = abroad
        self.charts = [*[part.key for part in parts], platform]  # the accounts that every delivery moves
        self._fixed = None if any(part.dated for part in parts) else tuple(part.pricer for part in parts)
        self._wholesale = wholesale  # the asset, where each part earns its own wholesale price
        self._deals: dict[Pricer, Deal] = {}
        self._dated: dict[tuple[Pricer | None, ...], dict[Pricer, Deal]] = {}
        ids = sorted((route.provider, route.part) for route in parts)
        self.order = [ids.index((route.provider, route.part)) for route in parts] + [len(parts)]

    def deal(self, retail: Pricer, instant: datetime) -> Deal:
        """This route under the tariffs in force at an instant."""
        pricers = self._fixed
        if pricers is None:
            pricers = tuple([part.at(instant) for part in self.parts])
            deals = self._dated.setdefault(pricers, {})
        else:
            deals = self._deals
        found = deals.get(retail)
        if found is None:
            abroad = tuple([None if pricer is None else self._abroad(pricer) for pricer in pricers])
            if not any(abroad):
                abroad = ()
            short = self._wholesale if not abroad else None
            linear = joined(retail, pricers, short, self.order) if short is not None else None
            found = deals[retail] = Deal(retail, pricers, linear, abroad)
        return found


class ServiceTerms:
    """One service of a catalog, compiled."""

    def __init__(self, service: Service, terms: Terms) -> None:
        self.service = service
        self.retail = terms.pricer(service.retail)
        self.asset = terms.asset(self.retail.currency)
        self.measures = frozenset(service.measures)
        self.personal = frozenset(service.personal)
        self.attributes = frozenset((*service.attributes, *service.evidence, *service.personal))
        self.platform = Exact.parse(service.platform)
        self.exempt = frozenset(service.exempt)
        self.sponsor = service.sponsor or "marketing"
        self.by_plan = service.market.retail == "passed-on" and service.allocate != "least-cost"
        self.asset_text = str(self.asset)
        self.rates = terms.rates
        self.platform_key = account_key(Role.PLATFORM, "fees", self.asset_text)
        self.agreed: dict[str, list[tuple[Agreement, Pricer]]] = {}
        self._terms = terms
        self._routes: dict[tuple[tuple[str, str], ...], Route] = {}
        self._between: dict[str, list[Agreement]] = {}
        for agreement in terms.catalog.agreements.values():
            if agreement.service == service.id and agreement.payer and not agreement.provider:
                self.agreed.setdefault(agreement.payer, []).append((agreement, terms.pricer(agreement.tariff)))
            elif agreement.service == service.id and agreement.payer and agreement.tariff:
                self._between.setdefault(agreement.payer, []).append(agreement)

    def retail_at(self, payer: str, instant: datetime) -> Pricer:
        """The retail tariff in force for a payer: an agreement's when one covers the instant."""
        for agreement, pricer in self.agreed.get(payer, ()):
            if _covers(agreement, instant):
                return pricer
        return self.retail

    def held(self, payer: str, instant: datetime) -> list[Agreement]:
        """A payer's agreements in force that have a tariff: for the service, and with providers for their parts."""
        known = [*[agreement for agreement, _ in self.agreed.get(payer, ())], *self._between.get(payer, ())]
        return [agreement for agreement in known if _covers(agreement, instant)]

    def pricer(self, tariff: str) -> Pricer:
        """The compiled tariff of this id."""
        return self._terms.pricer(tariff)

    def route(self, named: tuple[tuple[str, str], ...]) -> Route:
        """Who delivers which part, the service's own providers filled in; cached by what the record names.

        Raises:
            Refused: UNKNOWN_PART, UNKNOWN_PROVIDER.
        """
        found = self._routes.get(named)
        if found is None:
            found = self._resolve(named)
            if len(self._routes) < 10_000:
                self._routes[named] = found
        return found

    def _resolve(self, named: tuple[tuple[str, str], ...]) -> Route:
        parts = self.service.parts
        for part, _ in named:
            if part not in parts:
                raise refuse(
                    RefusalCode.UNKNOWN_PART,
                    f"service {self.service.id!r} has no part {part[:60]!r}.",
                    field="parts",
                    fix="One of " + ", ".join(parts) + ".",
                )
        if len(set(named)) < len(named):
            raise refuse(RefusalCode.BAD_INPUT, "the same provider stands twice for one part.", field="parts")
        routes = []
        for part, terms in parts.items():
            providers = [provider for name, provider in named if name == part]
            if not providers and terms.optional:
                continue
            for provider in providers or [terms.provider]:
                routes.append(self.delivered(part, provider))
        wholesale = self.asset if self.service.apportion == "wholesale" else None
        return Route(routes, self.platform_key, wholesale, self._abroad)

    def _abroad(self, pricer: Pricer) -> Asset | None:
        """The asset of a part's price, when it is another than the service's."""
        return None if pricer.currency == self.asset.code else self._terms.asset(pricer.currency)

    def delivered(self, part: str, provider: str) -> PartRoute:
        """One part as one provider delivers it.

        Raises:
            Refused: UNKNOWN_PROVIDER.
        """
        service, catalog = self.service, self._terms.catalog
        terms = service.parts[part]
        if provider not in catalog.providers:
            raise refuse(
                RefusalCode.UNKNOWN_PROVIDER,
                f"the catalog has no provider {provider[:60]!r} for part {part!r}."
                if provider
                else f"nobody is named who delivers part {part!r}.",
                field=f"provider.{part}",
                fix="Name one of " + ", ".join(list(terms.wholesale or catalog.providers)[:8]) + ".",
            )
        needs = service.apportion in ("wholesale", "cost")
        dated = [
            (a, self._terms.pricer(a.tariff))
            for a in catalog.agreements.values()
            if a.service == service.id and a.part == part and a.provider == provider and not a.payer
        ]
        tariff = terms.wholesale.get(provider)
        if needs and tariff is None and not dated:
            raise refuse(
                RefusalCode.UNKNOWN_PROVIDER,
                f"provider {provider!r} has no wholesale price for part {part!r}.",
                field=f"provider.{part}",
                fix="Name one of " + ", ".join(list(terms.wholesale)[:8]) + ".",
            )
        pricer = self._terms.pricer(tariff) if tariff else None
        route = PartRoute(part, provider, f"provider:{provider}:{self.asset}", pricer, Exact.parse(terms.share or "0"))
        route.dated = dated
        return route


class Terms:
    """A catalog version, compiled; ``scale`` answers the store's scale of a currency once it is fixed.

    ``plan`` finds a plan in the books by its id: the tariffs that were agreed there are known here by theirs.
    """

    def __init__(
        self,
        catalog: Catalog,
        version: str,
        scale: Callable[[str], int | None] = lambda code: None,
        plan: Callable[[str], PlanLine | None] = lambda id: None,
    ) -> None:
        self.catalog = catalog
        self.version = version
        self.rates = Rates(catalog.rates)
        self._scale = scale
        self.plan = plan
        self._pricers: dict[str, Pricer] = {}
        self._planned: dict[str, Pricer] = {}
        self._services: dict[str, ServiceTerms] = {}

    def asset(self, code: str) -> Asset:
        """A currency at its one scale: the store's, else the catalog's, else the default."""
        scale = self._scale(code)
        if scale is None:
            scale = self.catalog.currencies.get(code)
        return parse_asset(code, store=True) if scale is None else Asset(code, scale)

    def pricer(self, tariff: str) -> Pricer:
        """The compiled tariff of this id, of the catalog or of a plan.

        Raises:
            Refused: UNKNOWN_TARIFF.
        """
        found = self._pricers.get(tariff)
        if found is None and tariff.startswith(PLAN):
            return self._of_plan(tariff)
        if found is None:
            if tariff not in self.catalog.tariffs:
                raise refuse(RefusalCode.UNKNOWN_TARIFF, f"the catalog has no tariff {tariff[:60]!r}.", field="tariff")
            found = self._pricers[tariff] = compile_tariff(self.catalog.tariffs[tariff])
        return found

    def tariff(self, name: str) -> Tariff | None:
        """A tariff as it was written, in the catalog or in a plan; None when there is none of this id."""
        if not name.startswith(PLAN):
            return self.catalog.tariffs.get(name)
        try:
            return self.pricer(name).tariff
        except Refused:
            return None

    def _of_plan(self, tariff: str) -> Pricer:
        found = self._planned.get(tariff)
        if found is not None:
            return found
        plan = self.plan(tariff.partition(".")[0])
        for scenario in plan.scenarios if plan is not None else ():
            self.learn(scenario)
        found = self._planned.get(tariff)
        if found is None:
            raise refuse(RefusalCode.UNKNOWN_TARIFF, f"no plan has the tariff {tariff[:60]!r}.", field="tariff")
        return found

    def learn(self, scenario: Scenario) -> None:
        """Compile the tariffs of a plan's scenario; the latest few thousand are kept."""
        for one in (scenario.retail, *(part.tariff for part in scenario.parts)):
            if one.id not in self._planned:
                if len(self._planned) >= _PLANNED_KEPT:
                    self._planned.pop(next(iter(self._planned)), None)
                self._planned[one.id] = compile_tariff(one)

    def service(self, name: str) -> ServiceTerms:
        """The compiled service of this id.

        Raises:
            Refused: UNKNOWN_SERVICE.
        """
        found = self._services.get(name)
        if found is None:
            service = self.catalog.services.get(name)
            if service is None:
                raise Refused(
                    Refusal(
                        code=RefusalCode.UNKNOWN_SERVICE,
                        message=f"the catalog has no service {name[:60]!r}.",
                        field="service",
                        fix="One of " + ", ".join(list(self.catalog.services)[:8]) + ".",
                    )
                )
            found = self._services[name] = ServiceTerms(service, self)
        return found

    def billed_in(self, payer: str, service: str, instant: datetime) -> str:
        """The currency that a payer is billed in: as its agreement in force says, else its profile; "" when neither."""
        for agreement in self._billed.get(payer, ()):
            if agreement.service == service and _covers(agreement, instant):
                return agreement.billing.currency
        return self._preferred(payer)

    def bills_in(self, payer: str, code: str) -> bool:
        """Whether a known payer is billed in a currency, by any of its agreements or its profile."""
        wanted = {self._preferred(payer), *(one.billing.currency for one in self._billed.get(payer, ()))}
        return payer in self.catalog.payers and bool(self.rates) and code in wanted

    def _preferred(self, payer: str) -> str:
        known = self.catalog.payers.get(payer) or self.catalog.unknown_payers
        profile = self.catalog.profiles.get(known.profile) if known is not None else None
        return profile.billing.currency if profile is not None else ""

    @cached_property
    def _billed(self) -> dict[str, list[Agreement]]:
        """By payer the agreements that say in which currency it is billed."""
        found: dict[str, list[Agreement]] = {}
        for agreement in self.catalog.agreements.values():
            if agreement.payer and agreement.billing.currency:
                found.setdefault(agreement.payer, []).append(agreement)
        return found

    def calendar(self, payer: str) -> Calendar:
        """By which calendar a payer is billed."""
        known = self.catalog.payers.get(payer)
        if known is not None:
            return known.calendar
        return self.catalog.unknown_payers.calendar if self.catalog.unknown_payers else Calendar()


def _covers(agreement: Agreement, instant: datetime) -> bool:
    after = agreement.valid_from is None or agreement.valid_from <= instant
    return after and (agreement.valid_until is None or instant < agreement.valid_until)
