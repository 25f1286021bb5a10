"""Holds: value set aside for a purpose."""

from __future__ import annotations

import enum

import msgspec


class HoldState(enum.Enum):
    """``open`` until it ends as captured, released or expired."""

    OPEN = "open"
    CAPTURED = "captured"
    RELEASED = "released"
    EXPIRED = "expired"


class Hold(msgspec.Struct):
    """``amount`` = open + ``captured`` + ``released`` atoms on ``account``; ``owner`` names what it is for.

    ``expires`` is an RFC 3339 instant after which a sweep ends it, whether or not anybody calls again.
    """

    id: int
    account: int
    owner: str
    amount: int
    expires: str
    captured: int = 0
    released: int = 0
    state: HoldState = HoldState.OPEN

    @property
    def open(self) -> int:
        """Atoms still set aside."""
        return self.amount - self.captured - self.released
