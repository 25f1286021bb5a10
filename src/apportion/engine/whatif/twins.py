"""Every catalog version that records were charged by, beside what it becomes for the replay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apportion.engine.terms import Terms
from apportion.engine.whatif.changes import Changes
from apportion.model.agreement import Service
from apportion.model.catalog import Catalog
from apportion.model.usage import PartUse
from apportion.stages.rate import Pricer

LABEL = "whatif"


class Twin:
    """A version as it was (``own``) and as it is replayed (``changed``)."""

    def __init__(self, own: Terms, changed: Terms, changes: Changes, *, whole: bool, control: bool) -> None:
        self.own, self.changed = own, changed
        self._changes, self._whole, self._control = changes, whole, control
        self._touched: dict[str, bool] = {}
        self._defaults: dict[tuple[str, str, str], str] = {}
        self._alike: dict[tuple[Pricer, Pricer], bool] = {}

    def touched(self, service: str) -> bool:
        """Whether anything that a record of the service is charged by differs; in a control everything is rated."""
        found = self._touched.get(service)
        if found is None:
            own, changed = self.own.catalog, self.changed.catalog
            found = self._control or self._changes.swaps(service) or _said(own, service) != _said(changed, service)
            self._touched[service] = found
        return found

    def alike(self, one: Pricer, other: Pricer) -> bool:
        """Whether two tariffs say the same; long decks are compared once."""
        if one is other:
            return True
        found = self._alike.get((one, other))
        if found is None:
            found = self._alike[one, other] = one.tariff == other.tariff
        return found

    def parts(self, service: str, parts: tuple[PartUse, ...]) -> tuple[PartUse, ...]:
        """Who delivers what of a record in the replay."""
        if self._whole:
            parts = tuple([PartUse(p.part, self._default(service, p.part, p.provider), p.quantities) for p in parts])
        return self._changes.parts(service, parts)

    def provider(self, service: str, part: str, provider: str) -> str:
        """Who delivers a part of a session in the replay."""
        if self._whole:
            provider = self._default(service, part, provider)
        return self._changes.provider(service, part, provider)

    def _default(self, service: str, part: str, provider: str) -> str:
        """Under another catalog, its default provider where the one of its own time delivered."""
        key = (service, part, provider)
        found = self._defaults.get(key)
        if found is None:
            own, other = (terms.catalog.services.get(service) for terms in (self.own, self.changed))
            was = own.parts[part].provider if own is not None and part in own.parts else ""
            now = other.parts[part].provider if other is not None and part in other.parts else ""
            found = self._defaults[key] = now if now and provider == was else provider
        return found


class Twins:
    """The twin of each version, made when a record first asks for it.

    ``load`` finds a version of the books, ``scale`` the scale that the store has fixed for a currency.
    """

    def __init__(
        self,
        load: Callable[[str], Terms],
        scale: Callable[[str], int | None],
        changes: Changes,
        given: Catalog | None,
    ) -> None:
        self._load, self._scale, self._changes, self._given = load, scale, changes, given
        self._twins: dict[str, Twin] = {}
        self._whole: Terms | None = None

    def of(self, version: str) -> Twin:
        """The twin of a version."""
        found = self._twins.get(version)
        if found is None:
            found = self._twins[version] = self._made(self._load(version))
        return found

    def _made(self, own: Terms) -> Twin:
        changes, control = self._changes, self._given is None and not self._changes.given
        if self._given is not None:
            if self._whole is None:
                self._whole = Terms(changes.made(self._given), LABEL, self._scale, own.plan)
            return Twin(own, self._whole, changes, whole=True, control=False)
        if control:
            return Twin(own, own, changes, whole=False, control=True)
        changed = Terms(changes.made(own.catalog), f"{LABEL} {own.version}", self._scale, own.plan)
        return Twin(own, changed, changes, whole=False, control=False)


def _said(catalog: Catalog, name: str) -> tuple[Any, ...]:
    """Everything in a catalog that a record of a service is charged by."""
    service = catalog.services.get(name)
    if service is None:
        return ()
    agreements = {k: v for k, v in catalog.agreements.items() if v.service == name}
    tariffs = {one: catalog.tariffs.get(one) for one in _tariffs(service, {a.tariff for a in agreements.values()})}
    return service, agreements, tariffs


def _tariffs(service: Service, agreed: set[str]) -> list[str]:
    sold = (tariff for part in service.parts.values() for tariff in part.wholesale.values())
    return sorted({service.retail, *sold, *agreed})
