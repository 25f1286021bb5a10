"""Service levels proved: measured again from the uses of their windows, and each credit from what was missed.

Which uses count is known only from the line that measured them, behind all of them. So the rows are read a second time,
where there is any such line; until then, only the lines are kept.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import msgspec

from apportion.engine.late import possible_periods
from apportion.engine.levels.booking import adjustment, level_id, state_of, tax_lines
from apportion.engine.levels.counting import Counting, Window, downtime, micros
from apportion.engine.verify.books import Books, Wrong, loose_atoms
from apportion.engine.verify.rerate import Rerating
from apportion.engine.verify.verdict import Findings, Row
from apportion.model.agreement_check import LATENCY_UNITS
from apportion.model.charge import Charge
from apportion.model.journal import CourseLine
from apportion.model.level import LEVEL, LevelLine, LevelState, OutageLine
from apportion.money import parse_asset
from apportion.money.exact import decimal_text
from apportion.stages.meter.level import credit_of, levels_of, percent

_LONGEST = {7: 32 * 86400 * 10**6, 8: 8 * 86400 * 10**6}  # by the length of a name: a month, a week
_FIRST = {LevelState.KEPT, LevelState.MISSED, LevelState.CREDITED, LevelState.REVIEW}
_LATER = (LevelState.APPROVED.value, LevelState.WAIVED.value)
_BOOKED = (LevelState.CREDITED.value, LevelState.APPROVED.value)
_MOVES = ("n", "at", "state", "made", "reason")


class Levels:
    """Keeps what was measured, and holds every adjustment against the level that it is of."""

    def __init__(self, findings: Findings, books: Books, rerating: Rerating) -> None:
        self.findings, self.books, self.rerating = findings, books, rerating
        self.first: dict[str, tuple[int, str, LevelLine]] = {}  # row, place and line
        self._last: dict[str, LevelLine] = {}
        self._outages: dict[str, int] = {}
        self._made: dict[str, tuple[str, Charge]] = {}  # adjustments of the row at hand

    def adjusted(self, row: Row, index: int, charge: Charge) -> None:
        """An adjustment waits for the level beside it."""
        if charge.origin.startswith(LEVEL):
            self._made[charge.id] = row.place(index), charge

    def course(self, row: Row, index: int, line: CourseLine) -> None:
        """Look at a line if it is about service levels."""
        if isinstance(line, OutageLine):
            before = self._outages.get(line.id, 0)
            if line.n != before + 1 or micros(line.end) < micros(line.start):
                self.findings.add("outage", row.place(index), line.id, f"is no line {before + 1} of an outage.")
            self._outages[line.id] = line.n
        elif isinstance(line, LevelLine):
            place = row.place(index)
            for wrong in filter(None, (self._follows(line), self._adjustment(line))):
                self.findings.add("level", place, line.id, wrong)
            self._last[line.id] = line
            self.first.setdefault(line.id, (row.n, place, line))

    def row_ends(self) -> None:
        """An adjustment of a level stands beside it."""
        for place, charge in self._made.values():
            self.findings.add("level", place, charge.id, f"{charge.origin} beside it does not come to this.")
        self._made.clear()

    def _follows(self, line: LevelLine) -> str:
        """What is wrong with the step to a line; empty when nothing is."""
        before = self._last.get(line.id)
        if before is None:
            if line.id != level_id(line.agreement, line.account, line.period) or line.n != 1:
                return f"is not the first measurement of {line.agreement} in {line.period}."
            if line.state not in {state.value for state in _FIRST}:
                return f"begins as {line.state}."
            return _spans(line)
        kept = {name: getattr(before, name) for name in _MOVES}
        if msgspec.structs.replace(line, **kept) != before or line.n != before.n + 1:
            return "says something else than was measured."
        if before.state != LevelState.REVIEW.value or line.state not in _LATER:
            return f"goes from {before.state} to {line.state}."
        return ""

    def _adjustment(self, line: LevelLine) -> str:
        """What is wrong with what a line books; empty when nothing is."""
        standing = self.books.standing(line.account)
        if standing.line.role != "payer" or standing.line.asset != line.asset:
            return f"{line.account} is no payer's account in {line.asset}."
        if not line.made:
            return "" if line.state not in _BOOKED else f"is {line.state}, and nothing is booked."
        made = self._made.pop(line.made, None)
        provider = self.books.chart.get(("provider", line.provider, line.asset), "")
        if made is None or line.state not in _BOOKED:
            return f"names {line.made}, which is not its adjustment."
        again = adjustment(line, provider)
        return "" if made[1] == again else f"{line.made} is {made[1].total}, it comes to {again.total}."

    # measured again

    def again(self, rows: Iterable[tuple[int, list[bytes]]]) -> None:
        """Measure everything again from the rows of the books."""
        try:
            self._again(rows)
        except Exception as error:  # whatever a forger wrote becomes a finding, never a crash
            self.findings.add("level", "end", "", f"can not be measured again: {type(error).__name__}: {error}")

    def _again(self, rows: Iterable[tuple[int, list[bytes]]]) -> None:
        windows = self._windows()
        by_place: dict[tuple[str, str, str], list[Window]] = {}
        for _, _, window in windows:
            by_place.setdefault((window.account, window.provider, window.service), []).append(window)
        for same in by_place.values():
            self._overlaps(same)

        def find(n: int, whose: tuple[str, str, str], at: int, period: str) -> Iterator[Window]:
            for window in by_place.get(whose, ()):
                if n <= window.upto and (window.period == period if period else window.start <= at < window.end):
                    yield window

        counting = Counting(find, {window.provider for _, _, window in windows})
        waiting = sorted(windows, key=lambda one: one[2].upto, reverse=True)
        for n, lines in rows:
            while waiting and waiting[-1][2].upto < n:
                self._compare(*waiting.pop(), counting)
            counting.row(n, lines)
        while waiting:
            self._compare(*waiting.pop(), counting)

    def _windows(self) -> list[tuple[str, LevelLine, Window]]:
        """What each first line says that it covers."""
        found = []
        for n, place, line in self.first.values():
            try:
                service = self.rerating.terms(line.catalog).service(line.service).service
            except Exception as error:  # whatever a forger wrote becomes a finding, never a crash
                self.findings.add("level", place, line.id, f"{line.catalog} does not have {line.service}: {error}")
                continue
            unit = LATENCY_UNITS[service.measures.get(service.levels.latency, "ms")]
            window = Window(
                line.account, line.provider, line.service, line.part, line.period, micros(line.start),
                micros(line.end), parse_asset(line.asset), line.targets, service.levels, unit, line.apart,
                line.closing, 0, n - 1,
            )  # fmt: skip
            found.append((place, line, window))
        return found

    def _overlaps(self, same: list[Window]) -> None:
        """What one account used of one provider's part is measured once."""
        for part in {window.part for window in same}:
            reached = -sys.maxsize
            for window in sorted((one for one in same if one.part == part), key=lambda one: one.start):
                if window.start < reached:
                    id = f"{window.account} {window.provider} {window.service} {window.period}"
                    self.findings.add("level", "end", id, "some of it is measured twice.")
                reached = max(reached, window.end)

    def _compare(self, place: str, line: LevelLine, window: Window, counting: Counting) -> None:
        try:
            wrong = self._differing(line, window, counting)
        except (Wrong, ValueError) as error:
            wrong = str(error)
        if wrong:
            self.findings.add("level", place, line.id, wrong)

    def _differing(self, line: LevelLine, window: Window, counting: Counting) -> str:
        """The first thing that comes out otherwise; empty when nothing does."""
        downtime(window, counting.outages.values())
        asset, levels = window.asset, levels_of(window.samples, line.targets)
        credit = credit_of(window.fee, percent(levels, line.consequence))
        loose_atoms(line.credit, asset.scale)
        again = {
            "uses": window.samples.uses, "parts": tuple(sorted(window.parts)), "last": window.last,
            "fee": decimal_text(window.fee.gross, asset.scale),
            "levels": levels, "credit": decimal_text(credit.gross, asset.scale),
            "taxes": tax_lines(credit.taxes, asset),
            "state": state_of(levels, credit.gross, line.consequence.review, asset),
        }  # fmt: skip
        for name, value in again.items():
            if getattr(line, name) != value:
                return f"{name} is {getattr(line, name)}, measured again {value}."
        return ""


def _spans(line: LevelLine) -> str:
    """What is wrong with the window of a level; the books do not say by which calendar a payer is billed."""
    if "T" in line.period:  # some seconds, which are for trials
        return ""
    start, end = datetime.fromisoformat(line.start), datetime.fromisoformat(line.end) - timedelta(microseconds=1)
    if any(line.period not in possible_periods(line.period, when) for when in (start, end)):
        return f"{line.start} to {line.end} is no part of {line.period}."
    length = micros(line.end) - micros(line.start)
    return "" if 0 < length <= _LONGEST.get(len(line.period), length) else f"is longer than {line.period}."
