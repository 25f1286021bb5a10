"""One component of a tariff, compiled: how its quantity becomes billed units and these an amount."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from apportion.model.tariff import (
    Component,
    Demand,
    Flat,
    Graduated,
    GraduatedPercentage,
    Package,
    Percentage,
    RateTier,
    RoundingRule,
    Tariff,
    Tier,
    Unit,
    Volume,
)
from apportion.money import Exact, Rounding, round_to
from apportion.money.exact import ZERO
from apportion.stages.rate.tiers import Curve, Increments, Pair, Step, graduated, straight, volume

ONE = Exact(1)
HUNDRED = Exact(100)


class Term(msgspec.Struct, gc=False):
    """A compiled component.

    ``running`` is the key stem of its running total (empty when priced per charge); ``peak`` and ``event`` mark the
    two kinds that keep another kind of total; ``by_start`` is owed whole by the band of the start.
    """

    name: str
    measure: str
    tax: str
    curve: Curve
    price: str
    optional: bool = False
    time: bool = False
    when: frozenset[str] | None = None
    convert: Pair | None = None
    increments: Increments | None = None
    block: Pair | None = None
    free: Pair | None = None
    low: Pair | None = None
    high: Pair | None = None
    running: str = ""
    peak: bool = False
    averaged: bool = False
    event: bool = False
    free_events: int = 0
    by_start: bool = False
    at_close: bool = False

    @property
    def simple(self) -> Pair | None:
        """(slope, scale) of a component that is nothing but a price per unit; None when there is more to it."""
        plain = (self.convert, self.increments, self.block, self.free, self.low, self.high) == (None,) * 6
        return self.curve.slope if plain else None

    def units(self, num: int, den: int) -> Pair:
        """Measured quantity → billed units: converted and rounded up to increments."""
        if self.convert is not None:
            num, den = num * self.convert[0], den * self.convert[1]
        return (num, den) if self.increments is None else self.increments.billed(num, den)

    def cost(self, num: int, den: int) -> Pair:
        """Billed units (zero or more) → amount: free units, blocks, price, bounds."""
        used = num > 0
        if self.free is not None:
            free, unit = self.free
            num, den = num * unit - free * den, den * unit
        if self.block is not None and num > 0:
            size, unit = self.block
            num, den = -(-num * unit // (size * den)), 1
        amount = self.curve.at(num, den)
        if used and (self.low is not None or self.high is not None):
            return self.bounded(amount)
        return amount

    def bounded(self, amount: Pair) -> Pair:
        """The amount, not below the component's minimum nor above its maximum."""
        num, den = amount
        if self.low is not None and num * self.low[1] < self.low[0] * den:
            num, den = self.low
        if self.high is not None and num * self.high[1] > self.high[0] * den:
            num, den = self.high
        return num, den


def number(text: str, default: Exact = ZERO) -> Exact:
    """A number of the tariff in lowest terms; blank is the default."""
    return Exact.parse(text).plain() if text else default


def _pair(text: str) -> Pair | None:
    if not text:
        return None
    value = number(text)
    return value.num, value.den


def _positive(text: str) -> Pair | None:
    pair = _pair(text)
    return pair if pair is not None and pair[0] else None


def _steps(tiers: Sequence[Tier], per: Exact) -> list[Step]:
    return [(number(t.up_to) if t.up_to else None, number(t.price).over(per).plain(), number(t.flat)) for t in tiers]


def _rates(tiers: Sequence[RateTier]) -> list[Step]:
    return [(number(t.up_to) if t.up_to else None, number(t.rate).over(HUNDRED).plain(), number(t.flat)) for t in tiers]


def _increments(first: str, step: str) -> Increments | None:
    """``step`` alone is also the first increment, ``first`` alone is a least quantity with nothing rounded after it."""
    if not step:
        return None
    return Increments([(ZERO, number(first or step), number(step))])


def _slots(tiers: Sequence[Tier]) -> Increments | None:
    if not any(tier.step for tier in tiers):
        return None
    rows, offset = [], ZERO
    for tier in tiers:
        rows.append((offset, number(tier.first or tier.step), number(tier.step)))
        offset = number(tier.up_to)
    return Increments(rows)


def _per_increment(rule: RoundingRule, price: Exact, first: str, step: str) -> tuple[Exact, Exact]:
    """Slope and base that give each increment its rounded price: first × p and step × p, rounded one by one."""
    mode, decimals = Rounding(rule.mode), rule.decimals or 0
    size, opening = number(step), number(first or step)
    slope = round_to(price * size, decimals, mode).over(size).plain()
    return slope, (round_to(price * opening, decimals, mode) - slope * opening).plain()


