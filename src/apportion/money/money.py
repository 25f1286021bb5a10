"""Money: a whole number of atoms of one asset, checked to fit into 63 bits."""

from __future__ import annotations

import re

import msgspec

from apportion.errors import RefusalCode, refuse
from apportion.money.asset import Asset
from apportion.money.exact import Exact, decimal_text

ATOMS_MAX = 2**63 - 1
_AMOUNT = re.compile(r"(-?)([0-9]{1,40})(?:\.([0-9]{1,40}))?", re.ASCII)


def checked(atoms: int) -> int:
    """``atoms`` itself when it fits into a signed 64-bit integer; otherwise a refusal, never a wrap."""
    if -ATOMS_MAX <= atoms <= ATOMS_MAX:
        return atoms
    raise refuse(RefusalCode.OVERFLOW, "the amount does not fit into 63 bits of atoms.", field="amount")


class Money(msgspec.Struct, frozen=True):
    """An amount: ``atoms`` (int, |atoms| < 2^63) of ``asset``.

    Adding amounts of two assets, or past the limit, is refused.
    """

    atoms: int
    asset: Asset

    def __post_init__(self) -> None:
        if type(self.atoms) is not int:
            raise refuse(RefusalCode.BAD_AMOUNT, "atoms must be a whole number.", field="amount")
        checked(self.atoms)

    @classmethod
    def parse(cls, text: str, asset: Asset, *, field: str = "amount") -> Money:
        """Read a plain decimal such as ``-12.34``; more decimals than the asset has are refused.

        Raises:
            Refused: BAD_AMOUNT or OVERFLOW.
        """
        match = _AMOUNT.fullmatch(text) if type(text) is str else None
        if match is None:
            raise refuse(
                RefusalCode.BAD_AMOUNT,
                f"{str(text)[:40]!r} is not an amount.",
                field=field,
                fix="Write digits with at most one point, such as 12.50.",
            )
        part = (match[3] or "").rstrip("0")
        if len(part) > asset.scale:
            raise refuse(
                RefusalCode.BAD_AMOUNT,
                f"{text!r} has more decimals than {asset} counts.",
                field=field,
                fix=f"Use at most {asset.scale}, or a finer asset such as {asset.code}/{len(part)}.",
            )
        return cls(int(match[1] + match[2] + part.ljust(asset.scale, "0")), asset)

    def text(self) -> str:
        """The amount as a plain decimal with all decimals of its asset."""
        return decimal_text(self.atoms, self.asset.scale)

    def exact(self) -> Exact:
        """The amount as a rational in whole units of the asset."""
        return Exact(self.atoms, self.asset.unit)

    def _same(self, other: Money) -> None:
        if self.asset != other.asset:
            raise refuse(RefusalCode.ASSET_MISMATCH, f"{self.asset} and {other.asset} can not be mixed.")

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.atoms + other.atoms, self.asset)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.atoms - other.atoms, self.asset)

    def __neg__(self) -> Money:
        return Money(-self.atoms, self.asset)

    def __bool__(self) -> bool:
        return self.atoms != 0

    def __str__(self) -> str:
        return f"{self.text()} {self.asset.code}"
