"""The terms of one session, looked up: tariffs, service, currency, and the quantities that its meters stand for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from apportion.engine.terms import ServiceTerms, Terms
from apportion.errors import RefusalCode, refuse
from apportion.model.session import Meter, SessionLine, SessionTerms
from apportion.model.session_check import unfit
from apportion.model.tariff import Component, Use
from apportion.money import Asset, Exact
from apportion.stages.rate import Priced, Pricer, compile_tariff

Quantities = dict[str, Exact]
Pick = Callable[[Meter], Quantities]
ZERO = Exact(0)
APART = " > "  # between a part and what it counted for itself
_DEFAULT = SessionTerms()


class Contract:
    """What a session was agreed on: always the catalog version that its line names."""

    def __init__(self, line: SessionLine, terms: Terms) -> None:
        self.terms: ServiceTerms = terms.service(line.service)
        self.retail: Pricer = terms.pricer(line.tariff)
        self.asset: Asset = self.terms.asset
        self.pricers = {
            m.tariff: terms.pricer(m.tariff)
            for m in line.meters
            if m.tariff and not (m.ended and terms.tariff(m.tariff) is None)  # who is gone may be in no catalog now
        }
        self.attributes = line.attributes
        self.start = line.start
        self._parts = sorted({m.part for m in line.meters[1:]}, key=len, reverse=True)
        self._apart: Pricer | None = None

    @property
    def session(self) -> SessionTerms:
        """How the service runs as a session; by a plan even one that says nothing of it does."""
        return self.terms.service.session or _DEFAULT

    def pricer(self, meter: Meter) -> Pricer | None:
        """The wholesale tariff of a meter."""
        return self.pricers.get(meter.tariff)

    def price(self, pricer: Pricer, since: str, until: datetime, quantities: Quantities) -> Priced:
        """What quantities cost that were used from ``since`` until an instant; those not named are zero."""
        if any(APART in measure for measure in quantities):
            pricer, quantities = self._by_part(pricer, quantities)
        full = {**dict.fromkeys(pricer.measures, ZERO), **quantities}
        return pricer.price(Use(parsed(since), until, full, self.attributes))

    def _by_part(self, pricer: Pricer, quantities: Quantities) -> tuple[Pricer, Quantities]:
        """Where each part has a price of its own, price it by what that part counted; else by the whole alone."""
        counted = {measure.partition(APART)[2] for measure in quantities if APART in measure}
        if pricer is not self.retail or self.terms.service.market.retail != "passed-on":
            return pricer, {measure: units for measure, units in quantities.items() if APART not in measure}
        if self._apart is None:
            components = tuple(self._named_apart(one) for one in pricer.tariff.components)
            self._apart = compile_tariff(msgspec.structs.replace(pricer.tariff, components=components))
        plain = {
            measure: units for measure, units in quantities.items() if measure not in counted and APART not in measure
        }
        copied = {f"{part}{APART}{measure}": units for part in self._parts for measure, units in plain.items()}
        return self._apart, {**quantities, **copied}

    def _named_apart(self, component: Component) -> Component:
        """A component that is a part's, with the measure of that part (see ``composed``)."""
        measure = getattr(component, "measure", "")
        part = next((part for part in self._parts if component.name.startswith(f"{part}: ")), None)
        if part is None or not measure:
            return component
        return msgspec.structs.replace(component, measure=f"{part}{APART}{measure}")

    def exact(self, pricer: Pricer, meter: Meter, until: datetime, quantities: Quantities) -> Exact:
        """The price of a part; what is due once per session counts only under the terms of its beginning."""
        exact = self.price(pricer, meter.since, until, quantities).exact
        if meter.turned:
            exact -= self.price(pricer, meter.since, until, {}).exact
        return exact

    def bounds(self, after: datetime, until: datetime) -> list[datetime]:
        """Instants strictly between two at which a band of any of the tariffs begins, in order."""
        found: set[datetime] = set()
        for pricer in {self.retail, *self.pricers.values()}:
            count = 8
            while pricer.tariff.bands and until > after:
                ends = [after + timedelta(microseconds=length) for length in pricer.band_ends(after, count)]
                found.update(end for end in ends if after < end < until)
                if len(ends) < count or ends[-1] >= until or count > 4096:
                    break
                count *= 4
        return sorted(found)


