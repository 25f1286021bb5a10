"""The books by themselves: accounts, entries that balance, holds that end once, imports that add up."""

from __future__ import annotations

import functools

import msgspec

from apportion.engine.verify.verdict import Findings, Row
from apportion.model.journal import AccountLine, AssetLine, Balance, CreditLine, Entry, HoldLine, ImportLine
from apportion.money import ATOMS_MAX
from apportion.money.exact import decimal_text

_PAID = ("charge", "allowance", "conversion")  # entries for which a payer must have the value


class Wrong(Exception):
    """A line can not be checked further: ``code`` and why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@functools.lru_cache(maxsize=4096)  # a charge, its share and its leg say the same amount
def atoms(text: str, scale: int) -> int:
    """An amount of the books in atoms: digits with exactly ``scale`` decimals, or a bare ``0``."""
    whole, _, part = text.partition(".")
    digits = (whole[1:] if whole[:1] == "-" else whole) + part
    if digits.isdecimal() and digits.isascii() and len(digits) < 40 and (len(part) == scale or text == "0"):
        return int(whole + part)
    raise Wrong("bad_amount", f"{text[:60]!r} is not an amount with {scale} decimals.")


class Standing(msgspec.Struct):
    """An account as the lines so far leave it."""

    line: AccountLine
    scale: int
    posted: int = 0
    held: int = 0
    credit: int = 0
    short: int = 0  # what a lowered credit line left uncovered: held before, it may still be charged

    def headroom(self) -> int:
        """Atoms that may still be drawn; below zero where the line was lowered."""
        return self.posted - self.held + self.credit

    def cover(self, amount: int) -> None:
        """Value came in or was given back: that much less is uncovered."""
        self.short = max(0, self.short - amount)


class Books:
    """The state that the lines so far add up to, and what is wrong with them."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.assets: dict[str, int] = {}
        self.accounts: dict[str, Standing] = {}
        self.chart: dict[tuple[str, str, str], str] = {}
        self.holds: dict[str, HoldLine] = {}
        self.entries = 0
        self.touched: set[str] = set()  # deferred accounts that the row at hand moves
        self._scales: dict[str, int] = {}
        self._ids: set[str] = set()

    def scale(self, code: str) -> int | None:
        """The scale that the books gave a currency."""
        return self.assets.get(code)

    def asset(self, row: Row, index: int, line: AssetLine) -> None:
        """A currency has one scale for ever."""
        if line.code in self.assets or not 0 <= line.scale <= 18:
            self.findings.add(
                "asset", row.place(index), line.code, "the asset stands twice, or its scale is out of range."
            )
        self.assets.setdefault(line.code, line.scale)
        self._scales[f"{line.code}/{line.scale}"] = line.scale

    def account(self, row: Row, index: int, line: AccountLine) -> None:
        """An account is opened once, in a known asset."""
        scale = self._scales.get(line.asset)
        if scale is None or line.id in self.accounts:
            self.findings.add(
                "account", row.place(index), line.id, "opened twice, or in an asset that is not in the books."
            )
            return
        self.accounts[line.id] = Standing(line, scale, credit=atoms(line.credit, scale))
        owner = (line.role, ".".join(filter(None, (line.party, line.name))), line.asset)
        if owner in self.chart:
            self.findings.add("account", row.place(index), line.id, f"is a second account of {' '.join(owner)}.")
        self.chart.setdefault(owner, line.id)

    def credit(self, row: Row, index: int, line: CreditLine) -> None:
        """A credit line was changed."""
        standing = self.standing(line.account)
        standing.credit = loose_atoms(line.credit, standing.scale)
        standing.short = max(0, -standing.headroom())

    def standing(self, account: str) -> Standing:
        """An account that must be known."""
        found = self.accounts.get(account)
        if found is None:
            raise Wrong("unknown_account", f"{account[:60]!r} is not in the books.")
        return found

    def entry(self, row: Row, index: int, line: Entry) -> dict[str, int]:
        """Post an entry: at least two legs, no zero, one asset, together zero, within 63 bits; its legs in atoms."""
        self.entries += 1
        legs: dict[str, int] = {}
        wrong = ""
        scale = self._scales.get(line.asset)
        if scale is None:
            raise Wrong("unknown_asset", f"{line.asset[:60]!r} is not in the books.")
        accounts = self.accounts
        for leg in line.legs:
            amount = atoms(leg.amount, scale)
            standing = accounts.get(leg.account) or self.standing(leg.account)
            if standing.line.asset != line.asset:
                wrong = f"{leg.account} counts {standing.line.asset}, the entry {line.asset}."
            elif not amount or leg.account in legs:
                wrong = f"the leg of {leg.account} is zero, or its second."
            legs[leg.account] = amount
            standing.posted += amount
            if standing.short and amount > 0:
                standing.cover(amount)
            if standing.line.role == "deferred":
                self.touched.add(leg.account)
            if not -ATOMS_MAX <= standing.posted <= ATOMS_MAX:
                wrong = f"the balance of {leg.account} does not fit into 63 bits."
            elif amount < 0 and standing.line.role in ("bucket", "deferred"):
                if standing.posted < standing.held:
                    wrong = f"{leg.account} gives more than it has."
            elif amount < 0 and line.kind in _PAID and not line.forced and standing.line.role == "payer":
                if standing.headroom() + standing.short < 0:
                    wrong = f"{leg.account} is charged more than it has, and the entry is not forced."
        if wrong or sum(legs.values()) or len(legs) < 2 or not line.cause:
            why = wrong or f"{len(legs)} legs of cause {line.cause!r} sum to {decimal_text(sum(legs.values()), scale)}."
            self.findings.add("entry", row.place(index), line.id, why)
        if line.kind != "charge":
            if line.id in self._ids:
                self.findings.add("entry_twice", row.place(index), line.id, "the id stands twice.")
            self._ids.add(line.id)
        return legs

    def hold(self, row: Row, index: int, line: HoldLine) -> None:
        """A hold adds up, only moves forward, and ends once."""
        standing = self.standing(line.account)
        scale = standing.scale
        amount, still, captured, released = (
            atoms(text, scale) for text in (line.amount, line.open, line.captured, line.released)
        )
        add, place = self.findings.add, row.place(index)
        if amount != still + captured + released or min(amount, still, captured, released) < 0:
            add("hold", place, line.id, f"{line.amount} is not {line.open} + {line.captured} + {line.released}.")
        before = self.holds.get(line.id)
        if line.state not in ("open", "captured", "released", "expired") or (line.state != "open" and still):
            add("hold", place, line.id, f"ends as {line.state!r} with {line.open} open.")
        was = 0
        if before is not None:
            was = atoms(before.open, scale)
            if before.state != "open":
                add("hold_reopened", place, line.id, f"had ended as {before.state}.")
            same = (before.account, before.asset, before.owner, before.amount, before.expires)
            if same != (line.account, line.asset, line.owner, line.amount, line.expires):
                add("hold", place, line.id, "account, asset, owner, amount or expiry changed.")
            if captured < atoms(before.captured, scale) or released < atoms(before.released, scale):
                add("hold", place, line.id, "what was captured or released went down.")
        elif line.asset != standing.line.asset:
            add("hold", place, line.id, f"is in {line.asset}, its account in {standing.line.asset}.")
        standing.held += still - was
        if standing.short and before is not None:
            standing.cover(released - atoms(before.released, scale))
        self.holds[line.id] = line

    def imported(self, row: Row, index: int, line: ImportLine) -> None:
        """Every received record ended in exactly one class."""
        classes = (line.charged, line.zero_rated, line.duplicate, line.rejected, line.pending)
        if line.received != sum(classes) or min(classes) < 0:
            self.findings.add(
                "import",
                row.place(index),
                line.id,
                f"{line.received} received, {sum(classes)} accounted for: {classes}.",
            )

    def balance(self, place: str, line: Balance) -> None:
        """A summary line of an export must say what the entries and holds before it add up to."""
        standing = self.standing(line.account)
        posted, held = atoms(line.posted, standing.scale), atoms(line.held, standing.scale)
        if (posted, held) != (standing.posted, standing.held):
            self.findings.add(
                "balance", place, line.account,
                f"says {line.posted} posted, {line.held} held; the lines give "
                f"{decimal_text(standing.posted, standing.scale)} and {decimal_text(standing.held, standing.scale)}.",
            )  # fmt: skip


def loose_atoms(text: str, scale: int) -> int:
    """An amount as a catalog wrote it, with at most ``scale`` decimals."""
    whole, _, part = text.partition(".")
    return atoms(f"{whole}.{part.rstrip('0').ljust(scale, '0')}" if scale else whole, scale)
