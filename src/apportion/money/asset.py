"""Assets: a code and how many decimals its atoms have (``USD/2`` counts cents)."""

from __future__ import annotations

import functools
import re

import iso4217
import msgspec

from apportion.errors import RefusalCode, refuse

SCALE_MAX = 18
_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,11}", re.ASCII)


class Asset(msgspec.Struct, frozen=True, order=True):
    """What is counted (``code``) and in atoms of which size (10^−``scale``)."""

    code: str
    scale: int

    def __str__(self) -> str:
        return f"{self.code}/{self.scale}"

    @property
    def unit(self) -> int:
        """Atoms in one whole unit."""
        return int(10**self.scale)


@functools.cache
def minor_digits(code: str) -> int | None:
    """Decimals of the currency's minor unit by ISO 4217; None when the code is no currency."""
    try:
        digits = iso4217.Currency(code).exponent
    except ValueError:
        return None
    return int(digits or 0)


def store_scale(code: str) -> int:
    """The scale that a store gives a currency: 9 when it has 2 or 3 minor digits, 6 when it has none."""
    digits = minor_digits(code)
    if digits is None:
        raise refuse(
            RefusalCode.UNKNOWN_ASSET,
            f"{code!r} is not an ISO 4217 currency.",
            field="currency",
            fix=f"Name its scale in the catalog, such as {code}/6.",
        )
    return 6 if digits == 0 else 9


@functools.lru_cache(maxsize=1024)
def parse_asset(text: str, *, store: bool = False) -> Asset:
    """Read ``USD/4`` or ``USD``; alone it means the ISO minor unit, or in a store the store's scale.

    Raises:
        Refused: UNKNOWN_ASSET, when the code is malformed, or unknown and without a scale.
    """
    code, slash, scale = text.partition("/")
    if not _CODE.fullmatch(code):
        raise refuse(
            RefusalCode.UNKNOWN_ASSET,
            f"{text[:40]!r} is not an asset.",
            field="asset",
            fix="Write a code in capitals, with a scale if it is no currency: USD, USD/6, CREDIT/0.",
        )
    if slash:
        if not (scale.isascii() and scale.isdigit() and len(scale) <= 2 and int(scale) <= SCALE_MAX):
            raise refuse(
                RefusalCode.UNKNOWN_ASSET, f"the scale of {text[:40]!r} must be 0 to {SCALE_MAX}.", field="asset"
            )
        return Asset(code, int(scale))
    if store:
        return Asset(code, store_scale(code))
    digits = minor_digits(code)
    if digits is None:
        store_scale(code)
    return Asset(code, digits or 0)
