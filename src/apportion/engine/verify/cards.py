"""Money that goes back, payouts, saved cards: records move forward only, and every clearing account is explained.

Never does more go back than was paid; what an entry moves is what its record says; a payout clears records once.
"""

from __future__ import annotations

from apportion.engine.payments.chargebacks import LOST, OPEN, WON, chargeback_id
from apportion.engine.payments.deeds import remains
from apportion.engine.verify.books import Books, atoms
from apportion.engine.verify.payments import Payments
from apportion.engine.verify.verdict import Findings, Row
from apportion.ledger import proof
from apportion.model.card import CardLine, ChargebackLine, ProcessorPayoutLine, ReceiptLine, RefundLine
from apportion.model.ids import key_id
from apportion.model.journal import CourseLine, Entry
from apportion.model.payment import PaymentState
from apportion.money import parse_asset

_KINDS = ("refund", "chargeback", "deposit")
_STATES = [state.value for state in PaymentState]
_ENDS = {OPEN: (OPEN, WON, LOST), WON: (WON,), LOST: (LOST,)}
_CARD = {"asked": ("asked", "saved", "failed", "removed"), "saved": ("removed",), "failed": (), "removed": ()}
Record = ReceiptLine | RefundLine | ChargebackLine | ProcessorPayoutLine | CardLine
Place = tuple[str, str]


