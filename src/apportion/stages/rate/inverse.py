"""The inverse of a price: the largest quantity, in whole steps, that an amount pays for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import msgspec

from apportion.errors import RefusalCode, Refused, refuse
from apportion.model.tariff import Use, Volume
from apportion.money import Exact, Money
from apportion.money.exact import ZERO
from apportion.stages.rate.amounts import charge_amounts
from apportion.stages.rate.bands import LONGEST_DAYS
from apportion.stages.rate.plan import Plan
from apportion.stages.rate.price import Pricer
from apportion.stages.rate.terms import Term

_FAR = 1 << 80
_NO_TOTALS: Mapping[str, Exact] = {}
_BANDS_AHEAD = 64
_MICRO = timedelta(microseconds=1)


def affordable(
    pricer: Pricer,
    amount: Money,
    use: Use,
    measure: str,
    totals: Mapping[str, Exact] = _NO_TOTALS,
    period: str = "",
) -> Exact | None:
    """The largest quantity of ``measure`` whose total, tax included, is within ``amount``.

    Other quantities stay as the use states them, missing ones are zero. Whole steps are increments of the components;
    where none has any, whole units of the measure. A measure that is time moves the end of the use. None is no limit:
    2^80 steps (ten years, by bands) cost no more.

    Raises:
        Refused: INSUFFICIENT_FUNDS, when not even the fees before the first unit are paid for; what ``price`` refuses.
    """
    search = _Search(pricer, amount, use, measure, (totals, period))
    for start, end in reversed(search.pieces()):
        if search.pays(start):
            return search.quantity(search.last_paid(start, end))
    raise _too_little(amount)


def grantable(
    pricer: Pricer,
    amount: Money,
    use: Use,
    measure: str,
    totals: Mapping[str, Exact] = _NO_TOTALS,
    period: str = "",
) -> Exact | None:
    """As ``affordable``, but every smaller quantity is paid for too: what a quota may grant before it is used.

    Under volume tiers more can cost less, so a user who stops early might owe more than was held.
    """
    search = _Search(pricer, amount, use, measure, (totals, period))
    found = -1
    for start, end in search.pieces():
        if not search.pays(start):
            break
        reached = search.last_paid(start, end)
        if reached is None:
            return None
        found = reached
        if reached != end:
            break
    if found < 0:
        raise _too_little(amount)
    return search.quantity(found)


def _too_little(amount: Money) -> Refused:
    return refuse(
        RefusalCode.INSUFFICIENT_FUNDS,
        f"{amount} does not pay for what is owed before the first unit.",
        field="amount",
        fix="Add value to the account.",
    )


class _Search:
    """Prices one use at n whole steps of one measure."""

    def __init__(
        self, pricer: Pricer, amount: Money, use: Use, measure: str, before: tuple[Mapping[str, Exact], str]
    ) -> None:
        if amount.asset.code != pricer.currency:
            raise refuse(RefusalCode.ASSET_MISMATCH, f"the tariff is in {pricer.currency}, not {amount.asset.code}.")
        self._pricer, self._amount, self._measure = pricer, amount, measure
        self._totals, self._period = before
        self._plan: Plan = pricer.plans.of(use)
        self._terms = [term for term in self._plan.terms if term.measure == measure]
        missing = {term.measure: ZERO for term in (*self._plan.terms, *self._plan.closing) if term.measure}
        self._use = msgspec.structs.replace(use, quantities={**missing, **use.quantities})
        self._moves_end = self._plan.banded and any(term.time for term in self._terms)
        self._step = _grid(self._terms)
        if self._moves_end:
            self._far = Exact(LONGEST_DAYS * 86400).over(self._step).floor()
        else:
            self._far = _FAR

    def quantity(self, steps: int | None) -> Exact | None:
        """So many whole steps as a quantity of the measure."""
        return None if steps is None else (self._step * Exact(steps)).reduced()

    def owed(self, steps: int) -> int | None:
        """The total in atoms; None when it is too large to be counted, or the end leaves the calendar."""
        quantity = self._step * Exact(steps)
        use = self._use
        if self._moves_end:
            lasting = quantity * Exact(1_000_000)
            try:
                use = msgspec.structs.replace(use, end=use.start + lasting.floor() * _MICRO)
            except OverflowError:
                return None
        use.quantities[self._measure] = quantity
        try:
            priced = self._pricer.price(use, self._totals, self._period)
            return charge_amounts(priced, self._amount.asset, self._pricer.tariff.rounding)[2].atoms
        except Refused as error:
            if error.refusal.code is RefusalCode.OVERFLOW:
                return None
            raise

    def pays(self, steps: int) -> bool:
        """Whether the amount pays for so many steps."""
        owed = self.owed(steps)
        return owed is not None and owed <= self._amount.atoms

    def last_paid(self, start: int, end: int | None) -> int | None:
        """The last step paid for where the price only rises; ``start`` is paid. None: all of an open piece."""
        if end is not None and self.pays(end):
            return end
        if end is None:
            end = self._beyond(start)
            if end is None:
                return None
        low, high = start, end
        owed_low, owed_high, halve = self.owed(low) or 0, self.owed(high), False
        while high - low > 1:
            guess = (low + high) // 2
            if owed_high is not None and owed_high > owed_low and not halve:
                guess = low + (self._amount.atoms - owed_low) * (high - low) // (owed_high - owed_low)
                guess = min(max(guess, low + 1), high - 1)
            owed = self.owed(guess)
            before = high - low
            if owed is not None and owed <= self._amount.atoms:
                low, owed_low = guess, owed
            else:
                high, owed_high = guess, owed
            halve = (high - low) * 2 > before
        return low

    def _beyond(self, start: int) -> int | None:
        """A step above ``start`` that is not paid for; None when even the farthest is."""
        ahead = 16
        while start + ahead < self._far:
            if not self.pays(start + ahead):
                return start + ahead
            ahead *= 16
        return None if self.pays(self._far) else self._far

    def pieces(self) -> list[tuple[int, int | None]]:
        """Stretches of steps, lowest first, in which the price only rises: it can fall at a volume tier or band."""
        drops = sorted({n for n in (*self._tier_ends(), *self._band_ends()) if 0 <= n < self._far})
        starts = [0, *(n + 1 for n in drops)]
        return list(zip(starts, [*drops, None], strict=True))

    def _tier_ends(self) -> Iterator[int]:
        volumes = {c.name for c in self._pricer.tariff.components if isinstance(c, Volume)}
        for term in self._terms:
            if term.name in volumes:
                before = self._totals.get(f"{term.running}@{self._period}", ZERO) if term.running else ZERO
                free = Exact(*term.free) if term.free else ZERO
                for bound in term.curve.bounds:
                    yield self._last_within(term, bound + free - before)

    def _last_within(self, term: Term, bound: Exact) -> int:
        """The last step whose billed units stay within a bound; −1 when none does."""

        def within(steps: int) -> bool:
            quantity = self._step * Exact(steps)
            return Exact(*term.units(quantity.num, quantity.den)) <= bound

        return _last(within, self._far)

    def _band_ends(self) -> Iterator[int]:
        """Where a last increment stops rounding because the next band has its own (only with ``step_at_end``)."""
        if not (self._pricer.tariff.step_at_end and self._moves_end):
            return
        for length in self._pricer.band_ends(self._use.start, _BANDS_AHEAD):
            yield Exact(length, 1_000_000).over(self._step).floor()


def _last(within: Callable[[int], bool], far: int) -> int:
    """The last number up to ``far`` for which a condition, once false, stays false; −1 when it never holds."""
    low, high = -1, far + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if within(middle) else (low, middle)
    return low


def _grid(terms: list[Term]) -> Exact:
    """The step of the search: the largest of which all increments are multiples, in units of the measure."""
    sizes = []
    for term in terms:
        convert = Exact(*term.convert) if term.convert else Exact(1)
        if term.increments is not None:
            sizes.append(term.increments.grid.over(convert).reduced())
    if not sizes:
        sizes = [Exact(1)]
        sizes += [Exact(*term.block).over(Exact(*(term.convert or (1, 1)))).reduced() for term in terms if term.block]
    common = math.lcm(*(size.den for size in sizes))
    return Exact(math.gcd(*(size.num * (common // size.den) for size in sizes)), common).reduced()
