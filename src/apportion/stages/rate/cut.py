"""How the increments of a use run across band boundaries.

By default an increment is priced in the band in which it begins, so a call of two minutes that crosses a boundary is
billed two minutes and not three. With ``step_at_end`` (OCPI) all but the last stretch is billed as measured, and the
increment of the last rounds the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from apportion.money import Exact
from apportion.money.exact import ZERO
from apportion.stages.rate.bands import Cut
from apportion.stages.rate.terms import Term
from apportion.stages.rate.tiers import Pair


class Chain(msgspec.Struct, gc=False):
    """Components that take turns on one quantity: their bands do not overlap."""

    terms: list[Term]
    at_end: bool

    def _clashes(self, other: Term) -> bool:
        return any(
            term.measure == other.measure
            and (term.when is None or other.when is None or not term.when.isdisjoint(other.when))
            for term in self.terms
        )

    def _fits(self, other: Term) -> bool:
        first = self.terms[0]
        if self.at_end and first.time and other.time:
            return not self._clashes(other)
        same = first.measure == other.measure and first.convert == other.convert and first.time == other.time
        return same and not self._clashes(other)


def chains_of(terms: Sequence[Term], at_end: bool) -> list[Chain]:
    """The chains among the components, in the order of the tariff; only those in which something is rounded."""
    chains: list[Chain] = []
    for term in terms:
        if term.by_start or term.peak or term.event or not (term.when or at_end):
            continue
        home = next((chain for chain in chains if chain._fits(term)), None)
        if home is None:
            chains.append(Chain([term], at_end))
        else:
            home.terms.append(term)
    return [c for c in chains if any(t.increments for t in c.terms) and (len(c.terms) > 1 or c.terms[0].when)]


def share_of(term: Term, cut: Cut) -> int:
    """Microseconds of the use in the bands of a component."""
    when = term.when or frozenset()
    return sum(length for band, length in cut if band in when)


def running_units(chain: Chain, cut: Cut, quantity: Pair) -> dict[str, Pair]:
    """Billed units by component when increments run on from band to band; ``quantity`` is converted already."""
    total = sum(length for _, length in cut)
    turn = {band: term for term in chain.terms for band in term.when or ()}
    billed = {term.name: ZERO for term in chain.terms}
    covered, elapsed = ZERO, 0
    for band, length in cut:
        elapsed += length
        reached = Exact(quantity[0] * elapsed, quantity[1] * total)
        if reached <= covered:
            continue
        term = turn.get(band)
        more = reached - covered
        if term is not None and term.increments is not None:
            round_up = term.increments.further if covered else term.increments.billed
            more = Exact(*round_up(more.num, more.den))
        covered += more
        if term is not None:
            billed[term.name] += more
    return {name: (units.num, units.den) for name, units in billed.items()}


def rounded_at_end(chain: Chain, cut: Cut, quantities: Mapping[str, Pair]) -> dict[str, Pair]:
    """Billed units by component when only the last stretch rounds, and rounds the whole (OCPI).

    ``quantities`` are measured, by component; of components that end together the later in the tariff is the last.
    """
    total = sum(length for _, length in cut)
    parts: list[tuple[int, int, Term, Exact]] = []
    for order, term in enumerate(chain.terms):
        num, den = quantities[term.name]
        share = total if term.when is None else share_of(term, cut)
        if num and share:
            end, passed = 0, 0
            for band, length in cut:
                passed += length
                end = passed if term.when is None or band in term.when else end
            parts.append((end, order, term, Exact(num * share, den * total)))
    if not parts:
        return {term.name: (0, 1) for term in chain.terms}
    last = max(parts, key=lambda part: part[:2])[2]
    units = {term.name: part for _, _, term, part in parts}
    if last.increments is not None:
        whole = sum((part for part in units.values()), ZERO)
        step = last.increments.step if last.convert is None else last.increments.step.over(Exact(*last.convert))
        units[last.name] += Exact(whole.over(step).ceil()) * step - whole
    billed = {term.name: (0, 1) for term in chain.terms}
    for _, _, term, _ in parts:
        exact = units[term.name] if term.convert is None else units[term.name] * Exact(*term.convert)
        billed[term.name] = (exact.num, exact.den)
    return billed
