"""Settlements of the books: every leg of a provider in exactly one, netted as it says, paid out once and no more."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from apportion.engine.disputes.decision import CLEARING as DISPUTES
from apportion.engine.settling.collecting import COLLECTED
from apportion.engine.settling.decision import OUTWARD, payout_id
from apportion.engine.settling.netted import grain_of, owed_of, transfers, units_of
from apportion.engine.settling.standing import settlement_key
from apportion.engine.settling.window import OBLIGATION, Moved
from apportion.engine.unbilled import PAID_OUT
from apportion.engine.verify.books import Books, atoms, loose_atoms
from apportion.engine.verify.verdict import Findings, Row
from apportion.model.ids import key_id, number_id, read_number
from apportion.model.journal import CourseLine, Entry, StatementLine
from apportion.model.payment import LIVE, PaymentState
from apportion.model.settlement import Mode, PayoutLine, PositionLine, SettlementLine
from apportion.money import Money, parse_asset
from apportion.money.exact import decimal_text

_FAILED, _SUCCEEDED = PaymentState.FAILED.value, PaymentState.SUCCEEDED.value
_HEADS = 100_000
_ORDER = [state.value for state in PaymentState]
_ENDS = {("file", _SUCCEEDED): "payout-paid", ("transfer", _SUCCEEDED): "payout-paid", ("direct", _SUCCEEDED): "direct",
         ("file", _FAILED): "payout-failed", ("transfer", _FAILED): "payout-failed",
         ("collection", _SUCCEEDED): "collection"}  # fmt: skip


class Open(msgspec.Struct):
    """What moved on a provider's account since its last settlement, and the advices it was given since."""

    asset: str
    moved: Moved = msgspec.field(default_factory=Moved)
    first: int = 0  # the row of the first leg
    advices: list[StatementLine] = []


