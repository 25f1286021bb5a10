"""What of a payment is still to be paid, when parts of it are under way, were paid or came back."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from apportion.errors import RefusalCode, refuse


class Part(msgspec.Struct, frozen=True):
    """A part of a payment that was ordered; what came back (``failed``) is to be paid again."""

    units: int
    failed: bool = False


def rest(payment: int, parts: Iterable[Part], wanted: int = 0) -> int:
    """The units to pay now: ``wanted`` of what is left of a payment, all of it when 0.

    Raises:
        Refused: BAD_AMOUNT when more is wanted than is left.
    """
    left = payment - sum(part.units for part in parts if not part.failed)
    assert left >= 0, "more was ordered than the settlement says"
    if wanted < 0 or wanted > left:
        raise refuse(
            RefusalCode.BAD_AMOUNT,
            "is more than the settlement leaves to be paid." if wanted > 0 else "is not above zero.",
            field="amount",
            fix="Look at the settlement: what is under way or was paid is no longer to be paid.",
        )
    return wanted or left
