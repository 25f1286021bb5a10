"""Sessions: a service charged while it runs, joined from stages, ledger and store.

Owns: what a running session comes to, its slices, grants, holds and states. Does not own: prices, quotas' arithmetic,
accounts.
"""
