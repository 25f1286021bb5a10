"""Funding: from which accounts a payer's share is drawn, in which order and within which caps.

Owns: the purse, buckets, allowances, alternates. Does not own: prices, payments, credit lines.
"""
