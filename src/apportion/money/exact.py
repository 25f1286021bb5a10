"""Exact rationals: what a tariff computes before anybody rounds.

``fractions.Fraction`` reduces after every step, which costs more than the whole rest of a charge. Here the
denominator of a price times a quantity is a power of ten that almost always matches, so it is kept as it is
and reduced only for show or when it grows long.
"""

from __future__ import annotations

import math
import re

import msgspec

from apportion.errors import RefusalCode, refuse

DIGITS_MAX = 40
EXPONENT_MAX = 30
_REDUCE_BITS = 512
_PLACES = {10**places: places for places in range(121)}
_DECIMAL = re.compile(r"(-?)([0-9]{1,80})(?:\.([0-9]{1,80}))?(?:[eE]([+-]?[0-9]{1,3}))?", re.ASCII)


class Exact(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A rational number ``num/den`` with ``den > 0``, compared by value."""

    num: int
    den: int = 1

    @classmethod
    def parse(cls, text: str, *, field: str = "", exponent: bool = True) -> Exact:
        """Read a decimal (``12.5``, ``-3``, ``1e-7``) or a fraction (``1/3``) of at most 40 digits.

        Raises:
            Refused: BAD_QUANTITY, when the text is anything else.
        """
        if type(text) is not str:
            raise refuse(RefusalCode.BAD_QUANTITY, "must be a number in text form.", field=field)
        if "/" in text:
            top, _, bottom = text.partition("/")
            over, under = cls.parse(top, field=field), cls.parse(bottom, field=field)
            if under.num <= 0:
                raise refuse(RefusalCode.BAD_QUANTITY, "has a denominator that is not above zero.", field=field)
            return cls(over.num * under.den, over.den * under.num).reduced()
        match = _DECIMAL.fullmatch(text)
        if match is None:
            shown = text if len(text) <= 40 else text[:40] + "…"
            raise refuse(
                RefusalCode.BAD_QUANTITY,
                f"{shown!r} is not a plain number.",
                field=field,
                fix="Write digits with at most one point, such as 12.50.",
            )
        sign, whole, part, power = match[1], match[2], match[3] or "", int(match[4] or 0)
        if len(whole) + len(part) > DIGITS_MAX or abs(power) > EXPONENT_MAX or (power and not exponent):
            raise refuse(
                RefusalCode.BAD_QUANTITY,
                "has too many digits or too large an exponent.",
                field=field,
                fix=f"At most {DIGITS_MAX} digits; exponents within ±{EXPONENT_MAX}.",
            )
        num, power = int(sign + whole + part), power - len(part)
        return cls(num * 10**power) if power >= 0 else cls(num, 10**-power)

    def reduced(self) -> Exact:
        """The same value in lowest terms."""
        divisor = math.gcd(self.num, self.den)
        return self if divisor == 1 else Exact(self.num // divisor, self.den // divisor)

    def plain(self) -> Exact:
        """The same value over a power of ten when it is a finite decimal, else in lowest terms.

        Sums and products of such numbers keep denominators alike, which is what makes them cheap.
        """
        value = self.reduced()
        twos = (value.den & -value.den).bit_length() - 1
        rest, fives = value.den >> twos, 0
        while rest % 5 == 0:
            rest //= 5
            fives += 1
        if rest != 1:
            return value
        den = 10 ** max(twos, fives)
        return Exact(value.num * (den // value.den), den)

    def __add__(self, other: Exact) -> Exact:
        den, more = self.den, other.den
        if den == more:
            return Exact(self.num + other.num, den)
        total = Exact(self.num * more + other.num * den, den * more)
        return total.reduced() if total.den.bit_length() > _REDUCE_BITS else total

    def __sub__(self, other: Exact) -> Exact:
        return self + Exact(-other.num, other.den)

    def __mul__(self, other: Exact) -> Exact:
        return Exact(self.num * other.num, self.den * other.den)

    def over(self, other: Exact) -> Exact:
        """This number divided by ``other``, which must not be zero."""
        num, den = self.num * other.den, self.den * other.num
        return Exact(num, den) if den > 0 else Exact(-num, -den)

    def __neg__(self) -> Exact:
        return Exact(-self.num, self.den)

    def __bool__(self) -> bool:
        return self.num != 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Exact) and self.num * other.den == other.num * self.den

    def __ne__(self, other: object) -> bool:  # that of the Struct compares identities
        return not self == other

    def __hash__(self) -> int:
        plain = self.reduced()
        return hash((plain.num, plain.den))

    def __lt__(self, other: Exact) -> bool:
        return self.num * other.den < other.num * self.den

    def __le__(self, other: Exact) -> bool:
        return self.num * other.den <= other.num * self.den

    def __gt__(self, other: Exact) -> bool:
        return other < self

    def __ge__(self, other: Exact) -> bool:
        return other <= self

    def floor(self) -> int:
        """The largest integer not above this number."""
        return self.num // self.den

    def ceil(self) -> int:
        """The smallest integer not below this number."""
        return -(-self.num // self.den)

    def text(self) -> str:
        """A plain decimal when it ends, otherwise ``p/q`` in lowest terms."""
        return fraction_text(self.num, self.den)

    def __repr__(self) -> str:
        return f"Exact({self.text()})"


ZERO = Exact(0)


def fraction_text(num: int, den: int) -> str:
    """``num/den`` as ``Exact.text`` says it, for those who have no Exact: (1, 20) → ``0.05``, (1, 3) → ``1/3``."""
    places = _PLACES.get(den)
    if places is None:
        plain = Exact(num, den).plain()
        places = _PLACES.get(plain.den)
        return f"{plain.num}/{plain.den}" if places is None else decimal_text(plain.num, places)
    return decimal_text(num, places).rstrip("0").rstrip(".") if places else str(num)


def decimal_text(units: int, places: int) -> str:
    """``units`` × 10^−places as a plain decimal with all its places: (5, 2) → ``0.05``."""
    if not places:
        return str(units)
    if units < 0:
        return "-" + decimal_text(-units, places)
    digits = str(units)
    if len(digits) <= places:
        return "0." + digits.zfill(places)
    return f"{digits[:-places]}.{digits[-places:]}"
