"""Settling: who owes whom, what is left of it after netting, and what of that is still to be paid. Pure."""

from apportion.stages.settle.collect import Collected, collected
from apportion.stages.settle.netting import PLATFORM, Owed, over_caps, payments, positions
from apportion.stages.settle.payout import Part, rest

__all__ = ["PLATFORM", "Collected", "Owed", "Part", "collected", "over_caps", "payments", "positions", "rest"]
