"""Funding: which accounts a payer's share is drawn from, on the working set of one group.

One cascade for live sessions and for usage records: the payer's own value first, then what its funding names, in
order, then its credit line. Nothing is moved here; who draws books or holds it.
"""

from __future__ import annotations

from typing import NamedTuple

from apportion.engine.work import Work
from apportion.errors import Refused
from apportion.ledger.chart import may_draw
from apportion.model.account import Account


class Draw(NamedTuple):
    """``atoms`` from ``account``; ``source`` is prepaid, bucket, alternate or credit."""

    account: Account
    atoms: int
    source: str


class Purse:
    """Everything that one payer may draw on now."""

    def __init__(self, work: Work, payer: Account) -> None:
        self.work, self.payer = work, payer

    def available(self) -> int:
        """Atoms of all sources together; never below zero."""
        return max(0, self.payer.available())

    def draw(self, atoms: int) -> list[Draw]:
        """From where so many atoms come, in order.

        Raises:
            Refused: INSUFFICIENT_FUNDS, when all sources together have less.
        """
        short = may_draw(self.payer, atoms)
        if short is not None:
            raise Refused(short)
        return [Draw(self.payer, atoms, "prepaid")] if atoms else []

    def reserve(self, draws: list[Draw]) -> None:
        """Count draws against the caps of their sources; at the latest when they are booked or held."""

    def restore(self, draws: list[Draw]) -> None:
        """Give back to the caps what was reserved and not drawn after all."""
