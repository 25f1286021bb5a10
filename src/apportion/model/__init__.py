"""The nouns: frozen records, each defined once; every other shape derives from them.

Owns: record fields and their checks. Does not own: decisions, arithmetic on money, input and output.
"""
