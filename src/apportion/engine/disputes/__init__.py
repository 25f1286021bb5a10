"""Disputes: a case about a charge, what is set aside while it is open, its evidence, and how it is decided.

Owns: cases. Does not own: how a charge is corrected (corrections), who is reminded of what (credit).
"""
