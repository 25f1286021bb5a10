"""Corrected prices of closed periods, computed again: all uses of a period by the terms before and by those named."""

from __future__ import annotations

import msgspec

from apportion.engine.rerating.periods import (
    ORIGIN,
    Basis,
    Scratch,
    basis_of,
    period_correction,
    period_key,
    repriced_id,
)
from apportion.engine.verify.books import Books
from apportion.engine.verify.closing import Closings, Counting
from apportion.engine.verify.rerate import Rerating
from apportion.engine.verify.verdict import Findings, Row
from apportion.errors import Refused
from apportion.model.charge import Charge
from apportion.model.correction import RepricedLine
from apportion.model.ids import key_id


class RepricedPeriods:
    """Keeps by which terms each period was priced last; rates it again for every correction."""

    def __init__(self, findings: Findings, books: Books, rerating: Rerating, closings: Closings) -> None:
        self.findings, self._rerating, self._closings = findings, rerating, closings
        counting = Counting(books, rerating)
        self._scratch = Scratch(counting.keyed, counting.numbered)
        self._last: dict[str, RepricedLine] = {}
        self._waiting: dict[str, tuple[str, Charge]] = {}

    def made(self, row: Row, index: int, charge: Charge) -> None:
        """A charge that corrects a period waits for the line that says by what."""
        if charge.origin.startswith(ORIGIN):
            self._waiting[charge.id] = (row.place(index), charge)

    def course(self, row: Row, index: int, line: RepricedLine) -> None:
        """Compute a correction again."""
        before = self._last.get(line.id)
        _, made = self._waiting.pop(line.made, ("", None))
        wrong = self._wrong(line, before, made)
        if wrong:
            self.findings.add("repriced", row.place(index), line.id, wrong)
        self._last[line.id] = line

    def _wrong(self, line: RepricedLine, before: RepricedLine | None, made: Charge | None) -> str:
        """What is wrong with a correction, in words; empty when nothing is."""
        place = line.period, line.account, line.service
        n = before.n + 1 if before is not None else 1
        if (line.id, line.n, line.made) != (repriced_id(*place), n, key_id("chg", period_key(*place, n))):
            return f"is not correction {n} of {line.service} in {line.period}."
        if (line.period, line.account) not in self._closings.closed:
            return f"{line.period} is not closed for {line.account}."
        if made is None:
            return f"the charge {line.made} is not beside it."
        records = self._closings.records(line.period, line.account)
        count = sum(record.charge.service == line.service for record in records)
        if not count or count != line.count:
            return f"says {line.count} uses of {line.service}, there are {count}."
        bases = (
            basis_of(before, self._rerating.terms) if before is not None else None,
            Basis(self._rerating.terms(line.catalog), line.tariffs),
        )
        try:
            _, _, again = period_correction(self._scratch, records, line.service, bases, self._rerating.terms)
        except Refused as refused:
            return f"rated again it is refused: {refused.refusal.sentence()}"
        if again is None:
            return f"{line.period} was priced right."
        sponsor = again.sponsor or made.sponsor
        again = msgspec.structs.replace(again, id=made.id, at=made.at, sponsor=sponsor)
        return "" if again == made and made.at == line.at else f"{made.id} is not what rating it again comes to."

    def row_ends(self, row: Row) -> None:
        """What corrects a period stands in the row of the line that says by what."""
        for place, charge in self._waiting.values():
            self.findings.add("repriced", place, charge.id, f"nothing says by which terms {charge.origin} is.")
        self._waiting.clear()
