"""Records with running totals, payer by payer and period by period, as a close would rate them under other terms.

What a close books is what the period comes to less what was charged before. Here nothing was charged before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

import msgspec

from apportion.engine.legs import Legs, RunningTotals, move_totals, providers_of
from apportion.engine.periodic import Difference, period_fees
from apportion.engine.query import Record, record_of
from apportion.engine.rating import Prepared, rate
from apportion.engine.whatif.making import Stands, as_it_was, made_ready
from apportion.engine.whatif.names import Owners
from apportion.engine.whatif.twins import Twin, Twins
from apportion.engine.work import Names, Work
from apportion.errors import Refused
from apportion.ledger import proof
from apportion.ledger.booking import Movement
from apportion.model.account import Account, Role
from apportion.model.charge import Charge
from apportion.model.ids import number_id, read_number
from apportion.money import Asset, Exact
from apportion.ports import Store

Told = Callable[[Charge, Refused | Stands, bool], None]


class Counting(Work):
    """What one payer's period is counted on: accounts that exist only here, and totals that begin at nothing."""

    def __init__(self) -> None:
        super().__init__(cast(Store, None), 0, cast(Names, None), "", bytes, (0, proof.START))
        self._made: dict[tuple[Role, str], Account] = {}

    def numbered(self, number: int) -> Account:
        """An account of the books, of which nothing counts but its id."""
        return Account(number, number_id("acct", number), Role.PAYER, 0)

    def account(self, role: Role, owner: str, asset: Asset) -> Account:
        """An account of this replay alone."""
        found = self._made.get((role, owner))
        if found is None:
            found = Account(-1 - len(self._made), f"{role.value}:{owner}", role, 0)
            self._made[role, owner] = found
        return found

    def keyed(self, key: str) -> Account | None:
        """None is known by its chart key."""
        return None

    def total(self, account: int, key: str) -> Exact:
        """A running total."""
        return self.totals.get((account, key), _ZERO)

    def set_total(self, account: int, key: str, value: Exact) -> None:
        """Move a running total."""
        self.totals[account, key] = value.reduced()


_ZERO = Exact(0)


_NOTHING = Charge("", "", "", "", "", "", "", "", "0", "0", "0", "0")


class Come(Difference):
    """What a payer's period comes to for one service; no entry is made of it, so it keeps nothing per record."""

    def _movements(self, work: Work, record: Record, now: list[Movement]) -> None:
        del now[:]

    def _residues(self, work: Work, record: Record, legs: Legs) -> None:
        pass

    def _amounts(self, record: Record, prepared: Prepared, legs: Legs) -> None:
        super()._amounts(msgspec.structs.replace(record, charge=_NOTHING), prepared, legs)


class PayerPeriod:
    """One payer's period; ``closes`` says whether it ends with the fees that only a period has."""

    def __init__(self, period: str, payer: str, *, closes: bool) -> None:
        self._period, self._closes = period, closes
        self._payer = Account(read_number(payer), payer, Role.PAYER, 0)
        self._work = Counting()
        self._found: dict[tuple[str, str], Come] = {}

    def over(self, bodies: Iterable[bytes], twins: Twins, owners: Owners, stands: Told) -> list[Charge]:
        """What these rows, in this order, come to in the replay, a charge for each service.

        ``stands`` is told of those whose own terms have to do, and whether even these have no price.
        """
        for body in bodies:
            record = record_of(0, body)
            twin = twins.of(record.charge.catalog)
            try:
                prepared = made_ready(record.usage, record.charge, twin, owners, closing=self._closes)
                self._take(record, prepared, twin.changed.version)
            except (Refused, Stands) as error:
                stands(record.charge, error, self._as_it_was(record, twin))
        once: set[str] = set()
        found = [come for _, come in sorted(self._found.items())]
        for come in found if self._closes else ():
            period_fees(self._work, come, self._period, once)
        return [come.charge("", self._period, "") for come in found]

    def _as_it_was(self, record: Record, twin: Twin) -> bool:
        """Let a record count under its own terms; whether they have a price for it."""
        try:
            self._take(record, as_it_was(record.usage, record.charge, twin), twin.own.version)
        except Refused:
            return False
        return True

    def _take(self, record: Record, prepared: Prepared, version: str) -> None:
        rated = prepared.rated or rate(prepared, lambda prefix: RunningTotals(self._work, self._payer.id, prefix))
        move_totals(self._work, prepared, rated, self._payer)
        payers = [self._work.numbered(read_number(one.payer)) for one in record.usage.payers]
        legs = Legs(self._work, prepared.terms, rated, payers, providers_of(self._work, prepared))
        key = (record.charge.service, version)
        if key not in self._found:
            self._found[key] = Come(prepared, self._payer, version)
        self._found[key].add(self._work, record, prepared, legs)
