"""Reconciling: a provider's own records or invoice against our meter and the ledger.

Owns: reading their rows, finding ours, the report. Does not own: matching (stages/meter), disputes, corrections.
"""
