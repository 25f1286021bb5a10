"""Pure double entry.

Owns: the chart, balanced entries, holds, and the hash chain. Does not own: prices, storage, the clock.
"""
