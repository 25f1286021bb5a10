"""The stages, pure siblings whose names sort into pipeline order; each decides one thing.

Owns: decisions, from records to records. Does not own: input and output, clocks, entries, one another.
"""
