"""Bargaining: rounds of offer and counter-offer; see ``negotiate``.

Owns: mandates, moves, tactics, auctions. Does not own: asking anybody, and what is agreed.
"""