def _slot_steps(rule: RoundingRule, tiers: Sequence[Tier], per: Exact) -> list[Step]:
    steps: list[Step] = []
    for tier in tiers:
        price = number(tier.price).over(per)
        slope, base = _per_increment(rule, price, tier.first, tier.step)
        steps.append((number(tier.up_to) if tier.up_to else None, slope, number(tier.flat) + base))
    return steps


def _unit(component: Unit, rule: RoundingRule) -> Curve:
    price, base = number(component.price).over(number(component.per)).plain(), ZERO
    if rule.at == "increment":
        price, base = _per_increment(rule, price, component.first, component.step)
    return straight(price, base)


def _ladder(component: Graduated | Volume | GraduatedPercentage | Demand, rule: RoundingRule) -> Curve:
    if isinstance(component, GraduatedPercentage):
        return graduated(_rates(component.tiers))
    if isinstance(component, Demand) and not component.tiers:
        return straight(number(component.price).over(number(component.per)).plain(), ZERO)
    per = number(component.per)
    if isinstance(component, Volume):
        return volume(_steps(component.tiers, per))
    if rule.at == "increment" and component.tiers and component.tiers[0].step:
        return graduated(_slot_steps(rule, component.tiers, per))
    return graduated(_steps(component.tiers, per))


def _curve(component: Component, rule: RoundingRule) -> Curve:
    if isinstance(component, Flat):
        return straight(ZERO, number(component.price))
    if isinstance(component, Unit):
        return _unit(component, rule)
    if isinstance(component, Package):
        price = number(component.price)
        if rule.at == "increment":
            price = round_to(price, rule.decimals or 0, Rounding(rule.mode))
        return straight(price, ZERO)
    if isinstance(component, Percentage):
        return straight(number(component.rate).over(HUNDRED).plain(), number(component.fixed))
    return _ladder(component, rule)


def _price_text(component: Component) -> str:
    """The price as a person would say it: ``0.05 per 60``, ``5 to 10, then 4``, ``1.5 % + 0.20``."""
    if isinstance(component, Flat):
        return component.price
    if isinstance(component, Package):
        return f"{component.price} per started {component.size}"
    if isinstance(component, Percentage):
        return f"{component.rate} %" + (f" + {component.fixed}" if number(component.fixed) else "")
    per = "" if isinstance(component, GraduatedPercentage) or component.per == "1" else f" per {component.per}"
    if isinstance(component, Unit) or (isinstance(component, Demand) and not component.tiers):
        return component.price + per
    words = []
    for tier in component.tiers:
        price = f"{tier.rate} %" if isinstance(tier, RateTier) else tier.price
        flat = f" + {tier.flat}" if number(tier.flat) else ""
        words.append(price + flat + (f" up to {tier.up_to}" if tier.up_to else ""))
    return ", then ".join(words) + per


def compile_term(component: Component, tariff: Tariff) -> Term:
    """Numbers out of text, once; the component must have passed ``check``."""
    term = Term(
        name=component.name,
        measure=component.measure,
        optional=component.optional,
        tax=component.tax or tariff.tax,
        curve=_curve(component, tariff.rounding),
        price=_price_text(component),
        when=frozenset(component.when) or None,
    )
    stem = f"{tariff.id}/{component.name}"
    if isinstance(component, Flat):
        term.by_start = True
        term.at_close = component.scope == "period"
        return term
    term.low, term.high = _pair(component.minimum), _pair(component.maximum)
    if isinstance(component, Percentage):
        term.event = bool(component.free_events or component.free_total)
        term.running = stem if term.event else ""
        term.free_events, term.free = component.free_events, _positive(component.free_total)
        return term
    term.free = _positive(component.free)
    if isinstance(component, GraduatedPercentage):
        term.running = stem if component.scope == "period" else ""
        return term
    term.convert = _pair(component.convert) if number(component.convert, ONE) != ONE else None
    if isinstance(component, Demand):
        term.increments = _increments("", component.step)
        term.peak = term.at_close = True
        term.running, term.averaged = stem, component.averaged
        return term
    term.time = component.time
    term.increments = _increments(component.first, component.step)
    if isinstance(component, Graduated) and term.increments is None:
        term.increments = _slots(component.tiers)
    if isinstance(component, Package):
        term.block = _pair(component.size)
    term.running = stem if component.scope == "period" else ""
    return term
