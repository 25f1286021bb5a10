"""Usage files: CSV, JSON Lines and Parquet read as one stream of usage records and rejects.

Owns: reading, bounds on hostile input, the flat columns. Does not own: prices, duplicates, what is booked.
"""

from apportion.adapters.usage.batch import Batch, Intake, Rejected
from apportion.adapters.usage.files import read_usage, usage_door
from apportion.adapters.usage.jsonl import JsonDoor, parse

__all__ = ["Batch", "Intake", "JsonDoor", "Rejected", "parse", "read_usage", "usage_door"]
