"""A charge against its usage and its entry: every sum in it, and every leg that it must have moved."""

from __future__ import annotations

from collections.abc import Callable

from apportion.engine.converting import OWNER
from apportion.engine.verify.books import Books, Wrong, atoms
from apportion.engine.verify.verdict import Findings, Row
from apportion.model.charge import Charge, Conversion
from apportion.model.journal import UsageLine
from apportion.money.exact import decimal_text


class Amounts:
    """A charge's amounts in atoms; ``earned`` and ``paid`` are its portions and shares in the accounts' currencies."""

    __slots__ = (
        "amount", "earned", "paid", "platform", "portions", "scale", "shares", "sponsored", "tax", "taxes", "total",
    )  # fmt: skip

    def __init__(self, charge: Charge, scale: int, scale_of: Callable[[str], int | None]) -> None:
        self.scale = scale
        self.amount = atoms(charge.amount, scale)
        self.total = atoms(charge.total, scale)
        self.platform = atoms(charge.platform, scale)
        self.tax = atoms(charge.tax, scale)
        self.sponsored = atoms(charge.sponsored, scale)
        self.portions = [atoms(portion.amount, scale) for portion in charge.portions]
        self.shares = [atoms(share.amount, scale) for share in charge.shares]
        self.taxes = [atoms(tax.amount, scale) for tax in charge.taxes]
        self.earned, self.paid = self.portions, self.shares
        if charge.conversions:
            self.earned = [
                _own(one.converted, mine, scale_of) for one, mine in zip(charge.portions, self.portions, strict=True)
            ]
            self.paid = [
                _own(one.converted, mine, scale_of) for one, mine in zip(charge.shares, self.shares, strict=True)
            ]


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
        sums = Amounts(charge, scale, self.books.scale)
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
        for share, amount in zip(charge.shares, sums.paid, strict=True):
            moved[share.account] = moved.get(share.account, 0) - amount
        if sums.sponsored:
            self._owned(charge.sponsor, "sponsor", None)
            moved[charge.sponsor] = moved.get(charge.sponsor, 0) - sums.sponsored
        for portion, amount in zip(charge.portions, sums.earned, strict=True):
            self._owned(portion.account, "provider", portion.provider)
            moved[portion.account] = moved.get(portion.account, 0) + amount
        if sums.platform:
            self._owned(charge.platform_account, "platform", None)
            moved[charge.platform_account] = moved.get(charge.platform_account, 0) + sums.platform
        asset = f"{charge.currency}/{sums.scale}"
        for tax, amount in zip(charge.taxes, sums.taxes, strict=True):
            account = self.books.chart.get(("tax", f"{tax.name}@{tax.rate}", asset), f"tax {tax.name}@{tax.rate}")
            moved[account] = moved.get(account, 0) + amount
        if charge.conversions:
            self._exchanged(charge, sums, moved, asset)
        return {account: amount for account, amount in moved.items() if amount}

    def _exchanged(self, charge: Charge, sums: Amounts, moved: dict[str, int], asset: str) -> None:
        """What crosses from one currency into another lies on the exchange accounts of both."""
        pairs = [(p.converted, a, b) for p, a, b in zip(charge.portions, sums.portions, sums.earned, strict=True)]
        pairs += [(s.converted, -a, -b) for s, a, b in zip(charge.shares, sums.shares, sums.paid, strict=True)]
        for conversion, home, away in pairs:
            if conversion is not None:
                other = f"{conversion.currency}/{self.books.scale(conversion.currency)}"
                for name, amount in ((asset, home), (other, -away)):
                    account = exchange_of(self.books, name)
                    moved[account] = moved.get(account, 0) + amount

    def _owned(self, account: str, role: str, name: str | None) -> None:
        line = self.books.standing(account).line
        if line.role != role or (name is not None and line.name != name):
            raise Wrong("charge", f"{account} is no {role} account of {name or 'the platform'}.")


def _own(conversion: Conversion | None, amount: int, scale_of: Callable[[str], int | None]) -> int:
    """An amount in the currency of its account, in atoms."""
    if conversion is None:
        return amount
    scale = scale_of(conversion.currency)
    if scale is None:
        raise Wrong("unknown_asset", f"{conversion.currency[:60]!r} is not in the books.")
    return atoms(conversion.amount, scale)


def exchange_of(books: Books, asset: str) -> str:
    """The exchange account of an asset as the books have it; what is none where there is none."""
    return books.chart.get(("exchange", OWNER, asset), f"exchange {asset}")


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
