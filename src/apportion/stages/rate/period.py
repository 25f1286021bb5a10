"""Bounds of a charge or period, and what only a period has: its flat fees, peaks, minimum and maximum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from apportion.model.tariff import Tariff
from apportion.money import Exact
from apportion.money.exact import ZERO
from apportion.stages.rate.priced import Part, bases_of
from apportion.stages.rate.running import Running
from apportion.stages.rate.terms import Term, number
from apportion.stages.rate.tiers import straight


def charged_stems(tariff: Tariff) -> tuple[str, ...]:
    """Key stems of the sums charged so far, by tax; none unless the tariff bounds the period."""
    if not (tariff.period_minimum or tariff.period_maximum):
        return ()
    return tuple(_charged(tariff, tax) for tax in sorted({c.tax or tariff.tax for c in tariff.components}))


def _charged(tariff: Tariff, tax: str) -> str:
    return f"{tariff.id}:charged/{tax}"


def add_charged(tariff: Tariff, parts: Sequence[Part], running: Running) -> None:
    """Add a record's amounts to the sums charged in the period."""
    for tax, amount in bases_of(parts).items():
        stem = _charged(tariff, tax)
        running.put(stem, running.of(stem) + amount)


def adjustment(bases: Mapping[str, Exact], low: Exact | None, high: Exact | None, scope: str) -> list[Part]:
    """The parts that bring a sum within its bounds, spread over taxes in proportion; a negative sum mirrors them."""
    total = sum(bases.values(), ZERO)
    size = -total if total < ZERO else total
    target, name = size, ""
    if low is not None and target < low:
        target, name = low, "minimum"
    if high is not None and target > high:
        target, name = high, "maximum"
    if not name:
        return []
    text = target.text()
    parts: list[Part] = []
    for tax, base in bases.items():
        if total:
            amount = (base * (target - size)).over(size).reduced()
        else:
            amount = target if not parts else ZERO
        term = Term(name=name, measure="", tax=tax, curve=straight(ZERO, ZERO), price=text)
        parts.append((term, 1, 1, 1, 1, amount.num, amount.den, f"{name} of the {scope}"))
    return parts


def close(closing: Sequence[Term], tariff: Tariff, totals: Mapping[str, Exact], period: str) -> list[Part]:
    """Parts for what only the period has, from the running totals of one payer."""
    running = Running(totals, period)
    parts: list[Part] = []
    for term in closing:
        if term.peak:
            peak = running.of(f"{term.running}:peak")
            parts.append((term, peak.num, peak.den, peak.num, peak.den, *term.cost(peak.num, peak.den), "peak"))
        else:
            parts.append((term, 1, 1, 1, 1, *term.cost(1, 1), "once per period"))
    if tariff.period_minimum or tariff.period_maximum:
        bases = bases_of(parts)
        for stem in charged_stems(tariff):
            tax = stem.rpartition("/")[2]
            bases[tax] = bases.get(tax, ZERO) + running.of(stem)
        low = number(tariff.period_minimum) if tariff.period_minimum else None
        high = number(tariff.period_maximum) if tariff.period_maximum else None
        parts += adjustment(bases, low, high, "period")
    return parts
