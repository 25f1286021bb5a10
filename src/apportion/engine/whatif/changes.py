"""Changes to the terms of a replay: checked against a catalog, then made to every version that records were charged by.

A version that does not know a tariff or a provider which a change names takes it from the catalog in force; one that
lacks the service or part that is changed stays as it is, for nothing in it is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

import msgspec

from apportion.errors import Misconfigured, RefusalCode, Refused, refuse
from apportion.model.agreement import AllocateRule, ApportionRule, Part, Service
from apportion.model.catalog import Catalog
from apportion.model.references import check_catalog, near
from apportion.model.usage import PartUse
from apportion.model.whatif import Change
from apportion.money import Exact

replace = msgspec.structs.replace
_RULES, _ALLOCATIONS = get_args(ApportionRule), get_args(AllocateRule)
_PRICED = ("wholesale", "cost")  # rules under which every provider needs a wholesale price


class Changes:
    """Changes that fit the catalog ``known``: what is named in them is there.

    Raises:
        Refused: UNKNOWN_SERVICE, UNKNOWN_PART, UNKNOWN_PROVIDER, UNKNOWN_TARIFF, BAD_INPUT, BAD_WEIGHT, with the kind
            of the change as its field.
        Misconfigured: the changed catalog contradicts itself.
    """

    def __init__(self, given: Sequence[Change], known: Catalog) -> None:
        self.given, self.known = tuple(given), known
        self._instead: dict[str, str] = {}  # by provider: who delivers instead
        self._parts: dict[tuple[str, str], str] = {}  # by service and part: who delivers it
        for change in given:
            self._check(change)
        if given:
            wrong = check_catalog(self.made(known))
            if wrong:
                message = f"Changed like that, the catalog contradicts itself: {wrong[0].sentence()}"
                raise Misconfigured(message, tuple(wrong))

    def made(self, catalog: Catalog) -> Catalog:
        """The catalog with the changes made."""
        for change in self.given:
            catalog = getattr(self, f"_{change.kind}")(catalog, change)
        return catalog

    def parts(self, service: str, parts: tuple[PartUse, ...]) -> tuple[PartUse, ...]:
        """Who delivers what of a record after the changes; what two delivered that now are one is added up."""
        if not self._instead and not self._parts:
            return parts
        found: dict[tuple[str, str], PartUse] = {}
        for one in parts:
            provider = self.provider(service, one.part, one.provider)
            old = found.get((one.part, provider))
            quantities = one.quantities if old is None else _added(old.quantities, one.quantities)
            found[one.part, provider] = PartUse(one.part, provider, quantities)
        return tuple(found.values())

    def swaps(self, service: str) -> bool:
        """Whether others may deliver parts of a service than those that did."""
        return bool(self._instead) or any(name == service for name, _ in self._parts)

    def provider(self, service: str, part: str, provider: str) -> str:
        """Who delivers a part instead of a provider; that one itself, when nobody does."""
        return self._parts.get((service, part)) or self._instead.get(provider, provider)

    # checks

    def _check(self, change: Change) -> None:
        known, kind, what, to = self.known, change.kind, change.what, change.to
        if kind in ("share", "part"):
            service, part = self._part_of(change)
            if kind == "part":
                _named(kind, to, known.providers, RefusalCode.UNKNOWN_PROVIDER)
                self._needs_price(change, [(service, part)])
                self._parts[service.id, part] = to
            else:
                _weight(kind, to)
        elif kind == "provider":
            _named(kind, what, known.providers, RefusalCode.UNKNOWN_PROVIDER)
            _named(kind, to, known.providers, RefusalCode.UNKNOWN_PROVIDER)
            delivers = [(s, p) for s in known.services.values() for p, part in s.parts.items() if _in(part, what)]
            self._needs_price(change, delivers)
            self._instead[what] = to
        elif kind == "tariff":
            if what not in known.services:
                self._seller(change)
            _named(kind, to, known.tariffs, RefusalCode.UNKNOWN_TARIFF)
        else:
            _named(kind, what, known.services, RefusalCode.UNKNOWN_SERVICE)
            if kind == "platform":
                _weight(kind, to)
            else:
                _named(kind, to, _RULES if kind == "rule" else _ALLOCATIONS, RefusalCode.BAD_INPUT)

    def _part_of(self, change: Change) -> tuple[Service, str]:
        name, dot, part = change.what.rpartition(".")
        if not dot:
            raise refuse(
                RefusalCode.BAD_INPUT,
                f"{change.what[:60]!r} names no part.",
                field=change.kind,
                fix="Write SERVICE.PART, such as " + _parts_of(self.known)[0] + ".",
            )
        _named(change.kind, name, self.known.services, RefusalCode.UNKNOWN_SERVICE)
        service = self.known.services[name]
        _named(change.kind, part, service.parts, RefusalCode.UNKNOWN_PART)
        return service, part

    def _seller(self, change: Change) -> tuple[str, str, str]:
        """Service, part and provider of a wholesale tariff that is changed."""
        for service in self.known.services.values():
            rest = change.what.removeprefix(service.id + ".")
            part, dot, provider = rest.partition(".")
            if rest != change.what and dot and part in service.parts:
                _named(change.kind, provider, self.known.providers, RefusalCode.UNKNOWN_PROVIDER)
                return service.id, part, provider
        raise refuse(
            RefusalCode.UNKNOWN_SERVICE,
            f"{change.what[:60]!r} is no service, and no SERVICE.PART.PROVIDER.",
            field=change.kind,
            fix="Name a service: " + ", ".join(list(self.known.services)[:8]) + ".",
        )

    def _needs_price(self, change: Change, parts: Iterable[tuple[Service, str]]) -> None:
        """Who is to deliver has a price for the parts, where the rule goes by prices."""
        without = [
            (service, part)
            for service, part in parts
            if service.apportion in _PRICED and not self._sells(service, part, change.to)
        ]
        if not without:
            return
        (service, part), places = without[0], [f"{service.id}.{part}" for service, part in without]
        more = "" if change.kind == "part" else "; or change single parts, by the kind part"
        sold = ", ".join(service.parts[part].wholesale)
        raise refuse(
            RefusalCode.NO_PRICE,
            f"{change.to!r} has no wholesale price for {', '.join(places[:8])}.",
            field=change.kind,
            fix=f"Give it one by a change of the kind tariff, {places[0]}.{change.to}=TARIFF{more}."
            + (f" A price there have {sold[:200]}." if sold else ""),
        )

    def _sells(self, service: Service, part: str, provider: str) -> bool:
        own = f"{service.id}.{part}.{provider}"
        return (
            provider in service.parts[part].wholesale
            or any(one.kind == "tariff" and one.what == own for one in self.given)
            or any(
                (one.service, one.part, one.provider, one.payer) == (service.id, part, provider, "")
                for one in self.known.agreements.values()
            )
        )

    # the changes, each by its kind

    def _provider(self, catalog: Catalog, change: Change) -> Catalog:
        for service in catalog.services.values():
            for name, part in service.parts.items():
                if _in(part, change.what):
                    catalog = self._delivered(catalog, (service.id, name), change.to, only=change.what)
        return catalog

    def _part(self, catalog: Catalog, change: Change) -> Catalog:
        service, _, part = change.what.rpartition(".")
        return self._delivered(catalog, (service, part), change.to)

    def _delivered(self, catalog: Catalog, place: tuple[str, str], to: str, only: str = "") -> Catalog:
        """Let a part be delivered by a provider: by default, and at its price of the catalog in force if need be."""
        part = _part_in(catalog, place)
        if part is None:
            return catalog
        mine = _part_in(self.known, place)
        price = mine.wholesale.get(to, "") if mine is not None else ""
        wholesale = part.wholesale if to in part.wholesale or not price else {**part.wholesale, to: price}
        default = part.provider and (to if only in ("", part.provider) else part.provider)
        catalog = self._with_part(catalog, place, replace(part, provider=default, wholesale=wholesale))
        return self._with_tariff(self._with_provider(catalog, to), wholesale.get(to, ""))

    def _tariff(self, catalog: Catalog, change: Change) -> Catalog:
        if change.what in self.known.services:
            return self._with_tariff(self._with_service(catalog, change.what, retail=change.to), change.to)
        service, name, provider = self._seller(change)
        part = _part_in(catalog, (service, name))
        if part is None:
            return catalog
        sold = replace(part, wholesale={**part.wholesale, provider: change.to})
        catalog = self._with_part(catalog, (service, name), sold)
        return self._with_tariff(self._with_provider(catalog, provider), change.to)

    def _share(self, catalog: Catalog, change: Change) -> Catalog:
        service, _, name = change.what.rpartition(".")
        part = _part_in(catalog, (service, name))
        return self._with_part(catalog, (service, name), replace(part, share=change.to)) if part else catalog

    def _platform(self, catalog: Catalog, change: Change) -> Catalog:
        return self._with_service(catalog, change.what, platform=change.to)

    def _rule(self, catalog: Catalog, change: Change) -> Catalog:
        return self._with_service(catalog, change.what, apportion=change.to)

    def _allocate(self, catalog: Catalog, change: Change) -> Catalog:
        return self._with_service(catalog, change.what, allocate=change.to)

    def _with_service(self, catalog: Catalog, name: str, **fields: str) -> Catalog:
        service = catalog.services.get(name)
        if service is None:
            return catalog
        return replace(catalog, services={**catalog.services, name: replace(service, **fields)})

    def _with_part(self, catalog: Catalog, place: tuple[str, str], part: Part) -> Catalog:
        service = catalog.services[place[0]]
        changed = replace(service, parts={**service.parts, place[1]: part})
        return replace(catalog, services={**catalog.services, place[0]: changed})

    def _with_provider(self, catalog: Catalog, name: str) -> Catalog:
        if name in catalog.providers:
            return catalog
        return replace(catalog, providers={**catalog.providers, name: self.known.providers[name]})

    def _with_tariff(self, catalog: Catalog, name: str) -> Catalog:
        tariff = self.known.tariffs.get(name)
        if tariff is None or name in catalog.tariffs:
            return catalog
        return replace(catalog, tariffs={**catalog.tariffs, name: tariff})


def _in(part: Part, provider: str) -> bool:
    return provider == part.provider or provider in part.wholesale


def _part_in(catalog: Catalog, place: tuple[str, str]) -> Part | None:
    service = catalog.services.get(place[0])
    return service.parts.get(place[1]) if service is not None else None


def _parts_of(catalog: Catalog) -> list[str]:
    return [f"{service.id}.{part}" for service in catalog.services.values() for part in service.parts] or ["rides.car"]


def _named(kind: str, name: str, known: Mapping[str, object] | Sequence[str], code: RefusalCode) -> None:
    """Refuse a name that is not there."""
    if name not in known:
        what = code.value.removeprefix("unknown_") if code is not RefusalCode.BAD_INPUT else f"{kind} of this name:"
        raise refuse(
            code,
            f"there is no {what} {name[:60]!r}.",
            field=kind,
            fix=near(name, known) or "There are: " + ", ".join(list(known)[:12]) + ".",
        )


def _weight(kind: str, text: str) -> None:
    try:
        weight = Exact.parse(text)
    except Refused as refused:
        raise refuse(
            RefusalCode.BAD_WEIGHT, f"{text[:40]!r} is no number.", field=kind, fix="Such as 3, 0.25 or 1/3."
        ) from refused
    if weight.num < 0:
        raise refuse(RefusalCode.BAD_WEIGHT, f"{text[:40]} is less than nothing.", field=kind, fix="Write 0 or more.")


def _added(one: dict[str, str], other: dict[str, str]) -> dict[str, str]:
    """Quantities of two together, as far as both say them."""
    return {
        measure: (Exact.parse(one.get(measure, "0")) + Exact.parse(other.get(measure, "0"))).text()
        for measure in {**one, **other}
    }
