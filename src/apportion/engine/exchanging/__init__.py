"""Currencies: rates added to the catalog in force, and what conversions left in each currency.

Owns: the verbs of rates and of the exchange accounts. Does not own: converting a charge, which charging does.
"""
