"""The application: the only floor that joins stages and ledger, and asks the ports.

Owns: the order of steps, batches, commits. Does not own: prices, shares, postings, drivers.
"""