def check_tariffs(pricers: Sequence[Pricer | None]) -> None:
    """Refuse tariffs that can not be charged slice by slice.

    Raises:
        Refused: BAD_INPUT when one keeps totals of a period, or gets cheaper as a whole when more is used.
    """
    for pricer in pricers:
        why = unfit(pricer.tariff) if pricer is not None else ""
        if pricer is not None and why:
            raise refuse(
                RefusalCode.BAD_INPUT,
                f"the tariff {pricer.tariff.id!r} can not be charged while the service runs: {why}.",
                field="service",
                fix="Send its use as usage records, or give the service another tariff.",
            )


def parsed(instant: str) -> datetime:
    """An instant of the books."""
    return datetime.fromisoformat(instant)


def read(texts: Mapping[str, str]) -> Quantities:
    """Quantities of the books as exact numbers."""
    return {measure: _exact(text) for measure, text in texts.items()}


_exact = functools.lru_cache(maxsize=4096)(Exact.parse)  # a change looks at the same counters again and again


def written(quantities: Mapping[str, Exact]) -> dict[str, str]:
    """Exact quantities as the books hold them; zeros are left out."""
    return {measure: quantity.text() for measure, quantity in quantities.items() if quantity}


def minus(some: Mapping[str, Exact], less: Mapping[str, Exact]) -> Quantities:
    """The difference, measure by measure."""
    return {measure: quantity - less.get(measure, ZERO) for measure, quantity in some.items()}


def used(meter: Meter) -> Quantities:
    """Everything that was reported."""
    return read(meter.used)


def payable(meter: Meter) -> Quantities:
    """What was used within a grant."""
    return minus(read(meter.used), read(meter.lost))


def granted(meter: Meter) -> Quantities:
    """What will have been used once the grant is used up."""
    now, upto = read(meter.used), read(meter.granted)
    most = {measure: max(now.get(measure, ZERO), upto.get(measure, ZERO)) for measure in {**now, **upto}}
    return minus(most, read(meter.lost))


def granted_now(line: SessionLine) -> tuple[Meter, ...]:
    """The meters without what is granted to the whole of measures that the parts count and the whole never has.

    Such a grant was for the beginning: what is used next is granted to the parts that report it. By a plan it is still
    that of parts which deliver and have not reported yet.
    """
    root, *parts = line.meters
    counted = {measure for meter in parts for measure in meter.used}
    first = {m: units for m, units in root.granted.items() if m in counted and m not in root.used}
    if not first:
        return line.meters
    upto = {m: units for m, units in root.granted.items() if m not in first}
    if line.plan:
        parts = [
            m if m.ended or m.number else msgspec.structs.replace(m, granted={**first, **m.granted}) for m in parts
        ]
    return (msgspec.structs.replace(root, granted=upto), *parts)


def whole(line: SessionLine, pick: Pick) -> Quantities:
    """Quantities of the service: those that the meter of the whole counts, of all others the sum over parts.

    By a plan every part delivers all that was asked for: then it is the most that any part counted.
    """
    total = dict(pick(line.meters[0]))
    for name, quantity in apart(line, pick).items():
        measure = name.partition(APART)[2]
        before = total.get(measure, ZERO)
        total[measure] = max(before, quantity) if line.plan else before + quantity
    return total


def apart(line: SessionLine, pick: Pick) -> Quantities:
    """What each part counted of measures that the whole never has, under ``part`` and ``measure``."""
    root, found = pick(line.meters[0]), dict[str, Exact]()
    for meter in line.meters[1:]:
        for measure, quantity in pick(meter).items():
            if measure not in root:
                name = f"{meter.part}{APART}{measure}"
                found[name] = found.get(name, ZERO) + quantity
    return found


def own(meters: Sequence[Meter], meter: Meter, pick: Pick) -> Quantities:
    """Quantities of one part: its own before those of the whole, never another part's."""
    return {**pick(meters[0]), **pick(meter)}
