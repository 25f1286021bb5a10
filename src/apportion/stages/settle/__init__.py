"""Settling: who owes whom, what is left of it after netting, and what of that is still to be paid.

Owns: obligations, netting, caps, what of a payment is left. Does not own: how an advice is rounded, and any booking.
"""

from apportion.stages.settle.netting import PLATFORM, Owed, over_caps, payments, positions
from apportion.stages.settle.payout import Part, rest

__all__ = ["PLATFORM", "Owed", "Part", "over_caps", "payments", "positions", "rest"]