class Cards:
    """Follows every receipt, refund, chargeback, payout and card from line to line."""

    def __init__(self, findings: Findings, books: Books, payments: Payments) -> None:
        self.findings, self.books, self.payments = findings, books, payments
        self._records: dict[str, Record] = {}
        self._back: dict[str, int] = {}  # by payment: what the refunds and chargebacks so far give
        self._moves: dict[tuple[str, str], int] = {}  # by record and account: what entries have still to move
        self._touched: set[str] = set()  # payments whose receipts, refunds or chargebacks stand in this row
        self._left: dict[Place, int] = {}  # by processor and asset: what the records leave in transit

    def course(self, row: Row, index: int, line: CourseLine) -> None:
        """Look at a line if it is about cards."""
        if not isinstance(line, Record):
            return
        before = self._records.get(line.id)
        self._records[line.id] = line
        if isinstance(line, CardLine):
            wrong = _card(before, line)
        else:
            wrong = self._record(before, line)
        if wrong:
            self.findings.add("card", row.place(index), line.id, wrong)

    def _record(
        self, before: Record | None, line: ReceiptLine | RefundLine | ChargebackLine | ProcessorPayoutLine
    ) -> str:
        place, asset = (line.processor, line.asset), parse_asset(line.asset)
        was = remains(before, asset) if before is not None else 0
        self._left[place] = self._left.get(place, 0) + remains(line, asset) - was
        if isinstance(line, ProcessorPayoutLine):
            return "stands twice." if before is not None else self._payout(line)
        self._touched.add(line.payment)
        if isinstance(line, ReceiptLine):
            return self._receipt(before, line)
        if isinstance(line, RefundLine):
            return self._refund(before, line)
        return self._chargeback(before, line)

    def _receipt(self, before: Record | None, line: ReceiptLine) -> str:
        payment = self.payments.find(line.payment)
        if payment is None or payment.state != PaymentState.SUCCEEDED.value or line.id[3:] != line.payment[3:]:
            return f"{line.payment} did not succeed."
        if (line.account, line.asset, line.amount, line.processor) != (
            payment.account, payment.asset, payment.amount, payment.processor,
        ):  # fmt: skip
            return f"is not what {line.payment} paid."
        if isinstance(before, ReceiptLine):
            if before.payout and before.payout != line.payout:
                return f"was paid out by {before.payout}."
            if line.refunds[: len(before.refunds)] != before.refunds:
                return "its refunds changed."
        return ""

    def _same(self, before: RefundLine | ChargebackLine, line: RefundLine | ChargebackLine) -> str:
        same = [(one.payment, one.account, one.asset, one.processor, one.amount) for one in (before, line)]
        if same[0] != same[1] or line.n != before.n + 1:
            return "payment, account, processor, amount or the count of its lines changed."
        if (before.payout and before.payout != line.payout) or (before.returned and before.returned != line.returned):
            return "was cleared by another payout."
        return ""

    def _refund(self, before: Record | None, line: RefundLine) -> str:
        scale = parse_asset(line.asset).scale
        amount = atoms(line.amount, scale)
        failed = line.state == PaymentState.FAILED.value
        if not isinstance(before, RefundLine):
            if line.n != 1 or line.state != (_STATES[3] if line.foreign else _STATES[0]):
                return f"begins as {line.state}, its line {line.n}."
            self._give(line, -amount)
            return "" if amount > 0 else f"gives {line.amount}."
        wrong = self._same(before, line)
        if wrong:
            return wrong
        if _STATES.index(line.state) < _STATES.index(before.state):
            return f"goes from {before.state} back to {line.state}."
        if failed and before.state != line.state:
            self._give(line, amount)
        if line.state == PaymentState.SUCCEEDED.value and not line.tries and not line.foreign:
            return "succeeded, and was never sent."
        return ""

    def _chargeback(self, before: Record | None, line: ChargebackLine) -> str:
        scale = parse_asset(line.asset).scale
        taken = atoms(line.taken, scale)
        if not 0 <= taken <= atoms(line.amount, scale):
            return f"took {line.taken} of {line.amount}."
        if not isinstance(before, ChargebackLine):
            if line.n != 1 or line.state != OPEN or line.id != chargeback_id(line.processor, line.reference):
                return f"begins as {line.state}, its line {line.n}."
            self._give(line, -taken)
            return ""
        if wrong := self._same(before, line):
            return wrong
        if line.state not in _ENDS.get(before.state, ()):
            return f"goes from {before.state} to {line.state}."
        if line.state == WON and before.state != WON:
            self._give(line, atoms(before.taken, scale))
        else:
            self._give(line, atoms(before.taken, scale) - taken)
        return ""

    def _give(self, line: RefundLine | ChargebackLine, amount: int) -> None:
        """The payer's account must give (below zero) or get so much by the entries of this record."""
        place = line.id, line.account
        self._moves[place] = self._moves.get(place, 0) + amount
        self._back[line.payment] = self._back.get(line.payment, 0) - amount

    def _payout(self, line: ProcessorPayoutLine) -> str:
        if line.id != key_id("ppo", proof.record_key("payout", f"{line.processor}\x00{line.reference}")):
            return "is not named after its reference."
        scale = parse_asset(line.asset).scale
        net = sum(atoms(item.gross, scale) - atoms(item.fee, scale) for item in line.items)
        return "" if net == atoms(line.amount, scale) else f"says {line.amount}, its items come to something else."

    def entry(self, row: Row, index: int, line: Entry, legs: dict[str, int]) -> None:
        """An entry by itself that moves money back, or pays out: its payer's leg is what the record says."""
        if line.kind not in _KINDS or line.cause[:4] not in ("rfd_", "chb_", "ppo_"):
            return
        for account, amount in legs.items():
            if self.books.standing(account).line.role == "payer":
                place = line.cause, account
                self._moves[place] = self._moves.get(place, 0) - amount
        record = self._records.get(line.cause)
        if isinstance(record, ProcessorPayoutLine):
            scale = parse_asset(record.asset).scale
            roles = {self.books.standing(account).line.role: amount for account, amount in legs.items()}
            wanted = -atoms(record.amount, scale), -atoms(record.fees, scale)
            if (roles.get("cash", 0), roles.get("cost", 0)) != wanted:
                said = f"does not bring {record.amount} to the bank at a cost of {record.fees}."
                self.findings.add("card", row.place(index), line.id, said)

    def row_ends(self, row: Row) -> None:
        """After a row: what its records say was moved, and no more went back than was paid."""
        for (id, account), amount in self._moves.items():
            if amount:
                self.findings.add("card", row.place(), id, f"an entry does not move on {account} what it says.")
        for payment in sorted(self._touched):
            receipt, back = self._records.get("rcp" + payment[3:]), self._back.get(payment, 0)
            if not isinstance(receipt, ReceiptLine):
                self.findings.add("card", row.place(), payment, "went back, and was never paid.")
                continue
            scale = parse_asset(receipt.asset).scale
            if atoms(receipt.back, scale) != back or not 0 <= back <= atoms(receipt.amount, scale):
                said = f"says that {receipt.back} went back of {receipt.amount}, its records give {back} atoms."
                self.findings.add("card", row.place(), receipt.id, said)
        self._moves.clear()
        self._touched.clear()

    def finish(self) -> None:
        """Every clearing account is what the records leave on it."""
        for standing in self.books.accounts.values():
            if standing.line.role == "transit":
                left = self._left.pop((standing.line.name, standing.line.asset), 0)
                if left != standing.posted:
                    self.findings.add(
                        "clearing",
                        "end",
                        standing.line.id,
                        f"its records leave {left} atoms, it has {standing.posted}.",
                    )
        for (processor, asset), left in self._left.items():
            if left:
                self.findings.add("clearing", "end", processor, f"has no clearing account in {asset}.")


def _card(before: Record | None, line: CardLine) -> str:
    if not isinstance(before, CardLine):
        return "" if line.n == 1 and line.state == "asked" else f"begins as {line.state}."
    if (before.account, before.processor, before.n + 1) != (line.account, line.processor, line.n):
        return "account, processor or the count of its lines changed."
    return "" if line.state in _CARD.get(before.state, ()) else f"goes from {before.state} to {line.state}."