class Settlings:
    """Follows every leg of a provider into its settlement, and every payout to its end."""

    def __init__(self, findings: Findings, books: Books) -> None:
        self.findings, self.books = findings, books
        self.cap: Callable[[str, str], str | None] = lambda provider, currency: None
        self._open: dict[str, Open] = {}
        self._pairs: dict[str, dict[tuple[str, str], int]] = {}  # by asset
        self._last_leg = 0
        self._closing: dict[str, PositionLine] = {}
        self._run: tuple[int, int, set[str]] = (0, 0, set())  # the last window, and whose settlement it was
        self._previous, self._count = "", 0
        self._heads: dict[int, str] = {}  # of the rows since the last leg, one of which a settlement ends at
        self._settled: tuple[int, SettlementLine] | None = None  # of the row at hand
        self._positions: list[PositionLine] = []
        self._payments: dict[tuple[str, str, str], int] = {}  # units of each payment
        self._parts: dict[tuple[str, str, str], list[str]] = {}
        self._payouts: dict[str, PayoutLine] = {}
        self._expected: dict[tuple[str, str], int] = {}  # (payout, kind of entry) that this row must hold

    # legs and advices

    def entry(self, row: Row, index: int, line: Entry, legs: dict[str, int]) -> None:
        """Count the legs on providers' accounts; what belongs to a payout or an obligation is looked at closer."""
        for account, amount in legs.items():
            if self.books.standing(account).line.role != "provider":
                continue
            found = self._open.get(account)
            if found is None:
                found = self._open[account] = Open(line.asset)
            found.moved.take(line.kind, amount)
            found.first = found.first or row.n
            self._last_leg = row.n
        if line.kind in (OBLIGATION, COLLECTED):
            self._capped(row, index, line, legs)
        if line.kind == OBLIGATION:
            self._obligation(row, index, line, legs)
        elif line.kind in PAID_OUT or line.kind == "payout-paid":
            self._paid(row, index, line, legs)

    def _capped(self, row: Row, index: int, line: Entry, legs: dict[str, int]) -> None:
        """Nobody comes to owe more by this than its net debit cap allowed."""
        debtor = self.books.standing(min(legs, key=lambda account: legs[account]))
        asset = parse_asset(line.asset)
        cap = self.cap(debtor.line.name, asset.code) if debtor.line.role == "provider" else None
        if cap is not None and debtor.posted < -Money.parse(cap, asset).atoms:
            self.findings.add(
                "debit_cap", row.place(index), line.id, f"{debtor.line.name} comes to owe more than {cap} {asset.code}."
            )

    def _obligation(self, row: Row, index: int, line: Entry, legs: dict[str, int]) -> None:
        grain = grain_of(parse_asset(line.asset))
        pair = [account for account, _ in sorted(legs.items(), key=lambda leg: leg[1])]
        roles = {self.books.standing(account).line.role for account in pair}
        if len(pair) != 2 or roles != {"provider"} or any(amount % grain for amount in legs.values()):
            self.findings.add("obligation", row.place(index), line.id, "is not between two providers, in whole cents.")
            return
        mine = self._pairs.setdefault(line.asset, {})
        mine[pair[0], pair[1]] = mine.get((pair[0], pair[1]), 0) + legs[pair[1]]

    def advice(self, line: StatementLine) -> None:
        """Note an advice; a settlement is the sum of them."""
        if line.kind == "remittance":
            self._open.setdefault(line.account, Open(line.asset)).advices.append(line)

    # settlements

    def course(self, row: Row, index: int, line: CourseLine) -> None:
        """Look at a line if it is about settling."""
        if isinstance(line, SettlementLine):
            self._settled = index, line
            self._positions = []
        elif isinstance(line, PositionLine):
            self._positions.append(line)
            if self._settled is None:
                self.findings.add("position", row.place(index), line.id, "stands beside no settlement.")
        elif isinstance(line, PayoutLine):
            self._payout(row, index, line)

    def row_ends(self, row: Row, head: bytes) -> None:
        """A settlement has all of its positions beside it, a payout its entry; ``head`` is the chain's after it."""
        if self._settled is not None:
            index, line = self._settled
            self._settled = None
            for wrong in [*self._window(row, line), *self._netted(line)]:
                self.findings.add("settlement", row.place(index), line.id, wrong)
        for id, kind in self._expected:
            self.findings.add("payout", row.place(), id, f"has no entry of the kind {kind} beside it.")
        self._expected.clear()
        if self._last_leg == row.n or len(self._heads) > _HEADS:
            self._heads.clear()
        self._heads[row.n] = head.hex()

    def _window(self, row: Row, line: SettlementLine) -> list[str]:
        """What is wrong with its place in the chain of settlements."""
        wrong = []
        after, upto, assets = self._run
        if (line.after, line.upto) == (after, upto) and upto:
            if line.asset in assets:
                wrong.append(f"settles {line.asset} a second time.")
            assets.add(line.asset)
        else:
            if line.after != upto or not line.after <= line.upto < row.n:
                wrong.append(f"covers the rows {line.after} to {line.upto}, the one before it ends at {upto}.")
            wrong += self._left_over(upto)
            self._run = line.after, line.upto, {line.asset}
        self._count += 1
        key = settlement_key(line.asset, line.head)
        if self._heads.get(line.upto, line.head) != line.head:
            wrong.append("names another head of the chain than its last row has.")
        if line.id != key_id("stl", key) or line.number != f"SET-{self._count:06}" or line.previous != self._previous:
            wrong.append(f"is not number {self._count}, after {self._previous or 'none'}.")
        if self._last_leg > line.upto:
            wrong.append(f"leaves out what was booked in row {self._last_leg}.")
        self._previous = line.id
        return wrong

    def _left_over(self, upto: int) -> list[str]:
        """Who earned something before a row and was in no settlement that covers it."""
        late = [account for account, found in self._open.items() if 0 < found.first <= upto]
        return [f"{account} has something from before row {upto} that no settlement covers." for account in late]

    def _netted(self, line: SettlementLine) -> list[str]:
        """What is wrong with its positions, sums and payments."""
        asset = parse_asset(line.asset)
        wrong: list[str] = []
        mine = {account: found for account, found in self._open.items() if found.asset == line.asset}
        if sorted(mine) != sorted(one.account for one in self._positions) or line.providers != len(mine):
            wrong.append(f"has positions of {len(self._positions)} accounts, {len(mine)} have moved.")
        payable: dict[str, tuple[int, int, int]] = {}
        credited = 0
        for one in self._positions:
            found = mine.get(one.account)
            if found is None:
                continue
            says = self._position(one, found, asset.scale)
            wrong += [f"{one.id} {says}"] if says else []
            if found.moved.earned or units_of(one.payable):
                payable[one.account] = units_of(one.payable), found.moved.credits, found.moved.debits
            credited += found.moved.credited
            self._closing[one.account] = one
            del self._open[one.account]
        total = sum(units_of(one.payable) for one in self._positions)
        if units_of(line.payable) != total or atoms(line.credited, asset.scale) != credited:
            wrong.append(f"says {line.credited} credited and {line.payable} payable; its positions do not.")
        owed = owed_of(asset, payable, self._pairs.pop(line.asset, {}))
        if transfers(asset, Mode(line.mode), owed) != line.payments:
            wrong.append(f"has payments that do not follow from its positions by {line.mode}.")
        for payment in line.payments:
            self._payments[line.id, payment.debtor, payment.creditor] = units_of(payment.amount)
        if not set(line.over) <= {one.account for one in self._positions}:
            wrong.append("says of an account that it owes too much which is not in it.")
        return wrong

    def _position(self, one: PositionLine, found: Open, scale: int) -> str:
        """What is wrong with a position; nothing when all is well."""
        moved, advices = found.moved, found.advices
        values = {
            name: atoms(getattr(one, name), scale)
            for name in ("opening", "credits", "debits", "obliged", "credited", "paid", "closing")
        }
        if not advices:
            return "is of an account that was given no advice."
        for name in ("credits", "debits", "obliged", "credited", "paid"):
            if values[name] != getattr(moved, name):
                return (
                    f"says {name} {getattr(one, name)}, the entries give {decimal_text(getattr(moved, name), scale)}."
                )
        last = self._closing.get(one.account)
        before = (last.closing, last.residue_out) if last is not None else ("0", "0")
        standing = self.books.standing(one.account)
        if values["opening"] != loose_atoms(before[0], scale) or values["closing"] != standing.posted:
            return (
                f"goes from {one.opening} to {one.closing}; the account stood at {before[0]} and has another balance."
            )
        if values["opening"] + values["credited"] - values["paid"] != values["closing"]:
            return "does not add up."
        residues = loose_atoms(one.residue_in, scale), loose_atoms(one.residue_out, scale)
        grain = grain_of(parse_asset(found.asset))
        if units_of(one.payable) * grain + residues[1] - residues[0] != values["credited"]:
            return f"pays {one.payable} of {one.credited}, which the residues do not explain."
        if residues[0] != loose_atoms(before[1], scale) or 2 * abs(residues[1]) > grain:
            return f"carries {one.residue_in} in and {one.residue_out} out; before it there were {before[1]}."
        if sum(units_of(advice.total) for advice in advices) != units_of(one.payable) or advices[-1].id != one.advice:
            return "is not the sum of its advices."
        return "" if one.id == number_id("pos", read_number(one.account)) else "is named after another account."

    # payouts

    def _payout(self, row: Row, index: int, line: PayoutLine) -> None:
        before = self._payouts.get(line.id)
        wrong = self._first(line) if before is None else _moved(before, line)
        if wrong:
            self.findings.add("payout", row.place(index), line.id, wrong)
        self._payouts[line.id] = line
        if before is None and line.by in OUTWARD:
            self._expected[line.id, "payout"] = row.n
        elif before is not None and before.state in LIVE and (line.by, line.state) in _ENDS:
            self._expected[line.id, _ENDS[line.by, line.state]] = row.n

    def _first(self, line: PayoutLine) -> str:
        """What is wrong with a new payout: its place among the parts of its payment, and that they are not too much."""
        place = line.settlement, line.debtor, line.creditor
        parts = self._parts.setdefault(place, [])
        grain = grain_of(parse_asset(line.asset))
        ordered = [self._payouts[id] for id in parts if self._payouts[id].state != _FAILED]
        scale = parse_asset(line.asset).scale
        total = sum(atoms(one.amount, scale) for one in [*ordered, line])
        known = self._payments.get(place)
        id = payout_id(*place, len(parts))
        parts.append(line.id)
        if known is None or line.id != id or line.n != 1 or line.state != "created" or line.tries or line.asked:
            return f"is not part {len(parts)} of a payment of {line.settlement}."
        if atoms(line.amount, scale) <= 0 or total > known * grain or total % grain:
            return f"brings what is paid to {decimal_text(total, scale)}, which is more than the settlement says."
        ways = OUTWARD if not line.debtor else ("direct",) if line.creditor else ("collection",)
        return "" if line.by in ways else f"goes by {line.by}."

    def _paid(self, row: Row, index: int, line: Entry, legs: dict[str, int]) -> None:
        """An entry of a payout is its amount, between the accounts that its way says, beside the line that made it."""
        payout = self._payouts.get(line.cause)
        if payout is None or self._expected.pop((line.cause, line.kind), 0) != row.n:
            self.findings.add("payout", row.place(index), line.id, f"{line.cause} did not come to that in this row.")
            return
        amount = atoms(payout.amount, parse_asset(payout.asset).scale)
        less, more = {
            "payout": (payout.creditor, "clearing"), "payout-paid": ("clearing", "cash"),
            "payout-failed": ("clearing", payout.creditor), "collection": ("cash", payout.debtor),
            "direct": (payout.creditor, payout.debtor),
        }[line.kind]  # fmt: skip
        found = legs | {self.books.standing(account).line.role: value for account, value in legs.items()}
        if (found.get(less), found.get(more), len(legs)) != (-amount, amount, 2):
            self.findings.add("payout", row.place(index), line.id, f"is not {payout.amount} as {line.kind}.")
        grain = grain_of(parse_asset(payout.asset))
        if line.kind == "payout" and 2 * self.books.standing(payout.creditor).posted < -grain:
            self.findings.add("payout", row.place(index), line.id, f"is above the position of {payout.creditor}.")

    def finish(self) -> None:
        """All before the last window is settled; clearing holds what is under way, and nothing else."""
        for wrong in self._left_over(self._run[1]):
            self.findings.add("settlement", "end", self._previous, wrong)
        live: dict[str, int] = {}
        for one in self._payouts.values():
            if one.by in OUTWARD and one.state in LIVE:
                live[one.asset] = live.get(one.asset, 0) + atoms(one.amount, parse_asset(one.asset).scale)
        for standing in self.books.accounts.values():
            if standing.line.role == "clearing" and standing.line.name != DISPUTES:  # those are looked at by themselves
                expected = live.pop(standing.line.asset, 0)
                if standing.posted != expected:
                    self.findings.add(
                        "clearing", "end", standing.line.id,
                        f"holds {decimal_text(standing.posted, standing.scale)}, payouts under way come to "
                        f"{decimal_text(expected, standing.scale)}.",
                    )  # fmt: skip


def _moved(before: PayoutLine, line: PayoutLine) -> str:
    """What is wrong with the step from one line to the next; nothing when all is well."""
    same = ("settlement", "debtor", "creditor", "asset", "amount", "by", "requested", "batch")
    if any(getattr(before, name) != getattr(line, name) for name in same):
        return "amount, way or whose it is changed."
    if before.state not in LIVE:
        return f"had ended as {before.state}."
    if line.state not in _ORDER or _ORDER.index(line.state) < _ORDER.index(before.state):
        return f"goes from {before.state} back to {line.state}."
    if line.n != before.n + 1 or not 0 <= line.tries - before.tries <= 1 or not 0 <= line.asked - before.asked <= 1:
        return f"goes from line {before.n} to {line.n}, from try {before.tries} to {line.tries}."
    if line.by != "transfer" and (line.state in LIVE or line.tries):
        return f"is {line.state}, though nobody sends it."
    return f"is {line.state}, and nobody looks at it again." if line.state in LIVE and not line.due else ""
