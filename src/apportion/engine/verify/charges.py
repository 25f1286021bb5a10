"""A charge against its usage and its entry: every sum in it, and every leg that it must have moved."""

from __future__ import annotations

from apportion.engine.verify.books import Books, Wrong, atoms
from apportion.engine.verify.verdict import Findings, Row
from apportion.model.charge import Charge
from apportion.model.journal import UsageLine
from apportion.money.exact import decimal_text


class Amounts:
    """A charge's amounts in atoms."""

    __slots__ = ("amount", "platform", "portions", "scale", "shares", "sponsored", "tax", "taxes", "total")

    def __init__(self, charge: Charge, scale: int) -> None:
        self.scale = scale
        self.amount = atoms(charge.amount, scale)
        self.total = atoms(charge.total, scale)
        self.platform = atoms(charge.platform, scale)
        self.tax = atoms(charge.tax, scale)
        self.sponsored = atoms(charge.sponsored, scale)
        self.portions = [atoms(portion.amount, scale) for portion in charge.portions]
        self.shares = [atoms(share.amount, scale) for share in charge.shares]
        self.taxes = [atoms(tax.amount, scale) for tax in charge.taxes]


class Charges:
    """Checks charges as they come; ``count`` of them."""

    def __init__(self, findings: Findings, books: Books) -> None:
        self.findings = findings
        self.books = books
        self.count = 0

    def check(self, row: Row, index: int, charge: Charge, legs: dict[str, int] | None) -> Amounts:
        """Add up one charge, and hold it against the legs of its entry (None: there is no entry)."""
        self.count += 1
        scale = self.books.scale(charge.currency)
        if scale is None:
            raise Wrong("unknown_asset", f"{charge.currency[:60]!r} is not in the books.")
        sums = Amounts(charge, scale)
        wrong = _sums(sums, one_sign=not charge.origin)
        if wrong:
            self.findings.add("charge", row.place(index), charge.id, wrong)
        moved = self._movements(charge, sums)
        if moved != (legs or {}):
            self.findings.add("legs", row.place(index), charge.id, _differing(moved, legs or {}, scale))
        return sums

    def _movements(self, charge: Charge, sums: Amounts) -> dict[str, int]:
        """Which account must have moved by how much."""
        moved: dict[str, int] = {}
        for share, amount in zip(charge.shares, sums.shares, strict=True):
            moved[share.account] = moved.get(share.account, 0) - amount
        if sums.sponsored:
            self._owned(charge.sponsor, "sponsor", None)
            moved[charge.sponsor] = moved.get(charge.sponsor, 0) - sums.sponsored
        for portion, amount in zip(charge.portions, sums.portions, strict=True):
            self._owned(portion.account, "provider", portion.provider)
            moved[portion.account] = moved.get(portion.account, 0) + amount
        if sums.platform:
            self._owned(charge.platform_account, "platform", None)
            moved[charge.platform_account] = moved.get(charge.platform_account, 0) + sums.platform
        asset = f"{charge.currency}/{sums.scale}"
        for tax, amount in zip(charge.taxes, sums.taxes, strict=True):
            account = self.books.chart.get(("tax", f"{tax.name}@{tax.rate}", asset), f"tax {tax.name}@{tax.rate}")
            moved[account] = moved.get(account, 0) + amount
        return {account: amount for account, amount in moved.items() if amount}

    def _owned(self, account: str, role: str, name: str | None) -> None:
        line = self.books.standing(account).line
        if line.role != role or (name is not None and line.name != name):
            raise Wrong("charge", f"{account} is no {role} account of {name or 'the platform'}.")


def _sums(sums: Amounts, *, one_sign: bool) -> str:
    """What does not add up, in words; empty when everything does."""
    shared, split = sum(sums.shares), sum(sums.portions) + sums.platform + sums.tax
    if sums.amount + sums.tax != sums.total or sum(sums.taxes) != sums.tax:
        return "amount + tax is not the total, or the taxes are not the tax."
    if shared != sums.total and (sums.shares or shared):
        return f"the payers' shares sum to {decimal_text(shared, sums.scale)}, not to the total."
    if split != shared + sums.sponsored:
        return (
            f"portions + platform + tax are {decimal_text(split, sums.scale)}, "
            f"shares + sponsored {decimal_text(shared + sums.sponsored, sums.scale)}."
        )
    sign = (sums.amount > 0) - (sums.amount < 0)
    if one_sign and any(part * sign < 0 for part in (*sums.portions, sums.platform, *sums.shares)):
        return "a portion or share has the opposite sign of the fee."
    return ""


def _differing(moved: dict[str, int], legs: dict[str, int], scale: int) -> str:
    accounts = [a for a in {**moved, **legs} if moved.get(a, 0) != legs.get(a, 0)]
    words = [
        f"{a}: the charge moves {decimal_text(moved.get(a, 0), scale)}, the entry {decimal_text(legs.get(a, 0), scale)}"
        for a in accounts[:4]
    ]
    return "; ".join(words) + "."


def matching(usage: UsageLine, charge: Charge) -> str:
    """What a charge must have in common with its usage line; empty when it has."""
    if charge.id != "chg" + usage.key[3:] or charge.usage != usage.key:
        return f"the charge {charge.id} is of {charge.usage}, not of {usage.key}."
    if charge.service != usage.service or charge.at != usage.start:
        return "service or time differ from the usage."
    if usage.state != ("zero-rated" if not charge.total.strip("-0.") else "charged"):
        return f"the usage is {usage.state}, the total {charge.total}."
    if {share.bearer for share in charge.shares} - {payer.payer for payer in usage.payers}:
        return "somebody pays who is not a payer of the usage."
    return ""
