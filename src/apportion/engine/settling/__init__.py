"""Settling: windows of the books are closed and netted, and what is left of them is paid out.

Owns: settlements, payouts, obligations among providers, where providers have their money. Does not own: how an advice
is rounded (the statements), how a processor is called (the cashier).
"""
