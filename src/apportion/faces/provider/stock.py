"""What a provider can still deliver: its capacity by offer, and what was taken of it by whom until when."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from apportion.model.provider_node import ProviderNode
from apportion.money import Exact
from apportion.money.exact import ZERO

#: how many agreements may hold capacity at a time
AGREED_MAX = 100_000


class Taken(msgspec.Struct, frozen=True):
    """What one agreement holds: units by offer (its place in the file) and measure, ``until`` it is given back.

    It is about the ``offers`` of the bid with this ``digest``.
    """

    digest: str
    offers: tuple[int, ...]
    units: dict[int, dict[str, Exact]]
    until: datetime


class Stock:
    """The capacity of a node; everything is in memory, and what is agreed ends by itself."""

    def __init__(self, node: ProviderNode) -> None:
        self._all = [{measure: Exact.parse(text) for measure, text in offer.capacity.items()} for offer in node.offers]
        self._used: list[dict[str, Exact]] = [dict.fromkeys(all, ZERO) for all in self._all]
        self._hold = timedelta(seconds=node.hold)
        self._agreed: dict[str, Taken] = {}

    def free(self, at: int) -> dict[str, str]:
        """What an offer has free now by measure, for those that are bounded."""
        return {measure: (all - self._used[at][measure]).text() for measure, all in self._all[at].items()}

    def has(self, at: int, needs: dict[str, Exact]) -> bool:
        """Whether an offer has as much free as is needed."""
        return all(needs.get(name, ZERO) <= all_ - self._used[at][name] for name, all_ in self._all[at].items())

    @property
    def full(self) -> bool:
        """Whether no more agreements are taken."""
        return len(self._agreed) >= AGREED_MAX

    def agreed(self, rfq: str, now: datetime) -> Taken | None:
        """What is agreed on a request, while it holds."""
        self.expire(now)
        return self._agreed.get(rfq)

    def take(
        self, rfq: str, what: tuple[str, tuple[int, ...]], places: list[int], needs: dict[str, Exact], now: datetime
    ) -> bool:
        """Take what is needed at several places for ``what`` (digest, offers), all or nothing; whether it was there."""
        self.expire(now)
        wanted: dict[int, int] = {}
        for at in places:
            wanted[at] = wanted.get(at, 0) + 1
        units = {
            at: {name: needs[name] * Exact(times) for name in self._all[at] if name in needs}
            for at, times in wanted.items()
        }
        if self.full or not all(self.has(at, named) for at, named in units.items()):
            return False
        for at, named in units.items():
            for name, count in named.items():
                self._used[at][name] += count
        self._agreed[rfq] = Taken(*what, units, now + self._hold)
        return True

    def give_back(self, rfq: str) -> bool:
        """Give back what an agreement held; whether there was any."""
        taken = self._agreed.pop(rfq, None)
        if taken is None:
            return False
        for at, named in taken.units.items():
            for name, count in named.items():
                self._used[at][name] -= count
        return True

    def expire(self, now: datetime) -> None:
        """Give back what nobody ended; agreements are in the order of their ends."""
        while self._agreed:
            rfq, taken = next(iter(self._agreed.items()))
            if taken.until > now:
                return
            self.give_back(rfq)
