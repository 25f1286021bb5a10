"""Pricing: a use and the running totals before it → what it costs, exactly.

Nothing is rounded here but where the contract rounds below the charge (each line, each increment). Negative
quantities are a credit record: everything priced per charge is mirrored, running totals go down.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from datetime import datetime

import msgspec

from apportion.errors import RefusalCode, refuse
from apportion.model.calendar import zone_of
from apportion.model.tariff import Demand, Flat, Percentage, Tariff, Use
from apportion.money import Exact, Rounding, round_to
from apportion.money.exact import ZERO
from apportion.stages.rate.bands import Cut, Timetable, micros
from apportion.stages.rate.cut import rounded_at_end, running_units, share_of
from apportion.stages.rate.period import add_charged, adjustment, charged_stems, close
from apportion.stages.rate.plan import Plan, Plans
from apportion.stages.rate.priced import Part, Priced, bases_of, net_of
from apportion.stages.rate.running import Running
from apportion.stages.rate.terms import Term, number
from apportion.stages.rate.tiers import Pair

_NO_TOTALS: Mapping[str, Exact] = {}
_SECOND = 1_000_000
_HOUR = 3600 * _SECOND
_ONE: Pair = (1, 1)


class Pricer:
    """A compiled tariff; build it with ``compile_tariff`` after ``check`` found nothing.

    ``measures`` are the quantities a use must state, ``attributes`` those by which the deck finds a price,
    ``running`` whether any component keeps a running total.
    """

    def __init__(self, tariff: Tariff) -> None:
        self.tariff = tariff
        self.currency = tariff.currency
        self.tax_included = tariff.tax_included
        self.version = f"{tariff.id}@{hashlib.sha256(msgspec.json.encode(tariff)).hexdigest()[:16]}"
        self.rates = {name: number(rate) for name, rate in tariff.taxes.items()}
        self._low = number(tariff.minimum) if tariff.minimum else None
        self._high = number(tariff.maximum) if tariff.maximum else None
        self.plans = Plans(tariff)
        self.attributes = frozenset({tariff.deck.by} if tariff.deck else ())
        self.measures = frozenset(
            c.measure for c in tariff.components if c.measure and not c.optional and not getattr(c, "time", False)
        )
        self._timetable = Timetable(tariff.bands, zone_of(tariff.zone)) if tariff.bands else None
        self._line_decimals = tariff.rounding.decimals or 0
        self._by_line = tariff.rounding.at == "line"
        self._charged = charged_stems(tariff)
        self.running = bool(self._charged) or any(
            isinstance(c, Demand)
            or (not isinstance(c, Flat | Percentage) and c.scope == "period")
            or (isinstance(c, Percentage) and (c.free_events or c.free_total))
            for c in tariff.components
        )

    @functools.cached_property
    def periodic(self) -> bool:
        """Whether anything is left to do when a period closes: running totals, or fees that only a period has."""
        return self.running or any(isinstance(c, Flat) and c.scope == "period" for c in self.tariff.components)

    def total_keys(self, use: Use, period: str) -> tuple[str, ...]:
        """Keys of the running totals that this use reads and changes."""
        if not self.running:
            return ()
        return tuple(f"{stem}@{period}" for stem in (*self.plans.of(use).stems(), *self._charged))

    def price(self, use: Use, totals: Mapping[str, Exact] = _NO_TOTALS, period: str = "") -> Priced:
        """What a use costs, given the running totals before it.

        Raises:
            Refused: MEASURE_MISSING, NO_PRICE, BAD_TIME or BAD_QUANTITY.
        """
        plan = self.plans.only
        if plan is None:
            plan = self.plans.of(use)
        if not plan.plain:
            return self._price_fully(plan, use, totals, period)
        quantities, note = use.quantities, plan.note
        num, den = 0, 1
        parts: list[Part] = []
        for term, measure, simple in plan.steps:
            if measure:
                quantity = quantities.get(measure)
                if quantity is None or quantity.num < 0:
                    return self._price_fully(plan, use, totals, period)
                measured, over = quantity.num, quantity.den
            else:
                measured = over = 1
            if simple is not None:
                units, unit = measured, over
                amount, scale = measured * simple[0], over * simple[1]
            else:
                units, unit = term.units(measured, over)
                amount, scale = term.cost(units, unit)
            parts.append((term, measured, over, units, unit, amount, scale, note))
            if scale == den:
                num += amount
            elif num:
                num, den = num * scale + amount * den, den * scale
            else:
                num, den = amount, scale
        return Priced(Exact(num, den), {}, self.version, parts, self.rates)

    def period_charge(self, totals: Mapping[str, Exact], period: str, at: datetime | None = None) -> Priced:
        """What only a period has: its flat fees, peaks, minimum and maximum; prices as of ``at`` (None: the latest).

        ``totals`` are the running totals of one payer in this period, as ``price`` left them.
        """
        parts = close(self.plans.at_close(at).closing, self.tariff, totals, period)
        return self._sum_up(parts, {})

    def band_ends(self, start: datetime, count: int) -> list[int]:
        """How long after ``start`` (microseconds) the next bands end; empty without bands."""
        return self._timetable.ends(start, count) if self._timetable is not None else []

    # ── everything beyond the plain path ──

    def _price_fully(self, plan: Plan, use: Use, totals: Mapping[str, Exact], period: str) -> Priced:
        sign = self._sign(plan, use)
        cut = self._cut(plan, use)
        measured = {term.name: _measured(term, use) for term in (*plan.terms, *plan.closing) if term.measure}
        chained = _chained(plan, cut, measured)
        running = Running(totals, period)
        parts: list[Part] = []
        for term in plan.terms:
            share, whole = _share(term, cut)
            if not share:
                continue
            num, den = measured.get(term.name, _ONE)
            num, den = num * share, den * whole
            units, unit = chained.get(term.name) or term.units(num, den)
            if term.running:
                moved = (units * sign, unit)
                amount, note = running.event(term, moved) if term.event else running.step(term, moved)
            else:
                (top, bottom), note = term.cost(units, unit), plan.note
                amount = (top * sign, bottom)
            if self._by_line:
                amount = self._rounded(amount)
            parts.append((term, num * sign, den, units * sign, unit, *amount, note))
        for term in plan.closing:
            if term.peak and _share(term, cut)[0]:
                running.peak(term, _power(term, use, measured[term.name], sign))
        if self._low is not None or self._high is not None:
            used = any(part[1] for part in parts if part[0].measure) or any(part[5] for part in parts)
            bases = bases_of(parts) or {self.tariff.tax: ZERO}
            parts += adjustment(bases, self._low if used else None, self._high, "charge")
        if self._charged:
            add_charged(self.tariff, parts, running)
        return self._sum_up(parts, running.new)

    def _sum_up(self, parts: list[Part], new: dict[str, Exact]) -> Priced:
        exact = ZERO
        for name, amount in bases_of(parts).items():
            exact += net_of(amount, self.rates[name]) if self.tax_included and name else amount
        return Priced(exact.reduced(), new, self.version, parts, self.rates, self.tax_included)

    def _rounded(self, amount: Pair) -> Pair:
        rounded = round_to(Exact(*amount), self._line_decimals, Rounding(self.tariff.rounding.mode))
        return rounded.num, rounded.den

    def _sign(self, plan: Plan, use: Use) -> int:
        """−1 for a credit record; a record that gives some and takes some is refused."""
        signs = {
            (quantity.num > 0) - (quantity.num < 0)
            for term in (*plan.terms, *plan.closing)
            if term.measure and (quantity := use.quantities.get(term.measure)) is not None
        }
        if -1 not in signs:
            return 1
        if 1 in signs:
            raise refuse(
                RefusalCode.BAD_QUANTITY,
                "a record can not use some and give back some.",
                field="quantities",
                fix="Send the credit as a record of its own, with all quantities negative.",
            )
        return -1

    def _cut(self, plan: Plan, use: Use) -> Cut | None:
        if not plan.banded or self._timetable is None:
            return None
        _zoned(use)
        if use.end is None:
            return [(self._timetable.band_at(use.start), 1)]
        return self._timetable.cut(use.start, use.end)


def _zoned(use: Use) -> None:
    if use.start.tzinfo is None or (use.end is not None and use.end.tzinfo is None):
        raise refuse(RefusalCode.BAD_TIME, "the time has no zone.", field="start", fix="Write it with Z.")
    if use.end is not None and use.end < use.start:
        raise refuse(RefusalCode.BAD_TIME, "the use ends before it starts.", field="end")


def _lasted(use: Use, end: datetime) -> int:
    """Microseconds from the start of the use to its end."""
    _zoned(use)
    return micros(end) - micros(use.start)


def _measured(term: Term, use: Use) -> Pair:
    """The size of a quantity of the use, without its sign."""
    quantity = use.quantities.get(term.measure)
    if quantity is not None:
        return abs(quantity.num), quantity.den
    if term.time and use.end is not None:
        return _lasted(use, use.end), _SECOND
    if term.optional:
        return 0, 1
    raise refuse(
        RefusalCode.MEASURE_MISSING,
        f"{term.name!r} prices {term.measure!r}, which the use does not state.",
        field=f"quantities.{term.measure}",
        fix="Add it, or the end of the use." if term.time else "Add it, as zero if there was none.",
    )


def _share(term: Term, cut: Cut | None) -> Pair:
    """Which part of the use lies in the bands of a component."""
    if term.when is None or cut is None:
        return 1, 1
    if term.by_start:
        return int(cut[0][0] in term.when), 1
    return share_of(term, cut), sum(length for _, length in cut)


def _chained(plan: Plan, cut: Cut | None, measured: Mapping[str, Pair]) -> dict[str, Pair]:
    """Billed units of components whose increments depend on one another."""
    billed: dict[str, Pair] = {}
    for chain in plan.chains:
        if chain.at_end:
            billed |= rounded_at_end(chain, cut or [("", 1)], measured)
        elif cut is not None:
            first = chain.terms[0]
            (num, den), (times, over) = measured[first.name], first.convert or _ONE
            billed |= running_units(chain, cut, (num * times, den * over))
    return billed


def _power(term: Term, use: Use, measured: Pair, sign: int) -> Pair:
    """The power of a use: stated, or its energy over the hours that it lasted."""
    num, den = measured
    if term.averaged and num:
        lasted = 0 if use.end is None else _lasted(use, use.end)
        if not lasted:
            raise refuse(
                RefusalCode.BAD_TIME, f"{term.name!r} needs a use that lasts, to average over it.", field="end"
            )
        num, den = num * _HOUR, den * lasted
    units, unit = term.units(num, den)
    return units * sign, unit


def compile_tariff(tariff: Tariff) -> Pricer:
    """A pricer for a tariff that ``check`` found nothing against."""
    return Pricer(tariff)
