"""Splitting: a known amount of data over paths; see ``segment``.

Owns: the exact split, and the split after a change. Does not own: prices, moving the data.
"""
