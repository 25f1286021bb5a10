"""The terms of one session, looked up: tariffs, service, currency, and the quantities that its meters stand for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from apportion.engine.terms import ServiceTerms, Terms
from apportion.errors import RefusalCode, refuse
from apportion.model.session import Meter, SessionLine, SessionPayer, SessionTerms
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
        self._asset_of = terms.asset
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
        """The price of a part in the service's currency; what is due once per session counts only at its beginning."""
        exact = self.price(pricer, meter.since, until, quantities).exact
        if meter.turned:
            exact -= self.price(pricer, meter.since, until, {}).exact
        return exact if meter.rate is None else meter.rate.of(exact, pricer.currency)

    def own_asset(self, meter: Meter) -> Asset | None:
        """In what a part earns that does not earn in the service's currency: where it earns its own price."""
        if meter.rate is None or self.terms.service.apportion != "wholesale":
            return None
        return self._asset_of(meter.rate.other(self.asset.code))

    def paid_asset(self, payer: SessionPayer) -> Asset:
        """The asset of a payer's account."""
        return self.asset if payer.rate is None else self._asset_of(payer.rate.other(self.asset.code))

    def paid(self, payer: SessionPayer, charged: int) -> int:
        """What a payer has paid of its account (atoms) once so much is charged; nothing where that is the same."""
        if payer.rate is None:
            return 0
        return payer.rate.atoms(charged, self.asset, self.paid_asset(payer))

    def to_hold(self, payer: SessionPayer, charged: int) -> int:
        """Atoms of its account that surely pay for so much."""
        if payer.rate is None:
            return charged
        away = payer.rate.of(Exact(charged, self.asset.unit), self.asset.code)
        return (away * Exact(self.paid_asset(payer).unit)).ceil()

    def covers(self, payer: SessionPayer, atoms: int) -> int:
        """For how much so many atoms of its account surely pay."""
        if payer.rate is None:
            return atoms
        asset = self.paid_asset(payer)
        return (payer.rate.of(Exact(atoms, asset.unit), asset.code) * Exact(self.asset.unit)).floor()

    def own_due(self, meter: Meter, earned: Exact) -> Exact:
        """The exact share of such a part, given in atoms of the service's currency, in atoms of its own."""
        asset = self.own_asset(meter)
        if meter.rate is None or asset is None:
            return ZERO
        return meter.rate.of(earned.over(Exact(self.asset.unit)), self.asset.code) * Exact(asset.unit)

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
