"""Running totals of a payer in a billing period: what a record adds to them, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping

from apportion.errors import RefusalCode, refuse
from apportion.money import Exact
from apportion.money.exact import ZERO
from apportion.stages.rate.terms import Term
from apportion.stages.rate.tiers import Pair

_ONE = Exact(1)


class Running:
    """The totals before a record and, in ``new``, those that it changes; keys are ``stem@period``."""

    __slots__ = ("_before", "_period", "new")

    def __init__(self, before: Mapping[str, Exact], period: str) -> None:
        self._before = before
        self._period = period
        self.new: dict[str, Exact] = {}

    def of(self, stem: str) -> Exact:
        """The total as it stands; zero when there is none yet."""
        key = f"{stem}@{self._period}"
        return self.new[key] if key in self.new else self._before.get(key, ZERO)

    def put(self, stem: str, total: Exact) -> None:
        """Set a total."""
        self.new[f"{stem}@{self._period}"] = total.reduced()

    def step(self, term: Term, units: Pair) -> tuple[Pair, str]:
        """f(total with the units) − f(total without), and the totals in words; negative units go back down.

        Raises:
            Refused: BAD_QUANTITY, when more is given back than was counted.
        """
        before = self.of(term.running)
        after = (before + Exact(*units)).reduced()
        if after.num < 0:
            raise refuse(
                RefusalCode.BAD_QUANTITY,
                f"more is given back than {term.name!r} counted in the period.",
                field=f"quantities.{term.measure}",
                fix="Give back in the period of the use; where that is closed, correct its charge.",
            )
        self.put(term.running, after)
        amount = Exact(*term.cost(after.num, after.den)) - Exact(*term.cost(before.num, before.den))
        amount = amount.reduced()
        return (amount.num, amount.den), f"running total {before.text()} → {after.text()}"

    def event(self, term: Term, value: Pair) -> tuple[Pair, str]:
        """A percentage with free events or a free total; its value above what is free pays, and the fixed part with it.

        Raises:
            Refused: BAD_QUANTITY for a value below zero: a free event can not be un-counted.
        """
        if value[0] < 0:
            raise refuse(
                RefusalCode.BAD_QUANTITY,
                f"{term.name!r} counts free events, so it can not be given back.",
                field=f"quantities.{term.measure}",
                fix="Book the refund as an adjustment.",
            )
        if not value[0]:
            return (0, 1), "no event"
        events, spent = self.of(f"{term.running}:events"), self.of(f"{term.running}:value")
        priced = Exact(*value)
        self.put(f"{term.running}:events", events + _ONE)
        self.put(f"{term.running}:value", spent + priced)
        note = f"event {(events + _ONE).text()} of the period, value before it {spent.text()}"
        if not term.free_events or events < Exact(term.free_events):
            left = priced if term.free is None else Exact(*term.free) - spent
            if priced <= left:
                return (0, 1), note + ", free"
            if left > ZERO:
                priced = (priced - left).reduced()
                note += f", {left.text()} of it free"
        return term.bounded(term.curve.at(priced.num, priced.den)), note

    def peak(self, term: Term, units: Pair) -> None:
        """Keep the highest units of the period.

        Raises:
            Refused: BAD_QUANTITY for units below zero.
        """
        if units[0] < 0:
            raise refuse(
                RefusalCode.BAD_QUANTITY,
                f"{term.name!r} is a peak, which can not be negative.",
                field=f"quantities.{term.measure}",
                fix="Correct the record and re-rate the period.",
            )
        highest = Exact(*units)
        if highest > self.of(f"{term.running}:peak"):
            self.put(f"{term.running}:peak", highest)
