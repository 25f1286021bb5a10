"""Funding: the order in which a payer's share is drawn, and how far each source goes. Pure; amounts are atoms.

One cascade for usage records, for sessions and for their proof: buckets, the payer's own value, its alternates within
their caps, its credit line. Allowances come before all of it, in units: what they cover is not priced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from apportion.model.calendar import zone_of
from apportion.model.charge import Covered
from apportion.model.funding import AllowanceLine, BucketLine
from apportion.money import Asset, Exact, Money, quantize
from apportion.money.exact import ZERO, decimal_text

_LAST = "~"  # after every instant: what never expires is drawn last
_GRAIN = 10**12  # units are drawn in steps of this fraction, so that what is left can always be written down


def cascade(atoms: int, rooms: Sequence[int]) -> list[int] | None:
    """How much each source gives when each is used up before the next; None when all together have less."""
    given = []
    for room in rooms:
        part = min(atoms, max(0, room))
        given.append(part)
        atoms -= part
    return given if atoms <= 0 else None


def own_rooms(free: int, credit: int) -> tuple[int, int]:
    """What an account gives of its value and of its credit line, when ``free`` is posted − held."""
    value = max(0, free)
    return value, max(0, free + credit) - value


def drawable(line: BucketLine | AllowanceLine, service: str, at: str) -> bool:
    """Whether it may be drawn for a service at an instant: an expired one never is, even before it is swept."""
    if line.state != "open" or (line.expires and line.expires <= at):
        return False
    return not line.services or service in line.services


def bucket_order(line: BucketLine) -> tuple[int, str, int, str]:
    """The place of a bucket among others: by priority, expiry and number."""
    return line.priority, line.expires or _LAST, len(line.id), line.id


def allowance_order(line: AllowanceLine) -> tuple[str, int, str]:
    """The place of an allowance among others: by expiry and number."""
    return line.expires or _LAST, len(line.id), line.id


def cap_period(per: str, at: str, zone: str) -> str:
    """The period that a draw at an instant counts in: the local day or month, or ``ever``."""
    if per == "ever":
        return per
    local = datetime.fromisoformat(at).astimezone(zone_of(zone))
    return f"{local.year:04}-{local.month:02}" + (f"-{local.day:02}" if per == "day" else "")


def moved_out(line: AllowanceLine, gone: Exact, asset: Asset) -> int:
    """How much of an allowance's price belongs to ``gone`` of its units: rounded from the first, so that nothing stays
    behind with the last."""
    price = Money.parse(line.price, asset).exact()
    return quantize((price * gone).over(Exact.parse(line.units)), asset).atoms


def drawn_down(line: AllowanceLine, left: Exact, reserved: Exact, asset: Asset) -> tuple[AllowanceLine, int]:
    """An allowance with so many units left and reserved, and how much of its price moves out with those gone since.

    Whoever uses it, the price moves by what is gone altogether: several users never count the same atom.
    """
    price = Money.parse(line.price, asset).atoms
    before = price - Money.parse(line.deferred, asset).atoms
    out = moved_out(line, Exact.parse(line.units) - left - reserved, asset) - before
    after = msgspec.structs.replace(
        line,
        left=left.reduced().text(),
        reserved=reserved.reduced().text(),
        deferred=decimal_text(price - before - out, asset.scale),
        **({} if left or reserved else {"state": "used", "due": ""}),
    )
    return after, out


def lapsed(line: AllowanceLine, asset: Asset) -> tuple[AllowanceLine, int]:
    """An allowance whose time is up, and how much of its price is breakage.

    What is reserved for a session stays with it; nothing is due until the session ends and gives back what it did not
    use.
    """
    after, out = drawn_down(line, ZERO, Exact.parse(line.reserved), asset)
    gone = (Exact.parse(line.lapsed) + Exact.parse(line.left)).reduced().text()
    state = "open" if after.state == "open" else "ended"
    return msgspec.structs.replace(after, lapsed=gone, state=state, due=""), out


def grains(units: Exact) -> Exact:
    """Units rounded up to what an allowance can give."""
    return Exact((units * Exact(_GRAIN)).ceil(), _GRAIN)


def cover(
    quantities: Mapping[str, Exact], lines: Iterable[AllowanceLine], asset: Asset
) -> list[tuple[Covered, AllowanceLine]]:
    """What allowances cover of a use: each covered part, with its allowance as it then stands but for the instant."""
    rest = {measure: quantity for measure, quantity in quantities.items() if quantity.num > 0}
    found = []
    for line in sorted(lines, key=allowance_order):
        wanted, left = rest.get(line.measure, ZERO), Exact.parse(line.left)
        wanted = grains(wanted)
        units = wanted if wanted < left else left
        if units.num <= 0:
            continue
        rest[line.measure] = wanted - units
        after, out = drawn_down(line, left - units, Exact.parse(line.reserved), asset)
        covered = Covered(line.id, line.measure, units.reduced().text(), decimal_text(out, asset.scale))
        found.append((covered, after))
    return found
