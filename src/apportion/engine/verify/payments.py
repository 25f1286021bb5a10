"""Payments of the books: they only move forward, one at a time, within their limits, and bring their value once."""

from __future__ import annotations

from apportion.engine.verify.books import Books, Standing, atoms, loose_atoms
from apportion.engine.verify.verdict import Findings, Row
from apportion.model.funding import FundingLine
from apportion.model.ids import read_number
from apportion.model.journal import CourseLine, Entry
from apportion.model.payment import LIVE, PaidLine, PaymentLine, PaymentState
from apportion.money.exact import decimal_text

_ORDER = [state.value for state in PaymentState]
_SUCCEEDED, _FAILED = PaymentState.SUCCEEDED.value, PaymentState.FAILED.value


class Payments:
    """Follows every payment from line to line."""

    def __init__(self, findings: Findings, books: Books) -> None:
        self.findings, self.books = findings, books
        self._payments: dict[str, PaymentLine] = {}
        self.find = self._payments.get
        self._newest: dict[str, str] = {}  # by account
        self._funding: dict[str, FundingLine] = {}
        self._paid: dict[tuple[str, str], int] = {}  # by account and month
        self._expected: dict[str, int] = {}  # succeeded payments whose entry has not come yet, and their row

    def course(self, row: Row, index: int, line: CourseLine) -> None:
        """Look at a line if it is about payments."""
        if isinstance(line, PaymentLine):
            self._payment(row, index, line)
        elif isinstance(line, PaidLine):
            self._sum(row, index, line)
        elif isinstance(line, FundingLine):
            self._funding[line.account] = line

    def _payment(self, row: Row, index: int, line: PaymentLine) -> None:
        standing = self.books.standing(line.account)
        before = self._payments.get(line.id)
        wrong = self._first(line, standing) if before is None else _moved(before, line)
        if wrong:
            self.findings.add("payment", row.place(index), line.id, wrong)
        self._payments[line.id] = line
        place = line.account, line.requested[:7]
        if before is None:
            self._newest[line.account] = line.id
            self._paid[place] = self._paid.get(place, 0) + atoms(line.amount, standing.scale)
            self._limit(row, index, line, standing)
        elif line.state == _FAILED and before.state in LIVE:
            self._paid[place] = self._paid.get(place, 0) - atoms(before.amount, standing.scale)
        if line.state == _SUCCEEDED:
            self._expected[line.id] = row.n

    def _first(self, line: PaymentLine, standing: Standing) -> str:
        last = self._newest.get(line.account, "")
        if line.n != 1 or line.state != PaymentState.CREATED.value or line.tries or line.asked:
            return f"begins as {line.state}, its line {line.n}."
        if line.previous != last:
            return f"follows {line.previous or 'nothing'}, the payment before it is {last or 'none'}."
        if last and self._payments[last].state in LIVE:
            return f"was made while {last} was under way."
        if (
            standing.line.role != "payer"
            or standing.line.asset != line.asset
            or atoms(line.amount, standing.scale) <= 0
        ):
            return f"fetches {line.amount} {line.asset} for a {standing.line.role}'s account in {standing.line.asset}."
        return ""

    def _limit(self, row: Row, index: int, line: PaymentLine, standing: Standing) -> None:
        funding = self._funding.get(line.account)
        if funding is None or not funding.topup_limit:
            return
        paid = self._paid[line.account, line.requested[:7]]
        if paid > loose_atoms(funding.topup_limit, standing.scale):
            self.findings.add(
                "payment_limit", row.place(index), line.id,
                f"brings the month to {decimal_text(paid, standing.scale)}, the limit is {funding.topup_limit}.",
            )  # fmt: skip

    def _sum(self, row: Row, index: int, line: PaidLine) -> None:
        scale = self.books.standing(line.account).scale
        paid = decimal_text(self._paid.get((line.account, line.month), 0), scale)
        if (line.last, line.paid) != (self._newest.get(line.account, ""), paid):
            self.findings.add(
                "payment", row.place(index), line.id, f"says {line.paid} and {line.last}, the payments give {paid}."
            )
        if read_number(line.id) != read_number(line.account):
            self.findings.add(
                "payment", row.place(index), line.id, f"is named after another account than {line.account}."
            )

    def entry(self, row: Row, index: int, line: Entry, legs: dict[str, int]) -> None:
        """An entry by itself: a payment's is its amount, out of cash, in the row in which it succeeded."""
        if not line.cause.startswith("pay_"):
            return
        payment = self._payments.get(line.cause)
        if payment is None or self._expected.pop(line.cause, 0) != row.n:
            self.findings.add("payment", row.place(index), line.id, f"{line.cause} did not succeed in this row.")
            return
        amount = atoms(payment.amount, self.books.standing(payment.account).scale)
        others = [account for account in legs if account != payment.account]
        wanted = ("transit", payment.processor) if payment.processor else ("cash", "outside")
        from_ = [(self.books.standing(account).line.role, self.books.standing(account).line.name) for account in others]
        cash = from_ == [wanted]
        if legs.get(payment.account) != amount or not cash:
            self.findings.add(
                "payment", row.place(index), line.id, f"is not {payment.amount} out of {' '.join(wanted)}."
            )

    def finish(self) -> None:
        """Every payment that succeeded has brought its value."""
        for id, n in self._expected.items():
            self.findings.add("payment", f"row {n}", id, "succeeded, but no entry brings its value.")


def _moved(before: PaymentLine, line: PaymentLine) -> str:
    """What is wrong with the step from one line to the next; nothing when all is well."""
    same = (before.account, before.asset, before.amount, before.cause, before.requested, before.previous)
    if same != (line.account, line.asset, line.amount, line.cause, line.requested, line.previous):
        return "account, amount, cause or the payment before it changed."
    if before.state not in LIVE:
        return f"had ended as {before.state}."
    if before.processor not in ("", line.processor) or (line.processor and not line.tries):
        return f"was sent to {before.processor}, and now to {line.processor}."
    if line.state not in _ORDER or _ORDER.index(line.state) < _ORDER.index(before.state):
        return f"goes from {before.state} back to {line.state}."
    if line.n != before.n + 1 or not 0 <= line.tries - before.tries <= 1 or not 0 <= line.asked - before.asked <= 1:
        return f"goes from line {before.n} to {line.n}, from try {before.tries} to {line.tries}."
    if before.state == PaymentState.CREATED.value and line.tries != 1 and line.state != _FAILED:
        return f"is {line.state}, and was never sent."
    if line.state in LIVE and not line.due:
        return f"is {line.state}, and nobody looks at it again."
    return ""
