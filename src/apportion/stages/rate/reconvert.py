"""Corrections of charges that were converted: what goes back goes back at the rate it came at, the last of it whole.

Of an account in another currency than the charge's, as much goes back as there stands, in proportion; so when all of a
share or portion is given back, nothing of it stays behind, whatever rates have become since.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from apportion.model.charge import Charge, Conversion, Portion, Share
from apportion.money import Asset, Exact, Money, allocate
from apportion.money.exact import decimal_text
from apportion.money.exchange import Rate
from apportion.money.rounding import nearest

Place = tuple[str, str, str]
replace = msgspec.structs.replace


def converted(made: Charge, standing: Charge, asset: Asset, fresh: Charge | None = None) -> Charge:
    """What corrects a charge, with the conversions that it needs.

    ``fresh`` is the charge as it should have been: an account that is converted there comes to exactly that.
    """
    if not standing.conversions:
        return made
    portions = []
    for portion in made.portions:
        stands = [p for p in standing.portions if _place(p) == _place(portion)]
        wanted = [p for p in fresh.portions if _place(p) == _place(portion)] if fresh is not None else None
        (atoms, own), *_ = [*_back([portion], stands, wanted, asset), (0, None)]
        portions.append(replace(portion, converted=_said(own, atoms)))
    shares: list[Share] = list(made.shares)
    for bearer in dict.fromkeys(share.bearer for share in made.shares):
        mine = [place for place, share in enumerate(shares) if share.bearer == bearer]
        stands_ = [share for share in standing.shares if share.bearer == bearer]
        wants = [share for share in fresh.shares if share.bearer == bearer] if fresh is not None else None
        for place, (atoms, own) in zip(mine, _back([shares[p] for p in mine], stands_, wants, asset), strict=False):
            shares[place] = replace(shares[place], converted=_said(own, atoms))
    return replace(made, portions=tuple(portions), shares=tuple(shares))


def combined(whole: Charge, standing: Charge, correction: Charge, asset: Asset) -> Charge:
    """A charge with one more correction, with what stands of its conversions."""
    if not standing.conversions and not correction.conversions:
        return whole
    portions = []
    for portion in whole.portions:
        found = [p for p in (*standing.portions, *correction.portions) if _place(p) == _place(portion)]
        own, atoms = _stands(found)
        portions.append(replace(portion, converted=_said(own, atoms)))
    shares = list(whole.shares)
    for bearer in dict.fromkeys(share.bearer for share in whole.shares):
        mine = [place for place, share in enumerate(shares) if share.bearer == bearer]
        own, atoms = _stands([s for s in (*standing.shares, *correction.shares) if s.bearer == bearer])
        parts = _parted(atoms, [_atoms(shares[place].amount, asset) for place in mine])
        for place, part in zip(mine, parts, strict=True):
            shares[place] = replace(shares[place], converted=_said(own, part))
    return replace(whole, portions=tuple(portions), shares=tuple(shares))


Some = Sequence[Portion] | Sequence[Share]


def _back(made: Some, standing: Some, wanted: Some | None, asset: Asset) -> list[tuple[int, Conversion]]:
    """Atoms of the other currency for each of ``made``, which are all of one party; none when it has no other."""
    own, stands = _stands(standing)
    if own is None:
        return []
    more = [_atoms(one.amount, asset) for one in made]
    change, whole = sum(more), sum(_atoms(one.amount, asset) for one in standing)
    asked = _stands(wanted) if wanted is not None else (None, 0)
    if asked[0] is not None:
        atoms = asked[1] - stands
    elif whole and (change > 0) != (whole > 0) and abs(change) <= abs(whole):
        atoms = -nearest(stands * abs(change), abs(whole))
    else:
        other = asset.code if own.base == own.currency else own.currency
        rate = Rate(own.base, other, own.rate, own.source, own.at)
        atoms = rate.atoms(change, asset, Asset(own.currency, _scale(own)))
    return [(part, own) for part in _parted(atoms, more)]


def _stands(some: Some) -> tuple[Conversion | None, int]:
    """The conversion of one party's amounts, and all of them in its currency."""
    found = [one.converted for one in some if one.converted is not None]
    if not found:
        return None, 0
    return found[0], sum(int(one.amount.replace(".", "")) for one in found)


def _said(own: Conversion | None, atoms: int) -> Conversion | None:
    return None if own is None else replace(own, amount=decimal_text(atoms, _scale(own)), exact="")


def _parted(atoms: int, weights: Sequence[int]) -> list[int]:
    if len(weights) < 2 or not any(weights):
        return [atoms, *[0] * (len(weights) - 1)]
    return list(allocate(atoms, [Exact(abs(weight)) for weight in weights]).shares)


def _scale(own: Conversion) -> int:
    return len(own.amount.partition(".")[2])


def _place(portion: Portion) -> Place:
    return portion.part, portion.provider, portion.account


def _atoms(text: str, asset: Asset) -> int:
    return Money.parse(text, asset).atoms
