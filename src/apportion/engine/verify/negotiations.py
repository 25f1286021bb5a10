"""Negotiations proved: each line follows the one before, and what was agreed is a plan of the books."""

from __future__ import annotations

import msgspec

from apportion.engine.verify.books import Books
from apportion.engine.verify.plans import Plans
from apportion.engine.verify.verdict import Findings, Row
from apportion.model.talks import NegotiationLine, TalksState

replace = msgspec.structs.replace


class Negotiations:
    """Follows every negotiation through the books until its end."""

    def __init__(self, findings: Findings, books: Books, plans: Plans) -> None:
        self.findings, self.books, self.plans = findings, books, plans
        self._open: dict[str, NegotiationLine] = {}
        self._ended: set[str] = set()

    def course(self, row: Row, index: int, line: NegotiationLine) -> None:
        """A negotiation's next line."""
        before = self._open.pop(line.id, None)
        wrong = "it had ended." if line.id in self._ended else _step(before, line) or self._plan(line)
        for payer in line.payers:
            self.books.standing(payer.account)
        if wrong:
            self.findings.add("negotiation", row.place(index), line.id, wrong)
        if line.state is TalksState.OPEN:
            self._open[line.id] = line
        else:
            self._ended.add(line.id)

    def _plan(self, line: NegotiationLine) -> str:
        """What is wrong with the plan that came of it; the plan stands in the books before."""
        if not line.plan:
            return ""
        plan = self.plans.find(line.plan)
        if plan is None:
            return f"{line.plan} is no plan of the books."
        if (plan.service, plan.asset, plan.home) != (line.service, line.asset, line.home):
            return f"{line.plan} is about something else."
        if [one.account for one in plan.payers] != [one.account for one in line.payers]:
            return f"{line.plan} is paid by others."
        return ""


def _step(before: NegotiationLine | None, line: NegotiationLine) -> str:
    """What is wrong with a line as the one after another, in words."""
    if bool(line.plan) != (line.state is TalksState.AGREED):
        return f"is {line.state.value} with the plan {line.plan!r}."
    if bool(line.due) != (line.state is TalksState.OPEN):
        return f"is {line.state.value} and due at {line.due!r}."
    if before is None:
        return "" if line.n == 1 and line.began == line.at else "it begins in the middle."
    same = replace(
        line, n=before.n, state=before.state, at=before.at, due=before.due, digest=before.digest, round=before.round,
        asked=before.asked, answered=before.answered, plan=before.plan,
    )  # fmt: skip
    if same != before or line.n != before.n + 1 or line.round < before.round:
        return f"line {line.n} says something else than line {before.n}."
    if line.state is TalksState.ENDED:
        return "" if line.at >= before.due and line.digest == before.digest else "ended before its time."
    return "" if line.at < before.due else f"went on at {line.at}, and was due at {before.due}."
